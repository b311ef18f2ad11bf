"""A study written as SBML runs elsewhere to the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.sbml import system_from_sbml
from immunostat.study.export import Export, export_sbml
from immunostat.study.study_reader import read_study

STUDY = Path(__file__).resolve().parents[2] / "studies" / "ra-biologics.yaml"
TIMES = np.linspace(0.0, 56.0, 57) + 0.25
TIGHT = Tolerance(1e-9, 1e-12)

#: Two simulators at 1e-9 local error; the error adds up over eight weeks.
AGREES = 1e-6


@pytest.fixture(scope="module", params=["adalimumab", "tocilizumab-8"])
def export(request: pytest.FixtureRequest) -> Export:
    catalog = packaged_catalog()
    changes = ["population.patients=8", "duration=8 weeks", "visits=every 4 weeks"]
    return export_sbml(read_study(STUDY, catalog, changes), catalog, request.param)


def own_course(export: Export, outputs: tuple[str, ...]) -> np.ndarray:
    """The patient as the study simulates him. Shape (time, output)."""
    system = export.assembly.system
    problem = EnsembleProblem(
        system,
        export.parameters[None, :],
        Schedule.of_events(system, [export.events]),
        TIMES,
        outputs,
        initial_states=export.initial_states[None, :],
    )
    return solve(problem, tolerance=TIGHT, threads=1).values[0]


def assert_same(found: np.ndarray, right: np.ndarray) -> None:
    size = np.abs(right).max(axis=0)
    assert (np.abs(found - right) <= AGREES * np.maximum(size, 1e-9)).all()


def test_the_written_model_read_back_gives_the_same_course(export: Export) -> None:
    system = system_from_sbml(export.sbml, "written")
    assert len(system.events) == len({event.time for event in export.events}) > 0
    outputs = export.assembly.system.states
    problem = EnsembleProblem(
        system, system.defaults[None, :], Schedule.empty(1), TIMES, tuple(outputs)
    )
    found = solve(problem, tolerance=TIGHT, threads=1).values[0]
    assert_same(found, own_course(export, tuple(outputs)))


def test_another_simulator_gives_the_same_course(export: Export) -> None:
    roadrunner = pytest.importorskip("roadrunner")
    runner = roadrunner.RoadRunner(export.sbml)
    runner.integrator.relative_tolerance = 1e-10
    runner.integrator.absolute_tolerance = 1e-12
    outputs = export.assembly.system.states
    runner.timeCourseSelections = ["time", *outputs]
    table = np.array(runner.simulate(times=[0.0, *TIMES]))[1:, 1:]
    assert_same(table, own_course(export, tuple(outputs)))


def test_the_written_model_is_valid_and_names_units_and_sources(export: Export) -> None:
    import libsbml

    document = libsbml.readSBMLFromString(export.sbml)
    document.checkConsistency()
    assert document.getNumErrors(libsbml.LIBSBML_SEV_ERROR) == 0
    model = document.getModel()
    volume = model.getParameter("adalimumab_central_volume")
    assert model.getUnitDefinition(volume.getUnits()).getName() == "L"
    assert "doi.org/10.1111/bcp.14330" in volume.getAnnotationString()
    assert "fitted" in volume.getNotesString()
    assert "no medical advice" in model.getNotesString()


def test_the_same_patient_has_the_same_parameters_in_every_arm() -> None:
    catalog = packaged_catalog()
    study = read_study(STUDY, catalog, ["population.patients=4", "duration=4 weeks"])
    one, other = (
        export_sbml(study, catalog, arm, patient=2) for arm in ("placebo", "tocilizumab-8")
    )
    assert (one.parameters == other.parameters).all()
    assert not system_from_sbml(one.sbml, "placebo").events


def test_a_patient_who_is_not_in_the_study_is_refused() -> None:
    catalog = packaged_catalog()
    study = read_study(STUDY, catalog, ["population.patients=4"])
    with pytest.raises(InputError, match="patients 0 to 3, not 4"):
        export_sbml(study, catalog, patient=4)

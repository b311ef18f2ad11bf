"""Our transcriptions of published models against their SBML of BioModels, where that is at hand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.published import published_course
from immunostat.engine.course import simulate_course
from immunostat.model.sbml import system_from_sbml

ROOT = Path(__file__).resolve().parents[2]
MODELS = Path(os.environ.get("IMMUNOSTAT_BIOMODELS", ROOT.parent / "shared" / "biomodels"))

pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="the models of BioModels are not here")

CATALOG = packaged_catalog()

#: Names of the SBML by ours, where they differ.
NAMES: Mapping[str, Mapping[str, str]] = {
    "reynolds2006": {"N": "Nstar", "CA": "C_A"},
    "baker2013": {
        "a": "species_1",
        "p": "species_2",
        "alpha1": "parameter_1",
        "alpha2": "parameter_2",
        "alpha3": "parameter_3",
        "alpha4": "parameter_4",
        "gamma_p": "parameter_5",
    },
}

#: Help to cytotoxic T cells: as the SBML of Gallaher 2018 has it, and as the names of the
#: parameters, their units and the ranges in the notes of the same file say.
CROSSED = "amc*N/(bmc + N) + anc*M/(bnc + M)"
NAMED = "amc*M/(bmc + M) + anc*N/(bnc + N)"

RUNS = [
    ("reynolds2006", {}),
    ("reynolds2006", {"P": 1.5}),
    ("reynolds2006", {"k_pg": 0.6}),
    ("baker2013", {"alpha2": 12.0}),
    ("baker2013", {"alpha2": 18.0, "alpha4": 7.0}),
    ("gallaher2018", {}),
    ("gallaher2018", {"M": 0.1, "arm": 0.1}),
]


def theirs(biomodel: str):
    text = (MODELS / f"{biomodel}.xml").read_text(encoding="utf-8")
    return system_from_sbml(text, biomodel)


@pytest.mark.parametrize(("name", "settings"), RUNS)
def test_a_transcription_has_the_course_of_its_sbml(name: str, settings: dict[str, float]) -> None:
    card = CATALOG.published_model(name)
    if not (MODELS / f"{card.biomodel}.xml").is_file():
        pytest.skip("this model is not here")
    system = uncrossed(card.biomodel) if name == "gallaher2018" else theirs(card.biomodel)
    times = np.linspace(0.0, card.until, 201)
    ours = published_course(CATALOG, card, times, settings)
    own = NAMES.get(name, {})
    start = {n: fact.value for n, fact in card.initial.items()}
    changed = {own.get(n, n): v for n, v in (start | settings).items()}
    outputs = [own.get(n, n) for n in card.outputs]
    other = simulate_course(system, times, changed, (), outputs, 1e-9, 1e-12)
    for output in card.outputs:
        ours_y = ours.trajectories[output][0]
        other_y = other.trajectories[own.get(output, output)][0]
        # 1e-6: two solutions at a tolerance of 1e-9 a step
        assert np.allclose(ours_y, other_y, rtol=1e-6, atol=1e-6 * np.abs(other_y).max()), output


def uncrossed(biomodel: str):
    """The SBML of Gallaher 2018 with M and N exchanged in the help to cytotoxic T cells."""
    import antimony

    from immunostat.model.antimony import Fragment, flatten

    antimony.clearPreviousLoads()
    antimony.loadSBMLFile(str(MODELS / f"{biomodel}.xml"))
    main = antimony.getMainModuleName()
    text = antimony.getAntimonyString(main)
    assert text.count(CROSSED) == 1
    text = text.replace(CROSSED, NAMED)
    return system_from_sbml(flatten([Fragment(text, "uncrossed.ant")], main), biomodel)

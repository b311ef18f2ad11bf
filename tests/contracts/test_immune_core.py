"""What the immune core must do whatever its numbers are."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.study.assemble import assemble
from immunostat.study.cohort import initial_states, parameter_table

DAYS = np.array([0.0, 365.0, 3652.5])


@pytest.fixture(scope="module")
def core():
    """Core alone in a healthy person."""
    catalog = packaged_catalog()
    assembly = assemble(catalog, catalog.situation("rheumatoid-arthritis"), ())
    system = assembly.core_system
    healthy = {**assembly.defaults, "self_antigen": 0.0}
    return system, parameter_table(system, healthy, 1)


def course(core, start=None, events=(), antigen=0.0, times=DAYS):
    system, parameters = core
    parameters = parameters.copy()
    parameters[:, system.parameters.index("self_antigen")] = antigen
    problem = EnsembleProblem(
        system,
        parameters,
        Schedule.of_events(system, [list(events)]),
        np.asarray(times, dtype=float),
        system.states,
        initial_states=start,
    )
    found = solve(problem, tolerance=Tolerance(1e-8, 1e-10))
    assert found.is_ok.all()
    return found.values[0]


def test_a_healthy_person_holds_steady_state_for_ten_years(core) -> None:
    values = course(core)
    # A hundred times the tolerance of the solver.
    np.testing.assert_allclose(values[-1], values[0], rtol=1e-6, atol=1e-8)


def test_health_is_one_for_every_tissue_activity(core) -> None:
    system, parameters = core
    start = dict(zip(system.states, initial_states(system, parameters)[0], strict=True))
    for name in ("macrophage", "effector_T", "regulatory_T", "B_cell", "tnf", "il6", "il1", "il10"):
        assert start[f"core_{name}"] == 1.0
    assert start["core_autoantibody"] == 0.0


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_a_healthy_person_recovers_from_a_change_of_any_state(core, factor) -> None:
    system, parameters = core
    rest = initial_states(system, parameters)
    for i, state in enumerate(system.states):
        start = rest.copy()
        start[0, i] = start[0, i] * factor if start[0, i] else factor - 0.7
        values = course(core, start)
        # Within one part in ten thousand of health after ten years: it came back by itself.
        np.testing.assert_allclose(values[-1], rest[0], rtol=1e-4, atol=1e-6, err_msg=state)


def test_the_disease_is_a_steady_state_that_grows_with_the_antigen(core) -> None:
    system, _ = core
    macrophage = system.states.index("core_macrophage")
    levels = []
    for antigen in (0.0, 0.5, 1.0, 2.0):
        values = course(core, antigen=antigen, times=[0.0, 7000.0, 7300.0])
        np.testing.assert_allclose(values[1], values[2], rtol=1e-5, atol=1e-8)
        levels.append(values[2, macrophage])
    assert np.all(np.diff(levels) > 0)


def test_no_state_becomes_negative_when_the_antigen_comes_and_goes(core) -> None:
    events = [
        Event(10.0, Action.SET, "self_antigen", 3.0),
        Event(300.0, Action.SET, "self_antigen", 0.0),
    ]
    values = course(core, events=events, times=np.arange(0.0, 1000.0, 5.0))
    assert values.min() >= 0.0


#: Ports at which drugs enter, and a part of the response that each lowers in the inflamed.
LOWERED = {
    "tnf_binding": "core_tnf_signal",
    "il6r_binding": "core_il6_signal",
    "il1_binding": "core_il1_signal",
    "jak1_binding": "core_crp",
    "jak3_binding": "core_effector_T",
    "costimulation_binding": "core_effector_T",
    "cd20_binding": "core_B_cell",
    "calcineurin_binding": "core_effector_T",
    "proliferation_binding": "core_effector_T",
}


def at_rest(core, outputs, **values):
    """Outputs of the inflamed core at rest, with values of its parameters."""
    system, parameters = core
    parameters = parameters.copy()
    for name, value in {"self_antigen": 1.0, **values}.items():
        parameters[:, system.parameters.index(name)] = value
    problem = EnsembleProblem(
        system, parameters, Schedule.empty(1), np.array([0.0, 3652.5]), tuple(outputs)
    )
    return solve(problem, tolerance=Tolerance(1e-8, 1e-10)).values[0, -1]


def test_every_port_is_looked_at() -> None:
    core = packaged_catalog().core("immune_core")
    assert set(core.ports) == {"self_antigen", *LOWERED}


@pytest.mark.parametrize("port", sorted(LOWERED))
def test_more_of_a_drug_lowers_what_its_target_drives(core, port) -> None:
    course = [at_rest(core, [LOWERED[port]], **{port: x})[0] for x in (0.0, 0.5, 3.0, 30.0)]
    assert (np.diff(course) < 0).all(), course


def test_a_target_that_is_all_taken_leaves_what_the_equations_say(core) -> None:
    system, parameters = core
    value = dict(zip(system.parameters, parameters[0], strict=True))
    endless = 1e12
    # No IL-6 reaches the liver without JAK1, and no IL-1 is left to signal.
    assert at_rest(core, ["core_crp"], jak1_binding=endless)[0] < 1e-6
    assert at_rest(core, ["core_il1_signal"], il1_binding=endless)[0] < 1e-6
    # B cells rest where turnover and killing balance.
    cells, drive = at_rest(core, ["core_B_cell", "core_B_cell_drive"], cd20_binding=endless)
    turnover, killing = value["core_B_turnover"], value["core_B_depletion"]
    assert cells == pytest.approx(drive * turnover / (turnover + killing), rel=1e-6)
    # Priming without the second signal keeps the share that does not need it.
    free, left = (
        at_rest(core, ["core_T_activation"], costimulation_binding=x)[0] for x in (0.0, endless)
    )
    assert free == 1.0
    assert left == pytest.approx(1 - value["core_priming_by_costimulation"], rel=1e-6)

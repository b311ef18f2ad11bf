"""Forward sensitivities against solutions on paper, differences, and CVODE."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import ModelError, UnknownNameError
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.sensitivities import sensitivities
from immunostat.engine.solution import Status
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem

TIMES = np.array([0.0, 0.5, 1.0, 2.0, 5.0, 9.0, 14.0])
TIGHT = Tolerance(1e-10, 1e-13)
TARGET = (
    "kon = 0.8; koff = 0.4; kint = 0.25; ka = 0.3; ke = 0.1; kdeg = 0.6; T0 = 2; n = 1.7; K = 0.6\n"
    "ksyn = kdeg * T0; D = 0; A = 0; T = T0; C = 0; E = 1; bound := C / (T + C)\n"
    "effect := A^n / (K^n + A^n); D' = -ka * D; A' = ka * D - ke * A - kon * A * T + koff * C\n"
    "T' = ksyn - kdeg * T - kon * A * T + koff * C; C' = kon * A * T - (koff + kint) * C\n"
    "E' = 0.5 * (1 - 0.9 * effect) - 0.5 * E"
)


def system_of(lines: str) -> OdeSystem:
    text = f"model m()\n{lines}\nend\n"
    return system_from_sbml(flatten([Fragment(text, "m.ant")], "m"), "m")


def problem_of(lines: str, events, outputs=None, n_patients: int = 1) -> EnsembleProblem:
    system = system_of(lines)
    rng = np.random.default_rng(6)
    spread = rng.lognormal(0, 0.2, (n_patients, system.n_parameters))
    parameters = system.defaults * (spread if n_patients > 1 else np.ones_like(spread))
    schedule = Schedule.of_events(system, [events] * n_patients)
    return EnsembleProblem(system, parameters, schedule, TIMES, outputs or system.states)


def differences(problem: EnsembleProblem, name: str, share: float = 1e-4) -> np.ndarray:
    """Central differences at a tight tolerance. Shape (patient, time, output)."""
    index = problem.system.parameters.index(name)
    step = share * np.abs(problem.parameters[:, index])
    ends = []
    for sign in (1, -1):
        parameters = problem.parameters.copy()
        parameters[:, index] += sign * step
        moved = EnsembleProblem(
            problem.system, parameters, problem.schedule, problem.times, problem.outputs
        )
        ends.append(solve(moved, tolerance=Tolerance(1e-12, 1e-14)).values)
    return (ends[0] - ends[1]) / (2 * step[:, None, None])


def test_of_an_exponential_they_are_those_on_paper() -> None:
    problem = problem_of("k = 0.2; A = 0; A' = -k * A", [Event(0.0, Action.ADD, "A", 10.0)])
    found = sensitivities(problem, ["k"], tolerance=TIGHT)
    right = -TIMES * 10 * np.exp(-0.2 * TIMES)
    np.testing.assert_allclose(found["A", "k"][0], right, rtol=1e-8, atol=1e-10)
    assert found.values.shape == (1, len(TIMES), 1, 1)


def test_start_values_and_constants_that_follow_from_parameters_count() -> None:
    problem = problem_of("T0 = 3; kdeg = 0.5; s = kdeg * T0; T = 2 * T0; T' = s - kdeg * T", [])
    found = sensitivities(problem, ["T0", "kdeg"], tolerance=TIGHT)
    decay = np.exp(-0.5 * TIMES)  # T = T0 (1 + exp(-kdeg t))
    np.testing.assert_allclose(found["T", "T0"][0], 1 + decay, rtol=1e-9)
    np.testing.assert_allclose(found["T", "kdeg"][0], -3 * TIMES * decay, rtol=1e-8, atol=1e-10)


EVENTS = [
    Event(0.0, Action.ADD, "D", 4.0),
    Event(1.0, Action.RATE, "A", 1.5),
    Event(2.5, Action.RATE, "A", -1.5),
    Event(3.0, Action.SET, "n", 2.1),
    Event(4.0, Action.REPLACE, "T", 0.5),
    Event(6.0, Action.ADD, "D", 4.0),
]
NAMES = ["kon", "koff", "kint", "ka", "ke", "kdeg", "T0", "K"]


@pytest.mark.parametrize("method", ["rodas5p", "tsit5"])
def test_of_a_drug_and_its_target_they_are_those_of_differences(method: str) -> None:
    outputs = ("D", "A", "T", "C", "E", "bound", "effect")
    problem = problem_of(TARGET, EVENTS, outputs, n_patients=3)
    found = sensitivities(problem, NAMES, tolerance=TIGHT, method=method)
    for p, name in enumerate(NAMES):
        right = differences(problem, name)
        size = np.abs(right).max(axis=1, keepdims=True) + 1e-3
        # central differences of 1e-4: truncation 1e-8 of the third derivative, noise 1e-12 / 1e-4
        assert (np.abs(found.values[..., p] - right) / size).max() < 2e-6, name
    plain = solve(problem, tolerance=TIGHT)
    np.testing.assert_allclose(found.trajectories.values, plain.values, rtol=1e-8, atol=1e-9)


def test_the_reference_solves_the_same_augmented_system() -> None:
    problem = problem_of(TARGET, EVENTS[:3])
    fast = sensitivities(problem, NAMES, tolerance=TIGHT)
    slow = sensitivities(problem, NAMES, tolerance=Tolerance(1e-9, 1e-12), method="cvode")
    np.testing.assert_allclose(fast.values, slow.values, rtol=1e-5, atol=1e-6)


def test_default_tolerance_gives_four_digits() -> None:
    problem = problem_of(TARGET, EVENTS, n_patients=3)
    rough, right = sensitivities(problem, NAMES), sensitivities(problem, NAMES, tolerance=TIGHT)
    size = np.abs(right.values).max(axis=1, keepdims=True) + 1e-3
    assert (np.abs(rough.values - right.values) / size).max() < 2e-4


def test_a_number_that_an_event_sets_depends_on_nothing() -> None:
    lines = "T0 = 3; k = 0.5; s = k * T0; T = T0; T' = s - k * T"
    events = [Event(1.5, Action.REPLACE, "T", 1.0), Event(1.5, Action.SET, "s", 2.0)]
    found = sensitivities(problem_of(lines, events), ["T0"], tolerance=TIGHT)
    late = TIMES > 1.5
    assert (found["T", "T0"][0, late] == 0.0).all()
    np.testing.assert_allclose(found["T", "T0"][0, ~late], 1.0, rtol=1e-9)


def test_a_parameter_is_an_output_too() -> None:
    problem = problem_of("k = 0.2; q = 1; A = 1; A' = -k * q * A", [], ("A", "k", "q"))
    found = sensitivities(problem, ["k"])
    assert (found["k", "k"] == 1.0).all()
    assert (found["q", "k"] == 0.0).all()


def test_a_broken_patient_costs_only_himself() -> None:
    problem = problem_of(TARGET, EVENTS, n_patients=9)
    whole = sensitivities(problem, ["kon"])
    parameters = problem.parameters.copy()
    parameters[4] = np.nan
    sick = EnsembleProblem(
        problem.system, parameters, problem.schedule, problem.times, problem.outputs
    )
    found = sensitivities(sick, ["kon"])
    others = np.setdiff1d(np.arange(9), [4])
    assert found.values[others].tobytes() == whole.values[others].tobytes()
    assert found.trajectories.status[4] == Status.NOT_FINITE
    assert np.isnan(found.values[4, 1:]).all()


def test_wrong_questions_are_refused() -> None:
    problem = problem_of(TARGET, EVENTS)
    with pytest.raises(UnknownNameError, match="'konn' is no parameter"):
        sensitivities(problem, ["konn"])
    with pytest.raises(ModelError, match="follows from others"):
        sensitivities(problem, ["ksyn"])
    with pytest.raises(ModelError, match="sets parameter 'n'"):
        sensitivities(problem, ["n"])

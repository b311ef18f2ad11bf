"""The rule behind method="auto"."""

from __future__ import annotations

import numpy as np

from immunostat.engine.choice import choose_method, subset
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solve import solve

OSCILLATOR = "w = 1; x = 1; y = 0; x' = w * y; y' = -w * x"
TWO_SCALES = "k = 5000; x = 1; y = 0; x' = -k * (x - y); y' = 0.1 * (1 - y) + 0.05 * x"
BINDING = (
    "kon = 400; koff = 0.1; A = 0; T = 1; C = 0; A' = -0.2 * A - kon * A * T + koff * C\n"
    "T' = 1 - T - kon * A * T + koff * C; C' = kon * A * T - koff * C - 0.3 * C"
)


def problem_of(system, events, parameters=None, end: float = 30.0) -> EnsembleProblem:
    n = len(events)
    values = np.tile(system.defaults, (n, 1)) if parameters is None else parameters
    schedule = Schedule.of_events(system, events)
    return EnsembleProblem(system, values, schedule, np.linspace(0, end, 7), system.states)


def chosen(system) -> str:
    return choose_method(problem_of(system, [[]]), Tolerance())[0]


def test_a_model_that_is_not_stiff_gets_the_explicit_method(make_system) -> None:
    assert chosen(make_system(OSCILLATOR)) == "tsit5"


def test_a_stiff_model_gets_the_implicit_method(make_system) -> None:
    assert chosen(make_system(TWO_SCALES)) == "rodas5p"


def test_auto_is_one_of_the_two_to_the_bit(make_system) -> None:
    for lines, name in ((OSCILLATOR, "tsit5"), (TWO_SCALES, "rodas5p")):
        problem = problem_of(make_system(lines), [[], []])
        found, same = (solve(problem, method=m) for m in ("auto", name))
        assert found.values.tobytes() == same.values.tobytes()
        assert (found.accepted == same.accepted).all()


def test_the_choice_does_not_depend_on_the_patients(make_system) -> None:
    system = make_system(OSCILLATOR)
    wild = system.defaults * np.array([[1.0], [1e4], [np.nan]])
    problem = problem_of(system, [[], [], []], wild)
    assert choose_method(problem, Tolerance()) == choose_method(
        problem_of(system, [[]]), Tolerance()
    )


def test_a_patient_whom_a_dose_makes_stiff_is_solved_by_the_other_method(make_system) -> None:
    system = make_system(BINDING)
    dose = [Event(1.0, Action.ADD, "A", 500.0)]
    problem = problem_of(system, [[], dose, []])
    assert choose_method(problem, Tolerance())[0] == "tsit5"  # without a dose nothing binds
    found = solve(problem, method="auto")
    assert found.is_ok.all()
    stiff, mild = solve(problem, method="rodas5p"), solve(problem, method="tsit5")
    assert found.values[1].tobytes() == stiff.values[1].tobytes()
    assert found.values[[0, 2]].tobytes() == mild.values[[0, 2]].tobytes()
    assert found.accepted[1] < 2000 < mild.accepted[1]
    alone = solve(subset(problem, [1]), method="auto")
    assert alone.values.tobytes() == found.values[1:2].tobytes()


def test_a_subset_has_the_events_of_its_patients(make_system) -> None:
    system = make_system(OSCILLATOR)
    events = [
        [Event(float(i), Action.ADD, "x", float(10 * i + j)) for j in range(i)] for i in range(5)
    ]
    part = subset(problem_of(system, events), [4, 0, 2])
    same = Schedule.of_events(system, [events[4], events[0], events[2]])
    for name in ("offsets", "times", "actions", "targets", "values"):
        np.testing.assert_array_equal(getattr(part.schedule, name), getattr(same, name))


def test_progress_counts_to_the_end_once(make_system) -> None:
    seen: list[int] = []
    problem = problem_of(make_system(BINDING), [[], [Event(1.0, Action.ADD, "A", 500.0)]])
    solve(problem, method="auto", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 2

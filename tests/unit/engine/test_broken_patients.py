"""One patient in a hundred is broken: he fails alone, and it is said who, when and why."""

from __future__ import annotations

import re

import numpy as np
import pytest

from immunostat.engine.choice import subset
from immunostat.engine.explain import explain
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule
from immunostat.engine.solution import Status, Trajectories
from immunostat.engine.solve import solve
from immunostat.engine.steady_state import steady_state

N = 1000
MODEL = (
    "V = 3; CL = 0.5; g = 0; n = 1.7; K = 0.7; s = 1; A = 0; R = 1; G = 0.1\n"
    "A' = -CL / V * A; R' = s * (1 - 0.8 * (A / V)^n / (K^n + (A / V)^n)) - R\n"
    "G' = g * G^2 - 0.1 * G * (1 - g)"
)
#: What is done to the parameters of one patient, and how he must end.
BREAKS = {
    "nan": ({"CL": np.nan}, {Status.NOT_FINITE}),
    "infinite": ({"V": np.inf, "CL": np.inf}, {Status.NOT_FINITE}),
    "negative volume": ({"V": -0.02}, {Status.NOT_FINITE, Status.STEP_TOO_SMALL}),
    "zero volume": ({"V": 0.0}, {Status.NOT_FINITE}),
    "blow-up": ({"g": 1.0}, {Status.STEP_TOO_SMALL, Status.NOT_FINITE}),
}


@pytest.fixture(scope="module")
def healthy(make_system) -> EnsembleProblem:
    system = make_system(MODEL)
    rng = np.random.default_rng(4)
    parameters = system.defaults * rng.lognormal(0, 0.3, (N, system.n_parameters))
    events = [[Event(float(7 * j), Action.ADD, "A", 5.0) for j in range(3)] for _ in range(N)]
    schedule = Schedule.of_events(system, events)
    return EnsembleProblem(system, parameters, schedule, np.arange(0.0, 29.0, 7.0), system.states)


def broken(problem: EnsembleProblem, kinds: list[str]) -> tuple[EnsembleProblem, np.ndarray]:
    """The problem with one patient in a hundred broken, by each kind in turn."""
    who = np.arange(37, N, 100)
    parameters = problem.parameters.copy()
    names = problem.system.parameters
    for k, i in enumerate(who):
        for name, value in BREAKS[kinds[k % len(kinds)]][0].items():
            parameters[i, names.index(name)] = value
    sick = EnsembleProblem(
        problem.system, parameters, problem.schedule, problem.times, problem.outputs
    )
    return sick, who


def bits(result: Trajectories, rows: np.ndarray) -> list[bytes]:
    fields = ("values", "final_states", "status", "status_times", "accepted", "rejected")
    return [getattr(result, name)[rows].tobytes() for name in fields]


@pytest.mark.parametrize("method", ["rodas5p", "tsit5", "auto"])
def test_one_percent_of_all_kinds_costs_nobody_else_a_bit(healthy, method: str) -> None:
    sick, who = broken(healthy, list(BREAKS))
    others = np.setdiff1d(np.arange(N), who)
    found = solve(sick, method=method, threads=2)
    without = solve(subset(healthy, others.tolist()), method=method, threads=1)
    assert found.is_ok[others].all()
    assert bits(found, others) == bits(without, np.arange(len(others)))
    for k, i in enumerate(who):
        assert found.status[i] in BREAKS[list(BREAKS)[k % len(BREAKS)]][1]
        assert 0.0 <= found.status_times[i] < 28.0
        late = healthy.times > found.status_times[i]
        assert np.isnan(found.values[i, late]).all()
        assert np.isnan(found.final_states[i]).all()


def test_broken_patients_cost_no_one_his_steady_state(healthy) -> None:
    sick, who = broken(healthy, ["nan", "zero volume", "infinite"])
    others = np.setdiff1d(np.arange(N), who)
    start = np.ones((N, healthy.system.n_states))
    found = steady_state(healthy.system, sick.parameters, start=start)
    whole = steady_state(healthy.system, healthy.parameters, start=start)
    assert found.is_ok[others].all()
    assert found.states[others].tobytes() == whole.states[others].tobytes()
    assert not found.is_ok[who].any()


def test_the_limit_of_steps_is_each_patients_own(healthy) -> None:
    found = solve(healthy, max_steps=40)
    enough = solve(healthy)
    few = enough.accepted + enough.rejected <= 40
    assert 0 < few.sum() < N
    assert bits(found, np.flatnonzero(few)) == bits(enough, np.flatnonzero(few))
    assert (found.status[~few] == Status.TOO_MANY_STEPS).all()


# words


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nan", "past time 0: a rate is not a number.*'CL' has no value"),
        ("zero volume", "past time 0: a rate is not a number .that of 'A'.*division by zero"),
        ("negative volume", "past time 0: .*parameter 'V' is -0.02; the model's own is 3"),
        ("blow-up", "'G' moved fastest, with value .* and rate .*growth|blows up"),
    ],
)
def test_the_cause_is_told(healthy, kind: str, words: str) -> None:
    sick, who = broken(healthy, [kind])
    one = subset(sick, [0, int(who[0])])
    (text,) = explain(solve(one), one, ["Anna", "Ben"])
    assert text.startswith("patient Ben could not be solved past time ")
    assert re.search(words, text, re.DOTALL), text


def test_too_many_steps_are_told_with_what_to_try_and_the_rest_is_counted(healthy) -> None:
    text = explain(solve(healthy, max_steps=3), healthy)
    assert len(text) == 6
    assert "it took too many steps; 'G' moved fastest" in text[0] or "moved fastest" in text[0]
    assert "larger relative tolerance" in text[0]
    assert text[-1] == f"{N - 5} more patients failed: {N - 5} too many steps"


def test_nothing_is_told_of_a_run_that_went_well(healthy) -> None:
    assert explain(solve(healthy), healthy) == []

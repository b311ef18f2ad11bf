"""A patient's numbers are the same to the bit, whoever else is there and however many threads."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.engine.backends import cpu
from immunostat.engine.kernel import native_width
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solution import Status, Trajectories
from immunostat.engine.solve import solve

N = 61  # no multiple of a width or of a share
MODEL = (
    "ka = 0.5; ke = 0.2; n = 1.6; K = 0.7; depot = 0; A = 0; R = 1\n"
    "depot' = -ka * depot; A' = ka * depot - ke * A\n"
    "R' = 0.5 * (1 - 0.8 * A^n / (K^n + A^n)) * (1 + 0.2 * sin(6.28 * time)) - 0.5 * R"
)


@pytest.fixture(scope="module")
def problem(make_system) -> EnsembleProblem:
    system = make_system(MODEL)
    rng = np.random.default_rng(3)
    parameters = system.defaults * rng.lognormal(0, 0.4, (N, system.n_parameters))
    events = [
        [
            Event(float(d), Action.ADD, "depot", rng.uniform(1, 5))
            for d in np.sort(rng.uniform(0, 20, i % 5))
        ]
        for i in range(N)
    ]
    return EnsembleProblem(
        system, parameters, Schedule.of_events(system, events), np.linspace(0, 30, 11), ("A", "R")
    )


def part(problem: EnsembleProblem, patients: list[int]) -> EnsembleProblem:
    """The problem of some of the patients."""
    schedule, chosen, offsets = problem.schedule, [], [0]
    for p in patients:
        chosen += list(range(schedule.offsets[p], schedule.offsets[p + 1]))
        offsets.append(len(chosen))
    own = Schedule(
        np.array(offsets),
        schedule.times[chosen],
        schedule.actions[chosen],
        schedule.targets[chosen],
        schedule.values[chosen],
    )
    parameters = problem.parameters[patients]
    return EnsembleProblem(problem.system, parameters, own, problem.times, problem.outputs)


def same(a: Trajectories, b: Trajectories) -> bool:
    """Equal to the bit."""
    return all(
        getattr(a, name).tobytes() == getattr(b, name).tobytes()
        for name in ("values", "final_states", "status", "status_times", "accepted", "rejected")
    )


def test_threads_do_not_change_bits(problem) -> None:
    one = solve(problem, threads=1)
    assert one.is_ok.all()
    assert same(one, solve(problem, threads=2))
    assert same(one, solve(problem, threads=5))
    assert same(one, solve(problem, threads=1))


@pytest.mark.parametrize(("share", "budget"), [(1, 5000), (16, 1), (3, 7)])
def test_shares_and_returns_to_python_do_not_change_bits(
    problem, monkeypatch, share: int, budget: int
) -> None:
    one = solve(problem, threads=1)
    monkeypatch.setattr(cpu, "LARGEST_SHARE", share)
    monkeypatch.setattr(cpu, "BUDGET", budget)
    assert same(one, solve(problem, threads=2))


def test_a_patient_alone_is_the_patient_in_the_crowd(problem) -> None:
    crowd = solve(problem)
    for p in (0, 7, 60):
        assert solve(part(problem, [p])).values.tobytes() == crowd.values[p : p + 1].tobytes()


def test_order_of_patients_does_not_matter(problem) -> None:
    order = list(np.random.default_rng(0).permutation(N))
    crowd = solve(problem)
    assert solve(part(problem, order)).values.tobytes() == crowd.values[order].tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e300])
def test_a_broken_patient_harms_nobody(problem, value: float) -> None:
    crowd = solve(problem)
    parameters = problem.parameters.copy()
    broken = [0, 5, 33, 60]
    parameters[broken] = value
    others = np.setdiff1d(np.arange(N), broken)
    system = problem.system
    sick = EnsembleProblem(system, parameters, problem.schedule, problem.times, problem.outputs)
    result = solve(sick)
    assert (result.status[broken] != Status.OK).all()
    assert (result.status[others] == Status.OK).all()
    assert result.values[others].tobytes() == crowd.values[others].tobytes()


def test_the_number_of_lanes_does_not_change_bits(problem) -> None:
    if native_width() == 2:
        pytest.skip("this processor has one width, and may lack fused multiply and add")
    wide = solve(problem, threads=1)
    for width in (2, 4):
        narrow = cpu.solve_on_cpu(problem, Tolerance(), 1, None, 100_000, width=width)
        assert same(wide, narrow)


def test_progress_counts_to_the_end(problem) -> None:
    seen: list[int] = []
    solve(problem, threads=2, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == N


def test_an_interrupt_ends_the_run(problem) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(problem, threads=2, progress=interrupt)

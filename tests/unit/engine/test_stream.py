"""Chunks of a population: the same bits as one run, on disk too, and after an interruption."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zarr

from immunostat.base.errors import InputError
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.engine.stream import part_of, solve_in_chunks, solve_to_zarr
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml

N = 53
MODEL = """
model pk()
  k = 0.3; q = 0.2; depot = 0; central = 0
  depot' = -k * depot
  central' = k * depot - q * central^1.2
end
"""


@pytest.fixture
def problem() -> EnsembleProblem:
    """Patients with their own parameters and numbers of doses."""
    system = system_from_sbml(flatten([Fragment(MODEL, "pk.ant")], "pk"), "pk")
    spread = np.random.default_rng(3).lognormal(0.0, 0.3, (N, system.n_parameters))
    doses = [[Event(7.0 * k, Action.ADD, "depot", 10.0) for k in range(i % 4)] for i in range(N)]
    return EnsembleProblem(
        system,
        system.defaults * spread,
        Schedule.of_events(system, doses),
        np.arange(0.0, 29.0, 7.0),
        ("depot", "central"),
    )


@pytest.mark.parametrize("chunk", [1, 7, 20, 1000])
def test_chunks_give_the_bits_of_one_run(problem: EnsembleProblem, chunk: int) -> None:
    whole = solve(problem)
    found = list(solve_in_chunks(partial(part_of, problem), N, chunk=chunk))
    assert [begin for begin, _ in found] == list(range(0, N, chunk))
    assert np.concatenate([part.values for _, part in found]).tobytes() == whole.values.tobytes()


def test_the_folder_holds_the_bits_of_one_run(problem: EnsembleProblem, tmp_path: Path) -> None:
    whole = solve(problem)
    counts: list[int] = []
    solve_to_zarr(tmp_path / "run", partial(part_of, problem), N, chunk=10, progress=counts.append)
    group = zarr.open_group(str(tmp_path / "run"), mode="r")
    for name in problem.outputs:
        assert group[name][:].tobytes() == np.ascontiguousarray(whole[name]).tobytes()
    assert (group["status"][:] == 0).all()
    assert counts == sorted(counts)
    assert counts[-1] == N


def test_an_interrupted_run_goes_on_where_it_stopped(
    problem: EnsembleProblem, tmp_path: Path
) -> None:
    made: list[int] = []

    def failing(first: int, end: int) -> EnsembleProblem:
        if first >= 20:
            raise KeyboardInterrupt
        return part_of(problem, first, end)

    def counting(first: int, end: int) -> EnsembleProblem:
        made.append(first)
        return part_of(problem, first, end)

    with pytest.raises(KeyboardInterrupt):
        solve_to_zarr(tmp_path / "run", failing, N, chunk=10)
    solve_to_zarr(tmp_path / "run", counting, N, chunk=10)
    assert made == [0, 20, 30, 40, 50]  # the first chunk only to see that it is the same run
    group = zarr.open_group(str(tmp_path / "run"), mode="r")
    assert np.array_equal(group["central"][:], solve(problem)["central"])


def test_a_folder_of_another_run_is_refused(problem: EnsembleProblem, tmp_path: Path) -> None:
    solve_to_zarr(tmp_path / "run", partial(part_of, problem), N, chunk=10)
    with pytest.raises(InputError, match="another run"):
        solve_to_zarr(
            tmp_path / "run", partial(part_of, problem), N, chunk=10, tolerance=Tolerance(1e-7)
        )

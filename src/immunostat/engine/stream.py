"""Populations larger than memory: solved chunk by chunk, and written to Zarr as they come.

A patient's numbers depend on the patient alone, so chunks give the same bits as one run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from immunostat.base.errors import InputError, RangeError
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve

#: Gives the problem of patients `first` up to, not with, `end`.
ProblemOf = Callable[[int, int], EnsembleProblem]

#: Patients solved and written at once.
CHUNK = 20_000


def part_of(problem: EnsembleProblem, first: int, end: int) -> EnsembleProblem:
    """The problem of patients `first` up to, not with, `end`, without copying."""
    schedule, offsets = problem.schedule, problem.schedule.offsets
    events = slice(int(offsets[first]), int(offsets[end]))
    own = Schedule(
        offsets[first : end + 1] - offsets[first],
        schedule.times[events],
        schedule.actions[events],
        schedule.targets[events],
        schedule.values[events],
    )
    initial = problem.initial_states
    return EnsembleProblem(
        problem.system,
        problem.parameters[first:end],
        own,
        problem.times,
        problem.outputs,
        problem.start,
        None if initial is None else initial[first:end],
    )


def solve_in_chunks(
    problem_of: ProblemOf,
    n_patients: int,
    *,
    chunk: int = CHUNK,
    first: int = 0,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> Iterator[tuple[int, Trajectories]]:
    """Solve a population in chunks that are made when their turn comes.

    Parameters
    ----------
    problem_of
        Makes the problem of a range of patients; ``functools.partial(part_of, problem)`` where
        all parameters fit in memory.
    n_patients
        Size of the population.
    chunk
        Patients in memory at once.
    first
        Patient to start from.
    progress
        Called with the number of patients finished, those before `first` included.
    options
        As of `solve`: method, tolerance, threads, max_steps.

    Yields
    ------
    Number of the chunk's first patient, and its trajectories.
    """
    if chunk < 1:
        raise RangeError("a chunk has at least one patient")
    for begin in range(first, n_patients, chunk):
        end = min(begin + chunk, n_patients)

        def report(finished: int, begin: int = begin) -> None:
            if progress is not None:
                progress(begin + finished)

        found = solve(
            problem_of(begin, end), progress=report if progress is not None else None, **options
        )
        yield begin, found
    if progress is not None:
        progress(n_patients)


def solve_to_zarr(
    folder: Path | str,
    problem_of: ProblemOf,
    n_patients: int,
    *,
    chunk: int = CHUNK,
    tolerance: Tolerance | None = None,
    method: str = "rodas5p",
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Solve a population and write its samples to a Zarr folder, in bounded memory.

    The folder holds one array per output with dimensions (patient, time), `time`, `status` and
    `status_time`; ``xarray.open_zarr`` reads it. Called again after an interruption with the same
    population, it goes on after the last whole chunk; a finished folder is left as it is.

    Parameters
    ----------
    folder
        Where to write; made if it is not there.
    problem_of, n_patients, chunk, progress
        As of `solve_in_chunks`.
    tolerance, method, threads
        As of `solve`.

    Returns
    -------
    The folder.

    Raises
    ------
    InputError
        The folder holds another run.
    """
    import zarr

    tolerance = tolerance or Tolerance()
    sample = problem_of(0, min(chunk, n_patients))
    mark = _mark(sample, n_patients, chunk, tolerance, method)
    group: Any = zarr.open_group(str(folder), mode="a", zarr_format=3)
    if "run" not in group.attrs:
        if list(group.array_keys()) and not group.attrs.get("is_prepared", False):
            raise InputError(f"'{folder}' holds something else: name a folder that is new")
        _prepare(group, sample, n_patients, chunk)
        group.attrs.update({"run": mark, "finished": 0})
    if group.attrs["run"] != mark:
        raise InputError(
            f"'{folder}' holds another run: other patients, model, times, tolerance or chunk",
            remedy="Name another folder, or remove this one.",
        )
    done = int(group.attrs["finished"])
    chunks = solve_in_chunks(
        problem_of, n_patients, chunk=chunk, first=done, progress=progress,
        tolerance=tolerance, method=method, threads=threads,
    )  # fmt: skip
    for begin, found in chunks:
        end = begin + len(found.status)
        for column, name in enumerate(found.outputs):
            group[name][begin:end] = np.ascontiguousarray(found.values[:, :, column])
        group["status"][begin:end] = found.status.astype(np.int8)
        group["status_time"][begin:end] = found.status_times
        group.attrs["finished"] = end  # last: a chunk counts when all of it is written
    return Path(folder)


def _prepare(group: Any, sample: EnsembleProblem, n_patients: int, chunk: int) -> None:
    """Make the arrays; what is not written yet reads as NaN, with status -1."""
    group.attrs["is_prepared"] = True
    n_times = len(sample.times)
    rows = min(chunk, n_patients)
    for name in sample.outputs:
        array = group.create_array(
            name, shape=(n_patients, n_times), chunks=(rows, max(n_times, 1)), dtype="float64",
            fill_value=np.nan, dimension_names=("patient", "time"), overwrite=True,
        )  # fmt: skip
        array.attrs["units"] = sample.system.units.get(name, "")
    for name, kind, empty in (("status", "int8", -1), ("status_time", "float64", np.nan)):
        group.create_array(
            name, shape=(n_patients,), chunks=(rows,), dtype=kind, fill_value=empty,
            dimension_names=("patient",), overwrite=True,
        )  # fmt: skip
    times = group.create_array(
        "time", shape=(n_times,), dtype="float64", dimension_names=("time",), overwrite=True
    )
    times[:] = sample.times


def _mark(
    sample: EnsembleProblem, n_patients: int, chunk: int, tolerance: Tolerance, method: str
) -> str:
    """Hash of what a run depends on; of the patients, those of the first chunk."""
    system, schedule = sample.system, sample.schedule
    digest = hashlib.sha256()
    digest.update(repr((n_patients, chunk, tolerance, method, sample.outputs)).encode())
    digest.update(repr((system.states, system.rates, system.assignments, system.initial)).encode())
    arrays = (
        sample.parameters, sample.times, schedule.offsets, schedule.times, schedule.actions,
        schedule.targets, schedule.values,
    )  # fmt: skip
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

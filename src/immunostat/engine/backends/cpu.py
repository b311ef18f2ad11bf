"""The fast way: vector kernel and lane driver, on threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from immunostat.engine.driver import CONTROL_ROWS, N_LANE_COLUMNS, PATIENT, run_lanes
from immunostat.engine.kernel import Kernel, make_kernel, new_block
from immunostat.engine.layout import Layout
from immunostat.engine.methods.rosenbrock import RODAS5P
from immunostat.engine.problem import EnsembleProblem, Tolerance
from immunostat.engine.solution import Trajectories
from immunostat.engine.writers import Method

Progress = Callable[[int], None]

#: Time between calls of `progress`, second.
PROGRESS_SECONDS = 0.1

#: Steps of a block between returns to Python, for interruption: some 20 milliseconds.
BUDGET = 5_000

#: Largest number of patients handed to a thread at once, in units of lanes.
LARGEST_SHARE = 16


class _Work:
    """The patients of a run, handed out in shares; results, shared by all threads."""

    def __init__(
        self, problem: EnsembleProblem, kernel: Kernel, tolerance: Tolerance, max_steps: int
    ) -> None:
        self.kernel, self.tolerance, self.max_steps = kernel, tolerance, max_steps
        n, system = problem.n_patients, problem.system
        initial = problem.initial_states
        self.problem = (
            _doubles(problem.parameters),
            np.zeros((0, system.n_states)) if initial is None else _doubles(initial),
            _doubles(problem.times),
            np.array([float(problem.start)]),
        )
        schedule = problem.schedule
        self.events = (_doubles(schedule.times), _doubles(schedule.values))
        self.columns = (
            _integers(schedule.actions),
            _integers(schedule.targets),
            _integers(schedule.offsets),
        )
        self.values = np.full((n, len(problem.times), len(problem.outputs)), np.nan)
        self.final_states = np.full((n, system.n_states), np.nan)
        self.reached = np.full(n, float(problem.start))
        self.status, self.accepted, self.rejected = (np.zeros(n, dtype=np.int64) for _ in range(3))
        self.finished = 0
        self.is_stopped = False
        self._next = 0
        self._lock = threading.Lock()

    def take(self, n_threads: int) -> tuple[int, int]:
        """Next share of patients: first and end."""
        with self._lock:
            n = len(self.status)
            share = min(LARGEST_SHARE * self.kernel.width, -(-(n - self._next) // n_threads))
            first = self._next
            self._next = min(n, first + max(share, 1))
            return first, self._next

    def count(self, finished: int) -> None:
        """Note patients finished."""
        with self._lock:
            self.finished += finished

    def run(self, n_threads: int) -> None:
        """Carry patients on until there are no more, or the run is stopped."""
        kernel, layout = self.kernel, self.kernel.layout
        block = new_block(kernel)
        block[Layout.ABSOLUTE] = self.tolerance.absolute
        block[Layout.RELATIVE] = self.tolerance.relative
        block[Layout.STOP] = block[Layout.STEP] = 1.0
        lanes = np.zeros((kernel.width, N_LANE_COLUMNS), dtype=np.int64)
        lanes[:, PATIENT] = -1
        rows = (
            layout.state, layout.new_state, layout.input, layout.start, layout.parameter,
            layout.output,
        )  # fmt: skip
        queue = np.zeros(2, dtype=np.int64)
        results = (
            self.values, self.final_states, self.reached, self.status, self.accepted, self.rejected,
        )  # fmt: skip
        while not self.is_stopped:
            if queue[0] >= queue[1]:
                queue[:] = self.take(n_threads)
            is_last = bool(queue[0] >= queue[1])
            if is_last and (lanes[:, PATIENT] < 0).all():
                return
            finished = run_lanes(
                kernel.addresses, rows, CONTROL_ROWS, block, lanes, queue, self.problem,
                self.events, self.columns, results, self.max_steps, BUDGET, is_last,
            )  # fmt: skip
            self.count(int(finished))


def _doubles(values: Any) -> Any:
    return np.ascontiguousarray(values, dtype=np.float64)


def _integers(values: Any) -> Any:
    return np.ascontiguousarray(values, dtype=np.int64)


def solve_on_cpu(
    problem: EnsembleProblem,
    tolerance: Tolerance,
    n_threads: int,
    progress: Progress | None,
    max_steps: int,
    method: Method = RODAS5P,
    width: int | None = None,
) -> Trajectories:
    """Solve with compiled code; see `solve`. `width` overrides the lanes, for tests."""
    kernel = make_kernel(problem.system, problem.outputs, method, width)
    work = _Work(problem, kernel, tolerance, max_steps)
    n_threads = max(1, min(n_threads, -(-problem.n_patients // kernel.width)))
    if n_threads == 1 and progress is None:
        work.run(1)
    else:
        _run_threads(work, n_threads, progress)
    return Trajectories(
        values=work.values,
        times=np.array(problem.times, dtype=np.float64),
        outputs=problem.outputs,
        status=work.status,
        status_times=work.reached,
        final_states=work.final_states,
        accepted=work.accepted,
        rejected=work.rejected,
        units={n: problem.system.units[n] for n in problem.outputs if n in problem.system.units},
    )


def _run_threads(work: _Work, n_threads: int, progress: Progress | None) -> None:
    """Run on threads; this thread reports progress and can be interrupted."""
    with ThreadPoolExecutor(n_threads) as pool:
        waiting: set[Future[None]] = {pool.submit(work.run, n_threads) for _ in range(n_threads)}
        try:
            while waiting:
                done, waiting = wait(waiting, PROGRESS_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                if progress is not None:
                    progress(work.finished)
        finally:
            work.is_stopped = True  # after an interrupt the threads end at their next return

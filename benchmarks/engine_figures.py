"""Figures of the engine alone: a step's own time, efficiency, threads, compile time, size."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from benchmarks.contest import Task
from benchmarks.networks import network, network_problem
from immunostat.base import shelf
from immunostat.engine import kernel as kernels
from immunostat.engine.driver import _call
from immunostat.engine.kernel import Kernel, call, make_kernel, new_block
from immunostat.engine.layout import Layout
from immunostat.engine.problem import EnsembleProblem, Tolerance
from immunostat.engine.solve import solve
from immunostat.engine.step import ENTRY_POINTS
from immunostat.model.system import OdeSystem

SIZES = (10, 30, 100, 300)
Figures = dict[str, Any]


def describe_machine() -> str:
    """Processor, lanes and versions; no names of hosts."""
    model = platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    cores, width = os.cpu_count(), kernels.native_width()
    return f"{model}, {cores} cores, {width} lanes, Python {platform.python_version()}"


def engine_figures(task: Task, is_quick: bool) -> Figures:
    """Measure and print all figures."""
    print()
    return {
        "efficiency": _efficiency(task, is_quick),
        "threads": _threads(task, is_quick),
        "compile": _compile_times(task, is_quick),
        "sizes": _sizes(is_quick),
    }


@njit
def _repeat(address: int, block: Any, row_step: int, length: float, n: int) -> None:
    for _ in range(n):
        block[row_step] = length
        _call(address, block.ctypes.data)


def step_seconds(problem: EnsembleProblem, relative: float) -> float:
    """Time of the straight-line code of one step, for all lanes of a block at once."""
    kernel: Kernel = make_kernel(problem.system, problem.outputs)
    layout, block = kernel.layout, new_block(kernel)
    block[Layout.ABSOLUTE], block[Layout.RELATIVE] = relative * 1e-3, relative
    block[Layout.ACTIVE] = block[Layout.MASK] = 1.0
    block[Layout.STOP] = 14.0
    patients = problem.parameters[: kernel.width].T
    block[layout.parameter : layout.parameter + len(patients)] = patients
    call(kernel, "initialise", block)
    call(kernel, "prepare", block)
    n = problem.system.n_states
    block[layout.state : layout.state + n] = block[layout.start : layout.start + n]
    # as in a run: somewhere after the first dose
    block[layout.state + int(problem.schedule.targets[0])] += problem.schedule.values[0]
    block[Layout.STEP] = 1e-3
    for _ in range(8):
        call(kernel, "advance", block)
        call(kernel, "commit", block)
    length = np.array(block[Layout.STEP])
    address = int(kernel.addresses[ENTRY_POINTS.index("advance")])
    _repeat(address, block, Layout.STEP, float(length.min()), 10)
    best = np.inf
    for _ in range(20):
        began = time.process_time()
        _repeat(address, block, Layout.STEP, float(length.min()), 500)
        best = min(best, (time.process_time() - began) / 500)
    return float(best)


def _efficiency(task: Task, is_quick: bool) -> list[Figures]:
    problem = task.problem(2000 if is_quick else 8000)
    width = kernels.native_width()
    rows: list[Figures] = []
    print(f"{'tolerance':>10}{'steps':>8}{'refused':>9}{'one step, us':>14}{'efficiency':>12}")
    for relative in (1e-3, 1e-4, 1e-5, 1e-6):
        wall = np.inf
        for _ in range(4):
            began = time.process_time()
            solution = solve(problem, tolerance=Tolerance(relative, relative * 1e-3), threads=1)
            wall = min(wall, time.process_time() - began)
        step = step_seconds(problem, relative)
        steps = float((solution.accepted + solution.rejected).sum())
        rows.append(
            {
                "relative_tolerance": relative,
                "accepted": float(solution.accepted.mean()),
                "rejected": float(solution.rejected.mean()),
                "step_microseconds": 1e6 * step,
                "efficiency": steps / width * step / wall,
            }
        )
        row = rows[-1]
        print(
            f"{relative:10.0e}{row['accepted']:8.0f}{row['rejected']:9.1f}"
            f"{row['step_microseconds']:14.2f}{row['efficiency']:12.2f}"
        )
    return rows


def _threads(task: Task, is_quick: bool) -> Figures:
    """Best time of one and of two threads, in turn.

    On a machine whose cores are shared with others the wall times say little; the processor time
    that two threads need for the same work, over that of one, bounds what they can gain.
    """
    problem = task.problem(min(4000 if is_quick else 8000, len(task.varied)))
    wall, used = {1: np.inf, 2: np.inf}, {1: np.inf, 2: np.inf}
    for _ in range(4 if is_quick else 12):
        for threads in wall:
            began, used_before = time.perf_counter(), time.process_time()
            solve(problem, tolerance=Tolerance(1e-4, 1e-7), threads=threads)
            wall[threads] = min(wall[threads], time.perf_counter() - began)
            used[threads] = min(used[threads], time.process_time() - used_before)
    ratio, bound = wall[1] / wall[2], 2 * used[1] / used[2]
    print(
        f"\n2 threads are {ratio:.2f} x as fast as 1 (goal 1.9); "
        f"by processor time {bound:.2f} x is possible"
    )
    return {"seconds_1": wall[1], "seconds_2": wall[2], "ratio": ratio, "possible": bound}


@contextmanager
def _empty_cache() -> Iterator[None]:
    """A fresh kernel cache on disk for a while."""
    before = os.environ.get(shelf.VARIABLE)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[shelf.VARIABLE] = folder
        try:
            yield
        finally:
            os.environ.pop(shelf.VARIABLE)
            if before is not None:
                os.environ[shelf.VARIABLE] = before


def _kernel_seconds(system: OdeSystem, outputs: tuple[str, ...]) -> tuple[float, float]:
    """Processor time to make a kernel, and to read it from the cache on disk."""
    seconds: list[float] = []
    with _empty_cache():
        for is_from_disk in (False, True):
            kernels._kernels.clear()
            began = time.process_time()
            kernel = make_kernel(system, outputs)
            seconds.append(time.process_time() - began)
            assert kernel.is_from_disk == is_from_disk
    return seconds[0], seconds[1]


def _compile_times(task: Task, is_quick: bool) -> list[Figures]:
    rows: list[Figures] = []
    print(f"\n{'compile, states':>16}{'cold, s':>10}{'cached, s':>11}{'goal, s':>9}")
    cases: list[tuple[int, OdeSystem, tuple[str, ...], float]] = [
        (24, task.system, task.system.states, 1.0)
    ]
    if not is_quick:
        large = network(200)
        cases.append((200, large, large.states[:10], 10.0))
    for n, system, outputs, goal in cases:
        cold, warm = np.min([_kernel_seconds(system, outputs) for _ in range(2)], axis=0)
        rows.append({"states": n, "cold": float(cold), "cached": float(warm), "goal": goal})
        print(f"{n:16}{cold:10.2f}{warm:11.3f}{goal:9.0f}")
    return rows


def _sizes(is_quick: bool) -> list[Figures]:
    """Time per patient of generated networks."""
    rows: list[Figures] = []
    print(f"\n{'network, states':>16}{'steps':>8}{'ms/patient':>12}{'us/step/state':>15}")
    for n in SIZES[: 3 if is_quick else 4]:
        system = network(n)
        count = max(64, (6000 if is_quick else 20000) // n)
        problem = network_problem(system, count)
        best = np.inf
        make_kernel(system, problem.outputs)
        for _ in range(3):
            began = time.process_time()
            solution = solve(problem, tolerance=Tolerance(1e-4, 1e-7), threads=1)
            best = min(best, time.process_time() - began)
        steps = float((solution.accepted + solution.rejected).mean())
        milliseconds = 1e3 * best / count
        rows.append({"states": n, "steps": steps, "ms_per_patient": milliseconds})
        print(f"{n:16}{steps:8.0f}{milliseconds:12.3f}{1e3 * milliseconds / steps / n:15.4f}")
    return rows

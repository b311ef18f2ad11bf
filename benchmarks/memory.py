"""Speed and peak memory of whole studies of growing size, courses reduced to quantiles.

    python -m benchmarks.memory [--sizes N ...] [--study FILE] [--threads N] [--workers N]

Each size runs the program `immunostat run --keep quantiles` in a process of its own, from patients
to report. Patients are counted once for each arm that the study asks for. The peak is the largest
resident memory that one process held; with --workers, of the main process or a worker, whichever
held more. Chunks are what the run kept on disk to be resumed from; they go when it is done.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine_figures import describe_machine

SIZES = (1_000, 10_000, 100_000, 1_000_000)
STUDY = Path(__file__).parents[1] / "studies" / "ra-biologics.yaml"
PROGRAM = (sys.executable, "-c", "from immunostat.cli import main; main()")
GOAL_GIB = 3.0


@dataclass(frozen=True)
class Measured:
    """One run.

    Parameters
    ----------
    seconds
        From start to end of the process, s.
    solving
        Patients (in each arm) per second while chunks were made.
    peak_gib
        Largest resident memory, GiB.
    chunks_mib, result_mib
        Largest size of the chunks, and size of the result folder at the end, MiB.
    timings
        Seconds in each stage.
    """

    patients: int
    arms: int
    seconds: float
    solving: float
    peak_gib: float
    chunks_mib: float
    result_mib: float
    timings: dict[str, float]


def measure(patients: int, study: Path, options: list[str]) -> Measured:
    """Run a study of one size in a process of its own."""
    with tempfile.TemporaryDirectory() as spare:
        folder = Path(spare) / "result"
        words = ["run", str(study), "--patients", str(patients), "--keep", "quantiles", "--quiet"]
        began, chunks = time.perf_counter(), 0.0
        process = subprocess.Popen([*PROGRAM, *words, "-o", str(folder), *options])
        while True:
            # wait4 tells the peak of this process alone, getrusage that of all before it too
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            chunks = max(chunks, _mib(folder / ".chunks"))
            time.sleep(0.2)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 3):
            sys.exit(f"the run of {patients} patients ended with {process.returncode}")
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        arms = _n_arms(folder)
        peak = used.ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
        return Measured(
            patients, arms, seconds, patients * arms / record["timings"]["solve"], peak, chunks,
            _mib(folder), record["timings"],
        )  # fmt: skip


def _n_arms(folder: Path) -> int:
    import yaml

    study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    return len(study["arms"])


def _mib(folder: Path) -> float:
    """Size of what a folder holds; files that vanish meanwhile count nothing."""
    total = 0
    for file in folder.rglob("*") if folder.is_dir() else ():
        try:
            total += file.stat().st_size
        except OSError:
            continue
    return total / 2**20


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--workers", type=int)
    chosen = parser.parse_args()
    options = [] if chosen.threads is None else ["--threads", str(chosen.threads)]
    options += [] if chosen.workers is None else ["--workers", str(chosen.workers)]
    print(describe_machine())
    print("| patients x arms | s | patients/s, all | patients/s, chunks | peak GiB | chunks MiB |"
          " result MiB |\n|---|---|---|---|---|---|---|")  # fmt: skip
    peak = 0.0
    for size in chosen.sizes:
        one = measure(size, chosen.study, options)
        peak = max(peak, one.peak_gib)
        print(
            f"| {size:,} x {one.arms} | {one.seconds:.1f} | {size * one.arms / one.seconds:,.0f} | "
            f"{one.solving:,.0f} | {one.peak_gib:.2f} | {one.chunks_mib:,.0f} | "
            f"{one.result_mib:,.0f} |",
            flush=True,
        )
        stages = ", ".join(f"{name} {value:.1f} s" for name, value in one.timings.items())
        print(f"<!-- {stages} -->", flush=True)
    print(f"goal: under {GOAL_GIB:.0f} GiB: {'reached' if peak < GOAL_GIB else 'not reached'}")


if __name__ == "__main__":
    main()

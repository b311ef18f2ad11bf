"""1,000,000 patients of a two-compartment model, weekly samples over 24 weeks, written to Zarr.

    python -m benchmarks.million [--patients N] [--folder FOLDER] [--threads N]

Prints the time and the largest memory that the process held. The parameters of a patient are
drawn from counters (seed, chunk), so no more than a chunk of them is ever in memory.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from immunostat.engine.problem import Action, EnsembleProblem, Schedule, Tolerance
from immunostat.engine.stream import CHUNK, solve_to_zarr
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml

MODEL = """
model two_compartments()
  ka = 0.25; F = 0.7; CL = 0.22; V1 = 3.5; Q = 0.4; V2 = 2.9
  depot = 0; central = 0; peripheral = 0
  concentration := central / V1
  depot' = -ka * depot
  central' = F * ka * depot - (CL + Q) * concentration + Q * peripheral / V2
  peripheral' = Q * concentration - Q * peripheral / V2
end
"""
SAMPLE_DAYS = 7.0 * np.arange(25.0)
DOSE_DAYS = 14.0 * np.arange(12.0)
GOAL_GIB = 2.0


class Population:
    """Makes the problem of any range of patients."""

    def __init__(self) -> None:
        sbml = flatten([Fragment(MODEL, "two_compartments.ant")], "two_compartments")
        self.system = system_from_sbml(sbml, "two_compartments.ant")

    def __call__(self, first: int, end: int) -> EnsembleProblem:
        """Patients first up to, not with, end."""
        system, n = self.system, end - first
        draws = np.random.Generator(np.random.Philox(key=1, counter=[0, 0, 0, first]))
        spread = np.exp(draws.normal(0.0, 0.3, (n, system.n_parameters)))
        doses = len(DOSE_DAYS)
        schedule = Schedule(
            doses * np.arange(n + 1, dtype=np.int64),
            np.tile(DOSE_DAYS, n),
            np.full(n * doses, int(Action.ADD), dtype=np.int64),
            np.full(n * doses, system.states.index("depot"), dtype=np.int64),
            np.full(n * doses, 1095.0),
        )
        return EnsembleProblem(
            system, system.defaults * spread, schedule, SAMPLE_DAYS, ("concentration",)
        )


def peak_gib() -> float:
    """Largest resident memory of this process so far, GiB."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(held) / (2**30 if sys.platform == "darwin" else 2**20)


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--patients", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--folder", help="keep the result here")
    options = parser.parse_args()
    population = Population()
    before = peak_gib()
    shown = [0.0]

    def progress(finished: int) -> None:
        if time.perf_counter() - shown[0] > 1.0 or finished == options.patients:
            shown[0] = time.perf_counter()
            print(f"\r{finished:>9} of {options.patients} patients", end="", flush=True)

    with tempfile.TemporaryDirectory() as spare:
        folder = Path(options.folder or spare) / "million.zarr"
        began = time.perf_counter()
        solve_to_zarr(
            folder, population, options.patients, tolerance=Tolerance(1e-5, 1e-8),
            threads=options.threads, progress=progress,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    peak = peak_gib()
    word = "reached" if peak < GOAL_GIB else "not reached"
    print(
        f"\n{options.patients} patients in {seconds:.1f} s, "
        f"{1e6 * seconds / options.patients:.1f} us each, chunks of {CHUNK}; "
        f"{size / 2**20:.0f} MiB written\n"
        f"peak memory {peak:.2f} GiB ({before:.2f} before); goal under {GOAL_GIB:.0f}: {word}"
    )


if __name__ == "__main__":
    main()

"""Published immune models from BioModels against the values of another simulator at t = 100.

The models and the values are not part of this project. Point the command at a folder that holds
the SBML files and `reference_t100.yaml`:

    make biomodels MODELS=path/to/biomodels
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from immunostat.base.errors import ImmunostatError
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solution import Status
from immunostat.engine.solve import solve
from immunostat.model.antimony import load_model

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ROOT.parent / "shared" / "biomodels"
PAGE = ROOT / "docs" / "reference" / "published-models.md"
END = 100.0
AGREES = 1e-4
TOLERANCE = Tolerance(1e-8, 1e-12)


@dataclass(frozen=True)
class Row:
    """How one model compares."""

    model: str
    states: int
    events: int
    error: float
    where: str
    seconds: float
    problem: str = ""

    @property
    def agrees(self) -> bool:
        """Whether every value agrees to `AGREES`."""
        return not self.problem and self.error <= AGREES


def compare(path: Path, reference: dict[str, float]) -> Row:
    """Solve a model to t = 100 and compare every value that the reference has."""
    import libsbml

    begin = time.perf_counter()
    try:
        system = load_model(path)
    except ImmunostatError as refusal:
        return Row(path.stem, 0, 0, np.nan, "", 0.0, " ".join(str(refusal).split()))
    size = (system.n_states, len(system.events))
    model = libsbml.readSBMLFromFile(str(path)).getModel()
    scale: dict[str, tuple[str, str, int]] = {}
    for key in reference:
        name = key.strip("[]")
        species = model.getSpecies(name)
        volume, sign = "", 0
        if species is not None and key.startswith("[") and species.getHasOnlySubstanceUnits():
            volume, sign = species.getCompartment(), -1
        elif species is not None and not key.startswith("["):
            is_amount = species.getHasOnlySubstanceUnits()
            volume, sign = ("", 0) if is_amount else (species.getCompartment(), 1)
        own = f"{name}_" if name == "time" else name
        scale[key] = (own, volume, sign)
    asked = [n for n, _, _ in scale.values()] + [v for _, v, _ in scale.values() if v]
    known = tuple(n for n in dict.fromkeys(asked) if n in system.names)
    problem = EnsembleProblem(
        system, system.defaults[None, :], Schedule.empty(1), np.array([0.0, END]), known
    )
    try:
        result = solve(problem, tolerance=TOLERANCE, threads=1)
    except ImmunostatError as refusal:
        return Row(path.stem, *size, np.nan, "", 0.0, " ".join(str(refusal).split()))
    seconds = time.perf_counter() - begin
    if not result.is_ok.all():
        reached = result.status_times[0]
        cause = f"{Status(int(result.status[0])).name.lower()} at {reached:g}"
        return Row(path.stem, *size, np.nan, "", seconds, cause)
    worst, where = 0.0, ""
    largest = max((abs(v) for v in reference.values() if v == v), default=1.0)
    for key, right in reference.items():
        name, volume, sign = scale[key]
        if name not in known:
            return Row(path.stem, *size, np.nan, key, seconds, f"{key} is not found")
        own = result[name][0, -1] * (result[volume][0, -1] ** sign if volume else 1.0)
        # what is below the other simulator's own absolute tolerance is nothing, in both
        floor = max(1e-6 * largest, 1e-9)
        error = abs(own - right) / max(abs(right), floor)
        if not error <= worst:
            worst, where = float(error), f"{key}: {own:.8g} against {right:.8g}"
    return Row(path.stem, *size, worst, where, seconds)


def _compare(work: tuple[Path, dict[str, float]]) -> Row:
    return compare(*work)


def read_reference(folder: Path) -> dict[str, dict[str, float]]:
    """Values at t = 100 by model and name."""
    text = (folder / "reference_t100.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, Any]] = yaml.load(text, Loader=yaml.CSafeLoader)
    return {
        name: {key: float(value) for key, value in values.items()}
        for name, values in loaded.items()
    }


def compare_all(folder: Path, processes: int, only: Sequence[str] = ()) -> list[Row]:
    """Compare every model of the folder that has reference values."""
    work = [
        (folder / f"{name}.xml", values)
        for name, values in sorted(read_reference(folder).items())
        if (folder / f"{name}.xml").is_file() and (not only or name in only)
    ]
    if processes <= 1:
        return [_compare(item) for item in work]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(_compare, work))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison; exit code 1 if fewer agree than the page explains."""
    default = os.environ.get("IMMUNOSTAT_BIOMODELS") or str(BESIDE)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--models", default=default, help="folder of the SBML files")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    folder = Path(options.models or default)
    if not (folder / "reference_t100.yaml").is_file():
        print(f"There are no models and no reference_t100.yaml at {folder}.")
        print("make biomodels MODELS=path/to/a/folder/with/them")
        return 2
    rows = compare_all(folder, options.processes, options.only)
    print(f"{'model':18} states events  seconds  largest relative error")
    for row in rows:
        figure = row.problem or f"{row.error:.1e}" + ("" if row.agrees else f"  {row.where}")
        print(f"{row.model:18} {row.states:6} {row.events:6} {row.seconds:8.2f}  {figure}")
    print(f"\n{sum(row.agrees for row in rows)} of {len(rows)} agree to {AGREES:g} relative")
    return 0


if __name__ == "__main__":
    sys.exit(main())

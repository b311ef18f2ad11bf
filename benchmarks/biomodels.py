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
from dataclasses import dataclass, replace
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
END = 100.0
AGREES = 1e-4
#: Tolerance at which the other simulator is asked again where its stored values differ.
TIGHT = 1e-10

_ITS_TOLERANCE = (
    "the stored values carry the other simulator's own error at its default tolerance (1e-6)"
)

#: Why a model does not agree with the stored values, by name.
REASONS = {
    "BIOMD0000000402": _ITS_TOLERANCE,
    "BIOMD0000000546": _ITS_TOLERANCE,
    "BIOMD0000000786": _ITS_TOLERANCE,
    "BIOMD0000000928": _ITS_TOLERANCE,
    "BIOMD0000001011": _ITS_TOLERANCE,
    "BIOMD0000000620": (
        "its daily doses are events triggered by an equality, `time == counter` (0.5, 1.5, ...). "
        "Such instants are landed on here and the doses given; libRoadRunner meets an equality "
        "only if one of its steps ends there, so its values are those without doses"
    ),
}

#: Models without stored values.
WITHOUT_VALUES = {
    "MODEL1911070001": (
        "its file grows without bound before t = 0.84, in this program and in libRoadRunner, which "
        "has no values for it; the error message names T_2, the state that blows up"
    ),
}
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
    again: float = np.nan

    @property
    def agrees(self) -> bool:
        """Whether every value agrees to `AGREES`."""
        return not self.problem and self.error <= AGREES

    @property
    def agrees_again(self) -> bool:
        """Whether it agrees with the other simulator once that solves to `TIGHT`."""
        return self.agrees or (not self.problem and self.again <= AGREES)


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
    own: dict[str, float] = {}
    for key, (name, volume, sign) in scale.items():
        if name not in known:
            return Row(path.stem, *size, np.nan, key, seconds, f"{key} is not found")
        factor = result[volume][0, -1] ** sign if volume else 1.0
        own[key] = float(result[name][0, -1] * factor)
    worst, where = largest_error(own, reference)
    row = Row(path.stem, *size, worst, where, seconds)
    if row.agrees:
        return row
    tight = other_simulator(path, list(reference))
    return replace(row, again=largest_error(own, tight)[0]) if tight else row


def largest_error(own: dict[str, float], reference: dict[str, float]) -> tuple[float, str]:
    """Largest relative error, and where it is."""
    worst, where = 0.0, ""
    largest = max((abs(v) for v in reference.values() if v == v), default=1.0)
    for key, right in reference.items():
        # what is a millionth of the largest value, or below 1e-9, is as good as nothing
        floor = max(1e-6 * largest, 1e-9)
        error = abs(own[key] - right) / max(abs(right), floor)
        if not error <= worst:
            worst, where = float(error), f"{key}: {own[key]:.8g} against {right:.8g}"
    return worst, where


def other_simulator(path: Path, keys: list[str]) -> dict[str, float]:
    """Values at the end from libRoadRunner at a tight tolerance; none where it is not installed."""
    try:
        import roadrunner
    except ImportError:
        return {}
    try:
        runner = roadrunner.RoadRunner(str(path))
        runner.integrator.relative_tolerance = TIGHT
        runner.integrator.absolute_tolerance = 1e-18
        runner.timeCourseSelections = ["time", *keys]
        last = np.array(runner.simulate(0, END, 101))[-1, 1:]
    except RuntimeError:
        return {}
    return dict(zip(keys, map(float, last), strict=True))


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
    parser.add_argument("--page", type=Path, help="write the documentation page here")
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
        again = f"  (against {TIGHT:g}: {row.again:.1e})" if row.again == row.again else ""
        print(f"{row.model:18} {row.states:6} {row.events:6} {row.seconds:8.2f}  {figure}{again}")
    print("\n" + "\n".join(summary(rows)))
    if options.page:
        options.page.write_text(page(rows), encoding="utf-8")
    return 0 if all(row.agrees or row.model in REASONS for row in rows) else 1


def summary(rows: Sequence[Row]) -> list[str]:
    """The figures in two lines."""
    return [
        f"{sum(row.agrees for row in rows)} of {len(rows)} models agree with the stored values to "
        f"{AGREES:g} relative;",
        f"{sum(row.agrees_again for row in rows)} of {len(rows)} agree once libRoadRunner solves "
        f"to {TIGHT:g} where they do not.",
    ]


def page(rows: Sequence[Row]) -> str:
    """The documentation page of the figures."""
    parts = [
        "# Published immune models",
        "",
        "This page is written by `make biomodels`. Models of the immune system from BioModels are",
        "run to t = 100 in their own unit of time and compared with values that libRoadRunner",
        "2.10.0 gave at its default settings (CVODE, relative tolerance 1e-6). The models are not",
        "part of this project.",
        "",
        *summary(rows),
        "",
        "## Those that do not agree with the stored values",
        "",
        f"| model | error | against libRoadRunner at {TIGHT:g} | why |",
        "|---|---|---|---|",
    ]
    for row in rows:
        if not row.agrees:
            again = f"{row.again:.1e}" if row.again == row.again else "not run"
            why = REASONS.get(row.model, row.problem or row.where)
            parts.append(f"| {row.model} | {row.error:.1e} | {again} | {why} |")
    for model, why in WITHOUT_VALUES.items():
        parts.append(f"| {model} | no stored values | - | {why} |")
    parts += ["", "## All", "", "| model | states | events | largest relative error |"]
    parts += ["|---|---|---|---|"]
    parts += [f"| {r.model} | {r.states} | {r.events} | {r.error:.1e} |" for r in rows]
    return "\n".join([*parts, ""])


if __name__ == "__main__":
    sys.exit(main())

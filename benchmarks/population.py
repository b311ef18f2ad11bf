"""Work against precision: this engine and others on one model, at equal achieved error.

The model is `models/mab_immune_24.ant`: 24 states, 12 doses in 24 weeks, weekly samples of all
states, 10 log-normal parameters with 30 % spread. Every simulator runs over a range of
tolerances on one core; its error is measured against the engine at 1e-11 (which the tests check
against CVODE): the median over patients of the largest error over states and times, relative to
each state's size in the patient's course. Tools are run in turn, round after round, and each
one's best time counts, so that a busy machine harms all alike.

    python -m benchmarks.population [--quick] [--json FILE] [--plot FILE.svg|png] [--page FILE]
        [--only NAME ...]
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

from benchmarks.contest import Reference, Task, make_reference, make_task
from benchmarks.engine_figures import describe_machine, engine_figures
from benchmarks.figures import draw
from benchmarks.page import write_page
from benchmarks.simulators import OTHERS, Immunostat, Missing, Simulator

OWN_TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
OTHER_TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
TARGETS = (1e-4, 1e-6)
GOALS = {1e-4: 40.0, 1e-6: 30.0}

Row = dict[str, Any]


def main() -> None:
    """Run what was asked for and print it."""
    options = _options()
    # runs of similar length: on a busy machine a short one finds a quiet moment more easily
    n_own, n_other, rounds = (1000, 20, 2) if options.quick else (2000, 50, 5)
    task = make_task(4 * n_own)
    reference = make_reference(task, min(200, n_own))
    simulators, missing = _simulators(task, options.only)
    print(f"{describe_machine()}\n24 states, 12 doses, 25 samples; one core; best of {rounds}\n")
    rows = contest(simulators, reference, n_own, n_other, rounds)
    _print_rows(rows)
    for name, cause in missing.items():
        print(f"left out: {name}: {cause}")
    equal = at_equal_error(rows)
    _print_equal(equal)
    figures: dict[str, Any] = {
        "machine": describe_machine(),
        "contest": rows,
        "left_out": missing,
        "equal_error": equal,
    }
    if not options.contest_only:
        figures |= engine_figures(task, is_quick=options.quick)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))
    if options.page:
        write_page(figures, Path(options.page))
    if options.plot:
        draw(figures, Path(options.plot))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer patients and rounds")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--plot", help="draw to this .svg or .png file")
    parser.add_argument("--page", help="write the documentation's page to this file")
    parser.add_argument("--only", nargs="*", choices=list(OTHERS), help="others to run")
    parser.add_argument("--contest-only", action="store_true", help="leave out the engine's own")
    return parser.parse_args()


def _simulators(task: Task, only: list[str] | None) -> tuple[list[Simulator], dict[str, str]]:
    """All that can be made here, and why others cannot."""
    ready: list[Simulator] = [Immunostat(task)]
    missing: dict[str, str] = {}
    for name in OTHERS if only is None else only:
        try:
            ready.append(OTHERS[name](task))
        except Missing as cause:
            missing[name] = str(cause)
    return ready, missing


def contest(
    simulators: list[Simulator], reference: Reference, n_own: int, n_other: int, rounds: int
) -> list[Row]:
    """Best time and error of every simulator at every tolerance, simulators in turn."""
    found: dict[tuple[str, float], Row] = {}
    for _ in range(rounds):
        for index in range(len(OWN_TOLERANCES)):
            for simulator in simulators:
                is_own = simulator.tool == Immunostat.tool
                tolerances = OWN_TOLERANCES if is_own else OTHER_TOLERANCES
                if index >= len(tolerances):
                    continue
                n = n_own if is_own else n_other
                row = found.setdefault(
                    (simulator.name, tolerances[index]),
                    {
                        "tool": simulator.tool,
                        "name": simulator.name,
                        "relative_tolerance": tolerances[index],
                        "ms_per_patient": math.inf,
                        "error": math.nan,
                    },
                )
                try:
                    values, seconds = simulator.run(n, tolerances[index])
                except RuntimeError as problem:
                    row["failure"] = str(problem)[:80]
                    continue
                row["ms_per_patient"] = min(row["ms_per_patient"], 1e3 * seconds / n)
                row["error"] = reference.error(values)
    return sorted(found.values(), key=lambda row: (row["name"] != simulators[0].name, row["name"]))


def time_at(points: list[tuple[float, float]], error: float) -> float | None:
    """Time at an error, on a straight line in logarithms between the two points about it."""
    times: list[float] = []
    for (time_a, error_a), (time_b, error_b) in itertools.pairwise(points):
        if min(error_a, error_b) <= error <= max(error_a, error_b) and error_a != error_b:
            share = math.log(error / error_a) / math.log(error_b / error_a)
            times.append(math.exp((1 - share) * math.log(time_a) + share * math.log(time_b)))
    return min(times, default=None)


def at_equal_error(rows: list[Row]) -> list[Row]:
    """Time of each tool's fastest way at each target, and the engine's lead over the fastest."""
    result: list[Row] = []
    for target in TARGETS:
        best: dict[str, tuple[float, str]] = {}
        for name in dict.fromkeys(row["name"] for row in rows):
            own = [row for row in rows if row["name"] == name and row["error"] > 0]
            points = [(row["ms_per_patient"], row["error"]) for row in own]
            time = time_at(points, target)
            tool = own[0]["tool"] if own else name
            if time is not None and (tool not in best or time < best[tool][0]):
                best[tool] = (time, name)
        engine = best.pop(Immunostat.tool, None)
        others = sorted((time, name) for time, name in best.values())
        result.append(
            {
                "error": target,
                "ms_per_patient": engine[0] if engine else None,
                "others": [{"name": name, "ms_per_patient": time} for time, name in others],
                "ratio": others[0][0] / engine[0] if engine and others else None,
                "goal": GOALS[target],
            }
        )
    return result


def _print_rows(rows: list[Row]) -> None:
    print(f"{'simulator':38}{'tolerance':>10}{'ms/patient':>12}{'error':>10}")
    for row in rows:
        shown = row.get("failure") or f"{row['ms_per_patient']:12.4f}{row['error']:10.1e}"
        print(f"{row['name']:38}{row['relative_tolerance']:10.0e}{shown}")


def _print_equal(equal: list[Row]) -> None:
    for row in equal:
        if row["ms_per_patient"] is None:
            print(f"\nerror {row['error']:.0e}: not reached by the engine")
            continue
        print(f"\nAt an achieved error of {row['error']:.0e}, ms per patient:")
        print(f"  {'immunostat':36}{row['ms_per_patient']:10.4f}")
        for other in row["others"]:
            ratio = other["ms_per_patient"] / row["ms_per_patient"]
            print(f"  {other['name']:36}{other['ms_per_patient']:10.4f}  {ratio:6.1f} x")
        if row["ratio"] is not None:
            word = "reached" if row["ratio"] >= row["goal"] else "not reached"
            print(f"  the goal of {row['goal']:.0f} x the fastest other: {word}")


if __name__ == "__main__":
    main()

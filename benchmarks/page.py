"""The page docs/concepts/speed.md, written from the figures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_HEAD = """# Speed, at equal error

Simulators mean different things by a tolerance, so they are compared at the error that they
reach, not at the tolerance that they were given. The model is
`benchmarks/models/mab_immune_24.ant`: an antibody against the IL-6 receptor, 14 immune states
with Hill terms of exponent 1.7 and a neutrophil chain of 5, 24 states in all; 12 doses in 24
weeks, weekly samples of every state, 10 log-normal parameters with 30 % spread. The numbers in
it are invented.

*Error* is measured against the engine at a tolerance of 1e-11: for each patient the largest
error over states and times, relative to the state's size in the patient's course, and of these
the median over patients. *Time* is processor time of one core, without reading and compiling
the model. Tools take turns, round after round, and the best time of each counts. Doses are
given by stopping and restarting or by events, and a tool's faster way counts. Where a tool's
Python layer is slow at handing results over, that is left out to its advantage (AMICI, COPASI).

![Work against precision, and time against size](../images/speed.svg)
"""

_TAIL = """
## Run it again

```text
pip install "immunostat[bench]"          # libRoadRunner, diffsol, COPASI
pip install "immunostat[bench-amici]"    # AMICI: needs a C++ compiler and some minutes
python -m benchmarks.population --json figures.json --plot figures.svg --page docs/concepts/speed.md
python -m benchmarks.million             # 1,000,000 patients to Zarr: time and peak memory
```

`--quick` takes a minute. What is not installed is left out, and named.

## What makes it fast

- One patient per lane of the processor's vectors, and no two patients share a step size; a lane
  whose patient is done takes the next one.
- A whole step of Rodas5P is straight-line machine code for this model: rates, Jacobian, sparse
  factorization, eight solutions. Powers are inlined polynomials.
- Samples come from the dense output and do not cut steps. What depends on parameters alone is
  computed once per patient.
- After a dose the first step is the one that the patient's last dose of the same kind allowed;
  the error estimate still judges it. The starting-step rule serves the first dose, and every
  start where time itself drives the rates.

A model that would take more than about half a minute to compile (about 100,000 instructions;
networks of some 400 states) is solved by CVODE with a sparse Jacobian instead, patient by
patient.
"""


def write_page(figures: dict[str, Any], target: Path) -> None:
    """Write the page."""
    target.write_text("\n".join([_HEAD, *_tables(figures), _TAIL]))


def _tables(figures: dict[str, Any]) -> list[str]:
    lines = [f"Measured on: {figures['machine']}.", ""]
    for row in figures["equal_error"]:
        if row["ms_per_patient"] is None:
            continue
        lines += [
            f"## At an error of {row['error']:.0e}",
            "",
            "| simulator | ms per patient | immunostat is faster by |",
            "|---|---|---|",
            f"| **immunostat**, Rodas5P | {row['ms_per_patient']:.3f} | |",
        ]
        lines += [
            f"| {other['name']} | {other['ms_per_patient']:.2f} "
            f"| {other['ms_per_patient'] / row['ms_per_patient']:.0f} x |"
            for other in row["others"]
        ]
        word = "reached" if (row["ratio"] or 0.0) >= row["goal"] else "not reached"
        lines += ["", f"Goal: {row['goal']:.0f} times the fastest other; {word}.", ""]
    lines += ["## All runs", "", "| simulator | tolerance | ms per patient | error |"]
    lines += ["|---|---|---|---|"]
    for row in figures["contest"]:
        shown = f"{row['ms_per_patient']:.3f} | {row['error']:.1e}"
        if row.get("failure"):
            shown = f"failed: {row['failure']} | "
        lines.append(f"| {row['name']} | {row['relative_tolerance']:.0e} | {shown} |")
    for name, cause in figures["left_out"].items():
        lines += ["", f"Left out: {name}: {cause}."]
    return lines + _engine_tables(figures)


def _engine_tables(figures: dict[str, Any]) -> list[str]:
    if "efficiency" not in figures:
        return []
    lines = [
        "",
        "## The engine itself",
        "",
        "Efficiency is steps x time of one step's straight-line code / processor time (goal 0.5).",
        "",
        "| tolerance | steps | refused | one step of all lanes, us | efficiency |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['relative_tolerance']:.0e} | {row['accepted']:.0f} | {row['rejected']:.1f} "
        f"| {row['step_microseconds']:.2f} | {row['efficiency']:.2f} |"
        for row in figures["efficiency"]
    ]
    threads = figures["threads"]
    lines += [
        "",
        f"Two threads against one, wall time: {threads['ratio']:.2f} x (goal 1.9); by the "
        f"processor time that they use, {threads['possible']:.2f} x is possible.",
        "",
        "| compile, states | cold, s of processor time | from the cache, s | goal, s |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['states']} | {row['cold']:.2f} | {row['cached']:.3f} | {row['goal']:.0f} |"
        for row in figures["compile"]
    ]
    lines += ["", "| generated network, states | steps | ms per patient |", "|---|---|---|"]
    lines += [
        f"| {row['states']} | {row['steps']:.0f} | {row['ms_per_patient']:.3f} |"
        for row in figures["sizes"]
    ]
    return lines

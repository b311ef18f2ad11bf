"""Reader and engine against the SBML Test Suite: passed, refused with a reason, failed, by tag.

The suite is not part of this project. Point the command at a copy of its semantic cases:

    make conformance SUITE=path/to/cases/semantic

A case passes if every value c expected and u found obey |c - u| <= absolute + relative * |c| with
the case's own tolerances. A refusal names what is not supported; a failure is a wrong answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from immunostat.base.errors import ImmunostatError, ModelError
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solution import Status
from immunostat.engine.solve import solve
from immunostat.model.sbml import system_from_sbml

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ROOT.parent / "shared" / "sbml-test-suite"

#: Tighter than any case asks for: what is tested is the reading, not the step control.
TOLERANCE = Tolerance(1e-8, 1e-13)

HOW_TO = """The SBML Test Suite is not at {suite}.
Its cases come from https://github.com/sbmlteam/sbml-test-suite (folder cases/semantic). Get a copy,
then: make conformance SUITE=path/to/cases/semantic   (or set IMMUNOSTAT_SBML_SUITE)"""


@dataclass(frozen=True)
class Verdict:
    """What became of one case."""

    case: str
    outcome: str  # passed, refused, failed
    reason: str
    tags: tuple[str, ...]


def pairs_of(path: Path) -> dict[str, str]:
    """Lines ``key: value`` of a file of the suite."""
    text = path.read_text(encoding="utf-8", errors="replace")
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def names_in(text: str) -> list[str]:
    """Names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def tags_of(folder: Path) -> tuple[str, ...]:
    """Tags of a case, its packages' tags included."""
    pairs = pairs_of(folder / "tags.txt")
    tags = names_in(pairs.get("componentTags", "")) + names_in(pairs.get("testTags", ""))
    return (*tags, *names_in(pairs.get("testType", "")))


def is_fbc(tags: Iterable[str]) -> bool:
    """Whether a case is of flux balance."""
    return any(tag.startswith("fbc:") or tag == "FluxBalanceSteadyState" for tag in tags)


def cases(suite: Path) -> list[Path]:
    """Folders of the cases, in order."""
    if not suite.is_dir():
        return []
    return sorted(p for p in suite.iterdir() if (p / f"{p.name}-settings.txt").is_file())


def model_file(folder: Path) -> Path | None:
    """The newest form of a case's model."""
    files = sorted(folder.glob(f"{folder.name}-sbml-l*v*.xml"))
    return files[-1] if files else None


def read_table(path: Path) -> tuple[list[str], np.ndarray]:
    """Header and numbers of a results file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header = names_in(lines[0].replace('"', ""))
    rows = [
        [float(x) for x in line.split(",")[: len(header)]] for line in lines[1:] if line.strip()
    ]
    return header, np.array(rows, dtype=float)


class Case:
    """A case with what its settings ask for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name
        self.settings = pairs_of(folder / f"{folder.name}-settings.txt")
        self.header, self.expected = read_table(folder / f"{folder.name}-results.csv")
        self.variables = names_in(self.settings["variables"])
        self.amounts = set(names_in(self.settings.get("amount", "")))
        self.concentrations = set(names_in(self.settings.get("concentration", "")))

    def found(self) -> np.ndarray:
        """Values of the variables at the times of the results. Shape (time, variable)."""
        import libsbml

        path = model_file(self.folder)
        if path is None:
            raise ModelError("the case has no model of Level 2 or 3")
        text = path.read_text(encoding="utf-8")
        system = system_from_sbml(text, self.name, None, self.folder)
        names = set(system.names)
        # libsbml's model is asked only for what a species' name means
        document = libsbml.readSBMLFromFile(str(path))
        scale = {v: self._scale(document.getModel(), v, names) for v in self.variables}
        asked = [*scale, *(v for v, _ in scale.values() if v)]
        asked += [f"{v}__amount" for v in scale if f"{v}__amount" in names]
        unknown = [v for v in self.variables if v not in names]
        if unknown:
            raise ModelError(f"'{unknown[0]}' has no value in this model")
        times = self.expected[:, 0]
        problem = EnsembleProblem(
            system,
            system.defaults[None, :],
            Schedule.empty(1),
            times,
            tuple(dict.fromkeys(asked)),
            start=float(times[0]),
        )
        result = solve(problem, tolerance=TOLERANCE, threads=1)
        if not result.is_ok.all():
            raise _Failed(f"not solved: {Status(int(result.status[0])).name.lower()}")
        columns = []
        for variable in self.variables:
            volume, sign = scale[variable]
            if sign == 1 and f"{variable}__amount" in names:
                columns.append(result[f"{variable}__amount"][0])
            else:
                factor = result[volume][0] ** sign if volume else 1.0
                columns.append(result[variable][0] * factor)
        return np.array(columns).T

    def _scale(self, model: object, variable: str, names: set[str]) -> tuple[str, int]:
        """Compartment and power of its size that make a name what the settings ask for."""
        species = model.getSpecies(variable)  # type: ignore[attr-defined]
        if species is None:
            return "", 0
        own = species.getCompartment()
        compartment = model.getCompartment(own)  # type: ignore[attr-defined]
        is_point = compartment.getSpatialDimensionsAsDouble() == 0
        is_amount = species.getHasOnlySubstanceUnits() or is_point
        if variable in self.amounts and not is_amount:
            return own, 1
        if variable in self.concentrations and is_amount and not is_point:
            return own, -1
        return "", 0

    def is_right(self, found: np.ndarray) -> str:
        """Empty if the values agree, else what does not."""
        absolute, relative = float(self.settings["absolute"]), float(self.settings["relative"])
        for i, variable in enumerate(self.variables):
            right = self.expected[:, self.header.index(variable)]
            own = found[:, i]
            same = (own == right) | (np.isnan(own) & np.isnan(right))
            with np.errstate(invalid="ignore"):
                near = np.abs(own - right) <= absolute + relative * np.abs(right)
            if not (same | near).all():
                row = int(np.flatnonzero(~(same | near))[0])
                return (
                    f"{variable} at {self.expected[row, 0]:g} is {own[row]:.8g}, "
                    f"not {right[row]:.8g}"
                )
        return ""


class _Failed(Exception):
    """A case that was accepted and not solved."""


def judge(folder: Path) -> Verdict:
    """Read, solve and compare one case."""
    tags = tags_of(folder)
    if "FluxBalanceSteadyState" in tags:
        # its settings ask for no course; the model must still be refused by name
        try:
            path = model_file(folder)
            text = path.read_text(encoding="utf-8") if path else ""
            system_from_sbml(text, folder.name, None, folder)
        except ImmunostatError as refusal:
            return Verdict(folder.name, "refused", _short(str(refusal)), tags)
        return Verdict(folder.name, "failed", "flux balance was not refused", tags)
    try:
        case = Case(folder)
        wrong = case.is_right(case.found())
    except ImmunostatError as refusal:
        return Verdict(folder.name, "refused", _short(str(refusal)), tags)
    except _Failed as failure:
        return Verdict(folder.name, "failed", str(failure), tags)
    except Exception as problem:
        return Verdict(folder.name, "failed", f"{type(problem).__name__}: {problem}"[:200], tags)
    return Verdict(folder.name, "failed" if wrong else "passed", wrong, tags)


def _short(message: str) -> str:
    return " ".join(message.split("\n  ")[0].split())[:160]


def judge_all(folders: Sequence[Path], processes: int) -> list[Verdict]:
    """Judge cases on several processes, in order."""
    if processes <= 1 or len(folders) < 4:
        return [judge(folder) for folder in folders]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(judge, folders, chunksize=8))


def counts(verdicts: Iterable[Verdict]) -> Counter[str]:
    """Number of each outcome."""
    return Counter(verdict.outcome for verdict in verdicts)


def by_tag(verdicts: Sequence[Verdict]) -> list[tuple[str, int, int, int]]:
    """Tag, passed, refused, failed; in order of the alphabet."""
    tags = sorted({tag for verdict in verdicts for tag in verdict.tags})
    rows = []
    for tag in tags:
        own = counts(v for v in verdicts if tag in v.tags)
        rows.append((tag, own["passed"], own["refused"], own["failed"]))
    return rows


def reasons(verdicts: Sequence[Verdict], outcome: str) -> list[tuple[str, list[str]]]:
    """Reasons of an outcome with their cases; the most frequent first."""
    table: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.outcome == outcome:
            table.setdefault(verdict.reason, []).append(verdict.case)
    return sorted(table.items(), key=lambda item: (-len(item[1]), item[0]))


def summary(verdicts: Sequence[Verdict]) -> str:
    """The figures in three lines."""
    other = [v for v in verdicts if not is_fbc(v.tags)]
    every, own = counts(verdicts), counts(other)
    share = own["passed"] / max(1, len(other))
    return (
        f"{len(verdicts)} cases: {every['passed']} passed, {every['refused']} refused, "
        f"{every['failed']} failed.\n"
        f"{len(other)} cases without fbc: {own['passed']} passed ({share:.1%}), "
        f"{own['refused']} refused, {own['failed']} failed."
    )


def page(verdicts: Sequence[Verdict]) -> str:
    """The documentation page of the figures."""
    parts = [
        "# Conformance with SBML",
        "",
        "This page is written by `make conformance`; `make biomodels` writes",
        "[published models](published-models.md).",
        "",
        "Every case of a copy of the [SBML Test Suite](https://github.com/sbmlteam/sbml-test-suite)"
        " is read, solved and",
        "compared by the suite's own rule, |c - u| <= absolute + relative x |c|. A **refused** case"
        " got a message that",
        "names what is not supported; a **failed** case got a wrong answer. The cases are not part"
        " of this project.",
        "",
        *summary(verdicts).splitlines(),
        "",
        "## Refused, and why",
        "",
        "| reason | cases |",
        "|---|---|",
        *(f"| {_cell(why)} | {_listed(which)} |" for why, which in reasons(verdicts, "refused")),
        "",
        "## Failed",
        "",
    ]
    failed = reasons(verdicts, "failed")
    parts += [f"- {', '.join(which)}: {why}" for why, which in failed] or ["None."]
    parts += ["", "## By tag", "", "| tag | passed | refused | failed |", "|---|---|---|---|"]
    parts += [f"| {tag} | {p} | {r} | {f} |" for tag, p, r, f in by_tag(verdicts)]
    parts += ["", DECISIONS.strip(), ""]
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _listed(which: Sequence[str]) -> str:
    shown = ", ".join(which[:12])
    return f"{len(which)}: {shown}" + (", ..." if len(which) > 12 else "")


DECISIONS = """
## What was decided where SBML leaves a choice

- **Constraints** are not checked: they do not change a course. The model's `notes` say so, and
  `immunostat simulate` prints it.
- **Algebraic rules** are solved for one variable each, in which they must be linear; others are
  refused.
- **Fast reactions** (removed from SBML in Level 3 Version 2) are refused.
- **Events of equal priority** at the same time happen in an order drawn at random, from a stream
  that depends on the patient's number alone: a second run gives the same order.
- **A sample at the time of an event** is taken after it; one at the time of a dose from a table of
  doses is taken before the dose.
- **delay()** reads the course so far; before the start every quantity had its start value, or what
  its initial assignment says of that time. `rateOf` of a delayed value is refused.
- **Triggers** are looked at four times in each step, and no step is longer than a hundredth of the
  course: an excursion shorter than that may be missed, unless it is a matter of time alone, as in
  `time >= 5`, which is landed on exactly.
- **Chatter**, 20 times of events within a thousandth of the course, makes triggers with `<` and
  `>` of states ask for more than the absolute tolerance from then on.
- **Submodels** are joined by libsbml. A model may take submodels only from files beside it.
- **fbc** models that ask for an optimization are refused; charges and formulas of species are
  ignored.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; exit code 1 if a case failed."""
    default = os.environ.get("IMMUNOSTAT_SBML_SUITE") or str(BESIDE)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--suite", default=default, help="folder of the cases")
    parser.add_argument("--only", nargs="*", help="names of cases")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--page", type=Path, help="write the documentation page here")
    parser.add_argument("--json", type=Path, help="write every verdict here")
    options = parser.parse_args(arguments)
    folders = cases(Path(options.suite or default))
    if options.only:
        folders = [folder for folder in folders if folder.name in options.only]
    if not folders:
        print(HOW_TO.format(suite=options.suite or default))
        return 2
    verdicts = judge_all(folders, options.processes)
    width = max(len(tag) for tag, *_ in by_tag(verdicts))
    print(f"{'tag':{width}}  passed  refused  failed")
    for tag, passed, refused, failed in by_tag(verdicts):
        print(f"{tag:{width}}  {passed:6}  {refused:7}  {failed:6}")
    for outcome in ("refused", "failed"):
        print(f"\n{outcome}:")
        for why, which in reasons(verdicts, outcome):
            print(f"  {why}: {_listed(which)}")
    print(f"\n{summary(verdicts)}")
    if options.json:
        options.json.write_text(json.dumps([asdict(v) for v in verdicts], indent=1) + "\n")
    if options.page:
        options.page.write_text(page(verdicts), encoding="utf-8")
    return 1 if counts(verdicts)["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

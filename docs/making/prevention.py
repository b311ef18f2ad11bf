"""The page of what prevention saves, from the study files themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import yaml

from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.balance import Weight, outcomes, weighed
from immunostat.study.result import Result
from immunostat.study.run import run
from immunostat.study.study_reader import make_study
from making.markdown import number, page, table

HERE = Path(__file__).parent
STUDIES = HERE.parents[1] / "studies"


@dataclass(frozen=True)
class Prevention:
    """A study of prevention: the arm that has it, the one beside it, and what they differ in."""

    study: str
    arm: str
    versus: str
    outcomes: tuple[str, ...]


SHOWN = (
    Prevention(
        "tuberculosis-screening",
        "carriers do not start",
        "everybody starts",
        ("tuberculosis", "ACR20"),
    ),
    Prevention(
        "neutrophil-support",
        "growth factor",
        "no rule",
        ("neutropenia", "febrile-neutropenia", "ORR"),
    ),
    Prevention(
        "neutrophil-support",
        "hold the drug",
        "no rule",
        ("neutropenia", "febrile-neutropenia", "ORR"),
    ),
    Prevention("zoster-prophylaxis", "everybody", "no aciclovir", ("herpes-zoster",)),
    Prevention("zoster-prophylaxis", "65 and older", "no aciclovir", ("herpes-zoster",)),
    Prevention(
        "hepatitis-b-prophylaxis", "entecavir", "no entecavir", ("hepatitis-b-reactivation",)
    ),
    Prevention("when-to-vaccinate", "3 weeks before", "same day", ("seroconversion",)),
    Prevention("when-to-vaccinate", "4 weeks before", "same day", ("seroconversion",)),
)


def pages(patients: int) -> dict[str, str]:
    """The page by name, with at most that many patients in each arm."""
    results: dict[str, Result] = {}
    rows = []
    for shown in SHOWN:
        if shown.study not in results:
            results[shown.study] = _result(shown.study, patients)
        rows += _rows(results[shown.study], shown)
    columns = (
        "study",
        "arm",
        "beside",
        "patients",
        "outcome",
        "share with it",
        "beside",
        "treated for one",
    )
    sizes = ", ".join(f"`studies/{name}.yaml`" for name in results)
    made = (
        f"Made by `python docs/make.py --only prevention` from {sizes}, each with its own seed, "
        f"with at most {patients} patients in each arm; "
        "`immunostat run FILE` and `immunostat balance RESULT --reference ARM` give the same."
    )
    text = page(_text("introduction"), table(columns, rows), made, _text("limits"))
    return {"science/prevention.md": text}


def _result(name: str, patients: int) -> Result:
    data = yaml.safe_load((STUDIES / f"{name}.yaml").read_text(encoding="utf-8"))
    data["population"]["patients"] = min(data["population"]["patients"], patients)
    catalog = packaged_catalog()
    return run(make_study(data, catalog), catalog=catalog)


def _rows(result: Result, shown: Prevention) -> list[tuple[str, ...]]:
    rows = []
    known = {own.name: own for own in outcomes(result)}
    for name in shown.outcomes:
        own = known[name]
        parts, net = weighed(result, {name: Weight(1.0)}, shown.versus)
        shares = parts.set_index("arm")["share"]
        change = float(shares[shown.arm] - shares[shown.versus])
        line = net.set_index("arm").loc[shown.arm]
        rows.append(
            (
                f"[{shown.study}](../../studies/{shown.study}.yaml)",
                shown.arm,
                shown.versus,
                str(len(result.patients[result.patients["arm"] == shown.arm])),
                f"{name} ({own.says})",
                f"{number(100 * float(shares[shown.arm]))} %",
                f"{number(100 * float(shares[shown.versus]))} %",
                _needed(change, float(line["low"]), float(line["high"])),
            )
        )
    return rows


def _needed(change: float, low: float, high: float) -> str:
    """Patients for one more or one less with an outcome; the interval is of its absolute value."""
    if change == 0 or not math.isfinite(change):
        return "no difference"
    found = f"one {'more' if change > 0 else 'less'} in {_whole(1 / abs(change))}"
    if low * high <= 0:
        return f"{found}, or none"
    few, many = (_whole(end) for end in sorted((1 / abs(low), 1 / abs(high))))
    return found if few == many else f"{found} ({few} to {many})"


def _whole(value: float) -> str:
    """Two significant digits, and no exponent."""
    return f"{float(f'{value:.2g}'):g}"


def _text(name: str) -> str:
    return (HERE / f"prevention-{name}.txt").read_text(encoding="utf-8").rstrip()

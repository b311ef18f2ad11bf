"""The page of published side effects beside predicted ones."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from immunostat.base.sources import cite
from immunostat.catalog.lookup import packaged_catalog
from immunostat.report import style
from immunostat.report.harm_validation_figure import harm_forest
from immunostat.study.harm_pairs import FACTOR, conclusion, pairs
from immunostat.study.harm_validation import HarmValidation, validate_harm
from making.markdown import number, page, table
from making.trial_run import ROOT

HERE = Path(__file__).parent
IMAGES = ROOT / "docs" / "images"

#: Patients of each situation: enough for rates to two digits, and for grades that few reach.
SIZES = {"rheumatoid-arthritis": 300, "multiple-sclerosis": 200, "multiple-myeloma": 200}


def pages(patients: int) -> dict[str, str]:
    """The page by name; its picture is written on the way."""
    found = together([_simulated(name, min(patients, size)) for name, size in SIZES.items()])
    IMAGES.mkdir(parents=True, exist_ok=True)
    style.save(harm_forest(found), IMAGES / "validation-harm-forest.svg")
    parts = [
        "# Side effects: predicted beside published",
        "Every published rate or share of the side-effect cards that can be simulated, beside "
        "what is predicted for it in virtual patients of the situation "
        f"({_sizes(patients)}). Events count by the expected number, without the chance of "
        "drawing; grades of counts by what visits observe.",
        f"**{conclusion(found.table)}.**",
        "![Published and predicted side effects](../images/validation-harm-forest.svg)",
        "## Held-back pairs that count towards the goal",
        "The goal is about serious infection, zoster, neutropenia of grade 3 or more, and "
        f"malignancy. Ratio: predicted over published, geometric mean of the numbers of a pair; "
        f"right within a factor of {FACTOR:g}.",
        _judged(found),
        _text("fitted"),
        "## Every number",
        *_numbers(found),
        "## Not simulated",
        _skipped(found),
        _text("limits"),
        "## Sources",
        _sources(found),
    ]
    return {"science/validation-harm.md": page(*parts)}


def _simulated(situation: str, patients: int) -> HarmValidation:
    return validate_harm(packaged_catalog(), patients, situations=[situation])


def _sizes(patients: int) -> str:
    return ", ".join(f"{min(patients, size)} in {name}" for name, size in SIZES.items())


def together(parts: list[HarmValidation]) -> HarmValidation:
    """The validations of several situations as one."""
    return HarmValidation(
        pd.concat([part.table for part in parts], ignore_index=True),
        pd.concat([part.skipped for part in parts], ignore_index=True),
        max(part.n_patients for part in parts),
        parts[0].seed,
        sum(part.n_failed for part in parts),
    )


def _judged(found: HarmValidation) -> str:
    own = pairs(found.table)
    own = own[own["judged"].astype(bool)]
    rows = [
        (
            row["side_effect"],
            row["drug"],
            row["situation"],
            row["numbers"],
            f"{row['ratio']:.2f}",
            "yes" if row["is_right"] else "**no**",
            "yes" if row["is_inside"] else "no",
        )
        for row in own.to_dict("records")
    ]
    columns = ("side effect", "drug", "in", "numbers", "ratio", f"within {FACTOR:g}")
    return table((*columns, "inside the published intervals"), rows)


def _numbers(found: HarmValidation) -> list[str]:
    parts = []
    columns = ("side effect", "arm", "n", "follow-up", "published", "predicted", "ratio", "role")
    for situation, own in found.table.groupby("situation", sort=True):
        rows = [
            (
                row["side_effect"]
                + ("" if pd.isna(row["grade"]) else f", grade {row['grade']:.0f} or more"),
                row["arm"],
                "" if pd.isna(row["n"]) else f"{row['n']:.0f}",
                f"{row['weeks']} weeks" if row["unit"] == "%" else "per 100 years",
                _between(row, "observed") + ("" if row["checked"] else ", from memory"),
                _between(row, "predicted"),
                "" if pd.isna(row["ratio"]) else f"{row['ratio']:.2f}",
                row["role"] + (", judged" if row["judged"] else ""),
            )
            for row in own.to_dict("records")
        ]
        parts += [f"### {situation}", table(columns, rows)]
    return parts


def _between(row: dict[str, object], side: str) -> str:
    value, low, high = (float(str(row[f"{side}{end}"])) for end in ("", "_low", "_high"))
    unit = " %" if row["unit"] == "%" else ""
    text = f"{number(value)}{unit}"
    return text if math.isnan(low) else f"{text} ({number(low, 2)} to {number(high, 2)})"


def _skipped(found: HarmValidation) -> str:
    counts = found.skipped.groupby(["situation", "reason"]).size().reset_index(name="n")
    return table(("situation", "reason", "numbers"), counts.itertuples(index=False, name=None))


def _sources(found: HarmValidation) -> str:
    catalog = packaged_catalog()
    names = sorted({name for name in found.table["source"] if name})
    return "\n".join(f"- `{name}`: {cite(catalog.source(name))}" for name in names)


def _text(name: str) -> str:
    return (HERE / f"harm-{name}.txt").read_text(encoding="utf-8").rstrip()

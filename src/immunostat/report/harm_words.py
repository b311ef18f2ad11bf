"""Tables about harm that are words: patients needed for one more, warnings, what is not known."""

from __future__ import annotations

import pandas as pd

from immunostat.report import words
from immunostat.report.shape import is_large, shape_of
from immunostat.study import needed as numbers
from immunostat.study.balance import reference_arm
from immunostat.study.result import Result


def needed(result: Result) -> pd.DataFrame:
    """Patients for one more or one less with each outcome: a row per outcome, a column per arm.

    Against the arm without drugs of its own. Rows in which no arm differs are left out.
    """
    if len(result.arms) < 2 or is_large(result) or shape_of(result).sequences:
        return pd.DataFrame()
    reference = reference_arm(result)
    table = numbers.needed(result, reference)
    if table.empty:
        return pd.DataFrame()
    head = f"Against {reference}"
    rows = []
    for name, own in table.groupby("outcome", sort=False):
        cells = dict(zip(own["arm"], own["needed"], strict=True))
        if any(text != numbers.NO_DIFFERENCE for text in cells.values()):
            rows.append({head: words.label(str(name)), **cells})
    arms = [arm for arm in result.arms if arm != reference]
    return pd.DataFrame(rows, columns=[head, *arms])


def warnings(result: Result) -> pd.DataFrame:
    """Warnings without a rate: drug, side effect and text."""
    rows = [
        {
            "Drug": words.label(str(own["drug"])),
            "Side effect": words.label(str(own["side_effect"])),
            "Warning": str(own["text"]),
        }
        for own in result.run.get("warnings") or []
    ]
    return pd.DataFrame(rows, columns=["Drug", "Side effect", "Warning"])


def not_known(result: Result) -> pd.DataFrame:
    """Covariates and states that drivers of side effects read and the study does not have."""
    rows = [
        {
            "Side effect": words.label(str(name)),
            "Not known here": words.listed([words.label(str(own)) for own in unknown]),
        }
        for name, unknown in (result.run.get("not_known_here") or {}).items()
    ]
    return pd.DataFrame(rows, columns=["Side effect", "Not known here"])

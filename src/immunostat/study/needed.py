"""What an arm adds to or saves of each side effect: events, and patients for one more or less."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from immunostat.outcomes.statistics import z_quantile
from immunostat.study.balance import Outcome, outcomes
from immunostat.study.result import Result

NO_DIFFERENCE = "no difference"

#: Smaller differences of a share are called none: less than one patient in a hundred thousand.
LEAST_DIFFERENCE = 1e-5

COLUMNS = (
    *("arm", "outcome", "kind", "share", "reference_share", "difference", "low", "high"),
    *("rate_difference", "needed"),
)


def needed(result: Result, reference: str) -> pd.DataFrame:
    """Each arm against a reference, for every yes-or-no outcome.

    Of side effects that happen, the expected chance of each patient is compared, without the chance
    of drawing; of others what was seen.

    Parameters
    ----------
    reference
        An arm.

    Returns
    -------
    ``arm``, ``outcome``, ``kind``, ``share`` and ``reference_share`` of patients by the end,
    ``difference`` with ``low`` and ``high`` (95 %, between patients), ``rate_difference`` (expected
    events, 1/(100 year); missing where none are expected), ``needed`` (patients for one more or one
    less, in words).
    """
    table = result.patients
    groups = {arm: table[table["arm"] == arm].set_index("patient") for arm in result.arms}
    rows = [
        row
        for arm in result.arms
        if arm != reference
        for row in _rows(result, arm, groups[arm], groups[reference])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(
    result: Result, arm: str, own: pd.DataFrame, base: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    is_paired = own.index.equals(base.index)
    z, n = z_quantile(0.95), len(own)
    for outcome in outcomes(result):
        x, y = (np.nan_to_num(outcome.had(rows)) for rows in (own, base))
        if is_paired:
            half = z * float(np.std(x - y, ddof=1)) / math.sqrt(n)
        else:
            half = z * math.hypot(
                float(np.std(x, ddof=1)) / math.sqrt(n),
                float(np.std(y, ddof=1)) / math.sqrt(len(y)),
            )
        difference = float(x.mean() - y.mean())
        yield {
            "arm": arm,
            "outcome": outcome.name,
            "kind": outcome.kind,
            "share": float(x.mean()),
            "reference_share": float(y.mean()),
            "difference": difference,
            "low": difference - half,
            "high": difference + half,
            "rate_difference": _rate(result, arm, outcome)
            - _rate(result, str(base["arm"].iloc[0]), outcome),
            "needed": patients_for_one(difference, difference - half, difference + half),
        }


def patients_for_one(difference: float, low: float, high: float) -> str:
    """Patients for one more or one less with an outcome, in words.

    Parameters
    ----------
    difference, low, high
        Of the share of patients, with the ends of its interval.

    Source
    ------
    Altman DG, BMJ 1998;317:1309-1312: an interval that holds zero has no two ends in patients.

    Examples
    --------
    >>> patients_for_one(0.0095, 0.0035, 0.0155), patients_for_one(-0.02, -0.05, 0.01)
    ('one more in 105 (65 to 286)', 'one less in 50 (or none)')
    """
    if abs(difference) < LEAST_DIFFERENCE:
        return NO_DIFFERENCE
    text = f"one {'more' if difference > 0 else 'less'} in {_patients(difference)}"
    if low <= 0.0 <= high:
        return f"{text} (or none)"
    few, many = (_patients(end) for end in sorted((low, high), key=abs, reverse=True))
    return f"{text} ({few} to {many})" if few != many else text


def _patients(difference: float) -> str:
    """Patients for a difference of one; few of them with a decimal place."""
    patients = 1 / abs(difference)
    return f"{patients:,.0f}" if patients >= 10 else f"{patients:.2g}"


def _rate(result: Result, arm: str, outcome: Outcome) -> float:
    """Expected events of an arm, 1/(100 year); missing where none are expected."""
    table = result.side_effects
    rows = table[
        (table["arm"] == arm)
        & (table["side_effect"] == outcome.name)
        & (table["measure"] == "incidence rate")
    ]
    return float(rows["expected"].iloc[0]) if len(rows) else math.nan

"""Comparisons of arms in words: risk differences in points, ratios, differences with their unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from immunostat.report import words

Row = Mapping[Any, Any]

#: Measures that say how many times as much: 1 means no difference.
RATIOS = frozenset(
    {"risk ratio", "odds ratio", "hazard ratio", "rate ratio", "ratio of geometric means"}
)
#: Measures of a crossover that are not the effect of a treatment.
NUISANCES = frozenset({"period effect", "carry-over"})

#: A space at which a line does not break.
JOINED = "\u00a0"

#: Two-sided p value up to which a trial shows a difference.
SHOWN = 0.05


def is_ratio(measure: str) -> bool:
    """Whether a measure is a ratio."""
    return measure in RATIOS


def is_points(row: Row, shares: set[str]) -> bool:
    """Whether an estimate is a difference of shares, which people read in percentage points."""
    measure = str(row["measure"])
    if is_ratio(measure) or str(row["unit"]) not in ("", "1"):
        return False
    return measure in ("risk difference", "incidence difference") or row["endpoint"] in shares


def ratio(value: float) -> str:
    """How many times as much, with two decimal places where that says enough.

    Examples
    --------
    >>> ratio(0.851), ratio(2.8236), ratio(0.0123), ratio(31.4)
    ('0.85', '2.82', '0.012', '31.4')
    """
    if not math.isfinite(value) or abs(value) < 0.1:
        return words.number(value, 2)
    return f"{value:.2f}" if value < 10 else words.number(value, 3)


def effect(row: Row, shares: set[str]) -> tuple[str, str]:
    """Estimate with its unit, and its interval; the interval may be empty.

    Examples
    --------
    >>> row = {"measure": "risk difference", "unit": "1", "endpoint": "ACR20"}
    >>> effect({**row, "estimate": 0.21, "low": 0.1, "high": 0.32}, set())
    ('+21.0 points', '+10.0 to +32.0')
    """
    value, low, high = (float(row[key]) for key in ("estimate", "low", "high"))
    if not math.isfinite(value):
        return words.NO_VALUE, ""
    known = math.isfinite(low) and math.isfinite(high)
    if is_ratio(str(row["measure"])):
        return ratio(value), f"{ratio(low)} to {ratio(high)}" if known else ""
    if is_points(row, shares):
        ends = [words.signed(100 * end) for end in (low, high)]
        return f"{words.signed(100 * value)} points", " to ".join(ends) if known else ""
    text, between = words.estimate(value, low, high)
    unit = str(row["unit"])
    return f"{text} {words.shown_unit(unit)}" if unit not in ("", "1") else text, between


def p_value(p: float) -> str:
    r"""A p value as trials print it, in one piece; empty where there is none.

    Examples
    --------
    >>> p_value(0.0000012), p_value(0.8054)
    ('p\xa0<\xa00.001', 'p\xa0=\xa00.81')
    """
    if not math.isfinite(p):
        return ""
    return f"p{JOINED}<{JOINED}0.001" if p < 0.001 else f"p{JOINED}={JOINED}{words.number(p, 2)}"


def is_shown(row: Row) -> bool:
    """Whether a comparison is more than chance would make: by p, or else by the interval."""
    p = float(row["p"]) if "p" in row else math.nan
    if math.isfinite(p):
        return p <= SHOWN
    null = 1.0 if is_ratio(str(row["measure"])) else 0.0
    low, high = float(row["low"]), float(row["high"])
    return math.isfinite(low) and math.isfinite(high) and not low <= null <= high


def in_full(row: Row, shares: set[str]) -> str:
    """Estimate, interval and p in one breath."""
    value, between = effect(row, shares)
    inside = [f"95 % interval {between}" if between else "", p_value(float(row["p"]))]
    said = "; ".join(part for part in inside if part)
    return f"{value} ({said})" if said else value

"""Two or more results side by side: what differs in the question, and what in the answer.

Where both results hold the same virtual patients, each patient is compared with himself, which
takes the chance of who takes part out of the difference. Otherwise the intervals of both are
combined as of independent trials.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immunostat.base import streams
from immunostat.base.errors import InputError
from immunostat.model.system import FloatArray
from immunostat.outcomes import statistics
from immunostat.study.result import Result

#: Resamplings behind the interval of a difference of medians.
RESAMPLES = 1000

PAIRED, INDEPENDENT = "paired", "independent"

#: Parts of a resolved study that differ without anybody having asked for another thing.
_NOT_ASKED = ("cohort", "duration_day", "visit_days", "population.title")

#: Parts of `Result.run` that can change an answer.
_OF_RUN = ("version", "catalog_hash", "method", "tolerance")


@dataclass(frozen=True)
class Compared:
    """A result beside the first one; every difference is other minus first.

    Parameters
    ----------
    study
        What differs in the question: ``key``, ``first``, ``other``.
    endpoints
        ``endpoint``, ``arm``, ``time_day``, ``statistic``, ``unit``, ``first``, ``other``,
        ``difference`` with ``low`` and ``high`` (95 %), ``is_beyond`` (whether the interval leaves
        zero out), ``how`` (`PAIRED` or `INDEPENDENT`), ``n`` (patients or pairs).
    side_effects
        The same with ``side_effect`` and ``measure``, and ``expected``: the difference of what the
        model expects, without the chance of drawing.
    profile
        ``function``, ``arm``, ``first``, ``other`` (ratios to the untreated course), ``fold``
        (other / first), and the two directions.
    left_out
        Why something is not compared, in words.
    n_pairs
        Patients that both hold and who are the same; 0 where they are not.
    """

    study: pd.DataFrame
    endpoints: pd.DataFrame
    side_effects: pd.DataFrame
    profile: pd.DataFrame
    left_out: tuple[str, ...]
    n_pairs: int


def compare_results(first: Result, other: Result) -> Compared:
    """Put a result beside another.

    Parameters
    ----------
    first
        What is subtracted.
    other
        Of the same situation.

    Raises
    ------
    InputError
        The two have another situation, or no arm or no endpoint in common.

    Source
    ------
    Independent differences: MOVER, Zou GY, Donner A, Stat Med 2008;27:1693-1702, of which the
    interval of Newcombe for proportions is a case. Paired ones: Student's interval of the
    patients' differences; the bootstrap of pairs for a median.
    """
    left_out: list[str] = []
    arms = _in_common(first.arms, other.arms, "arm", left_out)
    names = [list(dict.fromkeys(r.endpoints["endpoint"].astype(str))) for r in (first, other)]
    if first.study.get("situation") != other.study.get("situation"):
        raise InputError(
            f"the results are of different situations: {first.study.get('situation')} and "
            f"{other.study.get('situation')}",
            remedy="compare results of one situation",
        )
    if not arms:
        raise InputError(
            f"the results have no arm in common: {', '.join(first.arms)} and "
            f"{', '.join(other.arms)}",
            remedy="name arms that are to be compared alike",
        )
    endpoints = _in_common(names[0], names[1], "endpoint", left_out)
    if not endpoints:
        raise InputError("the results have no endpoint in common")
    pairs = _pairs(first, other)
    return Compared(
        _study_table(first, other),
        _endpoint_table(first, other, arms, endpoints, pairs, left_out),
        _side_effect_table(first, other, arms, pairs, left_out),
        _profile_table(first, other),
        tuple(left_out),
        len(pairs),
    )


def difference(
    first: tuple[float, float, float], other: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Difference of two independent estimates, and its interval (MOVER).

    Parameters
    ----------
    first, other
        Estimate, lower and upper end.

    Examples
    --------
    The intervals of Wilson of 56/70 and 48/80 give the interval of Newcombe.

    >>> found = difference((0.6, 0.4904, 0.7000), (0.8, 0.6918, 0.8769))
    >>> [round(x, 3) for x in found]
    [0.2, 0.053, 0.334]
    """
    a, a_low, a_high = first
    b, b_low, b_high = other
    middle = b - a
    below, above = math.hypot(b - b_low, a_high - a), math.hypot(b_high - b, a - a_low)
    return middle, middle - below, middle + above


def _in_common(
    first: Sequence[str], other: Sequence[str], noun: str, left_out: list[str]
) -> list[str]:
    """Names that both have; those of one are noted."""
    for names, others, which in ((first, other, "first"), (other, first, "other")):
        alone = [name for name in names if name not in others]
        if alone:
            left_out.append(f"{noun} only in the {which} result: {', '.join(alone)}")
    return [name for name in first if name in other]


def _flat(part: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Keys and values of nested data, dotted; a list is one value."""
    if isinstance(part, Mapping):
        for key, child in part.items():
            yield from _flat(child, f"{name}.{key}" if name else str(key))
    elif isinstance(part, list | tuple):
        yield name, "; ".join(str(item) for item in part)
    else:
        yield name, "" if part is None else str(part)


def _study_table(first: Result, other: Result) -> pd.DataFrame:
    """What was asked differently."""
    asked = []
    for result in (first, other):
        run = {name: result.run.get(name) for name in _OF_RUN}
        whole = {**dict(_flat(result.study)), **dict(_flat({"run": run}))}
        asked.append(
            {
                key: value
                for key, value in whole.items()
                if not any(key == name or key.startswith(f"{name}.") for name in _NOT_ASKED)
            }
        )
    rows = [
        {"key": key, "first": asked[0].get(key, "none"), "other": asked[1].get(key, "none")}
        for key in dict.fromkeys([*asked[0], *asked[1]])
        if asked[0].get(key, "none") != asked[1].get(key, "none")
    ]
    return pd.DataFrame(rows, columns=["key", "first", "other"])


def _pairs(first: Result, other: Result) -> list[int]:
    """Numbers of the patients who are the same people in both results.

    Equal numbers are not enough: another seed or population gives the number to somebody else.
    """
    tables = [r.patients.drop_duplicates("patient").set_index("patient") for r in (first, other)]
    common = tables[0].index.intersection(tables[1].index, sort=True)
    shared = [name for name in ("age", "weight", "female") if all(name in t for t in tables)]
    who = [r.study.get("population", {}) for r in (first, other)]
    is_same = all(who[0].get(key) == who[1].get(key) for key in ("name", "seed"))
    if not len(common) or not is_same:
        return []
    left, right = (t.loc[common, shared].to_numpy(np.float64) for t in tables)
    return [int(n) for n in common[(left == right).all(axis=1)]]


def _endpoint_table(
    first: Result,
    other: Result,
    arms: list[str],
    endpoints: list[str],
    pairs: list[int],
    left_out: list[str],
) -> pd.DataFrame:
    """Every endpoint of every arm at every time that both have."""
    index = ["endpoint", "arm", "time_day"]
    both = _joined(first.endpoints, other.endpoints, index)
    ends = [float(r.endpoints["time_day"].max()) for r in (first, other)]
    rows: list[dict[str, Any]] = []
    for row in both:
        if row["endpoint"] not in endpoints or row["arm"] not in arms:
            continue
        named = [f"{row[f'statistic_{which}']} in {row[f'unit_{which}']}" for which in _WHICH]
        if named[0] != named[1]:
            left_out.append(f"{row['endpoint']} of {row['arm']}: {named[0]} and {named[1]}")
            continue
        key = {name: row[name] for name in index}
        key |= {"statistic": row["statistic_first"], "unit": row["unit_first"]}
        at_end = row["time_day"] == ends[0] == ends[1]
        paired = _paired(first, other, key, pairs) if pairs and at_end else None
        rows.append(key | (paired or _independent(row)))
    found = {(row["endpoint"], row["arm"]) for row in rows}
    asked = zip(first.endpoints["endpoint"], first.endpoints["arm"], strict=True)
    wanted = {(str(endpoint), str(arm)) for endpoint, arm in asked}
    for endpoint, arm in sorted(wanted - found):
        if endpoint in endpoints and arm in arms:
            left_out.append(f"{endpoint} of {arm}: no time in common")
    table = pd.DataFrame(rows, columns=[*index, "statistic", "unit", *_ANSWER])
    order = {endpoint: place for place, endpoint in enumerate(endpoints)}
    table = table.sort_values(
        "endpoint", key=lambda names: names.map(order), kind="stable", ignore_index=True
    )
    return table.assign(is_beyond=_is_beyond(table, first, other))


_WHICH = ("first", "other")


def _joined(first: pd.DataFrame, other: pd.DataFrame, index: Sequence[str]) -> list[dict[str, Any]]:
    """Rows that both tables have, in the order of the first, with the columns of both."""
    suffixes = ("_first", "_other")
    merged = first.merge(other, on=list(index), how="inner", suffixes=suffixes)
    return [{str(k): v for k, v in row.items()} for row in merged.to_dict("records")]


_ANSWER = ["first", "other", "difference", "low", "high", "how", "n"]


def _independent(row: Mapping[str, Any]) -> dict[str, Any]:
    """Difference of two rows that were joined, as of independent trials."""
    ends = [
        (float(row[f"estimate_{w}"]), float(row[f"low_{w}"]), float(row[f"high_{w}"]))
        for w in _WHICH
    ]
    values = (ends[0][0], ends[1][0], *difference(ends[0], ends[1]))
    n = int(row["n_first"]) + int(row["n_other"])
    return dict(zip(_ANSWER, (*values, INDEPENDENT, n), strict=True))


def _paired(
    first: Result, other: Result, key: Mapping[str, Any], pairs: list[int]
) -> dict[str, Any] | None:
    """Difference within the patients that both hold; None where their values are not kept."""
    # A covariate may have the name of an endpoint, so that the value at the end comes first.
    names = [f"{key['endpoint']} at end", str(key["endpoint"])]
    values = _of_pairs(first, other, str(key["arm"]), names, pairs)
    if values is None:
        return None
    a, b = values
    if "proportion" in str(key["statistic"]):
        # A graded endpoint keeps grades, not whether the patient counts.
        known = np.concatenate([a, b])
        if not np.isin(known[np.isfinite(known)], (0.0, 1.0)).all():
            return None
        a, b = (np.where(np.isnan(x), 0.0, x) for x in (a, b))
    if "geometric" in str(key["statistic"]):
        return None
    return _paired_values(a, b, "median" in str(key["statistic"]))


def _of_pairs(
    first: Result, other: Result, arm: str, names: Sequence[str], pairs: list[int]
) -> tuple[FloatArray, FloatArray] | None:
    """Values of an arm in both results, from the first column that both have. Each (pair,)."""
    tables = [r.patients[r.patients["arm"] == arm].set_index("patient") for r in (first, other)]
    column = next((name for name in names if all(name in t.columns for t in tables)), None)
    if column is None or not all(table.index.is_unique for table in tables):
        return None
    left, right = (table[column].reindex(pairs).to_numpy(np.float64) for table in tables)
    return left, right


def _paired_values(a: FloatArray, b: FloatArray, is_median: bool) -> dict[str, Any] | None:
    """Difference within pairs with its interval; None where no pair is complete."""
    kept = np.isfinite(a) & np.isfinite(b)
    a, b = a[kept], b[kept]
    if not len(a):
        return None
    if is_median:
        middle = float(np.median(b) - np.median(a))
        low, high = _bootstrapped(a, b)
        ends = (float(np.median(a)), float(np.median(b)), middle, low, high)
    else:
        found = statistics.mean(b - a)
        ends = (float(a.mean()), float(b.mean()), found.estimate, found.low, found.high)
    return dict(zip(_ANSWER, (*ends, PAIRED, len(a)), strict=True))


def _bootstrapped(a: FloatArray, b: FloatArray) -> tuple[float, float]:
    """95 % interval of a difference of medians, from resampled pairs."""
    numbers = np.arange(RESAMPLES, dtype=np.int64)
    found = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 50):
        block = numbers[start : start + 50]
        drawn = (streams.uniform(1, "compared medians", block, len(a)) * len(a)).astype(np.int64)
        found[start : start + 50] = np.median(b[drawn], axis=1) - np.median(a[drawn], axis=1)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _side_effect_table(
    first: Result, other: Result, arms: list[str], pairs: list[int], left_out: list[str]
) -> pd.DataFrame:
    """Side effects that both have."""
    index = ["side_effect", "measure", "arm"]
    names = [list(dict.fromkeys(r.side_effects["side_effect"].astype(str))) for r in (first, other)]
    common = _in_common(names[0], names[1], "side effect", left_out)
    rows = []
    for row in _joined(first.side_effects, other.side_effects, index):
        if row["side_effect"] not in common or row["arm"] not in arms:
            continue
        key = {name: row[name] for name in index} | {"unit": row["unit_first"]}
        expected = float(row["expected_other"]) - float(row["expected_first"])
        answer = (_paired_grades(first, other, key, pairs) if pairs else None) or _independent(row)
        rows.append(key | answer | {"expected": expected})
    table = pd.DataFrame(rows, columns=[*index, "unit", *_ANSWER, "expected"])
    return table.assign(is_beyond=_is_beyond(table, first, other))


def _paired_grades(
    first: Result, other: Result, key: Mapping[str, Any], pairs: list[int]
) -> dict[str, Any] | None:
    """Difference of a share of patients with a grade, within pairs; None for other measures."""
    match = re.fullmatch(r"any grade|grade (\d)(?:-(\d))?", str(key["measure"]))
    names = [f"{key['side_effect']} grade"]
    values = _of_pairs(first, other, str(key["arm"]), names, pairs) if match else None
    if match is None or values is None:
        return None
    low = int(match[1] or 1)
    high = int(match[2] or match[1] or 5)
    a, b = (np.where(np.isnan(x), np.nan, (x >= low) & (x <= high)) for x in values)
    return _paired_values(a, b, is_median=False)


def _is_beyond(table: pd.DataFrame, first: Result, other: Result) -> pd.Series[bool]:
    """Whether an interval leaves zero out, and the difference is more than the solver's error."""
    numbers = {name: table[name].astype(float) for name in _ANSWER[:5]}
    tolerances = [dict(r.run.get("tolerance") or {}).get("relative", 0.0) for r in (first, other)]
    # The local error of a step; what adds up over a course may be some times more.
    noise = 10 * max(map(float, tolerances))
    size = np.maximum(numbers["first"].abs(), numbers["other"].abs())
    is_clear = (numbers["low"] > 0) | (numbers["high"] < 0)
    return is_clear & (numbers["difference"].abs() > noise * size)


def _profile_table(first: Result, other: Result) -> pd.DataFrame:
    """Parts of the immune response in both."""
    merged = first.profile.merge(
        other.profile, on=["function", "arm"], suffixes=("_first", "_other")
    )
    return pd.DataFrame(
        {
            "function": merged["function"],
            "arm": merged["arm"],
            "first": merged["ratio_first"],
            "other": merged["ratio_other"],
            "fold": merged["ratio_other"] / merged["ratio_first"],
            "direction_first": merged["direction_first"],
            "direction_other": merged["direction_other"],
        }
    )

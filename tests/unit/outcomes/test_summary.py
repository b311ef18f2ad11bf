"""Tables of endpoints: imputation, observed cases, comparisons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from immunostat.base.errors import RangeError, ShapeError
from immunostat.outcomes import comparisons, statistics
from immunostat.outcomes.endpoints import EndpointSpec
from immunostat.outcomes.summary import compare, summarize

DAYS = np.array([0.0, 84.0, 168.0])
BINARY = EndpointSpec("ACR20", "responder", {}, level=20.0, unit="1")
CHANGE = EndpointSpec("change", "change", {"value": "x"}, unit="mg/L", time_day=168.0)
RESPONSES = np.array([[0, 1, 1], [0, 0, np.nan], [0, np.nan, np.nan], [0, 1, 0]], dtype=float)


def test_missing_responses_count_as_none_and_everybody_counts() -> None:
    rows = summarize(BINARY, RESPONSES, DAYS, "drug")
    assert [row.n for row in rows] == [4, 4, 4]
    assert [row.estimate for row in rows] == [0, 0.5, 0.25]
    assert [row.n_missing for row in rows] == [0, 1, 2]
    assert rows[1].high == statistics.proportion(2, 4).high
    assert "Wilson" in rows[0].method
    assert "non-responders" in rows[0].method


def test_imputation_never_raises_a_response_rate() -> None:
    complete = np.where(np.isnan(RESPONSES), 1.0, RESPONSES)
    for with_missing, without in zip(
        summarize(BINARY, RESPONSES, DAYS, "a"), summarize(BINARY, complete, DAYS, "a"), strict=True
    ):
        assert with_missing.estimate <= without.estimate


def test_continuous_endpoints_use_the_observed() -> None:
    values = np.array([[0, 0, -1.0], [0, 0, -3.0], [0, 0, np.nan]])
    (row,) = summarize(CHANGE, values, DAYS, "drug")
    assert (row.n, row.n_missing, row.estimate, row.unit) == (2, 1, -2.0, "mg/L")
    assert (row.time_day, row.statistic) == (168.0, "mean")
    assert "observed cases" in row.method


def test_graded_counts_give_the_share_at_or_above_the_grade() -> None:
    grades = np.array([[0.0], [2.0], [3.0], [4.0], [np.nan]])
    own = EndpointSpec("n", "graded_count", {"value": "x"}, level=3.0, grades={3: 1.0})
    (row,) = summarize(own, grades, np.array([28.0]), "drug")
    assert (row.n, row.estimate) == (4, 0.5)


@pytest.mark.parametrize("statistic", ["mean", "median", "geometric_mean"])
def test_the_statistic_can_be_chosen(statistic: str) -> None:
    own = EndpointSpec("v", "value", {"value": "x"}, statistic=statistic, unit="mg/L")
    (row,) = summarize(own, np.array([[1.0], [2.0], [4.0]]), np.array([0.0]), "a")
    expected = {"mean": 7 / 3, "median": 2.0, "geometric_mean": 2.0}[statistic]
    assert row.estimate == pytest.approx(expected)


def test_rows_make_a_table() -> None:
    table = pd.DataFrame(summarize(BINARY, RESPONSES, DAYS, "drug"))
    wanted = ["arm", "endpoint", "kind", "time_day", "n", "statistic", "estimate", "low", "high"]
    wanted += ["unit", "method"]
    assert list(table.columns)[: len(wanted)] == wanted


def test_comparison_of_proportions_is_newcombes_with_imputation() -> None:
    other = np.zeros((5, 3))
    rows = compare(BINARY, RESPONSES, other, DAYS, ("drug", "placebo"))
    expected = comparisons.proportion_difference(2, 4, 0, 5)
    assert (rows[1].arm, rows[1].n) == ("drug - placebo", 9)
    assert (rows[1].estimate, rows[1].low) == (expected.estimate, expected.low)


def test_comparison_of_means_is_welchs() -> None:
    a, b = np.array([[0, 0, 1.0], [0, 0, 3.0]]), np.array([[0, 0, 0.0], [0, 0, 1.0]])
    (row,) = compare(CHANGE, a, b, DAYS, ("a", "b"))
    assert row.estimate == 1.5
    assert "Welch" in row.method


def test_a_visit_that_does_not_exist_is_named() -> None:
    with pytest.raises(RangeError, match="day 168"):
        summarize(CHANGE, np.zeros((2, 1)), np.array([0.0]), "a")
    with pytest.raises(ShapeError):
        summarize(CHANGE, np.zeros((2, 2)), DAYS, "a")

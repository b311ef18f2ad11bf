"""Intervals of one arm equal printed examples and independent programs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from immunostat.base.errors import RangeError
from immunostat.outcomes import statistics

# Newcombe 1998 (Stat Med 17:857), Table I, method 3, four decimals.
NEWCOMBE_ONE = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("successes", "n", "low", "high"), NEWCOMBE_ONE)
def test_wilson_interval_equals_newcombes_table(
    successes: int, n: int, low: float, high: float
) -> None:
    found = statistics.proportion(successes, n)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_equals_scipy(counts: tuple[int, int]) -> None:
    found = statistics.proportion(*counts)
    exact = stats.binomtest(*counts).proportion_ci(method="wilson")
    # Two orders of arithmetic for the same formula.
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_wilson_interval_covers_as_often_as_it_says() -> None:
    n, p = 100, 0.2
    inside = [
        statistics.proportion(x, n).low <= p <= statistics.proportion(x, n).high
        for x in range(n + 1)
    ]
    coverage = float(np.sum(stats.binom.pmf(np.arange(n + 1), n, p) * inside))
    assert coverage == pytest.approx(0.95, abs=0.02)  # discreteness of 100 patients


def test_no_patient_gives_no_proportion_and_impossible_counts_are_refused() -> None:
    found = statistics.proportion(0, 0)
    assert math.isnan(found.estimate)
    assert (found.low, found.high, found.n) == (0, 1, 0)
    with pytest.raises(RangeError, match="5 of 3"):
        statistics.proportion(5, 3)
    with pytest.raises(RangeError, match="confidence"):
        statistics.proportion(1, 3, 95)


def test_mean_interval_equals_scipy_and_leaves_out_the_missing() -> None:
    x = np.array([2.1, 3.4, np.nan, 1.7, 5.5, 4.0])
    found = statistics.mean(x)
    exact = stats.ttest_1samp(x[~np.isnan(x)], 0).confidence_interval(0.95)
    assert found.n == 5
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=1e-12)
    assert math.isnan(statistics.mean([np.nan]).estimate)
    assert math.isnan(statistics.mean([3.0]).low)


def test_geometric_mean_equals_scipy_and_wants_positive_values() -> None:
    x = np.array([1.0, 2.0, 4.0, 16.0])
    found = statistics.geometric_mean(x)
    assert found.estimate == pytest.approx(stats.gmean(x))
    assert found.low < found.estimate < found.high
    with pytest.raises(RangeError, match="positive"):
        statistics.geometric_mean([1.0, 0.0])


def test_median_interval_equals_scipy_order_statistics() -> None:
    x = np.random.default_rng(1).exponential(size=37)
    found = statistics.median(x)
    exact = stats.quantile_test(x, p=0.5).confidence_interval(0.95)
    assert found.estimate == np.median(x)
    assert (found.low, found.high) == (exact.low, exact.high)


def test_median_of_few_has_no_interval() -> None:
    # With five values even the range covers the median in only 1 - 2/32 = 93.75 %.
    assert math.isnan(statistics.median(np.arange(5.0)).low)
    found = statistics.median(np.arange(6.0))
    assert (found.low, found.high) == (0.0, 5.0)


def test_quantiles_leave_out_the_missing() -> None:
    x = np.array([1.0, np.nan, 3.0, 2.0])
    np.testing.assert_array_equal(statistics.quantiles(x, [0, 0.5, 1]), [1, 2, 3])
    assert np.isnan(statistics.quantiles([np.nan], [0.5]))[0]


@given(st.integers(0, 200), st.floats(0.5, 5000))
def test_rate_interval_is_garwoods(events: int, years: float) -> None:
    found = statistics.incidence_rate(events, years)
    low = stats.chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    high = stats.chi2.ppf(0.975, 2 * events + 2) / 2
    # The two libraries' inverses of the same function.
    expected = np.array([low, high]) * 100 / years
    np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-9)


def test_no_event_gives_the_upper_limit_of_3_7_over_time() -> None:
    # -ln(0.025) = 3.689: known as the two-sided rule of three.
    found = statistics.incidence_rate(0, 100)
    assert found.estimate == 0
    assert found.low == 0
    assert found.high == pytest.approx(-math.log(0.025))
    assert math.isnan(statistics.incidence_rate(0, 0).estimate)

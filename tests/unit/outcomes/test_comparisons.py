"""Comparisons of two arms equal printed examples and independent programs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from immunostat.base.errors import RangeError
from immunostat.outcomes import comparisons
from immunostat.outcomes.statistics import Estimate

# Newcombe 1998 (Stat Med 17:873), Table II, method 10, four decimals.
NEWCOMBE_TWO = [
    ((56, 70, 48, 80), 0.0524, 0.3339),
    ((9, 10, 3, 10), 0.1705, 0.8090),
    ((6, 7, 2, 7), 0.0582, 0.8062),
    ((5, 56, 0, 29), -0.0381, 0.1926),
    ((0, 10, 0, 20), -0.1611, 0.2775),
    ((0, 10, 0, 10), -0.2775, 0.2775),
    ((10, 10, 0, 20), 0.6791, 1.0000),
    ((10, 10, 0, 10), 0.6075, 1.0000),
]
counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(("arms", "low", "high"), NEWCOMBE_TWO)
def test_difference_equals_newcombes_table(
    arms: tuple[int, int, int, int], low: float, high: float
) -> None:
    found = comparisons.proportion_difference(*arms)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(counts, counts)
def test_difference_equals_statsmodels_and_turns_its_sign(
    one: tuple[int, int], two: tuple[int, int]
) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    found = comparisons.proportion_difference(*one, *two)
    exact = confint_proportions_2indep(*one, *two, method="newcomb", compare="diff")
    # statsmodels takes the same square roots in another order; near zero a root halves the digits.
    assert (found.low, found.high) == pytest.approx(exact, abs=1e-7)
    turned = comparisons.proportion_difference(*two, *one)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-12)


def test_number_needed_is_the_inverse_and_keeps_its_direction() -> None:
    difference = comparisons.proportion_difference(56, 70, 48, 80)
    found = comparisons.number_needed(difference, is_event_good=True)
    assert (found.kind, found.is_crossing) == ("benefit", False)
    assert found.estimate == pytest.approx(5)
    assert (found.low, found.high) == pytest.approx((1 / 0.33387, 1 / 0.05243), rel=1e-4)
    assert comparisons.number_needed(difference, is_event_good=False).kind == "harm"


def test_an_interval_that_contains_zero_passes_through_infinity() -> None:
    difference = comparisons.proportion_difference(50, 70, 48, 80)
    found = comparisons.number_needed(difference, is_event_good=True)
    assert found.is_crossing
    assert str(found) == "NNTB 8.75 (NNTB 3.88 to infinity to NNTH 26.2)"


def test_fewer_harms_are_a_benefit() -> None:
    difference = comparisons.proportion_difference(5, 500, 50, 500)
    found = comparisons.number_needed(difference, is_event_good=False)
    assert found.kind == "benefit"
    assert found.low < found.estimate < found.high


def test_equal_arms_and_empty_arms_have_no_number() -> None:
    same = comparisons.number_needed(comparisons.proportion_difference(5, 50, 5, 50), True)
    assert (same.kind, same.estimate) == ("none", math.inf)
    assert "no difference" in str(same)
    empty = comparisons.number_needed(comparisons.proportion_difference(0, 0, 5, 50), True)
    assert empty.kind == "unknown"


def test_a_bound_of_zero_is_infinitely_many() -> None:
    edge = Estimate("difference", 0.1, 0.0, 0.2, 100, "")
    assert comparisons.number_needed(edge, True).high == math.inf


def test_mean_difference_equals_scipys_welch() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(1, 2, 30), rng.normal(0, 5, 17)
    found = comparisons.mean_difference(np.append(x, np.nan), y)
    exact = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    assert found.n == 47
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=1e-10)
    assert math.isnan(comparisons.mean_difference([1.0], [1.0, 2.0]).low)
    assert comparisons.mean_difference([1.0, 1.0], [0.0, 0.0]).low == 1.0


def test_rate_ratio_equals_clopper_pearson_of_the_split() -> None:
    found = comparisons.rate_ratio(12, 300.0, 5, 250.0)
    split = stats.binomtest(12, 17).proportion_ci(method="exact")
    scale = 250 / 300
    expected = [split.low / (1 - split.low) * scale, split.high / (1 - split.high) * scale]
    assert found.estimate == pytest.approx((12 / 300) / (5 / 250))
    # Two root finders for the same equation.
    assert [found.low, found.high] == pytest.approx(expected, rel=1e-6)


def test_rate_ratio_without_events() -> None:
    assert comparisons.rate_ratio(3, 10, 0, 10).estimate == math.inf
    assert comparisons.rate_ratio(3, 10, 0, 10).high == math.inf
    assert comparisons.rate_ratio(0, 10, 3, 10).low == 0
    neither = comparisons.rate_ratio(0, 10, 0, 10)
    assert math.isnan(neither.estimate)
    assert (neither.low, neither.high) == (0, math.inf)
    with pytest.raises(RangeError):
        comparisons.rate_ratio(1, 0, 1, 1)


def test_risk_ratio_equals_scipy() -> None:
    found = comparisons.risk_ratio(27, 122, 44, 487)
    exact = stats.contingency.relative_risk(27, 122, 44, 487)
    interval = exact.confidence_interval(0.95)
    assert found.estimate == pytest.approx(exact.relative_risk)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-10)
    assert math.isnan(comparisons.risk_ratio(3, 10, 0, 10).estimate)
    assert comparisons.risk_ratio(0, 10, 3, 10).estimate == 0


def test_odds_ratio_equals_scipy_and_mends_empty_cells() -> None:
    found = comparisons.odds_ratio(27, 122, 44, 487)
    exact = stats.contingency.odds_ratio([[27, 95], [44, 443]], kind="sample")
    interval = exact.confidence_interval(0.95)
    assert found.estimate == pytest.approx(exact.statistic)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-10)
    empty = comparisons.odds_ratio(0, 10, 3, 10)
    assert empty.estimate == pytest.approx(0.5 * 7.5 / (10.5 * 3.5))
    assert "1/2" in empty.method

"""Trends and Emax fits agree with independent programs and recover known curves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import curve_fit
from statsmodels.stats.contingency_tables import Table

from immunostat.base.errors import InputError
from immunostat.trial.dose_ranging import cochran_armitage, dose_for_change, fit_emax, jonckheere

DOSES = np.array([0.0, 10.0, 25.0, 50.0, 100.0])


def emax(d: np.ndarray, e0: float, top: float, ed50: float) -> np.ndarray:
    return e0 + top * d / (ed50 + d)


def test_trend_of_proportions_equals_statsmodels() -> None:
    hits, n = np.array([10, 14, 20, 25]), np.array([50, 48, 52, 50])
    found = cochran_armitage(hits, n, [0, 1, 2, 3])
    table = Table(np.array([n - hits, hits]))
    # statsmodels divides by n - 1 where Armitage divides by n
    theirs = table.test_ordinal_association(col_scores=np.arange(4.0), row_scores=np.arange(2.0))
    assert found.z == pytest.approx(theirs.zscore * np.sqrt(200 / 199), rel=1e-9)
    assert np.isnan(cochran_armitage([0, 0], [5, 5], [0, 1]).z)


def test_trend_of_two_groups_is_the_test_without_order() -> None:
    found = cochran_armitage([30, 20], [60, 65], [0, 7])
    chi = stats.chi2_contingency([[30, 30], [20, 45]], correction=False)
    assert found.p == pytest.approx(chi.pvalue, rel=1e-9)
    x, y = [1.0, 3.0, 3.0, 5.0], [2.0, 3.0, 6.0, 8.0, 9.0]
    u = stats.mannwhitneyu(y, x, use_continuity=False, method="asymptotic")
    assert jonckheere([x, y]).p == pytest.approx(u.pvalue, rel=1e-9)


def test_variance_of_jonckheere_with_ties_is_that_of_all_orders() -> None:
    values, sizes = [1, 1, 2, 3, 3, 3, 4], (2, 2, 3)

    def statistic(order: tuple[int, ...]) -> float:
        groups = np.split(np.array(order), np.cumsum(sizes)[:-1])
        return sum(
            float(np.sum((b[None, :] > a[:, None]) + 0.5 * (b[None, :] == a[:, None])))
            for a, b in itertools.combinations(groups, 2)
        )

    every = [statistic(order) for order in itertools.permutations(values)]
    z = jonckheere(np.split(np.array(values, float), np.cumsum(sizes)[:-1])).z
    exact = (statistic(tuple(values)) - np.mean(every)) / np.std(every)
    assert z == pytest.approx(exact, rel=1e-9)


def test_a_turned_order_turns_the_sign_and_missing_values_are_left_out() -> None:
    groups = [np.array([1.0, 2, 4]), np.array([3.0, 5, 5, np.nan]), np.array([6.0, 4])]
    assert jonckheere(groups).z == pytest.approx(-jonckheere(groups[::-1]).z)
    groups[1] = groups[1][:3]
    assert jonckheere(groups).z > 0


@settings(max_examples=25, deadline=None)
@given(
    e0=st.floats(-5, 5),
    top=st.floats(0.5, 10).flatmap(lambda x: st.sampled_from([x, -x])),
    ed50=st.floats(2, 200),
)
def test_a_curve_without_noise_is_recovered(e0: float, top: float, ed50: float) -> None:
    found = fit_emax(DOSES, emax(DOSES, e0, top, ed50), np.full(5, 0.1))
    # the search ends where squares of size 1e-16 no longer fall
    assert found.ed50.estimate == pytest.approx(ed50, rel=1e-4)
    assert found.emax.estimate == pytest.approx(top, rel=1e-4)
    target = 0.6 * found.emax.estimate
    dose = dose_for_change(found, target).estimate
    assert found.effect(dose) - found.e0.estimate == pytest.approx(target, rel=1e-9)


def test_fit_and_covariance_equal_scipys() -> None:
    y = emax(DOSES, 1.0, 5.0, 30.0) + np.array([0.2, -0.3, 0.1, 0.25, -0.2])
    error = np.array([0.3, 0.4, 0.3, 0.35, 0.3])
    found = fit_emax(DOSES, y, error)
    best, covariance = curve_fit(emax, DOSES, y, [1, 5, 30], error, absolute_sigma=True)
    ours = [found.e0.estimate, found.emax.estimate, found.ed50.estimate]
    np.testing.assert_allclose(ours, best, rtol=1e-4)
    scale = np.array([1, 1, 1 / best[2]])  # ours is of ln ed50
    np.testing.assert_allclose(found.covariance, covariance * np.outer(scale, scale), rtol=1e-3)
    assert found.degrees_of_freedom == 2


def test_intervals_of_the_target_dose_contain_the_truth() -> None:
    rng = np.random.default_rng(5)
    truth = emax(DOSES, 1.0, 5.0, 30.0)
    hits = 0
    for _ in range(200):
        found = fit_emax(DOSES, truth + rng.normal(0, 0.15, 5), np.full(5, 0.15))
        dose = dose_for_change(found, 3.0)  # 45
        hits += dose.low <= 45.0 <= dose.high
    # the middle 99.9 % of what 95 % intervals give; 1000 runs measured 95.2 %
    low, high = stats.binom.interval(0.999, 200, 0.95)
    assert low <= hits <= high


def test_a_straight_line_is_not_called_a_curve() -> None:
    found = fit_emax(DOSES, 0.1 * DOSES, np.full(5, 1.0))
    assert not found.is_identified
    assert np.isinf(found.ed50.high)
    assert np.isinf(
        dose_for_change(fit_emax(DOSES, emax(DOSES, 0, 2, 20), np.ones(5)), 5.0).estimate
    )
    with pytest.raises(InputError, match="three parameters"):
        fit_emax([0, 10], [1, 2], [1, 1])

"""Time to event: curves equal hand examples and lifelines."""

from __future__ import annotations

import math

import numpy as np
import pytest

from immunostat.base.errors import ShapeError
from immunostat.outcomes import survival

# Freireich 1963, 6-mercaptopurine arm, weeks of remission (as in Kaplan-Meier textbooks).
WEEKS = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35.0])
RELAPSED = np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0])


def test_kaplan_meier_of_the_leukaemia_trial_equals_its_textbook_table() -> None:
    found = survival.kaplan_meier(WEEKS, RELAPSED)
    # Kleinbaum and Klein, Survival Analysis, chapter 2: four decimals.
    expected = [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    np.testing.assert_allclose(found.at([6, 7, 10, 13, 16, 22, 23]), expected, atol=5e-5)
    assert found.at([0.0])[0] == 1
    assert found.n_at_risk[np.flatnonzero(found.times == 10)[0]] == 15
    assert np.all(found.low <= found.estimate)
    assert np.all(found.estimate <= found.high)


def test_median_time_of_the_leukaemia_trial() -> None:
    found = survival.median_time(WEEKS, RELAPSED)
    assert found.estimate == 23
    assert (found.low, found.high) == (13, math.inf)


def test_without_censoring_the_curve_is_the_share_that_is_left() -> None:
    times = np.array([1.0, 2.0, 3.0, 4.0])
    found = survival.kaplan_meier(times, np.ones(4))
    np.testing.assert_allclose(found.at([0, 1, 2.5, 4]), [1, 0.75, 0.5, 0], atol=1e-12)


def test_one_cause_alone_is_one_minus_kaplan_meier() -> None:
    incidence = survival.cumulative_incidence_of_cause(WEEKS, RELAPSED)
    free = survival.kaplan_meier(WEEKS, RELAPSED)
    at = np.arange(0, 36.0)
    np.testing.assert_allclose(incidence.at(at), 1 - free.at(at), atol=1e-12)


def test_competing_causes_and_freedom_from_all_add_to_one() -> None:
    rng = np.random.default_rng(3)
    days, causes = rng.integers(1, 40, 300).astype(float), rng.integers(0, 3, 300)
    at = np.arange(0, 41.0)
    total = sum(
        survival.cumulative_incidence_of_cause(days, causes, cause).at(at) for cause in (1, 2)
    )
    free = survival.kaplan_meier(days, causes > 0).at(at)
    np.testing.assert_allclose(total + free, 1.0, atol=1e-12)


def test_incidence_and_interval_equal_lifelines_without_ties() -> None:
    from lifelines import AalenJohansenFitter

    rng = np.random.default_rng(4)
    days, causes = rng.exponential(size=150), rng.integers(0, 3, 150)
    found = survival.cumulative_incidence_of_cause(days, causes)
    exact = AalenJohansenFitter().fit(days, causes, event_of_interest=1)
    curve, interval = exact.cumulative_density_.iloc[:, 0], exact.confidence_interval_
    np.testing.assert_allclose(found.at(curve.index), curve, atol=1e-12)
    place = np.searchsorted(found.times, interval.index, side="right") - 1
    known = ~interval.iloc[:, 0].isna().to_numpy()
    # Before its first event of the cause lifelines gives no interval.
    np.testing.assert_allclose(found.low[place][known], interval.iloc[:, 0][known], atol=1e-12)
    np.testing.assert_allclose(found.high[place][known], interval.iloc[:, 1][known], atol=1e-12)


def test_no_event_at_all_is_a_flat_curve() -> None:
    found = survival.cumulative_incidence_of_cause([3.0, 5.0], [0, 0])
    np.testing.assert_array_equal(found.at([0, 10]), [0, 0])


def test_hazard_ratio_recovers_a_known_one() -> None:
    rng = np.random.default_rng(5)
    arm = np.repeat([0, 1], 2000)
    days = rng.exponential(size=4000) / np.where(arm, 2.0, 1.0)
    found = survival.hazard_ratio(days, np.ones(4000), arm)
    assert found.low < 2.0 < found.high
    assert found.estimate == pytest.approx(2.0, rel=0.15)  # about five standard errors of the log
    nobody = survival.hazard_ratio(days, arm, arm)
    assert math.isnan(nobody.estimate)


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="events"):
        survival.kaplan_meier([1.0, 2.0], [1])

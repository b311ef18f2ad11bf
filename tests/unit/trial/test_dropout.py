"""Patients leave at the stated rates, for the stated reasons, with the same draws in every arm."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from immunostat.base.errors import InputError, RangeError
from immunostat.trial.conditions import parse_condition
from immunostat.trial.dropout import (
    BackgroundDropout,
    Happenings,
    LackOfEffectDropout,
    SideEffectDropout,
    dropout_times,
    missing_visits,
    observed_until,
)

DAYS = np.array([0.0, 28.0, 84.0, 168.0])
N = 4000
NUMBERS = np.arange(N)
NO_EFFECT = parse_condition("change > -0.6")


def within_chance(count: int, n: int, probability: float) -> bool:
    """Whether a count is one of the middle 99.9 % of its binomial distribution."""
    low, high = stats.binom.interval(0.999, n, probability)
    return bool(low <= count <= high)


def test_a_constant_hazard_loses_one_minus_exp_of_hazard_times_time() -> None:
    cause = BackgroundDropout(0.3)
    gone = dropout_times([cause], NUMBERS, 5, DAYS)
    for day in (28.0, 168.0, 730.5):
        expected = 1 - np.exp(-0.3 * day / 365.25)
        assert within_chance(int(np.sum(gone.time_day <= day)), N, expected)
    assert stats.kstest(gone.time_day * 0.3 / 365.25, "expon").pvalue > 1e-3


def test_a_share_by_a_day_is_the_hazard_that_loses_it() -> None:
    cause = BackgroundDropout.by(0.25, 168.0)
    assert 1 - np.exp(-cause.rate_per_year * 168 / 365.25) == pytest.approx(0.25, rel=1e-12)


def test_a_multiplier_multiplies_the_hazard_of_each_patient() -> None:
    factor = np.where(NUMBERS % 2, 3.0, 1.0)
    base = dropout_times([BackgroundDropout(0.3)], NUMBERS, 5, DAYS)
    faster = dropout_times(
        [BackgroundDropout(0.3)], NUMBERS, 5, DAYS, multipliers={"other reason": factor}
    )
    # the same draw at three times the hazard comes at a third of the time
    np.testing.assert_allclose(faster.time_day * factor, base.time_day, rtol=1e-12)


def test_lack_of_effect_at_probability_one_removes_exactly_those_who_lack_it() -> None:
    change = np.array([[0, 0, -1, -1], [0, 0, 0.0, 0], [0, -1, np.nan, 0], [0, -1, -1, np.nan]])
    cause = LackOfEffectDropout(NO_EFFECT, 1.0, from_day=84.0)
    gone = dropout_times([cause], np.arange(4), 1, DAYS, {"change": change})
    np.testing.assert_array_equal(gone.time_day, [np.inf, 84.0, 168.0, np.inf])
    np.testing.assert_array_equal(gone.cause, [-1, 0, 0, -1])


def test_lack_of_effect_leaves_with_its_probability_at_each_visit() -> None:
    cause = LackOfEffectDropout(NO_EFFECT, 0.3, from_day=28.0)
    gone = dropout_times([cause], NUMBERS, 9, DAYS, {"change": np.zeros((N, 4))})
    for visits, day in ((1, 28.0), (2, 84.0), (3, 168.0)):
        assert within_chance(int(np.sum(gone.time_day <= day)), N, 1 - 0.7**visits)


def test_side_effects_make_patients_leave_at_the_event_and_by_grade() -> None:
    row = np.repeat(NUMBERS, 2)
    time = np.tile([10.0, 50.0], N)
    grade = np.tile([2.0, 3.0], N)
    seen = {"infection": Happenings(row, time, grade)}
    severe = dropout_times([SideEffectDropout("infection", 1.0, 3.0)], NUMBERS, 2, DAYS, None, seen)
    assert np.all(severe.time_day == 50.0)
    some = dropout_times([SideEffectDropout("infection", 0.4)], NUMBERS, 2, DAYS, None, seen)
    assert within_chance(int(np.sum(some.time_day == 10.0)), N, 0.4)
    assert within_chance(int(np.sum(some.time_day == 50.0)), N, 0.6 * 0.4)
    turned = {"infection": Happenings(row[::-1], time[::-1], grade[::-1])}
    again = dropout_times([SideEffectDropout("infection", 0.4)], NUMBERS, 2, DAYS, None, turned)
    np.testing.assert_array_equal(again.time_day, some.time_day)


def test_the_earliest_cause_wins_and_shares_add_up() -> None:
    causes = [
        BackgroundDropout(1.0),
        BackgroundDropout(2.0, "moved away"),
        LackOfEffectDropout(NO_EFFECT, 0.2),
    ]
    together = dropout_times(causes, NUMBERS, 3, DAYS, {"change": np.zeros((N, 4))})
    alone = [dropout_times([c], NUMBERS, 3, DAYS, {"change": np.zeros((N, 4))}) for c in causes]
    np.testing.assert_array_equal(together.time_day, np.min([a.time_day for a in alone], axis=0))
    # two constant hazards: the cause is independent of the time, in the ratio of the hazards
    two = dropout_times(causes[:2], NUMBERS, 3, DAYS)
    assert within_chance(int(np.sum(two.cause == 1)), N, 2 / 3)
    assert sum(together.share_by(168.0).values()) == pytest.approx(
        np.mean(together.time_day <= 168.0)
    )


def test_arms_with_the_same_data_lose_the_same_patients_whatever_their_company() -> None:
    causes = [BackgroundDropout(0.5), LackOfEffectDropout(NO_EFFECT, 0.3)]
    change = np.sin(np.arange(N * 4)).reshape(N, 4)
    whole = dropout_times(causes, NUMBERS, 3, DAYS, {"change": change})
    own = np.array([7, 3999, 12])
    few = dropout_times(causes, own, 3, DAYS, {"change": change[own]})
    np.testing.assert_array_equal(few.time_day, whole.time_day[own])
    better = change.copy()
    better[0] = -5.0  # one patient does well in the other arm: only he can differ
    other = dropout_times(causes, NUMBERS, 3, DAYS, {"change": better})
    np.testing.assert_array_equal(other.time_day[1:], whole.time_day[1:])
    assert other.time_day[0] >= whole.time_day[0]


def test_missed_visits_have_their_share_and_spare_the_first() -> None:
    missed = missing_visits(0.1, NUMBERS, 4, 5)
    assert not missed[:, 0].any()
    assert within_chance(int(missed[:, 1:].sum()), N * 4, 0.1)
    np.testing.assert_array_equal(missing_visits(0.1, NUMBERS, 4, 9)[:, :5], missed)


def test_nothing_is_seen_after_leaving_but_the_visit_of_leaving_is() -> None:
    seen = observed_until(np.ones((3, 4)), DAYS, [84.0, 83.0, np.inf])
    np.testing.assert_array_equal(np.isfinite(seen).sum(axis=1), [3, 2, 4])


def test_errors_name_the_cause_and_the_way_out() -> None:
    with pytest.raises(RangeError, match="no probability"):
        SideEffectDropout("infection", 1.2)
    with pytest.raises(InputError, match="looks at 'change'"):
        dropout_times([LackOfEffectDropout(NO_EFFECT)], [1], 1, DAYS, {"Change": np.zeros((1, 4))})
    with pytest.raises(InputError, match="did you mean 'infection'"):
        dropout_times(
            [SideEffectDropout("infecton")],
            [1],
            1,
            DAYS,
            None,
            {"infection": Happenings(np.array([0]), np.array([1.0]))},
        )
    with pytest.raises(InputError, match="same name"):
        dropout_times([BackgroundDropout(1.0), BackgroundDropout(2.0)], [1], 1, DAYS)

"""Days of events that visits find, where patients come on days of their own."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.outcomes.event_summary import median_times
from immunostat.outcomes.event_times import EventTimes
from immunostat.study.staggered_visits import staggered

VISITS = np.arange(0.0, 561.0, 28.0)


def found(true_day: np.ndarray) -> EventTimes:
    """Events that happened on some days, found at the next visit."""
    day = VISITS[np.minimum(np.searchsorted(VISITS, true_day), len(VISITS) - 1)]
    nobody = np.full(len(day), np.nan)
    return EventTimes(
        np.where(true_day <= VISITS[-1], day, np.nan), np.full(len(day), 560.0), nobody
    )


def test_the_median_is_that_of_patients_who_come_on_days_of_their_own():
    """Exponential times, each patient seen every 28 days from a random day on."""
    rng = np.random.default_rng(5)
    n = 40_000
    true_day = rng.exponential(150.0, n)
    start = rng.uniform(0.0, 28.0, n)
    seen = start + 28.0 * np.ceil((true_day - start) / 28.0)
    own = staggered(found(true_day), VISITS, np.arange(1, n + 1), 3)
    # 1.5 days: three standard errors of a median of 40 000 (150/sqrt(n) = 0.75 each, of two)
    # and what a density that is level within an interval leaves out.
    assert median_times(own, [560.0])[0].estimate == pytest.approx(np.median(seen), abs=3.0)
    # On the planned days the median is a visit and nothing else.
    on_grid = median_times(found(true_day), [560.0])[0].estimate
    assert on_grid % 28.0 == 0.0


def test_no_time_is_longer_or_shorter_on_average():
    n = 20_000
    own = found(np.full(n, 100.0))
    moved = staggered(own, VISITS, np.arange(1, n + 1), 3).first_day
    # The triangle of 28 days on either side has a standard deviation of 28/sqrt(6).
    assert moved.mean() == pytest.approx(112.0, abs=3 * 28 / np.sqrt(6 * n))
    assert moved.min() > 84.0
    assert moved.max() < 140.0


def test_deaths_and_patients_without_an_event_stay_where_they_are():
    times = EventTimes(np.array([100.3, np.nan, 0.0, 112.0]), np.full(4, 560.0), np.full(4, np.nan))
    moved = staggered(times, VISITS, np.arange(1, 5), 3).first_day
    assert moved[0] == 100.3
    assert np.isnan(moved[1])
    assert moved[2] == 0.0
    assert moved[3] != 112.0


def test_a_patient_keeps_his_days_beside_others():
    day = np.full(5, 112.0)
    nobody = np.full(5, np.nan)
    times = EventTimes(day, np.full(5, 560.0), nobody)
    numbers = np.arange(1, 6)
    whole = staggered(times, VISITS, numbers, 3).first_day
    part = staggered(times.kept(numbers > 3), VISITS, numbers[3:], 3).first_day
    assert part.tolist() == whole[3:].tolist()

"""Drawn events obey the laws of a Poisson process and belong to the patient."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from immunostat.base.errors import ShapeError
from immunostat.outcomes import events
from immunostat.outcomes.hazards import DAYS_PER_YEAR, cumulative_hazard

N = 20_000
PATIENTS = np.arange(N)
TIMES = np.linspace(0.0, 100.0, 41)


def constant(rate: float, n: int = N) -> np.ndarray:
    return np.full((n, len(TIMES)), rate)


def test_a_constant_hazard_gives_exponential_times() -> None:
    rate = 0.3
    found = events.draw_events("e", constant(rate), TIMES, 1, PATIENTS)
    # exp(-30) of the patients are censored: none.
    assert found.has_event.all()
    assert stats.kstest(found.first, stats.expon(scale=1 / rate).cdf).pvalue > 1e-4


def test_times_between_recurrent_events_are_exponential_too() -> None:
    found = events.draw_events("e", constant(0.3, 200), TIMES, 2, np.arange(200))
    same = np.diff(found.event_row) == 0
    gaps = np.diff(found.event_time)[same]
    # Censoring at day 100 hides some long gaps, about 1 in 30: compare the first halves only.
    early = gaps[found.event_time[:-1][same] < 60]
    assert stats.kstest(early, stats.expon(scale=1 / 0.3).cdf).pvalue > 1e-4


def test_a_changing_hazard_gives_unit_exponentials_after_time_is_stretched() -> None:
    hazard = np.tile(0.02 + 0.1 * np.abs(np.sin(TIMES / 15)), (N, 1))
    found = events.draw_events("e", hazard, TIMES, 3, PATIENTS)
    fine = np.linspace(0, 100, 400_001)
    rate = np.interp(fine, TIMES, hazard[0])
    total = cumulative_hazard(rate[None], fine)[0]
    stretched = np.interp(found.first[found.has_event], fine, total)
    limit = stats.truncexpon(total[-1])
    assert stats.kstest(stretched, limit.cdf).pvalue > 1e-4


def test_drawn_events_average_to_the_expected_number() -> None:
    hazard = np.outer(np.linspace(0.001, 0.05, N), 1 + TIMES / 100)
    found = events.draw_events("e", hazard, TIMES, 4, PATIENTS)
    expected = found.expected.sum()
    # The sum is Poisson: five standard errors.
    assert abs(found.counts.sum() - expected) < 5 * math.sqrt(expected)
    np.testing.assert_allclose(found.expected, cumulative_hazard(hazard, TIMES)[:, -1], rtol=1e-12)
    assert found.counts.sum() == len(found.event_time)


def test_without_hazard_nothing_happens() -> None:
    found = events.draw_events("e", constant(0.0), TIMES, 1, PATIENTS)
    assert found.counts.sum() == 0
    assert np.isnan(found.first).all()
    np.testing.assert_array_equal(found.durations, 100.0)
    assert events.incidence(found).estimate == 0
    assert events.expected_incidence(found) == 0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), shape=st.lists(st.floats(0, 0.2), min_size=41, max_size=41))
def test_a_doubled_hazard_moves_every_patients_events_forward(
    seed: int, shape: list[float]
) -> None:
    hazard = np.tile(shape, (50, 1))
    one = events.draw_events("e", hazard, TIMES, seed, np.arange(50))
    two = events.draw_events("e", 2 * hazard, TIMES, seed, np.arange(50))
    assert np.all(two.counts >= one.counts)
    had = one.has_event
    # Rounding of a root: one part in 1e9 of 100 days.
    assert np.all(two.first[had] <= one.first[had] + 1e-7)


def test_a_doubled_constant_hazard_halves_the_time() -> None:
    one = events.draw_events("e", constant(0.3, 100), TIMES, 5, PATIENTS[:100])
    two = events.draw_events("e", constant(0.6, 100), TIMES, 5, PATIENTS[:100])
    np.testing.assert_allclose(two.first, one.first / 2, rtol=1e-9)


def test_a_patient_keeps_his_events_in_any_company_and_grid() -> None:
    all_of_them = events.draw_events("e", constant(0.05, 500), TIMES, 6, PATIENTS[:500])
    alone = events.draw_events("e", constant(0.05, 1), TIMES, 6, np.array([321]))
    np.testing.assert_array_equal(
        alone.event_time, all_of_them.event_time[all_of_them.event_row == 321]
    )
    coarse = events.draw_events("e", np.full((1, 2), 0.05), TIMES[[0, -1]], 6, np.array([321]))
    np.testing.assert_allclose(coarse.event_time, alone.event_time, rtol=1e-9)


def test_other_events_and_seeds_are_other_numbers() -> None:
    base = events.draw_events("e", constant(0.3), TIMES, 1, PATIENTS)
    for other in (
        events.draw_events("f", constant(0.3), TIMES, 1, PATIENTS),
        events.draw_events("e", constant(0.3), TIMES, 2, PATIENTS),
    ):
        assert abs(np.corrcoef(base.first, other.first)[0, 1]) < 5 / math.sqrt(N)


def test_nothing_is_seen_after_the_end_of_follow_up() -> None:
    end = np.linspace(0, 120, 1000)
    full = events.draw_events("e", constant(0.05, 1000), TIMES, 7, PATIENTS[:1000])
    cut = events.draw_events("e", constant(0.05, 1000), TIMES, 7, PATIENTS[:1000], end)
    np.testing.assert_array_equal(cut.follow_up, np.minimum(end, 100))
    np.testing.assert_allclose(cut.expected, 0.05 * cut.follow_up, rtol=1e-12)
    kept = full.event_time <= cut.follow_up[full.event_row]
    np.testing.assert_array_equal(cut.event_time, full.event_time[kept])


def test_a_failed_patient_is_censored_where_he_failed() -> None:
    hazard = constant(0.05, 200)
    hazard[::2, 20:] = np.nan  # known to day 47.5
    hazard[1, :] = np.nan
    found = events.draw_events("e", hazard, TIMES, 8, PATIENTS[:200])
    assert np.all(found.follow_up[::2] == 47.5)
    assert found.follow_up[1] == 0
    assert found.follow_up[3] == 100
    assert found.expected[1] == 0
    assert np.isfinite(found.event_time).all()
    assert np.all(found.event_time <= found.follow_up[found.event_row])
    np.testing.assert_allclose(found.expected[::2], 0.05 * 47.5, rtol=1e-12)


def test_events_come_sorted_and_the_first_is_the_first() -> None:
    found = events.draw_events("e", constant(0.05, 300), TIMES, 9, PATIENTS[:300])
    assert np.all(np.diff(found.event_row) >= 0)
    assert np.all(np.diff(found.event_time)[np.diff(found.event_row) == 0] >= 0)
    for row in range(300):
        own = found.event_time[found.event_row == row]
        assert len(own) == found.counts[row]
        if len(own):
            assert found.first[row] == own.min()


def test_incidence_counts_time_at_risk_and_agrees_with_the_rate() -> None:
    rate = 4.0 / 100 / DAYS_PER_YEAR
    times = np.array([0.0, 365.25])
    found = events.draw_events("e", np.full((N, 2), rate), times, 10, PATIENTS)
    first, every = events.incidence(found), events.incidence(found, is_first_only=False)
    assert events.expected_incidence(found) == pytest.approx(4.0)
    assert every.low < 4.0 < every.high
    assert first.low < 4.0 < first.high
    assert found.durations.sum() < found.follow_up.sum()


def test_follow_up_may_start_at_any_day() -> None:
    late = events.draw_events("e", constant(0.3, 100), TIMES + 28, 1, PATIENTS[:100])
    early = events.draw_events("e", constant(0.3, 100), TIMES, 1, PATIENTS[:100])
    np.testing.assert_allclose(late.first, early.first + 28, rtol=1e-12)
    np.testing.assert_allclose(late.durations, early.durations, rtol=1e-9)


def test_a_very_high_hazard_gets_all_its_events() -> None:
    found = events.draw_events("e", constant(5.0, 20), TIMES, 1, PATIENTS[:20])
    assert abs(found.counts.sum() - 10_000) < 5 * 100


def test_patients_must_match_the_hazard() -> None:
    with pytest.raises(ShapeError, match="patients"):
        events.draw_events("e", constant(1.0, 3), TIMES, 1, [1, 2])
    with pytest.raises(ShapeError, match="follow-up"):
        events.draw_events("e", constant(1.0, 3), TIMES, 1, [1, 2, 3], [4.0])

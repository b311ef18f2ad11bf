"""Signals of drugs, single doses, severity: laws that can be written down by hand."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import InputError
from immunostat.outcomes import signals
from immunostat.outcomes.dose_events import (
    DoseRisk,
    dose_events,
    with_dose_events,
    without_overlap,
)
from immunostat.outcomes.drivers import (
    BackgroundTable,
    CovariateDriver,
    DriverForm,
    SignalDriver,
    StateDriver,
    from_points,
    late,
)
from immunostat.outcomes.events import draw_events
from immunostat.outcomes.hazards import DAYS_PER_YEAR, Hazard, hazard_parts
from immunostat.outcomes.severity import Severity, grade_events
from immunostat.outcomes.signals import DoseCourse

TIMES = np.linspace(0.0, 364.0, 105)
N = 400
NUMBERS = np.arange(N)
FLAT = np.ones((N, len(TIMES)))


def weekly(n: int, rows: int = 1, lasting: float = 30.0) -> DoseCourse:
    """Doses of 10 mg once a week."""
    times = 7.0 * np.arange(n)
    return DoseCourse("example", times, np.full((rows, n), 10.0), ("oral",) * n, lasting)


def test_a_drug_is_in_use_from_its_first_dose_until_its_last_one_has_faded() -> None:
    use = signals.in_use(weekly(4), TIMES)[0]
    np.testing.assert_array_equal(use, (TIMES < 21.0 + 30.0).astype(float))


def test_a_missed_dose_ends_use_only_for_who_missed_it() -> None:
    course = weekly(10, rows=2, lasting=10.0)
    course.mg[1, 5:] = 0.0
    use = signals.in_use(course, TIMES)
    assert use[0, TIMES == 63.0] == 1
    assert use[1, TIMES == 63.0] == 0


def test_the_dose_rate_is_dose_over_interval() -> None:
    rate = signals.dose_rate(weekly(10), TIMES)[0]
    np.testing.assert_allclose(rate[TIMES <= 63.0], 10.0 / 7.0)


def test_a_background_is_always_in_use_and_has_no_known_dose() -> None:
    course = DoseCourse.background("methotrexate")
    assert signals.in_use(course, TIMES).min() == 1
    assert signals.dose_rate(course, TIMES).max() == 0


def test_total_dose_and_time_in_use_add_up() -> None:
    course = weekly(53)
    assert signals.total_dose(course, TIMES)[0, -1] == 530.0
    years = signals.time_in_use(signals.in_use(course, TIMES), TIMES)
    np.testing.assert_allclose(years[0, -1], 364.0 / DAYS_PER_YEAR)


def test_tolerance_halves_what_fades_in_a_half_life() -> None:
    use = np.ones((1, len(TIMES)))
    found = signals.tolerated(use, TIMES, half_life_day=28.0, left=0.2)[0]
    np.testing.assert_allclose(found[TIMES == 28.0], 0.2 + 0.8 * 0.5)
    assert found[0] == 1


def test_a_running_mean_of_a_constant_is_the_constant() -> None:
    found = signals.running_mean(3.0 * FLAT, TIMES, 28.0)
    np.testing.assert_allclose(found, 3.0)


def test_a_delay_follows_a_step_as_one_minus_exp() -> None:
    step = np.ones((1, len(TIMES)))
    found = late(step, TIMES, delay_day=50.0)[0]
    np.testing.assert_allclose(found, 1.0 - np.exp(-TIMES / 50.0), rtol=1e-12, atol=1e-14)


def test_a_lag_shifts_a_ramp() -> None:
    found = late(TIMES[None, :].copy(), TIMES, lag_day=35.0)[0]
    np.testing.assert_allclose(found, np.maximum(TIMES - 35.0, 0.0))


def test_a_table_is_straight_between_logarithms_and_flat_beyond() -> None:
    found = from_points(((0.0, 1.0), (2.0, 4.0)), np.array([-1.0, 0.0, 1.0, 2.0, 9.0]))
    np.testing.assert_allclose(found, [1.0, 1.0, 2.0, 4.0, 4.0])


def test_background_by_age_and_sex_takes_its_reference_where_it_is_not_known() -> None:
    table = BackgroundTable((40.0, 60.0), (1.0, 4.0), (2.0, 2.0), age=50.0, female=0.5)
    np.testing.assert_allclose(table.rate({"age": [50.0, 60.0], "female": [0.0, 1.0]}, 2), [2, 2])
    np.testing.assert_allclose(table.rate({}, 1), [2.0])


def test_parts_of_a_hazard_add_up_to_it() -> None:
    hazard = Hazard(
        "e",
        2.0,
        (CovariateDriver("c", DriverForm.FACTOR, 3.0),),
        (StateDriver("s", DriverForm.LOSS, 1.0),),
        (
            SignalDriver("target", DriverForm.FACTOR, 2.0, is_own=False),
            SignalDriver("own", DriverForm.ADDED, 5.0),
        ),
    )
    one = np.ones((1, len(TIMES)))
    parts = hazard_parts(
        hazard,
        {"c": np.ones(N)},
        {"s": 0.5 * FLAT},
        {"s": FLAT},
        FLAT.shape,
        {"target": one, "own": one},
    )
    per_day = 1 / 100 / DAYS_PER_YEAR
    np.testing.assert_allclose(parts.background, 2.0 * 3.0 * per_day)
    np.testing.assert_allclose(parts.mechanism, 2.0 * 3.0 * 1.5 * 2.0 * per_day)
    np.testing.assert_allclose(parts.rate, (2.0 + 5.0) * 3.0 * 1.5 * 2.0 * per_day)


def test_an_unknown_indicator_gives_everybody_the_mean_factor() -> None:
    driver = CovariateDriver("latent", DriverForm.FACTOR, 11.0, share=0.1)
    parts = hazard_parts(Hazard("e", 1.0, (driver,)), {}, {}, {}, FLAT.shape)
    np.testing.assert_allclose(parts.rate * DAYS_PER_YEAR * 100, 2.0)


@pytest.mark.parametrize(
    ("form", "effect"), [(DriverForm.FACTOR, 2.5), (DriverForm.PROPORTIONAL, 1.5)]
)
def test_people_of_the_background_have_its_rate_whoever_has_the_factor(
    form: DriverForm, effect: float
) -> None:
    driver = CovariateDriver("c", form, effect, background_share=0.25)
    people = np.zeros(N)
    people[: N // 4] = 1.0
    parts = hazard_parts(Hazard("e", 2.0, (driver,)), {"c": people}, {}, {}, FLAT.shape)
    rate = parts.rate[:, 0] * DAYS_PER_YEAR * 100
    np.testing.assert_allclose(rate.mean(), 2.0, rtol=1e-12)
    np.testing.assert_allclose(rate[0] / rate[-1], 2.5, rtol=1e-12)


def test_unasked_people_with_as_many_as_the_background_have_its_rate() -> None:
    driver = CovariateDriver("c", DriverForm.FACTOR, 3.0, share=0.3, background_share=0.3)
    parts = hazard_parts(Hazard("e", 2.0, (driver,)), {}, {}, {}, FLAT.shape)
    np.testing.assert_allclose(parts.rate * DAYS_PER_YEAR * 100, 2.0, rtol=1e-12)


def test_a_share_of_the_background_lies_between_none_and_all() -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        CovariateDriver("c", DriverForm.FACTOR, 3.0, background_share=1.2)


def test_each_dose_has_its_chance_and_keeps_its_draw_when_it_comes_later() -> None:
    risk, end = DoseRisk((0.5, 0.1), within_day=1.0), np.full(N, 364.0)
    early = dose_events("e", weekly(2), risk, FLAT, TIMES, 1, NUMBERS, end)
    np.testing.assert_allclose(early.expected, 0.6)
    np.testing.assert_allclose(-np.expm1(-early.hazard), 1.0 - 0.5 * 0.9)
    moved = DoseCourse("example", np.array([70.0, 77.0]), np.full((1, 2), 5.0), ("oral",) * 2, 30.0)
    later = dose_events("e", moved, risk, FLAT, TIMES, 1, NUMBERS, end)
    np.testing.assert_array_equal(early.row, later.row)
    np.testing.assert_allclose(later.day - early.day, 70.0)
    assert 0.4 < np.mean(early.day < 7.0) * len(early.row) / N < 0.6


def test_only_the_first_dose_of_a_course_counts() -> None:
    times = np.array([0.0, 1.0, 2.0, 364.0 / 2])
    course = DoseCourse("example", times, np.ones((1, 4)), ("intravenous",) * 4, 30.0)
    risk = DoseRisk((0.8, 0.6), 1.0, course_gap_day=60.0)
    found = dose_events("e", course, risk, FLAT, TIMES, 1, NUMBERS, np.full(N, 364.0))
    np.testing.assert_allclose(found.expected, 1.4)


def test_dose_events_do_not_depend_on_who_else_is_there() -> None:
    risk, course = DoseRisk((0.3,), 1.0), weekly(20)
    whole = dose_events("e", course, risk, FLAT, TIMES, 7, NUMBERS, np.full(N, 364.0))
    some = NUMBERS[100:120]
    part = dose_events("e", course, risk, FLAT[:20], TIMES, 7, some, np.full(20, 364.0))
    own = (whole.row >= 100) & (whole.row < 120)
    order = np.lexsort((whole.day[own], whole.row[own]))
    again = np.lexsort((part.day, part.row))
    np.testing.assert_array_equal(whole.day[own][order], part.day[again])


def test_events_of_doses_and_of_the_hazard_are_put_in_order() -> None:
    events = draw_events("e", 0.01 * FLAT, TIMES, 1, NUMBERS)
    risk = DoseRisk((0.5,), 1.0)
    more = dose_events("e", weekly(10), risk, FLAT, TIMES, 1, NUMBERS, np.full(N, 364.0))
    both = with_dose_events(events, [more])
    assert len(both.event_row) == len(events.event_row) + len(more.row)
    assert np.all(np.diff(both.event_row) >= 0)
    assert np.nanmin(both.first) <= np.nanmin(events.first)
    np.testing.assert_allclose(both.expected, events.expected + more.expected)


def test_an_episode_hides_what_begins_within_it() -> None:
    events = draw_events("e", 0.05 * FLAT, TIMES, 1, NUMBERS)
    kept, index = without_overlap(events, events.event_time + 30.0)
    same = np.diff(kept.event_row) == 0
    assert np.all(np.diff(kept.event_time)[same] >= 30.0)
    assert kept.counts.sum() == len(index) < events.counts.sum()


def test_grades_have_their_shares_and_the_worst_events_are_the_serious_ones() -> None:
    events = draw_events("e", 0.05 * FLAT, TIMES, 1, NUMBERS)
    graded = grade_events(events, Severity({1: 0.6, 2: 0.3, 3: 0.1}, serious=0.05, stops=0.02), 1)
    assert np.mean(graded.grade == 1) == pytest.approx(0.6, abs=0.02)
    assert np.mean(graded.grade == 3) == pytest.approx(0.1, abs=0.02)
    assert set(graded.grade[graded.is_serious]) == {3.0}
    assert np.all(graded.is_serious[graded.stops])

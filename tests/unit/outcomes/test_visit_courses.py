"""What a course of visits says: first events, areas, extremes, and gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immunostat.base.errors import ShapeError
from immunostat.outcomes import survival
from immunostat.outcomes import visit_courses as courses
from immunostat.outcomes.endpoints import EndpointSpec, Observations, evaluate
from immunostat.outcomes.summary import compare, summarize
from immunostat.outcomes.visit_courses import Missing

DAYS = np.array([0.0, 28.0, 56.0, 112.0])
NAN = np.nan
HOLDS = np.array(
    [
        [0, 1, 0, 1],  # once, then again: not confirmed at the next visit
        [0, NAN, 1, 1],
        [0, 1, NAN, 1],  # confirmed at the next visit that was seen
        [0, 0, NAN, NAN],  # lost
        [NAN, NAN, NAN, NAN],
    ]
)


def test_an_event_stays_and_a_lost_patient_is_not_said_to_be_free_of_it() -> None:
    np.testing.assert_array_equal(
        courses.has_happened(HOLDS),
        [[0, 1, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1], [0, 0, NAN, NAN], [NAN] * 4],
    )
    np.testing.assert_array_equal(
        courses.has_happened(HOLDS, is_confirmed=True)[:3],
        [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1]],
    )


def test_times_are_those_of_the_visit_at_which_the_event_was_seen() -> None:
    found = courses.time_to_event(courses.has_happened(HOLDS), DAYS)
    np.testing.assert_array_equal(found.durations, [28, 56, 28, 28, 0])
    np.testing.assert_array_equal(found.is_event, [True, True, True, False, False])


def test_competing_ends_win_unless_the_event_was_first() -> None:
    event = courses.time_to_event(courses.has_happened(HOLDS), DAYS)
    durations, causes = courses.competing_causes(event, [20.0, 56.0, NAN, 40.0, np.inf])
    np.testing.assert_array_equal(causes, [2, 1, 1, 2, 0])
    np.testing.assert_array_equal(durations, [20, 56, 28, 40, 0])


def test_area_of_a_straight_line_is_exact_whatever_visits_are_missed() -> None:
    line = 3.0 + 0.5 * DAYS
    values = np.array([line, line, line])
    values[1, 2] = NAN
    values[2, 0] = NAN
    exact = 3.0 * DAYS + 0.25 * DAYS**2
    found = courses.area(values, DAYS)
    np.testing.assert_allclose(found[0], exact, rtol=1e-14)
    np.testing.assert_allclose(found[1], np.where([1, 1, 0, 1], exact, NAN), rtol=1e-14)
    assert np.isnan(found[2]).all()  # without a baseline there is no start
    # the average of a line is its value in the middle
    average = courses.average(values, DAYS)[0]
    np.testing.assert_allclose(average, 3.0 + 0.25 * DAYS, rtol=1e-14)


@given(st.lists(st.one_of(st.floats(-9, 9), st.just(NAN)), min_size=1, max_size=8))
def test_carrying_forward_fills_all_but_the_start_and_changes_nothing_seen(
    row: list[float],
) -> None:
    values = np.array([row])
    filled = courses.imputed(values, Missing.LAST)
    seen = ~np.isnan(values)
    np.testing.assert_array_equal(filled[seen], values[seen])
    assert np.all(np.isnan(filled) == ~np.logical_or.accumulate(seen, axis=1))
    # twice is once
    np.testing.assert_array_equal(courses.imputed(filled, Missing.LAST), filled)
    assert not np.isnan(courses.imputed(values, Missing.NON_RESPONSE)).any()


def seen(**components: np.ndarray) -> Observations:
    return Observations(DAYS, components)


X = np.array([[10.0, 4.0, 6.0, 3.0], [10.0, 12.0, NAN, 8.0]])


def test_kinds_read_components_and_other_endpoints() -> None:
    inner = EndpointSpec("low", "below", {"value": "x"}, level=5.0)
    first = EndpointSpec("time to low", "time_to_event", of=inner)
    np.testing.assert_array_equal(evaluate(first, seen(x=X)), [[0, 1, 1, 1], [0, 0, 0, 0]])
    change = EndpointSpec("change", "change", {"value": "x"})
    area = EndpointSpec("area", "area", of=change)
    np.testing.assert_allclose(
        evaluate(area, seen(x=X)), courses.area(X - X[:, :1], DAYS), rtol=1e-14
    )
    lowest = EndpointSpec("lowest", "lowest", {"value": "x"})
    highest = EndpointSpec("highest", "highest", {"value": "x"})
    np.testing.assert_array_equal(evaluate(lowest, seen(x=X)), [[NAN, 4, 4, 3], [NAN, 12, 12, 8]])
    np.testing.assert_array_equal(evaluate(highest, seen(x=X)), [[NAN, 4, 6, 6], [NAN, 12, 12, 12]])


def test_what_holds_at_baseline_is_no_event_of_the_treatment() -> None:
    inner = EndpointSpec("high", "above", {"value": "x"}, level=5.0)
    found = evaluate(EndpointSpec("time to high", "time_to_event", of=inner), seen(x=X))
    np.testing.assert_array_equal(found, [[0, 0, 1, 1], [0, 1, 1, 1]])


def test_share_with_the_event_is_kaplan_meier_and_a_plain_share_without_losses() -> None:
    rng = np.random.default_rng(3)
    holds = (rng.random((200, 4)) < 0.3).astype(float)
    holds[:, 0] = 0
    spec = EndpointSpec("event", "time_to_event", {"value": "x"})
    values = evaluate(spec, seen(x=holds))
    rows = summarize(spec, values, DAYS, "arm")
    np.testing.assert_allclose([row.estimate for row in rows], values.mean(axis=0), atol=1e-12)
    lost = holds.copy()
    lost[:80, 3] = NAN
    values = evaluate(spec, seen(x=lost))
    event = courses.time_to_event(values, DAYS)
    curve = survival.kaplan_meier(event.durations, event.is_event)
    last = summarize(spec, values, DAYS, "arm")[-1]
    assert last.estimate == pytest.approx(1 - curve.at(112.0), rel=1e-12)
    assert last.low < last.estimate < last.high


def test_difference_of_incidences_without_losses_is_that_of_proportions() -> None:
    rng = np.random.default_rng(4)
    spec = EndpointSpec("event", "time_to_event", {"value": "x"})
    arms = []
    for share in (0.3, 0.1):
        holds = (rng.random((150, 4)) < share).astype(float)
        holds[:, 0] = 0
        arms.append(evaluate(spec, seen(x=holds)))
    row = compare(spec, arms[0], arms[1], DAYS, ("a", "b"))[-1]
    p, q = (arm[:, -1].mean() for arm in arms)
    error = np.sqrt(p * (1 - p) / 150 + q * (1 - q) / 150)  # Greenwood without losses
    assert row.estimate == pytest.approx(p - q, rel=1e-12)
    assert row.high - row.low == pytest.approx(2 * 1.959964 * error, rel=1e-6)


def test_log_rank_and_cox_agree_in_direction_and_null_gives_one() -> None:
    time, event = np.array([1.0, 2, 3, 4] * 2), np.ones(8)
    arm = np.repeat([1, 0], 4)
    assert survival.log_rank(time, event, arm) == pytest.approx(1.0)
    assert survival.log_rank(time + 9 * arm, event, arm) < 0.01
    assert np.isnan(survival.log_rank(time, event * 0, arm))


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError):
        courses.has_happened([0, 1])
    with pytest.raises(ShapeError):
        courses.area(X, DAYS[:2])

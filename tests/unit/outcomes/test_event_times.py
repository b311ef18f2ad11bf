"""Events of the disease obey the laws of their hazards; composites, death and confirmation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from immunostat.base.errors import InputError, RangeError
from immunostat.outcomes import event_summary, visit_courses
from immunostat.outcomes.arms import ArmValues, compare_arms
from immunostat.outcomes.endpoints import EndpointSpec, Observations, evaluate, times_of
from immunostat.outcomes.event_arms import risk_ratio
from immunostat.outcomes.event_times import (
    DiseaseCourse,
    EventKind,
    EventTimes,
    draw_course,
    times_at_visits,
)
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.outcomes.summary import summarize

N = 4000
PATIENTS = np.arange(N)
TIMES = np.linspace(0.0, 730.5, 106)
VISITS = np.linspace(0.0, 730.5, 9)
RELAPSE = EventKind("relapse", is_recurrent=True)
ONSET = EventKind("onset")
DEATH = EventKind("death", is_terminal=True)
RATE = EndpointSpec("ARR", "event_rate", events=("relapse",), unit="1/year")


def hazards(relapse: float = 0.5, death: float = 0.2, n: int = N) -> dict[str, np.ndarray]:
    """Constant hazards, given per year."""
    per_day = {"relapse": relapse, "onset": relapse, "death": death}
    return {name: np.full((n, len(TIMES)), own / DAYS_PER_YEAR) for name, own in per_day.items()}


def course(*kinds: EventKind, leaving=None, **rates: float) -> DiseaseCourse:
    return draw_course(kinds, hazards(**rates), TIMES, 1, PATIENTS, leaving)


def seen(own: DiseaseCourse | None, **components: np.ndarray) -> Observations:
    return Observations(VISITS, components, {}, own)


def at_end(spec: EndpointSpec, observations: Observations):
    values, exact = evaluate(spec, observations), times_of(spec, observations)
    return summarize(spec, values, observations.times, "arm", exact=exact)[-1]


def test_a_constant_hazard_gives_the_rate_and_poisson_counts() -> None:
    own = course(RELAPSE)
    row = at_end(RATE, seen(own))
    # 4000 events expected: a standard error of 0.5/sqrt(4000) = 0.008; three of them.
    assert row.estimate == pytest.approx(0.5, abs=0.024)
    assert row.low < row.estimate < row.high
    # Poisson: the variance of counts is their mean, within three standard errors (0.07).
    counts = own.of("relapse").counts
    assert counts.var() == pytest.approx(counts.mean(), abs=0.07)


def test_a_constant_hazard_gives_the_exponential_share_and_median() -> None:
    own = course(DEATH, death=1.0)
    share = at_end(EndpointSpec("m", "event_share", events=("death",)), seen(own))
    # Three standard errors of a share of 0.865 in 4000.
    assert share.estimate == pytest.approx(1 - math.exp(-2.0), abs=0.017)
    time = at_end(EndpointSpec("OS", "event_time", events=("death",), unit="day"), seen(own))
    # The standard error of a median of exponential times is (1/h)/sqrt(n): 5.8 days; three.
    assert time.estimate == pytest.approx(math.log(2) * DAYS_PER_YEAR, abs=17.4)
    mean = at_end(EndpointSpec("t", "event_time", events=("death",), statistic="mean"), seen(own))
    assert mean.statistic == "mean time"
    expected = DAYS_PER_YEAR * (1 - math.exp(-2.0))
    assert mean.estimate == pytest.approx(expected, abs=3 * (mean.high - mean.low) / 3.92)


def test_the_free_share_is_what_the_share_with_an_event_leaves() -> None:
    own = seen(course(RELAPSE, DEATH))
    spec = {"events": ("relapse",)}
    with_event = at_end(EndpointSpec("a", "event_share", **spec), own)
    free = at_end(EndpointSpec("b", "event_free", **spec), own)
    assert free.estimate == pytest.approx(1 - with_event.estimate, abs=1e-12)
    assert free.low == pytest.approx(1 - with_event.high, abs=1e-12)


def test_death_competes_with_an_event() -> None:
    own = seen(course(ONSET, DEATH, relapse=0.5, death=0.5))
    row = at_end(EndpointSpec("a", "event_share", events=("onset",)), own)
    # Two equal hazards share what happens: (1 - exp(-2)) / 2 = 0.432; three standard errors.
    assert row.estimate == pytest.approx((1 - math.exp(-2.0)) / 2, abs=0.0235)
    assert "Aalen-Johansen" in row.method


def test_nothing_happens_after_death_or_leaving() -> None:
    leaving = np.where(PATIENTS % 2 == 0, 100.0, np.inf)
    own = course(RELAPSE, ONSET, DEATH, leaving=leaving, relapse=3.0, death=1.0)
    assert (own.end_day[::2] <= 100.0).all()
    died = ~np.isnan(own.died_day)
    assert np.array_equal(own.end_day[died], own.died_day[died])
    for name in ("relapse", "onset", "death"):
        events = own.of(name)
        assert (events.event_time <= own.end_day[events.event_row] + 1e-9).all()
    assert set(own.died_of[died]) == {"death"}
    assert own.of("death").counts.sum() == died.sum()
    # Of those who stayed alone the same events are drawn as if nobody had left.
    whole = course(RELAPSE, ONSET, DEATH, relapse=3.0, death=1.0)
    assert np.array_equal(own.died_day[1::2], whole.died_day[1::2], equal_nan=True)
    assert np.array_equal(own.of("relapse").counts[1::2], whole.of("relapse").counts[1::2])


def test_an_event_that_is_not_recurrent_counts_once_and_ends_its_own_time_at_risk() -> None:
    own = course(ONSET, relapse=2.0).of("onset")
    assert own.counts.max() == 1
    rate = own.counts.sum() / (own.follow_up.sum() / DAYS_PER_YEAR)
    # About 3900 events: three standard errors of the rate.
    assert rate == pytest.approx(2.0, abs=0.1)
    assert own.expected.sum() == pytest.approx(2.0 * own.follow_up.sum() / DAYS_PER_YEAR)


def test_patients_are_drawn_the_same_in_any_part() -> None:
    whole = course(RELAPSE, DEATH)
    half = draw_course((RELAPSE, DEATH), hazards(n=N // 2), TIMES, 1, PATIENTS[N // 2 :])
    assert np.array_equal(whole.died_day[N // 2 :], half.died_day, equal_nan=True)
    assert np.array_equal(whole.of("relapse").counts[N // 2 :], half.of("relapse").counts)
    kept = whole.kept(PATIENTS >= N // 2)
    assert np.array_equal(kept.of("relapse").event_row, half.of("relapse").event_row)
    assert np.array_equal(kept.of("relapse").event_time, half.of("relapse").event_time)


def test_a_higher_hazard_brings_the_same_events_forward() -> None:
    low, high = course(DEATH, death=0.2).died_day, course(DEATH, death=0.4).died_day
    both = ~np.isnan(low)
    assert (high[both] < low[both]).all()


def test_a_composite_is_the_first_of_its_events() -> None:
    own = course(ONSET, DEATH)
    together = times_of(EndpointSpec("PFS", "event_time", events=("onset", "death")), seen(own))
    assert together is not None
    first = np.fmin(own.of("onset").first, own.of("death").first)
    assert np.array_equal(together.first_day, first, equal_nan=True)
    assert np.isnan(together.other_day).all()


def test_an_endpoint_of_visits_may_be_part_of_a_composite() -> None:
    # Found at the visit of day 10; never found and lost after day 10; never found.
    x = np.array([[0.0, 1.0, 1.0], [0.0, 0.0, np.nan], [0.0, 0.0, 0.0]])
    days = np.array([0.0, 10.0, 20.0])
    progression = EndpointSpec("p", "above", {"value": "x"}, level=0.5)
    spec = EndpointSpec("PFS", "event_time", seen=(progression,))
    found = times_of(spec, Observations(days, {"x": x}))
    assert found is not None
    assert np.array_equal(found.first_day, [10.0, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(found.end_day[1:], [10.0, 20.0])
    assert np.array_equal(
        evaluate(spec, Observations(days, {"x": x})),
        [[0, 1, 1], [0, 0, np.nan], [0, 0, 0]],
        equal_nan=True,
    )


def test_death_after_the_last_visit_still_counts_in_a_composite() -> None:
    days, nothing = np.array([0.0, 10.0]), np.array([np.nan])
    died = draw_course((DEATH,), {"death": np.full((1, 2), 1.0)}, np.array([0.0, 20.0]), 3, [0])
    assert died.died_day[0] < 10.0
    progression = EndpointSpec("p", "above", {"value": "x"}, level=0.5)
    spec = EndpointSpec("PFS", "event_time", events=("death",), seen=(progression,))
    x = {"x": np.array([[0.0, np.nan]])}
    found = times_of(spec, Observations(days, x, {}, died))
    assert found is not None
    assert found.first_day[0] == died.died_day[0]
    alone = times_of(EndpointSpec("TTP", "event_time", seen=(progression,)),
                     Observations(days, x, {}, died))  # fmt: skip
    assert alone is not None
    assert alone.other_day[0] == died.died_day[0]
    assert np.array_equal(alone.first_day, nothing, equal_nan=True)


@pytest.mark.parametrize(
    ("course_of_edss", "expected"),
    [
        ([2, 2, 3, 3, 3, 3], [0, 0, 1, 1, 1, 1]),  # onset at week 24, confirmed
        ([2, 3, 2, 3, 3, 3], [0, 0, 0, 1, 1, 1]),  # the first rise does not last
        ([2, 2, 2, 2, 2, 3], [0, 0, 0, 0, 0, 0]),  # nobody saw it last
        ([2, 2, 2, 3, np.nan, 3], [0, 0, 0, 1, 1, 1]),  # a missed visit does not end it
        ([2, 2, 3, np.nan, np.nan, np.nan], [0, 0, 0, np.nan, np.nan, np.nan]),
        ([np.nan, 3, 3, 3, 3, 3], [0, 0, 0, 0, 0, 0]),  # no value at entry
    ],
)
def test_a_worsening_counts_from_its_onset_if_it_lasts(course_of_edss, expected) -> None:
    days = 84.0 * np.arange(6)
    spec = EndpointSpec("p", "confirmed_worsening", {"value": "x"}, level=1.0, confirm_day=84.0)
    found = evaluate(spec, Observations(days, {"x": np.array([course_of_edss], dtype=float)}))
    if np.isnan(course_of_edss[0]):
        assert not np.any(found == 1)
    else:
        assert np.array_equal(found[0], expected, equal_nan=True)


def test_a_longer_confirmation_needs_all_visits_between() -> None:
    days = 84.0 * np.arange(6)
    rise = np.array([[0, 1, 1, 0, 1, 1.0], [0, 1, 1, 1, 0, 0]])
    step = np.array([[1.0], [1.0]])
    short = visit_courses.confirmed_rise(rise, step, days, 84.0)
    long = visit_courses.confirmed_rise(rise, step, days, 168.0)
    assert np.array_equal(short[:, -1], [1, 1])
    assert np.array_equal(long[:, -1], [0, 1])


def test_the_step_depends_on_the_value_at_entry() -> None:
    days = 84.0 * np.arange(4)
    x = np.array([[0, 1, 1, 1], [0, 1.5, 1.5, 1.5], [6, 6.5, 6.5, 6.5], [3, 3.5, 3.5, 3.5]])
    steps = {0.0: 1.5, 1.0: 1.0, 5.5: 0.5}
    spec = EndpointSpec("p", "confirmed_worsening", {"value": "x"}, steps=steps, confirm_day=84.0)
    assert np.array_equal(evaluate(spec, Observations(days, {"x": x}))[:, -1], [0, 1, 1, 0])


def test_ratios_of_identical_arms_are_one() -> None:
    own = seen(course(RELAPSE, DEATH))
    for kind, events in (("event_rate", ("relapse",)), ("event_share", ("relapse",))):
        spec = EndpointSpec("e", kind, events=events)
        values, exact = evaluate(spec, own), times_of(spec, own)
        arm = ArmValues("a", values, exact=exact)
        rows = compare_arms(
            EndpointSpec("e", kind, events=events, time_day=730.5), arm, arm, VISITS
        )
        for row in rows:
            null = 0.0 if row.measure == "incidence difference" else 1.0
            # Rate and hazard ratios are found by iteration.
            assert row.estimate == pytest.approx(null, abs=1e-6), row.measure
            assert row.low <= null <= row.high


def test_half_the_rate_is_half_the_rate() -> None:
    arms = [seen(course(RELAPSE, relapse=rate)) for rate in (0.25, 0.5)]
    pair = [
        ArmValues(name, evaluate(RATE, own), exact=times_of(RATE, own))
        for name, own in zip("ab", arms, strict=True)
    ]
    spec = EndpointSpec("ARR", "event_rate", events=("relapse",), time_day=730.5)
    (row,) = compare_arms(spec, *pair, VISITS)
    # 2000 against 4000 events: a standard error of the log ratio of 0.027; three of them.
    assert row.estimate == pytest.approx(0.5, rel=0.085)
    assert row.low < 0.5 < row.high


def test_a_risk_ratio_is_that_of_the_shares_and_its_interval_that_of_counts() -> None:
    n, days = 400, np.array([0.0, 28.0])
    values = np.zeros((n, 2))
    values[:80, 1], other = 1.0, np.zeros((n, 2))
    other[:100, 1] = 1.0
    found = risk_ratio(times_at_visits(values, days), times_at_visits(other, days), 28.0)
    assert found.estimate == pytest.approx(0.8)
    error = math.sqrt(1 / 80 - 1 / n + 1 / 100 - 1 / n)  # without censoring: Katz
    assert math.log(found.high / found.estimate) == pytest.approx(1.959964 * error, rel=1e-6)


def test_the_mean_cumulative_count_follows_the_cumulative_hazard() -> None:
    own = course(RELAPSE, DEATH, relapse=1.0, death=0.5)
    events = own.of("relapse")
    curve = event_summary.mean_cumulative_count(
        events.event_row, events.event_time, own.end_day, VISITS
    )
    # Death is a censoring of the count here, so that the expected count is the time.
    expected = VISITS / DAYS_PER_YEAR
    assert np.all(np.abs(curve.estimate - expected) <= 3 * (curve.high - curve.low) / 3.92 + 1e-12)
    one = event_summary.mean_cumulative_count([0, 0, 1], [1.0, 3.0, 2.0], np.array([4.0, 2.5]),
                                              np.array([0.0, 2.0, 4.0]))  # fmt: skip
    assert np.allclose(one.estimate, [0.0, 1.0, 2.0])


def test_a_restricted_mean_without_censoring_is_the_mean() -> None:
    days = np.array([5.0, 10.0, 20.0, 40.0])
    times = EventTimes(days, days, np.full(4, np.nan))
    assert event_summary.mean_times(times, [40.0])[0].estimate == pytest.approx(days.mean())
    assert event_summary.mean_times(times, [15.0])[0].estimate == pytest.approx(45 / 4)


def test_a_median_that_is_not_reached_is_missing() -> None:
    row = at_end(
        EndpointSpec("OS", "event_time", events=("death",)), seen(course(DEATH, death=0.1))
    )
    assert math.isnan(row.estimate)
    assert "not reached" in row.method


def test_a_failed_patient_is_followed_until_then() -> None:
    rates = hazards(relapse=3.0)
    rates["relapse"][0, 20:] = np.nan
    rates["relapse"][1] = np.nan
    own = draw_course((RELAPSE,), rates, TIMES, 1, PATIENTS)
    assert own.end_day[0] == TIMES[19]
    assert own.end_day[1] == 0.0
    assert np.isnan(evaluate(RATE, seen(own))[1]).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="names no event"):
        EndpointSpec("ARR", "event_rate")
    with pytest.raises(InputError, match="reads no events"):
        EndpointSpec("x", "value", {"value": "x"}, events=("relapse",))
    number = EndpointSpec("x", "value", {"value": "x"})
    with pytest.raises(InputError, match="no yes or no"):
        EndpointSpec("PFS", "event_time", seen=(number,))
    with pytest.raises(InputError, match="found at visits"):
        EndpointSpec("r", "event_rate", seen=(EndpointSpec("b", "below", {"value": "x"}, level=1),))
    with pytest.raises(InputError, match="no events were drawn"):
        times_of(EndpointSpec("OS", "event_time", events=("death",)), seen(None))
    with pytest.raises(InputError, match="relapse"):
        times_of(EndpointSpec("OS", "event_time", events=("relaps",)), seen(course(RELAPSE)))
    with pytest.raises(RangeError):
        draw_course((DEATH,), {"death": np.full((1, 2), -0.1)}, np.array([0.0, 1.0]), 1, [0])


def test_progression_of_myeloma_is_an_event_of_the_m_protein() -> None:
    days = 28.0 * np.arange(6)
    # Very good partial, then up from 2 by 6 g/L at two visits; no change; dies without progression.
    m_protein = np.array(
        [[30, 10, 2, 2, 8, 9.0], [30, 30, 30, 30, 30, 30], [30, 20, 20, np.nan, np.nan, np.nan]]
    )
    keys = {"inputs": {"value": "m"}, "is_confirmed": True, "detection_limit": 0.5}
    response = EndpointSpec("IMWG", "imwg_response", **keys)
    best = EndpointSpec("best", "best_imwg_response", **keys)
    answer = EndpointSpec("ORR", "above", level=2, of=best, is_inclusive=True)
    progression = EndpointSpec("p", "below", level=0, of=response)
    pfs = EndpointSpec("PFS", "event_time", events=("death",), seen=(progression,))
    rate = np.zeros((3, 2))
    rate[2] = 1.0
    times = np.array([0.0, 140.0])
    own = draw_course((DEATH,), {"death": rate}, times, 2, np.arange(3))
    end = own.died_day[2]
    seen_at = np.where(days[None, :] > np.array([[np.inf], [np.inf], [end]]), np.nan, m_protein)
    observations = Observations(days, {"m": seen_at}, {"m": "g/L"}, own)
    assert np.array_equal(evaluate(answer, observations)[:2, -1], [1, 0])
    found = times_of(pfs, observations)
    assert found is not None
    assert np.array_equal(found.first_day, [112.0, np.nan, end], equal_nan=True)
    assert found.end_day[1] == 140.0

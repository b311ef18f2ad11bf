"""Expected events are the mean of drawn ones, exact where the hazard is, and pair two arms."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import InputError, RangeError, ShapeError
from immunostat.outcomes import survival
from immunostat.outcomes.endpoints import EndpointSpec, Observations, evaluate, times_of
from immunostat.outcomes.event_times import EventKind, Hazards, draw_course
from immunostat.outcomes.expected_comparisons import compare_expected
from immunostat.outcomes.expected_events import ExpectedEvents, estimates, expected_of
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.outcomes.summary import summarize

TIMES = np.linspace(0.0, 730.5, 106)
VISITS = TIMES[::15]
RELAPSE = EventKind("relapse", is_recurrent=True)
ONSET = EventKind("onset")
DEATH = EventKind("death", is_terminal=True)
RATE = EndpointSpec("ARR", "event_rate", events=("relapse",), unit="1/year")
FREE = EndpointSpec("relapse-free", "event_free", events=("relapse",))
DIED = EndpointSpec("mortality", "event_share", events=("death",))


def observed(kinds=(RELAPSE,), seed: int = 1, leaving=None, **rates: np.ndarray) -> Observations:
    """What is known of patients whose hazards are constant, or linear from first to last column."""
    n = len(next(iter(rates.values())))
    patients = np.arange(n)
    by_name = {
        name: own[:, [0]] + (own[:, [-1]] - own[:, [0]]) * TIMES / TIMES[-1]
        for name, own in ((k, v.reshape(n, -1) / DAYS_PER_YEAR) for k, v in rates.items())
    }
    hazards = Hazards(tuple(kinds), by_name, TIMES, patients)
    course = draw_course(kinds, by_name, TIMES, seed, patients, leaving)
    return Observations(VISITS, {}, {}, course, hazards)


def expected(spec: EndpointSpec, own: Observations) -> ExpectedEvents:
    found = expected_of(spec, own)
    assert found is not None
    return found


def differing(n: int, seed: int = 7, mean: float = 0.5) -> np.ndarray:
    """Rates of different patients, 1/year."""
    return mean * np.exp(np.random.default_rng(seed).normal(-0.32, 0.8, n))


def rows(spec: EndpointSpec, own: Observations, is_expected: bool = True):
    values, exact = evaluate(spec, own), times_of(spec, own)
    given = expected(spec, own) if is_expected else None
    return summarize(spec, values, own.times, "arm", exact=exact, expected=given)


def test_a_constant_hazard_is_the_rate_itself_and_leaves_no_chance() -> None:
    for row in rows(RATE, observed(relapse=np.full(20, 0.45)))[1:]:
        assert row.estimate == pytest.approx(0.45, rel=1e-12)
        assert row.low == pytest.approx(0.45, rel=1e-9)
        assert (row.n, row.unit, row.statistic) == (20, "1/year", "rate")
        assert "expected events" in row.method
    last = rows(FREE, observed(relapse=np.full(20, 0.45)))[-1]
    assert last.estimate == pytest.approx(np.exp(-0.9), rel=1e-12)
    assert last.low == pytest.approx(last.high)
    assert last.statistic == "event-free"


def test_a_linear_hazard_is_integrated_exactly() -> None:
    own = observed(relapse=np.array([[0.2, 1.0]]))
    # Up to a visit at the share s of two years: 2 (0.2 s + 0.8 s^2 / 2).
    share = VISITS / TIMES[-1]
    wanted = 2 * (0.2 * share + 0.4 * share**2)
    np.testing.assert_allclose(expected(RATE, own).events[0], wanted, rtol=1e-12)
    np.testing.assert_allclose(expected(FREE, own).events[0], -np.expm1(-wanted), rtol=1e-12)


@pytest.mark.parametrize("case", ["all stay", "some leave", "some die", "first only"])
def test_the_mean_of_drawn_rates_is_the_expected_one(case: str) -> None:
    n, rates = 150, differing(150)
    kinds, hazards, spec, leaving = [RELAPSE], {"relapse": rates}, RATE, None
    if case == "some leave":
        leaving = np.random.default_rng(3).uniform(50.0, 1000.0, n)
    if case == "some die":  # who relapses often dies early
        kinds, hazards = [RELAPSE, DEATH], {"relapse": rates, "death": rates}
    if case == "first only":
        kinds, hazards = [ONSET], {"onset": rates}
        spec = EndpointSpec("first", "event_rate", events=("onset",), unit="1/year")
    drawn, known = [], []
    for seed in range(300):
        own = observed(kinds, seed, leaving, **hazards)
        values, found = evaluate(spec, own)[:, -1], expected(spec, own)
        drawn.append(values.sum())
        known.append(found.events[:, -1].sum())
    difference = np.array(drawn) - np.array(known)
    assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(300)
    # What is left of the chance is that of when a death ended the time at risk.
    assert np.std(known) < 0.6 * np.std(drawn)
    assert (np.ptp(known) == 0) == (case != "some die")


def test_the_mean_of_drawn_shares_is_the_expected_one() -> None:
    rates, seeds = differing(150), range(100)
    own = [observed([RELAPSE, DEATH], s, relapse=rates, death=0.6 * rates) for s in seeds]
    for spec in (FREE, DIED):
        shares = np.array([rows(spec, one, is_expected=False)[-1].estimate for one in own])
        (row,) = rows(spec, own[0])[-1:]
        assert abs(shares.mean() - row.estimate) < 3 * shares.std() / np.sqrt(100)
    # Proportional hazards: of all first events, 1 in 1.6 is a relapse.
    wanted = np.mean(-np.expm1(-2 * 1.6 * rates)) / 1.6
    assert 1 - rows(FREE, own[0])[-1].estimate == pytest.approx(wanted, rel=1e-12)


def test_the_interval_is_the_chance_of_drawing_the_patients() -> None:
    covered = {"ARR": 0, "relapse-free": 0}
    many = differing(400_000)
    truth = {"ARR": many.mean(), "relapse-free": np.exp(-2 * many).mean()}
    for sample in many[:60_000].reshape(400, 150):
        own = observed(relapse=sample)
        for spec in (RATE, FREE):
            row = rows(spec, own)[-1]
            covered[spec.name] += row.low < truth[spec.name] < row.high
    # 95 % of 400 less three standard errors of 1.1 %; a skewed mean of 150 covers a little less.
    assert min(covered.values()) > 400 * 0.9
    assert max(covered.values()) < 400 * 0.985


def test_arms_of_proportional_hazards_have_exactly_their_ratio() -> None:
    rates = differing(80)
    own, other = (expected(RATE, observed(relapse=x)) for x in (0.4 * rates, rates))
    found = compare_expected(own, other, "rate ratio", VISITS[-1])
    assert (found.estimate, found.low, found.high) == pytest.approx((0.4, 0.4, 0.4), rel=1e-9)
    # Of alike patients the hazard ratio is exact, too, though the risk ratio is not.
    same = np.full(30, 0.8)
    pair = [expected(FREE, observed(relapse=x)) for x in (0.4 * same, same)]
    found = compare_expected(*pair, "hazard ratio", VISITS[-1])
    assert found.estimate == pytest.approx(0.4, rel=1e-9)
    assert compare_expected(*pair, "risk ratio", VISITS[-1]).estimate > 0.4


def test_the_hazard_ratio_is_that_of_cox_in_endless_patients() -> None:
    n, rates = 20_000, differing(20_000)
    patients = [observed([RELAPSE], s, relapse=x) for s, x in ((1, 0.4 * rates), (2, rates))]
    times = [times_of(FREE, one) for one in patients]
    durations = np.concatenate([one.durations() for one in times])
    events = np.concatenate([one.is_event for one in times])
    cox = survival.hazard_ratio(durations, events, np.arange(2 * n) < n)
    pair = [expected(FREE, one) for one in patients]
    found = compare_expected(*pair, "hazard ratio", VISITS[-1])
    # Three standard errors of Cox, and what visits every 15 weeks make of it.
    assert found.estimate == pytest.approx(cox.estimate, rel=0.05)
    assert found.high / found.low < cox.high / cox.low


@pytest.mark.parametrize("measure", ["risk ratio", "odds ratio", "difference", "hazard ratio"])
def test_intervals_of_comparisons_are_those_of_pairs(measure: str) -> None:
    # Effects differ between patients; the spread over samples is what the interval says.
    rng, found = np.random.default_rng(5), []
    for _ in range(300):
        rates = 0.5 * np.exp(rng.normal(-0.32, 0.8, 100))
        treated = rates * rng.uniform(0.2, 0.9, 100)
        pair = [expected(FREE, observed(relapse=x)) for x in (treated, rates)]
        found.append(compare_expected(*pair, measure, VISITS[-1]))
    transform = np.asarray if measure == "difference" else np.log
    values, low, high = (
        transform([getattr(one, end) for one in found]) for end in ("estimate", "low", "high")
    )
    told = np.mean(high - low) / (2 * 1.959964)
    # The spread of 300 is known to 4 %; three times that.
    assert told == pytest.approx(values.std(), rel=0.13)


def test_patients_of_one_arm_alone_are_not_paired() -> None:
    rates = differing(60)
    whole = observed(relapse=rates)
    own, other = expected(RATE, whole), expected(RATE, observed(relapse=rates))
    apart = ExpectedEvents(other.patients + 60, other.days, other.events, other.years, False)
    together, alone = (compare_expected(own, x, "rate ratio", VISITS[-1]) for x in (other, apart))
    (one,) = estimates(own, [-1])
    assert together.high == pytest.approx(1.0)
    assert np.log(alone.high) == pytest.approx(np.sqrt(2) * np.log(one.high / one.estimate))


def test_who_failed_is_left_out() -> None:
    own = observed(relapse=differing(10))
    assert own.hazards is not None
    own.hazards.by_name["relapse"][3, 50:] = np.nan
    assert rows(FREE, own)[-1].n == 9
    kept = own.hazards.kept(np.arange(10) != 3)
    assert kept.patients.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert len(kept.by_name["relapse"]) == 9


def test_without_events_nothing_is_expected() -> None:
    none, some = observed(relapse=np.zeros(5)), observed(relapse=np.full(5, 0.5))
    row = rows(RATE, none)[-1]
    assert (row.estimate, row.low, row.high) == (0.0, 0.0, 0.0)
    assert rows(FREE, none)[-1].estimate == 1.0
    for spec, measure in ((RATE, "rate ratio"), (FREE, "hazard ratio"), (FREE, "odds ratio")):
        pair = expected(spec, none), expected(spec, some)
        assert np.isnan(compare_expected(*pair, measure, VISITS[-1]).estimate)
    assert np.isnan(rows(RATE, some)[0].estimate)  # no time has passed


def test_what_visits_find_is_not_expected() -> None:
    own = observed(relapse=np.full(5, 0.5))
    seen = EndpointSpec("high", "above", {"value": "x"}, level=1.0)
    for spec in (
        seen,
        EndpointSpec("PFS", "event_time", events=("relapse",)),
        EndpointSpec("any", "event_share", events=("relapse",), seen=(seen,)),
    ):
        assert expected_of(spec, own) is None
    assert expected_of(RATE, Observations(VISITS, {}, {}, own.course)) is None


def test_what_does_not_fit_is_named() -> None:
    own = observed(relapse=np.full(5, 0.5))
    rate, share = expected(RATE, own), expected(FREE, own)
    with pytest.raises(InputError, match="'risk ratio'"):
        compare_expected(rate, rate, "risk ratio", 700.0)
    with pytest.raises(InputError, match="'rate ratio'"):
        compare_expected(share, share, "rate ratio", 700.0)
    other = ExpectedEvents(rate.patients, rate.days[1:], rate.events, rate.years, False)
    with pytest.raises(ShapeError, match="other visits"):
        compare_expected(rate, other, "rate ratio", 700.0)
    with pytest.raises(InputError, match="'onset' has no hazard"):
        expected_of(EndpointSpec("x", "event_share", events=("onset",)), own)
    with pytest.raises(RangeError, match="none of the times"):
        expected_of(FREE, Observations(VISITS + 0.5, {}, {}, own.course, own.hazards))

"""Comparisons with drawn and with expected events agree in what they measure."""

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.outcomes.endpoints import EndpointSpec, Observations, evaluate, times_of
from immunostat.outcomes.event_times import EventKind, Hazards, draw_course
from immunostat.outcomes.expected_events import expected_of
from immunostat.outcomes.summary import summarize
from immunostat.study.published_comparisons import Compared, Side, predicted_comparison
from immunostat.study.published_values import Value

RELAPSE = EventKind("relapse", is_recurrent=True)
FREE = EndpointSpec("relapse-free", "event_free", events=("relapse",))
HIT = EndpointSpec("relapsed", "event_share", events=("relapse",))
RATE = EndpointSpec("ARR", "event_rate", events=("relapse",), unit="1/year")
DAYS = np.array([0.0, 182.0, 364.0])
N = 20_000


def side(spec: EndpointSpec, per_day: float, seed: int, is_expected: bool) -> Side:
    """An arm of alike patients at day 364."""
    by_name, patients = {"relapse": np.full((N, 3), per_day)}, np.arange(N)
    course = draw_course((RELAPSE,), by_name, DAYS, seed, patients)
    seen = Observations(
        DAYS, {}, {}, course, Hazards((RELAPSE,), by_name, DAYS, patients) if is_expected else None
    )
    values, exact, expected = evaluate(spec, seen), times_of(spec, seen), expected_of(spec, seen)
    row = summarize(spec, values, DAYS, "arm", exact=exact, expected=expected)[-1]
    return Side(row, exact, expected)


def predicted(spec: EndpointSpec, measure: str, is_expected: bool) -> Value | None:
    trial = packaged_catalog().trial("CLARITY")
    compared = Compared(
        spec.name, trial.arms[1], trial.arms[0], measure, 364.0, Value(1, 1, 1), "1", True, ""
    )
    sides = [side(spec, rate, seed, is_expected) for seed, rate in ((1, 0.0008), (2, 0.002))]
    return predicted_comparison(compared, *sides)


@pytest.mark.parametrize(
    ("spec", "measure"),
    [
        (RATE, "rate ratio"),
        *((spec, measure) for spec in (FREE, HIT) for measure in
          ("risk ratio", "odds ratio", "difference", "hazard ratio")),
    ],
)  # fmt: skip
def test_expected_events_compare_arms_as_drawn_ones_do(spec, measure) -> None:
    drawn, known = (predicted(spec, measure, is_expected) for is_expected in (False, True))
    assert drawn is not None
    assert known is not None
    # Half the 95 % interval of what was drawn is two standard errors; three are allowed.
    assert abs(drawn.value - known.value) < 0.75 * (drawn.high - drawn.low)
    # Alike patients leave no chance.
    assert known.low == pytest.approx(known.value, rel=1e-6)
    assert known.high == pytest.approx(known.value, rel=1e-6)


def test_odds_of_a_share_are_its_own_and_a_risk_is_that_of_the_event() -> None:
    free = [np.exp(-364 * rate) for rate in (0.0008, 0.002)]
    odds = free[0] / (1 - free[0]) * (1 - free[1]) / free[1]
    risk = (1 - free[0]) / (1 - free[1])
    assert predicted(FREE, "odds ratio", True).value == pytest.approx(odds)
    assert predicted(HIT, "odds ratio", True).value == pytest.approx(1 / odds)
    for spec in (FREE, HIT):
        assert predicted(spec, "risk ratio", True).value == pytest.approx(risk)
        assert predicted(spec, "hazard ratio", True).value == pytest.approx(0.4)
        assert predicted(spec, "rate ratio", True) is None
    # Clarity prints the odds of staying free, above 1 for a drug that works.
    printed = [own for own in packaged_catalog().trial("CLARITY").comparisons
               if own.measure == "odds_ratio"]  # fmt: skip
    assert [own.value > 1 for own in printed] == [True]

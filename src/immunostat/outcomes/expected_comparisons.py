"""Two arms compared by what is expected of them; a patient of both is a pair with himself.

Where arms are simulated in the same virtual patients, most of the chance of drawing them is in both
arms alike, and leaves their ratio.
"""

from __future__ import annotations

import math

import numpy as np

from immunostat.base.errors import InputError, ShapeError
from immunostat.model.system import FloatArray
from immunostat.outcomes.expected_events import ExpectedEvents, mean_of
from immunostat.outcomes.statistics import Estimate, z_quantile

#: Measures of two arms: of rates, and of the risk of an event.
_OF_RATES = ("rate ratio",)
_OF_SHARES = ("risk ratio", "odds ratio", "difference", "hazard ratio")

#: Logarithms of hazard ratios are looked for between plus and minus this.
_WIDEST = 30.0


def measures_of(own: ExpectedEvents) -> tuple[str, ...]:
    """Measures by which an arm is compared with another: those of a rate or of a share."""
    return _OF_SHARES if own.is_share else _OF_RATES


def compare_expected(
    own: ExpectedEvents,
    other: ExpectedEvents,
    measure: str,
    day: float,
    confidence: float = 0.95,
) -> Estimate:
    """An arm beside another by the expected events of both.

    Parameters
    ----------
    own, other
        Of the arm and of its comparator, of the same endpoint.
    measure
        ``rate ratio`` of rates; ``risk ratio``, ``odds ratio``, ``difference`` or ``hazard ratio``
        of shares with the event.
    day
        Up to when; the nearest visit counts.
    confidence
        Coverage of the interval.

    Returns
    -------
    NaN where one arm has no event. A patient of both arms is a pair: the interval is the chance of
    drawing these pairs. Of a rate ratio none is left where a drug divides every patient's hazard by
    the same number.

    Raises
    ------
    InputError
        The measure does not suit the endpoint.
    ShapeError
        The arms have other visits.

    Source
    ------
    Influence of a patient on the difference of the two (delta method), the variance by the sum of
    squares. Hazard ratio: Cox with expected events and expected time at risk between visits;
    influence as in Lin DY, Wei LJ, J Am Stat Assoc 1989;84:1074-1078.
    """
    allowed = measures_of(own)
    if measure not in allowed or own.is_share != other.is_share:
        raise InputError(f"expected events have no '{measure}'", remedy=f"take {allowed[0]}")
    if not np.array_equal(own.days, other.days):
        raise ShapeError("the arms have other visits")
    visit = int(np.argmin(np.abs(own.days - day)))
    if measure == "hazard ratio":
        middle, influences = _log_hazard_ratio(own, other, visit)
    else:
        middle, influences = _contrast(own, other, measure, visit)
    half = z_quantile(confidence) * float(np.linalg.norm(_paired(own, other, influences)))
    low, high = middle - half, middle + half
    if measure != "difference":
        middle, low, high = math.exp(middle), math.exp(low), math.exp(high)
    n = len(own.patients) + len(other.patients)
    method = f"expected events, chance of the patients alone, {100 * confidence:g} %"
    return Estimate(measure, middle, low, high, n, method)


def _contrast(
    own: ExpectedEvents, other: ExpectedEvents, measure: str, visit: int
) -> tuple[float, tuple[FloatArray, FloatArray]]:
    """Difference, or logarithm of a ratio, and influences of the patients of either arm."""
    found = [mean_of(arm, visit) for arm in (own, other)]
    (a, of_a), (b, of_b) = found
    if measure == "difference":
        return a - b, (of_a, of_b)
    if min(a, b) <= 0 or (measure == "odds ratio" and max(a, b) >= 1):
        return math.nan, (of_a, of_b)
    if measure == "odds ratio":
        odds = math.log(a / (1 - a)) - math.log(b / (1 - b))
        return odds, (of_a / (a * (1 - a)), of_b / (b * (1 - b)))
    return math.log(a / b), (of_a / a, of_b / b)


def _log_hazard_ratio(
    own: ExpectedEvents, other: ExpectedEvents, visit: int
) -> tuple[float, tuple[FloatArray, FloatArray]]:
    """Logarithm of the hazard ratio up to a visit, and influences of the patients of both arms."""
    from scipy.optimize import brentq

    steps = []
    for arm in (own, other):
        is_known = ~np.any(np.isnan(arm.events[:, : visit + 1]), axis=1, keepdims=True)
        pair = (arm.events[:, : visit + 1], arm.years[:, : visit + 1])
        steps.append([np.where(is_known, np.diff(x, axis=1, prepend=0.0), 0.0) for x in pair])
    sums = [[x.sum(axis=0) for x in arm] for arm in steps]
    # Without time at risk in both arms, nothing is compared.
    used = (sums[0][1] > 0) & (sums[1][1] > 0) & (sums[0][0] + sums[1][0] > 0)
    (events, years), (other_events, other_years) = ([x[used] for x in arm] for arm in sums)
    nothing = np.zeros(len(own.patients)), np.zeros(len(other.patients))
    if not (events.sum() > 0 and other_events.sum() > 0):
        return math.nan, nothing
    both = events + other_events

    def share(beta: float) -> FloatArray:
        """Of the weighted time at risk, what the arm has in each interval."""
        return np.asarray(1.0 / (1.0 + other_years / (years * math.exp(beta))))

    def score(beta: float) -> float:
        return float(np.sum(events - both * share(beta)))

    beta = float(brentq(score, -_WIDEST, _WIDEST, xtol=1e-12))
    p = share(beta)
    information = float(np.sum(both * p * (1.0 - p)))
    influences = []
    for k, total in enumerate((years, other_years)):
        mine, at_risk = (x[:, used] for x in steps[k])
        residual = mine * ((1.0 - p) if k == 0 else -p)
        shift = both * p * (1.0 - p) * at_risk / total
        influences.append((residual - (shift if k == 0 else -shift)).sum(axis=1) / information)
    # Of the other arm the sign is that of a term that is taken away, as in a difference.
    return beta, (influences[0], -influences[1])


def _paired(
    own: ExpectedEvents, other: ExpectedEvents, influences: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Influence of each patient on the difference of two arms, himself in both. Shape (person,)."""
    people = np.union1d(own.patients, other.patients)
    found = np.zeros(len(people))
    np.add.at(found, np.searchsorted(people, own.patients), influences[0])
    np.subtract.at(found, np.searchsorted(people, other.patients), influences[1])
    return found

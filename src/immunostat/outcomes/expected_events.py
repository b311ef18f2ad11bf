"""Events that hazards expect, without the chance of drawing them.

The hazard of a virtual patient is known. So the number of events within his time at risk and the
probability of an event by a day need not be drawn: their means over patients are those of the
drawn ones over endless repetition (Rao-Blackwell), and what chance is left is that of the patients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from immunostat.base.errors import InputError, RangeError, near_matches
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import EndpointSpec, Observations, times_of
from immunostat.outcomes.event_summary import exposure_years
from immunostat.outcomes.event_times import DiseaseCourse, Hazards, without_rounding
from immunostat.outcomes.events import expected_until
from immunostat.outcomes.hazards import DAYS_PER_YEAR, cumulative_hazard
from immunostat.outcomes.statistics import Estimate, z_quantile

#: Kinds of endpoints whose values need not be drawn, if no part of them is found at visits.
EXPECTED_KINDS = frozenset({"event_rate", "event_share", "event_free"})

#: Two times are the same within this, day.
_SAME_DAY = 1e-6


@dataclass(frozen=True)
class ExpectedEvents:
    """What is expected of the patients of one arm up to each visit.

    Parameters
    ----------
    patients
        Number of each patient, by which those of another arm are found. Shape (patient,).
    days
        Visits, ascending. Shape (visit,), day.
    events
        Of a rate: expected number of events within the time at risk that was observed. Of a share:
        probability that the event has happened. NaN where not known. Shape (patient, visit).
    years
        Of a rate: time at risk that was observed. Of a share: expected time until the event, or
        until a death that competes with it. Shape (patient, visit), year.
    is_share
        Whether `events` are probabilities.
    """

    patients: IntArray
    days: FloatArray
    events: FloatArray
    years: FloatArray
    is_share: bool


def expected_of(spec: EndpointSpec, observations: Observations) -> ExpectedEvents | None:
    """Expected events of an endpoint at every visit.

    Parameters
    ----------
    spec
        The endpoint.
    observations
        What was observed in one arm, with the hazards of its patients. Visits stand among the times
        of the hazards.

    Returns
    -------
    None where the endpoint is no rate, share or event-free share, where a visit finds a part of it,
    or where `Observations.hazards` is None. A rate takes the time at risk as it was observed, also
    where a drawn event ended it. A share takes no notice of who left.

    Raises
    ------
    InputError
        An event has no hazard.
    RangeError
        A visit is none of the times of the hazards, or a hazard is negative.

    Source
    ------
    Rate: the cumulative hazard while at risk is the compensator of the number of events, so that
    their means agree also where events end the time at risk: Aalen O, Ann Stat 1978;6:701-726. Of
    an event that comes once, its probability within the follow-up.
    Share: 1 - exp(-cumulative hazard); with a competing death the integral of hazard times survival
    ("definition"), the hazards in proportion within a step of time.
    """
    if spec.kind not in EXPECTED_KINDS or spec.seen or observations.hazards is None:
        return None
    hazards, course = observations.hazards, observations.course
    for name in spec.events:
        if name not in hazards.by_name:
            raise InputError(
                f"event '{name}' has no hazard", remedy=near_matches(name, hazards.by_name)
            )
    if spec.kind != "event_rate":
        return _shares(spec, hazards, observations.times)
    if course is None:
        raise InputError(f"endpoint '{spec.name}': no events were drawn")
    return _counts(spec, hazards, course, observations)


def estimates(
    own: ExpectedEvents,
    visits: Sequence[int],
    is_free: bool = False,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Rate or share of one arm at some visits.

    Parameters
    ----------
    own
        From `expected_of`.
    visits
        Which of its visits.
    is_free
        Whether the share without the event is wanted.
    confidence
        Coverage of the intervals.

    Returns
    -------
    All expected events over all time at risk, 1/year, or the mean probability, a fraction. The
    interval is that of patients drawn at random; patients of a Sobol sequence differ less from one
    set to the next.

    Source
    ------
    Variance of a ratio of sums over patients: Cochran WG, Sampling Techniques, 3rd ed., 1977,
    chapter 6; symmetric on the logarithm (rate) or logit (share).
    """
    z, found = z_quantile(confidence), []
    name = "rate" if not own.is_share else "event-free" if is_free else "incidence"
    what = "mean probability" if own.is_share else "expected events over patient-years"
    method = f"{what}, chance of the patients alone, robust {100 * confidence:g} %"
    for visit in visits:
        value, influence = mean_of(own, visit)
        n = int(np.sum(~np.isnan(own.events[:, visit])))
        low = high = value
        if value > 0 and not (own.is_share and value >= 1):
            slope = 1.0 / (value * (1.0 - value)) if own.is_share else 1.0 / value
            factor = math.exp(z * slope * float(np.linalg.norm(influence)))
            low, high = value / factor, value * factor
            if own.is_share:  # odds, not shares, are multiplied
                low, high = (x / (1.0 - value + x) for x in (low, high))
        if is_free:
            value, low, high = 1.0 - value, 1.0 - high, 1.0 - low
        found.append(Estimate(name, value, low, high, n, method))
    return found


def mean_of(own: ExpectedEvents, visit: int) -> tuple[float, FloatArray]:
    """Rate or share with the event at a visit, and what each patient adds to its error.

    Parameters
    ----------
    own
        From `expected_of`.
    visit
        Which of its visits.

    Returns
    -------
    The number (1/year, or a fraction), and the influence of each patient, of shape (patient,): the
    root of the sum of their squares is the standard error.

    Source
    ------
    Linearized ratio of sums: see `estimates`.
    """
    events = own.events[:, visit]
    is_known = ~np.isnan(events)
    per = np.where(is_known, 1.0 if own.is_share else own.years[:, visit], 0.0)
    total = float(per.sum())
    if total <= 0:
        return math.nan, np.zeros(len(events))
    value = float(events[is_known].sum()) / total
    return value, np.where(is_known, events - value * per, 0.0) / total


def _counts(
    spec: EndpointSpec, hazards: Hazards, course: DiseaseCourse, observations: Observations
) -> ExpectedEvents:
    """Expected number of events while each patient was at risk."""
    days, kinds = observations.times, {kind.name: kind for kind in hazards.kinds}
    followed = np.minimum(days[None, :], course.end_day[:, None]) - hazards.times[0]
    total = np.zeros(followed.shape)
    for name in spec.events:
        hazard = without_rounding(hazards.by_name[name])
        own = expected_until(hazard, hazards.times, followed)
        # A terminal event has ended the follow-up itself, another one that comes once has not.
        is_once = not (kinds[name].is_recurrent or kinds[name].is_terminal)
        total += -np.expm1(-own) if is_once else own
    times = times_of(spec, observations)
    assert times is not None
    years = np.stack([exposure_years(times, float(day), spec.baseline_day) for day in days], 1)
    total[course.end_day <= hazards.times[0]] = np.nan  # never followed
    return ExpectedEvents(hazards.patients, days, total, years, False)


def _shares(spec: EndpointSpec, hazards: Hazards, days: FloatArray) -> ExpectedEvents:
    """Probability of the event, and expected time until it, with deaths that compete."""
    times = hazards.times
    visits = np.searchsorted(times, days - _SAME_DAY)
    if np.any(visits >= len(times)) or np.any(np.abs(times[visits] - days) > _SAME_DAY):
        raise RangeError(f"endpoint '{spec.name}': a visit is none of the times of the hazards")
    competing = [k.name for k in hazards.kinds if k.is_terminal and k.name not in spec.events]
    hazard = {name: without_rounding(own) for name, own in hazards.by_name.items()}
    own = np.sum([hazard[name] for name in spec.events], axis=0)
    both = np.sum([own, *(hazard[name] for name in competing)], axis=0)
    before = times <= spec.baseline_day + _SAME_DAY
    own_steps, steps = (np.diff(cumulative_hazard(x, times), axis=1) for x in (own, both))
    own_steps[:, before[1:]] = steps[:, before[1:]] = 0.0  # time counts from the baseline
    alive = np.exp(-(np.cumsum(steps, axis=1) - steps))  # at the start of each step
    with np.errstate(invalid="ignore", divide="ignore"):
        # mean of exp(-H) over a step in which the hazard is level; its limit where there is none
        mean = np.where(steps > 0, -np.expm1(-steps) / steps, 1.0)
    lengths = np.where(before[1:], 0.0, np.diff(times)) / DAYS_PER_YEAR
    first = np.zeros((len(own), 1))
    events = np.concatenate([first, np.cumsum(alive * mean * own_steps, axis=1)], axis=1)
    years = np.concatenate([first, np.cumsum(alive * mean * lengths, axis=1)], axis=1)
    events[np.logical_or.accumulate(np.isnan(both), axis=1)] = np.nan
    return ExpectedEvents(hazards.patients, days, events[:, visits], years[:, visits], True)

"""Visits of a trial are not all on the planned day: when events are found that a visit finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from immunostat.base import streams
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.event_times import EventTimes

#: A day is that of a visit within this, day.
_SAME_DAY = 1e-6


def staggered(times: EventTimes, visits: FloatArray, numbers: IntArray, seed: int) -> EventTimes:
    """Event times as if each patient came on days of his own.

    Virtual patients all come on the planned days, so that a median of events that visits find
    jumps by whole intervals. In a trial, cycles are put off and visits spread. What happens at some
    time within an interval is then found up to one interval later: around the planned visit with a
    triangular density as wide as the interval on either side. Its mean is the planned visit, so
    that no time gets longer or shorter on average.

    Parameters
    ----------
    times
        First event of each patient.
    visits
        Planned days of the visits, ascending. Shape (visit,).
    numbers
        Number of each patient. Shape (patient,).
    seed
        Seed of the study.

    Returns
    -------
    The same with events of a visit's day moved; others, such as deaths, stay on their day.

    Source
    ------
    The sum of two uniform delays, to the visit and of the visit: "definition".
    """
    days = np.asarray(visits, dtype=np.float64)
    at = np.searchsorted(days, times.first_day - _SAME_DAY)  # NaN is put behind the last
    at = np.minimum(at, len(days) - 1)
    is_found = (np.abs(days[at] - times.first_day) <= _SAME_DAY) & (at > 0)
    interval = days[at] - days[np.maximum(at - 1, 0)]
    drawn = streams.uniform(seed, "staggered visits", numbers, 2)
    moved = times.first_day + interval * (drawn[:, 0] - drawn[:, 1])
    return replace(times, first_day=np.where(is_found, moved, times.first_day))

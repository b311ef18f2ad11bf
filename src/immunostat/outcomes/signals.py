"""Signals of a drug in time: that it is in use, how much, for how long, and each single dose.

A signal is 0 without the drug. It drives a hazard through a `SignalDriver`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.hazards import DAYS_PER_YEAR

#: Time after a dose for which a drug is in use at least, day.
LEAST_USE_DAY = 30.0

#: How much longer than the widest planned gap between doses a drug counts as in use.
GAP_MARGIN = 1.1


@dataclass(frozen=True)
class DoseCourse:
    """Doses of one drug in the patients of one arm.

    Parameters
    ----------
    drug
        Name of the drug.
    times
        Times of doses, ascending, day. Shape (dose,).
    mg
        Amount of each dose, 0 where a patient does not get it; one row stands for all patients
        where they do not differ. Shape (patient or 1, dose), mg.
    routes
        Route of each dose. Shape (dose,).
    lasting_day
        Time after a dose for which the drug is in use, day.
    is_always
        Whether the drug was in use before the study began and goes on: a background.
    """

    drug: str
    times: FloatArray
    mg: FloatArray
    routes: tuple[str, ...]
    lasting_day: float
    is_always: bool = False

    @classmethod
    def background(cls, drug: str) -> DoseCourse:
        """A drug that everybody takes throughout; its doses are not known one by one."""
        return cls(drug, np.zeros(0), np.zeros((1, 0)), (), np.inf, is_always=True)

    def by_route(self, route: str) -> DoseCourse:
        """The doses of one route alone."""
        own = np.array([name == route for name in self.routes], dtype=bool)
        return DoseCourse(
            self.drug,
            self.times[own],
            self.mg[:, own],
            tuple(name for name in self.routes if name == route),
            self.lasting_day,
        )


def lasting_of(gaps_day: Sequence[float]) -> float:
    """How long after a dose a drug is in use, from the gaps between its planned doses, day."""
    return max(LEAST_USE_DAY, GAP_MARGIN * max(gaps_day, default=0.0))


def in_use(course: DoseCourse, times: FloatArray, lasting_day: float | None = None) -> FloatArray:
    """1 while a drug is in use, else 0.

    Parameters
    ----------
    times
        Shape (time,), day.
    lasting_day
        Instead of the course's own.

    Returns
    -------
    Shape (patient or 1, time).
    """
    if course.is_always:
        return np.ones((1, len(times)))
    since = times - _last(course, times)[1]
    lasting = course.lasting_day if lasting_day is None else lasting_day
    return np.asarray((since < lasting).astype(np.float64))


def dose_rate(course: DoseCourse, times: FloatArray) -> FloatArray:
    """Amount of the last dose over the gap to the planned next one, while in use, mg/day.

    Returns
    -------
    Shape (patient or 1, time); 0 for a background whose doses are not known.
    """
    if not len(course.times):
        return np.zeros((1, len(times)))
    gaps = np.diff(course.times)
    last_gap = float(np.median(gaps)) if len(gaps) else course.lasting_day
    per_day = course.mg / np.append(gaps, last_gap)
    place, _ = _last(course, times)
    rate = np.take_along_axis(per_day, np.maximum(place, 0), axis=1)
    return np.asarray(np.where(place >= 0, rate, 0.0) * in_use(course, times))


def total_dose(course: DoseCourse, times: FloatArray) -> FloatArray:
    """Amount given until each time, mg. Shape (patient or 1, time)."""
    sums = np.concatenate([np.zeros((len(course.mg), 1)), np.cumsum(course.mg, axis=1)], axis=1)
    return np.asarray(sums[:, np.searchsorted(course.times, times, side="right")])


def time_in_use(use: FloatArray, times: FloatArray) -> FloatArray:
    """Years in use until each time, from `in_use`. Shape as `use`."""
    total = np.zeros_like(use)
    steps = 0.5 * (use[:, 1:] + use[:, :-1]) * np.diff(times)
    np.cumsum(steps, axis=1, out=total[:, 1:])
    return total / DAYS_PER_YEAR


def tolerated(use: FloatArray, times: FloatArray, half_life_day: float, left: float) -> FloatArray:
    """A signal of use that fades with time in use to what is left of it.

    Parameters
    ----------
    use
        See `in_use`; shape (patient or 1, time).
    half_life_day
        Time in use in which the part that fades halves, day.
    left
        Share that stays in the long run, 0 to 1.
    """
    days = time_in_use(use, times) * DAYS_PER_YEAR
    return np.asarray(use * (left + (1.0 - left) * 0.5 ** (days / half_life_day)))


def running_mean(x: FloatArray, times: FloatArray, window_day: float) -> FloatArray:
    """Mean over the time before, as long as the window or since the start.

    Parameters
    ----------
    x
        Linear between times. Shape (patient, time).
    """
    total = np.zeros_like(x)
    np.cumsum(0.5 * (x[:, 1:] + x[:, :-1]) * np.diff(times), axis=1, out=total[:, 1:])
    first = np.maximum(times - window_day, times[0])
    place = np.clip(np.searchsorted(times, first, side="right") - 1, 0, len(times) - 2)
    share = (first - times[place]) / (times[place + 1] - times[place])
    # Within a step the integral is taken as linear: the window's edge is blurred by part of a step.
    before = total[:, place] + share * (total[:, place + 1] - total[:, place])
    length = times - first
    mean = np.divide(total - before, length, out=x.copy(), where=length > 0)
    return np.asarray(mean)


def _last(course: DoseCourse, times: FloatArray) -> tuple[IntArray, FloatArray]:
    """Place (-1 for none) and time of the last dose until each time; (patient or 1, time)."""
    n = len(course.mg)
    if not len(course.times):
        return np.full((n, len(times)), -1), np.full((n, len(times)), -np.inf)
    given = np.where(course.mg > 0, np.arange(len(course.times)), -1)
    newest = np.maximum.accumulate(given, axis=1)
    upto = np.searchsorted(course.times, times, side="right") - 1
    place = np.where(upto >= 0, newest[:, np.maximum(upto, 0)], -1)
    return place, np.where(place >= 0, course.times[np.maximum(place, 0)], -np.inf)

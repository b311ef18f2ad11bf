"""When a regimen is looked at: time to steady state, the interval that is read, sample times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from immunostat.base.errors import InputError
from immunostat.model.system import FloatArray
from immunostat.study.kinetic_people import LONGEST_DAY, People, concentrations, half_lives
from immunostat.therapy.regimen import SAME_TIME_DAY, Regimen

#: Relative distance from the end at which a repeated dose is taken to be at steady state.
STEADY_WITHIN = 0.02

#: Which of the people counts for the time to steady state, as a quantile of it.
SLOWER = 0.85

#: Half-lives for which the concentration is followed after the last dose.
HALF_LIVES_FOLLOWED = 10.0

#: Shortest treatment that is looked at for steady state, day: clearance may change for months.
SHORTEST_DAY = 365.25

#: Shares of an interval at which it is sampled coarsely, and points of a dense sampling.
COARSE = np.array([0.0, 0.05, 0.15, 0.4, 0.7])
DENSE_EVEN, DENSE_LOGARITHMIC = 41, 90


@dataclass(frozen=True)
class Course:
    """When a regimen is looked at.

    Parameters
    ----------
    doses
        Times of all doses, ascending, day.
    interval
        Distance of doses in the part that repeats, day; infinite for a single dose.
    last
        Time of the dose whose interval is read at the end.
    window
        Longest span after `last` that the doses go on for, day.
    end
        Last sample: the concentration is followed after the last dose until then.
    times
        Sample times. Shape (time,), day.
    """

    doses: FloatArray
    interval: float
    last: float
    window: float
    end: float
    times: FloatArray

    @property
    def is_single(self) -> bool:
        """Whether there is one dose."""
        return len(self.doses) == 1


def steady_day(people: People, regimen: Regimen, doses: FloatArray, period: float) -> float:
    """When the slower among people are as close to steady state as matters, day.

    The first dose after which the concentration at one phase of the pattern stays within
    `STEADY_WITHIN` of what it is in the end.
    """
    phase = np.mod(doses - doses[0], period)
    same = doses[np.minimum(phase, period - phase) < 1e-4]
    times = same + 0.2 * min(period, float(np.diff(doses).min()))
    course = concentrations(people, regimen, float(doses[-1]) + 1e-4, times, threads=1)
    values = course.values[course.is_ok, :, 0]
    reached = []
    for own in values:
        off = np.flatnonzero(np.abs(own - own[-1]) > STEADY_WITHIN * own[-1])
        reached.append(same[min(off[-1] + 1, len(same) - 1)] if len(off) else same[0])
    if not reached:
        raise InputError(f"'{regimen}': the way to steady state could not be computed")
    return float(np.quantile(reached, SLOWER))


def course_of(
    people: People,
    regimen: Regimen,
    weeks: float | None = None,
    window: float = 0.0,
    against: float | None = None,
) -> Course:
    """When to look at a regimen: until steady state, or for a number of weeks.

    Parameters
    ----------
    people
        A few, by whom the time to steady state is measured.
    weeks
        Length of the treatment; None goes on until steady state.
    window
        Span after the last dose that is read over which doses go on, day.
    against
        Time of another dose whose interval is read too, day.

    Raises
    ------
    InputError
        There is no dose in this time.
    """
    half_life_day = float(np.nanquantile(half_lives(people, regimen), SLOWER))
    long = np.unique([dose.time_day for dose in regimen.doses(LONGEST_DAY)])
    doses = long if weeks is None else long[long < 7.0 * weeks - SAME_TIME_DAY]
    if not len(doses):
        raise InputError(f"'{regimen}' gives no dose in this time", regimen.place)
    interval, last = np.inf, float(doses[0])
    if len(doses) > 1:
        gaps = np.round(np.diff(doses), 6)
        recent = gaps[-30:]
        kinds, counts = np.unique(recent, return_counts=True)
        interval = float(kinds[np.argmax(counts)])
        reach = max(interval, window)
        regular = np.flatnonzero(np.abs(gaps - interval) < SAME_TIME_DAY)
        # A dose before a pause is not read, but the last dose of all is: nothing comes after it.
        candidates = doses[regular]
        if regular[-1] == len(gaps) - 1:
            candidates = np.append(candidates, doses[-1])
        fits = candidates[candidates + reach <= doses[-1] + interval + SAME_TIME_DAY]
        last = float(fits[-1] if len(fits) else candidates[-1])
        is_endless = doses[-1] + interval > LONGEST_DAY - 366
        if weeks is None and is_endless:
            last = _at_steady_state(people, regimen, doses, candidates, interval, half_life_day)
        doses = doses[doses < last + reach - SAME_TIME_DAY]
    followed = HALF_LIVES_FOLLOWED * half_life_day
    end = float(doses[-1]) + max(followed, window, interval if np.isfinite(interval) else 0.0)
    end = min(end, float(doses[-1]) + LONGEST_DAY)
    course = Course(doses, interval, last, window, end, np.zeros(0))
    return replace(course, times=_sample_times(regimen, course, against))


def _at_steady_state(
    people: People,
    regimen: Regimen,
    doses: FloatArray,
    candidates: FloatArray,
    interval: float,
    half_life_day: float,
) -> float:
    """The last of the candidates in the first whole cycle at steady state, day."""
    period, begin = _period(regimen, interval), _begins(doses, interval)
    horizon = begin + max(SHORTEST_DAY, 12.0 * half_life_day, 6.0 * period)
    steady = steady_day(people, regimen, doses[doses < horizon], period)
    n_cycles = max(1.0, np.ceil((steady - begin) / period - 1e-6))
    start = begin + n_cycles * period
    late = candidates[(candidates >= start - 1e-4) & (candidates < start + period - 1e-4)]
    return float(late[-1] if len(late) else candidates[-1])


def _begins(doses: FloatArray, interval: float) -> float:
    """First dose after which the interval is the regular one."""
    gaps = np.diff(doses)
    return float(doses[int(np.flatnonzero(np.abs(gaps - interval) < 1e-5)[0])])


def _period(regimen: Regimen, interval: float) -> float:
    """Length of the pattern that doses repeat, day: a cycle, or one interval."""
    cycles = [phase.cycle.length for phase in regimen.phases if phase.cycle]
    return float(cycles[-1]) if cycles else interval


def _dense(start: float, span: float) -> FloatArray:
    even = np.linspace(0.0, span, DENSE_EVEN)
    return start + np.union1d(even, np.geomspace(1e-4 * span, span, DENSE_LOGARITHMIC))


def _sample_times(regimen: Regimen, course: Course, against: float | None) -> FloatArray:
    """Dense where exposure is read, coarse between; every end of an input is a sample."""
    doses, interval, window = course.doses, course.interval, course.window
    last, end = course.last, course.end
    parts = [np.array([0.0])]
    if np.isfinite(interval):
        parts += [_dense(float(doses[0]), interval), _dense(last, max(interval, window))]
        step = np.append(np.diff(doses), interval)
        coarse = COARSE if len(doses) <= 400 else COARSE[[0, 3]]
        parts.append((doses[:, None] + step[:, None] * coarse).ravel())
        if window > 0:
            parts.append(_dense(float(doses[0]), window))
    parts.append(_dense(float(doses[-1]), end - float(doses[-1])))
    given = [d for d in regimen.doses(float(doses[-1]) + 1e-3) if d.time_day <= doses[-1]]
    read = [d for d in given[1:] if d.time_day >= last - SAME_TIME_DAY]
    if against is not None:
        parts.append(_dense(against, interval))
        read += [d for d in given[1:] if abs(d.time_day - against) < SAME_TIME_DAY]
    for event in given[:1] + read:
        route = regimen.drug.routes[event.route]
        over = event.infusion_day or route.over_day
        parts.append(
            np.array([event.time_day + route.lag_day, event.time_day + route.lag_day + over])
        )
        parts.append(_dense(event.time_day + route.lag_day + over, min(interval, end - last) / 2))
    times = np.unique(np.round(np.concatenate(parts), 9))
    return times[(times >= 0) & (times <= end)]

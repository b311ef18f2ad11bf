"""Events of the disease in time: drawn from hazards, ended by death, and joined to composites.

A recurrent event counts every time, another one once. A terminal event (death) ends the follow-up
of everything. Random numbers belong to an event and a patient, so that arms differ by treatment
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, ShapeError, near_matches
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.events import Events, draw_events
from immunostat.outcomes.visit_courses import time_to_event

#: A hazard this far below zero is rounding of the solver, 1/day.
_ROUNDING = 1e-6

#: Two times are the same within this, day.
_SAME_DAY = 1e-6


@dataclass(frozen=True)
class EventKind:
    """An event of the disease: whether it comes again, and whether it ends everything."""

    name: str
    is_recurrent: bool = False
    is_terminal: bool = False


@dataclass(frozen=True)
class DiseaseCourse:
    """Events of the disease in the patients of one arm.

    Parameters
    ----------
    events
        By name, until the end of follow-up; of an event that is not recurrent the first, with the
        follow-up until then.
    end_day
        End of each patient's follow-up: of the study, by leaving, failure or death. Shape
        (patient,), day.
    died_day
        Day of the terminal event, NaN without. Shape (patient,).
    died_of
        Name of the terminal event of each patient, empty without. Shape (patient,).
    """

    events: Mapping[str, Events]
    end_day: FloatArray
    died_day: FloatArray
    died_of: npt.NDArray[np.object_]

    def of(self, name: str) -> Events:
        """Events of one name."""
        if name not in self.events:
            raise InputError(f"no event '{name}' was drawn", remedy=near_matches(name, self.events))
        return self.events[name]

    def kept(self, which: npt.NDArray[np.bool_]) -> DiseaseCourse:
        """The course of some of the patients. `which` has shape (patient,)."""
        place = np.cumsum(which) - 1
        events = {}
        for name, own in self.events.items():
            inside = which[own.event_row]
            events[name] = Events(
                name,
                own.patients[which],
                own.follow_up[which],
                own.expected[which],
                own.counts[which],
                own.first[which],
                place[own.event_row[inside]],
                own.event_time[inside],
                own.start,
            )
        return DiseaseCourse(events, self.end_day[which], self.died_day[which], self.died_of[which])


@dataclass(frozen=True)
class Hazards:
    """Hazards of the events of the disease in the patients of one arm.

    Parameters
    ----------
    kinds
        The events.
    by_name
        Hazard of each, linear between times, NaN from where a patient failed. Each of shape
        (patient, time), 1/day.
    times
        Strictly increasing. Shape (time,), day.
    patients
        Number of each patient. Shape (patient,).
    """

    kinds: tuple[EventKind, ...]
    by_name: Mapping[str, FloatArray]
    times: FloatArray
    patients: IntArray

    def kept(self, which: npt.NDArray[np.bool_]) -> Hazards:
        """The hazards of some of the patients. `which` has shape (patient,)."""
        own = {name: hazard[which] for name, hazard in self.by_name.items()}
        return Hazards(self.kinds, own, self.times, self.patients[which])


@dataclass(frozen=True)
class EventTimes:
    """First event of each patient to the day, for an endpoint that is made of events.

    Parameters
    ----------
    first_day
        Day of the first event, NaN without. Shape (patient,).
    end_day
        Last day on which a patient without the event was followed. Shape (patient,).
    other_day
        Day of a terminal event that is not part of the endpoint, NaN without; it competes. Shape
        (patient,).
    """

    first_day: FloatArray
    end_day: FloatArray
    other_day: FloatArray

    @property
    def is_event(self) -> npt.NDArray[np.bool_]:
        """Which patients have the event. Shape (patient,)."""
        return ~np.isnan(self.first_day)

    @property
    def last_day(self) -> FloatArray:
        """Day of the event, or the end of follow-up. Shape (patient,)."""
        return np.where(self.is_event, self.first_day, self.end_day)

    def durations(self, start_day: float = 0.0) -> FloatArray:
        """Time from the start to event or end, day. Shape (patient,)."""
        return np.maximum(self.last_day - start_day, 0.0)

    @property
    def causes(self) -> IntArray:
        """0 censored, 1 the event, 2 a terminal event that competes. Shape (patient,)."""
        is_other = ~np.isnan(self.other_day) & ~self.is_event
        return np.where(is_other, 2, np.where(self.is_event, 1, 0)).astype(np.int64)

    def kept(self, which: npt.NDArray[np.bool_]) -> EventTimes:
        """The times of some of the patients. `which` has shape (patient,)."""
        return EventTimes(self.first_day[which], self.end_day[which], self.other_day[which])

    @property
    def array(self) -> FloatArray:
        """The three days side by side, as they are stored. Shape (patient, 3)."""
        return np.stack([self.first_day, self.end_day, self.other_day], axis=1)

    @classmethod
    def of(cls, array: FloatArray) -> EventTimes:
        """From the stored form. `array` has shape (patient, 3)."""
        return cls(array[:, 0], array[:, 1], array[:, 2])


def draw_course(
    kinds: Sequence[EventKind],
    hazards: Mapping[str, FloatArray],
    times: FloatArray,
    seed: int,
    patients: npt.ArrayLike,
    leaving_day: npt.ArrayLike | None = None,
) -> DiseaseCourse:
    """Draw every event of the disease for the patients of one arm.

    Parameters
    ----------
    kinds
        The events of the situation.
    hazards
        By name, linear between times, NaN from where a patient failed. Each of shape (patient,
        time), 1/day.
    times
        Strictly increasing. Shape (time,), day.
    seed
        Seed of the study.
    patients
        Number of each patient. Shape (patient,).
    leaving_day
        Day on which each patient leaves the trial; None follows everybody. Shape (patient,).

    Returns
    -------
    See `DiseaseCourse`.

    Raises
    ------
    RangeError
        A hazard is negative.

    Source
    ------
    See `events.draw_events`; independent events compete as they come first.
    """
    n = len(np.asarray(patients))
    last = times[-1] if leaving_day is None else np.minimum(leaving_day, times[-1])
    end = np.broadcast_to(np.asarray(last, dtype=np.float64), (n,)).copy()
    died, of = np.full(n, np.nan), np.full(n, "", dtype=object)

    def drawn(kind: EventKind, until: FloatArray) -> Events:
        hazard = without_rounding(hazards[kind.name])
        # Another stream than that of a side effect of the same name.
        found = draw_events(f"disease {kind.name}", hazard, times, seed, patients, until)
        return replace(found, name=kind.name)

    free = {kind.name: drawn(kind, end) for kind in kinds}
    for kind in kinds:
        own = free[kind.name]
        end = np.minimum(end, own.start + own.follow_up)
        if kind.is_terminal:
            is_first = ~np.isnan(own.first) & ~(own.first >= died)
            died, of = np.where(is_first, own.first, died), np.where(is_first, kind.name, of)
    end = np.fmin(end, died)
    events = {}
    for kind in kinds:
        own = free[kind.name]
        if np.any(end < own.start + own.follow_up):
            cut = drawn(kind, end)
            # Rounding must not lose the event that ended the follow-up.
            own = cut if not kind.is_terminal else _with_last(cut, own, of == kind.name)
        events[kind.name] = own if kind.is_recurrent else _first_only(own, drawn, kind)
    return DiseaseCourse(events, end, died, of)


def without_rounding(hazard: FloatArray) -> FloatArray:
    """A hazard without the small negative values that the solver's rounding makes of zero.

    Parameters
    ----------
    hazard
        Shape (patient, time), 1/day.

    Returns
    -------
    Values down to -1e-6 are 0. Shape (patient, time), 1/day.

    Source
    ------
    "definition"
    """
    return np.where((hazard < 0) & (hazard >= -_ROUNDING), 0.0, hazard)


def event_times(
    course: DiseaseCourse | None,
    names: Sequence[str],
    seen: Sequence[FloatArray],
    visits_day: FloatArray,
    n_patients: int,
    start_day: float = 0.0,
) -> EventTimes:
    """First of several events: drawn ones, and those that a visit finds.

    Parameters
    ----------
    course
        What was drawn; None where there is nothing to draw.
    names
        Events that count.
    seen
        Whether something holds at a visit: 1, 0, NaN where not seen. Each of shape (patient,
        visit).
    visits_day
        Shape (visit,), day.
    n_patients
        Number of patients.
    start_day
        Visits up to and including this day find no event.

    Returns
    -------
    The minimum of the times. With events that visits find, a patient without any is censored at
    the last visit at which all of them were seen.

    Source
    ------
    "definition"
    """
    if names and course is None:
        raise InputError(f"no events were drawn, so '{names[0]}' cannot be counted")
    first = np.full(n_patients, np.nan)
    end = np.full(n_patients, np.inf) if course is None else course.end_day.copy()
    for name in names:
        assert course is not None
        first = np.fmin(first, course.of(name).first)
    before = visits_day <= start_day + _SAME_DAY
    for values in seen:
        own = values.copy()
        own[:, before] = np.where(np.isnan(own[:, before]), np.nan, 0.0)
        found = time_to_event(own, visits_day)
        first = np.fmin(first, np.where(found.is_event, found.durations, np.nan))
        end = np.minimum(end, np.where(found.is_event, np.inf, found.durations))
    other = np.full(n_patients, np.nan)
    if course is not None:
        competes = ~np.isnan(course.died_day) & ~np.isin(course.died_of, list(names))
        other = np.where(competes & np.isnan(first), course.died_day, np.nan)
    end = np.where(np.isfinite(end), end, first)  # all parts struck
    return EventTimes(first, np.where(np.isnan(other), end, other), other)


def counts_at(course: DiseaseCourse, names: Sequence[str], visits_day: FloatArray) -> FloatArray:
    """Number of events so far at each visit, that of the end of follow-up after it.

    Parameters
    ----------
    course
        What was drawn.
    names
        Events that count.
    visits_day
        Shape (visit,), day.

    Returns
    -------
    NaN for patients who were never followed. Shape (patient, visit).

    Source
    ------
    "definition"
    """
    n = len(course.end_day)
    total = np.zeros((n, len(visits_day)))
    start = 0.0
    for name in names:
        own = course.of(name)
        start = own.start
        place = np.searchsorted(visits_day, own.event_time - _SAME_DAY)
        inside = place < len(visits_day)
        added = np.zeros_like(total)
        np.add.at(added, (own.event_row[inside], place[inside]), 1.0)
        total += np.cumsum(added, axis=1)
    return np.where((course.end_day > start)[:, None], total, np.nan)


def happened_at(times: EventTimes, visits_day: FloatArray) -> FloatArray:
    """Whether the event has happened by each visit.

    Parameters
    ----------
    times
        From `event_times`.
    visits_day
        Shape (visit,), day.

    Returns
    -------
    1 from the event on, 0 while followed without it, NaN after that. Shape (patient, visit).

    Source
    ------
    "definition"
    """
    if times.first_day.ndim != 1:
        raise ShapeError(f"first events have shape {times.first_day.shape}; expected (patient,)")
    day = visits_day[None, :]
    happened = times.first_day[:, None] <= day + _SAME_DAY
    followed = day <= times.last_day[:, None] + _SAME_DAY
    return np.where(happened, 1.0, np.where(followed, 0.0, np.nan))


def times_at_visits(values: FloatArray, visits_day: FloatArray) -> EventTimes:
    """Times of an endpoint of which only the values at visits are known.

    Parameters
    ----------
    values
        From `happened_at` or `visit_courses.has_happened`. Shape (patient, visit).
    visits_day
        Shape (visit,), day.

    Returns
    -------
    Events at the visit at which they were first seen.

    Source
    ------
    "definition"
    """
    found = time_to_event(values, visits_day)
    first = np.where(found.is_event, found.durations, np.nan)
    return EventTimes(first, found.durations, np.full(len(values), np.nan))


def _with_last(cut: Events, whole: Events, is_last: npt.NDArray[np.bool_]) -> Events:
    """Events until the end of follow-up, with those that made the end themselves."""
    lost = is_last & (cut.counts == 0)
    if not lost.any():
        return cut
    first = np.where(lost, whole.first, cut.first)
    rows = np.concatenate([cut.event_row, np.flatnonzero(lost)])
    days = np.concatenate([cut.event_time, whole.first[lost]])
    order = np.lexsort((days, rows))
    counts = np.where(lost, 1, cut.counts)
    return replace(cut, counts=counts, first=first, event_row=rows[order], event_time=days[order])


def _first_only(
    own: Events, drawn: Callable[[EventKind, FloatArray], Events], kind: EventKind
) -> Events:
    """The first event of each patient, who is at risk until then."""
    if not own.counts.any():
        return own
    until = np.where(own.has_event, own.first, own.start + own.follow_up)
    at_risk = drawn(kind, until)
    rows = np.flatnonzero(own.has_event)
    return replace(
        own,
        follow_up=at_risk.follow_up,
        expected=at_risk.expected,
        counts=own.has_event.astype(np.int64),
        event_row=rows,
        event_time=own.first[rows],
    )

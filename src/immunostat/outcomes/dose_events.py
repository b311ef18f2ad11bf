"""Events that single doses bring: infusion reactions, cytokine release, a slow first heartbeat.

Each dose has a chance of an event, drawn from a number that belongs to the event, the drug, the
patient and the number of his dose. So a dose that comes later, or in another arm, keeps its draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from immunostat.base import streams
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.events import Events
from immunostat.outcomes.signals import DoseCourse


@dataclass(frozen=True)
class DoseRisk:
    """Chance of an event after each dose.

    Parameters
    ----------
    chances
        After a patient's first dose, second dose and so on; the last for all later ones.
    within_day
        Time after the dose in which the event comes, evenly, day.
    course_gap_day
        Doses that follow another by less than this belong to its course, of which only the first
        counts, by the number of the course. None counts every dose.
    """

    chances: tuple[float, ...]
    within_day: float
    course_gap_day: float | None = None


@dataclass(frozen=True)
class DoseEvents:
    """Events after doses: rows of the patients, times, the number expected of each patient, and
    the cumulative hazard, from which the chance of at least one follows.
    """

    row: IntArray
    day: FloatArray
    expected: FloatArray
    hazard: FloatArray


def dose_events(
    name: str,
    course: DoseCourse,
    risk: DoseRisk,
    factor: FloatArray,
    times: FloatArray,
    seed: int,
    patients: IntArray,
    end_day: FloatArray,
) -> DoseEvents:
    """Draw the events that the doses of one drug bring.

    Parameters
    ----------
    name
        Name of the event.
    course
        Doses of the drug.
    risk
        Chance of each dose in the patient of the background rate.
    factor
        What multiplies the hazard of a dose, linear between times. Shape (patient, time).
    times
        Shape (time,), day.
    seed
        Seed of the study.
    patients
        Number of each patient. Shape (patient,).
    end_day
        End of each patient's follow-up; later events are not seen. Shape (patient,), day.

    Source
    ------
    A chance p whose hazard is multiplied by f is 1 - (1 - p)^f ("definition").
    """
    n = len(patients)
    given = np.broadcast_to(course.mg > 0, (n, len(course.times)))
    draws = streams.uniform(
        seed, f"dose:{name}:{course.drug}", patients, 2 * max(1, given.shape[1])
    )
    number = np.zeros(n, dtype=np.int64)
    last = np.full(n, -np.inf)
    everybody = np.arange(n)
    rows, days, expected, hazard = [], [], np.zeros(n), np.zeros(n)
    for k, day in enumerate(course.times):
        counts = given[:, k] & (day < end_day)
        if risk.course_gap_day is not None:
            counts &= day - last >= risk.course_gap_day
        last = np.where(given[:, k], day, last)
        plain = np.asarray(risk.chances)[np.minimum(number, len(risk.chances) - 1)]
        chance = np.where(counts, 1.0 - (1.0 - plain) ** _at(factor, times, float(day)), 0.0)
        place = 2 * number
        when = day + risk.within_day * draws[everybody, place + 1]
        number = number + counts
        # A patient who leaves in the middle of the time after a dose may leave before its event.
        seen = np.clip((end_day - day) / risk.within_day, 0.0, 1.0)
        expected += np.nan_to_num(chance) * seen
        hazard -= np.log1p(-np.minimum(np.nan_to_num(chance) * seen, 1.0 - 1e-12))
        happens = np.flatnonzero((draws[everybody, place] < chance) & (when <= end_day))
        rows.append(happens)
        days.append(when[happens])
    if not rows:
        return DoseEvents(np.zeros(0, dtype=np.int64), np.zeros(0), expected, hazard)
    return DoseEvents(np.concatenate(rows), np.concatenate(days), expected, hazard)


def with_dose_events(events: Events, more: Sequence[DoseEvents]) -> Events:
    """Events of a hazard and of doses together, by patient, then time.

    Parameters
    ----------
    events
        From `draw_events`.
    more
        From `dose_events`, one for each drug.
    """
    row = np.concatenate([events.event_row, *(own.row for own in more)]).astype(np.int64)
    day = np.concatenate([events.event_time, *(own.day for own in more)])
    order = np.lexsort((day, row))
    row, day = row[order], day[order]
    first = np.full(len(events.patients), np.nan)
    first[row[::-1]] = day[::-1]  # the earliest of each patient is written last
    expected = events.expected.copy()
    for own in more:
        expected = expected + own.expected
    return replace(
        events,
        event_row=row,
        event_time=day,
        first=first,
        counts=np.bincount(row, minlength=len(first)).astype(np.int64),
        expected=expected,
    )


def without_overlap(events: Events, end_day: FloatArray) -> tuple[Events, IntArray]:
    """Events without those that begin while an earlier episode of the same patient still lasts.

    Parameters
    ----------
    events
        By patient, then time.
    end_day
        End of each episode. Shape (event,), day.

    Returns
    -------
    The events, and which of them are kept. `Events.expected` is as before: of all that begin.
    """
    kept, row_before, lasts_until = [], -1, -np.inf
    for i, (row, day) in enumerate(zip(events.event_row, events.event_time, strict=True)):
        if row != row_before or day >= lasts_until:
            kept.append(i)
            row_before, lasts_until = row, end_day[i]
    index = np.array(kept, dtype=np.int64)
    row = events.event_row[index]
    return (
        replace(
            events,
            event_row=row,
            event_time=events.event_time[index],
            counts=np.bincount(row, minlength=len(events.patients)).astype(np.int64),
        ),
        index,
    )


def _at(factor: FloatArray, times: FloatArray, day: float) -> FloatArray:
    """A course at one time. Shape (patient,)."""
    place = int(np.clip(np.searchsorted(times, day, side="right") - 1, 0, len(times) - 2))
    share = min(1.0, (day - times[place]) / (times[place + 1] - times[place]))
    return np.asarray((1.0 - share) * factor[:, place] + share * factor[:, place + 1])

"""How bad a drawn event is: its grade, whether it is serious, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from immunostat.base import streams
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.events import Events


@dataclass(frozen=True)
class Severity:
    """What is known of the severity of an event.

    Parameters
    ----------
    shares
        Share of events by grade; they are scaled to 1. Empty where grades are not known.
    serious, stops
        Share of events that are serious, and after which the drug is stopped; the worst first.
    duration_day
        Median length of an episode, day; 0 for an event without one.
    """

    shares: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    serious: float | None = None
    stops: float | None = None
    duration_day: float = 0.0


@dataclass(frozen=True)
class Graded:
    """Severity of every event of `Events`, in the same order.

    Parameters
    ----------
    grade
        NaN where grades are not known. Shape (event,).
    is_serious, stops
        Shape (event,).
    end_day
        End of the episode. Shape (event,), day.
    """

    grade: FloatArray
    is_serious: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    stops: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    end_day: FloatArray


def grade_events(events: Events, severity: Severity, seed: int) -> Graded:
    """Draw the severity of events from numbers that belong to the event, patient and order.

    One number decides grade, seriousness and stopping, so that it is the worst events that are
    serious and make patients stop; another one the length of the episode (log-normal, with a
    standard deviation of 0.7 of the logarithm).

    Parameters
    ----------
    events
        From `draw_events`.
    severity
        Shares.
    seed
        Seed of the study.

    Source
    ------
    "definition"
    """
    n_events = len(events.event_row)
    if not n_events:
        none = np.zeros(0)
        return Graded(none, none.astype(bool), none.astype(bool), none)
    starts = np.concatenate([[0], np.cumsum(events.counts)[:-1]])
    rank = np.arange(n_events) - starts[events.event_row]
    present = np.flatnonzero(events.counts)
    most = int(events.counts.max())
    row = np.searchsorted(present, events.event_row)
    own = streams.uniform(seed, f"severity:{events.name}", events.patients[present], most)
    draws = own[row, rank]
    grade = np.full(n_events, np.nan)
    if severity.shares:
        numbers = sorted(severity.shares)
        shares = np.array([severity.shares[number] for number in numbers])
        # 0 is the worst: the edges run from the highest grade down.
        edges = np.cumsum(shares[::-1] / shares.sum())
        place = np.minimum(np.searchsorted(edges, draws, side="right"), len(numbers) - 1)
        grade = np.array(numbers[::-1], dtype=np.float64)[place]
    end = events.event_time.copy()
    if severity.duration_day:
        length = streams.normal(seed, f"episode:{events.name}", events.patients[present], most)
        end = end + severity.duration_day * np.exp(_LENGTH_SD * length[row, rank])
    return Graded(grade, draws < (severity.serious or 0.0), draws < (severity.stops or 0.0), end)


#: Standard deviation of the logarithm of the length of an episode: half of them last between 0.6
#: and 1.6 times the median.
_LENGTH_SD = 0.7


def present_at(events: Events, graded: Graded, day: float) -> IntArray:
    """1 for patients who have an episode on a day, else 0. Shape (patient,)."""
    now = (events.event_time <= day) & (graded.end_day > day)
    found = np.zeros(len(events.patients), dtype=np.int64)
    found[events.event_row[now]] = 1
    return found

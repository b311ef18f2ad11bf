"""How fast a long piece of work goes and how long it will take, in words."""

from __future__ import annotations

import time
from collections.abc import Callable

#: A speed is told once a stage has lasted this long, s.
SHORTEST_SECONDS = 0.5


class Pace:
    """Speed and time left of a stage, counted from where it began.

    What was done before the stage began, by a run that is resumed, was not done in this time.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._unit = ""
        self._began, self._first = 0.0, 0

    def __call__(self, done: int, total: int, stage: str) -> tuple[float, float] | None:
        """Units per second and seconds left; None as long as nothing can be told."""
        now, unit = self._clock(), unit_of(stage)
        if unit != self._unit or done < self._first:
            self._unit, self._began, self._first = unit, now, done
        seconds, own = now - self._began, done - self._first
        if seconds < SHORTEST_SECONDS or own <= 0:
            return None
        speed = own / seconds
        return speed, max(total - done, 0) / speed


def unit_of(stage: str) -> str:
    """What is counted: the stage without what is said about it in parentheses.

    Examples
    --------
    >>> unit_of("patients (3 failed)")
    'patients'
    """
    return stage.partition(" (")[0]


def clock_words(seconds: float) -> str:
    """A time as people read it.

    Examples
    --------
    >>> clock_words(7), clock_words(75), clock_words(3700)
    ('7 s', '1 min 15 s', '1 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def speed_words(speed: float, unit: str) -> str:
    """A speed as people read it.

    Examples
    --------
    >>> speed_words(12345.6, "patients"), speed_words(0.25, "evaluations")
    ('12,346 patients/s', '0.25 evaluations/s')
    """
    return f"{speed:,.0f} {unit}/s" if speed >= 10 else f"{speed:.2g} {unit}/s"

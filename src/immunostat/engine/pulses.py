"""Pulses at random times: the random input of a model, drawn once per patient before it is solved.

The times are a function of seed, purpose and patient alone, so a patient has the same history in
whatever company, and two settings of a model can be compared on the same histories.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from immunostat.base import streams
from immunostat.base.errors import RangeError
from immunostat.engine.problem import Action, Event, IntArray
from immunostat.model.system import FloatArray

#: Most steps of one history: beyond it a chance per step is the wrong description.
LARGEST_STEPS = 1_000_000

#: Histories drawn at once, to bound memory.
_BLOCK = 64


@dataclass(frozen=True)
class RandomPulse:
    """In each step of length `step` the state receives `amount` with probability `chance`."""

    state: str
    amount: float
    chance: float
    step: float


def pulse_times(
    pulse: RandomPulse, seed: int, patients: Sequence[int], end: float
) -> list[FloatArray]:
    """Times at which a pulse comes, for each patient: the starts of the steps that have one.

    Parameters
    ----------
    pulse
        Chance per step and length of a step, in the model's unit of time.
    seed
        Seed of the study, 0 to 2**64 - 1.
    patients
        Number of each patient, not negative; order and company do not matter. Shape (patient,).
    end
        No pulse comes at or after this time.

    Returns
    -------
    Ascending times for each patient. A longer history starts with the shorter one.

    Raises
    ------
    RangeError
        The chance is not between 0 and 1, the step is not positive, or there are too many steps.

    Source
    ------
    velezdemendizabal2011, Additional file 2: in each step a uniform number is compared with the
    chance; here that number belongs to seed, state, patient and step.

    Examples
    --------
    >>> certain = RandomPulse("cells", 100.0, 1.0, 0.5)
    >>> pulse_times(certain, 1, [0], 2.0)[0].tolist()
    [0.0, 0.5, 1.0, 1.5]
    """
    if not 0 <= pulse.chance <= 1:
        raise RangeError(f"chance {pulse.chance:g} of a pulse is not between 0 and 1")
    if not (math.isfinite(pulse.step) and pulse.step > 0):
        raise RangeError(f"step {pulse.step:g} between pulses is not positive")
    if not end >= 0 or end / pulse.step > LARGEST_STEPS:
        raise RangeError(
            f"pulses every {pulse.step:g} until {end:g}: at most {LARGEST_STEPS} steps are drawn"
        )
    # A step that ends exactly at `end` counts once, whatever rounding does to the quotient.
    n_steps = math.ceil(end / pulse.step - 1e-9)
    starts = pulse.step * np.arange(n_steps)
    numbers: IntArray = np.asarray(patients, dtype=np.int64)
    found: list[FloatArray] = []
    for first in range(0, len(numbers), _BLOCK):
        block = numbers[first : first + _BLOCK]
        drawn = streams.uniform(seed, f"pulses of {pulse.state}", block, n_steps)
        found.extend(starts[row < pulse.chance] for row in drawn)
    return found


def pulse_events(
    pulses: Sequence[RandomPulse], seed: int, patients: Sequence[int], end: float
) -> list[list[Event]]:
    """Scheduled events of all random pulses, for each patient.

    Parameters
    ----------
    pulses
        One for each state that receives pulses; different states have independent times.
    seed, patients, end
        See `pulse_times`.

    Returns
    -------
    Events for `Schedule.of_events`, for each patient.
    """
    events: list[list[Event]] = [[] for _ in patients]
    for pulse in pulses:
        for own, times in zip(events, pulse_times(pulse, seed, patients, end), strict=True):
            own.extend(Event(float(t), Action.ADD, pulse.state, pulse.amount) for t in times)
    return events

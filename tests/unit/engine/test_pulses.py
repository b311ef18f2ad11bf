"""Random pulses: a history belongs to seed, state and patient, and pulses come as often as said."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import RangeError
from immunostat.engine.problem import Action
from immunostat.engine.pulses import RandomPulse, pulse_events, pulse_times

PULSE = RandomPulse("cells", 100.0, 0.03, 0.1)


def test_a_patient_keeps_his_history_in_any_company() -> None:
    alone = pulse_times(PULSE, 7, [70], 500.0)[0]
    among_others = pulse_times(PULSE, 7, range(100), 500.0)[70]
    np.testing.assert_array_equal(alone, among_others)


def test_a_longer_history_starts_with_the_shorter_one() -> None:
    short, long = (pulse_times(PULSE, 7, [3], end)[0] for end in (100.0, 300.0))
    np.testing.assert_array_equal(short, long[long < 100.0])


def test_pulses_come_with_the_chance_of_each_step() -> None:
    # 200 histories of 1000 steps: the mean count is 30 with a standard error of 0.38.
    counts = [len(times) for times in pulse_times(PULSE, 1, range(200), 100.0)]
    assert abs(np.mean(counts) - 30.0) < 4 * np.sqrt(1000 * 0.03 * 0.97 / 200)


def test_two_states_have_independent_histories() -> None:
    other = RandomPulse("others", 100.0, 0.03, 0.1)
    one, two = (set(pulse_times(p, 1, [0], 1000.0)[0].tolist()) for p in (PULSE, other))
    # Of about 300 pulses each, 9 fall together by chance.
    assert len(one & two) < 30


def test_events_add_the_amount_to_the_state() -> None:
    events = pulse_events([RandomPulse("cells", 100.0, 1.0, 0.5)], 1, [4], 1.0)[0]
    assert [(e.time, e.action, e.target, e.value) for e in events] == [
        (0.0, Action.ADD, "cells", 100.0),
        (0.5, Action.ADD, "cells", 100.0),
    ]


@pytest.mark.parametrize(
    ("pulse", "end", "said"),
    [
        (RandomPulse("cells", 1.0, 1.5, 0.1), 1.0, "chance 1.5"),
        (RandomPulse("cells", 1.0, 0.5, 0.0), 1.0, "not positive"),
        (RandomPulse("cells", 1.0, 0.5, 1e-9), 1.0, "at most"),
        (RandomPulse("cells", 1.0, 0.5, 0.1), float("nan"), "at most"),
    ],
)
def test_a_pulse_that_cannot_be_drawn_is_said(pulse: RandomPulse, end: float, said: str) -> None:
    with pytest.raises(RangeError, match=said):
        pulse_times(pulse, 1, [0], end)

"""The reading that counts how often a course rises above a level."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import RangeError
from immunostat.engine.readings import reading


def test_a_rise_counts_once_however_long_it_lasts() -> None:
    times = np.linspace(0.0, 10.0, 1001)
    # four waves of 2.5, each rising once; the first begins at the level itself
    waves = np.sin(2 * np.pi * times / 2.5)
    assert reading("number of rises", times, waves, 0.0) == 4
    assert reading("number of rises", times, waves, 2.0) == 0


def test_a_course_that_starts_above_the_level_has_not_risen() -> None:
    assert reading("number of rises", np.arange(3.0), np.array([5.0, 6.0, 1.0]), 2.0) == 0


def test_a_rise_needs_a_level() -> None:
    with pytest.raises(RangeError, match="needs a level"):
        reading("number of rises", np.arange(3.0), np.arange(3.0))

"""What is read from a course, and where steady states meet: against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from immunostat.base.errors import ModelError, RangeError
from immunostat.engine.folds import fold
from immunostat.engine.readings import reading
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml

TIMES = np.linspace(0.0, 10.0, 1001)


def test_a_parabola_has_its_maximum_between_the_samples() -> None:
    values = 3.0 - (TIMES - 4.0037) ** 2
    assert reading("maximum", TIMES, values) == pytest.approx(3.0, abs=1e-12)
    assert reading("time of maximum", TIMES, values) == pytest.approx(4.0037, abs=1e-9)
    assert reading("minimum", TIMES, -values) == pytest.approx(-3.0, abs=1e-12)


def test_a_maximum_at_an_end_is_that_sample() -> None:
    assert reading("maximum", TIMES, TIMES) == 10.0
    assert reading("time of maximum", TIMES, -TIMES) == 0.0


def test_growth_and_decay_are_mirrored() -> None:
    up, down = np.exp(0.3 * TIMES), np.exp(-0.3 * TIMES)
    assert reading("growth rate", TIMES, up) == pytest.approx(0.3)
    assert reading("growth rate", TIMES, down) == pytest.approx(-0.3)
    assert reading("doubling time", TIMES, up) == pytest.approx(math.log(2) / 0.3)
    assert reading("half-life", TIMES, down) == pytest.approx(math.log(2) / 0.3)
    # what falls never doubles, what rises is never halved
    assert math.isnan(reading("doubling time", TIMES, down))
    assert math.isnan(reading("half-life", TIMES, up))


def test_a_rate_of_what_is_not_positive_is_refused() -> None:
    with pytest.raises(RangeError, match="not positive"):
        reading("growth rate", TIMES, TIMES)


def test_a_line_crosses_a_level_once() -> None:
    assert reading("first time above", TIMES, TIMES, 3.3333) == pytest.approx(3.3333)
    assert reading("first time below", TIMES, -TIMES, -3.3333) == pytest.approx(3.3333)
    assert math.isnan(reading("first time above", TIMES, TIMES, 11.0))
    assert reading("first time below", TIMES, TIMES, 1.0) == 0.0
    with pytest.raises(RangeError, match="level"):
        reading("first time above", TIMES, TIMES)


def test_a_sine_has_its_period() -> None:
    values = np.sin(2 * math.pi * TIMES / 2.7)
    assert reading("number of maxima", TIMES, values) == 4.0
    # 1e-5: the parabola through three samples is not quite the sine
    assert reading("period", TIMES, values) == pytest.approx(2.7, abs=1e-5)
    assert math.isnan(reading("period", TIMES, TIMES))


def test_an_unknown_reading_is_refused() -> None:
    with pytest.raises(RangeError, match="no reading"):
        reading("mood", TIMES, TIMES)


def cubic():
    text = "model cubic()\n var x, y; const r, k; x' = r + x - x^3; y' = k*(x - y);\n"
    text += " x = 0; y = 0; r = 0; k = 2;\nend"
    return system_from_sbml(flatten([Fragment(text, "cubic.ant")], "cubic"), "cubic")


def test_the_folds_of_a_cubic_are_where_calculus_says() -> None:
    system = cubic()
    exact = 2 / (3 * math.sqrt(3))
    guess = np.zeros(2)
    low = fold(system, system.defaults, guess, "x", (0.1, 1.2), "r")
    high = fold(system, system.defaults, guess, "x", (-0.1, -1.2), "r")
    assert low == pytest.approx(-exact, abs=1e-9)
    assert high == pytest.approx(exact, abs=1e-9)


def test_a_branch_with_two_folds_or_none_is_refused() -> None:
    system = cubic()
    for ends, times in (((-1.2, 1.2), "2 times"), ((1.0, 2.0), "0 times")):
        with pytest.raises(ModelError, match=f"turns {times}"):
            fold(system, system.defaults, np.zeros(2), "x", ends, "r")

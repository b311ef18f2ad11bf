"""Numbers and names for readers; the examples in the docstrings are tests too."""

from __future__ import annotations

import doctest
import math

import pytest

from immunostat.report import plates, tables, words


@pytest.mark.parametrize("module", [words, tables, plates])
def test_examples_in_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_what_is_unknown_is_a_dash() -> None:
    assert words.number(math.nan) == words.percent(math.nan) == words.signed(math.inf) == "–"
    assert words.estimate(math.nan, 0.0, 1.0) == ("–", "")


def test_an_interval_with_an_unknown_end_is_left_out() -> None:
    assert words.estimate(0.5, math.nan, 0.9, share=True) == ("50\u202f%", "")


def test_zero_is_written_without_decimals() -> None:
    assert words.estimate(0.0, 0.0, 0.7, digits=2) == ("0", "0 to 0.70")

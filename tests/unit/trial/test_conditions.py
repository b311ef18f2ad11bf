"""Conditions in plain words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immunostat.base.errors import InputError, UnitError, UnknownNameError
from immunostat.trial.conditions import parse_condition, resolved

UNITS = {"neutrophils": "10^9/L", "age": "year", "weight": "kg", "ACR20": "1", "DAS28-CRP": "1"}


def test_words_are_read_and_written_back() -> None:
    condition = parse_condition("neutrophils<1.5 and DAS28-CRP >= 3.2 and ACR20 is no")
    assert str(condition) == "neutrophils < 1.5 and DAS28-CRP >= 3.2 and ACR20 = 0"
    assert parse_condition(str(condition)) == condition


def test_all_comparisons_must_hold_and_missing_values_fulfil_none() -> None:
    condition = resolved(parse_condition("age >= 65 and weight < 60"), UNITS)
    values = {"age": [70.0, 70.0, 60.0, np.nan], "weight": [50.0, 60.0, 50.0, 50.0]}
    assert condition.holds(values).tolist() == [True, False, False, False]
    missing = parse_condition("ACR20 is not 1")
    assert missing.holds({"ACR20": [np.nan, 0.0, 1.0]}).tolist() == [False, True, False]


def test_units_are_converted_to_those_of_the_name() -> None:
    assert resolved(parse_condition("weight < 60000 g"), UNITS).comparisons[0].value == 60.0
    assert resolved(parse_condition("Age > 780 months"), UNITS).comparisons[0].value == (
        pytest.approx(65.0)
    )


def test_wrong_words_are_refused_with_a_way_out() -> None:
    for words in ("neutrophils", "neutrophils below 1", "< 3", "age > yes", "", 3, "a" * 600):
        with pytest.raises(InputError):
            parse_condition(words)
    with pytest.raises(UnknownNameError, match="neutrophils"):
        resolved(parse_condition("neutrophil < 1"), UNITS)
    with pytest.raises(UnitError):
        resolved(parse_condition("age > 3 kg"), UNITS)


@given(st.floats(-1e6, 1e6), st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_below_and_not_below_share_out_the_patients(level, values) -> None:
    below = parse_condition(f"age < {level!r}").holds({"age": values})
    rest = parse_condition(f"age >= {level!r}").holds({"age": values})
    assert np.array_equal(below, ~rest)

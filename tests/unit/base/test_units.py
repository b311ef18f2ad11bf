"""Units: conversions that can be worked out by hand, and what is refused."""

import pytest

from immunostat.base.errors import Place, UnitError
from immunostat.base.units import AMOUNTS, DAYS, convert, days_of, measure_of, to_internal

MOLAR_MASS = 148_000.0  # g/mol


@pytest.mark.parametrize(
    ("value", "unit", "kind", "expected"),
    [
        (0.5, "L/h", "clearance", 12.0),
        (10, "mL/min", "clearance", 14.4),
        (500, "mL", "volume", 0.5),
        (148, "kg/mol", "molar_mass", 148_000.0),
        (148, "kDa", "molar_mass", 148_000.0),
        (1, "1/h", "rate", 24.0),
        (2, "week", "duration", 14.0),
        (50, "%", "none", 0.5),
        (130, "pmol/L", "concentration", 0.13),
        (0.13, "nM", "concentration", 0.13),
        (5000, "cells/uL", "cell_count", 5.0),
        (5, "10^9/L", "cell_count", 5.0),
        (24, "month", "age", 2.0),
    ],
)
def test_a_unit_becomes_the_inside_unit(value, unit, kind, expected):
    # 1e-8: pint's constants (the dalton) carry nine digits
    assert to_internal(value, unit, kind) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("value", "unit", "kind", "expected"),
    [
        (148, "mg", "amount", 1000.0),
        (148, "ug/mL", "concentration", 1000.0),
        (148, "mg/L", "concentration", 1000.0),
        (1.48, "mg/day", "amount_rate", 10.0),
        (7, "nmol", "amount", 7.0),
    ],
)
def test_mass_becomes_amount_through_the_molar_mass(value, unit, kind, expected):
    assert to_internal(value, unit, kind, MOLAR_MASS) == pytest.approx(expected, rel=1e-12)


def test_amount_becomes_mass_again():
    there = convert(40, "mg", "nmol", molar_mass=MOLAR_MASS)
    assert convert(there, "nmol", "mg", molar_mass=MOLAR_MASS) == pytest.approx(40, rel=1e-12)


def test_mass_without_molar_mass_is_refused():
    with pytest.raises(UnitError, match="molar mass"):
        to_internal(40, "mg", "amount")


def test_wrong_dimension_names_place_and_example():
    with pytest.raises(UnitError) as caught:
        to_internal(1, "mL", "clearance", what="clearance", place=Place("x.yaml", 14))
    assert str(caught.value).startswith("x.yaml:14: clearance has unit 'mL'")
    assert "L/day" in str(caught.value)


@pytest.mark.parametrize(
    "unit",
    [
        "",
        " ",
        "mgg",
        "9^9^9",
        "9**99**9",
        "10^1000",
        "(9^99)^99",
        "2^(9^9)",
        '__import__("os").system("x")',
        "[x for x in ()]",
        "foo.bar",
        "(((",
        "L/",
        "- 3",
        "0",
        "1/0",
        "a" * 41,
        "mg; L",
        "degC\n",
    ],
)
def test_text_that_is_no_unit_is_refused(unit):
    with pytest.raises(UnitError):
        convert(1, unit, "1")


def test_words_of_time_and_dose_agree_with_pint():
    for word, days in DAYS.items():
        assert convert(1, word, "day") == pytest.approx(days, rel=1e-12)
    for word, unit in AMOUNTS.items():
        assert convert(1, word, unit) == pytest.approx(1, rel=1e-12)


def test_days_of_words():
    assert days_of("24 weeks") == 168
    assert days_of("24weeks") == 168
    assert days_of("6 hours") == 0.25


@pytest.mark.parametrize("text", ["24", "weeks", "24 wekks", "-1 day", "nan days", "inf days", ""])
def test_words_without_number_or_unit_are_refused(text):
    with pytest.raises(UnitError, match="for example"):
        days_of(text)


def test_measure_keeps_what_was_written():
    measure = measure_of("8 mg/kg", what="dose", example="40 mg")
    assert (measure.value, measure.unit, str(measure)) == (8, "mg/kg", "8 mg/kg")

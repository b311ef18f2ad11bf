"""Units at the edge: what people write becomes day, nmol, L, nmol/L, kg and year once, here.

Words of time and of dose are a small table, so that reading a study needs no unit library; every
other unit goes through pint, which is imported when first needed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from immunostat.base.errors import Place, UnitError

if TYPE_CHECKING:
    from pint import Quantity, UnitRegistry

MAXIMUM_UNIT_LENGTH = 40

#: Inside unit of each kind of quantity, with an example of what people may write.
INSIDE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "age": ("year", "55 year"),
        "amount": ("nmol", "40 mg"),
        "amount_rate": ("nmol/day", "7.5 mg/day"),
        "area": ("m^2", "1.8 m^2"),
        "cells": ("10^6 cell", "5e9 cell"),
        "cell_count": ("10^9 cell/L", "4.2 10^9/L"),
        "clearance": ("L/day", "0.3 L/day"),
        "concentration": ("nmol/L", "0.13 nmol/L or 8.5 ug/mL"),
        "duration": ("day", "24 week"),
        "length": ("cm", "170 cm"),
        "mass": ("mg", "40 mg"),
        "mass_concentration": ("mg/L", "3 mg/L"),
        "molar_mass": ("g/mol", "148 kg/mol"),
        "none": ("1", "0.64 with unit 1"),
        "rate": ("1/day", "0.28 1/day"),
        "volume": ("L", "2.96 L"),
        "weight": ("kg", "70 kg"),
    }
)

#: Unit in which each covariate travels; the reference values of cards are converted to it.
COVARIATE_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "age": "year",
        "albumin": "g/L",
        "bmi": "kg/m^2",
        "bsa": "m^2",
        "creatinine_clearance": "mL/min",
        "crp": "mg/L",
        "disease_duration": "year",
        "hdl_cholesterol": "mg/dL",
        "height": "cm",
        "rheumatoid_factor": "IU/mL",
        "total_protein": "g/L",
        "weight": "kg",
    }
)

#: Words for lengths of time, in days. A month is a twelfth of 365.25 days.
DAYS: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("minute", "minutes", "min"), 1 / 1440),
        **dict.fromkeys(("hour", "hours", "h"), 1 / 24),
        **dict.fromkeys(("day", "days", "d"), 1.0),
        **dict.fromkeys(("week", "weeks"), 7.0),
        **dict.fromkeys(("month", "months"), 365.25 / 12),
        **dict.fromkeys(("year", "years"), 365.25),
    }
)

#: Words for amounts of drug and the unit they mean.
AMOUNTS: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in ("ng", "ug", "mg", "g", "pmol", "nmol", "umol", "mmol")},
        **{name: name for name in ("IU", "kIU", "MIU")},
        "µg": "ug",
        "μg": "ug",
        "mcg": "ug",
        "µmol": "umol",
        "μmol": "umol",
    }
)

_ALLOWED = re.compile(r"[A-Za-z0-9µμ %/*^().-]+")
_POWER = re.compile(r"\*\*|\^")
_SAFE_POWER = re.compile(
    r"(?<=[A-Za-zµμ0-9]) ?(?:\*\*|\^) ?-?[0-9]{1,2}(?![0-9.A-Za-z]| ?(?:\*\*|\^))"
)


@dataclass(frozen=True)
class Measure:
    """A number with its unit as a person wrote it."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


def _refuse(message: str, example: str, place: Place | None) -> NoReturn:
    raise UnitError(message, place, f"for example {example}")


@lru_cache(maxsize=1)
def registry() -> UnitRegistry[Any]:
    """The one pint registry of this program; imported when first asked for."""
    import pint

    units: UnitRegistry[Any] = pint.UnitRegistry()
    units.define("international_unit = [biological_activity] = IU")
    units.define("cell = [] = _ = cells")
    units.define("joint = [] = _ = joints")
    units.define("@alias microgram = mcg")
    return units


def _check_text(unit: str, what: str, example: str, place: Place | None) -> None:
    """Refuse text that no unit needs, before any parser sees it."""
    if not unit.strip():
        _refuse(f"{what} has no unit", example, place)
    if len(unit) > MAXIMUM_UNIT_LENGTH:
        _refuse(f"unit of {what} is longer than {MAXIMUM_UNIT_LENGTH} characters", example, place)
    if not _ALLOWED.fullmatch(unit):
        _refuse(f"unit '{unit}' of {what} holds a character that no unit has", example, place)
    if len(_POWER.findall(unit)) != len(_SAFE_POWER.findall(unit)):
        _refuse(f"unit '{unit}' of {what} has a power that is not a small number", example, place)


@lru_cache(maxsize=1024)
def _parse(unit: str) -> Quantity[Any] | str:
    """Quantity of one `unit`, or what is wrong with it (errors are cached like answers)."""
    import pint

    try:
        quantity = registry().parse_expression(unit.replace("IU", "international_unit"))
    except pint.UndefinedUnitError:
        known = [*DAYS, *AMOUNTS, "L", "mL", "kg", "nmol/L", "L/day", "1/day", "mol", "percent"]
        near = difflib.get_close_matches(unit, known, n=2, cutoff=0.6)
        hint = "; did you mean " + " or ".join(f"'{name}'" for name in near) + "?" if near else ""
        return f"'{unit}' is not a known unit{hint}"
    except Exception as error:  # pint raises many kinds for text that is no unit
        return f"'{unit}' cannot be read as a unit ({type(error).__name__})"
    if isinstance(quantity, int | float):
        quantity = registry().Quantity(quantity, "dimensionless")
    if not isfinite(quantity.magnitude) or quantity.magnitude <= 0:
        return f"'{unit}' is not a positive unit"
    return quantity


@lru_cache(maxsize=1024)
def _factor(unit: str, inside: str, molar_mass: float | None) -> float | str:
    """Number of `inside` units in one `unit`, or what keeps it from being converted."""
    from pint.errors import OffsetUnitCalculusError

    quantity, wanted = _parse(unit), _parse(inside)
    if isinstance(quantity, str):
        return quantity
    if isinstance(wanted, str):
        return wanted
    if unit == inside:  # also scales with a zero of their own, such as degC, which have no factor
        return 1.0
    units = registry()
    try:
        ratio = quantity / wanted
    except OffsetUnitCalculusError:
        return f"'{unit}' has a zero of its own and is not converted to '{inside}'"
    if not ratio.dimensionless and inside == "g/mol" and quantity.check("[mass]"):
        ratio = ratio * units.Quantity(1, "avogadro_constant")  # kDa of one molecule
    if not ratio.dimensionless:
        mass_power = ratio.dimensionality.get("[mass]", 0)
        if mass_power == -ratio.dimensionality.get("[substance]", 0) and mass_power in (1, -1):
            if molar_mass is None:
                return f"'{unit}' is of mass where '{inside}' needs the molar mass of the drug"
            ratio = ratio / units.Quantity(molar_mass, "g/mol") ** mass_power
    if not ratio.dimensionless:
        return f"has unit '{unit}', which is not of the dimension of '{inside}'"
    return float(ratio.to("dimensionless").magnitude)


def convert(
    value: float,
    unit: str,
    to: str,
    *,
    molar_mass: float | None = None,
    what: str = "value",
    place: Place | None = None,
    example: str | None = None,
) -> float:
    """`value` in the unit `to`; mass becomes amount (and back) through the molar mass.

    Parameters
    ----------
    value
        The number, in `unit`.
    unit
        As a person wrote it, pint syntax; ``1`` for none.
    to
        The wanted unit.
    molar_mass
        g/mol; needed only where one unit is of mass and the other of amount.
    what
        Name of the quantity, for the error message.
    place
        File and line, for the error message.
    example
        What the remedy of the error shows; `to` if not given.

    Raises
    ------
    UnitError
        The unit is missing, not known, or of another dimension.

    Examples
    --------
    >>> convert(40, "mg", "nmol", molar_mass=148000).__round__(2)
    270.27
    """
    shown = example or f"'{to}'"
    _check_text(unit, what, shown, place)
    factor = _factor(unit.strip(), to, molar_mass)
    if isinstance(factor, str):
        _refuse(f"{what} {factor}" if factor[:3] == "has" else f"{what}: {factor}", shown, place)
    return value * factor


def to_internal(
    value: float,
    unit: str,
    kind: str,
    molar_mass: float | None = None,
    *,
    what: str = "value",
    place: Place | None = None,
) -> float:
    """`value` in the inside unit of its kind, a key of `INSIDE`: clearance in L/day and so on.

    Examples
    --------
    >>> round(to_internal(0.0244, "L/h", "clearance"), 4)
    0.5856
    """
    inside, example = INSIDE[kind]
    return convert(
        value, unit, inside, molar_mass=molar_mass, what=what, place=place, example=example
    )


def covariate_unit(name: str) -> str:
    """Unit in which the covariate `name` travels; ``1`` where it has none."""
    return COVARIATE_UNITS.get(name, "1")


def measure_of(text: str, *, what: str, example: str, place: Place | None = None) -> Measure:
    """Number and unit of words such as ``24 weeks``; a number alone is refused with an example."""
    number, _, unit = text.strip().partition(" ")
    if not unit and (glued := re.fullmatch(r"([-+0-9.eE]*[0-9.])([A-Za-zµμ%][^ ]*)", number)):
        number, unit = glued.groups()
    try:
        value = float(number)
    except ValueError:
        _refuse(f"{what} '{text}' does not begin with a number", example, place)
    if not isfinite(value):
        _refuse(f"{what} '{text}' is not a finite number", example, place)
    if not unit.strip():
        _refuse(f"{what} '{text}' has no unit", example, place)
    return Measure(value, unit.strip())


def days_of(
    text: str, *, what: str = "duration", example: str = "24 weeks", place: Place | None = None
) -> float:
    """Days in words such as ``24 weeks`` or ``1 hour``; not negative.

    Examples
    --------
    >>> days_of("24 weeks")
    168.0
    """
    measure = measure_of(text, what=what, example=example, place=place)
    if measure.unit not in DAYS:
        near = difflib.get_close_matches(measure.unit, DAYS, n=1, cutoff=0.6)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        _refuse(f"{what}: '{measure.unit}' is not a unit of time{hint}", example, place)
    if measure.value < 0:
        _refuse(f"{what} '{text}' is negative", example, place)
    return measure.value * DAYS[measure.unit]

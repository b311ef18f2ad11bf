"""Units of an SBML file as short text: ``nmol/L``, ``1/s``, ``10^6 item``."""

from __future__ import annotations

from typing import Any

#: Names of SBML's base units as people write them; others are written as SBML names them.
_SHORT = {
    "mole": "mol",
    "litre": "L",
    "liter": "L",
    "second": "s",
    "metre": "m",
    "meter": "m",
    "gram": "g",
    "kilogram": "kg",
    "dimensionless": "1",
    "kelvin": "K",
    "joule": "J",
    "hertz": "Hz",
}
_PREFIX = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 3: "k", 6: "M", -2: "c", -1: "d"}
_TIMES = {60.0: "min", 3600.0: "h", 86400.0: "day", 604800.0: "week"}
_PREFIXED = ("mol", "L", "m", "g", "s", "J")


#: Ids that Level 2 gives to whatever unit a file uses.
_SAYS_NOTHING = ("volume", "time", "area", "length", "extent", "unit")


def unit_text(model: Any, unit: str) -> str:
    """Text of a unit of the file: the name of its definition, or what it is made of."""
    if not unit:
        return ""
    definition = model.getUnitDefinition(unit)
    if definition is None:
        return _SHORT.get(unit, unit)
    if definition.isSetName() and 0 < len(definition.getName()) <= 24:
        return str(definition.getName())
    if unit.isalpha() and len(unit) <= 6 and unit not in _SAYS_NOTHING:
        return unit
    parts = [_part(definition.getUnit(i)) for i in range(definition.getNumUnits())]
    if not parts or any(text is None for text, _ in parts):
        return unit
    above = [_power(text, power) for text, power in parts if text and power > 0 and text != "1"]
    below = [_power(text, -power) for text, power in parts if text and power < 0 and text != "1"]
    if not below:
        return "*".join(above) or "1"
    return "/".join(["*".join(above) or "1", *below])


def _power(text: str | None, power: float) -> str:
    return f"{text}" if power == 1 else f"{text}^{power:g}"


def _part(unit: Any) -> tuple[str | None, float]:
    """Text and exponent of one factor of a unit; None where it has no short text."""
    import libsbml

    kind = libsbml.UnitKind_toString(unit.getKind())
    name, power = _SHORT.get(kind, kind), float(unit.getExponentAsDouble())
    scale, factor = int(unit.getScale()), float(unit.getMultiplier())
    if kind == "second" and (seconds := round(factor * 10.0**scale, 6)) in _TIMES:
        return _TIMES[seconds], power
    if factor != 1.0:
        return None, power
    if scale == 0:
        return name, power
    if name in _PREFIXED and scale in _PREFIX:
        return _PREFIX[scale] + name, power
    return f"10^{scale} {name}", power


def time_unit(model: Any) -> str:
    """Unit of time of the file; empty where it states none."""
    if model.getLevel() >= 3:
        return unit_text(model, model.getTimeUnits()) if model.isSetTimeUnits() else ""
    return unit_text(model, "time") if model.getUnitDefinition("time") is not None else "s"


def substance_unit(model: Any, species: Any) -> str:
    """Unit of a species' amount; empty where the file states none."""
    own = species.getSubstanceUnits() or (model.getSubstanceUnits() if _is_3(model) else "")
    if not own and not _is_3(model):
        own = "substance" if model.getUnitDefinition("substance") is not None else "mole"
    return unit_text(model, own)


def volume_unit(model: Any, compartment: Any) -> str:
    """Unit of a compartment's size; empty where the file states none."""
    own = compartment.getUnits()
    dimensions = compartment.getSpatialDimensionsAsDouble()
    if not own and _is_3(model):
        by_dimension = {3: model.getVolumeUnits, 2: model.getAreaUnits, 1: model.getLengthUnits}
        own = by_dimension[dimensions]() if dimensions in by_dimension else ""
    elif not own and dimensions == 3:
        own = "volume" if model.getUnitDefinition("volume") is not None else "litre"
    return unit_text(model, own)


def extent_unit(model: Any) -> str:
    """Unit of how much reactions turn over; empty where the file states none."""
    if _is_3(model):
        return unit_text(model, model.getExtentUnits())
    return unit_text(model, "substance" if model.getUnitDefinition("substance") else "mole")


def ratio(above: str, below: str) -> str:
    """Text of one unit by another; empty if either is not known."""
    if not above or not below:
        return ""
    if below == "1":
        return above
    return f"{above}/{below}" if "/" not in below and "*" not in below else f"{above}/({below})"


def _is_3(model: Any) -> bool:
    return bool(model.getLevel() >= 3)

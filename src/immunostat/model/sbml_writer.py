"""A joined model written as SBML for other programs: values, doses as events, units, sources."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from immunostat.base.errors import ModelError
from immunostat.base.units import registry

#: Ending of the parameter that is the constant input into a state.
INPUT = "_input"

#: More doses than this make a file that no program would like to read.
MOST_DOSES = 5_000

#: SBML's base units by the names that pint gives, with scale and multiplier.
_BASE: dict[str, tuple[str, int, float]] = {
    "liter": ("litre", 0, 1.0),
    "milliliter": ("litre", -3, 1.0),
    "deciliter": ("litre", -1, 1.0),
    "microliter": ("litre", -6, 1.0),
    "day": ("second", 0, 86400.0),
    "hour": ("second", 0, 3600.0),
    "minute": ("second", 0, 60.0),
    "second": ("second", 0, 1.0),
    "week": ("second", 0, 604800.0),
    "year": ("second", 0, 31557600.0),
    "mole": ("mole", 0, 1.0),
    "millimole": ("mole", -3, 1.0),
    "micromole": ("mole", -6, 1.0),
    "nanomole": ("mole", -9, 1.0),
    "picomole": ("mole", -12, 1.0),
    "gram": ("gram", 0, 1.0),
    "kilogram": ("kilogram", 0, 1.0),
    "milligram": ("gram", -3, 1.0),
    "microgram": ("gram", -6, 1.0),
    "nanogram": ("gram", -9, 1.0),
    "meter": ("metre", 0, 1.0),
    "centimeter": ("metre", -2, 1.0),
    "cell": ("item", 0, 1.0),
    "joint": ("item", 0, 1.0),
}


@dataclass(frozen=True)
class Remark:
    """What stands beside a parameter: its unit, and where its number is from."""

    unit: str = ""
    text: str = ""
    url: str = ""


@dataclass(frozen=True)
class Change:
    """Amounts added at one time, by the name of a state or of its input."""

    time: float
    amounts: tuple[tuple[str, float], ...]


def write_sbml(
    flat: str,
    values: Mapping[str, float],
    changes: Sequence[Change],
    remarks: Mapping[str, Remark],
    title: str,
    notes: Sequence[str],
) -> str:
    """SBML Level 3 Version 2 of a flat model.

    Parameters
    ----------
    flat
        SBML of the model.
    values
        Values of parameters, and start values of states, by name.
    changes
        Doses, ascending in time; a name that ends in `INPUT` is the constant input into a state.
    remarks
        By name of the parameter.
    title, notes
        Name of the model, and paragraphs about it.

    Raises
    ------
    ModelError
        There are too many doses, or libsbml finds the written model not valid.
    """
    import libsbml

    if len(changes) > MOST_DOSES:
        raise ModelError(
            f"the arm has {len(changes)} doses; up to {MOST_DOSES} are written",
            remedy="shorten the study, or leave the doses out with --no-doses",
        )
    document = libsbml.readSBMLFromString(flat)
    document.setLevelAndVersion(3, 2, False)
    model = document.getModel()
    model.setName(title)
    model.setNotes(_notes(notes))
    model.setTimeUnits(_unit(model, "day"))
    for name, value in values.items():
        _set_value(model, name, value)
    inputs = {name for change in changes for name, _ in change.amounts if name.endswith(INPUT)}
    for name in sorted(inputs):
        _add_input(model, name)
    for number, change in enumerate(changes):
        _add_event(model, f"dose_{number + 1}", change)
    for name, remark in remarks.items():
        _annotate(model, name, remark)
    _refuse_invalid(document)
    return str(libsbml.writeSBMLToString(document))


def _notes(paragraphs: Sequence[str]) -> str:
    body = "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)
    return f'<body xmlns="http://www.w3.org/1999/xhtml">{body}</body>'


def _set_value(model: Any, name: str, value: float) -> None:
    parameter = model.getParameter(name)
    if parameter is None:
        return
    parameter.setValue(value)
    model.removeInitialAssignment(name)


def _add_input(model: Any, name: str) -> None:
    """A parameter that is added to the rate of a state."""
    import libsbml

    state = name.removesuffix(INPUT)
    rule = model.getRateRule(state)
    if rule is None:
        raise ModelError(f"'{state}' has no rate that an infusion could be added to")
    parameter = model.createParameter()
    parameter.setId(name)
    parameter.setConstant(False)
    parameter.setValue(0.0)
    total = libsbml.ASTNode(libsbml.AST_PLUS)
    total.addChild(rule.getMath().deepCopy())
    total.addChild(_symbol(name))
    rule.setMath(total)


def _symbol(name: str) -> Any:
    import libsbml

    node = libsbml.ASTNode(libsbml.AST_NAME)
    node.setName(name)
    return node


def _number(value: float) -> Any:
    import libsbml

    node = libsbml.ASTNode(libsbml.AST_REAL)
    node.setValue(value)
    return node


def _add_event(model: Any, name: str, change: Change) -> None:
    import libsbml

    event = model.createEvent()
    event.setId(name)
    event.setUseValuesFromTriggerTime(True)
    trigger = event.createTrigger()
    trigger.setPersistent(True)
    trigger.setInitialValue(False)
    condition = libsbml.ASTNode(libsbml.AST_RELATIONAL_GEQ)
    condition.addChild(libsbml.ASTNode(libsbml.AST_NAME_TIME))
    condition.addChild(_number(change.time))
    trigger.setMath(condition)
    for target, amount in change.amounts:
        assignment = event.createEventAssignment()
        assignment.setVariable(target)
        total = libsbml.ASTNode(libsbml.AST_PLUS)
        total.addChild(_symbol(target))
        total.addChild(_number(amount))
        assignment.setMath(total)


def _annotate(model: Any, name: str, remark: Remark) -> None:
    """Unit, note and source of one parameter."""
    import libsbml

    parameter = model.getParameter(name)
    if parameter is None:
        return
    unit = _unit(model, remark.unit)
    if unit:
        parameter.setUnits(unit)
    if remark.text:
        parameter.setNotes(_notes([remark.text]))
    if remark.url:
        parameter.setMetaId(f"meta_{name}")
        term = libsbml.CVTerm(libsbml.BIOLOGICAL_QUALIFIER)
        term.setBiologicalQualifierType(libsbml.BQB_IS_DESCRIBED_BY)
        term.addResource(remark.url)
        parameter.addCVTerm(term)


def _unit(model: Any, unit: str) -> str:
    """Id of the definition of a unit, made if there is none; empty if SBML cannot say it."""
    import libsbml

    if not unit:
        return ""
    parts = _parts(unit)
    if parts is None:
        return ""
    if not parts:
        return "dimensionless"
    own = "unit_" + "_".join(
        f"{name}{power:g}".replace("-", "_per_").replace(".", "p") for name, power in parts
    )
    if model.getUnitDefinition(own) is None:
        definition = model.createUnitDefinition()
        definition.setId(own)
        definition.setName(unit)
        for name, power in parts:
            kind, scale, factor = _BASE[name]
            part = definition.createUnit()
            part.setKind(libsbml.UnitKind_forName(kind))
            part.setExponent(power)
            part.setScale(scale)
            part.setMultiplier(factor)
    return own


def _parts(unit: str) -> list[tuple[str, float]] | None:
    """Base units and powers of a unit; None where it has a factor or a base that SBML lacks."""
    try:
        quantity = registry().parse_expression(unit.replace("IU", "international_unit"))
    except Exception:  # pint raises many kinds; a unit it cannot read is left out
        return None
    if isinstance(quantity, int | float):
        return [] if quantity == 1 else None
    powers = sorted((str(name), float(str(power))) for name, power in quantity._units.items())
    powers = [(name, power) for name, power in powers if name != "dimensionless"]
    if quantity.magnitude != 1 or any(name not in _BASE for name, _ in powers):
        return None
    return powers


def _refuse_invalid(document: Any) -> None:
    """What is written must be valid; units are not judged, as formulas hold bare numbers."""
    import libsbml

    document.setConsistencyChecks(libsbml.LIBSBML_CAT_UNITS_CONSISTENCY, False)
    document.setConsistencyChecks(libsbml.LIBSBML_CAT_MODELING_PRACTICE, False)
    document.checkConsistency()
    for i in range(document.getNumErrors()):
        error = document.getError(i)
        if error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            raise ModelError(f"the written SBML is not valid: {error.getMessage().strip()}")

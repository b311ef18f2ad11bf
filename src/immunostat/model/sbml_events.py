"""Events of an SBML model: triggers, delays, priorities and what they set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from immunostat.model.expressions import Expression, FormulaReader, as_condition
from immunostat.model.system import EventAssignment, StateEvent

#: Gives the state or parameter that an assignment to an SBML id really sets, and what its value
#: is multiplied by (the volume, where the state is an amount); None if the id cannot be set.
Target = Callable[[str], tuple[str, Expression | None] | None]


def event_targets(model: Any) -> set[str]:
    """SBML ids of all that events set."""
    return {
        assignment.getVariable()
        for event in model.getListOfEvents()
        for assignment in event.getListOfEventAssignments()
        if assignment.isSetMath()
    }


def read_events(model: Any, formulas: FormulaReader, target: Target) -> tuple[StateEvent, ...]:
    """Events of a model in the order of the file; one without a trigger never happens."""
    found = []
    for number, event in enumerate(model.getListOfEvents()):
        name = event.getId() or f"event{number}"
        trigger = event.getTrigger()
        if trigger is None or not trigger.isSetMath():
            continue
        condition = formulas.read_condition(trigger.getMath(), f"the trigger of '{name}'")
        is_level_3 = event.getLevel() >= 3
        found.append(
            StateEvent(
                name=name,
                trigger=as_condition(condition),
                delay=_formula(event.getDelay(), formulas, f"the delay of '{name}'"),
                priority=_formula(event.getPriority(), formulas, f"the priority of '{name}'"),
                assignments=_assignments(event, formulas, target, name),
                is_persistent=bool(trigger.getPersistent()) if is_level_3 else True,
                starts_true=bool(trigger.getInitialValue()) if is_level_3 else True,
                uses_trigger_values=bool(event.getUseValuesFromTriggerTime()),
            )
        )
    return tuple(found)


def _formula(part: Any, formulas: FormulaReader, what: str) -> Expression | None:
    if part is None or not part.isSetMath():
        return None
    return formulas.read(part.getMath(), what)


def _assignments(
    event: Any, formulas: FormulaReader, target: Target, name: str
) -> tuple[EventAssignment, ...]:
    values: dict[str, tuple[Expression, Expression | None]] = {}
    for assignment in event.getListOfEventAssignments():
        if not assignment.isSetMath():
            continue
        variable = assignment.getVariable()
        found = target(variable)
        if found is None:
            continue
        value = formulas.read(assignment.getMath(), f"what '{name}' sets '{variable}' to")
        values[found[0]] = (value, found[1])
    return tuple(
        # all values are taken before any is set: a concentration is of the volume before
        EventAssignment(own, value if by is None else value * by)
        for own, (value, by) in values.items()
    )

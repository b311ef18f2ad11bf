"""What in a system of equations acts on what: read from the formulas, assignments put in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from immunostat.model.expressions import free_names
from immunostat.model.system import OdeSystem


def direct_reads(system: OdeSystem) -> dict[str, frozenset[str]]:
    """Names that the rate of each state and the formula of each assignment use."""
    own = {name: frozenset(free_names(formula)) for name, formula in system.assignments}
    rates = zip(system.states, system.rates, strict=True)
    return own | {state: frozenset(free_names(rate)) for state, rate in rates}


def reads(system: OdeSystem) -> dict[str, frozenset[str]]:
    """States, parameters and time that each state's rate and each assignment depends on.

    A state reads itself only where its rate does. Parameters that follow from others are named
    beside those.
    """
    direct = direct_reads(system)
    own: dict[str, frozenset[str]] = {}
    for name, formula in system.derived_parameters:
        used = frozenset(free_names(formula))
        own[name] = used.union({name}, *(own[other] for other in used if other in own))
    # Assignments stand in order of evaluation.
    for name in [*(name for name, _ in system.assignments), *system.states]:
        found: set[str] = set()
        for other in direct[name]:
            found |= own[other] if other in own and other not in system.states else {other}
        own[name] = frozenset(found)
    derived = {name for name, _ in system.derived_parameters}
    return {name: read for name, read in own.items() if name not in derived}


def readers(name: str, of: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Everything that depends on `name` by its own formula, sorted; see `reads`."""
    return tuple(sorted(other for other, read in of.items() if name in read))


def cut_at(system: OdeSystem, names: Collection[str]) -> OdeSystem:
    """The system with some assignments as states of their own, whose "rate" is their formula.

    What depends on such an assignment then reads it, and not what it is made of. For looking at
    formulas; it is not to be solved.
    """
    cut = [(name, formula) for name, formula in system.assignments if name in names]
    return replace(
        system,
        states=(*system.states, *(name for name, _ in cut)),
        initial=(*system.initial, *(formula for _, formula in cut)),
        rates=(*system.rates, *(formula for _, formula in cut)),
        assignments=tuple(own for own in system.assignments if own[0] not in names),
    )

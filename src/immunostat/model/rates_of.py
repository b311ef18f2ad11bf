"""SBML's rateOf: the time derivative of a name, also of one that follows from an assignment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import symengine as se

from immunostat.base.errors import ModelError, Place
from immunostat.model.expressions import RATE_OF, Expression, derivative, free_names
from immunostat.model.system import TIME


def resolve_rates_of(
    formulas: Iterable[Expression],
    rates: Mapping[str, Expression],
    assignments: Mapping[str, Expression],
    own: Mapping[str, str],
    delayed: set[str],
    place: Place | None,
) -> dict[str, Expression]:
    """Assignments of the placeholders ``rateOf_x`` that formulas use.

    Parameters
    ----------
    formulas
        All formulas of the model.
    rates, assignments
        What is known of each name; every other name is constant between events.
    own
        Name in the system by placeholder, where it is not simply what follows the prefix.
    delayed
        Names that stand for delayed values; their derivative is not known.
    """
    asked = {n for e in formulas for n in free_names(e) if n.startswith(RATE_OF)}
    waiting, found = sorted(asked), dict[str, Expression]()
    while waiting:
        placeholder = waiting.pop()
        if placeholder in found:
            continue
        target = own.get(placeholder, placeholder.removeprefix(RATE_OF))
        if target in rates:
            found[placeholder] = rates[target]
        elif target in assignments:
            found[placeholder] = _chain(target, assignments, rates, delayed, place)
        else:
            found[placeholder] = se.Integer(0)
        waiting += [n for n in free_names(found[placeholder]) if n.startswith(RATE_OF)]
    return found


def _chain(
    target: str,
    assignments: Mapping[str, Expression],
    rates: Mapping[str, Expression],
    delayed: set[str],
    place: Place | None,
) -> Expression:
    """Derivative of an assignment by the chain rule, in the rates of the names it uses."""
    formula = assignments[target]
    names = free_names(formula)
    if names & delayed:
        raise ModelError(f"rateOf({target}) is not supported: '{target}' uses a delay", place)
    total = derivative(formula, TIME) if TIME in names else se.Integer(0)
    for name in sorted(names):
        if name in rates or name in assignments:
            total += derivative(formula, name) * se.Symbol(RATE_OF + name)
    return total

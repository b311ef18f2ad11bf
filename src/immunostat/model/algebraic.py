"""Algebraic rules solved for a variable: the simple index reduction.

Each rule ``0 = f`` needs one variable of its own that nothing else determines and in which f is
linear; the rule then is that variable's assignment. Anything else is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import symengine as se

from immunostat.base.errors import ModelError, Place
from immunostat.model.expressions import Expression, derivative, free_names, substitute


def solve_algebraic(
    rules: Sequence[Expression],
    free: Sequence[str],
    changed_by_events: set[str],
    place: Place | None = None,
) -> dict[str, Expression]:
    """Assignments that follow from algebraic rules.

    Parameters
    ----------
    rules
        Formulas that are zero.
    free
        Variables that no other rule, rate or reaction determines, in the order of the file.
    changed_by_events
        Those that events set; one of them is taken only if there is no other.
    place
        File that messages name.

    Raises
    ------
    ModelError
        A rule has no variable left, or its variable is not linear in it.
    """
    ranked = [n for n in free if n not in changed_by_events]
    ranked += [n for n in free if n in changed_by_events]
    candidates = [
        [n for n in ranked if n in free_names(rule) and _coefficient(rule, n) is not None]
        for rule in rules
    ]
    owner: dict[str, int] = {}
    for index in range(len(rules)):
        if not _match(index, candidates, owner, set()):
            raise _refusal(rules[index], ranked, place)
    chosen = {index: name for name, index in owner.items()}
    solved: dict[str, Expression] = {}
    for index, rule in enumerate(rules):
        name = chosen[index]
        formula = substitute(rule, solved)
        slope = _coefficient(formula, name)
        if slope is None:
            raise _refusal(rule, [name], place)
        value = -substitute(formula, {name: se.Integer(0)}) / slope
        # earlier variables must not need this one, which may need them
        solved = {n: substitute(e, {name: value}) for n, e in solved.items()}
        solved[name] = value
    return solved


def _coefficient(rule: Expression, name: str) -> Expression | None:
    """What the variable is multiplied by; None if the rule is not linear in it."""
    try:
        slope = se.expand(derivative(rule, name))
    except (RuntimeError, NotImplementedError):
        return None
    if name in free_names(slope) or slope == 0:
        return None
    return slope


def _match(index: int, candidates: list[list[str]], owner: dict[str, int], tried: set[str]) -> bool:
    """Find a variable for a rule, moving other rules to other variables where needed."""
    for name in candidates[index]:
        if name in tried:
            continue
        tried.add(name)
        if name not in owner or _match(owner[name], candidates, owner, tried):
            owner[name] = index
            return True
    return False


def _refusal(rule: Expression, ranked: Sequence[str], place: Place | None) -> ModelError:
    names = [n for n in ranked if n in free_names(rule)]
    if names:
        cause = f"it is not linear in {' or '.join(names[:3])}, or needs more than one variable"
    else:
        cause = "every variable in it is determined elsewhere already"
    shown = str(rule)
    shown = shown if len(shown) < 80 else shown[:77] + "..."
    return ModelError(
        f"the algebraic rule 0 = {shown} cannot be solved: {cause}",
        place,
        "write it as an assignment, or with a rate",
    )

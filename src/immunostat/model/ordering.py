"""Order in which definitions that use one another can be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from immunostat.base.errors import ModelError, Place
from immunostat.model.expressions import Expression, free_names


def evaluation_order(
    definitions: Mapping[str, Expression], what: str, place: Place | None = None
) -> list[str]:
    """Names sorted so that each comes after those that its expression uses.

    Raises
    ------
    ModelError
        Definitions need each other in a circle; the message names them.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, expression in definitions.items():
        # sorted: the order must not depend on the hashing of strings, which varies by process
        sorter.add(name, *sorted(free_names(expression) & definitions.keys()))
    try:
        return list(sorter.static_order())
    except CycleError as problem:
        circle = " -> ".join(reversed(problem.args[1]))
        raise ModelError(
            f"the {what} need each other in a circle: {circle}",
            place,
            "make one of them a state with a rate, or remove one use",
        ) from None

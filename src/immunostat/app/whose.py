"""Whose situation a screen is about, as its address says."""

from __future__ import annotations

from immunostat.app.address import Address
from immunostat.app.index import Index, SituationEntry
from immunostat.base.errors import InputError, near_matches


def whose(address: Address, index: Index) -> tuple[SituationEntry, str]:
    """The situation of an address and the name of its population; the first where none is said.

    Raises
    ------
    InputError
        The situation is unknown, or the catalog has none.
    """
    if not index.situations:
        raise InputError("the catalog has no situation with patients")
    name = address.one("situation") or next(iter(index.situations))
    if name not in index.situations:
        raise InputError(
            f"there is no situation '{name}'", remedy=near_matches(name, index.situations)
        )
    situation = index.situations[name]
    population = address.one("population")
    if population not in situation.populations:
        population = next(iter(situation.populations))
    return situation, population

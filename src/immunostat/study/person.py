"""One described person: the covariates that all of his virtual twins share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from immunostat.base.errors import InputError, Place
from immunostat.catalog.model_cards import PopulationCard
from immunostat.study.eligibility import refuse_pregnancy
from immunostat.trial.conditions import parse_condition, resolved


def person_of(
    said: Mapping[str, str | float],
    population: PopulationCard,
    is_stored: bool = False,
    place: Place | None = None,
) -> Mapping[str, float]:
    """Covariates of a person in the units of the population.

    Parameters
    ----------
    said
        Value by name of a covariate: a number, a number with its unit, ``yes`` or ``no``.
    population
        Whose card says what can be described, in what unit and within what limits.
    is_stored
        Whether patients come from a stored population, which cannot be asked for others.
    place
        File and line for errors.

    Raises
    ------
    InputError
        A name is unknown, a value is none or outside what patients of the population can have.
    """
    units = {name: own.unit for name, own in population.covariates.items()}
    found: dict[str, float] = {}
    for name, value in said.items():
        if "pregnan" in name.lower() and value not in (0, "0", "no"):
            refuse_pregnancy(f"{name}: {value}", place)
        condition = resolved(
            parse_condition(
                f"{name} = {value}".replace("= yes", "is yes").replace("= no", "is no"), place
            ),
            units,
            place,
        )
        (own,) = condition.comparisons
        card = population.covariates[own.name]
        if card.distribution == "bernoulli" and own.value not in (0.0, 1.0):
            raise InputError(f"'{own.name}' is yes or no", place, f"write '{own.name}: yes'")
        low = card.low if card.low is not None else -float("inf")
        high = card.high if card.high is not None else float("inf")
        if not low <= own.value <= high:
            raise InputError(
                f"person: {own.name} {own.value:g} {card.unit} is outside what patients of "
                f"'{population.name}' have",
                place,
                f"{low:g} to {high:g} {card.unit}",
            )
        found[own.name] = own.value
    if found and is_stored:
        raise InputError(
            "a stored population holds its own patients, so no person can be described",
            place,
            "leave out 'stored'",
        )
    return MappingProxyType(found)

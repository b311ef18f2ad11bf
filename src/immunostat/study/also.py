"""Covariates that side effects read and a population does not have, added with their share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from immunostat.base.errors import InputError, Place, UnknownNameError, near_matches
from immunostat.base.facts import Evidence
from immunostat.catalog.cards import FactCard
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import PopulationCard, PopulationCovariateCard


def with_also(
    card: PopulationCard,
    also: Sequence[str],
    catalog: Catalog,
    said: Iterable[str] = (),
    place: Place | None = None,
) -> PopulationCard:
    """A population with further yes-or-no covariates.

    Each is drawn by itself, with the share of people that the card of a side effect gives it; the
    population's own covariates stay as they are, to the bit.

    Parameters
    ----------
    also
        Names that drivers of side effects read.
    said
        Those of them that everybody has or has not; they need no share.
    place
        File and line for errors.

    Raises
    ------
    InputError
        No side effect reads the name, the population has it, or nobody knows its share.
    """
    shares = _shares(catalog)
    covariates = dict(card.covariates)
    for name in also:
        if name not in shares:
            raise UnknownNameError(
                f"no side effect reads '{name}' of a patient", place, near_matches(name, shares)
            )
        if name in card.covariates:
            raise InputError(f"'{card.name}' has '{name}' by itself", place, "leave it out")
        share = shares[name]
        if share is None and name not in set(said):
            raise InputError(
                f"no card says how many people have '{name}'",
                place,
                f"say it of everybody: 'person: {{{name}: yes}}', or no",
            )
        covariates[name] = PopulationCovariateCard(
            distribution="bernoulli", unit="1", probability=share or _half(name)
        )
    return card.model_copy(update={"covariates": covariates})


def _shares(catalog: Catalog) -> Mapping[str, FactCard | None]:
    """Yes-or-no covariates that side effects read, with the share of people who have them."""
    found: dict[str, FactCard | None] = {}
    for name in catalog.side_effects():
        for driver in catalog.side_effect(name).drivers:
            if driver.covariate is not None and driver.form == "factor":
                found[driver.covariate] = found.get(driver.covariate) or driver.prevalence
    return found


def _half(name: str) -> FactCard:
    """A share that is never used, since everybody is said to have the covariate or not."""
    return FactCard.model_validate(
        {
            "value": 0.5,
            "unit": "1",
            "evidence": Evidence.ASSUMED,
            "because": f"not used: {name} is said of everybody",
        }
    )

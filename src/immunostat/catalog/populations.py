"""Population cards to what the sampler draws from."""

from __future__ import annotations

import math

from immunostat.catalog.model_cards import MomentsCard, PopulationCard
from immunostat.population.patients import (
    Correlation,
    CovariateSpec,
    Distribution,
    Moments,
    MomentsOf,
    PopulationSpec,
)


def population_spec(card: PopulationCard) -> PopulationSpec:
    """Covariates and correlations of a population card."""
    covariates = []
    for name, own in card.covariates.items():
        moments = _moments(own)
        covariates.append(
            CovariateSpec(
                name,
                Distribution(own.distribution),
                mean=moments.mean,
                sd=moments.sd,
                probability=moments.probability,
                low=-math.inf if own.low is None else own.low,
                high=math.inf if own.high is None else own.high,
                moments_of=MomentsOf(own.moments_of),
                by=own.by or "",
                groups=(_moments(own.groups[0]), _moments(own.groups[1])) if own.groups else None,
                formula=own.formula,
                unit=own.unit,
            )
        )
    correlations = tuple(Correlation(pair.of, pair.correlation) for pair in card.correlations)
    return PopulationSpec(tuple(covariates), correlations)


def _moments(card: MomentsCard) -> Moments:
    return Moments(
        card.mean.value if card.mean else None,
        card.sd.value if card.sd else None,
        card.probability.value if card.probability else None,
    )

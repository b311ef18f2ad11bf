"""Items that visits rate, and scores of them: whose noise it is, and what a patient enters with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from immunostat.base import streams
from immunostat.catalog.endpoint_cards import ComponentCard, ItemCard
from immunostat.catalog.model_cards import SituationCard
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.items import latent_for, noise_scores, ratings
from immunostat.outcomes.scores import SCORES


def own_shares(components: Mapping[str, ComponentCard]) -> dict[str, float]:
    """Share of the noise of each item that is the patient's own, by component."""
    return {
        item: card.own_share.value
        for card in components.values()
        if card.own_share is not None
        for item in card.inputs.values()
    }


def own_noise(name: str, numbers: IntArray, seed: int) -> FloatArray:
    """The part of an item's noise that patients keep, the same at all visits. Shape (patient,)."""
    return streams.normal(seed, f"own {name}", numbers)[:, 0]


def rated(
    name: str,
    card: ItemCard,
    latent: FloatArray,
    own_share: float,
    numbers: IntArray,
    seed: int,
    purpose: str,
) -> FloatArray:
    """Ratings of an item at every visit; see `screening.observe`. Shape (patient, visit)."""
    visit = streams.normal(seed, f"{purpose} {name}", numbers, latent.shape[1])
    scores = noise_scores(own_noise(name, numbers, seed)[:, None], visit, own_share)
    return ratings(card.item, latent, scores)


def score_of(card: ComponentCard, observed: Mapping[str, FloatArray]) -> FloatArray:
    """A score from the ratings of a visit. Shape (patient, visit)."""
    assert card.score is not None
    return SCORES[card.score].function(**{r: observed[own] for r, own in card.inputs.items()})


def latent_at_entry(
    situation: SituationCard,
    name: str,
    covariates: Mapping[str, FloatArray],
    numbers: IntArray,
    seed: int,
) -> FloatArray:
    """Latent value with which patients enter: their own mean score is their covariate. (patient,).

    Whom the disease hit in systems that count much has less of it at the same score.
    """
    components = situation.components
    card = components[name]
    entry, share = card.latent_entry, card.own_share
    assert card.score is not None
    assert entry is not None
    assert share is not None
    items = {role: components[own].item for role, own in card.inputs.items()}
    own = {role: own_noise(other, numbers, seed) for role, other in card.inputs.items()}
    return latent_for(
        np.asarray(covariates[entry.covariate], dtype=np.float64),
        SCORES[card.score].function,
        {role: item.item for role, item in items.items() if item is not None},
        own,
        share.value,
    )

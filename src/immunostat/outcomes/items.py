"""Item response: how something that nobody sees, such as disability, shows in ratings.

A rating counts how many thresholds of its item lie below what the rater meets: the latent value of
the patient plus a noise of the item. The noise is logistic, so that the share of patients rated at
least k is the logistic curve of the item. Part of it is the patient's own and the same at every
visit (which systems his disease hit), the rest is of the visit (day and rater).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base import streams
from immunostat.base.errors import RangeError
from immunostat.model.system import FloatArray

#: Range in which `latent_for` looks, and how often it halves it: to 0.003 of a unit.
_LOWEST, _HIGHEST, _HALVINGS = -6.0, 6.0, 12
#: Visits over which a score is averaged there, and patients that are looked at together.
_N_VISITS, _TOGETHER = 32, 4096


@dataclass(frozen=True)
class Item:
    """An item with ordered ratings: P(rating >= k) = 1 / (1 + exp(-slope (latent - threshold k))).

    Parameters
    ----------
    slope
        How sharply it tells patients apart, above 0, per unit of the latent value.
    thresholds
        Latent value at which half of the patients are rated at least 1, 2, ...; ascending.
    """

    slope: float
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.slope > 0:
            raise RangeError(f"slope {self.slope:g} of an item is not above 0")
        if not self.thresholds or np.any(np.diff(self.thresholds) <= 0):
            raise RangeError("thresholds of an item do not ascend")


def ratings(item: Item, latent: npt.ArrayLike, scores: npt.ArrayLike) -> FloatArray:
    """Ratings of an item.

    Parameters
    ----------
    item
        The item.
    latent
        Latent values, NaN where missing. Any shape.
    scores
        Standard normal number of the noise of each rating; shape that broadcasts.

    Returns
    -------
    0 to the number of thresholds, NaN where missing.

    Source
    ------
    Graded response with a logistic curve, as novakovic2017 uses it.
    """
    from scipy.special import log_ndtr

    normal = np.asarray(scores, dtype=np.float64)
    noise = log_ndtr(normal) - log_ndtr(-normal)  # logistic, in the order of the normal numbers
    met = np.asarray(latent, dtype=np.float64) + noise / item.slope
    found = np.searchsorted(np.array(item.thresholds), met, side="right").astype(np.float64)
    return np.asarray(np.where(np.isnan(met), np.nan, found))


def noise_scores(own: npt.ArrayLike, visit: npt.ArrayLike, own_share: float) -> FloatArray:
    """Normal numbers of ratings: the patient's own, and those of the visit.

    Parameters
    ----------
    own, visit
        Standard normal numbers; shapes that broadcast, such as (patient, 1) and (patient, visit).
    own_share
        Share of the variance that is the patient's own: the correlation of two visits.

    Source
    ------
    "definition"
    """
    if not 0 <= own_share <= 1:
        raise RangeError(f"own share {own_share:g} is not between 0 and 1")
    same, other = np.asarray(own, dtype=np.float64), np.asarray(visit, dtype=np.float64)
    return np.asarray(np.sqrt(own_share) * same + np.sqrt(1.0 - own_share) * other)


def latent_for(
    wanted: npt.ArrayLike,
    score: Callable[..., FloatArray],
    items: Mapping[str, Item],
    own: Mapping[str, FloatArray],
    own_share: float,
) -> FloatArray:
    """Latent value at which a score of a patient is, on average over visits, what is wanted.

    Parameters
    ----------
    wanted
        Mean score of each patient. Shape (patient,).
    score
        Takes ratings as keyword arguments; must not fall when a rating rises.
    items
        Items by role in the score.
    own
        The patients' own normal number of each item. Each (patient,).
    own_share
        See `noise_scores`.

    Returns
    -------
    From -6 to 6; an end of it where no latent value of that range gives the score. (patient,).

    Source
    ------
    Bisection ("definition"), over the same 32 visits for everybody.
    """
    mean = np.asarray(wanted, dtype=np.float64)
    visits = {role: _visits(role) for role in items}
    found = np.empty(len(mean))
    for start in range(0, len(mean), _TOGETHER):
        rows = slice(start, start + _TOGETHER)
        noises = {
            role: noise_scores(own[role][rows, None], visits[role][None, :], own_share)
            for role in items
        }
        low = np.full(len(mean[rows]), _LOWEST)
        high = np.full(len(mean[rows]), _HIGHEST)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            seen = {r: ratings(item, middle[:, None], noises[r]) for r, item in items.items()}
            is_below = score(**seen).mean(axis=1) < mean[rows]
            low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
        found[rows] = 0.5 * (low + high)
    return found


def _visits(role: str) -> FloatArray:
    """Normal numbers of the visits over which an item is averaged: evenly spread, in random order.

    Shape (visit,).
    """
    from scipy.special import ndtri

    order = np.argsort(streams.uniform(0, f"average visit {role}", [0], _N_VISITS)[0])
    return np.asarray(ndtri((order + 0.5) / _N_VISITS), dtype=np.float64)


def expected_score(
    latent: Sequence[float] | FloatArray,
    score: Callable[..., FloatArray],
    items: Mapping[str, Item],
    n: int = 4096,
) -> FloatArray:
    """Mean score of patients with a latent value, over patients and visits. Shape (latent,)."""
    numbers = np.arange(n)
    scores = {role: streams.normal(0, f"expected {role}", numbers)[:, 0] for role in items}
    rows = [
        score(**{role: ratings(item, value, scores[role]) for role, item in items.items()}).mean()
        for value in latent
    ]
    return np.array(rows)

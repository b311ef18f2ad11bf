"""Item response: the logistic curve, noise that is partly the patient's own, and its inverse."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import RangeError
from immunostat.outcomes.items import Item, expected_score, latent_for, noise_scores, ratings

ITEM = Item(1.5, (-1.0, 0.5, 2.0))
N = 40_000


def normals(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def total(**seen: np.ndarray) -> np.ndarray:
    """A score for tests: the sum of its items."""
    return np.asarray(sum(seen.values()))


def test_shares_lie_on_the_logistic_curve_of_the_item() -> None:
    for latent in (-2.0, 0.0, 1.3):
        seen = ratings(ITEM, latent, normals(1, N))
        for k, threshold in enumerate(ITEM.thresholds, start=1):
            share = 1 / (1 + np.exp(-ITEM.slope * (latent - threshold)))
            # four binomial standard errors of 40 000
            assert np.mean(seen >= k) == pytest.approx(share, abs=0.01)


def test_the_split_of_the_noise_leaves_the_curve_as_it_is() -> None:
    """Shares at one visit do not tell how much of the noise is the patient's own."""
    own, visit = normals(2, N), normals(3, N)
    for own_share in (0.0, 0.5, 0.95):
        seen = ratings(ITEM, 0.5, noise_scores(own, visit, own_share))
        assert np.mean(seen >= 2) == pytest.approx(0.5, abs=0.01)


def test_visits_agree_more_the_more_noise_is_the_patients_own() -> None:
    own, visit = normals(4, N, 1), normals(5, N, 2)
    agreed = []
    for own_share in (0.0, 0.5, 0.9, 1.0):
        seen = ratings(ITEM, 0.5, noise_scores(own, visit, own_share))
        agreed.append(np.mean(seen[:, 0] == seen[:, 1]))
    assert agreed == sorted(agreed)
    assert agreed[-1] == 1.0


def test_a_rating_does_not_fall_when_the_latent_value_rises() -> None:
    noise = normals(6, 500, 1)
    seen = ratings(ITEM, np.linspace(-4, 4, 50), noise)
    assert np.all(np.diff(seen, axis=1) >= 0)


def test_extreme_noise_gives_the_ends_of_the_scale() -> None:
    np.testing.assert_array_equal(ratings(ITEM, 0.0, [-30.0, 30.0]), [0, 3])
    assert np.isnan(ratings(ITEM, np.nan, 0.0))


def test_a_patient_who_enters_with_a_score_has_it_on_average() -> None:
    items = {"a": ITEM, "b": Item(0.8, (-0.5, 1.0)), "c": Item(3.0, (0.0, 1.0, 1.5))}
    n, own_share = 300, 0.7
    own = {role: normals(10 + i, n) for i, role in enumerate(items)}
    wanted = np.linspace(1.5, 6.0, n)
    latent = latent_for(wanted, total, items, own, own_share)
    seen = {}
    for i, (role, item) in enumerate(items.items()):
        noise = noise_scores(own[role][:, None], normals(20 + i, n, 400), own_share)
        seen[role] = ratings(item, latent[:, None], noise)
    found = total(**seen).mean(axis=1)
    # 32 visits stand for all in the search; on average over patients little of that is left
    assert np.mean(found - wanted) == pytest.approx(0, abs=0.03)
    assert np.std(found - wanted) < 0.15


def test_the_answer_for_a_patient_does_not_depend_on_others() -> None:
    items = {"a": ITEM}
    own = {"a": normals(30, 9)}
    all_of_them = latent_for(np.full(9, 1.2), total, items, own, 0.5)
    alone = latent_for([1.2], total, items, {"a": own["a"][4:5]}, 0.5)
    assert alone[0] == all_of_them[4]


def test_a_score_out_of_reach_ends_at_the_end_of_the_range() -> None:
    own = {"a": np.zeros(2)}
    found = latent_for([-1.0, 9.0], total, {"a": ITEM}, own, 0.5)
    np.testing.assert_allclose(found, [-6, 6], atol=0.01)


def test_the_expected_score_rises() -> None:
    assert np.all(np.diff(expected_score([-2.0, 0.0, 2.0], total, {"a": ITEM})) > 0.3)


@pytest.mark.parametrize(("slope", "thresholds"), [(0, (1.0,)), (1, (1.0, 1.0)), (1, ())])
def test_an_item_that_is_none_is_refused(slope, thresholds) -> None:
    with pytest.raises(RangeError):
        Item(slope, thresholds)


def test_a_share_of_noise_is_a_share() -> None:
    with pytest.raises(RangeError, match="not between 0 and 1"):
        noise_scores(0.0, 0.0, 1.2)

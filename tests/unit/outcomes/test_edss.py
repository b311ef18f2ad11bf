"""EDSS from functional systems: rows of the published table, and laws of its rules."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import InputError
from immunostat.outcomes.edss import HIGHEST, edss
from immunostat.outcomes.scores import SCORES

SYSTEMS = [name for name in HIGHEST if name != "ambulation"]

# Ratings in the order of the calculators' tests (visual, brainstem, pyramidal, cerebellar, sensory,
# bowel and bladder, cerebral, walking), and the step: rows that both of `edsscalculators` state.
ROWS = [
    ((0, 0, 0, 0, 0, 0, 0, 0), 0.0),
    ((0, 0, 1, 0, 0, 0, 0, 0), 1.0),
    ((0, 1, 1, 0, 0, 0, 0, 0), 1.5),
    ((1, 1, 1, 1, 1, 1, 1, 0), 1.5),
    ((0, 0, 2, 0, 0, 0, 0, 0), 2.0),
    ((1, 1, 1, 1, 1, 1, 1, 1), 2.0),
    ((3, 0, 0, 0, 0, 0, 0, 0), 2.0),
    ((2, 2, 0, 0, 0, 0, 0, 0), 2.5),
    ((0, 0, 2, 2, 2, 2, 0, 0), 3.0),
    ((1, 3, 1, 1, 1, 1, 1, 0), 3.0),
    ((0, 0, 0, 0, 0, 4, 0, 0), 3.0),
    ((5, 0, 0, 0, 0, 0, 0, 0), 3.0),
    ((2, 2, 2, 2, 2, 0, 0, 0), 3.5),
    ((0, 0, 3, 2, 0, 0, 0, 0), 3.5),
    ((0, 0, 0, 3, 1, 0, 3, 0), 3.5),
    ((2, 2, 2, 2, 2, 2, 0, 0), 4.0),
    ((1, 1, 1, 1, 1, 1, 4, 0), 4.0),
    ((0, 0, 0, 3, 2, 0, 3, 1), 4.0),
    ((2, 3, 3, 3, 2, 2, 3, 1), 4.0),
    ((2, 2, 2, 0, 0, 0, 3, 0), 4.0),
    ((6, 0, 0, 0, 0, 0, 0, 0), 4.0),
    ((1, 2, 1, 3, 1, 4, 2, 1), 4.0),
    ((0, 0, 0, 0, 0, 0, 0, 2), 4.5),
    ((1, 4, 3, 3, 1, 1, 1, 1), 4.5),
    ((2, 2, 2, 2, 2, 2, 4, 1), 4.5),
    ((1, 3, 3, 3, 3, 1, 3, 1), 4.5),
    ((5, 1, 1, 1, 1, 1, 1, 2), 4.5),
    ((0, 0, 0, 0, 0, 0, 0, 3), 5.0),
    ((0, 5, 0, 0, 0, 0, 0, 2), 5.0),
    ((0, 0, 4, 4, 0, 0, 0, 0), 5.0),
    ((0, 0, 0, 0, 0, 6, 0, 0), 5.0),
    ((4, 3, 3, 3, 3, 3, 2, 2), 5.0),
    ((1, 4, 3, 3, 3, 1, 1, 2), 5.0),
    ((0, 0, 0, 0, 0, 0, 0, 4), 5.5),
    *(((0, 0, 0, 0, 0, 0, 0, own), 6.0) for own in (5, 6, 7)),
    *(((0, 0, 0, 0, 0, 0, 0, own), 6.5) for own in (8, 9)),
    *(((6, 5, 6, 5, 6, 6, 5, own), 7.0 + 0.5 * (own - 10)) for own in range(10, 17)),
]


@pytest.mark.parametrize(("ratings", "step"), ROWS)
def test_rows_of_the_published_table(ratings, step) -> None:
    assert edss(**dict(zip(HIGHEST, ratings, strict=True))) == step


def drawn(n: int = 4000) -> dict[str, np.ndarray]:
    """Ratings of every item, each equally likely: far more mixed than patients are."""
    rng = np.random.default_rng(1)
    found = {name: rng.integers(0, top + 1, n) for name, top in HIGHEST.items()}
    found["ambulation"] = np.where(rng.uniform(size=n) < 0.8, 0, found["ambulation"])
    return {name: np.where(rng.uniform(size=n) < 0.4, 0, own) for name, own in found.items()}


@pytest.mark.parametrize("name", list(HIGHEST))
def test_an_item_that_worsens_never_lowers_the_step(name) -> None:
    before = drawn()
    worse = {**before, name: np.minimum(before[name] + 1, HIGHEST[name])}
    assert np.all(edss(**worse) >= edss(**before))


def test_steps_are_halves_of_the_scale_and_there_is_no_half_step_between_0_and_1() -> None:
    steps = edss(**drawn())
    assert set(np.unique(steps)) <= {0.0, *np.arange(1.0, 10.1, 0.5)}


def test_the_functional_systems_count_alike_after_conversion() -> None:
    """Whichever system is rated 2 of all, the step is that of one system rated 2."""
    for name in SYSTEMS:
        assert edss(**{**dict.fromkeys(HIGHEST, 0), name: 2}) == 2.0


def test_systems_alone_make_at_most_5_and_walking_the_rest() -> None:
    own = drawn()
    assert edss(**{**own, "ambulation": 0}).max() == 5.0
    assert np.all(edss(**{**own, "ambulation": 4}) == 5.5)


def test_a_missing_rating_is_a_missing_step() -> None:
    some = edss(**{**dict.fromkeys(HIGHEST, 0.0), "sensory": np.array([1.0, np.nan])})
    np.testing.assert_array_equal(some, [1.0, np.nan])


@pytest.mark.parametrize(
    ("name", "rating"), [("cerebellar", 6), ("visual", -1), ("ambulation", 2.5)]
)
def test_a_rating_that_the_scale_lacks_is_refused(name, rating) -> None:
    with pytest.raises(InputError, match=f"'{name}' is no whole number from 0 to {HIGHEST[name]}"):
        edss(**{**dict.fromkeys(HIGHEST, 0), name: rating})


def test_endpoints_can_name_the_score() -> None:
    assert SCORES["edss"].function is edss
    assert list(SCORES["edss"].units) == list(HIGHEST)

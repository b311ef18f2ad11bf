"""Prevalence weights meet their targets, and no other weights do so with less change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from immunostat.base import streams
from immunostat.base.errors import InputError, ShapeError
from immunostat.population.weight import (
    Method,
    Target,
    constraints,
    effective_size,
    weight,
)

N = 1500
NUMBERS = np.arange(N)
POOL = np.column_stack(
    [
        1.4 * streams.normal(3, "age", NUMBERS)[:, 0],
        1.2 * streams.normal(3, "joints", NUMBERS)[:, 0],
        streams.uniform(3, "response", NUMBERS)[:, 0] < 0.4,
    ]
).astype(float)
TARGETS = (Target("age", 0.3, 1.1), Target("joints", -0.2, 1.0), Target("response", 0.5))
CHANCE = streams.uniform(3, "accepted", NUMBERS)[:, 0]


@pytest.mark.parametrize("method", [Method.ENTROPY, Method.LEAST_SQUARES])
def test_targets_are_met_within_their_tolerance_by_possible_weights(method: Method) -> None:
    found = weight(POOL, TARGETS, method)
    assert found.missed == ()
    assert found.values.min() >= 0.0
    assert found.values.sum() == pytest.approx(1.0, abs=1e-12)  # rounding of a sum
    assert found.values.max() * N <= 10.0 * (1 + 1e-9)


@pytest.mark.parametrize("method", [Method.ENTROPY, Method.LEAST_SQUARES])
@pytest.mark.parametrize("tolerance", [0.0, 0.05])
def test_weights_are_those_of_an_independent_solver(method: Method, tolerance: float) -> None:
    pool = POOL[:40]
    targets = [Target("age", 0.2, 1.2, tolerance), Target("response", 0.5, tolerance=tolerance)]
    found = weight(pool[:, [0, 2]], targets, method)
    columns, allowed, _ = constraints(pool[:, [0, 2]], targets)

    def distance(x: np.ndarray) -> float:
        if method is Method.ENTROPY:
            return float((x * np.log(np.maximum(x * 40, 1e-300))).sum())
        return float(((x * 40 - 1) ** 2).sum() / 80)

    rules = [
        {"type": "eq", "fun": lambda x: x.sum() - 1.0},
        {"type": "ineq", "fun": lambda x: allowed + 1e-12 - columns.T @ x},
        {"type": "ineq", "fun": lambda x: allowed + 1e-12 + columns.T @ x},
    ]
    other = minimize(
        distance,
        np.full(40, 1 / 40),
        method="SLSQP",
        bounds=[(0.0, 10 / 40)] * 40,
        constraints=rules,
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    # 1e-5: what the other solver reaches with finite differences.
    np.testing.assert_allclose(found.values, other.x, atol=1e-5)


def test_entropy_weights_are_exponential_in_what_binds() -> None:
    """Karush-Kuhn-Tucker: below the bound, log weights lie in the span of the binding columns."""
    found = weight(POOL, TARGETS, Method.ENTROPY)
    columns, allowed, _ = constraints(POOL, TARGETS)
    reached = found.values @ columns
    binding = np.isclose(np.abs(reached), allowed, atol=1e-9)
    free = found.values * N < 10.0 * (1 - 1e-9)
    design = np.column_stack([np.ones(N), columns[:, binding]])[free]
    logarithm = np.log(found.values[free])
    sides, *_ = np.linalg.lstsq(design, logarithm, rcond=None)
    np.testing.assert_allclose(design @ sides, logarithm, atol=1e-8)  # rounding of the fit
    # A target that binds from below is pulled up, one that binds from above is pulled down.
    assert np.all(np.sign(sides[1:]) == -np.sign(reached[binding]))


def test_least_squares_leaves_the_largest_effective_sample_size() -> None:
    sizes = {m: weight(POOL, TARGETS, m).effective_size for m in ("entropy", "least-squares")}
    assert sizes["least-squares"] > sizes["entropy"]


def test_without_need_nobody_counts_more_than_another() -> None:
    own = [
        Target("age", POOL[:, 0].mean(), POOL[:, 0].std()),
        Target("response", POOL[:, 2].mean()),
    ]
    for method in (Method.ENTROPY, Method.LEAST_SQUARES):
        found = weight(POOL[:, [0, 2]], own, method)
        np.testing.assert_allclose(found.values * N, 1.0, atol=1e-12)
    assert np.all(weight(POOL[:, :0], []).values == 1 / N)


@pytest.mark.parametrize("method", [Method.ENTROPY, Method.LEAST_SQUARES])
def test_a_tighter_bound_on_weights_is_kept(method: Method) -> None:
    loose = weight(POOL, TARGETS, method)
    tight = weight(POOL, TARGETS, method, most=1.5)
    assert loose.values.max() * N > 1.6
    assert tight.values.max() * N == pytest.approx(1.5, abs=1e-9)
    assert tight.missed == ()


def test_two_values_have_the_weights_that_arithmetic_gives() -> None:
    found = weight([[0.0], [1.0], [1.0], [1.0]], [Target("share", 0.5, tolerance=0.0)])
    np.testing.assert_allclose(found.values, [1 / 2, 1 / 6, 1 / 6, 1 / 6], atol=1e-12)


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=50))
@settings(max_examples=50, deadline=None)
def test_effective_size_lies_between_one_and_all(weights: list[float]) -> None:
    size = effective_size(weights)
    assert 1.0 - 1e-9 <= size <= len(weights) + 1e-9
    assert effective_size(np.full(len(weights), 0.3)) == pytest.approx(len(weights))


def test_effective_size_is_what_the_variance_of_a_weighted_mean_says() -> None:
    weights = weight(POOL, TARGETS).values
    draws = streams.normal(5, "values", np.arange(2000), N)
    variance = (draws @ weights).var()
    # 2000 draws know a variance to 3 % (one standard error); three of them.
    assert 1 / variance == pytest.approx(effective_size(weights), rel=0.1)


def test_acceptance_turns_one_normal_into_another() -> None:
    numbers = np.arange(20_000)
    pool = 1.5 * streams.normal(8, "wide", numbers)
    chance = streams.uniform(8, "accepted", numbers)[:, 0]
    found = weight(pool, [Target("x", 0.5, 1.0)], Method.ACCEPT_REJECT, uniforms=chance)
    kept = pool[found.values > 0, 0]
    assert found.effective_size == pytest.approx(len(kept))
    # Three standard errors of a mean and of a standard deviation.
    assert kept.mean() == pytest.approx(0.5, abs=3 / np.sqrt(len(kept)))
    assert kept.std() == pytest.approx(1.0, abs=3 / np.sqrt(2 * len(kept)))


def test_acceptance_brings_a_share_to_its_target() -> None:
    found = weight(POOL[:, [2]], [Target("response", 0.6)], Method.ACCEPT_REJECT, uniforms=CHANCE)
    n = (found.values > 0).sum()
    assert found.means[0] == pytest.approx(0.6, abs=3 * np.sqrt(0.24 / n))


def test_a_greedy_subset_is_nearer_to_the_targets_than_chance() -> None:
    found = weight(POOL, TARGETS, Method.GREEDY, size=300)
    assert (found.values > 0).sum() == 300
    assert found.effective_size == pytest.approx(300)
    columns, allowed, _ = constraints(POOL, TARGETS)
    # A random subset would miss by some 1/sqrt(300) = 0.06 even if the pool were right.
    assert np.all(np.abs(found.values @ columns) < allowed)


@pytest.mark.parametrize("method", list(Method))
def test_the_same_pool_gives_the_same_bits(method: Method) -> None:
    first = weight(POOL, TARGETS, method, uniforms=CHANCE)
    again = weight(POOL.copy(order="F"), TARGETS, method, uniforms=CHANCE)
    assert first.values.tobytes() == again.values.tobytes()


def test_impossible_targets_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="'mean of age' lies outside what the pool holds"):
        weight(POOL[:, :1], [Target("age", 50.0, 1.0)])
    rare = np.zeros((100, 1))
    rare[:2] = 1.0
    with pytest.raises(InputError, match=r"'response' stays .* off") as caught:
        weight(rare, [Target("response", 0.5)], most=10.0)
    assert "larger pool" in str(caught.value)


def test_missing_values_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="1 values are missing"):
        weight([[np.nan], [1.0]], [Target("x", 0.5)])
    with pytest.raises(ShapeError, match="for 2 targets"):
        weight([[0.0], [1.0]], [Target("x", 0.5), Target("y", 0.5)])
    with pytest.raises(InputError, match="allowed: entropy"):
        weight([[0.0], [1.0]], [Target("x", 0.5)], "best")
    with pytest.raises(InputError, match="cannot select 5 of 2"):
        weight([[0.0], [1.0]], [Target("x", 0.5)], Method.GREEDY, size=5)

"""Every Rosenbrock method keeps its order: by its coefficients, and seen on a problem."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from math import prod

import numpy as np
import pytest

from immunostat.engine.backends.reference import PlainSystem, dense_output, rosenbrock_step
from immunostat.engine.methods.rosenbrock import RODAS5P, Rosenbrock
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml

METHODS = [RODAS5P]
Tree = tuple  # a rooted tree is the tuple of its subtrees


def trees(size: int) -> Iterator[Tree]:
    """All rooted trees of a size."""

    def forests(total: int, largest: int) -> Iterator[tuple[Tree, ...]]:
        if total == 0:
            yield ()
            return
        for first in range(min(total, largest), 0, -1):
            for count in range(total // first, 0, -1):
                for chosen in combinations_with_replacement(list(trees(first)), count):
                    for rest in forests(total - count * first, first - 1):
                        yield (*chosen, *rest)

    yield from forests(size - 1, size - 1)


def size_of(tree: Tree) -> int:
    return 1 + sum(size_of(child) for child in tree)


def density(tree: Tree) -> int:
    return size_of(tree) * prod(density(child) for child in tree)


def standard_form(method: Rosenbrock) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """alpha, Gamma, b and b of the embedded method (Hairer & Wanner II, section IV.7)."""
    s = method.n_stages
    a, big_c = np.zeros((s, s)), np.zeros((s, s))
    for i in range(s):
        a[i, : len(method.a[i])] = method.a[i]
        big_c[i, : len(method.big_c[i])] = method.big_c[i]
    gamma = np.linalg.inv(np.eye(s) / method.gamma - big_c)
    new = a[-1] + np.eye(s)[-1]
    return a @ gamma, gamma, new @ gamma, a[-1] @ gamma


def weight(tree: Tree, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Elementary weights: beta under a vertex with one branch, alpha under one with more."""
    matrix = beta if len(tree) == 1 else alpha
    result = np.ones(len(alpha))
    for child in tree:
        result = result * (matrix @ weight(child, alpha, beta))
    return result


def test_the_trees_are_all_there() -> None:
    assert [len(list(trees(n))) for n in range(1, 6)] == [1, 1, 2, 4, 9]


# the published coefficients have 16 digits and sizes up to 150: residuals of some 1e-13
TOLERANCE = 1e-12


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_coefficients_meet_the_order_conditions(method: Rosenbrock) -> None:
    alpha, gamma, b, b_embedded = standard_form(method)
    beta = alpha + gamma
    for weights, order in ((b, method.order), (b_embedded, method.error_order)):
        for size in range(1, order + 1):
            for tree in trees(size):
                found = weights @ weight(tree, alpha, beta)
                assert found == pytest.approx(1 / density(tree), abs=TOLERANCE), tree


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("theta", [0.25, 0.6, 1.0])
def test_dense_output_meets_the_conditions_of_order_four(method: Rosenbrock, theta: float) -> None:
    alpha, gamma, b, _ = standard_form(method)
    g1, g2, g3 = (np.asarray(row) @ gamma for row in method.dense)
    weights = theta * (b + (1 - theta) * (g1 + theta * (g2 + theta * g3)))
    for size in range(1, 5):
        for tree in trees(size):
            found = weights @ weight(tree, alpha, alpha + gamma)
            assert found == pytest.approx(theta**size / density(tree), abs=TOLERANCE), tree


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_times_and_weights_of_the_time_derivative_follow(method: Rosenbrock) -> None:
    alpha, gamma, _, _ = standard_form(method)
    np.testing.assert_allclose(alpha.sum(1), method.c, atol=TOLERANCE)
    np.testing.assert_allclose(gamma.sum(1), method.d, atol=TOLERANCE)


def _smooth() -> PlainSystem:
    text = "model m()\nx = 1; x' = -x^2 * (1 + 0.5 * sin(time)); y = 0; y' = x - y\nend\n"
    system = system_from_sbml(flatten([Fragment(text, "m.ant")], "m"), "m")
    return PlainSystem(system, ())


def _x(time: float) -> float:
    """Solution of x' = -x**2 (1 + sin(t) / 2), x(0) = 1."""
    return 1.0 / (1.0 + time + 0.5 * (1.0 - np.cos(time)))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_error_of_a_run_falls_with_the_order(method: Rosenbrock) -> None:
    plain, nothing = _smooth(), np.zeros(2)
    errors = []
    for n in (32, 64, 128):
        states, step = np.array([1.0, 0.0]), 2.0 / n
        for i in range(n):
            states, _ = rosenbrock_step(plain, i * step, states, np.zeros(0), nothing, step, method)
        errors.append(abs(states[0] - _x(2.0)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    # the order is a limit: 0.3 allows for the next term at these steps
    assert (orders > method.order - 0.3).all(), orders


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_error_inside_a_step_falls_with_order_four(method: Rosenbrock) -> None:
    plain, states = _smooth(), np.array([1.0, 0.0])
    errors = []
    for step in (0.4, 0.2, 0.1):
        new, stages = rosenbrock_step(plain, 0.0, states, np.zeros(0), np.zeros(2), step, method)
        inside = dense_output(states, new, stages, 0.4, method)
        errors.append(abs(inside[0] - _x(0.4 * step)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    # within one step an interpolant of order 4 has an error of order 5
    assert (orders > 4.6).all(), orders

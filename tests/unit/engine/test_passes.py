"""Sharing, derivatives and elimination."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.engine.graph import Graph
from immunostat.engine.passes import eliminate, system_graph
from immunostat.engine.printer import hoisted_nodes


def test_equal_values_are_one_node() -> None:
    g = Graph()
    x, y = g.state(0), g.state(1)
    assert g.add(x, y) == g.add(y, x)
    assert g.mul(g.add(x, y), x) == g.mul(x, g.add(y, x))
    assert g.sub(x, g.neg(y)) == g.add(x, y)
    assert g.mul(x, g.number(0.0)) == g.number(0.0)
    assert g.power_of_integer(x, 4) == g.mul(g.mul(x, x), g.mul(x, x))


def test_what_depends_on_parameters_alone_is_computed_once(make_system) -> None:
    system = make_system("n = 1.5; K = 2; V = 3; CL = 1; x = 1; x' = -CL / V * x / (K^n + x^n)")
    equations = system_graph(system)
    ops = {equations.graph.ops[n] for n in hoisted_nodes(equations.graph, equations.rates)}
    assert "power" in ops  # K^n
    assert "div" in ops  # CL / V


def test_jacobian_has_only_what_can_be_nonzero(make_system) -> None:
    system = make_system("a = 1; b = 1; c = 1; a' = -a; b' = a - b; c' = b + time")
    equations = system_graph(system)
    assert set(equations.jacobian) == {(0, 0), (1, 0), (1, 1), (2, 1)}
    assert set(equations.by_time) == {2}


def test_elimination_of_an_arrow_fills_nothing() -> None:
    n = 12
    arrow = {(i, 0): 1 for i in range(n)} | {(0, i): 1 for i in range(n)}
    result = eliminate(n, arrow)
    assert result.order[0] != 0
    assert len(result.pattern) == 3 * n - 2


@pytest.mark.parametrize("seed", range(5))
def test_pattern_holds_the_factors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 15
    full = np.where(rng.random((n, n)) < 0.15, rng.normal(size=(n, n)), 0.0) + 10 * np.eye(n)
    entries = {(int(i), int(j)): 1 for i, j in zip(*np.nonzero(full), strict=True)}
    result = eliminate(n, entries)
    order = list(result.order)
    matrix = full[np.ix_(order, order)]
    for k in range(n):  # plain elimination in that order
        matrix[k + 1 :, k] /= matrix[k, k]
        matrix[k + 1 :, k + 1 :] -= np.outer(matrix[k + 1 :, k], matrix[k, k + 1 :])
    found = {(order[i], order[j]) for i, j in zip(*np.nonzero(matrix), strict=True)}
    assert found <= result.pattern

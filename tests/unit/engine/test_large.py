"""Models too large to compile are solved by CVODE with a sparse Jacobian, and right."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import symengine as se

import immunostat.engine.large as large
from immunostat.engine.large import jacobian_pattern, text_size
from immunostat.engine.passes import eliminate, system_graph
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.system import OdeSystem


def diffusion(n: int, partners: int = 0) -> OdeSystem:
    """A ring in which neighbors exchange; and some far partners, so that factors fill."""
    x = [se.Symbol(f"x{i}") for i in range(n)]
    d = se.Symbol("d")
    rates = []
    for i in range(n):
        rate = d * (x[i - 1] - 2 * x[i] + x[(i + 1) % n])
        for k in range(1, partners + 1):
            rate += 0.01 * (x[(i * (5 + 6 * k) + 13 * k) % n] - x[i])
        rates.append(rate)
    initial = tuple(se.Integer(1 if i == 0 else 0) for i in range(n))
    return OdeSystem(
        "ring", tuple(f"x{i}" for i in range(n)), ("d",), np.array([2.0]), initial, (),
        tuple(rates),
    )  # fmt: skip


def problem_of(system: OdeSystem) -> EnsembleProblem:
    return EnsembleProblem(
        system, np.array([[2.0], [5.0]]), Schedule.empty(2), np.array([0.0, 0.5, 3.0]),
        system.states[:5],
    )  # fmt: skip


def test_the_pattern_sees_through_assignments() -> None:
    a, b, c = se.symbols("a b c")
    total = se.Symbol("total")
    system = OdeSystem(
        "m", ("a", "b", "c"), (), np.zeros(0), (se.Integer(1),) * 3, (("total", a + c),),
        (-a, total - b, -c),
    )  # fmt: skip
    problem = EnsembleProblem(system, np.zeros((1, 0)), Schedule.empty(1), np.zeros(1), ("a",))
    assert jacobian_pattern(problem).tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 1]]


def test_a_model_above_the_limit_falls_back_and_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(diffusion(12))
    tolerance = Tolerance(1e-8, 1e-10)
    compiled = solve(problem, tolerance=tolerance)
    monkeypatch.setattr(large, "LARGEST_TEXT", 10)
    small = problem_of(diffusion(12))
    monkeypatch.setenv("IMMUNOSTAT_KERNEL_CACHE", "off")
    monkeypatch.setattr("immunostat.engine.kernel._kernels", OrderedDict())
    sparse = solve(small, tolerance=tolerance)
    # both within some hundreds of their tolerance
    np.testing.assert_allclose(sparse.values, compiled.values, rtol=1e-5, atol=1e-7)
    assert sparse.values.tobytes() != compiled.values.tobytes()


@pytest.mark.slow
def test_a_thousand_states_are_solved() -> None:
    system = diffusion(1000, partners=3)
    equations = system_graph(system)
    assert text_size(equations, eliminate(1000, equations.jacobian)) > large.LARGEST_TEXT
    found = solve(problem_of(system), tolerance=Tolerance(1e-6, 1e-9))
    assert found.is_ok.all()
    # exchange conserves the sum: rates of all states add up to zero for the ring alone; the far
    # partners are one-to-one maps of the ring onto itself (multipliers prime to 1000)
    assert found.final_states.sum(axis=1) == pytest.approx(1.0, abs=1e-4)

"""Derivatives of formulas with kinks, and helpers."""

from __future__ import annotations

import pytest
import symengine as se

from immunostat.model.expressions import derivative, free_names, number, power, substitute

x, y = se.symbols("x y")


@pytest.mark.parametrize(
    "expression",
    [
        x**3 * y + se.exp(-x * y) / (1 + x),
        se.Max(x, y, se.Integer(1)) * x,
        se.Min(x * y, se.Integer(2)) + se.Max(x, 2 * y) ** 2,
        abs(x - 3 * y) * se.sin(x),
        se.Piecewise((x**2, x < 1), (y * x, se.And(x > 1, y < 3)), (se.Integer(0), True)),
        (x + y) ** se.RealDouble(1.7) + x**y,
        x * se.floor(3 * x + se.RealDouble(0.25)) + se.ceiling(y),
        se.log(1 + se.Max(x, y)) * se.tanh(x),
    ],
    ids=str,
)
@pytest.mark.parametrize("point", [(0.6, 1.9), (1.6, 0.7), (2.3, 2.9)])
def test_derivative_is_the_slope(expression: object, point: tuple[float, float]) -> None:
    def at(e: object, a: float, b: float) -> float:
        return float(substitute(e, {"x": se.RealDouble(a), "y": se.RealDouble(b)}).n(real=True))

    step = 1e-6
    slope = (
        at(expression, point[0] + step, point[1]) - at(expression, point[0] - step, point[1])
    ) / (2 * step)
    # a central difference of this step is right to about 1e-9
    assert at(derivative(expression, "x"), *point) == pytest.approx(slope, rel=1e-7, abs=1e-7)


def test_whole_numbers_are_exact() -> None:
    assert number(2.0) == se.Integer(2)
    assert power(number(2.0), number(0.5)) == se.RealDouble(2.0**0.5)
    assert free_names(x * y + 1) == {"x", "y"}

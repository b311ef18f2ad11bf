"""Explicit Runge-Kutta methods: their coefficients.

A step from y over h takes, for i = 1 .. s,

    k_i = f(t + c_i h, y + h sum_j A_ij k_j)

The last stage stands at the new states, y_new = y + h sum_j A_sj k_j, and is the first stage of
the next step; the error estimate is h sum_j e_j k_j.
"""

from __future__ import annotations

from dataclasses import dataclass

Row = tuple[float, ...]


@dataclass(frozen=True)
class ExplicitRungeKutta:
    """Coefficients of an explicit method whose last stage is the next step's first.

    Parameters
    ----------
    name
        As the literature writes it.
    order, error_order
        Order of the solution and of the solution that the error estimate compares with.
    c
        Times of the stages. Length (stage,).
    a
        Rows below the diagonal; row i has i entries. Length (stage,).
    error
        Weights of the error estimate. Length (stage,).
    dense
        Polynomials of the dense output, lowest power first: with s from 0 to 1
        y(t + s h) = y + h sum_j (dense[j][0] s + dense[j][1] s**2 + ...) k_j.
    dense_order
        Order of the dense output.
    source
        Where the coefficients come from.
    """

    name: str
    order: int
    error_order: int
    c: Row
    a: tuple[Row, ...]
    error: Row
    dense: tuple[Row, ...]
    dense_order: int
    source: str

    @property
    def n_stages(self) -> int:
        """Number of stages."""
        return len(self.c)


def _with_first(c: Row, rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Rows with their first entry, which follows from the sum of the row being c."""
    pairs = enumerate(zip(c, rows, strict=True))
    return tuple((time - sum(row), *row) if i else () for i, (time, row) in pairs)


_C = (0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0)

TSIT5 = ExplicitRungeKutta(
    name="Tsit5",
    order=5,
    error_order=4,
    c=_C,
    a=(
        *_with_first(
            _C[:6],
            (
                (),
                (),
                (0.3354806554923570,),
                (-6.359448489975075, 4.362295432869581),
                (-11.748883564062828, 7.4955393428898365, -0.09249506636175525),
                (-12.92096931784711, 8.159367898576159, -0.071584973281401,
                 -0.028269050394068383),
            ),
        ),
        (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
         2.324710524099774),
    ),
    error=(-0.00178001105222577714, -0.0008164344596567469, 0.007880878010261995,
           -0.1447110071732629, 0.5823571654525552, -0.45808210592918697, 1.0 / 66.0),
    dense=(
        (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
        (0.0, 0.13169999999999998, -0.2234, 0.1017),
        (0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
        (0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
        (0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
        (0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
        (0.0, 1.5, -4.0, 2.5),
    ),
    dense_order=4,
    source="Tsitouras (2011), Runge-Kutta pairs of order 5(4) satisfying only the first column "
    "simplifying assumption, Computers & Mathematics with Applications 62:770-775",
)  # fmt: skip

"""How a calibration searches: everywhere first (CMA-ES), then downhill from the best (Nelder-Mead).

Points lie in a box of side 1: 0 and 1 are the bounds of each number, on its own scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from immunostat.base import streams
from immunostat.base.errors import InputError
from immunostat.model.system import FloatArray

#: From a point to what is made small.
Objective = Callable[[FloatArray], float]

#: Side of the first simplex of the local search.
SIMPLEX = 0.04

#: The local search ends when its simplex is this small, in the box and in the objective.
SMALL_POINT, SMALL_OBJECTIVE = 1e-3, 1e-3

#: Points at which a single number is looked at before the local search.
GRID = 25


def explore(
    objective: Objective, start: FloatArray, width: float, most: int, seed: int
) -> FloatArray | None:
    """Search everywhere between the bounds; at most `most` evaluations.

    Parameters
    ----------
    objective
        What is made small.
    start
        Shape (number,), in the box.
    width
        First standard deviation.
    most
        Evaluations; whole generations are made.
    seed
        Of its random numbers, which are its own.

    Returns
    -------
    The best point; None if nothing was evaluated.

    Raises
    ------
    InputError
        The package ``cma`` is missing.

    Source
    ------
    CMA-ES: Hansen N, arXiv:1604.00772, by the package ``cma``. Of a single number, an even grid.
    """
    best: tuple[float, FloatArray | None] = (math.inf, None)
    if len(start) == 1:
        for at in np.linspace(0.0, 1.0, min(most, GRID)):
            found = objective(np.array([at]))
            best = min(best, (found, np.array([at])), key=lambda pair: pair[0])
        return best[1]
    if most < 1:
        return None
    strategy = _strategy(start, width, seed)
    used, size = 0, int(strategy.popsize)
    while used + size <= most and not strategy.stop():
        points = [np.clip(np.asarray(p, np.float64), 0.0, 1.0) for p in strategy.ask()]
        found_all = [objective(point) for point in points]
        strategy.tell(points, found_all)
        used += size
        for found, point in zip(found_all, points, strict=True):
            best = min(best, (found, point), key=lambda pair: pair[0])
    return best[1]


def _strategy(start: FloatArray, width: float, seed: int) -> Any:
    """CMA-ES of the package ``cma``, quiet, without files, with random numbers of our own."""
    try:
        import cma
    except ImportError:
        raise InputError(
            "the global search needs the package 'cma'",
            remedy="install it: pip install 'immunostat[calibrate]'; or take --explore 0, the "
            "local search alone",
        ) from None
    n_calls = 0

    def randn(*shape: int) -> FloatArray:
        nonlocal n_calls
        numbers = streams.normal(seed, "calibration search", np.array([n_calls]), math.prod(shape))
        n_calls += 1
        return numbers.reshape(shape)

    options = {
        "bounds": [0.0, 1.0],
        "randn": randn,
        "seed": math.nan,
        "verbose": -10,
        "verb_log": 0,
        "verb_disp": 0,
        "signals_filename": "",
        "tolx": SMALL_POINT / 10,
        "tolfun": SMALL_OBJECTIVE / 10,
    }
    return cma.CMAEvolutionStrategy(list(start), width, options)


def polish(objective: Objective, start: FloatArray, most: int) -> FloatArray:
    """Go downhill from a point, without derivatives, since shares move in steps of one patient.

    Parameters
    ----------
    objective
        What is made small.
    start
        Shape (number,), in the box.
    most
        Evaluations.

    Source
    ------
    Nelder JA, Mead R, Comput J 1965;7:308-313; coefficients that suit the number of
    dimensions: Gao F, Han L, Comput Optim Appl 2012;51:259-277.
    """
    from scipy.optimize import minimize

    n = len(start)
    if most < 1:
        return start
    steps = np.where(start + SIMPLEX <= 1.0, SIMPLEX, -SIMPLEX)
    found = minimize(
        objective,
        start,
        method="Nelder-Mead",
        bounds=[(0.0, 1.0)] * n,
        options={
            "maxfev": most,
            "maxiter": most,
            "initial_simplex": np.vstack([start, start + np.diag(steps)]),
            "adaptive": n > 2,
            "xatol": SMALL_POINT,
            "fatol": SMALL_OBJECTIVE,
        },
    )
    return np.clip(np.asarray(found.x, np.float64), 0.0, 1.0)

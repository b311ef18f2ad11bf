"""Points at which a function is evaluated to see what it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from immunostat.base import streams
from immunostat.model.system import FloatArray
from immunostat.study.varied import Parameter


def problem(k: int) -> dict[str, Any]:
    """SALib's words for the unit cube."""
    return {"num_vars": k, "names": [str(j) for j in range(k)], "bounds": [[0.0, 1.0]] * k}


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator for SALib that is a function of seed and purpose alone."""
    sequence = np.random.SeedSequence([seed, streams.purpose_key(purpose)])
    return np.random.Generator(np.random.Philox(sequence))


def factors(parameters: Sequence[Parameter], unit: FloatArray) -> FloatArray:
    """Points of the unit cube as factors, uniform on a logarithmic axis."""
    low = np.log([parameter.low for parameter in parameters])
    high = np.log([parameter.high for parameter in parameters])
    return np.asarray(np.exp(low + unit * (high - low)))


def with_base(factors: FloatArray) -> FloatArray:
    """The unchanged model, then the rows of a design."""
    return np.concatenate([np.ones((1, factors.shape[1])), factors])


def whole_groups(y: FloatArray, size: int) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Groups of rows of which none failed, and their indices: an estimator needs whole groups."""
    groups = np.isfinite(y.reshape(-1, size)).all(axis=1)
    kept = np.flatnonzero(np.repeat(groups, size))
    return y[kept], kept


def latin_hypercube(n: int, k: int, seed: int) -> FloatArray:
    """Points of which each column has one in each of n equal cells. Shape (n, k), in (0, 1)."""
    numbers = np.arange(n, dtype=np.int64)
    order = streams.uniform(seed, "latin hypercube order", numbers, k).argsort(axis=0)
    inside = streams.uniform(seed, "latin hypercube place", numbers, k)
    return np.asarray((order.argsort(axis=0) + inside) / n)

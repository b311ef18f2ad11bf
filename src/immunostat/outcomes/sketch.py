"""Quantiles of more values than memory holds: counts in bins of equal relative width.

Counts of parts add up to the counts of the whole, in whatever order, so that quantiles do not
depend on how patients were cut into chunks. Each quantile is within `RELATIVE_ERROR` of a value
that lies at its rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray

#: Relative distance of a quantile from a value of its rank, at most.
RELATIVE_ERROR = 0.005

#: Values closer to zero than this are zero.
SMALLEST = 1e-12

_BASE = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_BASE = np.log(_BASE)
#: Bin of the smallest positive value is 1; zero is 0; negative values have negative bins.
_OFFSET = int(np.floor(np.log(SMALLEST) / _LOG_BASE)) - 1


@dataclass(frozen=True)
class Sketch:
    """Counts of values in cells: one cell for each sampled output and time, for example.

    Parameters
    ----------
    cell, bin
        Where a count belongs, sorted by cell, then bin. Shape (count,).
    count
        Number of values. Shape (count,).
    """

    cell: IntArray
    bin: IntArray
    count: IntArray

    @classmethod
    def of(cls, values: FloatArray) -> Sketch:
        """Counts of values; missing ones are left out.

        Parameters
        ----------
        values
            Shape (value, cell).
        """
        n_cells = values.shape[1]
        seen = np.isfinite(values)
        bins = bins_of(np.where(seen, values, 0.0))
        low = int(bins.min(initial=0))
        span = int(bins.max(initial=0)) - low + 1
        keys = np.arange(n_cells, dtype=np.int64) * span + (bins - low)
        found, counts = np.unique(keys[seen], return_counts=True)
        return cls(found // span, found % span + low, counts.astype(np.int64))

    def plus(self, other: Sketch) -> Sketch:
        """Counts of both."""
        cell = np.concatenate([self.cell, other.cell])
        bins = np.concatenate([self.bin, other.bin])
        if not len(cell):
            return self
        low = int(bins.min())
        span = int(bins.max()) - low + 1
        keys, where = np.unique(cell * span + (bins - low), return_inverse=True)
        total = np.zeros(len(keys), dtype=np.int64)
        np.add.at(total, where, np.concatenate([self.count, other.count]))
        return Sketch(keys // span, keys % span + low, total)

    def quantiles(self, levels: npt.ArrayLike, n_cells: int) -> FloatArray:
        """Quantiles of each cell.

        Parameters
        ----------
        levels
            Between 0 and 1. Shape (level,).

        Returns
        -------
        NaN for a cell without values. Shape (level, cell).

        Source
        ------
        Masson C, Rim JE, Lee HK, Proc VLDB Endow 2019;12:2195-2205 (DDSketch).
        """
        wanted = np.asarray(levels, dtype=np.float64)
        found = np.full((len(wanted), n_cells), np.nan)
        edges = np.searchsorted(self.cell, np.arange(n_cells + 1))
        for cell in range(n_cells):
            own = slice(int(edges[cell]), int(edges[cell + 1]))
            upto = np.cumsum(self.count[own])
            if len(upto):
                rank = wanted * (upto[-1] - 1)
                found[:, cell] = value_of(self.bin[own][np.searchsorted(upto, rank, side="right")])
        return found


def bins_of(values: FloatArray) -> IntArray:
    """Bin of each value; zero has bin 0."""
    size = np.abs(values)
    with np.errstate(divide="ignore"):
        place = np.ceil(np.log(np.maximum(size, SMALLEST)) / _LOG_BASE).astype(np.int64) - _OFFSET
    return np.where(size <= SMALLEST, 0, np.where(values < 0, -place, place))


def value_of(bins: IntArray) -> FloatArray:
    """Value in the middle, by ratio, of each bin."""
    size = 2 * np.exp((np.abs(bins) + _OFFSET) * _LOG_BASE) / (_BASE + 1)
    return np.asarray(np.sign(bins) * np.where(bins == 0, 0.0, size))

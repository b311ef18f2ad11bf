"""Quantiles and sums of more values than memory holds, the same bits however they are cut.

Quantiles are of counts in bins of nearly equal relative width, and counts add up in any order. Each
quantile is within `RELATIVE_ERROR` of a value that lies at its rank. Bins are read off the bits of
a number, so that they are the same everywhere. Sums are added in the order of one binary tree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray

#: Relative distance of a quantile from a value of its rank, at most.
RELATIVE_ERROR = 0.005

#: Values closer to zero than this are zero; a power of two, so that a bin begins there.
SMALLEST = 2.0**-40

#: Bins of equal width between a power of two and the next: the middle of the first one is 1.005
#: times its lower end.
_PER_OCTAVE = 100
#: Bits of a double below the exponent, and those of them that do not matter to a bin.
_MANTISSA, _DROPPED = 52, 8
#: What `_place` gives for 1.
_ONE = 1023 * _PER_OCTAVE
#: Bin of the smallest positive value is 1; zero is 0; negative values have negative bins.
_OFFSET = _ONE - 40 * _PER_OCTAVE - 1


@dataclass(frozen=True)
class Sketch:
    """Counts of values in cells: one cell for each sampled output and time, for example.

    Parameters
    ----------
    first
        Where the counts of each cell begin, and the number of counts. Shape (cell + 1,).
    bin
        Of each count, increasing within a cell. Shape (count,).
    count
        Number of values, above 0. Shape (count,).
    """

    first: IntArray
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
        bins = bins_of(values)
        seen = np.isfinite(values)
        is_whole = bool(seen.all()) and len(values) > 0
        if is_whole:
            low, high = bins.min(axis=0), bins.max(axis=0)
        else:
            is_any = seen.any(axis=0)
            far = np.iinfo(np.int64).max
            low = np.where(is_any, np.where(seen, bins, far).min(axis=0, initial=far), 0)
            high = np.where(is_any, np.where(seen, bins, -far).max(axis=0, initial=-far), 0)
        starts = np.concatenate([[0], np.cumsum(high - low + 1)]).astype(np.int64)
        bins += starts[:-1] - low
        keys = bins.reshape(-1) if is_whole else bins[seen]
        return cls._sparse(np.bincount(keys, minlength=int(starts[-1])), starts, low)

    @classmethod
    def _sparse(cls, dense: IntArray, starts: IntArray, low: IntArray) -> Sketch:
        """Counts above 0 of a table in which each cell has a stretch of its own, from bin `low`."""
        keys = np.flatnonzero(dense)
        first = np.searchsorted(keys, starts)
        own = np.repeat(np.arange(len(low)), np.diff(first))
        return cls(first, keys - starts[own] + low[own], dense[keys].astype(np.int64))

    @classmethod
    def sum(cls, parts: Iterable[Sketch], n_cells: int) -> Sketch:
        """Counts of all parts together.

        Parameters
        ----------
        parts
            Each of `n_cells` cells.
        """
        total = np.zeros((n_cells, 0), dtype=np.int64)
        low = 0
        for part in parts:
            if not len(part.bin):
                continue
            least, most = int(part.bin.min()), int(part.bin.max())
            before = max(0, low - least) if total.shape[1] else 0
            low = min(low, least) if total.shape[1] else least
            after = max(0, most + 1 - low - before - total.shape[1])
            if before or after:
                total = np.pad(total, ((0, 0), (before, after)))
            cell = np.repeat(np.arange(n_cells), np.diff(part.first))
            total[cell, part.bin - low] += part.count
        starts = np.arange(n_cells + 1, dtype=np.int64) * total.shape[1]
        return cls._sparse(total.reshape(-1), starts, np.full(n_cells, low, dtype=np.int64))

    def quantiles(self, levels: npt.ArrayLike) -> FloatArray:
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
        n_cells = len(self.first) - 1
        found = np.full((len(wanted), n_cells), np.nan)
        for cell in range(n_cells):
            own = slice(int(self.first[cell]), int(self.first[cell + 1]))
            upto = np.cumsum(self.count[own])
            if len(upto):
                rank = wanted * (upto[-1] - 1)
                found[:, cell] = value_of(self.bin[own][np.searchsorted(upto, rank, side="right")])
        return found


def bins_of(values: FloatArray) -> IntArray:
    """Bin of each value; zero has bin 0, and so has everything closer to it than `SMALLEST`.

    Examples
    --------
    >>> bins_of(np.array([0.0, 1e-20, 2.0**-40, 1.0, 2.0, -2.0])).tolist()
    [0, 0, 1, 4001, 4101, -4101]
    """
    size = np.abs(values)
    bins = size.view(np.int64) >> _DROPPED
    # Exponent and mantissa as one number is log2 but for straight lines between powers of two.
    bins *= _PER_OCTAVE
    bins >>= _MANTISSA - _DROPPED
    bins -= _OFFSET
    np.maximum(bins, 0, out=bins)
    if np.any(values < 0):
        np.negative(bins, out=bins, where=values < 0)
    return bins


def value_of(bins: IntArray) -> FloatArray:
    """Value in the middle of each bin."""
    octave, place = np.divmod(np.abs(bins) + _OFFSET, _PER_OCTAVE)
    size = np.ldexp(1.0 + (place + 0.5) / _PER_OCTAVE, octave - 1023)
    return np.asarray(np.sign(bins) * np.where(bins == 0, 0.0, size))


#: Places of a leaf of the tree in which sums are added.
LEAF = 64


def tree_sum(values: FloatArray, places: IntArray, n_places: int) -> FloatArray:
    """Sum over rows, added in a binary tree whose leaves are `LEAF` places each.

    Sums of neighboring stretches, joined by `joined_sums`, are the sum of the whole to the bit.

    Parameters
    ----------
    values
        Shape (row, cell).
    places
        Place of each row, increasing, below `n_places`; a place without a row counts 0. (row,).
    n_places
        `LEAF` times a power of two.

    Returns
    -------
    Shape (cell,).
    """
    level = np.zeros((n_places // LEAF, values.shape[1]))
    if len(values):
        leaves, starts = np.unique(places // LEAF, return_index=True)
        level[leaves] = np.add.reduceat(values, starts, axis=0)
    while len(level) > 1:
        level = level[0::2] + level[1::2]
    return np.asarray(level[0])


def joined_sums(parts: Iterable[FloatArray]) -> FloatArray | None:
    """Sum of neighboring stretches of equal length, in their order; None if there are none.

    Examples
    --------
    >>> joined_sums([np.array([1.0]), np.array([2.0]), np.array([4.0])])
    array([7.])
    """
    waiting: list[tuple[int, FloatArray]] = []
    for part in parts:
        level, total = 0, part
        while waiting and waiting[-1][0] == level:
            level, total = level + 1, waiting.pop()[1] + total
        waiting.append((level, total))
    if not waiting:
        return None
    total = waiting.pop()[1]
    while waiting:
        # Where the tree has no leaves any more it holds zeros, which change no sum.
        total = waiting.pop()[1] + total
    return total

"""Where the standard normal numbers of virtual patients come from: streams, or a Sobol sequence.

Either way a patient's numbers depend on the seed and the patient's number alone, so that it does
not matter in what pieces, order or company patients are drawn.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from immunostat.base import streams
from immunostat.base.errors import InputError, RangeError
from immunostat.model.system import FloatArray

IntArray = npt.NDArray[np.int64]

#: Dimensions of the Sobol sequence, whatever is used of them: the scrambling of one dimension then
#: does not depend on how many there are, and what is added last changes nothing before it.
DIMENSIONS = 128

#: Binary digits of a coordinate; there are as many points as there are coordinates.
BITS = 30


class Sampling(StrEnum):
    """How patients are spread over what they may be."""

    RANDOM = "random"  #: independent random numbers
    SOBOL = "sobol"  #: a scrambled Sobol sequence, which fills the space more evenly


class Sampler(Protocol):
    """Standard normal numbers by purpose and patient."""

    def normal(self, purpose: str, numbers: npt.ArrayLike) -> FloatArray:
        """One number for each patient. Shape (patient,)."""
        ...


class RandomSampler:
    """Counter-based random numbers.

    Parameters
    ----------
    seed
        Seed of the study.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def normal(self, purpose: str, numbers: npt.ArrayLike) -> FloatArray:
        """One number for each patient; see `streams.normal`. Shape (patient,)."""
        return np.asarray(streams.normal(self.seed, purpose, numbers)[:, 0])


class SobolSampler:
    """A scrambled Sobol sequence: patient i is point i, a purpose is a coordinate.

    Parameters
    ----------
    seed
        Seed of the study; the scrambling follows from it.
    purposes
        What the coordinates are for, in order. Other purposes get counter-based random numbers.

    Raises
    ------
    InputError
        There are more purposes than dimensions.

    Source
    ------
    Direction numbers of Joe and Kuo 2008 and scrambling of Matousek 1998, as `scipy.stats.qmc`
    has them. A coordinate k / 2**30 stands for its cell's midpoint, so that it is never 0 or 1.
    """

    def __init__(self, seed: int, purposes: Sequence[str]) -> None:
        if len(purposes) > DIMENSIONS:
            raise InputError(
                f"a Sobol sequence of {len(purposes)} dimensions is asked for; {DIMENSIONS} are "
                "available",
                remedy="use random sampling",
            )
        self.seed = seed
        self.column = {purpose: i for i, purpose in enumerate(purposes)}
        self._random = RandomSampler(seed)
        self._lock = threading.Lock()
        self._kept: tuple[bytes, FloatArray] = (b"", np.empty((0, 0)))

    def normal(self, purpose: str, numbers: npt.ArrayLike) -> FloatArray:
        """One number for each patient. Shape (patient,)."""
        from scipy.special import ndtri

        if purpose not in self.column:
            return self._random.normal(purpose, numbers)
        own = np.asarray(numbers, dtype=np.int64)
        return np.asarray(ndtri(self._points_kept(own)[:, self.column[purpose]]))

    def points(self, numbers: npt.ArrayLike) -> FloatArray:
        """Points of patients in the open unit cube. Shape (patient, purpose).

        Raises
        ------
        RangeError
            A number is negative, or the sequence has no point of that number.
        """
        from scipy.stats import qmc

        own = np.asarray(numbers, dtype=np.int64)
        if not own.size:
            return np.empty((0, len(self.column)))
        if own.min() < 0 or own.max() >= 2**BITS:
            raise RangeError(f"a Sobol sequence has points 0 to {2**BITS - 1}")
        wanted, place = np.unique(own, return_inverse=True)
        found = np.empty((len(wanted), len(self.column)))
        breaks = np.flatnonzero(np.diff(wanted) != 1) + 1
        key = streams.words(self.seed, "scrambling of the Sobol sequence", np.zeros(1, np.int64))
        for run in np.split(np.arange(len(wanted)), breaks):
            bits = np.random.Philox(int(key[0, 0]))
            engine = qmc.Sobol(DIMENSIONS, scramble=True, bits=BITS, rng=np.random.Generator(bits))
            first, n = int(wanted[run[0]]), len(run)
            parts = []
            if first:
                engine.fast_forward(first)
            else:  # a first draw of one point never warns that it is no power of two
                parts, n = [engine.random(1)], n - 1
            if n:
                parts.append(engine.random(n))
            found[run] = np.concatenate(parts)[:, : len(self.column)]
        return np.asarray(found[place.reshape(-1)] + 2.0 ** -(BITS + 1))

    def _points_kept(self, numbers: IntArray) -> FloatArray:
        """`points`, remembered for the patients asked for last: one call serves all purposes."""
        key = numbers.tobytes()
        with self._lock:
            if self._kept[0] != key:
                self._kept = (key, self.points(numbers))
            return self._kept[1]


def sampler_of(sampling: Sampling | str, seed: int, purposes: Sequence[str]) -> Sampler:
    """The sampler of a name.

    Raises
    ------
    InputError
        There is no such sampling.
    """
    if sampling not in set(Sampling):
        allowed = ", ".join(Sampling)
        raise InputError(f"'{sampling}' is no way of sampling", remedy=f"allowed: {allowed}")
    if sampling == Sampling.SOBOL:
        return SobolSampler(seed, purposes)
    return RandomSampler(seed)

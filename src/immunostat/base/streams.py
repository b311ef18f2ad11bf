"""Random numbers that belong to a seed, a purpose and a patient, in whatever order they are asked.

The generator is counter based: a number is a function of its name (seed, purpose, patient, place in
the patient's row) and of nothing else. So a patient keeps his numbers when others are added, when
the work is cut into pieces and in every arm of a trial, and arms differ by treatment alone.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import RangeError, ShapeError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
WordArray = npt.NDArray[np.uint64]

# Multipliers and Weyl increments of Philox4x64 (Salmon 2011, section 4.2, and Random123).
_MULTIPLIER_0 = np.uint64(0xD2E7470EE14C6C93)
_MULTIPLIER_1 = np.uint64(0xCA5A826395121157)
_WEYL_0 = np.uint64(0x9E3779B97F4A7C15)
_WEYL_1 = np.uint64(0xBB67AE8584CAA73B)
_ROUNDS = 10
_WORDS = 4
_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(counter: WordArray, key: tuple[int, int]) -> WordArray:
    """Raw output of Philox4x64-10.

    Parameters
    ----------
    counter
        Counters, least significant word first. Shape (..., 4), uint64.
    key
        Two words below 2**64.

    Returns
    -------
    Four random words for each counter. Shape (..., 4), uint64.

    Raises
    ------
    ShapeError
        The last axis of `counter` is not 4.

    Source
    ------
    salmon2011, section 4.2: J. K. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC11.
    `numpy.random.Philox` is the same function, applied to its counter plus one.
    """
    if counter.shape[-1] != _WORDS:
        raise ShapeError(f"a counter has {_WORDS} words, not {counter.shape[-1]}")
    c0, c1, c2, c3 = (counter[..., i].astype(np.uint64) for i in range(_WORDS))
    k0, k1 = np.array(key[0], dtype=np.uint64), np.array(key[1], dtype=np.uint64)
    for _ in range(_ROUNDS):
        high_0, low_0 = _multiply(c0, _MULTIPLIER_0)
        high_1, low_1 = _multiply(c2, _MULTIPLIER_1)
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
        with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
            k0, k1 = np.add(k0, _WEYL_0), np.add(k1, _WEYL_1)
    return np.stack([c0, c1, c2, c3], axis=-1)


def purpose_key(purpose: str) -> int:
    """Word that stands for a purpose: the 64-bit BLAKE2b digest of its name, little endian.

    Examples
    --------
    >>> purpose_key("dropout") == purpose_key("dropout") != purpose_key("age")
    True
    """
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")


def words(seed: int, purpose: str, patients: npt.ArrayLike, n: int = 1) -> WordArray:
    """Random words of patients for one purpose.

    Parameters
    ----------
    seed
        Seed of the study, 0 to 2**64 - 1.
    purpose
        What the numbers are for, for example ``"dropout"``; another purpose is another stream.
    patients
        Number of each patient, not negative; order and company do not matter. Shape (patient,).
    n
        How many words each patient gets. A longer row starts with the shorter one.

    Returns
    -------
    Words, uniform on 0 to 2**64 - 1. Shape (patient, n), uint64.

    Raises
    ------
    RangeError
        The seed or a patient's number is negative or too large.
    ShapeError
        `patients` is not a one-dimensional array of whole numbers.
    """
    if not 0 <= seed < 2**64:
        raise RangeError(f"seed {seed} is not between 0 and 2**64 - 1")
    if n < 0:
        raise RangeError(f"cannot draw {n} numbers")
    numbers = np.asarray(patients)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise ShapeError(
            f"patients must be a one-dimensional array of whole numbers, "
            f"not {numbers.dtype} of shape {numbers.shape}"
        )
    if numbers.size and numbers.min() < 0:
        raise RangeError(f"patient number {numbers.min()} is negative")
    n_blocks = -(-n // _WORDS)
    counter = np.zeros((len(numbers), n_blocks, _WORDS), dtype=np.uint64)
    counter[:, :, 0] = numbers.astype(np.uint64)[:, None]
    counter[:, :, 1] = np.arange(n_blocks, dtype=np.uint64)
    raw = philox(counter, (seed, purpose_key(purpose)))
    return raw.reshape(len(numbers), n_blocks * _WORDS)[:, :n]


def uniform(seed: int, purpose: str, patients: npt.ArrayLike, n: int = 1) -> FloatArray:
    """Uniform numbers of patients, never 0 and never 1.

    The upper 52 bits of a word give (k + 1/2) / 2**52, which is exact in double precision.

    Parameters
    ----------
    seed, purpose, patients, n
        See `words`.

    Returns
    -------
    Numbers in the open interval (0, 1). Shape (patient, n), no unit.

    Source
    ------
    salmon2011; the half step is the midpoint of each of 2**52 equal cells ("definition").

    Examples
    --------
    >>> few = uniform(7, "dropout", np.array([3]))
    >>> many = uniform(7, "dropout", np.arange(10), 5)
    >>> bool(few[0, 0] == many[3, 0])
    True
    """
    raw = words(seed, purpose, patients, n)
    return ((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def normal(seed: int, purpose: str, patients: npt.ArrayLike, n: int = 1) -> FloatArray:
    """Standard normal numbers of patients, by the inverse of the normal distribution function.

    Parameters
    ----------
    seed, purpose, patients, n
        See `words`.

    Returns
    -------
    Numbers of mean 0 and variance 1. Shape (patient, n), no unit.

    Source
    ------
    Inversion ("definition"); one uniform number gives one normal number, so order is kept.
    """
    from scipy.special import ndtri

    return np.asarray(ndtri(uniform(seed, purpose, patients, n)), dtype=np.float64)


def exponential(seed: int, purpose: str, patients: npt.ArrayLike, n: int = 1) -> FloatArray:
    """Unit exponential numbers of patients, by inversion.

    Parameters
    ----------
    seed, purpose, patients, n
        See `words`.

    Returns
    -------
    Positive numbers of mean 1. Shape (patient, n), no unit.

    Source
    ------
    Inversion ("definition").
    """
    return np.asarray(-np.log1p(-uniform(seed, purpose, patients, n)), dtype=np.float64)


def _multiply(a: WordArray, b: np.uint64) -> tuple[WordArray, WordArray]:
    """High and low word of the 128-bit product, from 32-bit halves that cannot overflow."""
    a_low, a_high = a & _LOW_HALF, a >> _HALF
    b_low, b_high = b & _LOW_HALF, b >> _HALF
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        low_low = a_low * b_low
        middle = a_high * b_low + (low_low >> _HALF)
        other = a_low * b_high + (middle & _LOW_HALF)
        high = a_high * b_high + (middle >> _HALF) + (other >> _HALF)
        low = a * b
    return high, low

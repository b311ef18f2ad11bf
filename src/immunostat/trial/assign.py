"""Randomization: which arm each patient of a trial enters.

An assignment is a function of the seed and of what is known when the patient enters: his number
(simple randomization), or his stratum and his rank in it (permuted blocks). It never looks at
patients who come later, so the first patients keep their arms when a trial grows, and a trial that
is assigned in parts agrees with one assigned at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from immunostat.base import streams
from immunostat.base.errors import InputError, RangeError, ShapeError
from immunostat.engine.problem import IntArray
from immunostat.trial.conditions import Condition

#: More strata than this leave most blocks unfilled.
MOST_STRATIFIERS = 10
_LARGEST_BLOCK = 1000


class Method(StrEnum):
    """How patients are spread over arms."""

    SIMPLE = "simple"  #: each patient by a draw of his own
    BLOCKS = "blocks"  #: permuted blocks, within strata where there are any


@dataclass(frozen=True)
class Assignment:
    """Arms of patients, and the state from which the next patients go on.

    Parameters
    ----------
    arm
        Index into the arms, in the order of the patients that were given. Shape (patient,).
    entered
        Number of patients so far by stratum; pass it to the next call of `assign`.
    """

    arm: IntArray
    entered: Mapping[int, int] = field(default_factory=dict)


def assign(
    numbers: npt.ArrayLike,
    seed: int,
    arms: Mapping[str, int],
    method: Method | str = Method.BLOCKS,
    block: int | None = None,
    strata: npt.ArrayLike | None = None,
    entered: Mapping[int, int] | None = None,
) -> Assignment:
    """Assign patients to arms.

    Parameters
    ----------
    numbers
        Number of each patient, each once. Patients enter in the order of their numbers, in
        whatever order they stand here. Shape (patient,).
    seed
        Seed of the study.
    arms
        Name of the arm to its share in the allocation ratio, for example
        ``{"placebo": 1, "active": 2}``.
    method
        See `Method`.
    block
        Patients in a block, a multiple of the sum of the ratio; None takes twice the sum.
    strata
        Stratum of each patient (`strata_of`); None puts all into stratum 0. Simple randomization
        ignores it. Shape (patient,).
    entered
        Patients who entered before by stratum, from `Assignment.entered` of the part before.

    Returns
    -------
    See `Assignment`.

    Raises
    ------
    InputError
        An arm's share is not a positive whole number, or the block does not fit the ratio.
    RangeError
        A patient's number occurs twice.

    Source
    ------
    Stratified permuted blocks: Zelen M, J Chronic Dis 1974;27:365-375; a permutation is the order
    of uniform numbers of the block ("definition").

    Examples
    --------
    >>> first = assign(range(4), 7, {"placebo": 1, "active": 1}, block=4)
    >>> sorted(first.arm.tolist())
    [0, 0, 1, 1]
    """
    patients = np.asarray(numbers, dtype=np.int64)
    if len(np.unique(patients)) != len(patients):
        raise RangeError("a patient's number occurs twice in one trial")
    ratio = _ratio(arms)
    if Method(method) is Method.SIMPLE:
        edges = np.cumsum(ratio) / np.sum(ratio)
        draws = streams.uniform(seed, "randomization", patients)[:, 0]
        return Assignment(np.searchsorted(edges, draws, side="right").astype(np.int64))
    size = block_size(ratio, block)
    groups = np.zeros(len(patients), np.int64) if strata is None else np.asarray(strata, np.int64)
    if groups.shape != patients.shape:
        raise ShapeError(f"{patients.shape} patients but strata of shape {groups.shape}")
    ranks, after = _ranks(patients, groups, entered or {})
    arm = np.empty(len(patients), dtype=np.int64)
    for stratum in np.unique(groups):
        own = groups == stratum
        arm[own] = arms_in_stratum(int(stratum), ranks[own], seed, ratio, size)
    return Assignment(arm, after)


def arms_in_stratum(
    stratum: int, ranks: IntArray, seed: int, ratio: Sequence[int], block: int
) -> IntArray:
    """Arm of the patients at given ranks of one stratum, by permuted blocks.

    Parameters
    ----------
    stratum
        Number of the stratum, part of the name of its stream.
    ranks
        Rank of entry within the stratum, from 0. Shape (patient,).
    seed
        Seed of the study.
    ratio
        Share of each arm. Shape (arm,).
    block
        Patients in a block, a multiple of the sum of the ratio.

    Returns
    -------
    Index of the arm. Shape (patient,).

    Source
    ------
    See `assign`.
    """
    blocks, place = np.unique(ranks // block, return_inverse=True)
    draws = streams.uniform(seed, f"randomization block of stratum {stratum}", blocks, block)
    slots = np.repeat(np.arange(len(ratio)), np.asarray(ratio) * (block // sum(ratio)))
    order = np.argsort(draws, axis=1, kind="stable")
    return slots[order[place, ranks % block]].astype(np.int64)


def strata_of(
    conditions: Sequence[Condition], values: Mapping[str, npt.ArrayLike]
) -> tuple[IntArray, dict[int, str]]:
    """Strata by yes-or-no conditions on covariates, and their names.

    Parameters
    ----------
    conditions
        For example those of ``sex is yes`` and ``age >= 65``, resolved. A missing covariate
        fulfils none.
    values
        Covariates by name. Each of shape (patient,).

    Returns
    -------
    Number of the stratum of each patient, with bit k set where condition k holds; and the words
    for every number. Shape (patient,).

    Raises
    ------
    InputError
        There are more than `MOST_STRATIFIERS` conditions.

    Source
    ------
    "definition"
    """
    if len(conditions) > MOST_STRATIFIERS:
        raise InputError(
            f"{len(conditions)} conditions make {2 ** len(conditions)} strata",
            remedy=f"stratify by at most {MOST_STRATIFIERS} conditions, usually one to three",
        )
    n = len(np.asarray(next(iter(values.values())))) if values else 0
    strata = np.zeros(n, dtype=np.int64)
    for bit, condition in enumerate(conditions):
        strata += condition.holds(values).astype(np.int64) << bit
    names = {
        code: "; ".join(
            f"{condition}" if code >> bit & 1 else f"not ({condition})"
            for bit, condition in enumerate(conditions)
        )
        or "all"
        for code in range(2 ** len(conditions))
    }
    return strata, names


def block_size(ratio: Sequence[int], block: int | None) -> int:
    """The block that was asked for, or twice the sum of the ratio.

    Raises
    ------
    InputError
        The block is no multiple of the sum of the ratio, or larger than 1000.
    """
    total = sum(ratio)
    size = 2 * total if block is None else block
    if size <= 0 or size % total or size > _LARGEST_BLOCK:
        raise InputError(
            f"a block of {size} patients does not fit the ratio {':'.join(map(str, ratio))}",
            remedy=f"use a multiple of {total}, for example {2 * total}, at most {_LARGEST_BLOCK}",
        )
    return size


def _ratio(arms: Mapping[str, int]) -> list[int]:
    """Shares of the arms, which must be positive whole numbers."""
    for name, share in arms.items():
        if not isinstance(share, int) or isinstance(share, bool) or share < 1:
            raise InputError(
                f"arm '{name}' has the share {share!r} in the allocation ratio",
                remedy="a share is a whole number from 1, for example {placebo: 1, active: 2}",
            )
    if not arms:
        raise InputError("a trial needs at least one arm to assign patients to")
    return list(arms.values())


def _ranks(
    patients: IntArray, strata: IntArray, entered: Mapping[int, int]
) -> tuple[IntArray, dict[int, int]]:
    """Rank of entry of each patient within his stratum, and the counts of strata afterwards."""
    ranks = np.empty(len(patients), dtype=np.int64)
    after = dict(entered)
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        before = after.get(int(stratum), 0)
        ranks[own[np.argsort(patients[own], kind="stable")]] = before + np.arange(len(own))
        after[int(stratum)] = before + len(own)
    return ranks, after

"""Quantiles and sums of parts are those of the whole, to the bit and within the stated error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from immunostat.outcomes.sketch import (
    LEAF,
    RELATIVE_ERROR,
    SMALLEST,
    Sketch,
    bins_of,
    joined_sums,
    tree_sum,
    value_of,
)

LEVELS = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]

#: Every number that is not missing, and the sizes that courses have.
numbers = st.floats(allow_nan=False, allow_infinity=False, width=64) | st.floats(-1e4, 1e4)
tables = arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 4)), elements=numbers)


def equal(a: Sketch, b: Sketch) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in vars(a))


@given(tables)
def test_each_quantile_is_within_the_error_of_the_value_at_its_rank(values: np.ndarray) -> None:
    found = Sketch.of(values).quantiles(LEVELS)
    at_rank = np.quantile(values, LEVELS, axis=0, method="lower")
    # 1e-12: rounding of the middle of a bin, which has 16 digits
    allowed = (RELATIVE_ERROR + 1e-12) * np.abs(at_rank)
    near_zero = np.abs(at_rank) < SMALLEST
    assert (np.abs(found - at_rank) <= np.where(near_zero, SMALLEST, allowed)).all()


@given(arrays(np.float64, st.integers(2, 50), elements=numbers))
def test_a_larger_value_never_has_a_smaller_bin(values: np.ndarray) -> None:
    in_order = np.sort(values)
    assert (np.diff(bins_of(in_order)) >= 0).all()
    assert (np.diff(value_of(bins_of(in_order))) >= 0).all()


@given(st.floats(SMALLEST, 1e300))
def test_a_value_and_its_negative_mirror_each_other(value: float) -> None:
    both = bins_of(np.array([value, -value]))
    assert both[0] == -both[1] > 0
    assert value_of(both)[0] == -value_of(both)[1]


@given(tables, st.data())
def test_counts_of_parts_in_any_order_are_the_counts_of_the_whole(
    values: np.ndarray, data: st.DataObject
) -> None:
    n, n_cells = values.shape
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=3)))
    parts = [Sketch.of(part) for part in np.split(values, cuts)]
    order = data.draw(st.permutations(parts))
    assert equal(Sketch.sum(order, n_cells), Sketch.of(values))


def test_missing_values_are_not_counted() -> None:
    values = np.array([[1.0, np.nan], [np.inf, np.nan], [2.0, np.nan], [-np.inf, np.nan]])
    sketch = Sketch.of(values)
    assert sketch.count.sum() == 2
    assert np.isnan(sketch.quantiles([0.5])[0, 1])
    assert sketch.quantiles([1.0])[0, 0] == pytest.approx(2.0, rel=RELATIVE_ERROR)


def test_nothing_has_no_quantiles() -> None:
    assert np.isnan(Sketch.sum([], 3).quantiles([0.5])).all()
    assert np.isnan(Sketch.of(np.zeros((0, 3))).quantiles([0.5])).all()


@given(st.integers(0, 2**32), st.integers(1, 4 * LEAF), st.sampled_from([LEAF, 2 * LEAF, 4 * LEAF]))
def test_sums_are_the_same_bits_however_patients_are_cut(seed: int, n: int, size: int) -> None:
    random = np.random.default_rng(seed)
    places = np.sort(random.choice(8 * LEAF, n, replace=False))
    values = np.exp(random.normal(0, 10, (n, 3)))
    whole = tree_sum(values, places, 8 * LEAF)
    parts = []
    for first in range(0, 8 * LEAF, size):
        own = (places >= first) & (places < first + size)
        parts.append(tree_sum(values[own], places[own] - first, size))
    cut = joined_sums(parts)
    assert cut is not None
    assert cut.tobytes() == whole.tobytes()
    # 1e-13: a sum of 256 positive numbers loses at most 256 rounding errors of 1.1e-16
    exact = [math.fsum(column) for column in values.T]
    np.testing.assert_allclose(whole, exact, rtol=1e-13)


def test_a_last_part_that_is_missing_changes_no_sum() -> None:
    parts = [np.array([0.1]), np.array([0.2]), np.array([0.3])]
    with_zero = joined_sums([*parts, np.array([0.0])])
    assert with_zero is not None
    assert joined_sums(parts) == with_zero
    assert joined_sums([]) is None

"""Randomization keeps its ratio, its balance and the arms of those who came first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from immunostat.base.errors import InputError, RangeError
from immunostat.trial.assign import Method, assign, strata_of
from immunostat.trial.conditions import parse_condition

TWO = {"placebo": 1, "active": 1}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 120),
    half=st.integers(1, 4),
    n_strata=st.integers(1, 4),
)
def test_blocks_never_let_a_stratum_lean_by_more_than_half_a_block(
    seed: int, n: int, half: int, n_strata: int
) -> None:
    strata = np.arange(n) * 7 % n_strata
    arm = assign(np.arange(n), seed, TWO, block=2 * half, strata=strata).arm
    for stratum in range(n_strata):
        # after each patient, the difference between arms is at most half a block
        lead = np.cumsum(np.where(arm[strata == stratum] == 0, 1, -1))
        assert np.all(np.abs(lead) <= half)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.integers(0, 60), method=st.sampled_from(list(Method)))
def test_parts_agree_with_the_whole_and_later_patients_change_nothing(
    seed: int, cut: int, method: Method
) -> None:
    numbers, strata = np.arange(100, 160), np.arange(60) % 3
    arms = {"a": 1, "b": 2, "c": 1}
    whole = assign(numbers, seed, arms, method, strata=strata)
    first = assign(numbers[:cut], seed, arms, method, strata=strata[:cut])
    rest = assign(numbers[cut:], seed, arms, method, strata=strata[cut:], entered=first.entered)
    np.testing.assert_array_equal(np.concatenate([first.arm, rest.arm]), whole.arm)
    assert rest.entered == whole.entered


def test_the_order_of_the_rows_does_not_matter() -> None:
    numbers, strata = np.arange(50), np.arange(50) % 2
    mixed = np.argsort(np.sin(numbers))
    for method in Method:
        straight = assign(numbers, 3, TWO, method, strata=strata).arm
        found = assign(numbers[mixed], 3, TWO, method, strata=strata[mixed]).arm
        np.testing.assert_array_equal(found, straight[mixed])


def test_simple_randomization_has_the_frequencies_of_the_ratio() -> None:
    n = 20_000
    arm = assign(np.arange(n), 11, {"a": 1, "b": 2, "c": 3}, Method.SIMPLE).arm
    counts = np.bincount(arm)
    # a fixed seed; the bound is passed by chance once in 1000 seeds
    assert stats.chisquare(counts, n * np.array([1, 2, 3]) / 6).pvalue > 1e-3


def test_full_blocks_have_the_ratio_exactly_and_every_order_is_as_likely() -> None:
    arm = assign(np.arange(6000), 5, {"a": 1, "b": 2}, block=3).arm.reshape(-1, 3)
    assert np.all(np.sum(arm == 1, axis=1) == 2)
    place_of_a = np.argmax(arm == 0, axis=1)
    assert stats.chisquare(np.bincount(place_of_a, minlength=3)).pvalue > 1e-3


def test_strata_come_from_conditions_and_missing_values_fulfil_none() -> None:
    conditions = [parse_condition("age >= 65"), parse_condition("female is yes")]
    strata, names = strata_of(
        conditions, {"age": np.array([70.0, 40.0, np.nan]), "female": np.array([1.0, 1.0, 0.0])}
    )
    assert strata.tolist() == [3, 2, 0]
    assert names[2] == "not (age >= 65); female = 1"


def test_what_does_not_fit_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match="multiple of 3"):
        assign(np.arange(4), 1, {"a": 1, "b": 2}, block=4)
    with pytest.raises(InputError, match="whole number from 1"):
        assign(np.arange(4), 1, {"a": 0, "b": 2})
    with pytest.raises(RangeError, match="twice"):
        assign([1, 1], 1, TWO)

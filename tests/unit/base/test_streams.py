"""Random streams: the generator is Philox, and a number belongs to seed, purpose and patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from immunostat.base import streams
from immunostat.base.errors import RangeError, ShapeError


@given(
    seed=st.integers(0, 2**64 - 1),
    patient=st.integers(0, 2**63 - 1),
    block=st.integers(0, 5),
)
def test_raw_words_equal_those_of_numpy(seed: int, patient: int, block: int) -> None:
    # NumPy adds one to its counter before it generates, so it starts one below (modulo 2**256).
    counter = (patient + (block << 64) - 1) % 2**256
    key = seed + (streams.purpose_key("dropout") << 64)
    expected = np.random.Philox(counter=counter, key=key).random_raw(4)
    found = streams.words(seed, "dropout", np.array([patient]), 4 * block + 4)
    np.testing.assert_array_equal(found[0, -4:], expected)


def test_philox_gives_the_known_answer_of_its_authors() -> None:
    # Random123, kat_vectors: philox4x64 10 rounds, zero counter and zero key.
    found = streams.philox(np.zeros((1, 4), dtype=np.uint64), (0, 0))
    expected = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert [int(word) for word in found[0]] == expected


@given(
    patients=st.lists(st.integers(0, 10**6), min_size=1, max_size=20),
    n=st.integers(1, 9),
    extra=st.integers(0, 9),
)
def test_a_patient_keeps_his_numbers_in_any_company_order_and_length(
    patients: list[int], n: int, extra: int
) -> None:
    together = streams.uniform(3, "age", patients, n + extra)
    for row, patient in enumerate(patients):
        alone = streams.uniform(3, "age", [patient], n)
        np.testing.assert_array_equal(alone[0], together[row, :n])


def test_uniform_numbers_are_uniform_and_never_at_the_ends() -> None:
    found = streams.uniform(11, "anything", np.arange(50_000), 2)
    assert found.min() > 0
    assert found.max() < 1
    for column in found.T:
        # A fixed seed: this would fail for one seed in ten thousand if the generator were perfect.
        assert stats.kstest(column, "uniform").pvalue > 1e-4


def test_the_extreme_words_stay_inside_the_open_interval() -> None:
    cells = np.array([0, 2**52 - 1], dtype=np.float64)
    ends = (cells + 0.5) * 2.0**-52
    assert ends[0] > 0
    assert ends[1] < 1


def test_normal_numbers_are_normal_and_exponential_ones_exponential() -> None:
    patients = np.arange(50_000)
    assert stats.kstest(streams.normal(5, "a", patients)[:, 0], "norm").pvalue > 1e-4
    assert stats.kstest(streams.exponential(5, "a", patients)[:, 0], "expon").pvalue > 1e-4


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((1, "age", 0), (1, "weight", 0)),
        ((1, "age", 0), (2, "age", 0)),
        ((1, "age", 0), (1, "age", 1)),
        ((1, "age", 0), (1, "age", 4)),
    ],
    ids=["purpose", "seed", "draw", "block"],
)
def test_streams_of_another_name_are_uncorrelated(
    one: tuple[int, str, int], two: tuple[int, str, int]
) -> None:
    patients = np.arange(40_000)
    a, b = (streams.normal(seed, name, patients, 5)[:, i] for seed, name, i in (one, two))
    # Standard error of a correlation of zero is 1/sqrt(n); five of them.
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(len(patients))


def test_neighbouring_patients_are_uncorrelated() -> None:
    x = streams.normal(1, "age", np.arange(40_001))[:, 0]
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 5 / np.sqrt(40_000)


def test_nothing_asked_gives_nothing() -> None:
    assert streams.uniform(1, "age", []).shape == (0, 1)
    assert streams.uniform(1, "age", [1, 2], 0).shape == (2, 0)


def test_patients_must_be_whole_numbers_that_are_not_negative() -> None:
    with pytest.raises(RangeError, match="-3"):
        streams.uniform(1, "age", [2, -3])
    with pytest.raises(ShapeError, match="whole numbers"):
        streams.uniform(1, "age", [1.5])
    with pytest.raises(RangeError, match="seed"):
        streams.uniform(-1, "age", [1])

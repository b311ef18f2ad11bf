"""Sobol points: the same patient in any company, and more even than chance."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base import streams
from immunostat.base.errors import InputError, RangeError
from immunostat.population.patients import CovariateSpec, Distribution, PopulationSpec
from immunostat.population.sample import correlated, covariate_purposes, sample_covariates
from immunostat.population.sampling import (
    DIMENSIONS,
    RandomSampler,
    SobolSampler,
    sampler_of,
)

PURPOSES = tuple("abcd")


def test_a_patient_is_the_same_in_any_chunk_order_and_company() -> None:
    sampler = SobolSampler(7, PURPOSES)
    whole = sampler.points(np.arange(700))
    chunks = [SobolSampler(7, PURPOSES).points(np.arange(i, i + 100)) for i in range(0, 700, 100)]
    np.testing.assert_array_equal(whole, np.concatenate(chunks))
    scattered = np.array([650, 3, 3, 99, 4])
    np.testing.assert_array_equal(sampler.points(scattered), whole[scattered])


def test_a_purpose_that_is_added_last_changes_none_before_it() -> None:
    few, many = SobolSampler(7, PURPOSES[:2]), SobolSampler(7, PURPOSES)
    numbers = np.arange(50)
    for purpose in PURPOSES[:2]:
        np.testing.assert_array_equal(few.normal(purpose, numbers), many.normal(purpose, numbers))


def test_another_seed_gives_another_scrambling() -> None:
    numbers = np.arange(64)
    first, other = SobolSampler(1, PURPOSES), SobolSampler(2, PURPOSES)
    assert not np.array_equal(first.points(numbers), other.points(numbers))


def test_every_interval_of_equal_length_holds_one_of_as_many_points() -> None:
    points = SobolSampler(3, PURPOSES).points(np.arange(256))
    cells = np.sort(np.floor(points * 256).astype(int), axis=0)
    np.testing.assert_array_equal(cells, np.tile(np.arange(256)[:, None], 4))


def test_other_purposes_have_counter_based_random_numbers() -> None:
    numbers = np.arange(9)
    np.testing.assert_array_equal(
        SobolSampler(5, PURPOSES).normal("visit error", numbers),
        streams.normal(5, "visit error", numbers)[:, 0],
    )


def test_means_of_covariates_are_found_with_less_error_than_by_chance() -> None:
    population = PopulationSpec(
        (
            CovariateSpec("age", Distribution.NORMAL, 53, 13, low=18, high=85),
            CovariateSpec("crp", Distribution.LOGNORMAL, 16, 20),
            CovariateSpec("female", Distribution.BERNOULLI, probability=0.8),
        )
    )
    numbers, wanted = np.arange(1024), np.array([53.0, 16.0, 0.8])
    spread = np.array([13.0, 20.0, 0.4])
    errors = {}
    for kind in ("random", "sobol"):
        means = np.array(
            [
                sample_covariates(
                    population,
                    seed,
                    numbers,
                    sampler_of(kind, seed, covariate_purposes(population)),
                ).mean()
                for seed in range(10)
            ]
        )
        errors[kind] = np.sqrt((((means - wanted) / spread) ** 2).mean())
    # Random sampling has 1/sqrt(1024) = 0.031 of a standard deviation by theory.
    assert errors["random"] == pytest.approx(0.031, rel=0.5)
    assert errors["sobol"] < errors["random"] / 5


def test_random_sampling_is_what_it_was_without_a_sampler() -> None:
    population = PopulationSpec((CovariateSpec("age", Distribution.NORMAL, 53, 13),))
    numbers = np.arange(20)
    with_one = sample_covariates(population, 4, numbers, RandomSampler(4))
    np.testing.assert_array_equal(with_one, sample_covariates(population, 4, numbers))


def test_correlations_are_recovered_and_earlier_columns_untouched() -> None:
    scores = np.column_stack([streams.normal(2, p, np.arange(20_000))[:, 0] for p in "xyz"])
    found = correlated(scores, ["x", "y", "z"], [(("x", "z"), -0.6), (("y", "z"), 0.3)])
    matrix = np.corrcoef(found, rowvar=False)
    wanted = np.array([[1, 0, -0.6], [0, 1, 0.3], [-0.6, 0.3, 1]])
    np.testing.assert_allclose(matrix, wanted, atol=3 / np.sqrt(20_000))  # three standard errors
    np.testing.assert_array_equal(found[:, :2], scores[:, :2])


def test_impossible_asks_are_refused() -> None:
    with pytest.raises(InputError, match="random sampling"):
        SobolSampler(1, [str(i) for i in range(DIMENSIONS + 1)])
    with pytest.raises(InputError, match="allowed: random, sobol"):
        sampler_of("halton", 1, ())
    with pytest.raises(RangeError, match="points 0 to"):
        SobolSampler(1, PURPOSES).points(np.array([-1]))

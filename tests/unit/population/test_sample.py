"""Drawn patients have the moments, limits and correlations that their population states."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from immunostat.base.errors import RangeError, ShapeError
from immunostat.population.patients import (
    Correlation,
    CovariateSpec,
    Distribution,
    Moments,
    MomentsOf,
    PopulationSpec,
)
from immunostat.population.sample import (
    covariate_effect,
    lognormal_of_moments,
    sample_covariates,
    sample_parameters,
    truncated_moments,
)

PATIENTS = np.arange(40_000)
TABLE = PopulationSpec(
    (
        CovariateSpec("age", Distribution.NORMAL, 53, 12, low=18, high=85),
        CovariateSpec("female", Distribution.BERNOULLI, probability=0.8),
        CovariateSpec(
            "weight",
            Distribution.LOGNORMAL,
            low=35,
            high=160,
            by="female",
            groups=(Moments(82, 15), Moments(71, 16)),
        ),
        CovariateSpec("height", Distribution.NORMAL, 165, 9, low=130, high=210),
        CovariateSpec("crp", Distribution.LOGNORMAL, 26, 26, low=10, high=300),
        CovariateSpec("swollen", Distribution.NORMAL, 19.5, 11.3, low=6, high=66),
        CovariateSpec("body_surface_area", Distribution.DERIVED),
        CovariateSpec("duration", Distribution.UNIFORM, low=1, high=3),
        CovariateSpec("dose", Distribution.CONSTANT, 15),
    ),
    (Correlation(("age", "height"), -0.4), Correlation(("weight", "height"), 0.5)),
)


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    return sample_covariates(TABLE, 1, PATIENTS)


@pytest.mark.parametrize(
    ("name", "mean", "sd"),
    [("age", 53, 12), ("height", 165, 9), ("crp", 26, 26), ("swollen", 19.5, 11.3)],
)
def test_mean_and_spread_within_the_limits_are_those_of_the_table(
    drawn: pd.DataFrame, name: str, mean: float, sd: float
) -> None:
    # Five standard errors of the mean; of the spread 3 %, as kurtosis makes it less sure.
    assert drawn[name].mean() == pytest.approx(mean, abs=5 * sd / np.sqrt(len(PATIENTS)))
    assert drawn[name].std() == pytest.approx(sd, rel=0.03)


def test_limits_hold(drawn: pd.DataFrame) -> None:
    for covariate in TABLE.covariates:
        if covariate.name in drawn and np.isfinite(covariate.high):
            assert drawn[covariate.name].between(covariate.low, covariate.high).all()


def test_each_group_has_its_own_moments(drawn: pd.DataFrame) -> None:
    assert drawn["female"].mean() == pytest.approx(0.8, abs=5 * 0.4 / np.sqrt(len(PATIENTS)))
    by_sex = drawn.groupby("female")["weight"]
    # Five standard errors of the smaller group (8000 men, sd 15).
    assert by_sex.mean()[0.0] == pytest.approx(82, abs=0.9)
    assert by_sex.mean()[1.0] == pytest.approx(71, abs=0.5)


def test_correlations_are_those_of_the_normal_scores(drawn: pd.DataFrame) -> None:
    # Barely truncated normals: the ordinary correlation. Five standard errors.
    assert drawn["age"].corr(drawn["height"]) == pytest.approx(-0.4, abs=0.025)
    men = drawn[drawn["female"] == 0]
    found = stats.spearmanr(men["weight"], men["height"]).statistic
    # Rank correlation of a Gaussian copula: 6/pi asin(r/2).
    assert found == pytest.approx(6 / np.pi * np.arcsin(0.25), abs=0.05)
    assert drawn["crp"].corr(drawn["age"]) == pytest.approx(0, abs=0.025)


def test_derived_and_constant_covariates_follow(drawn: pd.DataFrame) -> None:
    expected = np.sqrt(drawn["weight"] * drawn["height"] / 3600)
    np.testing.assert_array_equal(drawn["body_surface_area"], expected)
    assert (drawn["dose"] == 15).all()
    assert tuple(drawn.columns) == TABLE.names


def test_a_patient_does_not_depend_on_the_others(drawn: pd.DataFrame) -> None:
    some = sample_covariates(TABLE, 1, np.array([77, 5, 20_000]))
    # Matrix products of another size may round differently in the last place.
    pd.testing.assert_frame_equal(some, drawn.loc[[77, 5, 20_000]], rtol=1e-12)


def test_a_covariate_that_is_added_last_changes_no_earlier_one() -> None:
    few = PopulationSpec(TABLE.covariates[:2])
    more = PopulationSpec(TABLE.covariates[:5])
    a, b = (sample_covariates(spec, 1, PATIENTS[:50]) for spec in (few, more))
    pd.testing.assert_frame_equal(a, b[list(few.names)])


def test_moments_before_truncation_can_be_meant_instead() -> None:
    spec = CovariateSpec("x", Distribution.NORMAL, 0, 1, low=0, high=9, moments_of=MomentsOf.PARENT)
    found = sample_covariates(PopulationSpec((spec,)), 1, PATIENTS)["x"]
    # Half-normal: mean sqrt(2/pi).
    assert found.mean() == pytest.approx(np.sqrt(2 / np.pi), abs=5 * 0.6 / np.sqrt(len(PATIENTS)))


def test_moments_that_no_distribution_has_within_its_limits_are_refused() -> None:
    spec = CovariateSpec("swollen", Distribution.NORMAL, 12, 20, low=6, high=66)
    with pytest.raises(RangeError, match=r"'swollen'.*moments_of: parent"):
        sample_covariates(PopulationSpec((spec,)), 1, PATIENTS[:3])


def test_limits_far_in_the_upper_tail_keep_their_digits() -> None:
    spec = CovariateSpec(
        "x", Distribution.NORMAL, 9, 1, low=8.9, high=20, moments_of=MomentsOf.PARENT
    )
    shifted = CovariateSpec(
        "x", Distribution.NORMAL, 10, 0.5, low=10, high=30, moments_of=MomentsOf.PARENT
    )
    for own in (spec, shifted):
        x = sample_covariates(PopulationSpec((own,)), 1, PATIENTS)["x"]
        exact = stats.truncnorm(
            (own.low - own.mean) / own.sd, (own.high - own.mean) / own.sd, own.mean, own.sd
        )
        assert stats.kstest(x, exact.cdf).pvalue > 1e-4


@given(mean=st.floats(0.1, 100), variation=st.floats(0.05, 2.0))
def test_lognormal_moments_return(mean: float, variation: float) -> None:
    mu, sigma = lognormal_of_moments(mean, variation * mean)
    exact = stats.lognorm(sigma, scale=np.exp(mu))
    assert exact.mean() == pytest.approx(mean, rel=1e-9)
    assert exact.std() == pytest.approx(variation * mean, rel=1e-9)


@pytest.mark.parametrize("is_log", [False, True])
def test_truncated_moments_equal_numerical_integration(is_log: bool) -> None:
    mu, sigma, low, high = (0.5, 0.8, 0.6, 4.0)
    edges = np.log([low, high]) if is_log else np.array([low, high])
    inner = stats.truncnorm(*((edges - mu) / sigma), mu, sigma)
    change = np.exp if is_log else (lambda x: x)
    first = inner.expect(lambda x: change(x))
    second = inner.expect(lambda x: change(x) ** 2)
    found = truncated_moments(is_log, mu, sigma, low, high)
    # The integration's own tolerance.
    assert found == pytest.approx((first, np.sqrt(second - first**2)), rel=1e-7)


def test_parameters_are_lognormal_with_the_covariance_given() -> None:
    covariance = np.array([[0.12, -0.03, 0], [-0.03, 0.08, 0], [0, 0, 0]])
    names = ("clearance", "volume", "rate")
    found = sample_parameters(names, [0.3, 3.0, 0.7], covariance, 1, "pk:x", PATIENTS)
    logs = np.log(found)
    assert found.shape == (len(PATIENTS), 3)
    # Five standard errors of a covariance near 0.1 with 40000 patients is about 0.004.
    np.testing.assert_allclose(np.cov(logs.T), covariance, atol=0.005)
    np.testing.assert_allclose(np.median(found[:, :2], axis=0), [0.3, 3.0], rtol=0.02)
    np.testing.assert_array_equal(found[:, 2], 0.7)


def test_typical_values_may_differ_between_patients() -> None:
    typical = np.array([[1.0], [2.0]])
    found = sample_parameters(("a",), typical, [[0.0]], 1, "x", [4, 9])
    np.testing.assert_array_equal(found, typical)


def test_a_parameter_that_is_added_last_changes_no_earlier_one() -> None:
    few = sample_parameters(("a", "b"), [1, 1], np.diag([0.1, 0.2]), 1, "x", PATIENTS[:9])
    more = sample_parameters(("a", "b", "c"), [1] * 3, np.diag([0.1, 0.2, 0.3]), 1, "x", [0, 1, 2])
    np.testing.assert_allclose(more[:, :2], few[:3], rtol=1e-14)


def test_parameters_that_cannot_be_drawn_are_named() -> None:
    with pytest.raises(RangeError, match="'b'"):
        sample_parameters(("a", "b"), [1, 0], np.eye(2), 1, "x", [1])
    with pytest.raises(ShapeError, match="typical"):
        sample_parameters(("a", "b"), [1.0], np.eye(2), 1, "x", [1])


def test_covariate_effects_are_one_at_the_reference() -> None:
    assert covariate_effect("power", [70.0], 0.75, reference=70)[0] == 1
    assert covariate_effect("exponential", [55.0], 0.2, reference=55, per=10)[0] == 1
    assert covariate_effect("linear", [1.76], 0.7, reference=1.76)[0] == 1
    assert covariate_effect("proportional", [0.0], -0.16)[0] == 1
    assert covariate_effect("factor", [0.0], 1.786)[0] == 1


def test_covariate_effects_by_hand() -> None:
    assert covariate_effect("power", [35.0], 2, reference=70)[0] == 0.25
    assert covariate_effect("exponential", [65.0], 0.2, 55, 10)[0] == pytest.approx(np.exp(0.2))
    assert covariate_effect("linear", [2.0], 0.5, 1.0)[0] == 1.5
    assert covariate_effect("proportional", [1.0], -0.16)[0] == pytest.approx(0.84)
    assert covariate_effect("factor", [1.0], 1.786)[0] == 1.786


def test_effects_that_make_no_sense_are_refused() -> None:
    with pytest.raises(RangeError, match="positive covariate"):
        covariate_effect("power", [0.0], 1, reference=1)
    with pytest.raises(RangeError, match="negative"):
        covariate_effect("linear", [5.0], -1, 1)
    with pytest.raises(RangeError, match="factor"):
        covariate_effect("factor", [1.0], 0)

"""MMRM equals ANCOVA for complete data, the likelihood written out, and the truth after losses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from immunostat.base.errors import InputError
from immunostat.outcomes.adjusted import ancova
from immunostat.outcomes.comparisons import mean_difference
from immunostat.outcomes.repeated import repeated_measures

SPREAD = np.array([[4.0, 2.0, 1.0], [2.0, 5.0, 3.0], [1.0, 3.0, 6.0]])


def trial(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Complete data of two arms: values, arm, baseline."""
    rng = np.random.default_rng(seed)
    arm, baseline = np.arange(n) % 2, rng.normal(50, 8, n)
    noise = rng.multivariate_normal(np.zeros(3), SPREAD, n)
    return noise + arm[:, None] * np.array([0.5, 1, 2]) - 0.2 * baseline[:, None], arm, baseline


def test_complete_data_give_the_ancova_of_each_visit() -> None:
    values, arm, baseline = trial(60, 1)
    found = repeated_measures(values, arm, baseline)
    assert found.has_converged
    for visit in range(3):
        plain = ancova(values[:, visit], arm, baseline)
        own = found.differences[visit]
        # the two are the same mathematics; the search for the covariance ends at 1e-8
        assert own.estimate.estimate == pytest.approx(plain.estimate.estimate, abs=1e-9)
        assert own.estimate.low == pytest.approx(plain.estimate.low, abs=1e-5)
        assert own.p == pytest.approx(plain.p, rel=1e-4)
    np.testing.assert_allclose(found.degrees_of_freedom, 60 - 3, rtol=1e-5)


def test_complete_data_without_covariates_give_the_pooled_t_test() -> None:
    values, arm, _ = trial(41, 2)
    found = repeated_measures(values, arm)
    for visit in range(3):
        test = stats.ttest_ind(values[arm == 1, visit], values[arm == 0, visit])
        own = found.differences[visit]
        assert own.p == pytest.approx(test.pvalue, rel=1e-4)
        assert own.estimate.high == pytest.approx(test.confidence_interval().high, abs=1e-5)


def dense_deviance(theta: np.ndarray, y: np.ndarray, arm: np.ndarray) -> float:
    """Minus twice the restricted log-likelihood of two visits, patient by patient."""
    factor = np.array([[np.exp(theta[0]), 0], [theta[1], np.exp(theta[2])]])
    sigma = factor @ factor.T
    a, b, total, quadratic, rows = np.zeros((4, 4)), np.zeros(4), 0.0, 0.0, []
    for row, one in zip(y, arm, strict=True):
        seen = np.flatnonzero(~np.isnan(row))
        x = np.kron(np.eye(2), np.array([[1.0, one]]))[seen]
        v = sigma[np.ix_(seen, seen)]
        a += x.T @ np.linalg.solve(v, x)
        b += x.T @ np.linalg.solve(v, row[seen])
        total += np.linalg.slogdet(v)[1]
        rows.append((x, v, row[seen]))
    beta = np.linalg.solve(a, b)
    for x, v, own in rows:
        quadratic += (own - x @ beta) @ np.linalg.solve(v, own - x @ beta)
    return float(total + np.linalg.slogdet(a)[1] + quadratic)


def test_incomplete_data_maximize_the_restricted_likelihood_written_out() -> None:
    values, arm, _ = trial(30, 3)
    values = values[:, :2]
    values[:9, 1], values[12:15, 0] = np.nan, np.nan
    direct = minimize(
        dense_deviance,
        [0.5, 0.5, 0.5],
        (values, arm),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 2000},
    )
    factor = np.array([[np.exp(direct.x[0]), 0], [direct.x[1], np.exp(direct.x[2])]])
    found = repeated_measures(values, arm)
    # two searches that stop at a change of 1e-9 in the likelihood differ by about its root
    np.testing.assert_allclose(found.covariance, factor @ factor.T, rtol=1e-4)


def test_a_patient_seen_at_one_visit_only_says_nothing_about_uncorrelated_visits() -> None:
    rng = np.random.default_rng(5)
    values, arm = rng.normal(size=(4000, 2)), np.arange(4000) % 2
    values[::3, 1] = np.nan
    found = repeated_measures(values, arm).differences[1].estimate
    plain = mean_difference(values[arm == 1, 1], values[arm == 0, 1])
    # the sample correlation is of size 1/sqrt(n), and moves the estimate by that part of an error
    assert found.estimate == pytest.approx(plain.estimate, abs=0.2 * (plain.high - plain.low))


def test_dropout_by_what_was_seen_biases_observed_cases_and_not_the_model() -> None:
    n = 20_000
    rng = np.random.default_rng(6)
    arm = np.arange(n) % 2
    noise = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], n)
    values = noise + arm[:, None] * np.array([1.0, 1.0])  # truth: a difference of 1
    values[(values[:, 0] < 0.3), 1] = np.nan  # those who do badly leave
    found = repeated_measures(values, arm).differences[1].estimate
    seen = mean_difference(values[arm == 1, 1], values[arm == 0, 1])
    assert found.low < 1.0 < found.high
    assert seen.high < 0.8  # far from the truth


def test_too_little_data_are_refused_in_words() -> None:
    values, arm, _ = trial(20, 1)
    values[arm == 1, 2] = np.nan
    with pytest.raises(InputError, match="visit 3 of those compared has too few values"):
        repeated_measures(values, arm)
    with pytest.raises(InputError, match="at most 12"):
        repeated_measures(np.zeros((30, 13)), np.arange(30) % 2)

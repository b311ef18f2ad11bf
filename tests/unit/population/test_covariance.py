"""Covariance matrices: what is repaired, what is refused, and the factor of a singular one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immunostat.base.errors import RangeError, ShapeError
from immunostat.population.covariance import repair_covariance, semidefinite_cholesky

# As a table might round it: not positive semidefinite by a little (see the first assertion below).
ROUNDED = np.array([[1.0, 0.9, 0.7], [0.9, 1.0, 0.95], [0.7, 0.95, 1.0]])


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6))
def test_the_factor_multiplies_back_also_when_singular(seed: int, n: int, rank: int) -> None:
    half = np.random.default_rng(seed).normal(size=(n, rank))
    matrix = half @ half.T
    factor = semidefinite_cholesky(matrix)
    assert np.all(np.triu(factor, 1) == 0)
    # A pivot that is dropped as rounding may be 1e-12 of its diagonal, so its root is 1e-6.
    np.testing.assert_allclose(factor @ factor.T, matrix, atol=2e-6 * np.trace(matrix))


def test_a_proper_covariance_is_left_alone() -> None:
    matrix = np.array([[0.1, -0.0139], [-0.0139, 0.08]])
    found = repair_covariance(["clearance", "volume"], matrix)
    assert not found.is_repaired
    np.testing.assert_array_equal(found.covariance, matrix)
    np.testing.assert_allclose(
        semidefinite_cholesky(matrix), np.linalg.cholesky(matrix), rtol=1e-14
    )


def test_rounding_is_repaired_and_reported_and_variances_stay() -> None:
    scale = np.array([0.3, 0.5, 0.2])
    matrix = ROUNDED * np.outer(scale, scale)
    assert np.linalg.eigvalsh(ROUNDED)[0] < 0
    found = repair_covariance(["a", "b", "c"], matrix)
    assert found.is_repaired
    assert -0.02 < found.smallest_eigenvalue < 0
    assert 0 < found.largest_change < 0.02
    np.testing.assert_allclose(np.diag(found.covariance), scale**2, rtol=1e-12)
    # Rounding of the eigenvalues of a matrix of size one.
    assert np.linalg.eigvalsh(found.covariance / np.outer(scale, scale))[0] > -1e-12


def test_more_than_rounding_is_refused_with_the_eigenvalue() -> None:
    matrix = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    with pytest.raises(RangeError, match=r"not positive semidefinite.*eigenvalue of -0\.8"):
        repair_covariance(["a", "b", "c"], matrix)


def test_parameters_without_spread_are_allowed_but_cannot_covary() -> None:
    assert not repair_covariance(["a", "b"], [[0.0, 0.0], [0.0, 0.1]]).is_repaired
    assert not repair_covariance([], np.zeros((0, 0))).is_repaired
    with pytest.raises(RangeError, match="'a' has no variance"):
        repair_covariance(["a", "b"], [[0.0, 0.01], [0.01, 0.1]])


def test_what_is_no_covariance_is_refused() -> None:
    with pytest.raises(RangeError, match="negative"):
        repair_covariance(["a"], [[-1.0]])
    with pytest.raises(RangeError, match="symmetric"):
        repair_covariance(["a", "b"], [[1.0, 0.2], [0.1, 1.0]])
    with pytest.raises(ShapeError):
        repair_covariance(["a"], np.eye(2))

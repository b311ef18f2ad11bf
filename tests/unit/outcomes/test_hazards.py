"""Hazards: drivers by hand, the cumulative hazard, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immunostat.base.errors import InputError, RangeError, ShapeError, UnknownNameError
from immunostat.outcomes.hazards import (
    DAYS_PER_YEAR,
    CovariateDriver,
    DriverForm,
    Hazard,
    StateDriver,
    cumulative_hazard,
    cumulative_incidence,
    hazard_rate,
)

SHAPE = (2, 3)
ONES = np.ones(SHAPE)
BASE = 4.0 / 100 / DAYS_PER_YEAR


def factor(
    driver: CovariateDriver | StateDriver, x: object, untreated: object = ONES
) -> np.ndarray:
    """Factor that one driver puts on a background of 4 per 100 patient-years."""
    if isinstance(driver, CovariateDriver):
        found = hazard_rate(Hazard("e", 4.0, (driver,)), {"c": x}, {}, {}, SHAPE)  # type: ignore[dict-item]
    else:
        found = hazard_rate(Hazard("e", 4.0, (), (driver,)), {}, {"s": x}, {"s": untreated}, SHAPE)  # type: ignore[dict-item]
    return found / BASE


def test_the_reference_patient_has_the_background_rate() -> None:
    covariates = (CovariateDriver("age", DriverForm.EXPONENTIAL, 1.3, 55, 10),)
    states = (StateDriver("tnf", DriverForm.LOSS, 1.2),)
    found = hazard_rate(
        Hazard("e", 4.0, covariates, states), {"age": [55, 55]}, {"tnf": ONES}, {"tnf": ONES}, SHAPE
    )
    np.testing.assert_allclose(found.sum(axis=1) / 3 * DAYS_PER_YEAR * 100, 4.0, rtol=1e-14)


@pytest.mark.parametrize(
    ("driver", "x", "expected"),
    [
        (CovariateDriver("c", DriverForm.FACTOR, 1.8), [0, 1], [1, 1.8]),
        (CovariateDriver("c", DriverForm.EXPONENTIAL, 1.3, 55, 10), [55, 75], [1, 1.69]),
        (CovariateDriver("c", DriverForm.POWER, 2, 3), [3, 6], [1, 4]),
        (CovariateDriver("c", DriverForm.PROPORTIONAL, 0.5), [0, 1], [1, 1.5]),
    ],
)
def test_covariate_drivers_by_hand(
    driver: CovariateDriver, x: list[float], expected: list[float]
) -> None:
    np.testing.assert_allclose(factor(driver, x), np.tile(expected, (3, 1)).T, rtol=1e-14)


@pytest.mark.parametrize(
    ("driver", "ratio", "expected"),
    [
        (StateDriver("s", DriverForm.LOSS, 1.2), 0.25, 1.9),
        (StateDriver("s", DriverForm.LOSS, 1.2), 0.0, 2.2),
        (StateDriver("s", DriverForm.LOSS, 1.2), 3.0, 1.0),
        (StateDriver("s", DriverForm.POWER, -1), 0.5, 2.0),
        (StateDriver("s", DriverForm.EXPONENTIAL, 1.5, 0.5), 2.0, 1.5**2),
    ],
)
def test_state_drivers_by_hand(driver: StateDriver, ratio: float, expected: float) -> None:
    np.testing.assert_allclose(factor(driver, ratio * ONES), expected, rtol=1e-14)


def test_a_state_that_is_zero_for_a_moment_gives_no_infinite_hazard() -> None:
    assert np.isfinite(factor(StateDriver("s", DriverForm.POWER, -2), 0 * ONES)).all()


def test_a_state_absent_untreated_has_no_effect() -> None:
    for form in (DriverForm.LOSS, DriverForm.POWER):
        np.testing.assert_array_equal(factor(StateDriver("s", form, 2), ONES, 0 * ONES), 1)


def test_a_failed_patient_has_no_hazard_rather_than_a_wrong_one() -> None:
    x = ONES.copy()
    x[1, 2] = np.nan
    for form in (DriverForm.LOSS, DriverForm.POWER, DriverForm.EXPONENTIAL):
        found = factor(StateDriver("s", form, 2), x)
        assert np.isnan(found[1, 2])
        assert np.isfinite(found[0]).all()


def test_drivers_multiply() -> None:
    a, b = CovariateDriver("c", DriverForm.FACTOR, 2.0), StateDriver("s", DriverForm.LOSS, 1.0)
    both = hazard_rate(
        Hazard("e", 4.0, (a,), (b,)), {"c": [1, 1]}, {"s": 0.5 * ONES}, {"s": ONES}, SHAPE
    )
    np.testing.assert_allclose(both / BASE, 3.0, rtol=1e-14)


def test_cumulative_hazard_is_exact_for_a_linear_hazard() -> None:
    times = np.array([0.0, 1.0, 4.0, 10.0])
    found = cumulative_hazard(np.atleast_2d(0.1 + 0.02 * times), times)
    np.testing.assert_allclose(found[0], 0.1 * times + 0.01 * times**2, rtol=1e-14)


@given(st.lists(st.floats(0, 5), min_size=2, max_size=12))
def test_incidence_stays_between_zero_and_one_and_never_falls(values: list[float]) -> None:
    found = cumulative_incidence(np.array([values]), np.arange(len(values), dtype=float))
    assert found[0, 0] == 0
    assert np.all(np.diff(found[0]) >= 0)
    assert found.max() <= 1


def test_impossible_input_is_named() -> None:
    with pytest.raises(RangeError, match=r"row 1 at day 2"):
        cumulative_hazard(np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([0.0, 2.0]))
    with pytest.raises(RangeError, match="increase"):
        cumulative_hazard(np.ones((1, 2)), np.array([1.0, 1.0]))
    with pytest.raises(ShapeError):
        cumulative_hazard(np.ones((1, 3)), np.array([0.0, 1.0]))
    with pytest.raises(UnknownNameError, match="covariate 'c'"):
        hazard_rate(
            Hazard("e", 1.0, (CovariateDriver("c", DriverForm.FACTOR, 2),)), {}, {}, {}, SHAPE
        )
    with pytest.raises(UnknownNameError, match="state 's'"):
        hazard_rate(
            Hazard("e", 1.0, (), (StateDriver("s", DriverForm.LOSS, 2),)), {}, {}, {}, SHAPE
        )
    with pytest.raises(InputError, match="cannot have form 'loss'"):
        CovariateDriver("c", DriverForm.LOSS, 1)
    with pytest.raises(InputError, match="hazard ratio must be positive"):
        StateDriver("s", DriverForm.EXPONENTIAL, -1)
    with pytest.raises(RangeError, match="negative"):
        Hazard("e", -1.0)
    with pytest.raises(RangeError, match="driver 'c'"):
        factor(CovariateDriver("c", DriverForm.PROPORTIONAL, -2), [1, 1])

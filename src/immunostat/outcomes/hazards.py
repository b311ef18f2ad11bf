"""Side effects in time: from covariates and states to a hazard and its integral."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import (
    InputError,
    RangeError,
    ShapeError,
    UnknownNameError,
    near_matches,
)
from immunostat.model.system import FloatArray

DAYS_PER_YEAR = 365.25

#: Least ratio of a state to its untreated value in a power; keeps a state that is zero for a
#: moment from an infinite hazard.
SMALLEST_RATIO = 1e-3


class DriverForm(StrEnum):
    """How a covariate or state multiplies a hazard."""

    FACTOR = "factor"  #: effect ** indicator: hazard ratio of those who have it (covariate)
    EXPONENTIAL = "exponential"  #: effect ** ((x - reference) / per): hazard ratio per step
    POWER = "power"  #: (x / reference) ** effect
    PROPORTIONAL = "proportional"  #: 1 + effect * indicator (covariate)
    LOSS = "loss"  #: 1 + effect * (1 - min(1, x / reference)): loss of a host defence (state)


_COVARIATE_FORMS = frozenset(set(DriverForm) - {DriverForm.LOSS})
_STATE_FORMS = frozenset({DriverForm.LOSS, DriverForm.POWER, DriverForm.EXPONENTIAL})


@dataclass(frozen=True)
class CovariateDriver:
    """Effect of a covariate on a hazard.

    Parameters
    ----------
    covariate
        Name of the covariate.
    form
        Any of `DriverForm` but ``loss``. In ``exponential`` the effect is the hazard ratio per
        step, not its logarithm.
    effect
        Hazard ratio (factor, exponential), exponent (power) or relative change (proportional).
    reference
        Value of the covariate in the patient of the background rate.
    per
        Step to which an exponential effect belongs, in the unit of the covariate.
    """

    covariate: str
    form: DriverForm
    effect: float
    reference: float = 0.0
    per: float = 1.0

    def __post_init__(self) -> None:
        _check_driver(self, f"driver '{self.covariate}'", _COVARIATE_FORMS)
        if self.form is DriverForm.POWER and self.reference <= 0:
            raise InputError(f"driver '{self.covariate}': a power needs a positive reference")


@dataclass(frozen=True)
class StateDriver:
    """Effect of a state on a hazard, relative to the same patient's untreated course.

    Parameters
    ----------
    state
        Name of the state or output.
    form
        ``loss``, ``power`` or ``exponential``.
    effect
        Relative increase at complete loss (loss), exponent (power), hazard ratio per step
        (exponential).
    per
        Step to which an exponential effect belongs, in the unit of the state.
    reference
        Value of the state in the patient of the background rate, for a state that is a clinical
        measure in its own unit; None takes the same patient's untreated course.
    """

    state: str
    form: DriverForm
    effect: float
    per: float = 1.0
    reference: float | None = None

    def __post_init__(self) -> None:
        _check_driver(self, f"driver '{self.state}'", _STATE_FORMS)


@dataclass(frozen=True)
class Hazard:
    """Hazard of one side effect.

    Parameters
    ----------
    name
        Name of the event; also names its random numbers.
    background
        Rate in the reference patient without treatment, events per 100 patient-years.
    covariates, states
        Drivers; their factors multiply.
    """

    name: str
    background: float
    covariates: tuple[CovariateDriver, ...] = ()
    states: tuple[StateDriver, ...] = ()

    def __post_init__(self) -> None:
        if not self.background >= 0:
            raise RangeError(f"event '{self.name}': background rate {self.background} is negative")


def hazard_rate(
    hazard: Hazard,
    covariates: Mapping[str, npt.ArrayLike],
    states: Mapping[str, FloatArray],
    untreated: Mapping[str, FloatArray],
    shape: tuple[int, int],
) -> FloatArray:
    """Hazard of a side effect in time.

    Parameters
    ----------
    hazard
        Background rate and drivers.
    covariates
        Covariates by name (a data frame serves). Each of shape (patient,).
    states, untreated
        States by name under treatment and in the same patient's untreated course, at the same
        times; NaN after a failed integration. Each of shape (patient, time).
    shape
        Numbers of patients and times.

    Returns
    -------
    Hazard, NaN where a state is missing. Shape (patient, time), 1/day.

    Raises
    ------
    UnknownNameError
        A driver's covariate or state is not given.
    RangeError
        A hazard is negative or infinite; the message names the event and the driver.

    Source
    ------
    Proportional hazards with time-dependent covariates: Cox DR, J R Stat Soc B 1972;34:187-220.
    A driver whose untreated value is zero or less has no effect in ``loss`` and ``power``.
    """
    rate = np.full(shape, hazard.background / 100.0 / DAYS_PER_YEAR)
    for driver in hazard.covariates:
        if driver.covariate not in covariates:
            raise UnknownNameError(
                f"event '{hazard.name}' needs covariate '{driver.covariate}'",
                remedy=near_matches(driver.covariate, covariates),
            )
        values = np.asarray(covariates[driver.covariate], dtype=np.float64)
        rate = rate * _checked(_covariate_factor(driver, values), hazard, driver.covariate)[:, None]
    for state_driver in hazard.states:
        name = state_driver.state
        if name not in states or name not in untreated:
            raise UnknownNameError(
                f"event '{hazard.name}' needs state '{name}', treated and untreated",
                remedy=near_matches(name, states),
            )
        rate = rate * _checked(
            _state_factor(state_driver, states[name], untreated[name]), hazard, name
        )
    return rate


def cumulative_hazard(hazard: FloatArray, times: FloatArray) -> FloatArray:
    """Cumulative hazard, which is the expected number of events so far.

    Parameters
    ----------
    hazard
        Not negative, linear between times; NaN from where a patient failed, which adds nothing.
        Shape (patient, time), 1/day.
    times
        Strictly increasing. Shape (time,), day.

    Returns
    -------
    First column 0, never decreasing. Shape (patient, time), no unit.

    Raises
    ------
    ShapeError
        The two time axes differ in length.
    RangeError
        A hazard is negative, or times do not increase; the message names the place.

    Source
    ------
    Trapezoid rule ("definition"), exact for a hazard that is linear between times.
    """
    _check_hazard(hazard, times)
    steps = 0.5 * (hazard[:, 1:] + hazard[:, :-1]) * np.diff(times)
    total = np.zeros_like(hazard)
    np.cumsum(np.nan_to_num(steps, nan=0.0), axis=1, out=total[:, 1:])
    return total


def cumulative_incidence(hazard: FloatArray, times: FloatArray) -> FloatArray:
    """Probability that an event has happened by each time; other events do not compete.

    Parameters
    ----------
    hazard, times
        See `cumulative_hazard`.

    Returns
    -------
    Probability in [0, 1], first column 0. Shape (patient, time), no unit.

    Source
    ------
    "definition": 1 - exp(-cumulative hazard).

    Examples
    --------
    >>> cumulative_incidence(np.array([[0.1, 0.1]]), np.array([0.0, 10.0])).round(3)
    array([[0.   , 0.632]])
    """
    return np.asarray(-np.expm1(-cumulative_hazard(hazard, times)))


def _covariate_factor(driver: CovariateDriver, x: FloatArray) -> FloatArray:
    """Factor of a covariate. Shape (patient,)."""
    if driver.form is DriverForm.FACTOR:
        return np.asarray(driver.effect**x)
    if driver.form is DriverForm.PROPORTIONAL:
        return 1.0 + driver.effect * x
    if driver.form is DriverForm.POWER:
        return np.asarray((x / driver.reference) ** driver.effect)
    return np.asarray(driver.effect ** ((x - driver.reference) / driver.per))


def _state_factor(driver: StateDriver, x: FloatArray, untreated: FloatArray) -> FloatArray:
    """Factor of a state relative to its reference. Shape (patient, time)."""
    if driver.reference is not None:
        untreated = np.full_like(x, driver.reference)
    if driver.form is DriverForm.EXPONENTIAL:
        return np.asarray(driver.effect ** ((x - untreated) / driver.per))
    ratio = np.divide(x, untreated, out=np.ones_like(x), where=~(untreated <= 0))
    ratio = np.where(np.isnan(x) | np.isnan(untreated), np.nan, np.maximum(ratio, 0.0))
    if driver.form is DriverForm.LOSS:
        return np.asarray(1.0 + driver.effect * (1.0 - np.minimum(ratio, 1.0)))
    return np.asarray(np.maximum(ratio, SMALLEST_RATIO) ** driver.effect)


def _check_hazard(hazard: FloatArray, times: FloatArray) -> None:
    """Refuse arrays that are no hazard on a time axis."""
    if hazard.ndim != 2 or hazard.shape[1] != len(times) or len(times) < 2:
        raise ShapeError(f"hazard of shape {hazard.shape} does not belong to {len(times)} times")
    if not np.all(np.diff(times) > 0):
        raise RangeError("times of a hazard do not increase")
    bad = np.argwhere((hazard < 0) | np.isinf(hazard))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        raise RangeError(
            f"hazard of patient in row {row} at day {times[column]:g} is {hazard[row, column]}"
        )


def _checked(factor: FloatArray, hazard: Hazard, driver: str) -> FloatArray:
    """The factor, if it can multiply a hazard."""
    if np.any((factor < 0) | np.isinf(factor)):
        raise RangeError(f"event '{hazard.name}': driver '{driver}' makes the hazard impossible")
    return factor


def _check_driver(
    driver: CovariateDriver | StateDriver, who: str, allowed: frozenset[DriverForm]
) -> None:
    """Refuse forms and effects that cannot be."""
    form = DriverForm(driver.form)
    object.__setattr__(driver, "form", form)
    if form not in allowed:
        raise InputError(f"{who} cannot have form '{form}'", remedy=near_matches(form, allowed))
    if form in (DriverForm.FACTOR, DriverForm.EXPONENTIAL) and driver.effect <= 0:
        raise InputError(f"{who}: a hazard ratio must be positive, not {driver.effect}")
    if driver.per <= 0:
        raise InputError(f"{who}: 'per' must be positive, not {driver.per}")

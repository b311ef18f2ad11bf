"""Side effects in time: from covariates, states and signals to a hazard and its integral."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import RangeError, ShapeError, UnknownNameError, near_matches
from immunostat.model.system import FloatArray
from immunostat.outcomes.drivers import (
    BackgroundTable,
    CovariateDriver,
    DriverForm,
    SignalDriver,
    StateDriver,
    known_factor,
    signal_factor,
    state_factor,
)

__all__ = [
    "DAYS_PER_YEAR",
    "BackgroundTable",
    "CovariateDriver",
    "DriverForm",
    "Hazard",
    "HazardParts",
    "SignalDriver",
    "StateDriver",
    "cumulative_hazard",
    "cumulative_incidence",
    "hazard_parts",
    "hazard_rate",
]

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Hazard:
    """Hazard of one side effect.

    Parameters
    ----------
    name
        Name of the event; also names its random numbers.
    background
        Rate in the reference patient without treatment, events per 100 patient-years.
    covariates, states, signals
        Drivers. Rates that drivers add join the background, then all factors multiply.
    table
        Background rate by age and sex, which `background` multiplies then.
    """

    name: str
    background: float
    covariates: tuple[CovariateDriver, ...] = ()
    states: tuple[StateDriver, ...] = ()
    signals: tuple[SignalDriver, ...] = ()
    table: BackgroundTable | None = None

    def __post_init__(self) -> None:
        if not self.background >= 0:
            raise RangeError(f"event '{self.name}': background rate {self.background} is negative")


@dataclass(frozen=True)
class HazardParts:
    """A hazard and what it would be without some of its drivers.

    Parameters
    ----------
    factor
        Product of all factors. Shape (patient, time), no unit.
    base
        Background and what drivers add to it, before the factors. Shape (patient, time), 1/day.
    mechanism
        Hazard by background and mechanism, without drugs' own effects. Shape as above, 1/day.
    background
        Hazard by background and covariates alone. Shape as above, 1/day.
    """

    factor: FloatArray
    base: FloatArray
    mechanism: FloatArray
    background: FloatArray

    @property
    def rate(self) -> FloatArray:
        """The hazard. Shape (patient, time), 1/day."""
        return np.asarray(self.base * self.factor)


def hazard_rate(
    hazard: Hazard,
    covariates: Mapping[str, npt.ArrayLike],
    states: Mapping[str, FloatArray],
    untreated: Mapping[str, FloatArray],
    shape: tuple[int, int],
) -> FloatArray:
    """Hazard of a side effect in time, from covariates and states; see `hazard_parts`.

    Returns
    -------
    Hazard, NaN where a state is missing. Shape (patient, time), 1/day.
    """
    return hazard_parts(hazard, covariates, states, untreated, shape).rate


def hazard_parts(
    hazard: Hazard,
    covariates: Mapping[str, npt.ArrayLike],
    states: Mapping[str, FloatArray],
    untreated: Mapping[str, FloatArray],
    shape: tuple[int, int],
    signals: Mapping[str, FloatArray] | None = None,
    times: FloatArray | None = None,
) -> HazardParts:
    """Hazard of a side effect in time, and what each kind of driver makes of it.

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
    signals
        Signals of drugs by name, 0 without the drug. Each of shape (patient, time) or (1, time).
    times
        Where a state's effect is late. Shape (time,), day.

    Returns
    -------
    See `HazardParts`; NaN where a state is missing.

    Raises
    ------
    UnknownNameError
        A driver's covariate, state or signal is not given.
    RangeError
        A hazard is negative or infinite; the message names the event and the driver.

    Source
    ------
    Proportional hazards with time-dependent covariates: Cox DR, J R Stat Soc B 1972;34:187-220.
    Rates that drugs add: Aalen OO, Stat Med 1989;8:907-925.
    A driver whose untreated value is zero or less has no effect in ``loss`` and ``power``.
    """
    per_day = 1.0 / 100.0 / DAYS_PER_YEAR
    by_person = np.ones(shape)
    for driver in hazard.covariates:
        own = known_factor(driver, hazard.name, covariates, shape[0])
        by_person = by_person * _checked(own, hazard, driver.covariate)[:, None]
    background = np.full(shape, hazard.background * per_day)
    if hazard.table is not None:
        background = background * hazard.table.rate(covariates, shape[0])[:, None]
    added = {True: np.zeros(shape), False: np.zeros(shape)}
    factor = {True: np.ones(shape), False: np.ones(shape)}

    def take(own: FloatArray, name: str, form: DriverForm, is_own: bool) -> None:
        own = _checked(own, hazard, name)
        if form is DriverForm.ADDED:
            added[is_own] = added[is_own] + own * per_day
        else:
            factor[is_own] = factor[is_own] * own

    for state in hazard.states:
        name = state.state
        if name not in states or name not in untreated:
            raise UnknownNameError(
                f"event '{hazard.name}' needs state '{name}', treated and untreated",
                remedy=near_matches(name, states),
            )
        found = state_factor(state, states[name], untreated[name], times)
        take(found, name, state.form, False)
    for signal in hazard.signals:
        if signals is None or signal.signal not in signals:
            raise UnknownNameError(
                f"event '{hazard.name}' needs signal '{signal.signal}'",
                remedy=near_matches(signal.signal, signals or ()),
            )
        found = signal_factor(signal, signals[signal.signal])
        take(found, signal.signal, signal.form, signal.is_own)
    mechanism = by_person * factor[False]
    return HazardParts(
        mechanism * factor[True],
        background + added[False] + added[True],
        np.asarray((background + added[False]) * mechanism),
        background * by_person,
    )


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

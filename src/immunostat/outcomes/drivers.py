"""What drives a hazard: covariates, states of the model, signals of drugs; each with its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, ShapeError, UnknownNameError, near_matches
from immunostat.model.system import FloatArray

#: Least ratio of a state to its untreated value in a power; keeps a state that is zero for a
#: moment from an infinite hazard.
SMALLEST_RATIO = 1e-3


class DriverForm(StrEnum):
    """How a covariate or state multiplies a hazard."""

    FACTOR = "factor"  #: effect ** indicator: hazard ratio of those who have it (covariate)
    EXPONENTIAL = "exponential"  #: effect ** ((x - reference) / per): hazard ratio per step
    POWER = "power"  #: (x / reference) ** effect
    PROPORTIONAL = "proportional"  #: 1 + effect * x
    LOSS = "loss"  #: 1 + effect * (1 - min(1, x / reference)): loss of a host defence (state)
    HILL = "hill"  #: 1 + effect * x^hill / (half^hill + x^hill)
    TABLE = "table"  #: a factor read from points, straight lines between their logarithms
    ADDED = "added"  #: a rate that is added to the background: effect * x (signal)


_COVARIATE_FORMS = frozenset(
    {
        DriverForm.FACTOR,
        DriverForm.EXPONENTIAL,
        DriverForm.POWER,
        DriverForm.PROPORTIONAL,
        DriverForm.TABLE,
    }
)
_STATE_FORMS = frozenset(
    {
        DriverForm.LOSS,
        DriverForm.POWER,
        DriverForm.EXPONENTIAL,
        DriverForm.HILL,
        DriverForm.TABLE,
        DriverForm.ADDED,
    }
)
_SIGNAL_FORMS = frozenset(
    {
        DriverForm.FACTOR,
        DriverForm.EXPONENTIAL,
        DriverForm.PROPORTIONAL,
        DriverForm.HILL,
        DriverForm.TABLE,
        DriverForm.ADDED,
    }
)

#: Points of a table: value of the driver and the factor there, ascending.
Points = tuple[tuple[float, float], ...]


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
    points
        For a table.
    share
        Share of people who have an indicator, for a population in which nobody was asked: every
        patient then has the mean factor. None where the covariate has to be known.
    background_share
        Share of the people behind the background rate who have the indicator. Their rate holds
        it already, so that the factor is divided by their mean factor.
    """

    covariate: str
    form: DriverForm
    effect: float
    reference: float = 0.0
    per: float = 1.0
    points: Points = ()
    share: float | None = None
    background_share: float = 0.0

    def __post_init__(self) -> None:
        _check_driver(self, f"driver '{self.covariate}'", _COVARIATE_FORMS)
        if not 0.0 <= self.background_share <= 1.0:
            raise InputError(f"driver '{self.covariate}': a share lies between 0 and 1")
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
        ``loss``, ``power``, ``exponential``, ``hill``, ``table`` or ``added``. The last three read
        the value itself; ``hill`` and ``added`` read what it is above the reference.
    effect
        Relative increase at complete loss (loss) or at most (hill), exponent (power), hazard ratio
        per step (exponential), rate per 100 patient-years and `per` (added).
    per
        Step to which an exponential or an added effect belongs, in the unit of the state.
    reference
        Value of the state in the patient of the background rate, for a state that is a clinical
        measure in its own unit; None takes the same patient's untreated course.
    half, hill
        Half-saturation and slope of a Hill form.
    points
        For a table.
    lag_day
        How much later the hazard follows, day.
    delay_day
        Mean time over which the hazard follows, rising and falling (first order), day.
    """

    state: str
    form: DriverForm
    effect: float
    per: float = 1.0
    reference: float | None = None
    half: float = 1.0
    hill: float = 1.0
    points: Points = ()
    lag_day: float = 0.0
    delay_day: float = 0.0

    def __post_init__(self) -> None:
        _check_driver(self, f"driver '{self.state}'", _STATE_FORMS)


@dataclass(frozen=True)
class SignalDriver:
    """Effect of a drug or of what it does, from a signal that is 0 without it.

    Parameters
    ----------
    signal
        Name of the signal, for example that a drug is in use; see `signals`.
    form
        ``factor``, ``exponential``, ``proportional``, ``hill``, ``table`` or ``added``.
    effect, per, half, hill, points
        See `StateDriver`; ``factor`` is effect ** x.
    is_own
        Whether this is a drug's own effect, which no mechanism of the model explains.
    """

    signal: str
    form: DriverForm
    effect: float
    per: float = 1.0
    half: float = 1.0
    hill: float = 1.0
    points: Points = ()
    is_own: bool = True

    def __post_init__(self) -> None:
        _check_driver(self, f"driver '{self.signal}'", _SIGNAL_FORMS)


@dataclass(frozen=True)
class BackgroundTable:
    """Background rate by age and sex: straight lines between logarithms, flat beyond the ends.

    Parameters
    ----------
    ages
        Ascending, year.
    men, women
        Events per 100 patient-years at these ages.
    age, female
        Of a patient of whom it is not known.
    """

    ages: tuple[float, ...]
    men: tuple[float, ...]
    women: tuple[float, ...]
    age: float = 50.0
    female: float = 0.5

    def rate(self, covariates: Mapping[str, npt.ArrayLike], n: int) -> FloatArray:
        """Events per 100 patient-years. Shape (patient,)."""
        age = np.asarray(covariates.get("age", np.full(n, self.age)), dtype=np.float64)
        female = np.asarray(covariates.get("female", np.full(n, self.female)), dtype=np.float64)
        men, women = (
            np.exp(np.interp(age, self.ages, np.log(rates))) for rates in (self.men, self.women)
        )
        return np.asarray(female * women + (1.0 - female) * men)


def known_factor(
    driver: CovariateDriver, event: str, covariates: Mapping[str, npt.ArrayLike], n: int
) -> FloatArray:
    """Factor of a covariate, or the mean factor where nobody was asked. Shape (patient,)."""
    if driver.covariate in covariates:
        values = np.asarray(covariates[driver.covariate], dtype=np.float64)
        return _covariate_factor(driver, values)
    if driver.share is None:
        raise UnknownNameError(
            f"event '{event}' needs covariate '{driver.covariate}'",
            remedy=near_matches(driver.covariate, covariates),
        )
    both = _covariate_factor(driver, np.array([0.0, 1.0]))
    return np.full(n, (1.0 - driver.share) * both[0] + driver.share * both[1])


def _covariate_factor(driver: CovariateDriver, x: FloatArray) -> FloatArray:
    """Factor of a covariate over its mean in the people of the background. Shape (patient,)."""
    factor = _own_factor(driver, x)
    if not driver.background_share:
        return factor
    without, having = _own_factor(driver, np.array([0.0, 1.0]))
    mean = (1.0 - driver.background_share) * without + driver.background_share * having
    return np.asarray(factor / mean)


def _own_factor(driver: CovariateDriver, x: FloatArray) -> FloatArray:
    """Factor of a covariate against a patient who lacks it. Shape (patient,)."""
    if driver.form is DriverForm.FACTOR:
        return np.asarray(driver.effect**x)
    if driver.form is DriverForm.PROPORTIONAL:
        return 1.0 + driver.effect * x
    if driver.form is DriverForm.POWER:
        return np.asarray((x / driver.reference) ** driver.effect)
    if driver.form is DriverForm.TABLE:
        return from_points(driver.points, x)
    return np.asarray(driver.effect ** ((x - driver.reference) / driver.per))


def state_factor(
    driver: StateDriver, x: FloatArray, untreated: FloatArray, times: FloatArray | None = None
) -> FloatArray:
    """Factor of a state relative to its reference. Shape (patient, time)."""
    if driver.lag_day or driver.delay_day:
        if times is None:
            raise ShapeError(f"driver '{driver.state}' is late and needs times")
        start = untreated[:, :1]
        x = start + late(x - start, times, driver.lag_day, driver.delay_day)
        untreated = start + late(untreated - start, times, driver.lag_day, driver.delay_day)
    if driver.reference is not None:
        untreated = np.full_like(x, driver.reference)
    if driver.form is DriverForm.EXPONENTIAL:
        return np.asarray(driver.effect ** ((x - untreated) / driver.per))
    if driver.form is DriverForm.TABLE:
        return from_points(driver.points, x)
    if driver.form in (DriverForm.HILL, DriverForm.ADDED):
        above = np.where(np.isnan(x), np.nan, np.maximum(x - untreated, 0.0))
        if driver.form is DriverForm.ADDED:
            return np.asarray(driver.effect * above / driver.per)
        return _saturating(above, driver.effect, driver.half, driver.hill)
    ratio = np.divide(x, untreated, out=np.ones_like(x), where=~(untreated <= 0))
    ratio = np.where(np.isnan(x) | np.isnan(untreated), np.nan, np.maximum(ratio, 0.0))
    if driver.form is DriverForm.LOSS:
        return np.asarray(1.0 + driver.effect * (1.0 - np.minimum(ratio, 1.0)))
    return np.asarray(np.maximum(ratio, SMALLEST_RATIO) ** driver.effect)


def signal_factor(driver: SignalDriver, x: FloatArray) -> FloatArray:
    """Factor of a signal, or the rate that it adds. Shape as `x`."""
    if driver.form is DriverForm.FACTOR:
        return np.asarray(driver.effect**x)
    if driver.form is DriverForm.EXPONENTIAL:
        return np.asarray(driver.effect ** (x / driver.per))
    if driver.form is DriverForm.TABLE:
        return from_points(driver.points, x)
    if driver.form is DriverForm.HILL:
        return _saturating(x, driver.effect, driver.half, driver.hill)
    if driver.form is DriverForm.ADDED:
        return np.asarray(driver.effect * x / driver.per)
    return np.asarray(1.0 + driver.effect * x / driver.per)


def _saturating(x: FloatArray, effect: float, half: float, hill: float) -> FloatArray:
    """1 + effect * x^hill / (half^hill + x^hill)."""
    raised = x**hill
    return np.asarray(1.0 + effect * raised / (half**hill + raised))


def from_points(points: Points, x: FloatArray) -> FloatArray:
    """Factor from points: straight lines between logarithms, flat beyond the ends.

    Points with a factor of 0 are joined by straight lines of the factor itself.

    Parameters
    ----------
    points
        Value and factor, values ascending.
    x
        Any shape; NaN stays.
    """
    at = np.array([point[0] for point in points])
    factor = np.array([point[1] for point in points])
    if np.all(factor > 0):
        return np.asarray(np.exp(np.interp(x, at, np.log(factor))))
    return np.asarray(np.interp(x, at, factor))


def late(
    x: FloatArray, times: FloatArray, lag_day: float = 0.0, delay_day: float = 0.0
) -> FloatArray:
    """A course that starts at 0, shifted and then followed at first order.

    Parameters
    ----------
    x
        Linear between times; 0 before the first. Shape (patient, time).
    times
        Strictly increasing. Shape (time,), day.
    lag_day
        Shift, day.
    delay_day
        Mean delay of what follows, day; 0 for none.

    Returns
    -------
    Shape (patient, time).

    Source
    ------
    Exact solution of y' = (x - y)/delay for x linear between times ("definition").
    """
    if lag_day:
        at = times - lag_day
        place = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
        share = np.clip((at - times[place]) / (times[place + 1] - times[place]), 0.0, 1.0)
        moved = (1.0 - share) * x[:, place] + share * x[:, place + 1]
        x = np.where(at < times[0], 0.0, moved)
    if not delay_day:
        return x
    followed = np.zeros_like(x)
    for k in range(len(times) - 1):
        step = times[k + 1] - times[k]
        slope = (x[:, k + 1] - x[:, k]) / step
        left = followed[:, k] - x[:, k] + delay_day * slope
        followed[:, k + 1] = x[:, k + 1] - delay_day * slope + left * np.exp(-step / delay_day)
    return followed


def _check_driver(
    driver: CovariateDriver | StateDriver | SignalDriver, who: str, allowed: frozenset[DriverForm]
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
    if form is DriverForm.TABLE:
        values = [point[0] for point in driver.points]
        if len(values) < 2 or any(a >= b for a, b in pairwise(values)):
            raise InputError(f"{who}: a table needs two points or more, with ascending values")
        if any(point[1] < 0 for point in driver.points):
            raise InputError(f"{who}: a factor of the table is negative")
    if form in (DriverForm.HILL, DriverForm.ADDED) and driver.effect < 0:
        raise InputError(f"{who}: the effect of form '{form}' cannot be negative")

"""An endpoint in one arm, and one comparison of two arms."""

from __future__ import annotations

import math
from dataclasses import dataclass

from immunostat.model.system import FloatArray
from immunostat.outcomes.event_times import EventTimes


@dataclass(frozen=True)
class ArmValues:
    """An endpoint in one arm.

    Parameters
    ----------
    name
        Name of the arm.
    values
        From `endpoints.evaluate`. Shape (patient, visit).
    covariates
        What to adjust for, such as `endpoints.baseline_values`; None without. Shape (patient,) or
        (patient, covariate).
    exact
        Days of events, for an endpoint that is made of events; None takes the visits.
    """

    name: str
    values: FloatArray
    covariates: FloatArray | None = None
    exact: EventTimes | None = None


@dataclass(frozen=True)
class Comparison:
    """One comparison of an arm with another.

    `measure` says what was estimated; `p` is two-sided, for no difference; `p_adjusted` is NaN
    until `with_adjusted_p`; `n` counts the patients of both arms that the estimate rests on.
    """

    endpoint: str
    arm: str
    versus: str
    time_day: float
    measure: str
    estimate: float
    low: float
    high: float
    p: float
    n: int
    unit: str
    method: str
    p_adjusted: float = math.nan

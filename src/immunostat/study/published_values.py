"""Published values and predictions of them in the same unit: shares in percent, times, rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from immunostat.base.errors import ImmunostatError
from immunostat.base.units import convert
from immunostat.catalog.cards import TrialArmCard, TrialResultCard, WhenCard
from immunostat.catalog.model_cards import SituationCard
from immunostat.outcomes import statistics
from immunostat.outcomes.endpoints import KINDS
from immunostat.outcomes.summary import FRACTIONS, SummaryRow, statistic_of
from immunostat.study.specs import endpoint_spec

#: A published median is predicted by a simulation at least this many times as long.
HORIZON = 1.6

#: Half width of a 95 % interval in standard errors.
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval, NaN where there is none."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Value:
        """The number in another unit."""
        return Value(factor * self.value, factor * self.low, factor * self.high)


def day_of(result: WhenCard) -> float:
    """Day of a published result, without the rounding of months and weeks."""
    return round(7.0 * result.week, 6)


def is_share_of(situation: SituationCard, endpoint: str) -> bool:
    """Whether an endpoint is a share of patients, which tables show in percent."""
    spec = endpoint_spec(endpoint, situation)
    return KINDS[spec.kind].is_binary or statistic_of(spec) in FRACTIONS


def is_time_of(situation: SituationCard, endpoint: str) -> bool:
    """Whether an endpoint is the median or mean time to an event."""
    return statistic_of(endpoint_spec(endpoint, situation)) in ("median time", "mean time")


def horizon_of(situation: SituationCard, arm: TrialArmCard) -> float:
    """How long an arm must be simulated for all that was printed of it, day."""
    days = [0.0]
    for result in arm.results:
        days.append(day_of(result))
        if result.endpoint in situation.endpoints and is_time_of(situation, result.endpoint):
            factor = factor_to("day", result.unit)
            days.append(HORIZON * result.value / factor if factor else 0.0)
    return max(days)


def factor_to(unit: str, wanted: str) -> float | None:
    """What a number in a unit is multiplied with to be in another; None if it cannot be.

    Examples
    --------
    >>> factor_to("day", "week"), factor_to("day", "%")
    (0.14285714285714285, None)
    """
    if unit == wanted:
        return 1.0
    try:
        return convert(1.0, unit, wanted)
    except ImmunostatError:
        return None


def predicted_value(row: SummaryRow, wanted: str, is_share: bool) -> Value | None:
    """What the model predicts, in the unit that was printed; None if units do not agree.

    A median that is not reached is predicted to be at least the time that was simulated.
    """
    own = Value(row.estimate, row.low, row.high)
    if is_share:
        return own.times(100.0) if wanted in ("%", "1") else None
    if row.statistic == "median time" and math.isnan(own.value) and row.n > 0:
        own = Value(row.time_day, row.low, math.nan)
    factor = factor_to(row.unit, wanted)
    return None if factor is None else own.times(factor)


def observed_value(
    result: TrialResultCard, n: int | None, is_share: bool
) -> tuple[float, float, float]:
    """A published value with its interval: as printed, of the count or of the spread.

    Shares are in percent. The interval of a mean is that of the printed standard deviation and
    the number of patients, as in "standard error of a mean"; it is a little too narrow where fewer
    were seen than `n`.
    """
    value = result.value if not is_share or result.unit == "%" else 100.0 * result.value
    if result.low is not None and result.high is not None:
        scale = value / result.value if result.value else 1.0
        return value, scale * result.low, scale * result.high
    if is_share and n is not None:
        own = statistics.proportion(round(value / 100.0 * n), n)
        return value, 100.0 * own.low, 100.0 * own.high
    if result.sd is not None and n is not None and result.statistic in ("", "mean"):
        half = NORMAL_95 * result.sd / math.sqrt(n)
        return value, value - half, value + half
    return value, np.nan, np.nan

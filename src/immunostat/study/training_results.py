"""Published results that a calibration follows: scale of a miss, standard error, and the miss."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from immunostat.base.errors import InputError, Place
from immunostat.catalog.calibration_cards import TrainingResultCard
from immunostat.catalog.cards import TrialCard, TrialComparisonCard, TrialResultCard
from immunostat.catalog.model_cards import SituationCard
from immunostat.outcomes.endpoints import KINDS
from immunostat.outcomes.event_times import EventTimes
from immunostat.outcomes.expected_events import ExpectedEvents
from immunostat.outcomes.summary import SummaryRow, statistic_of
from immunostat.study.published_arms import ArmPrediction
from immunostat.study.published_comparisons import (
    Compared,
    Side,
    comparisons_of,
    predicted_comparison,
    row_at,
)
from immunostat.study.published_values import (
    day_of,
    factor_to,
    is_share_of,
    is_time_of,
    observed_value,
    predicted_value,
)
from immunostat.study.specs import endpoint_spec

#: Width of a 95 % interval in standard errors.
WIDTH = 2 * 1.959963984540054

#: A result that cannot be predicted counts as this many standard errors off.
NOTHING = 20.0


@dataclass
class Simulated:
    """What was simulated of every arm, by group of patients, arm and endpoint.

    Parameters
    ----------
    rows
        Of each visit, by day.
    events
        Days of events, of endpoints that have them.
    expected
        Expected events, of endpoints for which none need be drawn.
    """

    rows: dict[tuple[int, str, str], dict[float, SummaryRow]] = field(default_factory=dict)
    events: dict[tuple[int, str, str], EventTimes] = field(default_factory=dict)
    expected: dict[tuple[int, str, str], ExpectedEvents] = field(default_factory=dict)

    def add(self, group: int, arm: str, predicted: ArmPrediction) -> None:
        """Add an arm of a group of patients."""
        for row in predicted.rows:
            self.rows.setdefault((group, arm, row.endpoint), {})[row.time_day] = row
        self.events |= {(group, arm, name): own for name, own in predicted.events.items()}
        self.expected |= {(group, arm, name): own for name, own in predicted.expected.items()}

    def side(self, key: tuple[int, str, str], day: float) -> Side:
        """An endpoint of an arm as one side of a comparison."""
        row = row_at(self.rows[key], day)
        return Side(row, self.events.get(key), self.expected.get(key))


@dataclass(frozen=True)
class Wanted:
    """A published result that is followed.

    Parameters
    ----------
    trial, arm
        Whose it is.
    group, simulated
        Which group of patients, and which of its simulated arms.
    endpoint, week
        What and when.
    value
        Published, in `unit`.
    unit
        ``%`` for a share of patients.
    is_share, is_time, is_binary
        Whether it is a share, a time to an event, and a yes or no of a visit.
    scale
        Where a miss is measured.
    sd
        Standard error on that scale.
    weight
        Of its squared miss.
    n
        Patients behind it, if known.
    source
        Key of its source.
    compared, versus
        A comparison, and the other simulated arm; None and empty for a result of one arm.
    """

    trial: str
    arm: str
    group: int
    simulated: str
    endpoint: str
    week: float
    value: float
    unit: str
    is_share: bool
    scale: str
    sd: float
    weight: float
    n: int | None
    source: str
    is_time: bool = False
    is_binary: bool = False
    compared: Compared | None = None
    versus: str = ""

    @property
    def what(self) -> str:
        """Endpoint and measure, for tables."""
        if self.compared is None:
            return self.endpoint
        return f"{self.endpoint}, {self.compared.measure} to {self.compared.versus.name}"

    @property
    def words(self) -> str:
        """For messages and tables."""
        return f"{self.trial}, {self.arm}: {self.what}, week {self.week:.4g}"

    def shown(self, found: Simulated) -> tuple[float, float]:
        """What was predicted, in `unit`, and the patients behind it.

        Raises
        ------
        InputError
            Model and publication measure in units that do not agree.
        """
        key = (self.group, self.simulated, self.endpoint)
        rows, day = found.rows[key], round(7.0 * self.week, 6)
        # Of a median time, the last visit knows most.
        row = rows[max(rows)] if self.is_time else row_at(rows, day)
        if self.compared is None:
            value = predicted_value(row, self.unit, self.is_share)
        else:
            other = (self.group, self.versus, self.endpoint)
            value = predicted_comparison(
                self.compared, found.side(key, day), found.side(other, day)
            )
        if value is None:
            raise InputError(
                f"{self.words} is printed in '{self.unit}', which the model does not predict"
            )
        return value.value, float(row.n)

    def on_scale(self, value: float, n: float) -> float:
        """A value in `unit` on the scale of the miss; `n` patients behind it keep it finite."""
        if self.scale == "logit":
            share = (value / 100.0 * n + 0.5) / (n + 1.0)
            return math.log(share / (1.0 - share))
        if self.scale == "log":
            return math.log(max(value, 1e-3 * self.value))
        return value

    def off_by(self, predicted: float, n: float) -> float:
        """Miss in standard errors."""
        if not math.isfinite(predicted):
            return NOTHING
        own = self.on_scale(self.value, float(self.n or n))
        return (self.on_scale(predicted, n) - own) / self.sd


def wanted_result(
    situation: SituationCard,
    card: TrainingResultCard,
    result: TrialResultCard,
    n: int | None,
    where: tuple[str, str, int, str],
    place: Place,
) -> Wanted:
    """A result of one arm, with its scale and standard error.

    Parameters
    ----------
    n
        Patients behind it, if known.
    where
        Trial, arm, group of patients, and name of the simulated arm.
    place
        Of the calibration's card, for messages.

    Raises
    ------
    InputError
        The scale does not suit the result, or nothing tells its standard error.
    """
    is_share = is_share_of(situation, result.endpoint)
    value, low, high = observed_value(result, n, is_share)
    if result.low is None:
        low, high = math.nan, math.nan
    statistic = statistic_of(endpoint_spec(result.endpoint, situation))
    scale = card.scale or usual_scale(statistic, is_share)
    _check_scale(scale, is_share, value, f"{result.endpoint} of {where[0]}", place)
    sd = card.sd
    if sd is None and is_share and n is not None:
        sd = error_of_share(value, n, scale)
    elif sd is None:
        sd = error_of_interval(low, high, scale)
    if sd is None and result.sd is not None and n is not None:
        error = result.sd / math.sqrt(n)
        sd = error / abs(value) if scale == "log" else error
    if sd is None and statistic == "rate" and n is not None:
        sd = error_of_rate(result, n, scale)
    return Wanted(
        *where,
        result.endpoint,
        result.week,
        value,
        "%" if is_share else result.unit,
        is_share,
        scale,
        _known(sd, f"{result.endpoint} of '{where[1]}' of {where[0]}", place),
        card.weight,
        n,
        result.source or "",
        is_time_of(situation, result.endpoint),
        KINDS[situation.endpoints[result.endpoint].kind].is_binary,
    )


def wanted_comparison(
    situation: SituationCard,
    card: TrainingResultCard,
    printed: TrialComparisonCard,
    trial: TrialCard,
    where: tuple[str, str, int, str, str],
    place: Place,
) -> Wanted:
    """A comparison of two arms, with its scale and standard error.

    Parameters
    ----------
    trial
        With the comparisons that are followed.
    where
        Trial, arm, group of patients, and names of the simulated arm and of the other one.
    place
        Of the calibration's card, for messages.

    Raises
    ------
    InputError
        The scale does not suit the result, or nothing tells its standard error.
    """
    named = f"{printed.measure} of {printed.endpoint} of '{where[1]}' of {where[0]}"
    compared = next(
        own
        for own in comparisons_of(trial, situation, ())
        if (own.endpoint, own.arm.name, own.versus.name, own.day)
        == (printed.endpoint, printed.arm, printed.versus, day_of(printed))
        and own.measure == printed.measure.replace("_", " ")
    )
    scale = card.scale or ("linear" if printed.measure == "difference" else "log")
    value = compared.observed
    _check_scale(scale, False, value.value, named, place)
    sd = card.sd if card.sd is not None else error_of_interval(value.low, value.high, scale)
    return Wanted(
        *where[:4],
        printed.endpoint,
        printed.week,
        value.value,
        compared.unit,
        False,
        scale,
        _known(sd, named, place),
        card.weight,
        printed.n,
        printed.source or "",
        compared=compared,
        versus=where[4],
    )


def _check_scale(scale: str, is_share: bool, value: float, named: str, place: Place) -> None:
    if scale in ("points", "logit") and not is_share:
        raise InputError(
            f"{named} is no share of patients, so that it has no {scale}",
            place,
            "allowed: linear, log",
        )
    if scale == "log" and not value > 0:
        raise InputError(
            f"{named} is {value:g}, which has no logarithm", place, "take scale linear"
        )


def _known(sd: float | None, named: str, place: Place) -> float:
    if sd is None or not (math.isfinite(sd) and sd > 0):
        raise InputError(
            f"{named} has neither an interval nor a number of patients with their spread",
            place,
            "give 'sd' here, its standard error, and 'because'",
        )
    return sd


def usual_scale(statistic: str, is_share: bool) -> str:
    """Where a miss is measured if the card does not say.

    Shares: percentage points. Means: their unit. Medians, times and rates: the logarithm.
    """
    if is_share:
        return "points"
    return "linear" if statistic == "mean" else "log"


def error_of_share(value: float, n: int, scale: str) -> float:
    """Standard error of a share in percent on a scale; half a patient is added to either side.

    Source
    ------
    Binomial variance; delta method for logit and logarithm: "definition".

    Examples
    --------
    >>> round(error_of_share(30.0, 100, "points"), 2)
    4.59
    """
    share = (value / 100.0 * n + 0.5) / (n + 1.0)
    if scale == "logit":
        return math.sqrt(1.0 / (n * share * (1.0 - share)))
    if scale == "log":
        return math.sqrt((1.0 - share) / (n * share))
    return 100.0 * math.sqrt(share * (1.0 - share) / n)


def error_of_interval(low: float, high: float, scale: str) -> float | None:
    """A quarter of a 95 % interval on a scale; None if there is none, or none there.

    Examples
    --------
    >>> round(error_of_interval(0.5, 2.0, "log"), 3)
    0.354
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    if scale == "log":
        return math.log(high / low) / WIDTH if low > 0 else None
    if scale == "logit":
        odds = [math.log(x / (100.0 - x)) for x in (low, high) if 0.0 < x < 100.0]
        return (odds[1] - odds[0]) / WIDTH if len(odds) == 2 else None
    return (high - low) / WIDTH


def error_of_rate(result: TrialResultCard, n: int, scale: str) -> float | None:
    """Standard error of a rate of events by their number alone: `n` patients until the result.

    Patients differ and leave, so that the true error is larger.

    Source
    ------
    Poisson variance: "definition".
    """
    factor = factor_to(result.unit, "1/day")
    if factor is None or not result.value > 0 or not result.week > 0:
        return None
    error = 1.0 / math.sqrt(result.value * factor * n * 7.0 * result.week)
    return error if scale == "log" else error * result.value

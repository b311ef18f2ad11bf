"""Cards of calibrations: published arms that train a situation, and what they may move."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from immunostat.catalog.cards import MONTH, Card, Name, Number, Text

Positive = Annotated[Number, Field(gt=0)]


class TrainingResultCard(Card):
    """One published result that is followed, and how a miss is weighed."""

    endpoint: Text
    #: When; one of the three, as the trial's card has it.
    week: Annotated[Number, Field(ge=0)] | None = None
    day: Annotated[Number, Field(ge=0)] | None = None
    month: Annotated[Number, Field(ge=0)] | None = None
    #: Of a printed comparison with another arm; a result of the arm itself if left out.
    measure: (
        Literal["rate_ratio", "hazard_ratio", "risk_ratio", "odds_ratio", "difference"] | None
    ) = None
    #: The other arm of the comparison.
    versus: Text | None = None
    #: Where a miss is measured; by the kind of endpoint if left out.
    scale: Literal["points", "logit", "log", "linear"] | None = None
    #: Standard error on that scale; from the printed result if left out.
    sd: Positive | None = None
    weight: Positive = 1.0
    because: str = ""

    @property
    def weeks(self) -> float:
        """When, week."""
        if self.week is not None:
            return self.week
        return self.day / 7.0 if self.day is not None else (self.month or 0.0) * MONTH

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if sum(when is not None for when in (self.week, self.day, self.month)) != 1:
            raise ValueError("a result needs one of the keys 'week', 'day' and 'month'")
        if (self.measure is None) != (self.versus is None):
            raise ValueError("a comparison needs both 'measure' and 'versus'")
        if (self.sd is not None or self.weight != 1.0) and not self.because.strip():
            raise ValueError("an own 'sd' or 'weight' needs 'because', its reason")
        return self


class TrainingArmCard(Card):
    """A published arm whose card says ``role: training``."""

    trial: Annotated[str, Field(min_length=1, max_length=80)]
    arm: Text
    results: Annotated[tuple[TrainingResultCard, ...], Field(min_length=1)]


class FittedCard(Card):
    """A number that may move: one parameter, or several that share it."""

    #: Parameters of the situation, or ``core.NAME``; all take the same number.
    of: Annotated[tuple[str, ...], Field(min_length=1)]
    part: Literal["value", "spread"] = "value"
    #: Where the search starts; what the card of the first parameter says if left out.
    start: Number | None = None
    low: Number
    high: Number
    scale: Literal["log", "linear"] = "log"
    #: Standard deviation of the weak pull to the start, on the scale of the search; none if null.
    pull: Positive | None = None
    because: Text

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.scale == "log" and not self.low > 0:
            raise ValueError("on the log scale 'low' must be above 0")
        if self.part == "spread" and self.low < 0:
            raise ValueError("a spread is not below 0")
        if self.start is not None and not self.low <= self.start <= self.high:
            raise ValueError(f"the start {self.start:g} lies outside low and high")
        if len(set(self.of)) < len(self.of):
            raise ValueError("a parameter stands twice under 'of'")
        return self


class SearchCard(Card):
    """How long is searched."""

    #: Evaluations of the global search (CMA-ES).
    explore: Annotated[int, Field(ge=0, le=1_000_000)] = 400
    #: Evaluations of the local search from the best point (Nelder-Mead).
    polish: Annotated[int, Field(ge=0, le=1_000_000)] = 200
    #: First standard deviation of the global search, as a share of each range.
    width: Annotated[Number, Field(gt=0, le=1)] = 0.15


class CalibrationCard(Card):
    """``calibrations/NAME.yaml``: how numbers of a situation are fitted to its training arms."""

    name: Name
    title: Text
    situation: Name
    summary: str = ""
    #: The objective in words, and why it is this one.
    because: Text
    patients: Annotated[int, Field(ge=10, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    relative_tolerance: Annotated[Number, Field(ge=1e-10, le=1e-2)] = 1e-4
    #: Weight of the fourth power of a miss beside its square.
    fourth_power: Annotated[Number, Field(ge=0)] = 0.0
    arms: Annotated[tuple[TrainingArmCard, ...], Field(min_length=1)]
    fitted: Annotated[dict[Name, FittedCard], Field(min_length=1)]
    search: SearchCard = SearchCard()
    #: Whether prevalence weights are sought after the search.
    weights: bool = False

    @model_validator(mode="after")
    def _says_things_once(self) -> Self:
        names = [(arm.trial, arm.arm) for arm in self.arms]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"arm '{name[1]}' of {name[0]} stands twice")
        parts = [(name, own.part) for own in self.fitted.values() for name in own.of]
        for part in parts:
            if parts.count(part) > 1:
                raise ValueError(f"the {part[1]} of '{part[0]}' is fitted twice")
        return self

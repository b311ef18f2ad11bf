"""Cards of published models: numbers, start values, and results that the publication prints."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from immunostat.catalog.cards import Card, FactCard, Name, Number, Text

#: What a printed result reads from the course of an output.
ReadingKind = Literal[
    "value",
    "maximum",
    "minimum",
    "time of maximum",
    "growth rate",
    "doubling time",
    "half-life",
    "first time above",
    "first time below",
    "period",
    "number of maxima",
    "number of rises",
    "lasting states",
    "fold",
]


class RangeCard(Card):
    """Values between two ends."""

    of: Name
    low: Number
    high: Number

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError("'low' must lie below 'high'")
        return self


class VariedCard(RangeCard):
    """A number that is changed until a reading crosses a level: the way to a printed threshold."""

    crosses: Number


class ReadingCard(Card):
    """How a printed result is read from a run of the model, in the model's unit of time.

    `settings` are parameters and start values that differ from those of the card in this run.
    With `threshold` the result is the value of a parameter or start value at which the reading
    crosses a level. "lasting states" counts the different ends of courses that begin at several
    values of one state; "fold" is the extreme value of `parameter` along the steady states in which
    the output goes from one end of `starts` to the other. With `histories` it is the mean over so
    many histories of the random input; without, there is no random input.
    """

    kind: ReadingKind
    output: Name
    begin: Annotated[Number, Field(ge=0)] = 0.0
    end: Annotated[Number, Field(ge=0)] = 0.0
    level: Number | None = None
    settings: dict[Name, Number] = Field(default_factory=dict)
    threshold: VariedCard | None = None
    starts: RangeCard | None = None
    parameter: Name | None = None
    histories: Annotated[int, Field(ge=0, le=1000)] = 0

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind == "fold":
            if self.parameter is None or self.starts is None or self.starts.of != self.output:
                raise ValueError("reading 'fold' needs 'parameter', and 'starts' of its output")
            return self
        if self.kind == "lasting states" and self.starts is None:
            raise ValueError("reading 'lasting states' needs the key 'starts'")
        if self.end < self.begin or (self.end == self.begin and self.kind != "value"):
            raise ValueError("'end' must lie after 'begin'")
        needs_level = self.kind.startswith("first time") or self.kind == "number of rises"
        if needs_level and self.level is None:
            raise ValueError(f"reading '{self.kind}' needs the key 'level'")
        return self


class PrintedCard(FactCard):
    """A result that the publication prints, and how the same is read from a run here.

    `tolerance` is the largest difference that counts as the same, in the unit of the value;
    `because` is its reason. `compare` says whether the printed value is a bound.
    With `is_range` a range is printed: the value is its middle and the tolerance half its width.
    """

    what: Text
    tolerance: Annotated[Number, Field(gt=0)]
    compare: Literal["equal", "at least", "at most"] = "equal"
    is_range: bool = False
    reading: ReadingCard

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if not self.because.strip():
            raise ValueError("a printed result needs 'because', the reason for its tolerance")
        return self


class RandomInputCard(Card):
    """Pulses into a state: in each step one of `amount` with probability `chance`."""

    amount: FactCard
    chance: FactCard
    step: FactCard


class OutputCard(Card):
    """A line of the course: what it is, and its unit."""

    title: Text
    unit: Annotated[str, Field(min_length=1, max_length=40)]


class PublishedModelCard(Card):
    """``published/NAME.yaml``: a model of a publication, from its equations and numbers."""

    name: Name
    title: Text
    citation: Name
    situation: Text
    summary: Text
    leaves_out: Text
    differences: Text
    note: str = ""
    #: Identifier of the same model in BioModels, with which it can be compared.
    biomodel: Name | None = None
    fragment: Text
    module: Name
    time_unit: Literal["hour", "day", "1"]
    until: Annotated[Number, Field(gt=0)]
    parameters: dict[Name, FactCard]
    initial: dict[Name, FactCard]
    #: States that receive pulses at random times; different states independently.
    random_input: dict[Name, RandomInputCard] = Field(default_factory=dict)
    outputs: dict[Name, OutputCard]
    #: Courses that a figure shows, each with what it changes; the card's own course if none.
    scenarios: dict[Text, dict[Name, Number]] = Field(default_factory=dict)
    printed: Annotated[tuple[PrintedCard, ...], Field(min_length=1)]
    #: States that may be negative, with the reason; all others are amounts.
    signed: dict[Name, Text] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_what_it_has(self) -> Self:
        known = {*self.parameters, *self.initial}
        twice = sorted(set(self.parameters) & set(self.initial))
        if twice:
            raise ValueError(f"'{twice[0]}' is both a parameter and a start value")
        for title, settings in self.scenarios.items():
            for name in settings:
                if name not in known:
                    raise ValueError(f"scenario '{title}' sets '{name}', which is not in this card")
        for i, result in enumerate(self.printed):
            own = result.reading
            if own.histories and not self.random_input:
                raise ValueError(f"printed.{i} has 'histories', but there is no 'random_input'")
            varied = [part.of for part in (own.threshold, own.starts) if part]
            varied += [own.parameter] if own.parameter else []
            for name in (*own.settings, *varied):
                if name not in known:
                    raise ValueError(
                        f"printed.{i} sets '{name}', which is no parameter or start value here"
                    )
        return self

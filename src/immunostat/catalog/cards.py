"""What each kind of card holds: pydantic models of the YAML files, strict about keys and units.

A new kind of card derives from `Card`; every number in it is a `FactCard` or derives from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints, model_validator

from immunostat.base.errors import Place
from immunostat.base.facts import Evidence, Fact

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,79}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Card(BaseModel):
    """Base of all cards: unknown keys are errors and a card never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MeasureCard(Card):
    """A number with a unit where the source stands one level up."""

    value: Number
    unit: Annotated[str, StringConstraints(max_length=40)]


class Citation(Card):
    """Source key, place in the source, and whether it was read."""

    source: Name
    where: Text
    checked: bool = False
    note: str = ""


class FactKeys(Card):
    """The keys that say where a number comes from."""

    source: Name | None = None
    where: str = ""
    evidence: Evidence
    checked: bool = False
    because: str = ""
    note: str = ""

    @model_validator(mode="after")
    def _has_its_reasons(self) -> Self:
        if self.evidence in (Evidence.ASSUMED, Evidence.DERIVED) and not self.because.strip():
            raise ValueError(f"evidence '{self.evidence}' needs the key 'because' with the reason")
        if self.evidence is not Evidence.ASSUMED:
            if not self.source:
                raise ValueError(f"evidence '{self.evidence}' needs the key 'source'")
            if not self.where.strip():
                raise ValueError(f"evidence '{self.evidence}' needs the key 'where'")
        if self.checked and not self.source:
            raise ValueError("'checked: true' needs a source")
        return self

    def fact(self, name: str, value: float, unit: str, place: Place | None = None) -> Fact:
        """The number `value` with these keys as a `Fact`."""
        return Fact(
            name=name,
            value=value,
            unit=unit,
            source=self.source or "",
            where=self.where,
            evidence=self.evidence,
            checked=self.checked,
            because=self.because,
            note=self.note,
            place=place,
        )


class FactCard(FactKeys):
    """One number: value, unit, and where it comes from."""

    value: Number
    unit: Annotated[str, StringConstraints(min_length=1, max_length=40)]

    def to_fact(self, name: str, place: Place | None = None) -> Fact:
        """The number as a `Fact`."""
        return self.fact(name, self.value, self.unit, place)


class UncertainCard(FactCard):
    """A number that a simulation rests on, with what its source says about how well it is known.

    `low` and `high` are the ends of the 95 % interval of the value, not the spread between people.
    """

    low: Number | None = None
    high: Number | None = None

    @model_validator(mode="after")
    def _interval_holds_the_value(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval needs both 'low' and 'high'")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("'low' must lie below 'high'")
        if self.low is not None and not self.low <= self.value <= (self.high or self.value):
            raise ValueError("the value must lie between 'low' and 'high'")
        return self


class FactTable(RootModel[dict[str, FactCard]]):
    """Numbers by name."""

    model_config = ConfigDict(frozen=True)


class CovariateCard(FactKeys):
    """Effect of a covariate on a parameter."""

    covariate: Name
    form: Literal["power", "proportional", "factor", "exponential", "linear"]
    reference: MeasureCard | None = None
    effect: Number
    #: A covariate that the model computes, such as ``core.crp``; the effect follows it in time.
    follows: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]\w*\.[A-Za-z]\w*$")] | None = None

    @model_validator(mode="after")
    def _has_reference(self) -> Self:
        if self.form in ("power", "exponential", "linear") and self.reference is None:
            raise ValueError(f"form '{self.form}' needs the key 'reference'")
        if self.form == "power" and self.reference and self.reference.value <= 0:
            raise ValueError("the reference of form 'power' must be positive")
        if self.form == "factor" and self.effect <= 0:
            raise ValueError("the effect of form 'factor' must be positive")
        if self.follows and self.form != "power":
            raise ValueError("only form 'power' can follow the model in time")
        return self


class TargetCard(Card):
    """``targets/NAME.yaml``: what drugs act on, and its hook in the immune core if it has one."""

    name: Name
    title: Text
    kind: Literal["ligand", "receptor", "enzyme", "cell", "pathway"]
    actions: tuple[Name, ...]
    #: Port of the immune core; null while the target is not part of the core.
    hook: Name | None = None
    tissue: Name
    summary: Text
    note: str = ""
    parameters: dict[Name, FactCard] = {}


#: Length of a month, week.
MONTH = 365.25 / 12 / 7


class WhenCard(FactCard):
    """A printed number and its time: one of `week`, `day` and `month`; `week` is made of it."""

    week: Annotated[Number, Field(ge=0)] = 0.0
    day: Annotated[Number, Field(ge=0)] | None = None
    month: Annotated[Number, Field(ge=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_weeks(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        given = [key for key in ("week", "day", "month") if data.get(key) is not None]
        if not given:
            raise ValueError("a result needs one of the keys 'week', 'day' and 'month'")
        if given[-1] == "week" or not isinstance(data[given[-1]], int | float):
            return data
        weeks = float(data[given[-1]]) * (1 / 7 if given[-1] == "day" else MONTH)
        # A card that was written out again has both.
        if len(given) > 2 or ("week" in given and data["week"] != weeks):
            raise ValueError("a result needs one of the keys 'week', 'day' and 'month', not more")
        return {**data, "week": weeks}


class TrialResultCard(WhenCard):
    """One printed result of one arm."""

    endpoint: Text
    low: Number | None = None
    high: Number | None = None
    sd: Number | None = None
    n: Annotated[int, Field(gt=0)] | None = None
    statistic: str = ""
    #: Of a result that trains though the rest of its arm is held back.
    role: Literal["training"] | None = None


class LeftCard(WhenCard):
    """Share of an arm's patients who had left by a time for other reasons than lack of effect."""


class RescueCard(FactKeys):
    """Who is given something else from a visit on because the treatment does not work.

    He counts as a non-responder from then on and is seen no more.
    """

    #: Condition on endpoints at the visit, such as 'ACR20 is no'.
    when: Text
    week: Annotated[Number, Field(gt=0)]
    #: Last week at which it is looked at; only `week` if left out.
    last_week: Annotated[Number, Field(gt=0)] | None = None
    #: Arms with the rule; all if none is named.
    arms: tuple[Text, ...] = ()


class TrialArmCard(Card):
    """One arm of a published trial."""

    name: Text
    drug: Name
    regimen: str = ""
    #: Further regimens of the arm, each with the name of its drug.
    also: tuple[Text, ...] = ()
    #: Patients in the arm; left out where it was not read.
    n: Annotated[int, Field(gt=0)] | None = None
    role: Literal["training", "held-back"]
    #: Who left for other reasons than lack of effect.
    left: LeftCard | None = None
    #: Why no simulation can stand for the arm.
    not_simulated: str = ""
    note: str = ""
    results: tuple[TrialResultCard, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Regimens in words, each with the name of its drug; none for placebo."""
        if not self.regimen:
            return self.also
        own = self.regimen
        return (own if own.startswith(self.drug) else f"{self.drug} {own}", *self.also)


class TrialComparisonCard(WhenCard):
    """One printed comparison of two arms."""

    endpoint: Text
    arm: Text
    versus: Text
    measure: Literal["rate_ratio", "hazard_ratio", "risk_ratio", "odds_ratio", "difference"]
    low: Number | None = None
    high: Number | None = None
    n: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _is_positive(self) -> Self:
        if self.measure != "difference" and self.value <= 0:
            raise ValueError(f"a {self.measure.replace('_', ' ')} is above 0")
        if self.arm == self.versus:
            raise ValueError("an arm is compared with itself")
        return self


class TrialPriorCard(Card):
    """How the patients of a trial are simulated who have failed an earlier treatment."""

    #: Who took the earlier treatment.
    population: Name
    regimens: tuple[Text, ...]
    duration: Text
    #: Yes-or-no endpoint that was not reached.
    failed: Name
    washout: Text
    because: Text


class TrialCard(Card):
    """``trials/NAME.yaml``: a published trial."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,79}$")]
    title: Text
    situation: Name
    population: Name
    citation: Name
    #: The earlier treatment, where the population is no card of its own.
    prior: TrialPriorCard | None = None
    #: Why the model is not judged by the trial.
    doubt: str = ""
    note: str = ""
    registration: str = ""
    arms: tuple[TrialArmCard, ...]
    #: Arm with which others are compared where nothing is printed; that without a drug if empty.
    control: str = ""
    rescue: RescueCard | None = None
    #: Whether means hold the last value of who left; else they are those of patients still seen.
    carried_forward: bool = False
    #: Components that are measured in who left as well, such as films.
    followed_on: tuple[Name, ...] = ()
    comparisons: tuple[TrialComparisonCard, ...] = ()

    @model_validator(mode="after")
    def _arms_exist(self) -> Self:
        names = [arm.name for arm in self.arms]
        wanted = [("control", self.control)] if self.control else []
        wanted += [("rescue.arms", arm) for arm in (self.rescue.arms if self.rescue else ())]
        for i, own in enumerate(self.comparisons):
            wanted += [(f"comparisons.{i}.arm", own.arm), (f"comparisons.{i}.versus", own.versus)]
        for key, name in wanted:
            if name not in names:
                raise ValueError(f"{key}: no arm '{name}'; arms: {', '.join(names)}")
        return self

    @property
    def compared_with(self) -> TrialArmCard | None:
        """The arm with which others are compared where nothing is printed."""
        for arm in self.arms:
            if arm.name == self.control or (not self.control and not arm.lines):
                return arm
        return None


def all_facts(value: object, name: str = "") -> Iterator[tuple[str, FactKeys]]:
    """Every number of a card with its dotted path, in the order of the card."""
    if isinstance(value, FactKeys):
        yield name, value
    if isinstance(value, BaseModel):
        for key, info in type(value).model_fields.items():
            child = getattr(value, key)
            yield from all_facts(child, f"{name}.{info.alias or key}" if name else key)
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from all_facts(child, f"{name}.{key}" if name else str(key))
    elif isinstance(value, tuple | list):
        for i, child in enumerate(value):
            yield from all_facts(child, f"{name}.{i}")

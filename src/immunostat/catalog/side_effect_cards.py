"""What the card of a side effect holds: background, drivers, severity, and published rates."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from immunostat.catalog.cards import Card, FactCard, FactKeys, MeasureCard, Name, Number, Text

Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]

#: A key that is a number.
Place = Annotated[float, Field(allow_inf_nan=False)]

#: What of a drug drives a hazard.
By = Literal["use", "dose", "concentration", "time", "total dose", "doses"]


class ToleranceCard(Card):
    """How an effect fades with time on the drug."""

    half_life: MeasureCard
    #: Share of the effect that stays.
    left: Share = 0.0


class DriverCard(FactKeys):
    """What multiplies the hazard of a side effect, or adds to it.

    The causes `drug`, `class` and `target` stand for a drug, any drug of a class, and any drug that
    acts on a target; `by` says what of it counts.
    """

    covariate: Name | None = None
    state: Name | None = None
    drug: Name | None = None
    drug_class: Annotated[Text | None, Field(alias="class")] = None
    target: Name | None = None
    situation: Name | None = None
    by: By = "use"
    #: Only doses by this route count.
    route: Name | None = None
    form: Literal[
        "exponential", "factor", "loss", "power", "proportional", "hill", "table", "added"
    ]
    per: MeasureCard | None = None
    reference: MeasureCard | None = None
    effect: Number = 1.0
    low: Number | None = None
    high: Number | None = None
    #: Form hill: where half of the effect is reached, and the slope.
    half: MeasureCard | None = None
    hill: Positive = 1.0
    #: Form table: value of the driver -> factor.
    points: dict[Place, Annotated[Number, Field(ge=0)]] = Field(default_factory=dict)
    #: By doses: chance of an event after the first dose, the second, ...; the last for all later.
    chances: tuple[Share, ...] = ()
    #: By doses: how long after a dose events come.
    within: MeasureCard | None = None
    #: By doses: doses closer than this are one course, of which the first counts.
    courses: MeasureCard | None = None
    #: How long after a dose the drug is in use, where the gaps between doses do not tell.
    lasting: MeasureCard | None = None
    #: By concentration: time over which it is averaged.
    window: MeasureCard | None = None
    #: How much later the effect comes.
    lag: MeasureCard | None = None
    #: Mean time over which the effect builds up and fades.
    delay: MeasureCard | None = None
    tolerance: ToleranceCard | None = None
    #: Share of people who have a yes-or-no covariate, for populations that do not know it.
    prevalence: FactCard | None = None
    #: Share of the people behind the background rate who have a yes-or-no covariate.
    background_share: FactCard | None = None

    @model_validator(mode="after")
    def _has_one_cause(self) -> Self:
        causes = (self.covariate, self.state, self.situation)
        if sum(cause is not None for cause in (*causes, *self.of_drugs)) != 1:
            raise ValueError(
                "a driver needs one of 'covariate', 'state', 'drug', 'class', 'target' and "
                "'situation'"
            )
        if self.form == "exponential" and self.per is None:
            raise ValueError("form 'exponential' needs the key 'per', the step of the driver")
        if (self.form == "table") != bool(self.points):
            raise ValueError("form 'table' needs the key 'points', and no other form has it")
        if self.form == "hill" and self.half is None:
            raise ValueError("form 'hill' needs the key 'half'")
        return self

    @model_validator(mode="after")
    def _fits_its_cause(self) -> Self:
        by_drug = any(cause is not None for cause in self.of_drugs)
        if self.by != "use" and not by_drug:
            raise ValueError("'by' is for drivers by 'drug', 'class' or 'target'")
        if self.by == "doses":
            if not self.chances or self.within is None or self.form != "added":
                raise ValueError("by doses needs form 'added', 'chances' and 'within'")
        elif self.chances or self.within or self.courses:
            raise ValueError("'chances', 'within' and 'courses' are for 'by: doses'")
        is_amount = self.by in ("dose", "concentration", "total dose")
        if is_amount and self.per is None and self.form not in ("hill", "table"):
            raise ValueError(f"by {self.by} needs the key 'per', the amount that counts as 1")
        if self.prevalence is not None and self.covariate is None:
            raise ValueError("'prevalence' is for drivers by covariate")
        if self.background_share is not None:
            if self.covariate is None or self.form not in ("factor", "proportional"):
                raise ValueError(
                    "'background_share' is for drivers by covariate, of form 'factor' or "
                    "'proportional'"
                )
            if not 0.0 <= self.background_share.value <= 1.0:
                raise ValueError("'background_share' lies between 0 and 1")
        return self

    @property
    def of_drugs(self) -> tuple[str | None, str | None, str | None]:
        """The causes that are a drug."""
        return self.drug, self.drug_class, self.target

    @property
    def cause(self) -> str:
        """What the driver is, in words."""
        own = (self.covariate, self.state, self.drug, self.drug_class, self.target, self.situation)
        return next(str(name) for name in own if name is not None)


class BackgroundByAgeCard(FactKeys):
    """Background rate by age, for men and women: straight lines between logarithms."""

    unit: Annotated[str, Field(min_length=1, max_length=40)]
    men: dict[Place, Positive]
    women: dict[Place, Positive]

    @model_validator(mode="after")
    def _has_the_same_ages(self) -> Self:
        if list(self.men) != list(self.women) or list(self.men) != sorted(self.men):
            raise ValueError("men and women need the same ages, ascending")
        return self


class SeverityCard(FactKeys):
    """Share of events by grade of CTCAE."""

    shares: dict[Annotated[int, Field(ge=1, le=5)], Share]


class SideEffectCheckCard(FactCard):
    """A published rate that is compared with.

    `training` marks the pairs of drug and side effect from which numbers of the card are derived;
    all others are held back and nothing is fitted to them.
    """

    drug: Name
    regimen: str = ""
    trial: str = ""
    arm: str = ""
    grade: int | None = None
    quantity: str = ""
    statistic: str = ""
    low: Number | None = None
    high: Number | None = None
    n: int | None = None
    role: Literal["training", "held-back", "shown"] = "shown"
    #: Whom the source treated; the situation's default population if empty.
    situation: Name = "rheumatoid-arthritis"
    population: Name | None = None
    #: Length of follow-up, for shares of patients.
    duration: MeasureCard | None = None
    #: Drugs given besides, each with its regimen.
    also: tuple[Text, ...] = ()
    #: What ended the treatment, and with it the follow-up, such as 'progression is yes'.
    until: str = ""
    #: Other side effects that the source counts as the same thing.
    counted_with: tuple[Name, ...] = ()
    #: Observed time behind a rate, which gives its exact interval.
    patient_years: Positive | None = None
    #: Why the number cannot be compared with.
    not_compared: str = ""

    @model_validator(mode="after")
    def _fits_its_unit(self) -> Self:
        if self.unit == "%" and self.patient_years is not None:
            raise ValueError("'patient_years' belong to a rate, not to a share")
        if self.unit != "%" and self.until:
            raise ValueError("'until' belongs to a share of patients, not to a rate")
        return self


class CountedCard(FactKeys):
    """When a trial takes the counts that a card grades."""

    #: Weeks after the start, ascending.
    weeks: Annotated[tuple[Positive, ...], Field(min_length=1)]


class GradeCard(Card):
    """A grade of a lab change: the value lies below or above this bound."""

    below: FactCard | None = None
    above: FactCard | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("a grade needs one of 'below' and 'above'")
        return self

    @property
    def limit(self) -> float:
        """The bound, whichever side it is on."""
        bound = self.below or self.above
        assert bound is not None
        return bound.value


class WarningTextCard(FactKeys):
    """What is known of a drug or class without a rate."""

    drug: Name | None = None
    drug_class: Annotated[Text | None, Field(alias="class")] = None
    text: Text

    @model_validator(mode="after")
    def _has_one_cause(self) -> Self:
        if (self.drug is None) == (self.drug_class is None):
            raise ValueError("a warning needs one of 'drug' and 'class'")
        return self


class SideEffectCard(Card):
    """``side_effects/NAME.yaml``: an event, a symptom, a graded lab change, or a warning."""

    name: Name
    title: Text
    kind: Literal["event", "symptom", "graded-count", "warning"]
    summary: str = ""
    note: str = ""
    background: FactCard | None = None
    #: Instead, by age and sex; `background` then multiplies it, where it is given too.
    background_by_age: BackgroundByAgeCard | None = None
    reference: dict[Name, Number] = Field(default_factory=dict)
    drivers: tuple[DriverCard, ...] = ()
    latency: str = ""
    recovery: str = ""
    output: Name | None = None
    grades: dict[int, GradeCard] = Field(default_factory=dict)
    #: By situation, when counts are taken, where published grades are compared with; else every
    #: 4 weeks.
    counted: dict[Name, CountedCard] = Field(default_factory=dict)
    #: What the bounds of the grades are multiples of.
    relative_to: Literal["", "baseline"] = ""
    severity: SeverityCard | None = None
    serious: FactCard | None = None
    #: Share of events after which the drug is stopped.
    stops: FactCard | None = None
    #: Median length of an episode.
    duration: FactCard | None = None
    warnings: tuple[WarningTextCard, ...] = ()
    checks: tuple[SideEffectCheckCard, ...] = ()

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.is_drawn and self.background is None and self.background_by_age is None:
            raise ValueError(
                f"kind '{self.kind}' needs the key 'background', the rate without drug"
            )
        if self.kind == "symptom" and self.duration is None:
            raise ValueError("kind 'symptom' needs the key 'duration', of an episode")
        if self.kind == "graded-count" and (self.output is None or not self.grades):
            raise ValueError("kind 'graded-count' needs the keys 'output' and 'grades'")
        if self.kind == "warning" and not self.warnings:
            raise ValueError("kind 'warning' needs the key 'warnings'")
        if self.counted and self.kind != "graded-count":
            raise ValueError("'counted' is for kind 'graded-count'")
        if len({grade.below is None for grade in self.grades.values()}) > 1:
            raise ValueError("grades: either all lie 'below' or all lie 'above'")
        return self

    @property
    def is_drawn(self) -> bool:
        """Whether it happens at a hazard, as events and symptoms do."""
        return self.kind in ("event", "symptom")

    @property
    def limits(self) -> tuple[dict[int, float], bool]:
        """Bound of each grade, and whether low values are the bad ones."""
        bounds = {number: grade.limit for number, grade in self.grades.items()}
        return bounds, all(grade.below is not None for grade in self.grades.values())

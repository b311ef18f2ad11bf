"""Cards of what a model is made of: the immune core, situations and populations."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from immunostat.base.errors import ImmunostatError, InputError, near_matches
from immunostat.base.units import convert, days_of
from immunostat.catalog.cards import (
    Card,
    CovariateCard,
    FactCard,
    FactKeys,
    MeasureCard,
    Name,
    Number,
    Text,
    UncertainCard,
)
from immunostat.catalog.endpoint_cards import (
    ComponentCard,
    EndpointCard,
    EventCard,
    check_components,
    check_endpoints,
)
from immunostat.trial.conditions import parse_condition


class ModelSpreadCard(Card):
    """How much patients differ in a parameter of the model."""

    lognormal_variance: Annotated[Number, Field(ge=0)] | None = None
    lognormal_cv: Annotated[Number, Field(ge=0)] | None = None
    normal_sd: Annotated[Number, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = (self.lognormal_variance, self.lognormal_cv, self.normal_sd)
        if sum(value is not None for value in given) != 1:
            raise ValueError(
                "spread needs one of 'lognormal_variance', 'lognormal_cv' and 'normal_sd'"
            )
        return self


class ModelParameterCard(UncertainCard):
    """A parameter of the core or of a situation, with what makes patients differ in it."""

    spread: ModelSpreadCard | None = None
    covariates: tuple[CovariateCard, ...] = ()


class FunctionCard(Card):
    """One line of the immune activity profile."""

    title: Text
    output: Name


class CoreCard(Card):
    """``core/NAME.yaml``: numbers of the immune core and what its profile reads."""

    name: Name
    title: Text
    fragment: Text
    module: Name
    ports: tuple[Name, ...]
    summary: str = ""
    functions: dict[Name, FunctionCard]
    engagement: dict[Name, FunctionCard] = Field(default_factory=dict)
    profile_threshold: FactCard
    parameters: dict[Name, ModelParameterCard]


class ScaledCard(Card):
    """A parameter to which an output is proportional, set so that the output is a covariate."""

    parameter: Name
    output: Name
    covariate: Name
    #: Other states that are proportional to the parameter and are scaled with it.
    states: tuple[Name, ...] = ()


class PlausibleCard(Card):
    """Range that an output of a plausible patient keeps at the untreated steady state."""

    output: Name
    minimum: Number | None = None
    maximum: Number | None = None
    because: Text


class ReadoutRangeCard(FactKeys):
    """Range that a clinical readout of a plausible patient keeps, without error of the visit."""

    component: Name
    minimum: Number | None = None
    maximum: Number | None = None

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise ValueError("a range needs 'minimum' or 'maximum'")
        if self.minimum is not None and self.maximum is not None and self.minimum >= self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is not below maximum {self.maximum:g}")
        return self


class UntreatedCard(Card):
    """What is read from the untreated patient at the time of entry, and what he must be like."""

    anchors: dict[Name, Name] = Field(default_factory=dict)
    scaled: tuple[ScaledCard, ...] = ()
    plausible: tuple[PlausibleCard, ...] = ()
    readouts: tuple[ReadoutRangeCard, ...] = ()


class SteadyStateCard(UntreatedCard):
    """The untreated disease is a steady state: of the core, or of core and situation together."""

    #: ``core``: the states of the situation are held where they start while the core comes to rest.
    of: Literal["core", "all"] = "core"
    duration: FactCard


class RunInCard(UntreatedCard):
    """The untreated disease runs for some time from the start values of the equations."""

    duration: FactCard


class EntryStateCard(UntreatedCard):
    """The patient enters with the start values of the equations themselves."""


class TimesCovariateCard(FactKeys):
    """A parameter that is a covariate times a number."""

    covariate: Name
    factor: Annotated[Number, Field(gt=0)]


class ParameterCorrelationCard(FactKeys):
    """Correlation of the normal scores of two parameters in which patients differ."""

    of: tuple[Name, Name]
    correlation: Annotated[Number, Field(ge=-1, le=1)]


class SituationCard(Card):
    """``situations/NAME.yaml``: a situation of the immune system and what its clinic sees."""

    name: Name
    title: Text
    core: Name
    fragment: Text
    module: Name
    ports: tuple[str, ...]
    summary: str = ""
    trial_switch: Name | None = None
    #: States that begin anew at randomization, whatever went before.
    trial_states: tuple[Name, ...] = ()
    #: Parameters that belong to a patient in one trial and not to the patient.
    trial_parameters: tuple[Name, ...] = ()
    #: How the untreated patient is found: one of these three, or the start values if none is given.
    steady_state: SteadyStateCard | None = None
    run_in: RunInCard | None = None
    entry_state: EntryStateCard | None = None
    from_covariates: dict[Name, Name | TimesCovariateCard] = Field(default_factory=dict)
    parameters: dict[Name, ModelParameterCard]
    parameter_correlations: tuple[ParameterCorrelationCard, ...] = ()
    components: dict[Name, ComponentCard]
    #: Events of the disease, drawn from hazards.
    events: dict[Name, EventCard] = Field(default_factory=dict)
    #: Time between samples of courses and hazards, besides visits; 3.5 days if not given.
    sample_every: MeasureCard | None = None
    #: How often trials look, in words such as 'every 4 weeks'.
    visits: Text = "every 1 week"
    #: Whether the visits of trials spread around the planned days, as cycles are put off.
    staggered_visits: bool = False
    endpoints: dict[str, EndpointCard]
    main_endpoint: str
    course: str

    @property
    def taken_from(self) -> dict[str, tuple[str, float]]:
        """Covariate and factor of each parameter that follows a covariate."""
        return {
            name: (own, 1.0) if isinstance(own, str) else (own.covariate, own.factor)
            for name, own in self.from_covariates.items()
        }

    @property
    def latent_entries(self) -> dict[str, str]:
        """Component by parameter that is set so that its score is a covariate at entry."""
        return {
            own.latent_entry.parameter: name
            for name, own in self.components.items()
            if own.latent_entry is not None
        }

    @property
    def untreated(self) -> UntreatedCard:
        """What is read from the untreated patient, however he is found."""
        return self.steady_state or self.run_in or self.entry_state or EntryStateCard()

    @property
    def untreated_key(self) -> str:
        """Key of the card under which `untreated` stands."""
        keys = ("steady_state", "run_in")
        return next((key for key in keys if getattr(self, key) is not None), "entry_state")

    @property
    def drives(self) -> tuple[str, ...]:
        """Ports of the core that a variable of the module drives."""
        return tuple(port for port in self.ports if "." not in port)

    @property
    def rests(self) -> bool:
        """Whether the untreated disease stays as it is, so that a treatment may come before."""
        return self.steady_state is not None and (self.steady_state.of == "all" or not self.drives)

    @model_validator(mode="after")
    def _is_one_start(self) -> Self:
        keys = ("steady_state", "run_in", "entry_state")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(
                f"'{given[0]}' and '{given[1]}' both say how the untreated patient is found; "
                "give one"
            )
        for port in self.ports:
            if "." in port and not port.startswith("core."):
                raise ValueError(
                    f"ports: '{port}' is no signal of the core; write 'core.NAME' for a signal "
                    "that the module reads, and the bare name of a port that it drives"
                )
        twice = [port for port in self.drives if self.drives.count(port) > 1]
        if twice:
            raise ValueError(f"ports: '{twice[0]}' is driven twice")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for range_ in self.untreated.readouts:
            if range_.component not in self.components:
                remedy = near_matches(range_.component, self.components)
                raise ValueError(
                    f"{self.untreated_key}.readouts: no component '{range_.component}'; {remedy}"
                )
        for name in self.trial_parameters:
            if name not in self.parameters:
                remedy = near_matches(name, self.parameters)
                raise ValueError(f"trial_parameters: no parameter '{name}'; {remedy}")
        for pair in self.parameter_correlations:
            if pair.of[0] == pair.of[1]:
                raise ValueError(f"parameter_correlations: '{pair.of[0]}' is named twice")
        check_components(self.components)
        check_endpoints(self.endpoints, self.events, self.components)
        _ = self.visit_every_day, self.sample_every_day  # refuses words that are no time
        for name in (self.main_endpoint, self.course):
            if name not in self.endpoints:
                raise ValueError(f"no endpoint '{name}'")
        return self

    @property
    def visit_every_day(self) -> float:
        """Time between visits of a usual trial, day."""
        words = self.visits.split(None, 1)
        if len(words) != 2 or words[0] != "every":
            raise ValueError(f"visits: '{self.visits}' is not understood; write 'every 4 weeks'")
        try:
            day = days_of(words[1], what="visits every", example="every 4 weeks")
        except ImmunostatError as error:
            raise ValueError(f"visits: {error}") from None
        if not day > 0:
            raise ValueError("visits: the time between visits is not above 0")
        return day

    @property
    def sample_every_day(self) -> float:
        """Time between samples of courses, day."""
        if self.sample_every is None:
            return SAMPLE_EVERY_DAY
        try:
            day = convert(self.sample_every.value, self.sample_every.unit, "day")
        except ImmunostatError as error:
            raise ValueError(f"sample_every: {error}") from None
        if not 0.01 <= day <= SAMPLE_EVERY_DAY:
            raise ValueError(
                f"sample_every: {day:g} day is not between 0.01 and {SAMPLE_EVERY_DAY:g} day"
            )
        return day


#: Days between samples of a course, besides visits and the ends of infusions. Every second one is a
#: whole week, when most doses of the field are given.
SAMPLE_EVERY_DAY = 3.5


class MomentsCard(Card):
    """Mean and spread, or probability, of a covariate in one group."""

    mean: FactCard | None = None
    sd: FactCard | None = None
    probability: FactCard | None = None


class PopulationCovariateCard(MomentsCard):
    """One covariate of a population."""

    distribution: Literal["normal", "lognormal", "uniform", "bernoulli", "constant", "derived"]
    unit: str
    by: Name | None = None
    groups: tuple[MomentsCard, MomentsCard] | None = None
    low: Number | None = None
    high: Number | None = None
    moments_of: Literal["truncated", "parent"] = "truncated"
    formula: str = ""


class PopulationCorrelationCard(FactKeys):
    """Correlation of the normal scores of two covariates."""

    of: tuple[Name, Name]
    correlation: Annotated[Number, Field(ge=-1, le=1)]


class EntryCard(FactKeys):
    """An entry criterion on a value observed at baseline."""

    component: Name
    minimum: Number | None = None
    maximum: Number | None = None


class BaselineCard(FactKeys):
    """What a published baseline table says of those who entered: a covariate or a component."""

    of: Name
    mean: Number
    sd: Annotated[Number, Field(gt=0)] | None = None
    n: Annotated[int, Field(gt=0)] | None = None


class BackgroundCard(Card):
    """Therapy that everybody in the population has and keeps."""

    drug: Name
    note: str = ""


class PopulationCard(Card):
    """``populations/NAME.yaml``: who enters."""

    name: Name
    title: Text
    #: Another population, of which this one says only what differs; see `like`.
    like: Name | None = None
    #: Null for people of no situation, of whom only concentrations are computed.
    situation: Name | None = None
    background: BackgroundCard | None = None
    covariates: dict[Name, PopulationCovariateCard]
    correlations: tuple[PopulationCorrelationCard, ...] = ()
    entry: tuple[EntryCard, ...] = ()
    #: What prevalence weights bring the patients who enter to.
    baseline: tuple[BaselineCard, ...] = ()

    def unlike(self, base: PopulationCard) -> PopulationCard:
        """The population `base` with what this card says otherwise: covariates one by one.

        Raises
        ------
        ValueError
            The two belong to different situations, or `base` is itself like another.
        """
        if base.like is not None:
            raise ValueError(f"like: '{base.name}' is itself like '{base.like}'; name that one")
        if self.situation not in (None, base.situation):
            raise ValueError(f"like: '{base.name}' belongs to another situation")
        own = {key: getattr(self, key) for key in self.model_fields_set}
        own["covariates"] = {**base.covariates, **self.covariates}
        return base.model_copy(update=own)


class SpecialPopulationCard(FactKeys):
    """``special_populations/NAME.yaml``: patients of any population who meet a condition."""

    name: Name
    title: Text
    #: In words, such as 'age >= 65'; see `trial.conditions`.
    condition: Text

    @model_validator(mode="after")
    def _is_condition(self) -> Self:
        try:
            parse_condition(self.condition)
        except InputError as error:
            raise ValueError(f"condition: {error.message}; {error.remedy}") from None
        return self

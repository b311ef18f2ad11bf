"""The shape of a study file: what may stand under each key, and the JSON Schema that follows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

DEFAULT_PATIENTS = 500
DEFAULT_SEED = 1
DEFAULT_VISITS = "every 4 weeks"
DEFAULT_RELATIVE_TOLERANCE = 1e-5
MAXIMUM_PATIENTS = 10_000_000
MAXIMUM_SEED = 2**63 - 1
MAXIMUM_REPLICATES = 100_000

Words = Annotated[str, StringConstraints(max_length=2000)]
RegimenData = Words | dict[str, Any]
Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriorPart(_Part):
    """Key ``population.prior``: a treatment that patients must have failed before they enter."""

    regimens: list[RegimenData] | RegimenData = Field(description="What was taken.")
    duration: Any = Field(default="12 weeks", description="For how long.")
    failed: Words = Field(default="ACR20", description="Yes-or-no endpoint that was not reached.")
    washout: Any = Field(default="0 weeks", description="Time without it before randomization.")


class PopulationPart(_Part):
    """Key ``population``."""

    name: Words = Field(default="", description="Name of a population of the situation.")
    patients: Annotated[int, Field(strict=True, gt=0, le=MAXIMUM_PATIENTS)] = DEFAULT_PATIENTS
    seed: Annotated[int, Field(strict=True, ge=0, le=MAXIMUM_SEED)] = DEFAULT_SEED
    stored: Words = Field(
        default="", description="Folder of a population made by 'immunostat population build'."
    )
    sampling: Literal["random", "sobol"] = "random"
    eligibility: list[Words] | Words = Field(
        default=[], description="Conditions such as 'age >= 65', or names such as elderly."
    )
    prior: PriorPart | None = None
    person: dict[Words, Words | Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default={},
        description="Covariates that every patient has, such as {age: 72 year, female: yes}: "
        "virtual twins of one person.",
    )
    title: Words = Field(default="", description="Written by the program for readers; not read.")


class SolvePart(_Part):
    """Key ``solve``."""

    relative_tolerance: Annotated[
        float, Field(strict=True, ge=1e-12, le=1e-2, description="Wanted local error, no unit.")
    ] = DEFAULT_RELATIVE_TOLERANCE


class RandomizationPart(_Part):
    """Key ``design.randomization``."""

    method: Literal["simple", "blocks"] = "blocks"
    block: Annotated[int, Field(strict=True, gt=0)] | None = None
    strata: list[Words] = Field(default=[], description="Conditions such as 'age >= 65'.")
    ratio: dict[Words, Annotated[int, Field(strict=True, gt=0)]] = Field(
        default={}, description="Share of each arm; 1 where not given."
    )


class CrossoverPart(_Part):
    """Key ``design.crossover``: every patient takes several treatments one after another."""

    sequences: dict[Words, list[Words]] = Field(
        description="Name of each sequence and the arms that follow each other in it."
    )
    period: Any = Field(description="Length of each period, for example '12 weeks'.")
    washout: Any = Field(default="0 weeks", description="Time without treatment between periods.")


class DesignPart(_Part):
    """Key ``design``."""

    arms: Literal["same patients", "parallel"] = Field(
        default="same patients",
        description="'same patients': everybody is seen under every arm, as only a simulation can; "
        "'parallel': each patient is randomized to one arm.",
    )
    randomization: RandomizationPart = RandomizationPart()
    crossover: CrossoverPart | None = None
    replicates: Annotated[int, Field(strict=True, gt=0, le=MAXIMUM_REPLICATES)] = Field(
        default=1, description="How many whole trials, each of other patients."
    )


class LackOfEffectPart(_Part):
    """Key ``dropout.lack_of_effect``."""

    when: Words = Field(description="Condition at a visit, for example 'ACR20 is no'.")
    probability: Share = Field(default=1.0, description="To leave at each such visit.")
    start: Any = Field(default="0 weeks", alias="from", description="First time it applies.")


class DropoutPart(_Part):
    """Key ``dropout``: who leaves the trial; after that, visits are missing."""

    background: Words | None = Field(
        default=None, description="'10 % by week 24' or '20 per 100 patient-years'."
    )
    lack_of_effect: LackOfEffectPart | None = None
    side_effects: dict[Words, Share] = Field(
        default={}, description="Probability to leave at each event or grade 3-4 of a side effect."
    )
    stopping: bool = Field(
        default=False,
        description="Whether patients leave at events after which, by its card, a drug is stopped.",
    )


class RulePart(_Part):
    """One of ``rules``: what an observation at a visit does to the doses that follow."""

    when: Words = Field(description="Condition at a visit, for example 'neutrophils < 1.0'.")
    do: Words = Field(
        description="hold, stop, lower or raise DRUG; reduce DRUG by 50 %; start REGIMEN; "
        "change DRUG to REGIMEN"
    )
    at: Literal["visits"] = "visits"
    until: Words | None = Field(default=None, description="Ends a hold.")
    after: Literal["same dose", "one level lower"] = "same dose"
    levels: list[Words] = Field(default=[], description="Doses, the highest first.")
    start: Any = Field(default="0 weeks", alias="from", description="First time it applies.")
    end: Any = Field(default=None, alias="to", description="Last time it applies.")
    arms: list[Words] = Field(default=[], description="Arms that have the rule; all if not given.")
    once: bool | None = Field(default=None, description="Whether it applies to a patient once.")


class EndpointPart(_Part):
    """One of ``endpoints`` that the study itself declares."""

    name: Words
    kind: Words = Field(
        description="time_to_event, area, change, below, event_rate, event_time, ..."
    )
    of: Words | None = Field(default=None, description="Another endpoint that it reads.")
    component: Words | None = Field(default=None, description="What visits record that it reads.")
    events: list[Words] = Field(
        default_factory=list,
        description="Events, and yes-or-no endpoints, the first of which counts.",
    )
    level: Annotated[float, Field(allow_inf_nan=False)] | None = None
    inclusive: bool = Field(default=False, description="Whether the limit itself counts.")
    confirm_weeks: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="How long a worsening must last."
    )
    confirmed: bool = Field(default=False, description="Must hold at the next visit too.")


class AnalysisPart(_Part):
    """One of ``analyses``: a comparison of two arms, or of two treatments of a crossover."""

    endpoint: Words = Field(description="An endpoint of the study, or a side effect (its rate).")
    arm: Words
    versus: Words
    at: Any = Field(default=None, description="Time of the visit; the last one if not given.")
    measure: Words = Field(
        default="", description="risk ratio, mean difference, MMRM difference, hazard ratio, ..."
    )


class InterimPart(_Part):
    """Key ``interim``: looks at the data before the end, by the first analysis."""

    looks: Annotated[
        list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1, max_length=30)
    ] = Field(description="Share of the patients at each look, the last 1.")
    boundary: Words = "Lan-DeMets O'Brien-Fleming"
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    futility: Share = Field(default=0.0, description="Stop below this conditional power.")
    better: Literal["higher", "lower"] = Field(
        default="higher", description="Which values of the endpoint are good."
    )


class DoseResponsePart(_Part):
    """Key ``dose_response``: how an endpoint follows the dose over the arms."""

    endpoint: Words
    doses: Annotated[dict[Words, Annotated[float, Field(ge=0)]], Field(min_length=3)] = Field(
        description="Dose of each arm, 0 for placebo."
    )
    target: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="Wanted difference from dose 0; the dose that makes it."
    )


class StudyFile(_Part):
    """A study of immunostat: research and teaching only, no medical advice."""

    title: Words = ""
    question: Words = ""
    situation: Words = Field(description="Name of a situation, for example rheumatoid-arthritis.")
    population: PopulationPart | Words
    background: list[RegimenData] = Field(default=[], description="Regimens that every arm has.")
    arms: Annotated[dict[Words, list[RegimenData] | RegimenData | None], Field(min_length=1)] = (
        Field(description="Name of each arm and its regimens, in plain words.")
    )
    duration: Any = Field(description="For example '24 weeks'.")
    visits: Any = Field(default=DEFAULT_VISITS, description="'every 4 weeks' or a list of times.")
    endpoints: list[Words | EndpointPart] | None = Field(
        default=None, description="All of the situation if not given; others may be declared."
    )
    side_effects: Words | list[Words] = Field(default="all", description="'all', 'none' or names.")
    design: DesignPart = DesignPart()
    dropout: DropoutPart = DropoutPart()
    missed_visits: Share = Field(default=0.0, description="Share of visits missed by chance.")
    rules: list[RulePart] = []
    analyses: list[AnalysisPart] = Field(default=[], description="Comparisons of two arms.")
    interim: InterimPart | None = None
    dose_response: DoseResponsePart | None = None
    compare_with: list[Words] = Field(default=[], description="Names of published trials.")
    solve: SolvePart = SolvePart()
    duration_day: Any = Field(
        default=None, description="Written by the program for readers; not read."
    )
    visit_days: Any = Field(
        default=None, description="Written by the program for readers; not read."
    )
    cohort: Any = Field(default=None, description="Written by the program for readers; not read.")

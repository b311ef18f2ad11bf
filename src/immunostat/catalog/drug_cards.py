"""What the card of a drug holds: identity, kinetics, targets, regimens, harms, exposures."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from immunostat.catalog.cards import (
    Card,
    Citation,
    CovariateCard,
    FactCard,
    MeasureCard,
    Name,
    Number,
    Text,
    UncertainCard,
)


class SpreadCard(Card):
    """How much patients differ in a parameter.

    Log-normal: variance or coefficient of variation. Normal: variance of a random effect that is
    added, in the unit of the parameter, for those few parameters that may be below zero.
    """

    lognormal_variance: Annotated[Number, Field(ge=0)] | None = None
    lognormal_cv: Annotated[Number, Field(ge=0)] | None = None
    normal_variance: Annotated[Number, Field(ge=0)] | None = None
    note: str = ""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = (self.lognormal_variance, self.lognormal_cv, self.normal_variance)
        if sum(value is not None for value in given) != 1:
            raise ValueError(
                "spread needs one of 'lognormal_variance', 'lognormal_cv' and 'normal_variance'"
            )
        return self


class ParameterCard(UncertainCard):
    """A kinetic parameter: a number with spread and covariate effects."""

    spread: SpreadCard | None = None
    covariates: tuple[CovariateCard, ...] = ()


class CorrelationCard(Card):
    """Covariance of the random effects of two parameters, log scale."""

    of: tuple[Name, Name]
    covariance: Number
    note: str = ""


class RouteCard(Card):
    """A way into the body and the state it leads to."""

    into: Name
    #: Time between the dose and the start of its input.
    lag: FactCard | None = None
    #: Duration of zero-order input.
    over: FactCard | None = None
    bioavailability: ParameterCard | None = None
    note: str = ""


class ResidualErrorCard(Card):
    """Difference between measured and true concentration."""

    proportional: FactCard | None = None
    additive: FactCard | None = None
    note: str = ""


class PkCard(Card):
    """Kinetics of a drug: fragments that are joined, or a model of its own."""

    fragments: tuple[Name, ...] = ()
    model: Name | None = None
    population: str = ""
    source: Name | None = None
    note: str = ""
    parameters: dict[Name, ParameterCard]
    correlations: tuple[CorrelationCard, ...] = ()
    correlations_source: Citation | None = None
    routes: dict[Name, RouteCard]
    concentration: Name = "concentration"
    #: Of what the concentration measures, where it is not what is dosed (a prodrug, a salt).
    concentration_molar_mass: FactCard | None = None
    residual_error: ResidualErrorCard = ResidualErrorCard()

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.fragments) == (self.model is not None):
            raise ValueError("kinetics need one of 'fragments' and 'model'")
        if len(set(self.fragments)) != len(self.fragments):
            raise ValueError("fragments: each fragment is chosen once")
        return self

    @model_validator(mode="after")
    def _correlations_fit(self) -> Self:
        for pair in self.correlations:
            for name in pair.of:
                if name not in self.parameters or self.parameters[name].spread is None:
                    raise ValueError(f"correlations: '{name}' is no parameter with a spread")
        if self.correlations and self.correlations_source is None:
            raise ValueError("correlations need the key 'correlations_source'")
        return self


class TargetActionCard(Card):
    """What a drug does to a target.

    `affinity` is a dissociation constant, IC50 or EC50. `fraction_unbound` turns the concentration
    into the free one that the affinity is of; `hill` is the slope; `maximum` the largest effect, as
    a fraction.
    """

    action: Name
    affinity: UncertainCard | None = None
    maximum: FactCard | None = None
    hill: FactCard | None = None
    fraction_unbound: FactCard | None = None
    assay: str = ""
    note: str = ""


class RegimenCard(Citation):
    """The labelled regimen of one situation, in plain words without the drug's name."""

    label: Text
    maximum: MeasureCard | None = None


class HarmsCard(Citation):
    """Boxed warnings of the label, and other known harms."""

    boxed: tuple[Text, ...] = ()
    known: tuple[Text, ...] = ()


class ExposureCheckCard(FactCard):
    """A published exposure that is compared with, never used as a parameter.

    `independent` is false where the number comes from the analysis that the parameters come from.
    `comparable: false` keeps a number for readers out of the comparison; `note` says why.
    `population` names the card of the people in whom it was measured, where there is one.
    """

    regimen: Text
    quantity: Text
    statistic: Text
    condition: str = ""
    population: Name | None = None
    independent: bool | None = None
    comparable: bool = True
    low: Number | None = None
    high: Number | None = None
    sd: Annotated[Number, Field(ge=0)] | None = None


class DrugCard(Card):
    """``drugs/NAME.yaml``."""

    name: Name
    title: Text
    synonyms: tuple[Text, ...] = ()
    atc: str = ""
    drug_class: Annotated[str, Field(alias="class")]
    modality: Literal[
        "antibody", "fusion protein", "small molecule", "cytokine", "peptide", "cell", "vaccine"
    ]
    #: On immunity; `neither` for drugs that are given against an infection or a side effect.
    direction: Literal["suppressant", "stimulant", "both", "neither"]
    indications: tuple[Text, ...] = ()
    note: str = ""
    molar_mass: FactCard
    #: International units in a mass, for drugs that are dosed in them, such as IU/mg.
    specific_activity: FactCard | None = None
    pk: PkCard | None = None
    #: Routes of a drug without kinetics, so that its doses can still be written.
    routes: tuple[Name, ...] = ()
    targets: dict[Name, TargetActionCard] = Field(default_factory=dict)
    regimens: dict[Name, RegimenCard] = Field(default_factory=dict)
    #: What changes with weight, renal function and the like, in words.
    adjustments: tuple[Text, ...] = ()
    harms: HarmsCard | None = None
    exposure_checks: tuple[ExposureCheckCard, ...] = ()

    @model_validator(mode="after")
    def _has_routes(self) -> Self:
        if self.pk is not None and self.routes:
            raise ValueError("'routes' is for drugs without 'pk'; use pk.routes")
        return self

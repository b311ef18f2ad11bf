"""What a drug is: kinetics with their spread, routes, targets and labelled regimens.

Every number is in the inside unit (day, nmol, L, nmol/L) and keeps the `Fact` it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import RangeError, ShapeError
from immunostat.base.facts import Fact
from immunostat.base.units import Measure

FloatArray = npt.NDArray[np.float64]


class EffectForm(StrEnum):
    """How a covariate changes a parameter."""

    POWER = "power"  #: times (covariate / reference) ** effect
    PROPORTIONAL = "proportional"  #: times 1 + effect * indicator
    FACTOR = "factor"  #: times effect ** indicator
    EXPONENTIAL = "exponential"  #: times exp(effect * (covariate - reference))
    LINEAR = "linear"  #: times 1 + effect * (covariate - reference)


@dataclass(frozen=True)
class CovariateEffect:
    """Effect of one covariate on one parameter.

    Parameters
    ----------
    covariate
        Name of the covariate; its unit is ``base.units.covariate_unit(covariate)`` if that is
        known there, else `unit`.
    form
        The formula, see `EffectForm`.
    effect
        Exponent, relative change or factor; no unit.
    reference
        Value at which the effect is none, in `unit`; 0 for indicators.
    unit
        Unit of the covariate and of `reference`.
    fact
        The number `effect` as the card prints it.
    follows
        Output of the model, such as ``core.crp``, that the effect follows in time; it is then part
        of the model and not of a patient's parameter.
    """

    covariate: str
    form: EffectForm
    effect: float
    reference: float
    unit: str
    fact: Fact
    reference_fact: Fact | None = None
    follows: str = ""

    def factor(self, values: FloatArray) -> FloatArray:
        """Factor on the parameter for covariate `values` in `unit`. Same shape, no unit."""
        if self.form is EffectForm.POWER:
            return np.asarray((values / self.reference) ** self.effect, dtype=np.float64)
        if self.form is EffectForm.PROPORTIONAL:
            return np.asarray(1.0 + self.effect * values, dtype=np.float64)
        if self.form is EffectForm.FACTOR:
            return np.asarray(self.effect**values, dtype=np.float64)
        if self.form is EffectForm.LINEAR:
            return np.asarray(1.0 + self.effect * (values - self.reference), dtype=np.float64)
        return np.asarray(np.exp(self.effect * (values - self.reference)), dtype=np.float64)


@dataclass(frozen=True)
class PkParameter:
    """One kinetic parameter of a drug.

    Parameters
    ----------
    name
        As in the model fragment, for example ``clearance``.
    value
        Typical value at the reference covariates, in `unit`.
    unit
        The inside unit.
    log_variance
        Variance of the normal random effect on the logarithm; 0 where patients do not differ.
        Of the random effect that is added, in the square of `unit`, if `is_normal`.
    covariates
        Effects that multiply the typical value.
    fact
        The number as the card prints it.
    """

    name: str
    value: float
    unit: str
    fact: Fact
    log_variance: float = 0.0
    covariates: tuple[CovariateEffect, ...] = ()
    is_normal: bool = False

    def typical(self, covariates: Mapping[str, FloatArray], n_patients: int) -> FloatArray:
        """Value of patients with these covariates and no random effect.

        Parameters
        ----------
        covariates
            Values by name; an effect whose covariate is missing here is taken at its reference.
            Shape (patient,).
        n_patients
            Length of the answer.

        Returns
        -------
        Shape (patient,), in `unit`.
        """
        values = np.full(n_patients, self.value)
        for effect in self.covariates:
            if effect.covariate in covariates and not effect.follows:
                values = values * effect.factor(covariates[effect.covariate])
        return values

    def individual(self, typical: FloatArray, random_effects: FloatArray) -> FloatArray:
        """Values of patients from their typical values and random effects. Shape (patient,)."""
        if self.is_normal:
            return typical + random_effects
        return typical * np.exp(random_effects)


@dataclass(frozen=True)
class Route:
    """A way into the body.

    Parameters
    ----------
    name
        ``subcutaneous``, ``intravenous``, ``oral``.
    into
        State of the model fragment that receives the dose; empty if the drug has no kinetics.
    over_day
        Duration of the zero-order input into that state, day; 0 for at once.
    bioavailability
        Fraction that arrives, as a parameter with spread; None means all.
    lag_day
        Time between the dose and the start of its input, day.
    over_fact, lag_fact
        Where the times came from.
    """

    name: str
    into: str
    over_day: float = 0.0
    bioavailability: PkParameter | None = None
    over_fact: Fact | None = None
    lag_day: float = 0.0
    lag_fact: Fact | None = None


@dataclass(frozen=True)
class TargetAction:
    """What a drug does to one target.

    Parameters
    ----------
    affinity
        Dissociation constant, IC50 or EC50, nmol/L.
    maximum
        Largest effect as a fraction; None for all of it.
    hill
        Slope of the effect.
    fraction_unbound
        Free share of the concentration, where the affinity is of the free drug.
    """

    target: str
    action: str
    affinity: float | None = None
    fact: Fact | None = None
    note: str = ""
    maximum: float | None = None
    hill: float = 1.0
    fraction_unbound: float = 1.0
    more_facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class LabelRegimen:
    """The labelled regimen of one situation, in the words of a study file without the drug."""

    situation: str
    label: str
    maximum: Measure | None = None
    source: str = ""
    where: str = ""
    checked: bool = False


@dataclass(frozen=True)
class Pk:
    """Kinetics of a drug: a model fragment and its parameters.

    Parameters
    ----------
    model
        Name of the Antimony module: that of the joined fragments, or of ``models/pk/MODEL.ant``.
    fragments
        The fragments that are joined; none for a model of the drug's own.
    parameters
        By name, in the order of the card.
    covariance
        Covariances of the random effects on the log scale, order of `parameters`. Shape
        (parameter, parameter).
    concentration
        Name of the model's concentration, nmol/L.
    molar_mass
        Of what the concentration measures, g/mol.
    signals
        What the model of the kinetics lets others read, in the order of its ports.
    """

    model: str
    parameters: Mapping[str, PkParameter]
    covariance: FloatArray
    concentration: str = "concentration"
    population: str = ""
    source: str = ""
    proportional_error: Fact | None = None
    additive_error_nmol_per_l: float = 0.0
    additive_error: Fact | None = None
    fragments: tuple[str, ...] = ()
    signals: tuple[str, ...] = ("concentration",)
    molar_mass: float = 0.0
    molar_mass_fact: Fact | None = None

    def individual(
        self, covariates: Mapping[str, FloatArray], random_effects: FloatArray
    ) -> dict[str, FloatArray]:
        """Parameters of each patient.

        Parameters
        ----------
        covariates
            By name. Shape (patient,).
        random_effects
            Draws with `covariance`. Shape (patient, parameter).

        Returns
        -------
        Values by parameter name. Shape (patient,), inside units.

        Raises
        ------
        ShapeError
            `random_effects` does not have one column per parameter.
        """
        if random_effects.ndim != 2 or random_effects.shape[1] != len(self.parameters):
            raise ShapeError(
                f"random effects have shape {random_effects.shape}; "
                f"expected (patient, {len(self.parameters)})"
            )
        n = len(random_effects)
        return {
            name: parameter.individual(parameter.typical(covariates, n), random_effects[:, i])
            for i, (name, parameter) in enumerate(self.parameters.items())
        }

    def random_effects(self, normals: FloatArray) -> FloatArray:
        """Independent standard normal draws made to have `covariance`.

        Parameters
        ----------
        normals
            Shape (patient, parameter).

        Raises
        ------
        RangeError
            The covariance is not positive semidefinite.
        """
        return normals @ covariance_root(self.covariance).T


def covariance_root(covariance: FloatArray) -> FloatArray:
    """A matrix whose product with its transpose is `covariance`, rows of zero variance allowed.

    Raises
    ------
    RangeError
        The matrix is not positive semidefinite.

    Source
    ------
    definition (eigenvalue decomposition)
    """
    values, vectors = np.linalg.eigh(covariance)
    if values.size and values[0] < -1e-9 * max(1.0, float(values[-1])):
        raise RangeError(
            f"covariance of random effects has the negative eigenvalue {values[0]:.3g}; "
            "it must be positive semidefinite"
        )
    # Signs are fixed so that the same draws give the same patients on every machine.
    signs = np.where(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))] < 0, -1.0, 1.0)
    root: FloatArray = vectors * signs * np.sqrt(np.clip(values, 0.0, None))
    return root


@dataclass(frozen=True)
class Drug:
    """A drug of the catalog.

    Parameters
    ----------
    name
        Key of the catalog, lower case, for example ``adalimumab``.
    molar_mass
        g/mol.
    pk
        Kinetics; None for a drug whose doses are known but whose concentrations are not computed.
    routes
        By name.
    targets
        By name of the target.
    regimens
        Labelled regimens by situation.
    iu_per_nmol
        Activity of an amount, for doses in international units; None if the card has none.
    """

    name: str
    title: str
    drug_class: str
    modality: str
    direction: str
    molar_mass: float
    molar_mass_fact: Fact
    pk: Pk | None = None
    routes: Mapping[str, Route] = field(default_factory=lambda: MappingProxyType({}))
    targets: Mapping[str, TargetAction] = field(default_factory=lambda: MappingProxyType({}))
    regimens: Mapping[str, LabelRegimen] = field(default_factory=lambda: MappingProxyType({}))
    boxed_harms: tuple[str, ...] = ()
    atc: str = ""
    source_keys: tuple[str, ...] = ()
    iu_per_nmol: float | None = None
    specific_activity_fact: Fact | None = None

    @property
    def prefix(self) -> str:
        """What names of the drug begin with in a model: its name with '-' as '_'."""
        return self.name.replace("-", "_")

    def state(self, route: str) -> str:
        """Name in the composed model of the state that doses by `route` enter."""
        return f"{self.prefix}_{self.routes[route].into}"

    def facts(self) -> Iterator[Fact]:
        """Every number of the drug that a simulation can rest on."""
        yield self.molar_mass_fact
        if self.specific_activity_fact:
            yield self.specific_activity_fact
        if self.pk:
            if self.pk.molar_mass_fact:
                yield self.pk.molar_mass_fact
            for parameter in self.pk.parameters.values():
                yield from _parameter_facts(parameter)
            for fact in (self.pk.proportional_error, self.pk.additive_error):
                if fact:
                    yield fact
        for route in self.routes.values():
            for own in (route.over_fact, route.lag_fact):
                if own:
                    yield own
            if route.bioavailability:
                yield from _parameter_facts(route.bioavailability)
        for action in self.targets.values():
            if action.fact:
                yield action.fact
            yield from action.more_facts


def _parameter_facts(parameter: PkParameter) -> Iterator[Fact]:
    yield parameter.fact
    for effect in parameter.covariates:
        yield effect.fact

"""What a population is said to be: covariates, their spread and correlations, and formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from immunostat.base.errors import InputError, UnknownNameError, near_matches
from immunostat.model.system import FloatArray


class Distribution(StrEnum):
    """How a covariate is spread between patients."""

    NORMAL = "normal"
    LOGNORMAL = "lognormal"
    UNIFORM = "uniform"
    BERNOULLI = "bernoulli"
    CONSTANT = "constant"
    DERIVED = "derived"


class MomentsOf(StrEnum):
    """Which distribution has the stated mean and standard deviation."""

    TRUNCATED = (
        "truncated"  #: the one within low and high, as a baseline table of admitted patients
    )
    PARENT = "parent"  #: the one before truncation


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation, or probability, of a covariate in one group of patients.

    Parameters
    ----------
    mean, sd
        Arithmetic mean and standard deviation on the natural scale, as a baseline table prints
        them, also for a lognormal covariate; in the unit of the covariate.
    probability
        Probability of the value 1, for a Bernoulli covariate.
    """

    mean: float | None = None
    sd: float | None = None
    probability: float | None = None


@dataclass(frozen=True)
class CovariateSpec:
    """One covariate of a population.

    Parameters
    ----------
    name
        Name of the covariate, for example ``weight``; binary ones are named for their value 1
        (``female``).
    distribution
        Family of the spread.
    mean, sd, probability
        See `Moments`; ``mean`` is the value of a constant.
    low, high
        Limits of what a patient may have (entry criteria, physiology); the ends of a uniform
        covariate. In the unit of the covariate.
    moments_of
        Whether `mean` and `sd` are those within the limits (default) or before truncation.
    by
        Name of a binary covariate that stands earlier in the population and has its own moments
        for each value, for example ``female`` for ``weight``.
    groups
        Moments where `by` is 0 and where it is 1.
    formula
        Name in `FORMULAS` of a derived covariate; empty takes `name`.
    unit
        Unit of the values (a label; formulas state the units that they expect).
    """

    name: str
    distribution: Distribution
    mean: float | None = None
    sd: float | None = None
    probability: float | None = None
    low: float = -math.inf
    high: float = math.inf
    moments_of: MomentsOf = MomentsOf.TRUNCATED
    by: str = ""
    groups: tuple[Moments, Moments] | None = None
    formula: str = ""
    unit: str = "1"

    def __post_init__(self) -> None:
        object.__setattr__(self, "distribution", Distribution(self.distribution))
        object.__setattr__(self, "moments_of", MomentsOf(self.moments_of))
        if not self.low < self.high:
            raise InputError(f"covariate '{self.name}': low {self.low} is not below {self.high}")
        if bool(self.by) != (self.groups is not None):
            raise InputError(
                f"covariate '{self.name}' gives only one of 'by' and its two groups",
                remedy="give both or neither",
            )
        if self.distribution is Distribution.DERIVED:
            formula_of(self)
            return
        for moments in self.all_moments:
            self._check(moments)

    @property
    def all_moments(self) -> tuple[Moments, ...]:
        """Moments of each group, or of everybody."""
        return self.groups or (Moments(self.mean, self.sd, self.probability),)

    @property
    def is_random(self) -> bool:
        """Whether the covariate is drawn, so that it can be correlated with others."""
        return self.distribution not in (Distribution.CONSTANT, Distribution.DERIVED)

    def _check(self, moments: Moments) -> None:
        """Refuse moments that the distribution cannot have."""
        who, kind = f"covariate '{self.name}' ({self.distribution})", self.distribution
        if kind is Distribution.BERNOULLI:
            if moments.probability is None or not 0 <= moments.probability <= 1:
                raise InputError(f"{who} needs a probability between 0 and 1")
        elif kind is Distribution.CONSTANT:
            if moments.mean is None:
                raise InputError(f"{who} needs a mean, which is its value")
        elif kind is Distribution.UNIFORM:
            if not (math.isfinite(self.low) and math.isfinite(self.high)):
                raise InputError(f"{who} needs low and high")
        else:
            if moments.mean is None or moments.sd is None or moments.sd < 0:
                raise InputError(
                    f"{who} needs a mean and a standard deviation that is not negative"
                )
            if kind is Distribution.LOGNORMAL and (moments.mean <= 0 or self.high <= 0):
                raise InputError(f"{who} needs a positive mean and a positive upper limit")
            if not self.low <= moments.mean <= self.high:
                raise InputError(
                    f"{who}: mean {moments.mean} lies outside {self.low} to {self.high}"
                )


@dataclass(frozen=True)
class Correlation:
    """Correlation of the normal scores of two covariates (Gaussian copula).

    For two normal covariates without limits it is the ordinary correlation; limits and skewed
    distributions make the ordinary correlation of the values a little smaller.
    """

    of: tuple[str, str]
    correlation: float


@dataclass(frozen=True)
class PopulationSpec:
    """Covariates of a population and their correlations.

    Parameters
    ----------
    covariates
        In an order in which a `by` and the inputs of a formula come before their use.
    correlations
        Pairs that are not listed are independent.
    """

    covariates: tuple[CovariateSpec, ...]
    correlations: tuple[Correlation, ...] = ()

    def __post_init__(self) -> None:
        known: dict[str, CovariateSpec] = {}
        for spec in self.covariates:
            if spec.name in known:
                raise InputError(f"covariate '{spec.name}' stands twice in the population")
            for needed in _needs(spec):
                if needed not in known:
                    raise UnknownNameError(
                        f"covariate '{spec.name}' needs '{needed}', which does not stand before it",
                        remedy=near_matches(needed, known),
                    )
            if spec.by and known[spec.by].distribution is not Distribution.BERNOULLI:
                raise InputError(f"covariate '{spec.name}': '{spec.by}' is not binary")
            known[spec.name] = spec
        for pair in self.correlations:
            for name in pair.of:
                if name not in known:
                    raise UnknownNameError(
                        f"correlation of unknown covariate '{name}'",
                        remedy=near_matches(name, known),
                    )
                if not known[name].is_random:
                    raise InputError(f"covariate '{name}' is not drawn and cannot be correlated")
            if pair.of[0] == pair.of[1] or not -1 <= pair.correlation <= 1:
                raise InputError(f"correlation {pair.correlation} of {pair.of} is not possible")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the covariates, in order."""
        return tuple(spec.name for spec in self.covariates)


@dataclass(frozen=True)
class Formula:
    """A covariate that follows from others.

    Parameters
    ----------
    inputs
        Names of the covariates, in the order of the function's arguments.
    input_units
        Unit in which each input must be given.
    function
        Arrays of shape (patient,) to one array of shape (patient,).
    unit
        Unit of the result.
    source
        Where the formula stands.
    """

    inputs: tuple[str, ...]
    input_units: tuple[str, ...]
    function: Callable[..., FloatArray]
    unit: str
    source: str


def formula_of(spec: CovariateSpec) -> Formula:
    """Formula of a derived covariate.

    Raises
    ------
    UnknownNameError
        There is no formula of that name.
    """
    name = spec.formula or spec.name
    if name not in FORMULAS:
        raise UnknownNameError(
            f"covariate '{spec.name}': no formula '{name}'", remedy=near_matches(name, FORMULAS)
        )
    return FORMULAS[name]


def body_surface_area(weight: FloatArray, height: FloatArray) -> FloatArray:
    """Body surface area by Mosteller, m^2, from weight in kg and height in cm. Shape (patient,)."""
    return np.asarray(np.sqrt(weight * height / 3600.0))


def body_mass_index(weight: FloatArray, height: FloatArray) -> FloatArray:
    """Body mass index, kg/m^2, from weight in kg and height in cm. Shape (patient,)."""
    return np.asarray(weight / (height / 100.0) ** 2)


def creatinine_clearance(
    age: FloatArray, weight: FloatArray, serum_creatinine: FloatArray, female: FloatArray
) -> FloatArray:
    """Creatinine clearance by Cockcroft and Gault, mL/min, not per body surface.

    Age in year, weight in kg, serum creatinine in mg/dL, female 0 or 1. Shape (patient,).
    """
    male = (140.0 - age) * weight / (72.0 * serum_creatinine)
    return np.asarray(male * np.where(female > 0, 0.85, 1.0))


def fat_free_mass(weight: FloatArray, height: FloatArray, female: FloatArray) -> FloatArray:
    """Fat-free mass by Janmahasatian, kg, from weight in kg, height in cm, female 0 or 1."""
    index = body_mass_index(weight, height)
    divisor = np.where(female > 0, 8780.0 + 244.0 * index, 6680.0 + 216.0 * index)
    return np.asarray(9270.0 * weight / divisor)


def log_rheumatoid_factor(rheumatoid_factor: FloatArray) -> FloatArray:
    """Natural logarithm of the rheumatoid factor in U/mL. Shape (patient,)."""
    return np.asarray(np.log(rheumatoid_factor))


#: Formulas of derived covariates, by name.
FORMULAS: Mapping[str, Formula] = {
    "body_surface_area": Formula(
        ("weight", "height"),
        ("kg", "cm"),
        body_surface_area,
        "m^2",
        "Mosteller RD, N Engl J Med 1987;317:1098",
    ),
    "body_mass_index": Formula(
        ("weight", "height"), ("kg", "cm"), body_mass_index, "kg/m^2", "definition"
    ),
    "creatinine_clearance": Formula(
        ("age", "weight", "serum_creatinine", "female"),
        ("year", "kg", "mg/dL", "1"),
        creatinine_clearance,
        "mL/min",
        "Cockcroft DW, Gault MH, Nephron 1976;16:31-41",
    ),
    "fat_free_mass": Formula(
        ("weight", "height", "female"),
        ("kg", "cm", "1"),
        fat_free_mass,
        "kg",
        "Janmahasatian S et al., Clin Pharmacokinet 2005;44:1051-1065",
    ),
    "log_rheumatoid_factor": Formula(
        ("rheumatoid_factor",), ("U/mL",), log_rheumatoid_factor, "1", "definition"
    ),
}


def _needs(spec: CovariateSpec) -> tuple[str, ...]:
    """Covariates that must be known before this one."""
    if spec.distribution is Distribution.DERIVED:
        return formula_of(spec).inputs
    return (spec.by,) if spec.by else ()

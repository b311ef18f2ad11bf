"""Draws patients: covariates with limits and correlations, parameters around typical values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from immunostat.base import streams
from immunostat.base.errors import InputError, RangeError, ShapeError
from immunostat.model.system import FloatArray
from immunostat.population.covariance import repair_covariance, semidefinite_cholesky
from immunostat.population.patients import (
    CovariateSpec,
    Distribution,
    Moments,
    MomentsOf,
    PopulationSpec,
    formula_of,
)
from immunostat.population.sampling import RandomSampler, Sampler

if TYPE_CHECKING:
    import pandas as pd


def covariate_purposes(spec: PopulationSpec) -> tuple[str, ...]:
    """What the random numbers of each drawn covariate are for, in the order of the population."""
    return tuple(f"covariate:{own.name}" for own in spec.covariates if own.is_random)


def sample_covariates(
    spec: PopulationSpec,
    seed: int,
    patients: npt.ArrayLike,
    sampler: Sampler | None = None,
    person: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Draw the covariates of patients.

    Correlated standard normals (Gaussian copula) go through the inverse distribution function of
    each covariate, truncated at its limits. One number is used per patient and covariate, named
    after the covariate, so a patient does not depend on the others, and a covariate that is added
    last changes no earlier one.

    Parameters
    ----------
    spec
        The population.
    seed
        Seed of the study.
    patients
        Number of each patient. Shape (patient,).
    sampler
        Where the normal numbers come from, by purpose (see `covariate_purposes`); counter-based
        random numbers of the seed if None.
    person
        Covariates that are the same in everybody, by name, in their units; the others are drawn as
        in people who have these. See `likeness`.

    Returns
    -------
    One row per patient (index ``patient``), one column per covariate in the order of `spec`, in
    the unit of each covariate; binary covariates are 0.0 or 1.0.

    Raises
    ------
    RangeError
        No distribution of the family has the stated moments within the limits, or the correlations
        cannot exist together.

    Source
    ------
    Inversion and Gaussian copula ("definition"); `lognormal_of_moments`, `truncated_moments`.
    """
    import pandas as pd

    numbers = np.asarray(patients)
    random = [covariate.name for covariate in spec.covariates if covariate.is_random]
    scores = np.empty((len(numbers), len(random)))
    source = sampler or RandomSampler(seed)
    for j, purpose in enumerate(covariate_purposes(spec)):
        scores[:, j] = source.normal(purpose, numbers)
    if spec.correlations:
        scores = correlated(
            scores, random, [(pair.of, pair.correlation) for pair in spec.correlations]
        )
    values = _values_of(spec, random, scores, person or {})
    if person and spec.correlations:
        from immunostat.population.likeness import scores_of_likes

        pairs = [(pair.of, pair.correlation) for pair in spec.correlations]
        scores = scores_of_likes(spec, random, scores, values, person, pairs)
        values = _values_of(spec, random, scores, person)
    return pd.DataFrame(values, index=pd.Index(numbers, name="patient"), columns=list(spec.names))


def _values_of(
    spec: PopulationSpec, random: Sequence[str], scores: FloatArray, person: Mapping[str, float]
) -> dict[str, FloatArray]:
    """Covariates from scores, in the order of the population. Each (patient,)."""
    values: dict[str, FloatArray] = {}
    for covariate in spec.covariates:
        if covariate.name in person:
            values[covariate.name] = np.full(len(scores), float(person[covariate.name]))
            continue
        if covariate.distribution is Distribution.DERIVED:
            formula = formula_of(covariate)
            values[covariate.name] = formula.function(*(values[name] for name in formula.inputs))
            continue
        is_random = covariate.is_random
        score = scores[:, random.index(covariate.name)] if is_random else np.zeros(len(scores))
        values[covariate.name] = covariate_of_scores(covariate, score, values)
    return values


def covariate_of_scores(
    covariate: CovariateSpec, scores: FloatArray, values: Mapping[str, FloatArray]
) -> FloatArray:
    """Values of a drawn covariate; `values` holds the covariate that tells its groups apart."""
    if covariate.groups is None:
        return _from_scores(covariate, covariate.all_moments[0], scores)
    of_zero, of_one = (_from_scores(covariate, own, scores) for own in covariate.groups)
    return np.asarray(np.where(values[covariate.by] > 0, of_one, of_zero))


def correlated(
    scores: FloatArray,
    names: Sequence[str],
    correlations: Sequence[tuple[tuple[str, str], float]],
) -> FloatArray:
    """Standard normal numbers with correlations, from independent ones.

    A column depends on itself and on earlier ones, so what is added last changes nothing before it.

    Parameters
    ----------
    scores
        Independent numbers. Shape (patient, name).
    names
        Names of the columns.
    correlations
        Pairs of names with their correlation; other pairs are independent.

    Raises
    ------
    RangeError
        The correlations cannot exist together.
    """
    factor = semidefinite_cholesky(correlation_matrix(names, correlations))
    return np.asarray(scores @ factor.T)


def correlation_matrix(
    names: Sequence[str], correlations: Sequence[tuple[tuple[str, str], float]]
) -> FloatArray:
    """Correlations of all names, repaired where they cannot exist together. Shape (name, name)."""
    matrix = np.eye(len(names))
    order = list(names)
    for of, correlation in correlations:
        i, j = order.index(of[0]), order.index(of[1])
        matrix[i, j] = matrix[j, i] = correlation
    return np.asarray(repair_covariance(names, matrix).covariance)


def sample_parameters(
    names: Sequence[str],
    typical: npt.ArrayLike,
    covariance: npt.ArrayLike,
    seed: int,
    purpose: str,
    patients: npt.ArrayLike,
) -> FloatArray:
    """Draw parameters that are lognormal around typical values.

    Parameters
    ----------
    names
        Names of the parameters; each names its own stream, so a parameter that is added last
        changes no earlier one.
    typical
        Typical values (medians), positive, the same for all or already adjusted to each patient's
        covariates. Shape (parameter,) or (patient, parameter), in the unit of each parameter.
    covariance
        Covariance of the random effects on the natural log scale; a zero variance leaves the
        typical value. Shape (parameter, parameter), no unit.
    seed
        Seed of the study.
    purpose
        What the parameters belong to, for example ``"pk:adalimumab"``.
    patients
        Number of each patient. Shape (patient,).

    Returns
    -------
    Values in the unit of `typical`. Shape (patient, parameter).

    Raises
    ------
    ShapeError
        The shapes do not belong together.
    RangeError
        A typical value is not positive, or the covariance is not one (see `repair_covariance`,
        which also tells what was repaired).

    Source
    ------
    Lognormal random effects exp(eta), eta normal with mean 0 ("definition").
    """
    numbers = np.asarray(patients)
    center = np.asarray(typical, dtype=np.float64)
    if center.shape not in ((len(names),), (len(numbers), len(names))):
        raise ShapeError(
            f"typical values have shape {center.shape}; expected ({len(names)},) or "
            f"({len(numbers)}, {len(names)}) for '{purpose}'"
        )
    if not np.all(center > 0):
        bad = names[int(np.argwhere(~(center > 0))[0][-1])]
        raise RangeError(f"typical value of '{bad}' ({purpose}) is not positive")
    factor = semidefinite_cholesky(repair_covariance(names, covariance).covariance)
    scores = np.empty((len(numbers), len(names)))
    for j, name in enumerate(names):
        scores[:, j] = streams.normal(seed, f"{purpose}:{name}", numbers)[:, 0]
    return np.asarray(center * np.exp(scores @ factor.T))


class EffectForm(StrEnum):
    """How a covariate multiplies a parameter."""

    POWER = "power"  #: (x / reference) ** effect
    PROPORTIONAL = "proportional"  #: 1 + effect * indicator
    FACTOR = "factor"  #: effect ** indicator
    EXPONENTIAL = "exponential"  #: exp(effect * (x - reference) / per)
    LINEAR = "linear"  #: 1 + effect * (x - reference) / per


def covariate_effect(
    form: EffectForm | str,
    values: npt.ArrayLike,
    effect: float,
    reference: float = 0.0,
    per: float = 1.0,
) -> FloatArray:
    """Factor by which a covariate multiplies a parameter.

    Parameters
    ----------
    form
        See `EffectForm`.
    values
        The covariate; an indicator is 0 or 1. Shape (patient,).
    effect
        Size of the effect; exponent, relative change or factor, by the form.
    reference
        Value of the covariate at which the factor is 1, in the unit of `values`.
    per
        Step of the covariate to which `effect` belongs, in the unit of `values`.

    Returns
    -------
    Factors, not negative. Shape (patient,), no unit.

    Raises
    ------
    RangeError
        A power of a value or reference that is not positive, or a factor below zero.

    Source
    ------
    "definition"; the forms are those of published population models.

    Examples
    --------
    >>> covariate_effect("power", [35.0, 70.0], 0.75, reference=70.0).round(3)
    array([0.595, 1.   ])
    """
    x, kind = np.asarray(values, dtype=np.float64), EffectForm(form)
    if kind is EffectForm.POWER:
        if reference <= 0 or np.any(x <= 0):
            raise RangeError("a power effect needs a positive covariate and reference")
        result = (x / reference) ** effect
    elif kind is EffectForm.PROPORTIONAL:
        result = 1.0 + effect * x
    elif kind is EffectForm.FACTOR:
        if effect <= 0:
            raise RangeError(f"a factor effect must be positive, not {effect}")
        result = effect**x
    elif kind is EffectForm.EXPONENTIAL:
        result = np.exp(effect * (x - reference) / per)
    else:
        result = 1.0 + effect * (x - reference) / per
    if np.any(result < 0):
        raise RangeError(
            f"a {kind} effect of {effect} makes a parameter negative at covariate {x.min()} to "
            f"{x.max()}"
        )
    return np.asarray(result, dtype=np.float64)


def lognormal_of_moments(mean: float, sd: float) -> tuple[float, float]:
    """Mean and standard deviation of the logarithm, from those of the value.

    Parameters
    ----------
    mean, sd
        On the natural scale, as a baseline table prints them; mean positive.

    Returns
    -------
    Mean and standard deviation of the natural logarithm.

    Source
    ------
    "definition": sigma^2 = ln(1 + sd^2/mean^2), mu = ln(mean) - sigma^2/2.
    """
    variance = math.log1p((sd / mean) ** 2)
    return math.log(mean) - variance / 2.0, math.sqrt(variance)


def truncated_moments(
    is_log: bool, mu: float, sigma: float, low: float, high: float
) -> tuple[float, float]:
    """Mean and standard deviation of a normal or lognormal within limits.

    Parameters
    ----------
    is_log
        Whether mu and sigma belong to the logarithm of the value.
    mu, sigma
        Mean and standard deviation before truncation.
    low, high
        Limits of the value (natural scale).

    Returns
    -------
    Mean and standard deviation on the natural scale.

    Source
    ------
    Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions, 2nd ed., vol. 1, sections
    13.10.1 (normal) and 14.6 (lognormal).
    """
    from scipy.special import ndtr

    if is_log:
        a = (math.log(low) - mu) / sigma if low > 0 else -math.inf
        b = (math.log(high) - mu) / sigma if math.isfinite(high) else math.inf
    else:
        a, b = (low - mu) / sigma, (high - mu) / sigma

    def mass(shift: float) -> float:
        left, right = a - shift, b - shift
        if left > 0:  # the upper tail, where 1 - ndtr loses its digits
            left, right = -right, -left
        return float(ndtr(right) - ndtr(left))

    whole = max(mass(0.0), 1e-300)
    if is_log:
        first = math.exp(mu + sigma**2 / 2) * mass(sigma) / whole
        second = math.exp(2 * mu + 2 * sigma**2) * mass(2 * sigma) / whole
        return first, math.sqrt(max(second - first**2, 0.0))
    at_a, at_b = (math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) for x in (a, b))
    shift = (at_a - at_b) / whole
    edges = (a * at_a if at_a else 0.0) - (b * at_b if at_b else 0.0)
    return mu + sigma * shift, sigma * math.sqrt(max(1.0 + edges / whole - shift**2, 0.0))


@lru_cache(maxsize=4096)
def _parent(name: str, is_log: bool, own: Moments, low: float, high: float) -> tuple[float, float]:
    """Mean and spread of the untruncated normal whose truncation has the moments of a table."""
    from scipy.optimize import least_squares

    assert own.mean is not None
    assert own.sd is not None
    mean, sd = own.mean, own.sd
    start = lognormal_of_moments(mean, sd) if is_log else (mean, sd)

    def miss(x: FloatArray) -> list[float]:
        reached = truncated_moments(
            is_log, start[0] + x[0] * start[1], start[1] * math.exp(x[1]), low, high
        )
        return [(reached[0] - mean) / sd, (reached[1] - sd) / sd]

    found = least_squares(miss, [0.0, 0.0], bounds=([-30.0, -3.0], [30.0, 3.0]), xtol=1e-14)
    if max(abs(found.fun)) > 1e-6:  # of the standard deviation: far below what a table prints
        raise RangeError(
            f"covariate '{name}': no {'log' if is_log else ''}normal distribution within "
            f"{low} to {high} has mean {mean} and standard deviation {sd}; widen the limits, or "
            f"say that the moments are those before truncation (moments_of: parent)"
        )
    return start[0] + float(found.x[0]) * start[1], start[1] * math.exp(float(found.x[1]))


def _from_scores(covariate: CovariateSpec, own: Moments, scores: FloatArray) -> FloatArray:
    """Values of a covariate whose standard normal scores are given. Shape (patient,)."""
    from scipy.special import ndtr, ndtri

    kind, low, high = covariate.distribution, covariate.low, covariate.high
    if kind is Distribution.BERNOULLI:
        assert own.probability is not None
        return np.asarray(ndtr(-scores) < own.probability, dtype=np.float64)
    if kind is Distribution.UNIFORM:
        return np.asarray(low + (high - low) * ndtr(scores), dtype=np.float64)
    if own.mean is None:
        raise InputError(f"covariate '{covariate.name}' has no mean")
    if kind is Distribution.CONSTANT or not own.sd:
        return np.full(len(scores), own.mean)
    is_log = kind is Distribution.LOGNORMAL
    is_limited = math.isfinite(high) or low > (0.0 if is_log else -math.inf)
    if is_limited and covariate.moments_of is MomentsOf.TRUNCATED:
        mu, sigma = _parent(covariate.name, is_log, own, low, high)
    else:
        mu, sigma = lognormal_of_moments(own.mean, own.sd) if is_log else (own.mean, own.sd)
    inner_low, inner_high = low, high
    if is_log:
        inner_low = math.log(low) if low > 0 else -math.inf
        inner_high = math.log(high) if math.isfinite(high) else math.inf
    a, b, sign = (inner_low - mu) / sigma, (inner_high - mu) / sigma, 1.0
    if a > 0:  # work in the lower tail, where the distribution function keeps its digits
        a, b, sign = -b, -a, -1.0
    p_low, p_high = float(ndtr(a)), float(ndtr(b))
    inner = mu + sign * sigma * ndtri(p_low + (p_high - p_low) * ndtr(sign * scores))
    values = np.exp(inner) if is_log else inner
    return np.asarray(np.clip(values, low, high), dtype=np.float64)

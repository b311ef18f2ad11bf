"""Which parameters an output depends on: local elasticities, Morris, Sobol, and rank correlation.

Every method takes a function from factors to outputs, so that it can be tested on a function whose
answer is known; `trial_answer.TrialAnswer` is such a function for a study. Factors multiply
typical values, and all ranges are uniform on a logarithmic axis: halving and doubling are equal
steps.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immunostat.base import streams
from immunostat.base.errors import InputError
from immunostat.model.system import FloatArray
from immunostat.study.designs import (
    factors,
    generator,
    latin_hypercube,
    problem,
    whole_groups,
    with_base,
)
from immunostat.study.evaluations import Evaluate, Evaluated, Progress, Store, evaluate_rows
from immunostat.study.rank_correlation import prcc, tested
from immunostat.study.varied import Parameter

#: Step of the local method: small enough to be local, large enough to move a share of patients.
STEP = 1.1

#: Levels of the grid of Morris; 4 is usual (Campolongo 2007).
LEVELS = 4

#: Resamplings behind a confidence interval.
RESAMPLES = 200


@dataclass(frozen=True)
class Sensitivity:
    """The answer of a method.

    Parameters
    ----------
    method
        Key of `METHODS`.
    table
        One row per output and parameter, the most influential first: ``output``, ``parameter``,
        ``rank``, ``influence`` (what the rank goes by, `INFLUENCE` says what it is), the columns
        of the method, and the range with its reason.
    base
        Output of the unchanged model, by name.
    factors
        What was evaluated. Shape (row, parameter).
    evaluated
        What came of it.
    n_failed
        Rows that could not be used.
    """

    method: str
    table: pd.DataFrame
    base: Mapping[str, float]
    factors: FloatArray
    evaluated: Evaluated
    n_failed: int


#: What `influence` is, by method.
INFLUENCE: Mapping[str, str] = {
    "local": "largest change when this number alone goes to either end of its range",
    "morris": "mu*: mean size of the change when the number crosses its range, others anywhere",
    "sobol": "total index: share of the variance that would go if the number were known",
    "prcc": "size of the partial rank correlation",
}


def local_sensitivity(
    evaluate: Evaluate,
    parameters: Sequence[Parameter],
    *,
    step: float = STEP,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """Change one parameter at a time: a small step for the elasticity, both ends for the swing.

    Parameters
    ----------
    evaluate
        From factors to outputs: a number, or one value per patient.
    parameters
        What to vary, and over which range.
    step
        Factor of the small step, above 1.
    store, progress
        See `evaluate_rows`.

    Returns
    -------
    Columns of the method: ``elasticity`` (d ln output / d ln parameter, by central differences of
    logarithms; exact for a power law), ``slope`` (change of the output per doubling of the
    parameter, in its unit), ``slope_error`` (standard error of it from which patients were drawn;
    the same patients stand on both sides, so it holds no other chance), ``at_low``, ``at_high``.

    Source
    ------
    "definition"
    """
    if not step > 1:
        raise InputError(f"a step of {step:g} is not above 1")
    names = _names(parameters)
    k = len(names)
    design = np.ones((1 + 4 * k, k))
    for j, parameter in enumerate(parameters):
        design[1 + 4 * j : 5 + 4 * j, j] = (1 / step, step, parameter.low, parameter.high)
    found = evaluate_rows(evaluate, names, design, store=store, progress=progress)
    means = found.means
    rows = []
    for o, output in enumerate(found.outputs):
        base = float(means[0, o])
        for j, parameter in enumerate(parameters):
            first = 1 + 4 * j
            down, up, at_low, at_high = (float(x) for x in means[first : first + 4, o])
            paired = found.values[first + 1, o] - found.values[first, o]
            paired = paired[np.isfinite(paired)] / (2 * math.log2(step))
            error = float(paired.std(ddof=1)) / math.sqrt(len(paired)) if len(paired) > 1 else 0.0
            swings = [abs(end - base) for end in (at_low, at_high)]
            rows.append(
                _row(output, parameter, max(swings))
                | {
                    "elasticity": elasticity(down, base, up, step),
                    "slope": (up - down) / (2 * math.log2(step)),
                    "slope_error": error,
                    "base": base,
                    "at_low": at_low,
                    "at_high": at_high,
                }
            )
    return _answer("local", rows, found, design, int(np.isnan(means).any(axis=1).sum()))


def elasticity(down: float, base: float, up: float, step: float) -> float:
    """d ln y / d ln p from y at p/step, p and p*step; a power law gives its exponent exactly.

    Where y changes its sign within the step the slope is divided by the middle value instead.

    Examples
    --------
    >>> round(elasticity(1.1**-3, 1.0, 1.1**3, 1.1), 12)
    3.0
    """
    if not all(map(math.isfinite, (down, base, up))):
        return math.nan
    if down * up > 0 and down * base > 0:
        return (math.log(abs(up)) - math.log(abs(down))) / (2 * math.log(step))
    return (up - down) / (2 * math.log(step)) / base if base else math.nan


def morris_sensitivity(
    evaluate: Evaluate,
    parameters: Sequence[Parameter],
    *,
    samples: int = 10,
    seed: int = 1,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """Elementary effects along random paths, by SALib: which of many parameters matter at all.

    Parameters
    ----------
    samples
        Number of paths; each costs one evaluation more than there are parameters.
    seed
        Of the paths and of the resampling.

    Returns
    -------
    Columns of the method, in the unit of the output for a crossing of the whole range: ``mu``,
    ``mu_star``, ``mu_star_error`` (half width of its 95 % interval), ``sigma`` (large beside mu*
    where the effect is curved or depends on other parameters).

    Source
    ------
    Morris MD, Technometrics 1991;33:161-174; Campolongo F, Cariboni J, Saltelli A, Environ Model
    Softw 2007;22:1509-1518.
    """
    from SALib.analyze import morris as analyze
    from SALib.sample import morris as sample

    names, k = _names(parameters), len(parameters)
    cube = problem(k)
    unit = sample.sample(cube, samples, num_levels=LEVELS, seed=generator(seed, "morris"))
    design = with_base(factors(parameters, np.asarray(unit)))
    found = evaluate_rows(evaluate, names, design, store=store, progress=progress)
    rows, n_failed = [], 0
    for o, output in enumerate(found.outputs):
        y, kept = whole_groups(found.means[1:, o], k + 1)
        n_failed = max(n_failed, len(unit) - len(y))
        if len(y):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of constant outputs, whose effects are 0
                said = analyze.analyze(
                    cube,
                    np.asarray(unit)[kept],
                    y,
                    num_resamples=RESAMPLES,
                    num_levels=LEVELS,
                    seed=generator(seed, f"morris resampling {output}"),
                )
        for j, parameter in enumerate(parameters):
            mu, star, error, sigma = (
                float(said[name][j]) if len(y) else math.nan
                for name in ("mu", "mu_star", "mu_star_conf", "sigma")
            )
            own = {"mu": mu, "mu_star": star, "mu_star_error": error, "sigma": sigma}
            rows.append(_row(output, parameter, star) | own)
    return _answer("morris", rows, found, design, n_failed)


def sobol_sensitivity(
    evaluate: Evaluate,
    parameters: Sequence[Parameter],
    *,
    samples: int = 64,
    seed: int = 1,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """Shares of the variance of an output, by SALib: alone (first) and with others (total).

    Parameters
    ----------
    samples
        A power of two; the evaluations are that many times two more than there are parameters.

    Returns
    -------
    Columns of the method: ``first``, ``first_error``, ``total``, ``total_error`` (half widths of
    95 % intervals). First indices are noisy below a few hundred samples and can then be negative.

    Raises
    ------
    InputError
        `samples` is no power of two.

    Source
    ------
    Saltelli A et al., Comput Phys Commun 2010;181:259-270.
    """
    from SALib.analyze import sobol as analyze
    from SALib.sample import sobol as sample

    if samples < 2 or samples & (samples - 1):
        near = 2 ** max(1, round(math.log2(max(samples, 2))))
        raise InputError(f"{samples} samples are no power of two", remedy=f"for example {near}")
    names, k = _names(parameters), len(parameters)
    cube = problem(k)
    unit = np.asarray(
        sample.sample(
            cube, samples, calc_second_order=False, seed=generator(seed, "sobol sequence")
        )
    )
    design = with_base(factors(parameters, unit))
    found = evaluate_rows(evaluate, names, design, store=store, progress=progress)
    rows, n_failed = [], 0
    for o, output in enumerate(found.outputs):
        y, _ = whole_groups(found.means[1:, o], k + 2)
        n_failed = max(n_failed, len(unit) - len(y))
        is_flat = not len(y) or float(np.ptp(y)) == 0.0
        if not is_flat:
            # Nonzero: SALib takes a seed of 0 for none.
            word = int(streams.words(seed, f"sobol resampling {output}", np.array([0]))[0, 0])
            said = analyze.analyze(
                cube,
                y,
                calc_second_order=False,
                num_resamples=RESAMPLES,
                seed=word | 1,
            )
        for j, parameter in enumerate(parameters):
            s1, e1, st, et = (
                float(said[name][j]) if not is_flat else (0.0 if len(y) else math.nan)
                for name in ("S1", "S1_conf", "ST", "ST_conf")
            )
            own = {"first": s1, "first_error": e1, "total": st, "total_error": et}
            rows.append(_row(output, parameter, st) | own)
    return _answer("sobol", rows, found, design, n_failed)


def prcc_sensitivity(
    evaluate: Evaluate,
    parameters: Sequence[Parameter],
    *,
    samples: int | None = None,
    seed: int = 1,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """Partial rank correlation over a Latin hypercube: direction and strength of monotone effects.

    Parameters
    ----------
    samples
        Number of evaluations, more than there are parameters and two; if None 100, or four times
        the parameters if that is more.

    Returns
    -------
    Columns of the method: ``prcc``, its 95 % interval ``low`` to ``high`` (Fisher's z, one degree
    of freedom less for each other parameter), ``p`` (two-sided, no correction for many tests).

    Raises
    ------
    InputError
        Too few samples.

    Source
    ------
    Marino S et al., J Theor Biol 2008;254:178-196.
    """
    names, k = _names(parameters), len(parameters)
    samples = max(100, 4 * k) if samples is None else samples
    if samples < k + 4:
        raise InputError(
            f"{samples} samples are too few for {k} parameters",
            remedy=f"at least {k + 4}, better {4 * k}",
        )
    unit = latin_hypercube(samples, k, seed)
    design = with_base(factors(parameters, unit))
    found = evaluate_rows(evaluate, names, design, store=store, progress=progress)
    rows, n_failed = [], 0
    for o, output in enumerate(found.outputs):
        y = found.means[1:, o]
        known = np.isfinite(y)
        n = int(known.sum())
        n_failed = max(n_failed, samples - n)
        enough = n >= k + 4
        r = prcc(unit[known], y[known]) if enough else np.full(k, np.nan)
        for j, parameter in enumerate(parameters):
            rows.append(_row(output, parameter, abs(float(r[j]))) | tested(float(r[j]), n, k))
    return _answer("prcc", rows, found, design, n_failed)


#: Methods by name.
METHODS: Mapping[str, Callable[..., Sensitivity]] = {
    "local": local_sensitivity,
    "morris": morris_sensitivity,
    "sobol": sobol_sensitivity,
    "prcc": prcc_sensitivity,
}


def with_sensitivity(
    assumptions: pd.DataFrame, table: pd.DataFrame, output: str | None = None
) -> pd.DataFrame:
    """The assumptions of a result with how much an output depends on each, where that is known.

    Parameters
    ----------
    assumptions
        `Result.assumptions`.
    table
        `Sensitivity.table`, as it is or read back from ``sensitivity.csv``.
    output
        Whose sensitivities; the first of the table if None.

    Returns
    -------
    All rows, with the columns ``sensitivity`` (the influence) and ``sensitivity_of`` (output,
    range and method), empty where the number was not varied; the most influential first.

    Raises
    ------
    InputError
        The table has no such output.
    """
    known = list(dict.fromkeys(table["output"]))
    output = known[0] if output is None and known else output
    if output not in known:
        raise InputError(f"no sensitivity of '{output}'", remedy=f"known: {'; '.join(known)}")
    own = table[table["output"] == output]
    by_fact = {
        (str(row["card"]), str(row["dotted"])): (
            float(row["influence"]),
            f"{output} ({row['method']}, "
            f"{row['low_factor']:.3g} to {row['high_factor']:.3g} times)",
        )
        for row in own.to_dict("records")
    }
    facts = list(zip(assumptions["card"].astype(str), assumptions["name"].astype(str), strict=True))
    found = [by_fact.get(fact, (math.nan, "")) for fact in facts]
    merged = assumptions.assign(
        sensitivity=[value for value, _ in found], sensitivity_of=[text for _, text in found]
    )
    return merged.sort_values(
        "sensitivity", ascending=False, kind="stable", na_position="last", ignore_index=True
    )


def _names(parameters: Sequence[Parameter]) -> list[str]:
    names = [parameter.name for parameter in parameters]
    if not names:
        raise InputError("there is no parameter to vary")
    if len(set(names)) < len(names):
        raise InputError("a parameter is named twice")
    return names


def _row(output: str, parameter: Parameter, influence: float) -> dict[str, Any]:
    return {"output": output, "parameter": parameter.name, "rank": 0, "influence": influence} | {
        "low_factor": parameter.low,
        "high_factor": parameter.high,
        "range": parameter.because,
        "value": parameter.value,
        "unit": parameter.unit,
        "evidence": parameter.evidence,
        "card": parameter.card,
        "dotted": parameter.dotted,
    }


_LAST = ("low_factor", "high_factor", "range", "value", "unit", "evidence", "card", "dotted")


def _answer(
    method: str,
    rows: list[dict[str, Any]],
    found: Evaluated,
    design: FloatArray,
    n_failed: int,
) -> Sensitivity:
    table = pd.DataFrame(rows)
    order = {output: i for i, output in enumerate(found.outputs)}
    table = table.assign(place=table["output"].map(order)).sort_values(
        ["place", "influence"], ascending=[True, False], kind="stable", na_position="last"
    )
    table["rank"] = table.groupby("place").cumcount() + 1
    table["method"] = method
    columns = [name for name in table.columns if name not in (*_LAST, "place")]
    table = table[[*columns, *_LAST]].reset_index(drop=True)
    base = dict(zip(found.outputs, map(float, found.means[0]), strict=True))
    return Sensitivity(method, table, base, design, found, n_failed)

"""Benefit and harm of each arm on one scale: shares of patients, with a reader's own weights.

An outcome is something that happens to a patient or not: he reaches a yes-or-no endpoint, he has
a side effect. A weight says how much one patient more with an outcome counts. A measured endpoint,
and the rate of a side effect, count in proportion between a worst and a best value (linear partial
values). The sum over outcomes, against a reference arm, is the net benefit; its interval comes
from drawing patients anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from immunostat.base import streams
from immunostat.base.errors import InputError, UnknownNameError, near_matches
from immunostat.model.system import FloatArray
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.study.result import Result

BENEFIT, HARM = "benefit", "harm"

#: Grade from which a graded side effect counts.
SEVERE_GRADE = 3

#: Draws of patients behind an interval.
RESAMPLES = 500


@dataclass(frozen=True)
class Weight:
    """How much an outcome counts.

    Parameters
    ----------
    weight
        What one patient more with the outcome counts; of a value, what one patient counts who goes
        from `worst` to `best`.
    worst, best
        Values that count nothing and all, the outcome's unit; of a side effect its rate,
        1/(100 year). None for what happens or not.
    """

    weight: float
    worst: float | None = None
    best: float | None = None

    @property
    def is_scaled(self) -> bool:
        """Whether a value counts in proportion."""
        return self.worst is not None and self.best is not None


#: What a caller may give as the weight of an outcome.
Weighing = Mapping[str, "Weight | float"]


@dataclass(frozen=True)
class Outcome:
    """Something that happens to a patient or not, or that is measured.

    Parameters
    ----------
    name
        Of an endpoint or a side effect.
    kind
        `BENEFIT` for a goal, `HARM` for an event of the disease or a side effect.
    column
        Of ``result.patients``.
    says
        What counts, in words.
    is_endpoint
        Whether it is an endpoint of the study rather than a side effect.
    is_value
        Whether it is a measured value, which counts only between a worst and a best one.
    """

    name: str
    kind: str
    column: str
    says: str
    is_endpoint: bool = False
    is_value: bool = False

    def had(self, rows: pd.DataFrame) -> FloatArray:
        """Whether, or how probably, each patient has it; of a value, the value. Shape (patient,).

        Parameters
        ----------
        rows
            Of ``result.patients``.
        """
        values = rows[self.column].to_numpy(np.float64)
        if self.column.endswith(" events"):
            values = (values > 0).astype(np.float64)
        elif self.column.endswith(" grade"):
            values = (values >= SEVERE_GRADE).astype(np.float64)
        elif self.column.endswith(" day"):
            values = (~np.isnan(values)).astype(np.float64)
        return values


def outcomes(result: Result, with_values: bool = False) -> list[Outcome]:
    """Every yes-or-no endpoint and every side effect of a result.

    Parameters
    ----------
    with_values
        Also endpoints that are measured values, as benefits.
    """
    columns = set(map(str, result.rows("patients").columns))
    found = []
    kinds = result.endpoints.drop_duplicates("endpoint")[["endpoint", "statistic"]]
    avoided = set(result.run.get("avoided", ()))
    for name, statistic in kinds.astype(str).itertuples(index=False):
        if "proportion" in statistic and name in columns:
            kind = HARM if name in avoided else BENEFIT
            found.append(Outcome(name, kind, name, "patients with it at the end", True))
        elif f"{name} event" in columns:
            found.append(Outcome(name, HARM, f"{name} event", "patients with the event", True))
        elif f"{name} events" in columns:
            found.append(Outcome(name, HARM, f"{name} events", "patients with an event", True))
        elif f"{name} day" in columns:
            found.append(Outcome(name, HARM, f"{name} day", "patients with it by the end", True))
        elif with_values and f"{name} at end" in columns:
            column = f"{name} at end"
            found.append(Outcome(name, BENEFIT, column, "value at the end", True, True))
    for name in dict.fromkeys(result.side_effects["side_effect"].astype(str)):
        if f"{name} chance" in columns:
            found.append(Outcome(name, HARM, f"{name} chance", "chance of at least one"))
        elif f"{name} grade" in columns:
            says = f"patients with grade {SEVERE_GRADE} or more"
            found.append(Outcome(name, HARM, f"{name} grade", says))
    return found


def reference_arm(result: Result) -> str:
    """The arm without regimens of its own; the first where every arm has some."""
    arms = result.study.get("arms", {})
    return next((arm for arm in result.arms if not arms.get(arm)), result.arms[0])


def weighed(
    result: Result, weights: Weighing, reference: str, seed: int = 1
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What each arm gains and costs against a reference.

    Parameters
    ----------
    weights
        How much one patient more with an outcome counts, by its name; 0 where not given, and
        negative for a goal that is better not reached.
    reference
        An arm.
    seed
        Of the draws.

    Returns
    -------
    Parts: ``arm``, ``outcome``, ``kind`` (`BENEFIT` for endpoints, `HARM` for side effects),
    ``weight``, ``share`` (of patients, or mean partial value), ``difference``, ``value`` (what it
    adds to the net). Net: ``arm``, ``benefit`` (of all endpoints: goals reached, events spared),
    ``harm`` (of all side effects, positive if there are more), ``net`` with ``low`` and ``high``
    (95 %), the intervals ``benefit_low``, ``benefit_high``, ``harm_low``, ``harm_high``, and
    ``best`` (share of draws in which no arm is better).

    Raises
    ------
    InputError
        As `values_of`.
    """
    own_values = values_of(result, weights)
    chosen, scale = own_values.outcomes, own_values.scale
    shares = own_values.shares
    base = shares[reference].mean(axis=0)
    parts, rows = [], []
    is_gain = np.array([own.is_endpoint for own in chosen], dtype=bool)
    sides = np.column_stack([scale, np.where(is_gain, scale, 0.0), np.where(is_gain, 0.0, -scale)])
    draws = _drawn([shares[arm] @ sides for arm in result.arms], seed)
    draws = draws - draws[:, [result.arms.index(reference)]]
    for i, arm in enumerate(result.arms):
        means = shares[arm].mean(axis=0)
        for own, weight, share, change in zip(chosen, scale, means, means - base, strict=True):
            kind = BENEFIT if own.is_endpoint else HARM
            parts.append((arm, own.name, kind, abs(weight), share, change, weight * change))
        value = scale * (means - base)
        ends = np.quantile(draws[:, i], [0.025, 0.975], axis=0)
        sums = (value[is_gain].sum(), -value[~is_gain].sum(), value.sum())
        rows.append((arm, *sums, *ends[:, 0], *ends[:, 1], *ends[:, 2]))
    names = ["arm", "outcome", "kind", "weight", "share", "difference", "value"]
    columns = ["arm", "benefit", "harm", "net", "low", "high"]
    columns += ["benefit_low", "benefit_high", "harm_low", "harm_high"]
    net = pd.DataFrame(rows, columns=columns)
    best = draws[..., 0]
    net["best"] = (best >= best.max(axis=1, keepdims=True) - 1e-12).mean(axis=0)
    return pd.DataFrame(parts, columns=names), net


@dataclass(frozen=True)
class Values:
    """Every patient's partial values.

    Parameters
    ----------
    outcomes
        Those with a weight, in the order of the result.
    scale
        Weight of each, negative for harm. Shape (outcome,).
    shares
        Partial value of each outcome in each patient, by arm. Each (patient, outcome).
    """

    outcomes: tuple[Outcome, ...]
    scale: FloatArray
    shares: Mapping[str, FloatArray]


def values_of(result: Result, weights: Weighing) -> Values:
    """Every patient's partial values.

    Raises
    ------
    InputError
        A name is no outcome of the result, every weight is 0, or a measured value has no worst
        and best.
    """
    own = {
        name: weight if isinstance(weight, Weight) else Weight(float(weight))
        for name, weight in weights.items()
    }
    known = {outcome.name: outcome for outcome in outcomes(result, with_values=True)}
    for name, weight in own.items():
        if name not in known:
            raise UnknownNameError(
                f"the result has no outcome '{name}' that can be weighed",
                remedy=near_matches(name, known),
            )
        if weight.weight and known[name].is_value and not weight.is_scaled:
            raise InputError(
                f"'{name}' is a value, so its weight needs a worst and a best one",
                remedy=f"{name}: {{weight: {weight.weight:g}, worst: 0, best: -3}}",
            )
    chosen = tuple(one for one in known.values() if one.name in own and own[one.name].weight)
    if not chosen:
        raise InputError("every weight is 0", remedy="give an outcome of the result a weight")
    signs = np.array([1.0 if one.kind == BENEFIT else -1.0 for one in chosen])
    table = result.patients
    years = float(result.study.get("duration_day", DAYS_PER_YEAR)) / DAYS_PER_YEAR
    shares = {arm: _shares(table[table["arm"] == arm], chosen, own, years) for arm in result.arms}
    return Values(chosen, signs * np.array([own[one.name].weight for one in chosen]), shares)


def _shares(
    rows: pd.DataFrame, chosen: tuple[Outcome, ...], weights: Mapping[str, Weight], years: float
) -> FloatArray:
    """Partial value of each outcome in each patient; who is missing counts as without.

    Shape (patient, outcome).
    """
    found = np.zeros((len(rows), len(chosen)))
    for j, own in enumerate(chosen):
        weight = weights[own.name]
        values = own.had(rows)
        if weight.worst is not None and weight.best is not None:
            if own.kind == HARM and f"{own.name} expected" in rows:
                values = 100.0 * rows[f"{own.name} expected"].to_numpy(np.float64) / years
            values = (values - weight.worst) / (weight.best - weight.worst)
            # How much of the harm there is, as with shares.
            values = 1.0 - values if own.kind == HARM else values
        found[:, j] = np.nan_to_num(values)
    return found


def _drawn(values: Sequence[FloatArray], seed: int) -> FloatArray:
    """Means of each arm in patients drawn anew; the same draws in arms of as many patients.

    Shape (draw, arm, column).
    """
    found = np.empty((RESAMPLES, len(values), values[0].shape[1]))
    for draw in range(RESAMPLES):
        rows = resampled([len(own) for own in values], seed, draw)
        for i, own in enumerate(values):
            found[draw, i] = own[rows[i]].mean(axis=0)
    return found


def resampled(sizes: Sequence[int], seed: int, draw: int) -> list[npt.NDArray[np.int64]]:
    """Rows of the patients of each arm drawn anew; the same in all where all have as many."""
    is_paired = len(set(sizes)) == 1
    rows: list[npt.NDArray[np.int64]] = []
    for i, n in enumerate(sizes):
        if is_paired and rows:
            rows.append(rows[0])
            continue
        u = streams.uniform(seed, f"benefit and risk {draw}", np.arange(n) + i * 2**40)
        rows.append((np.asarray(u).reshape(-1) * n).astype(np.int64))
    return rows

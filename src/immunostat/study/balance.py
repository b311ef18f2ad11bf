"""Benefit and harm of each arm on one scale: shares of patients, with a reader's own weights.

Every outcome is something that happens to a patient or not: he reaches a yes-or-no endpoint, he has
a side effect. A weight says how much one patient more with an outcome counts. The sum over
outcomes, against a reference arm, is the net benefit; its interval comes from drawing patients
anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunostat.base import streams
from immunostat.model.system import FloatArray
from immunostat.study.result import Result

BENEFIT, HARM = "benefit", "harm"

#: Grade from which a graded side effect counts.
SEVERE_GRADE = 3

#: Draws of patients behind an interval.
RESAMPLES = 500


@dataclass(frozen=True)
class Outcome:
    """Something that happens to a patient or not.

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
    """

    name: str
    kind: str
    column: str
    says: str
    is_endpoint: bool = False


def outcomes(result: Result) -> list[Outcome]:
    """Every yes-or-no endpoint and every side effect of a result."""
    columns = set(map(str, result.rows("patients").columns))
    found = []
    kinds = result.endpoints.drop_duplicates("endpoint")[["endpoint", "statistic"]]
    for name, statistic in kinds.astype(str).itertuples(index=False):
        if "proportion" in statistic and name in columns:
            found.append(Outcome(name, BENEFIT, name, "patients with it at the end", True))
        elif f"{name} event" in columns:
            found.append(Outcome(name, HARM, f"{name} event", "patients with the event", True))
        elif f"{name} events" in columns:
            found.append(Outcome(name, HARM, f"{name} events", "patients with an event", True))
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
    result: Result, weights: Mapping[str, float], reference: str, seed: int = 1
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
    ``weight``, ``share``, ``difference``, ``value`` (what it adds to the net). Net: ``arm``,
    ``benefit`` (of all endpoints: goals reached, events spared), ``harm`` (of all side effects,
    positive if there are more), ``net`` with ``low`` and ``high`` (95 %), and ``best`` (share of
    draws in which no arm is better).
    """
    chosen = [own for own in outcomes(result) if weights.get(own.name, 0.0) != 0.0]
    table = result.patients
    shares = {arm: _shares(table[table["arm"] == arm], chosen) for arm in result.arms}
    base = shares[reference].mean(axis=0)
    signs = np.array([1.0 if own.kind == BENEFIT else -1.0 for own in chosen])
    scale = signs * np.array([weights[own.name] for own in chosen])
    parts, rows, draws = [], [], []
    is_paired = len({len(own) for own in shares.values()}) == 1
    for i, arm in enumerate(result.arms):
        means = shares[arm].mean(axis=0)
        for own, weight, share, change in zip(chosen, scale, means, means - base, strict=True):
            kind = BENEFIT if own.is_endpoint else HARM
            parts.append((arm, own.name, kind, abs(weight), share, change, weight * change))
        value = scale * (means - base)
        drawn = _drawn(shares[arm], shares[reference], scale, seed, 0 if is_paired else i)
        draws.append(drawn)
        is_gain = np.array([own.is_endpoint for own in chosen], dtype=bool)
        low, high = np.quantile(drawn, [0.025, 0.975]) if arm != reference else (0.0, 0.0)
        rows.append((arm, value[is_gain].sum(), -value[~is_gain].sum(), value.sum(), low, high))
    names = ["arm", "outcome", "kind", "weight", "share", "difference", "value"]
    net = pd.DataFrame(rows, columns=["arm", "benefit", "harm", "net", "low", "high"])
    best = np.stack(draws)
    net["best"] = (best >= best.max(axis=0) - 1e-12).mean(axis=1)
    return pd.DataFrame(parts, columns=names), net


def _shares(rows: pd.DataFrame, chosen: list[Outcome]) -> FloatArray:
    """Probability of each outcome in each patient; who is missing counts as without.

    Shape (patient, outcome).
    """
    found = np.zeros((len(rows), len(chosen)))
    for j, own in enumerate(chosen):
        values = rows[own.column].to_numpy(np.float64)
        if own.column.endswith(" events"):
            values = (values > 0).astype(np.float64)
        elif own.column.endswith(" grade"):
            values = (values >= SEVERE_GRADE).astype(np.float64)
        found[:, j] = np.nan_to_num(values)
    return found


def _drawn(
    own: FloatArray, reference: FloatArray, scale: FloatArray, seed: int, stream: int
) -> FloatArray:
    """Net benefit in patients drawn anew; the same draws in every arm of the same patients."""
    n, m = len(own), len(reference)
    found = np.empty(RESAMPLES)
    values, base = own @ scale, reference @ scale
    for k in range(RESAMPLES):
        u = streams.uniform(seed, f"benefit and risk {k}", np.arange(max(n, m)) + stream * 2**40)
        u = np.asarray(u).reshape(-1)
        rows = (u[:n] * n).astype(np.int64)
        others = (u[:m] * m).astype(np.int64)
        found[k] = values[rows].mean() - base[others].mean()
    return found

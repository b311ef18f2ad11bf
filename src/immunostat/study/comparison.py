"""Published results of trials beside the simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunostat.catalog.cards import TrialArmCard, TrialCard
from immunostat.catalog.lookup import Catalog
from immunostat.outcomes import statistics
from immunostat.outcomes.summary import FRACTIONS
from immunostat.study.published_values import factor_to
from immunostat.study.result_tables import TABLES
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.regimen import Regimen

if TYPE_CHECKING:
    from immunostat.study.plan import Plan


def comparison(plan: Plan, endpoints: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """Published results of the trials named in the study beside the simulated ones."""
    rows = []
    for trial_name in plan.study.compare_with:
        trial = catalog.trial(trial_name)
        for published in trial.arms:
            arm = matching_arm(plan, trial, published, catalog)
            if arm is not None:
                rows += _compared(trial, published, arm, endpoints)
    return pd.DataFrame(rows, columns=list(TABLES["comparison"].columns))


def matching_arm(
    plan: Plan, trial: TrialCard, published: TrialArmCard, catalog: Catalog
) -> str | None:
    """Simulated arm that gives the same doses of the same drugs as a published one."""
    known = catalog.drugs()
    if published.not_simulated or any(line.split()[0] not in known for line in published.lines):
        return None
    if published.drug != "placebo" and not published.lines:
        return None
    wanted = tuple(parse_regimen(line, catalog.drug, trial.situation) for line in published.lines)
    days = plan.study.duration_day
    for arm, regimens in plan.study.arms.items():
        if doses_of(regimens, days) == doses_of(wanted, days):
            return arm
    return None


def doses_of(regimens: Sequence[Regimen], until_day: float) -> list[tuple[object, ...]]:
    """What is given, in a form that can be compared; a cap on the dose does not make it another.

    Parameters
    ----------
    until_day
        Doses up to then are compared, day.
    """
    return sorted(
        (
            regimen.drug.name,
            dose.route,
            round(dose.time_day, 6),
            dose.amount,
            dose.unit,
            dose.per_kg,
            dose.per_m2,
        )
        for regimen in regimens
        for dose in regimen.doses(until_day)
    )


def _compared(
    trial: TrialCard, published: TrialArmCard, arm: str, endpoints: pd.DataFrame
) -> list[dict[str, Any]]:
    rows = []
    for result in published.results:
        day = result.week * 7.0
        same = endpoints[
            (endpoints["arm"] == arm)
            & (endpoints["endpoint"] == result.endpoint)
            & (np.abs(endpoints["time_day"] - day) < 0.5)
        ]
        if same.empty:
            continue
        predicted = same.iloc[0]
        n = result.n or published.n
        is_share = result.unit == "%" and predicted["statistic"] in FRACTIONS
        factor = 0.01 if is_share else factor_to(result.unit, str(predicted["unit"]))
        if factor is None:
            continue
        observed = factor * result.value
        low = high = np.nan
        if is_share and n is not None:
            found = statistics.proportion(round(observed * n), n)
            low, high = found.low, found.high
        elif result.low is not None and result.high is not None:
            low, high = factor * result.low, factor * result.high
        rows.append(
            {
                "trial": trial.name,
                "published_arm": published.name,
                "arm": arm,
                "endpoint": result.endpoint,
                "time_day": day,
                "role": result.role or published.role,
                "observed": observed,
                "observed_n": np.nan if n is None else n,
                "observed_low": low,
                "observed_high": high,
                "predicted": predicted["estimate"],
                "predicted_low": predicted["low"],
                "predicted_high": predicted["high"],
                "difference": predicted["estimate"] - observed,
                "unit": predicted["unit"],
                "source": result.source or "",
                "checked": result.checked,
            }
        )
    return rows

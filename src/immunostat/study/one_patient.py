"""One virtual patient beside the others: where each number lies among theirs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from immunostat.base.units import COVARIATE_UNITS
from immunostat.study.result import Result

#: A result's table of each patient's parameters, where it has one.
PARAMETERS = "parameters"


def people(result: Result) -> pd.DataFrame:
    """Covariates of every patient of a result: what is the same under every arm.

    Returns
    -------
    Column ``patient`` and a column for each number that patients bring with them.
    """
    table = result.patients
    first = table.drop_duplicates("patient").reset_index(drop=True)
    names = []
    for name in _before_outcomes(result):
        if not pd.api.types.is_numeric_dtype(table[name]):
            continue
        spread = table.groupby("patient")[name].agg(lambda own: own.nunique(dropna=False))
        if (spread <= 1).all():
            names.append(name)
    return first[["patient", *names]]


def model_parameters(result: Result) -> pd.DataFrame | None:
    """Each patient's own parameters, where the result keeps them: ``patient`` and the numbers."""
    table = getattr(result, PARAMETERS, None)
    if not isinstance(table, pd.DataFrame) or "patient" not in table or table.empty:
        return None
    numbers = [name for name in table if pd.api.types.is_numeric_dtype(table[name])]
    return table[numbers].drop_duplicates("patient").reset_index(drop=True)


def standing(
    people: pd.DataFrame, number: int, units: Mapping[str, str] = COVARIATE_UNITS
) -> pd.DataFrame:
    """Where one patient stands among all, for each number.

    Parameters
    ----------
    people
        ``patient`` and numeric columns; numbers in which all are alike are left out.
    number
        The patient.

    Returns
    -------
    One row per number: ``name``, ``value``, ``percentile`` (share of the others below him, half of
    those equal), ``q05``, ``q25``, ``q50``, ``q75``, ``q95`` of all, ``unit``, ``is_flag`` (yes or
    no, for which the mean stands in ``share``).
    """
    rows = []
    own = people[people["patient"] == number]
    for name in people.columns:
        values = people[name].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        if name == "patient" or own.empty or not len(values) or np.ptp(values) == 0:
            continue
        value = float(own[name].iloc[0])
        quantiles = map(float, np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]))
        below = float(np.mean(values < value)) + 0.5 * float(np.mean(values == value))
        rows.append(
            {
                "name": str(name),
                "value": value,
                "percentile": below if np.isfinite(value) else np.nan,
                **dict(zip(("q05", "q25", "q50", "q75", "q95"), quantiles, strict=True)),
                "unit": units.get(str(name), ""),
                "is_flag": bool(np.isin(values, (0.0, 1.0)).all()),
                "share": float(values.mean()),
            }
        )
    columns = ["name", "value", "percentile", "q05", "q25", "q50", "q75", "q95"]
    return pd.DataFrame(rows, columns=[*columns, "unit", "is_flag", "share"])


def outcomes(result: Result, number: int) -> pd.DataFrame:
    """Endpoints of one patient at the end, a column for each arm.

    Returns
    -------
    ``endpoint``, ``is_share`` (yes or no), then the arms; NaN where there is no value.
    """
    table = result.patients[result.patients["patient"] == number].set_index("arm")
    kinds = result.endpoints.drop_duplicates("endpoint").set_index("endpoint")["statistic"]
    rows = []
    for endpoint in dict.fromkeys(result.endpoints["endpoint"].astype(str)):
        column = next((n for n in (f"{endpoint} at end", endpoint) if n in table), None)
        if column is None:
            continue
        is_share = "proportion" in str(kinds[endpoint])
        values = {arm: float(table[column].get(arm, np.nan)) for arm in result.arms}
        rows.append({"endpoint": endpoint, "is_share": is_share, **values})
    return pd.DataFrame(rows, columns=["endpoint", "is_share", *result.arms])


def _before_outcomes(result: Result) -> list[str]:
    """Columns of the table of patients that no endpoint, event or side effect has made."""
    made = {str(name) for name in result.endpoints["endpoint"]}
    effects = {str(name) for name in result.side_effects["side_effect"]}
    effects |= {str(name) for name in result.disease_events["event"]}
    endings = (" expected", " chance", " events", " grade", " day")
    found = []
    for name in map(str, result.patients.columns):
        if name in ("arm", "patient", "status"):
            continue
        # A covariate may be called like an endpoint; the endpoint's columns then say when.
        is_made = name in made and f"{name} at end" not in result.patients
        is_made |= any(name in (f"{m} at baseline", f"{m} at end") for m in made)
        is_made |= any(name == f"{effect}{ending}" for effect in effects for ending in endings)
        if not is_made:
            found.append(name)
    return found

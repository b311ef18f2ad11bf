"""Tables of a real run beside published values."""

from __future__ import annotations

import numpy as np
import pandas as pd

from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.result import Result
from immunostat.study.simulation import Simulation
from making import trial_run
from making.markdown import number, table
from making.trial_run import shown_value

SITUATION = "rheumatoid-arthritis"
COVERED = ("ACR20", "ACR50", "ACR70")
DRUGS = ("adalimumab", "tocilizumab")


def compared_table(rows: pd.DataFrame) -> str:
    lines = []
    for r in rows.itertuples():
        is_share = r.endpoint.startswith("ACR") or "remission" in r.endpoint
        off = f"{100 * r.difference:+.0f} points" if is_share else f"{r.difference:+.2g}"
        low = shown_value(r.predicted_low, r.unit, r.endpoint)
        high = shown_value(r.predicted_high, r.unit, r.endpoint)
        lines.append(
            (
                r.trial,
                r.published_arm,
                f"{r.observed_n:.0f}",
                r.endpoint,
                f"{r.time_day / 7:.0f}",
                shown_value(r.observed, r.unit, r.endpoint),
                f"{shown_value(r.predicted, r.unit, r.endpoint)} "
                f"({low.removesuffix(' %')} to {high})",
                off,
                f"[{r.source}](#sources){'' if r.checked else ' (not checked)'}",
            )
        )
    columns = ("trial", "arm", "n", "endpoint", "week", "published", "predicted (95 %)", "off by")
    return table((*columns, "source"), lines)


def summary(held: pd.DataFrame) -> str:
    """How far predictions are off, by endpoint and week."""
    shares = held[held["endpoint"].isin(COVERED)]
    parts = []
    for name, rows in (
        ("week 24, drug arms", shares[(shares["time_day"] == 168) & (shares["arm"] != "placebo")]),
        (
            "week 24, placebo arms",
            shares[(shares["time_day"] == 168) & (shares["arm"] == "placebo")],
        ),
        ("other weeks, all arms", shares[shares["time_day"] != 168]),
    ):
        if len(rows):
            off = 100 * rows["difference"]
            inside = rows["predicted"].between(rows["observed_low"], rows["observed_high"])
            parts.append(
                (
                    name,
                    len(rows),
                    f"{off.abs().mean():.1f}",
                    f"{off.mean():+.1f}",
                    f"{off.loc[off.abs().idxmax()]:+.0f}",
                    f"{inside.sum()} of {len(rows)}",
                )
            )
    columns = ("ACR20, 50, 70", "values", "mean absolute error, points", "mean error", "worst")
    return table((*columns, "inside the published 95 % interval"), parts)


def left_out() -> str:
    catalog = packaged_catalog()
    other = [
        f"{name} ({catalog.trial(name).population.replace('-', ' ')})"
        for name in catalog.trials()
        if catalog.trial(name).situation == SITUATION
        and catalog.trial(name).population != trial_run.POPULATION
    ]
    text = "Not compared: arms without methotrexate"
    return f"{text}, and trials in other populations: {', '.join(other)}." if other else f"{text}."


def exposures(simulation: Simulation) -> str:
    catalog, lines, silent = packaged_catalog(), [], []
    for drug in DRUGS:
        for check in catalog.drug_card(drug).exposure_checks:
            found = trial_run.exposure(simulation, drug, check)
            if found is None:
                silent.append(f"{drug} {check.quantity} ({check.regimen})")
                continue
            span = "" if check.low is None else f" ({check.low:g} to {check.high:g})"
            lines.append(
                (
                    drug,
                    check.regimen,
                    f"{check.quantity.replace('_', ' ')}, {check.statistic}",
                    f"{check.value:g}{span} {check.unit}",
                    f"{number(found)} {check.unit}",
                    f"{found / check.value:.2f}",
                    f"[{check.source}](#sources){'' if check.checked else ' (not checked)'}",
                )
            )
    columns = ("drug", "regimen", "quantity", "published", "simulated", "ratio", "source")
    return table(columns, lines) + "\n\nNot simulated here: " + "; ".join(silent) + "."


def patients(result: Result) -> str:
    first = result.visits[result.visits["time_day"] == 0]
    first = first[first["arm"] == result.arms[0]]
    components = packaged_catalog().situation(SITUATION).components
    lines = []
    for name, own in components.items():
        values = first[name].to_numpy(float)
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        lines.append(
            (own.title, own.unit if own.unit != "1" else "", number(values.mean()),
             number(values.std(ddof=1)), number(middle), f"{number(low)} to {number(high)}")
        )  # fmt: skip
    left = ", ".join(f"{n} for {why}" for why, n in result.study["cohort"]["left_out"].items())
    text = (
        f"Of {result.study['cohort']['candidates']} candidates {len(first)} entered; left out: "
        f"{left}. What the baseline visit observed in those who entered:"
    )
    columns = ("component", "unit", "mean", "SD", "median", "5 to 95 %")
    return text + "\n\n" + table(columns, lines)

"""Pages of predicted beside published trial arms, one for each situation that has goals."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import pandas as pd

from immunostat.base.sources import cite
from immunostat.catalog.lookup import packaged_catalog
from immunostat.report import style
from immunostat.report.validation_figures import agreement, forest
from immunostat.study.goals import GOALS, conclusion, errors, pooled
from immunostat.study.no_goal import errors_without_goal
from immunostat.study.validation import Validation, validate
from making.markdown import page, table
from making.trial_run import ROOT

IMAGES = ROOT / "docs" / "images"
NONE = "\u2013"


#: How virtual patients are drawn.
SAMPLING = "sobol"

#: Virtual patients in each arm: as many as the minutes of a situation's courses allow.
PATIENTS = {
    "rheumatoid-arthritis": 1000,
    "multiple-sclerosis": 500,
    "multiple-myeloma": 300,
    "hepatitis-c": 1000,
    "influenza": 500,
    "covid-19": 500,
}


def pages(patients: int) -> dict[str, str]:
    """Every page by its path, pictures written on the way; `patients` is the most in an arm."""
    return {
        f"science/validation-{name}.md": _page(name, min(patients, PATIENTS[name]))
        for name in GOALS
    }


def _page(situation: str, patients: int) -> str:
    catalog = packaged_catalog()
    found = validate(catalog, situation, patients, sampling=SAMPLING)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, figure in (("agreement", agreement(found)), ("forest", forest(found))):
        style.save(figure, IMAGES / f"validation-{situation}-{name}.svg")
    title = catalog.situation(situation).title
    rows = errors(found.table, found.goals)
    results = [
        part
        for who, own in found.table.groupby("patients", sort=False)
        for part in (f"### {who}", _results(own))
    ]
    return page(
        f"# {title}: predicted beside published",
        "Every published arm of the catalog that treats the patients of a population, beside what "
        "is predicted for it. Training arms fitted the model; held-back arms never did.",
        "\n".join(f"- **{conclusion(goal, rows)}.**" for goal in found.goals),
        f"![Predicted against published](../images/validation-{situation}-agreement.svg)",
        "## How far predictions are off",
        "Held-back values that were read in a source, within two weeks of the week of the goal. "
        "`by chance` is the mean absolute error that a perfect model would have, because trials "
        "and virtual trials are samples of patients; of the virtual ones as if they were drawn at "
        "random, so that it is a little too large. `inside` counts predictions within the "
        "published 95 % interval. In the line `pooled`, results of the same drug in alike patients "
        "(populations of the catalog of which one says only what differs from the other, or both "
        "from a third) count as one: published ones weighted by the inverse of their variance, "
        "predicted ones with the same weights, so that chance is smaller. The goal is judged by "
        "single results, not by this line.",
        _errors(rows, {goal.name: goal.digits for goal in found.goals}),
        _pooled(found),
        *_without_goal(found),
        "## Every arm",
        f"![Forest plot](../images/validation-{situation}-forest.svg)",
        "## Every value",
        "The interval of a published value is that of the trial's patients; the interval of a "
        f"predicted one that of {patients} virtual patients, which is the chance of drawing them "
        "and not the uncertainty of the model. Rates and shares of events are [expected "
        "ones](../concepts/trial-statistics.md#predicted-beside-published), without the chance of "
        "drawing events; ratios of two arms are those of the same patients in both. All arms of a "
        "section are simulated in the same virtual patients, so their errors are not independent. "
        "A value *from memory* was not read in its source; it is shown and not judged.",
        *results,
        "## Not simulated",
        "An arm is left out where its drug acts on no target of the immune core, where its "
        "patients are not those of a population, or where nothing can be compared.",
        _skipped(found),
        "## Patients after a failed treatment",
        _prior(situation),
        "## Make it again",
        f"`immunostat validate {situation} --patients {patients} --sampling {SAMPLING} "
        "-o validation` prints and writes all this; this page is made by `python docs/make.py "
        f"--only validation` (seed {found.seed}). The virtual patients are a Sobol sequence, so "
        "that means of numbers that differ much between patients are not off by who was drawn. "
        "Arms that become possible when a target joins the immune core appear by themselves.",
        _sources(found.table),
    )


def _results(rows: pd.DataFrame) -> str:
    lines = []
    for row in rows.sort_values(["target", "drug"], kind="stable").to_dict("records"):
        digits = 0 if row["unit"] == "%" else 2
        n = NONE if math.isnan(row["n"]) else f"{row['n']:.0f}"
        lines.append(
            (
                row["trial"],
                row["arm"],
                "" if row["target"] == "none" else row["target"],
                n,
                row["endpoint"],
                f"{row['week']:g}",
                _between(row, "observed", digits),
                _between(row, "predicted", digits),
                f"{row['difference']:+.{digits}f}",
                row["role"],
                f"[{row['source']}](#sources)" + ("" if row["checked"] else ", from memory"),
            )
        )
    columns = ("trial", "arm", "target", "n", "endpoint", "week", "published", "predicted")
    return table((*columns, "off by", "role", "source"), lines)


def _between(row: dict, side: str, digits: int) -> str:
    value, low, high = (row[side], row[f"{side}_low"], row[f"{side}_high"])
    text = f"{value:.{digits}f}"
    return text if math.isnan(low) else f"{text} ({low:.{digits}f} to {high:.{digits}f})"


def _errors(rows: pd.DataFrame, digits_of: Mapping[str, int]) -> str:
    lines = []
    for row in rows[rows["values"] > 0].to_dict("records"):
        digits = digits_of[row["goal"]]
        inside = NONE if math.isnan(row["inside"]) else f"{100 * row['inside']:.0f} %"
        chance = NONE if math.isnan(row["by_chance"]) else f"{row['by_chance']:.{digits}f}"
        lines.append(
            (
                row["goal"],
                f"{row['by']}: {row['group']}" if row["by"] != "all" else row["group"],
                row["values"],
                f"{row['mean_absolute_error']:.{digits}f}",
                chance,
                f"{row['mean_error']:+.{digits}f}",
                f"{row['worst']:+.{digits}f}",
                inside,
            )
        )
    columns = ("goal", "group", "values", "mean absolute error", "by chance", "mean error")
    return table((*columns, "largest", "inside"), lines)


def _without_goal(found: Validation) -> list[str]:
    lines = []
    for row in errors_without_goal(found.table).to_dict("records"):
        digits = 0 if row["unit"] == "%" else 2
        inside = NONE if math.isnan(row["inside"]) else f"{100 * row['inside']:.0f} %"
        measure = "" if row["measure"] == "value" else f", {row['measure']}"
        lines.append(
            (
                f"{row['endpoint']}{measure}",
                row["unit"],
                row["values"],
                f"{row['mean_observed']:.{digits}f}",
                f"{row['mean_absolute_error']:.{digits}f}",
                f"{row['mean_error']:+.{digits}f}",
                f"{row['worst']:+.{digits}f}",
                inside,
            )
        )
    if not lines:
        return []
    columns = ("endpoint", "unit", "values", "mean published", "mean absolute error")
    return [
        "### Where no goal is set",
        "Held-back values of other endpoints and other weeks, read in a source.",
        table((*columns, "mean error", "largest", "inside"), lines),
    ]


def _pooled(found: Validation) -> str:
    """What was pooled, where several results were."""
    judged = found.table[found.table["judged"].astype(bool)]
    lines = []
    for goal in found.goals:
        kept = [
            goal.holds(*key)
            for key in zip(judged["endpoint"], judged["week"], judged["measure"], strict=True)
        ]
        own = pooled(goal, judged[kept])
        for row in own[own["results"] > 1].to_dict("records"):
            digits = 0 if row["unit"] == "%" else 2
            lines.append(
                (
                    row["drug"],
                    row["like"].split()[0],
                    row["endpoint"],
                    row["results"],
                    _between(row, "observed", digits),
                    _between(row, "predicted", digits),
                    f"{row['difference']:+.{digits}f}",
                )
            )
    if not lines:
        return "No two results of the same drug in alike patients could be pooled."
    columns = ("drug", "patients like", "endpoint", "results", "published", "predicted", "off by")
    return "Pooled of more than one result:\n\n" + table(columns, lines)


def _skipped(found: Validation) -> str:
    own = found.skipped[["trial", "arm", "endpoint", "reason"]]
    lines = [tuple(row) for row in own.itertuples(index=False)]
    return table(("trial", "arm", "result", "why"), lines)


def _prior(situation: str) -> str:
    catalog = packaged_catalog()
    groups: dict[tuple[str, ...], list[str]] = {}
    for trial in map(catalog.trial, catalog.trials()):
        if trial.situation == situation and trial.prior is not None:
            own = trial.prior
            key = (", ".join(own.regimens), own.duration, own.failed, own.washout, own.because)
            groups.setdefault(key, []).append(trial.name)
    lines = [(", ".join(names), *key) for key, names in groups.items()]
    columns = ("trials", "earlier treatment", "for", "not reached", "then waits", "because")
    return (
        "Every virtual patient takes the earlier treatment; who does not respond enters the trial."
        "\n\n" + table(columns, lines)
    )


def _sources(rows: pd.DataFrame) -> str:
    catalog = packaged_catalog()
    keys = sorted(key for key in set(rows["source"]) if re.fullmatch(r"\w+", key))
    return "## Sources\n\n" + "\n".join(f"- `{key}`: {cite(catalog.source(key))}" for key in keys)

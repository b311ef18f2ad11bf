"""One sentence for each section about the trial, that answers its question; empty without data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from immunostat.report import effects, trial_tables, words
from immunostat.report.shape import arm_sizes, departures, rule_words, shape_of, share_names
from immunostat.study.result import Result

#: Arms, causes or analyses that a sentence names; the table has all.
MOST_NAMED = 4


def lead(result: Result) -> list[tuple[str, str]]:
    """What stands first in the answer: a word, and a sentence."""
    said = [
        ("Trial", conclusion(result) if is_told_by_trial(result) else ""),
        ("Power", power(result)),
        ("Looks", looks(result)),
        ("Dose", dose(result)),
        ("Rules", rules(result)),
    ]
    return [(word, sentence) for word, sentence in said if sentence]


def is_told_by_trial(result: Result) -> bool:
    """Whether the answer says what one trial concludes: not of many, nor twice of a crossover."""
    shape = shape_of(result)
    return shape.n_trials == 1 and not shape.sequences


def people(result: Result) -> str:
    """How many were drawn, entered, and stayed."""
    cohort: Mapping[str, Any] = result.study.get("cohort") or {}
    drawn, shape = int(cohort.get("candidates") or 0), shape_of(result)
    parts = []
    if drawn:
        entered = drawn - sum((cohort.get("left_out") or {}).values())
        text = f"Of {drawn:,} candidates drawn, {entered:,} entered"
        kind = "sequences" if shape.sequences else "arms"
        if shape.n_trials > 1:
            text += f": {shape.n_trials:,} whole trials of {shape.in_a_trial:,} patients each"
            text += f", randomized to {len(shape.ratio)} {kind}"
        elif shape.is_parallel:
            text += f" and were randomized to {len(shape.ratio)} {kind}"
        elif len(result.arms) > 1:
            text += ", and each of them was seen under every arm, as only a simulation can"
        parts.append(text + ".")
    gone, sizes = departures(result), arm_sizes(result)
    if len(gone):
        counts = gone["arm"].astype(str).value_counts()
        stayed = [
            f"{words.percent(1 - int(counts.get(arm, 0)) / n)} under {quoted(arm)}"
            for arm, n in sizes.items()
            if n
        ]
        named = few(stayed)
        parts.append(f"{named} stayed to the end; of those who left, later visits are missing.")
    return " ".join(parts)


def conclusion(result: Result) -> str:
    """The first analysis, and how many others show a difference."""
    table = _effects_of_treatment(result)
    if table.empty:
        return ""
    rows = table.to_dict("records")
    text = _compared(rows[0], result) + "."
    others = pd.DataFrame(rows).drop_duplicates(["endpoint", "arm", "versus", "time_day"])
    rest = others.to_dict("records")[1:]
    if rest:
        shown = sum(effects.is_shown(row) for row in rest)
        text += f" {_others(shown, len(rest))}"
    return text


def _others(shown: int, n: int) -> str:
    """How many of the other comparisons show a difference."""
    if n == 1:
        return f"The other comparison shows {'a' if shown else 'no'} difference."
    if shown in (0, n):
        both = "Both" if n == 2 else f"All {n}"
        return f"{both} other comparisons show {'a' if shown else 'no'} difference."
    return f"Of the {n} other comparisons, {shown} show{'s' if shown == 1 else ''} a difference."


def quoted(arm: object) -> str:
    """Name of an arm; of several words in quotes, so that a sentence can hold it."""
    return f"\u201c{arm}\u201d" if " " in str(arm) else str(arm)


def _effects_of_treatment(result: Result) -> pd.DataFrame:
    table = result.analyses
    return table[~table["measure"].astype(str).isin(effects.NUISANCES)]


def _compared(row: Mapping[Any, Any], result: Result) -> str:
    """One comparison as a clause."""
    shares, endpoint = share_names(result), words.label(str(row["endpoint"]))
    measure, said = str(row["measure"]), effects.in_full(row, shares)
    verdict = (
        "more than chance would make"
        if effects.is_shown(row)
        else "no more than chance could make, so no difference is shown"
    )
    if measure == "within-patient difference":
        return (
            f"Within the same patients, {endpoint} at the end of a period differs by {said} "
            f"under {quoted(row['arm'])} from {quoted(row['versus'])}: {verdict}"
        )
    until = "up to" if measure in ("hazard ratio", "rate ratio") else "at"
    pair = f"{quoted(row['arm'])} against {quoted(row['versus'])}"
    return (
        f"For {pair}, the {measure} of {endpoint} {until} "
        f"{words.when(float(row['time_day']))} was {said}: {verdict}"
    )


def conclusion_notes(result: Result) -> list[str]:
    """What a reader must know to read the analyses right."""
    shape, notes = shape_of(result), []
    if shape.n_trials > 1:
        notes.append(
            f"This is the first of {shape.n_trials:,} whole trials, as one sponsor would see it."
        )
    if not shape.is_parallel:
        notes.append(
            "The arms hold the same virtual patients, and the intervals treat them as different "
            "people, as a trial would have: they are wider than these patients need."
        )
    carry = result.analyses[result.analyses["measure"] == "carry-over"]
    if len(carry):
        notes.append(
            f"Carry-over ({effects.p_value(float(carry['p'].iloc[0]))}) compares patients, not "
            "periods, so this test sees little; it must not choose the analysis."
        )
    return notes


def power(result: Result) -> str:
    """How often trials of this size show each difference."""
    table, shape = result.power, shape_of(result)
    if table.empty:
        return ""
    parts: list[str] = []
    for row in table.to_dict("records"):
        value, between = trial_tables.power_words(row)
        against = f"{quoted(row['arm'])} against {quoted(row['versus'])}"
        of = f"{words.label(str(row['endpoint']))}, {against}"
        parts.append(f"{value} ({'' if parts else '95 % interval '}{between}) for {of}")
    n = int(table["replicates"].iloc[0])
    size = f"{shape.patients:,} patients per arm"
    if len(set(shape.ratio.values())) > 1:
        size = f"{shape.in_a_trial:,} patients"
    return f"Of {n:,} whole trials with {size}, the share that shows a difference is {few(parts)}."


def looks(result: Result) -> str:
    """How many trials stop early, and what that saves."""
    table = result.interim
    if table.empty:
        return ""
    early = table[table["fraction"] < 1]
    most = float(table["patients"].max())
    expected = float(table["expected_patients"].iloc[0])
    at = [words.percent(float(share)) for share in early["fraction"]]
    saved = words.percent(1 - expected / most) if most else words.NO_VALUE
    if early.empty:
        return "The only look is the last one, so no trial stops early."
    return (
        f"With {'a look' if len(at) == 1 else 'looks'} at {words.listed(at)} of the patients, "
        f"{words.percent(float(early['efficacy'].sum()), 1)} of the trials stop early for efficacy "
        f"and {words.percent(float(early['futility'].sum()), 1)} for futility; a trial takes "
        f"{words.number(expected, 3)} patients on average instead of {words.number(most)}, "
        f"{saved} fewer. {words.percent(float(table['efficacy'].sum()), 1)} of all trials end with "
        "the difference shown."
    )


def looks_notes(result: Result) -> str:
    """How the boundary was made."""
    plan: Mapping[str, Any] = result.study.get("interim") or {}
    boundary = str(plan.get("boundary") or "Lan-DeMets O'Brien-Fleming")
    alpha = words.percent(float(plan.get("alpha") or 0.05))
    text = f"Boundary: {boundary}, two-sided level {alpha}."
    if plan.get("futility"):
        chance = words.percent(float(plan["futility"]))
        text += f" A trial stops for futility if its conditional power falls below {chance}."
    return text


def dose(result: Result) -> str:
    """Whether the endpoint follows the dose, and the dose that makes the target."""
    table = result.dose_response
    if table.empty:
        return ""
    endpoint = words.label(str(table["endpoint"].iloc[0]))
    trend = table[table["what"] == "trend"]
    p = float(trend["p"].iloc[0]) if len(trend) else math.nan
    verb = "follows" if p <= effects.SHOWN else "does not visibly follow"
    shown = f" ({effects.p_value(p)} for a trend)" if math.isfinite(p) else ""
    text = f"{endpoint} {verb} the dose{shown}"
    for row in table[table["what"].astype(str).str.startswith("dose for")].to_dict("records"):
        unit = trial_tables.dose_unit(result)
        value, low, high = (float(row[key]) for key in ("estimate", "low", "high"))
        wanted = target_words(result)
        if not math.isfinite(value):
            text += f"; no dose of the fitted curve makes a difference of {wanted} from dose 0"
            continue
        said, between = words.estimate(value, low, high)
        end = f" {unit}" if unit else ""
        between = f" (95 % interval {between})" if between else " (too uncertain for an interval)"
        text += f"; a difference of {wanted} from dose 0 takes {said}{end}{between}"
    return text + "."


def target_words(result: Result) -> str:
    """The wanted difference, with its unit."""
    target = float((result.study.get("dose_response") or {}).get("target") or math.nan)
    if trial_tables.endpoint_is_share(result):
        return f"{words.signed(100 * target)} points"
    return words.number(target) + trial_tables.endpoint_unit(result)


def rules(result: Result) -> str:
    """On how many patients the rules acted."""
    written = result.study.get("rules") or []
    if not written:
        return ""
    actions, sizes = result.actions, arm_sizes(result)
    if actions.empty:
        return "The rules never had to act."
    parts = []
    for arm in [arm for arm in result.arms if (actions["arm"] == arm).any()]:
        own = actions[actions["arm"] == arm]
        n, whole = own["patient"].nunique(), sizes.get(arm, 0)
        of = f"{n:,} of {whole:,} patients ({words.percent(n / whole)})" if whole else f"{n:,}"
        kinds = own["action"].astype(str) + " " + own["drug"].astype(str)
        counts = own.groupby(kinds, sort=False)["patient"].nunique()
        counts = counts.sort_values(ascending=False, kind="stable")
        done = [f"{_was_done(str(kind))} in {count:,}" for kind, count in counts.items()]
        parts.append(f"{of} under {quoted(arm)}: {few(done)}")
    idle = len({rule_words(rule) for rule in written} - set(actions["rule"].astype(str)))
    never = f" {'One rule' if idle == 1 else f'{idle} rules'} never applied." if idle else ""
    return f"The rules acted on {'; and on '.join(parts)}.{never}"


def _was_done(kind: str) -> str:
    """What happened to a drug, as a clause.

    Examples
    --------
    >>> _was_done("hold tocilizumab"), _was_done("change adalimumab")
    ('tocilizumab held', 'changed to adalimumab')
    """
    verb, _, drug = kind.partition(" ")
    if verb == "change":
        return f"changed to {drug}"
    past = {"hold": "held", "stop": "stopped", "reduce": "reduced", "resume": "resumed"}
    return f"{drug} {past.get(verb, f'{verb}ed')}"


def few(parts: list[str]) -> str:
    """Parts in a row; of many the first ones and how many more."""
    if len(parts) <= MOST_NAMED:
        return words.listed(parts)
    return f"{', '.join(parts[:MOST_NAMED])} and {len(parts) - MOST_NAMED} more below"

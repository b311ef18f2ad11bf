"""Predicted against published side effects: every check of the cards that can be simulated.

Checks of the same situation, population and length of follow-up are simulated in the same virtual
patients. Rates are compared with the expected rate of a year, shares with the expected share by the
end of the published follow-up. A pair is a drug and a side effect; its ratio is the geometric mean
of the ratios of its published numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from immunostat.base.errors import ImmunostatError, InputError
from immunostat.base.units import convert
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.side_effect_cards import SideEffectCard, SideEffectCheckCard
from immunostat.outcomes import statistics
from immunostat.study.harm_pairs import conclusion, pairs, records
from immunostat.study.plan import prepare
from immunostat.study.published_arms import why_inert
from immunostat.study.result import Result
from immunostat.study.run import run
from immunostat.study.study_reader import make_study
from immunostat.therapy.grammar import parse_regimen

#: Side effects that the goal is about, and the least grade of a graded one.
JUDGED = {
    "serious-infection": None,
    "herpes-zoster": None,
    "neutropenia": 3,
    "malignancy": None,
}

#: Length of a simulation for a rate, and the longest for a share, week.
RATE_WEEKS = 52
LONGEST_WEEKS = 104

#: When counts are taken if no card says more.
VISITS = "every 4 weeks"

PLACEBO = "placebo"

COLUMNS = (
    *("side_effect", "drug", "arm", "situation", "role", "grade", "weeks", "n", "unit"),
    *("observed", "observed_low", "observed_high", "predicted", "predicted_low", "predicted_high"),
    *("ratio", "checked", "judged", "source", "note"),
)
SKIPPED = ("side_effect", "drug", "situation", "role", "reason")

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class HarmValidation:
    """Predicted and published side effects.

    Parameters
    ----------
    table
        One row per published number; shares are percent, rates per 100 patient-years. ``judged``
        tells whether it counts towards the goal.
    skipped
        What is not simulated, and why.
    n_patients, seed
        Virtual patients of each arm, and the seed.
    n_failed
        Patient-arms that could not be computed.
    """

    table: pd.DataFrame
    skipped: pd.DataFrame
    n_patients: int
    seed: int
    n_failed: int = 0


@dataclass
class _Group:
    """Checks that are simulated together."""

    situation: str
    population: str
    weeks: int
    until: str = ""
    arms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    checks: list[tuple[SideEffectCard, SideEffectCheckCard, str]] = field(default_factory=list)


def validate_harm(
    catalog: Catalog,
    n_patients: int = 500,
    seed: int = 1,
    situations: Sequence[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> HarmValidation:
    """Simulate every published side effect that can be simulated.

    Parameters
    ----------
    n_patients, seed
        Virtual patients of each arm; the same ones in all arms of a group.
    situations
        Only these; all if empty.
    threads
        Threads of the solver; the numbers do not depend on it.
    progress
        Told of finished courses of each group.

    Raises
    ------
    InputError
        The catalog has no such situation.
    """
    for name in situations:
        catalog.situation(name)
    groups: dict[tuple[str, str, int, str], _Group] = {}
    skipped: list[dict[str, Any]] = []
    for card, check in _checks(catalog):
        if situations and check.situation not in situations:
            continue
        reason = check.not_compared or _why_not(catalog, card, check)
        if reason:
            skipped.append(_left_out(card, check, reason))
            continue
        population = check.population or catalog.populations(check.situation)[0]
        weeks = _weeks(check)
        key = (check.situation, population, weeks, check.until)
        group = groups.setdefault(key, _Group(*key))
        lines = _lines(check)
        name = " + ".join(lines) or PLACEBO
        group.arms.setdefault(name, lines)
        group.checks.append((card, check, name))
    rows: list[dict[str, Any]] = []
    n_failed = 0
    for group in groups.values():
        result = _simulated(catalog, group, n_patients, seed, threads, progress)
        n_failed += sum(result.run["failed"].values())
        for card, check, arm in group.checks:
            if card.name in result.study["side_effects"]:
                rows.append(_row(card, check, group, arm, result))
            else:
                reason = f"'{card.output}' is not part of the situation yet"
                skipped.append(_left_out(card, check, reason))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    # Other numbers of a drug and side effect that the card learned from are not held back.
    pair = ["side_effect", "drug", "situation"]
    trained = set(table.loc[table["role"] == "training", pair].itertuples(index=False, name=None))
    is_trained = [key in trained for key in table[pair].itertuples(index=False, name=None)]
    table["judged"] = table["judged"].astype(bool) & ~np.array(is_trained, dtype=bool)
    order = ["side_effect", "situation", "drug", "arm", "weeks"]
    table = table.sort_values(order, kind="stable", ignore_index=True)
    left_out = pd.DataFrame(skipped, columns=list(SKIPPED))
    return HarmValidation(table, left_out, n_patients, seed, n_failed)


def as_data(found: HarmValidation) -> dict[str, Any]:
    """Everything as plain data for JSON; what is not there is None."""
    return {
        "patients": found.n_patients,
        "seed": found.seed,
        "failed": found.n_failed,
        "conclusion": conclusion(found.table),
        "pairs": records(pairs(found.table)),
        "results": records(found.table),
        "not_simulated": records(found.skipped),
    }


def _checks(catalog: Catalog) -> Iterator[tuple[SideEffectCard, SideEffectCheckCard]]:
    """Every check that is meant for comparison."""
    for name in catalog.side_effects():
        card = catalog.side_effect(name)
        for check in card.checks:
            if check.role != "shown":
                yield card, check


def _lines(check: SideEffectCheckCard) -> tuple[str, ...]:
    """Regimens of the arm of a check, each with the name of its drug."""
    own = () if check.drug == PLACEBO else (f"{check.drug} {check.regimen or 'label'}",)
    return (*own, *check.also)


def _weeks(check: SideEffectCheckCard) -> int:
    """How long the arm of a check is simulated, week."""
    if check.duration is None or check.unit != "%":
        return RATE_WEEKS
    weeks = convert(check.duration.value, check.duration.unit, "week")
    return max(1, min(LONGEST_WEEKS, round(weeks)))


def _why_not(catalog: Catalog, card: SideEffectCard, check: SideEffectCheckCard) -> str:
    """Why no simulation can stand for a check; empty if one can."""
    if check.situation not in catalog.situations():
        return f"situation '{check.situation}' is not modelled yet"
    names = catalog.populations(check.situation)
    if check.population is not None and check.population not in names:
        return f"'{check.population}' is no population of the catalog"
    if check.unit == "%" and check.duration is None:
        return "the length of follow-up was not read"
    background = catalog.population(check.population or names[0]).background
    for line in _lines(check):
        name = line.split()[0]
        if name not in catalog.drugs():
            return f"the catalog has no drug '{name}'"
        if background is not None and background.drug == name:
            return f"{name} is the background that all patients take"
        reason = why_inert(catalog, catalog.drug(name))
        if reason:
            return reason
        try:
            parse_regimen(line, catalog.drug, check.situation)
        except ImmunostatError as error:
            return str(error).splitlines()[0]
    if card.is_drawn and check.grade is not None:
        return "grades of events are not compared yet"
    return ""


def _left_out(card: SideEffectCard, check: SideEffectCheckCard, reason: str) -> dict[str, Any]:
    values = (card.name, check.drug, check.situation, check.role, reason)
    return dict(zip(SKIPPED, values, strict=True))


def _simulated(
    catalog: Catalog,
    group: _Group,
    n_patients: int,
    seed: int,
    threads: int | None,
    progress: Progress | None,
) -> Result:
    """The arms of a group, in the same patients."""
    wanted = list(
        dict.fromkeys(
            name for card, check, _ in group.checks for name in (card.name, *check.counted_with)
        )
    )
    drawn = [name for name in wanted if catalog.side_effect(name).is_drawn]
    body: dict[str, Any] = {
        "title": f"Published side effects: {group.situation}, {group.weeks} weeks",
        "situation": group.situation,
        "population": {"name": group.population, "patients": n_patients, "seed": seed},
        "arms": {name: list(lines) for name, lines in group.arms.items()},
        "duration": f"{group.weeks} weeks",
        "visits": _visits(group),
        "endpoints": [],
        "side_effects": wanted,
    }
    if group.until:
        body["dropout"] = {"lack_of_effect": {"when": group.until}}
        body["endpoints"] = [group.until.split()[0]]
    study = make_study(body, catalog)
    try:
        prepare(study, catalog)
    except InputError:
        # A count that the model does not have yet must not take the others along.
        study = replace(study, side_effects=tuple(drawn))
    return run(study, threads=threads, progress=progress, catalog=catalog)


def _visits(group: _Group) -> str | list[str]:
    """When counts are taken: as the cards say for the situation, else every 4 weeks."""
    weeks = {
        week
        for card, _, _ in group.checks
        if group.situation in card.counted
        for week in card.counted[group.situation].weeks
        if week < group.weeks
    }
    return [f"{week:g} weeks" for week in sorted(weeks)] if weeks else VISITS


def _row(
    card: SideEffectCard, check: SideEffectCheckCard, group: _Group, arm: str, result: Result
) -> dict[str, Any]:
    """A published number beside the predicted one."""
    if card.is_drawn:
        predicted = _predicted_event(card, check, group, arm, result)
    else:
        predicted = _predicted_grade(card, check, arm, result)
    observed, low, high = _observed(check)
    ratio = predicted[0] / observed if observed > 0 else np.nan
    least = JUDGED.get(card.name)
    counts = card.name in JUDGED and (least is None or (check.grade or 0) >= least)
    judged = check.role == "held-back" and counts and check.checked and bool(np.isfinite(ratio))
    return {
        "side_effect": card.name,
        "drug": check.drug,
        "arm": arm,
        "situation": group.situation,
        "role": check.role,
        "grade": check.grade if check.grade is not None else np.nan,
        "weeks": group.weeks,
        "n": check.n if check.n is not None else np.nan,
        "unit": "%" if check.unit == "%" else "1/(100 year)",
        "observed": observed,
        "observed_low": low,
        "observed_high": high,
        "predicted": predicted[0],
        "predicted_low": predicted[1],
        "predicted_high": predicted[2],
        "ratio": ratio,
        "checked": check.checked,
        "judged": judged,
        "source": check.source or "",
        "note": check.note,
    }


def _observed(check: SideEffectCheckCard) -> tuple[float, float, float]:
    """A published value with its interval: as printed, or of the count."""
    value = check.value
    if check.unit != "%":
        value = convert(check.value, check.unit, "1/(100 year)")
    if check.low is not None and check.high is not None:
        return value, check.low, check.high
    if check.unit == "%" and check.n is not None:
        own = statistics.proportion(round(value / 100.0 * check.n), check.n)
        return value, 100.0 * own.low, 100.0 * own.high
    if check.patient_years is not None:
        years = check.patient_years
        rate = statistics.incidence_rate(round(value / 100.0 * years), years)
        return value, rate.low, rate.high
    return value, np.nan, np.nan


def _predicted_event(
    card: SideEffectCard, check: SideEffectCheckCard, group: _Group, arm: str, result: Result
) -> tuple[float, float, float]:
    """Expected rate or share of an event, with the middle 90 % of patients' own."""
    rows = result.patients[result.patients["arm"] == arm]
    names = (card.name, *check.counted_with)
    what = "expected" if check.unit != "%" else "chance"
    each = np.stack([rows[f"{name} {what}"].to_numpy(np.float64) for name in names])
    each = each[:, np.isfinite(each).all(axis=0)]
    if check.unit != "%":
        years = group.weeks * 7.0 / 365.25
        rates = 100.0 * each.sum(axis=0) / years
        low, high = (float(q) for q in np.quantile(rates, [0.05, 0.95]))
        return float(rates.mean()), low, high
    assert check.duration is not None
    weeks = convert(check.duration.value, check.duration.unit, "week")
    without = np.prod(1.0 - each, axis=0) ** (weeks / group.weeks)
    shares = 100.0 * (1.0 - without)
    low, high = (float(q) for q in np.quantile(shares, [0.05, 0.95]))
    return float(shares.mean()), low, high


def _predicted_grade(
    card: SideEffectCard, check: SideEffectCheckCard, arm: str, result: Result
) -> tuple[float, float, float]:
    """Share of patients with the grade or a worse one, with its interval, percent."""
    rows = result.patients
    worst = rows.loc[rows["arm"] == arm, f"{card.name} grade"].to_numpy(np.float64)
    worst = worst[np.isfinite(worst)]
    has = worst >= (check.grade or 1)
    found = statistics.proportion(int(has.sum()), len(has))
    return 100.0 * found.estimate, 100.0 * found.low, 100.0 * found.high

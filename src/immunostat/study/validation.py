"""Predicted against published: every arm of the published trials of a situation, simulated.

All arms that treat the same patients are simulated in the same virtual patients, and arms with
the same doses once. An arm is left out, with the reason, where nothing can stand for it: its drug
acts on no target of the immune core, its patients are not those of a population, or its card says
why. What acts is asked of the model (`assemble.hooks_of`), so that a target that joins the core
brings its drugs along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from immunostat.base.errors import ImmunostatError, InputError
from immunostat.catalog.cards import TrialArmCard, TrialCard, TrialPriorCard, TrialResultCard
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import SituationCard
from immunostat.engine.solution import Status
from immunostat.outcomes import statistics
from immunostat.outcomes.endpoints import KINDS, Observations, evaluate
from immunostat.outcomes.summary import SummaryRow, summarize
from immunostat.study.assemble import hooks_of
from immunostat.study.cohort import draw_cohort
from immunostat.study.comparison import doses_of
from immunostat.study.goals import Goal, errors, goals_of, why_not_judged
from immunostat.study.plan import Plan, prepare
from immunostat.study.recruitment import Cohort
from immunostat.study.simulation import simulate_cohort
from immunostat.study.specs import component_units, specs_of
from immunostat.study.study import make_study
from immunostat.therapy.drug import Drug
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.regimen import Regimen

#: Called with how much is done, how much there is, and the name of the stage.
Progress = Callable[[int, int, str], None]

#: Virtual patients in each arm: their chance is small beside that of a published arm.
PATIENTS = 1000

PLACEBO = "placebo"

#: Columns of `Validation.table`.
COLUMNS = (
    *("trial", "arm", "drug", "target", "patients", "role", "endpoint", "week", "n"),
    *("observed", "observed_low", "observed_high"),
    *("predicted", "predicted_low", "predicted_high", "difference", "unit"),
    *("checked", "judged", "why_not_judged", "source"),
)

#: Columns of `Validation.skipped`.
SKIPPED = ("trial", "arm", "drug", "target", "endpoint", "reason")


@dataclass(frozen=True)
class Validation:
    """Predicted and published results of a situation.

    Parameters
    ----------
    situation
        Its name.
    table
        One row per published result that is simulated. ``patients`` says who was treated;
        shares are percent; ``n`` and the published interval are NaN where the number of patients
        was not read; ``judged`` tells whether the result counts towards a goal, and
        ``why_not_judged`` why not.
    skipped
        What is not simulated, and why: whole arms (``endpoint`` empty) and single results.
    goals
        What is aimed at.
    n_patients, seed
        Virtual patients of each arm, and the seed of all random numbers.
    n_failed
        Patient-arms that could not be computed; they are left out.
    """

    situation: str
    table: pd.DataFrame
    skipped: pd.DataFrame
    goals: tuple[Goal, ...]
    n_patients: int
    seed: int
    n_failed: int = 0


@dataclass(frozen=True)
class _Who:
    """Whom a trial took."""

    population: str
    prior: TrialPriorCard | None

    @property
    def key(self) -> tuple[str, str]:
        return self.population, self.prior.model_dump_json() if self.prior else ""

    def words(self, catalog: Catalog) -> str:
        title = catalog.population(self.population).title
        if self.prior is None:
            return title
        drugs = " and ".join(line.split()[0] for line in self.prior.regimens)
        return f"{title}, after failure of {drugs}"


@dataclass
class _Group:
    """Trials of the same patients, and the regimens of their arms, each once."""

    who: _Who
    arms: dict[str, tuple[Regimen, ...]] = field(default_factory=dict)
    published: list[tuple[TrialCard, TrialArmCard, str]] = field(default_factory=list)

    def add(self, trial: TrialCard, arm: TrialArmCard, regimens: tuple[Regimen, ...]) -> None:
        """Add an arm under the name of the arm that gives the same doses, if there is one."""
        last_day = 7.0 * max((result.week for result in arm.results), default=0.0)
        doses = doses_of(regimens, last_day)
        same = [n for n, own in self.arms.items() if doses_of(own, last_day) == doses]
        name = same[0] if same else " + ".join(arm.lines) or PLACEBO
        self.arms.setdefault(name, regimens)
        self.published.append((trial, arm, name))


def validate(
    catalog: Catalog,
    situation: str,
    n_patients: int = PATIENTS,
    seed: int = 1,
    only: Sequence[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Validation:
    """Simulate every published arm of a situation that can be simulated.

    Parameters
    ----------
    situation
        Name of a situation of the catalog.
    n_patients, seed
        Virtual patients of each arm; the same ones in all arms of a population.
    only
        Names of trials; all of the situation if empty.
    threads
        Threads of the solver; the numbers do not depend on it.
    progress
        Told of finished arms.

    Raises
    ------
    InputError
        The catalog has no such situation or trial, or no published trial of the situation.
    """
    card = catalog.situation(situation)
    trials = [t for t in map(catalog.trial, only or catalog.trials()) if t.situation == card.name]
    if not trials:
        raise InputError(
            f"the catalog has no published trial of {card.name}",
            remedy="add one: see docs/reference/cards.md, folder trials/",
        )
    goals = goals_of(card.name)
    groups: dict[tuple[str, str], _Group] = {}
    skipped: list[dict[str, Any]] = []
    for trial in trials:
        who = _who(trial)
        group = groups.setdefault(who.key, _Group(who))
        for arm in trial.arms:
            reason = why_not_simulated(catalog, trial, arm)
            compared = [result for result in arm.results if result.endpoint in card.endpoints]
            for result in arm.results:
                if not reason and result not in compared:
                    why = "the model has no such endpoint"
                    skipped.append(_skipped(catalog, trial, arm, why, result.endpoint))
            if reason:
                skipped.append(_skipped(catalog, trial, arm, reason))
            elif compared:
                kept = arm.model_copy(update={"results": tuple(compared)})
                group.add(trial, kept, regimens_of(catalog, trial.situation, arm))
    rows: list[dict[str, Any]] = []
    n_failed, done = 0, 0
    total = sum(len(group.arms) for group in groups.values())
    for group in groups.values():
        if not group.published:
            continue

        def told(arms: int, before: int = done) -> None:
            if progress:
                progress(before + arms, total, "arms")

        found, failed = _simulated(catalog, card, group, n_patients, seed, threads, told)
        rows += _rows(catalog, card, group, found, goals)
        n_failed += failed
        done += len(group.arms)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    left_out = pd.DataFrame(skipped, columns=list(SKIPPED))
    return Validation(card.name, table, left_out, goals, n_patients, seed, n_failed)


def as_data(found: Validation) -> dict[str, Any]:
    """Everything as plain data for JSON; what is not there is None."""
    return {
        "situation": found.situation,
        "patients": found.n_patients,
        "seed": found.seed,
        "failed": found.n_failed,
        "errors": _records(errors(found.table, found.goals)),
        "results": _records(found.table),
        "not_simulated": _records(found.skipped),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def why_not_simulated(catalog: Catalog, trial: TrialCard, arm: TrialArmCard) -> str:
    """Why no simulation can stand for a published arm; empty if one can.

    Parameters
    ----------
    trial, arm
        A published trial and one of its arms.
    """
    if arm.not_simulated:
        return arm.not_simulated
    population = _who(trial).population
    if population not in catalog.populations(trial.situation):
        return f"'{population}' is no population of the catalog, and the card names no 'prior'"
    if arm.drug != PLACEBO and not arm.regimen:
        return f"no regimen of {arm.drug} was read"
    background = catalog.population(population).background
    for name in dict.fromkeys(line.split()[0] for line in arm.lines):
        if name not in catalog.drugs():
            return f"the catalog has no drug '{name}'"
        if background is not None and name == background.drug:
            return f"{name} is the background that all patients take"
        drug = catalog.drug(name)
        if drug.pk is None:
            return f"{name} has no kinetics"
        reason = why_inert(catalog, drug)
        if reason:
            return reason
    try:
        regimens_of(catalog, trial.situation, arm)
    except ImmunostatError as error:
        return str(error).splitlines()[0]
    return ""


def regimens_of(catalog: Catalog, situation: str, arm: TrialArmCard) -> tuple[Regimen, ...]:
    """What a published arm gives besides the background."""
    return tuple(parse_regimen(line, catalog.drug, situation) for line in arm.lines)


def why_inert(catalog: Catalog, drug: Drug) -> str:
    """Why a drug acts on nothing in the model; empty if it acts."""
    targets = {name: catalog.target(name) for name in drug.targets}
    try:
        hooks = hooks_of([drug], targets)
    except InputError:
        outside = [name for name, target in targets.items() if target.hook is None]
        if len(outside) < len(targets):
            return f"no affinity of {drug.name} is known at a target in the immune core"
        return f"not in the immune core yet: {', '.join(outside)}"
    return "" if hooks else f"{drug.name} names no target"


def _who(trial: TrialCard) -> _Who:
    return _Who(trial.prior.population if trial.prior else trial.population, trial.prior)


def _targets(catalog: Catalog, arm: TrialArmCard) -> str:
    """Targets of an arm's drugs: those in the model, or all if none is."""
    found: list[str] = []
    for name in dict.fromkeys(line.split()[0] for line in arm.lines):
        if name in catalog.drugs():
            own = list(catalog.drug(name).targets)
            acting = [target for target in own if catalog.target(target).hook is not None]
            found += acting or own
    return ", ".join(dict.fromkeys(found)) or ("none" if not arm.lines else "")


def _drugs(arm: TrialArmCard) -> str:
    return " + ".join(dict.fromkeys(line.split()[0] for line in arm.lines)) or arm.drug


def _skipped(
    catalog: Catalog, trial: TrialCard, arm: TrialArmCard, reason: str, endpoint: str = ""
) -> dict[str, Any]:
    values = (trial.name, arm.name, _drugs(arm), _targets(catalog, arm), endpoint, reason)
    return dict(zip(SKIPPED, values, strict=True))


def _simulated(
    catalog: Catalog,
    situation: SituationCard,
    group: _Group,
    n_patients: int,
    seed: int,
    threads: int | None,
    told: Callable[[int], None],
) -> tuple[dict[tuple[str, str, float], SummaryRow], int]:
    """What the model predicts, by arm, endpoint and day; and how many patient-arms failed."""
    results = [result for _, arm, _ in group.published for result in arm.results]
    own_days = {7.0 * result.week for result in results}
    # A visit every week: the errors of a visit belong to its number, so that the prediction for
    # one trial does not depend on when others looked.
    weeks = range(ceil(max(own_days) / 7.0) + 1)
    days = sorted({*own_days, *(7.0 * week for week in weeks)})
    population: dict[str, Any] = {
        "name": group.who.population,
        "patients": n_patients,
        "seed": seed,
    }
    if group.who.prior is not None:
        prior = group.who.prior
        population["prior"] = {
            "regimens": list(prior.regimens),
            "duration": prior.duration,
            "failed": prior.failed,
            "washout": prior.washout,
        }
    study = make_study(
        {
            "title": f"Published arms: {group.who.words(catalog)}",
            "situation": situation.name,
            "population": population,
            "arms": {name: [r.words() for r in own] for name, own in group.arms.items()},
            "duration": f"{days[-1]:g} days",
            "visits": [f"{day:g} days" for day in days],
            "endpoints": list(dict.fromkeys(result.endpoint for result in results)),
            "side_effects": "none",
        },
        catalog,
    )
    plan = replace(prepare(study, catalog), times=np.array(study.visits_day))
    told(0)
    cohort = draw_cohort(plan.recruitment(threads), n_patients)
    found: dict[tuple[str, str, float], SummaryRow] = {}
    n_failed = 0
    # Arm after arm, so that memory is that of one.
    for i, arm in enumerate(study.arms):
        rows, failed = _arm(plan, cohort, arm, threads)
        found |= {(arm, row.endpoint, row.time_day): row for row in rows}
        n_failed += failed
        told(i + 1)
    return found, n_failed


def _arm(plan: Plan, cohort: Cohort, arm: str, threads: int | None) -> tuple[list[SummaryRow], int]:
    """Every endpoint of one arm at every visit; whoever could not be computed is left out."""
    simulation = simulate_cohort(replace(plan, arms=(arm,)), cohort, threads)
    is_ok = simulation.status(arm) == Status.OK
    days = np.array(plan.study.visits_day)
    seen = {name: values[is_ok] for name, values in simulation.visits[arm].items()}
    observations = Observations(days, seen, component_units(plan.situation))
    rows: list[SummaryRow] = []
    for spec in specs_of(plan):
        rows += summarize(spec, evaluate(spec, observations), days, arm)
    return rows, int(np.sum(~is_ok))


def _rows(
    catalog: Catalog,
    situation: SituationCard,
    group: _Group,
    found: Mapping[tuple[str, str, float], SummaryRow],
    goals: Sequence[Goal],
) -> list[dict[str, Any]]:
    """One row per published result."""
    rows = []
    for trial, arm, name in group.published:
        for result in arm.results:
            predicted = found[name, result.endpoint, 7.0 * result.week]
            is_share = KINDS[situation.endpoints[result.endpoint].kind].is_binary
            scale = 100.0 if is_share else 1.0
            observed, low, high = _observed(result, result.n or arm.n, is_share)
            reason = why_not_judged(trial, arm, result, goals)
            rows.append(
                {
                    "trial": trial.name,
                    "arm": arm.name,
                    "drug": _drugs(arm),
                    "target": _targets(catalog, arm),
                    "patients": group.who.words(catalog),
                    "role": arm.role,
                    "endpoint": result.endpoint,
                    "week": result.week,
                    "n": result.n or arm.n or np.nan,
                    "observed": observed,
                    "observed_low": low,
                    "observed_high": high,
                    "predicted": scale * predicted.estimate,
                    "predicted_low": scale * predicted.low,
                    "predicted_high": scale * predicted.high,
                    "difference": scale * predicted.estimate - observed,
                    "unit": "%" if is_share else predicted.unit,
                    "checked": result.checked,
                    "judged": not reason,
                    "why_not_judged": reason,
                    "source": result.source or "",
                }
            )
    return rows


def _observed(result: TrialResultCard, n: int | None, is_share: bool) -> tuple[float, float, float]:
    """A published value with its interval: as printed, or of the count; shares in percent."""
    value = result.value if not is_share or result.unit == "%" else 100.0 * result.value
    if result.low is not None and result.high is not None:
        scale = value / result.value if result.value else 1.0
        return value, scale * result.low, scale * result.high
    if is_share and n is not None:
        own = statistics.proportion(round(value / 100.0 * n), n)
        return value, 100.0 * own.low, 100.0 * own.high
    return value, np.nan, np.nan

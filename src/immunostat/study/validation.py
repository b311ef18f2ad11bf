"""Predicted against published: every arm of the published trials of a situation, simulated.

All arms that treat the same patients are simulated in the same virtual patients, and arms with
the same doses once. An arm is left out, with the reason, where nothing can stand for it: its drug
acts on no target of the immune core, its patients are not those of a population, or its card says
why. What acts is asked of the model (`assemble.hooks_of`), so that a target that joins the core
brings its drugs along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from immunostat.base.errors import ImmunostatError, InputError
from immunostat.catalog.cards import TrialArmCard, TrialCard, TrialPriorCard
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import SituationCard
from immunostat.engine.solution import Status
from immunostat.outcomes.endpoints import Observations, evaluate, times_of
from immunostat.outcomes.event_times import EventTimes, times_at_visits
from immunostat.outcomes.summary import SummaryRow, statistic_of, summarize
from immunostat.study.assemble import hooks_of
from immunostat.study.cohort import draw_cohort
from immunostat.study.comparison import doses_of
from immunostat.study.goals import VALUE, Goal, errors, goals_of, why_left_out, why_not_judged
from immunostat.study.plan import Plan, prepare
from immunostat.study.published_comparisons import comparisons_of, predicted_comparison, row_at
from immunostat.study.published_values import (
    Value,
    day_of,
    horizon_of,
    is_share_of,
    is_time_of,
    observed_value,
    predicted_value,
)
from immunostat.study.simulation import Simulation, disease_course, simulate_cohort
from immunostat.study.specs import component_units, specs_of
from immunostat.study.study import make_study
from immunostat.therapy.drug import Drug
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.regimen import Regimen
from immunostat.trial.dropout import observed_until

#: Called with how much is done, how much there is, and the name of the stage.
Progress = Callable[[int, int, str], None]

#: Virtual patients in each arm: their chance is small beside that of a published arm.
PATIENTS = 1000

PLACEBO = "placebo"

#: Columns of `Validation.table`.
COLUMNS = (
    *("trial", "arm", "drug", "target", "patients", "role"),
    *("endpoint", "measure", "versus", "week", "n"),
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
        One row per published result that is simulated, and per comparison of two arms, whose
        ``measure`` is not `goals.VALUE`; ``versus`` names its other arm; a median that is not
        reached is at least the time that was simulated. ``patients`` says who was treated;
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
class Who:
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
class Group:
    """Trials of the same patients, and the regimens of their arms, each once."""

    who: Who
    arms: dict[str, tuple[Regimen, ...]] = field(default_factory=dict)
    published: list[tuple[TrialCard, TrialArmCard, str]] = field(default_factory=list)

    def add(
        self,
        trial: TrialCard,
        arm: TrialArmCard,
        regimens: tuple[Regimen, ...],
        last_day: float | None = None,
    ) -> None:
        """Add an arm under the name of the arm that gives the same doses, if there is one.

        Parameters
        ----------
        last_day
            Until when doses matter; that of the last result of the arm if None.
        """
        if last_day is None:
            last_day = max((day_of(result) for result in arm.results), default=0.0)
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
    groups: dict[tuple[str, str], Group] = {}
    skipped: list[dict[str, Any]] = []
    for trial in trials:
        who = who_of(trial)
        group = groups.setdefault(who.key, Group(who))
        for arm in trial.arms:
            reason = why_not_simulated(catalog, trial, arm)
            compared = [result for result in arm.results if result.endpoint in card.endpoints]
            for result in arm.results:
                if not reason and result not in compared:
                    why = "the model has no such endpoint"
                    skipped.append(_skipped(catalog, trial, arm, why, result.endpoint))
            if reason:
                skipped.append(_skipped(catalog, trial, arm, reason))
            elif compared or arm.name in _named_in_comparisons(trial, card):
                kept = arm.model_copy(update={"results": tuple(compared)})
                regimens = regimens_of(catalog, trial.situation, arm)
                group.add(trial, kept, regimens, horizon_of(card, kept))
    rows: list[dict[str, Any]] = []
    n_failed, done = 0, 0
    total = sum(len(group.arms) for group in groups.values())
    for group in groups.values():
        if not group.published:
            continue

        def told(arms: int, before: int = done) -> None:
            if progress:
                progress(before + arms, total, "arms")

        found = _simulated(catalog, card, group, n_patients, seed, threads, told)
        rows += _rows(catalog, card, group, found, goals, skipped)
        rows += _comparison_rows(catalog, card, group, found, goals, skipped)
        n_failed += found.n_failed
        done += len(group.arms)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    left_out = pd.DataFrame(skipped, columns=list(SKIPPED))
    return Validation(card.name, table, left_out, goals, n_patients, seed, n_failed)


def _named_in_comparisons(trial: TrialCard, situation: SituationCard) -> set[str]:
    """Names of arms that a printed comparison needs."""
    own = [one for one in trial.comparisons if one.endpoint in situation.endpoints]
    return {name for one in own for name in (one.arm, one.versus)}


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
    population = who_of(trial).population
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


def who_of(trial: TrialCard) -> Who:
    return Who(trial.prior.population if trial.prior else trial.population, trial.prior)


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


def plan_of(
    catalog: Catalog,
    situation: SituationCard,
    group: Group,
    n_patients: int,
    seed: int,
    relative_tolerance: float | None = None,
) -> Plan:
    """The study that simulates the arms of a group, with the visits that their results need.

    Parameters
    ----------
    group
        Published arms of the same patients.
    n_patients, seed
        Virtual patients of each arm, and the seed of all random numbers.
    relative_tolerance
        Wanted local error; that of a study if None.
    """
    results = [result for _, arm, _ in group.published for result in arm.results]
    compared = [
        own
        for trial in {trial.name: trial for trial, _, _ in group.published}.values()
        for own in trial.comparisons
        if own.endpoint in situation.endpoints
    ]
    own_days = {day_of(own) for own in (*results, *compared)}
    endpoints = [*(own.endpoint for own in results), *(own.endpoint for own in compared)]
    last = max(*own_days, *(horizon_of(situation, arm) for _, arm, _ in group.published))
    # Visits at fixed times: the errors of a visit belong to its number, so that the prediction for
    # one trial does not depend on when others looked.
    every = situation.visit_every_day
    days = sorted({*own_days, *(every * k for k in range(ceil(last / every - 1e-9) + 1))})
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
            "duration": f"{days[-1]:.10g} days",
            "visits": [f"{day:.10g} days" for day in days],
            "endpoints": list(dict.fromkeys(endpoints)),
            "side_effects": "none",
            **({"solve": {"relative_tolerance": relative_tolerance}} if relative_tolerance else {}),
        },
        catalog,
    )
    plan = prepare(study, catalog)
    # Between visits nothing is looked at, but for hazards.
    return plan if situation.events else replace(plan, times=np.array(study.visits_day))


@dataclass
class Predicted:
    """What the model says of the arms of a group.

    Parameters
    ----------
    rows
        By name of the arm and endpoint, then by day.
    events
        Days of events, of endpoints that are made of events or find them at visits.
    n_failed
        Patient-arms that could not be computed.
    """

    rows: dict[tuple[str, str], dict[float, SummaryRow]] = field(default_factory=dict)
    events: dict[tuple[str, str], EventTimes] = field(default_factory=dict)
    n_failed: int = 0

    def row(self, arm: str, endpoint: str, day: float, is_time: bool = False) -> SummaryRow:
        """The row of a day; of a median time the last one, which knows most."""
        own = self.rows[arm, endpoint]
        return own[max(own)] if is_time else row_at(own, day)


def _simulated(
    catalog: Catalog,
    situation: SituationCard,
    group: Group,
    n_patients: int,
    seed: int,
    threads: int | None,
    told: Callable[[int], None],
) -> Predicted:
    """What the model predicts of every arm of a group."""
    plan = plan_of(catalog, situation, group, n_patients, seed)
    told(0)
    cohort = draw_cohort(plan.recruitment(threads), n_patients)
    found = Predicted()
    # Arm after arm, so that memory is that of one.
    for i, arm in enumerate(plan.study.arms):
        simulation = simulate_cohort(replace(plan, arms=(arm,)), cohort, threads)
        rows, failed = predictions(simulation, arm)
        for row in rows:
            found.rows.setdefault((arm, row.endpoint), {})[row.time_day] = row
        found.events |= {(arm, name): own for name, own in event_days(simulation, arm).items()}
        found.n_failed += failed
        told(i + 1)
    return found


def predictions(simulation: Simulation, arm: str) -> tuple[list[SummaryRow], int]:
    """Every endpoint of one arm at every visit; whoever could not be computed is left out.

    Returns
    -------
    The rows, and how many patients were left out.
    """
    observations = _observations(simulation, arm)
    rows: list[SummaryRow] = []
    for spec in specs_of(simulation.plan):
        values, exact = evaluate(spec, observations), times_of(spec, observations)
        rows += summarize(spec, values, observations.times, arm, exact=exact)
    return rows, int(np.sum(simulation.status(arm) != Status.OK))


def event_days(simulation: Simulation, arm: str) -> dict[str, EventTimes]:
    """Days of the events of one arm, by endpoint; whoever could not be computed is left out."""
    observations = _observations(simulation, arm)
    found = {}
    for spec in specs_of(simulation.plan):
        exact = times_of(spec, observations)
        if exact is None and statistic_of(spec) == "incidence":
            exact = times_at_visits(evaluate(spec, observations), observations.times)
        if exact is not None:
            found[spec.name] = exact
    return found


def _observations(simulation: Simulation, arm: str) -> Observations:
    """What is seen of the patients who could be computed; the dead are seen no more."""
    plan = simulation.plan
    is_ok = simulation.status(arm) == Status.OK
    days = np.array(plan.study.visits_day)
    seen = {name: values[is_ok] for name, values in simulation.visits[arm].items()}
    course = disease_course(simulation, arm)
    if course is not None:
        course = course.kept(is_ok)
        end = np.where(np.isnan(course.died_day), np.inf, course.died_day)
        seen = {name: observed_until(values, days, end) for name, values in seen.items()}
    return Observations(days, seen, component_units(plan.situation), course)


def _rows(
    catalog: Catalog,
    situation: SituationCard,
    group: Group,
    found: Predicted,
    goals: Sequence[Goal],
    skipped: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """One row per published result; what has another unit is skipped."""
    rows = []
    for trial, arm, name in group.published:
        for result in arm.results:
            is_share = is_share_of(situation, result.endpoint)
            is_time = is_time_of(situation, result.endpoint)
            row = found.row(name, result.endpoint, day_of(result), is_time)
            predicted = predicted_value(row, result.unit, is_share)
            if predicted is None:
                why = f"printed in '{result.unit}', predicted in '{row.unit}'"
                skipped.append(_skipped(catalog, trial, arm, why, result.endpoint))
                continue
            observed = Value(*observed_value(result, result.n or arm.n, is_share))
            reason = why_not_judged(trial, arm, result, goals)
            rows.append(
                {
                    **_about(catalog, group, trial, arm),
                    "endpoint": result.endpoint,
                    "measure": VALUE,
                    "versus": "",
                    "week": result.week,
                    "n": result.n or arm.n or np.nan,
                    **_beside(observed, predicted),
                    "unit": "%" if is_share else result.unit,
                    "checked": result.checked,
                    "judged": not reason,
                    "why_not_judged": reason,
                    "source": result.source or "",
                }
            )
    return rows


def _comparison_rows(
    catalog: Catalog,
    situation: SituationCard,
    group: Group,
    found: Predicted,
    goals: Sequence[Goal],
    skipped: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """One row per comparison of two arms that are both simulated."""
    rows = []
    names = {(trial.name, arm.name): name for trial, arm, name in group.published}
    for trial in {trial.name: trial for trial, _, _ in group.published}.values():
        for own in comparisons_of(trial, situation, goals):
            pair = [names.get((trial.name, arm.name)) for arm in (own.arm, own.versus)]
            if pair[0] is None or pair[1] is None:
                if pair[0] is not None:
                    why = f"{own.measure} to '{own.versus.name}', which is not simulated"
                    skipped.append(_skipped(catalog, trial, own.arm, why, own.endpoint))
                continue
            both = [(name, own.endpoint) for name in (pair[0], pair[1])]
            predicted = predicted_comparison(
                own,
                (found.row(*both[0], own.day), found.row(*both[1], own.day)),
                (found.events.get(both[0]), found.events.get(both[1])),
            )
            if predicted is None:
                why = f"the endpoint has no {own.measure}"
                skipped.append(_skipped(catalog, trial, own.arm, why, own.endpoint))
                continue
            week = own.day / 7.0
            reason = why_left_out(
                trial, own.arm, goals, own.endpoint, week, own.checked, own.measure
            )
            rows.append(
                {
                    **_about(catalog, group, trial, own.arm),
                    "endpoint": own.endpoint,
                    "measure": own.measure,
                    "versus": own.versus.name,
                    "week": week,
                    "n": own.n,
                    **_beside(own.observed, predicted),
                    "unit": own.unit,
                    "checked": own.checked,
                    "judged": not reason,
                    "why_not_judged": reason,
                    "source": own.source,
                }
            )
    return rows


def _about(
    catalog: Catalog, group: Group, trial: TrialCard, arm: TrialArmCard
) -> dict[str, object]:
    """Columns that say of which arm a result is."""
    return {
        "trial": trial.name,
        "arm": arm.name,
        "drug": _drugs(arm),
        "target": _targets(catalog, arm),
        "patients": group.who.words(catalog),
        "role": arm.role,
    }


def _beside(observed: Value, predicted: Value) -> dict[str, float]:
    """Columns of the two values."""
    return {
        "observed": observed.value,
        "observed_low": observed.low,
        "observed_high": observed.high,
        "predicted": predicted.value,
        "predicted_low": predicted.low,
        "predicted_high": predicted.high,
        "difference": predicted.value - observed.value,
    }

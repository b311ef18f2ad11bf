"""Published arms as a study: whom they treated, what they gave, and what the model says of them.

Arms that treat the same patients are simulated together. An arm is left out, with the reason, where
nothing can stand for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, cast

import numpy as np

from immunostat.base.errors import ImmunostatError, InputError
from immunostat.catalog.cards import TrialArmCard, TrialCard, TrialPriorCard
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import PopulationCard, SituationCard
from immunostat.engine.solution import Status
from immunostat.outcomes.endpoints import Observations, evaluate, times_of
from immunostat.outcomes.event_times import EventTimes, times_at_visits
from immunostat.outcomes.expected_events import ExpectedEvents, expected_of
from immunostat.outcomes.summary import SummaryRow, statistic_of, summarize
from immunostat.study.assemble import hooks_of
from immunostat.study.comparison import doses_of
from immunostat.study.leaving import Leaving, as_published, leaving_of
from immunostat.study.plan import Plan, prepare, with_grid
from immunostat.study.published_values import (
    day_of,
    horizon_of,
)
from immunostat.study.simulation import Simulation, disease_course, disease_hazards
from immunostat.study.specs import component_units, specs_of
from immunostat.study.staggered_visits import staggered
from immunostat.study.study_reader import MAXIMUM_NAME, make_study
from immunostat.therapy.drug import Drug
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.regimen import Regimen
from immunostat.trial.dropout import observed_until

PLACEBO = "placebo"

#: Most times besides visits at which hazards are looked at.
HAZARD_POINTS = 200


@dataclass(frozen=True)
class Who:
    """Whom a trial took."""

    population: str
    prior: TrialPriorCard | None

    @property
    def key(self) -> tuple[str, str]:
        return self.population, self.prior.model_dump_json() if self.prior else ""

    def like(self, catalog: Catalog) -> str:
        """Name of the population that its card says it is like, else its own; and what failed."""
        card = cast(PopulationCard, catalog.card("populations", self.population))
        return f"{card.like or card.name} {self.key[1]}".strip()

    def words(self, catalog: Catalog) -> str:
        title = catalog.population(self.population).title
        if self.prior is None:
            return title
        drugs = " and ".join(line.split()[0] for line in self.prior.regimens)
        return f"{title}, after failure of {drugs}"


@dataclass
class Group:
    """Trials of the same patients, and the regimens of their arms, each once.

    Parameters
    ----------
    who
        Whom the trials took.
    arms
        Regimens of each simulated arm, by its name.
    published
        Each published arm with its trial and the name of its prediction.
    leaving
        By simulated arm: name of each prediction, and how patients leave there. Arms of two trials
        with the same doses are simulated once and predicted apart if their patients leave
        differently.
    """

    who: Who
    arms: dict[str, tuple[Regimen, ...]] = field(default_factory=dict)
    published: list[tuple[TrialCard, TrialArmCard, str]] = field(default_factory=list)
    leaving: dict[str, dict[str, Leaving | None]] = field(default_factory=dict)

    def add(
        self,
        trial: TrialCard,
        arm: TrialArmCard,
        regimens: tuple[Regimen, ...],
        last_day: float | None = None,
        situation: SituationCard | None = None,
    ) -> str:
        """Add an arm under the name of the arm that gives the same doses, if there is one.

        Parameters
        ----------
        last_day
            Until when doses matter; that of the last result of the arm if None.
        situation
            Whose endpoints the trial's rule of rescue reads; None lets everybody stay.

        Returns
        -------
        Name of the arm's prediction.
        """
        if last_day is None:
            last_day = max((day_of(result) for result in arm.results), default=0.0)
        doses = doses_of(regimens, last_day)
        same = [n for n, own in self.arms.items() if doses_of(own, last_day) == doses]
        words = " + ".join(arm.lines) or PLACEBO
        if len(words) > MAXIMUM_NAME:  # a titration in many steps
            words = f"{trial.name}: {arm.name}"
        name = same[0] if same else words
        self.arms.setdefault(name, regimens)
        leaving = leaving_of(trial, arm, situation) if situation is not None else None
        shown = name if leaving is None else f"{trial.name}: {arm.name}, with those who left"
        self.leaving.setdefault(name, {})[shown] = leaving
        self.published.append((trial, arm, shown))
        return shown


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
    """Whom a trial took."""
    return Who(trial.prior.population if trial.prior else trial.population, trial.prior)


def targets_of(catalog: Catalog, arm: TrialArmCard) -> str:
    """Targets of an arm's drugs: those in the model, or all if none is."""
    found: list[str] = []
    for name in dict.fromkeys(line.split()[0] for line in arm.lines):
        if name in catalog.drugs():
            own = list(catalog.drug(name).targets)
            acting = [target for target in own if catalog.target(target).hook is not None]
            found += acting or own
    return ", ".join(dict.fromkeys(found)) or ("none" if not arm.lines else "")


def drugs_of(arm: TrialArmCard) -> str:
    """Names of an arm's drugs."""
    return " + ".join(dict.fromkeys(line.split()[0] for line in arm.lines)) or arm.drug


def plan_of(
    catalog: Catalog,
    situation: SituationCard,
    group: Group,
    n_patients: int,
    seed: int,
    relative_tolerance: float | None = None,
    sampling: str = "random",
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
    sampling
        How patients are spread over what they may be; see `Sampling`.
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
        "sampling": sampling,
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
    times = np.array(study.visits_day)
    if situation.events:  # hazards are followed between visits too
        step = max(situation.sample_every_day, study.duration_day / HAZARD_POINTS)
        times = with_grid(times, step)
    return replace(plan, times=times)


@dataclass(frozen=True)
class ArmPrediction:
    """What the model says of one arm; whoever could not be computed is left out.

    Parameters
    ----------
    rows
        Every endpoint at every visit. Rates and shares of events are the expected ones of the
        patients' hazards, so that no event is drawn for them.
    events
        Days of drawn events, by endpoint, of those that are made of events or find them at visits.
    expected
        Expected events, by endpoint, where no event need be drawn.
    n_failed
        Patients who could not be computed.
    """

    rows: tuple[SummaryRow, ...]
    events: Mapping[str, EventTimes]
    expected: Mapping[str, ExpectedEvents]
    n_failed: int


def predict_arm(simulation: Simulation, arm: str, leaving: Leaving | None = None) -> ArmPrediction:
    """Every endpoint of one arm at every visit, with what comparisons with other arms need.

    Parameters
    ----------
    simulation
        With the arm.
    arm
        Its name.
    leaving
        How patients leave and are then seen at visits; everybody stays if None.
    """
    observations, plan = _observations(simulation, arm), simulation.plan
    numbers = simulation.cohort.numbers[simulation.status(arm) == Status.OK]
    seed = plan.study.population.seed
    if leaving is not None:
        observations = as_published(observations, leaving, numbers, seed)
    rows: list[SummaryRow] = []
    events: dict[str, EventTimes] = {}
    expected: dict[str, ExpectedEvents] = {}
    for spec in specs_of(plan):
        values, exact = evaluate(spec, observations), times_of(spec, observations)
        own = expected_of(spec, observations)
        if exact is not None and spec.seen and plan.situation.staggered_visits:
            exact = staggered(exact, observations.times, numbers, seed)
        rows += summarize(spec, values, observations.times, arm, exact=exact, expected=own)
        if exact is None and statistic_of(spec) == "incidence":
            exact = times_at_visits(values, observations.times)
        if exact is not None:
            events[spec.name] = exact
        if own is not None:
            expected[spec.name] = own
    failed = int(np.sum(simulation.status(arm) != Status.OK))
    return ArmPrediction(tuple(rows), events, expected, failed)


def _observations(simulation: Simulation, arm: str) -> Observations:
    """What is seen of the patients who could be computed; the dead are seen no more."""
    plan = simulation.plan
    is_ok = simulation.status(arm) == Status.OK
    days = np.array(plan.study.visits_day)
    seen = {name: values[is_ok] for name, values in simulation.visits[arm].items()}
    course, hazards = disease_course(simulation, arm), disease_hazards(simulation, arm)
    if course is not None and hazards is not None:
        course, hazards = course.kept(is_ok), hazards.kept(is_ok)
        end = np.where(np.isnan(course.died_day), np.inf, course.died_day)
        seen = {name: observed_until(values, days, end) for name, values in seen.items()}
    return Observations(days, seen, component_units(plan.situation), course, hazards)

"""Every arm of a study solved in the same patients: same random numbers, so that arms differ by
treatment alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from immunostat.engine.explain import explain
from immunostat.engine.problem import EnsembleProblem, IntArray, Schedule
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import Observations, evaluate
from immunostat.outcomes.event_times import DiseaseCourse, Hazards, draw_course
from immunostat.outcomes.scores import ctcae_grade
from immunostat.study.cohort import Cohort, columns_of, observe
from immunostat.study.doses import DoseBook
from immunostat.study.harm import Harm, events_of, graded_values
from immunostat.study.plan import METHOD, Plan
from immunostat.study.reactive import ActionLog, Observer, solve_with_rules
from immunostat.study.specs import component_units, endpoint_specs, event_kinds
from immunostat.therapy.schedule import schedule_for
from immunostat.trial.dropout import STOPPING, missing_visits


@dataclass(frozen=True)
class Simulation:
    """Every arm of a study, solved for some patients.

    Parameters
    ----------
    plan
        What was simulated.
    cohort
        In whom.
    trajectories
        All arms of the plan one after another. Its first axis has length arm x patient.
    failures
        Who failed, when, which state moved fastest, and what to try; empty if nobody did.
    visits
        What visits recorded, by arm and component. Each (patient, visit).
    actions
        What the rules did, where the study has any.
    book
        Which doses were given.
    """

    plan: Plan
    cohort: Cohort
    trajectories: Trajectories
    failures: tuple[str, ...] = ()
    visits: dict[str, dict[str, FloatArray]] = field(default_factory=dict)
    actions: ActionLog | None = None
    book: DoseBook | None = None

    @property
    def n_patients(self) -> int:
        """Number of patients in each arm."""
        return len(self.cohort.numbers)

    def rows(self, arm: str) -> slice:
        """Rows of an arm in the trajectories."""
        start = self.plan.arms.index(arm) * self.n_patients
        return slice(start, start + self.n_patients)

    def values(self, arm: str, output: str) -> FloatArray:
        """Course of one output in one arm, in the unit of the model. Shape (patient, time)."""
        index = self.trajectories.outputs.index(output)
        highest = self.plan.outputs[index].high
        return np.minimum(self.trajectories.values[self.rows(arm), :, index], highest)

    def courses(self, arm: str) -> FloatArray:
        """Courses of an arm in the units of readers. Shape (patient, time, output)."""
        outputs = self.plan.outputs
        found = np.minimum(
            self.trajectories.values[self.rows(arm)], np.array([output.high for output in outputs])
        )
        return np.asarray(found * np.array([output.factor for output in outputs]))

    def status(self, arm: str) -> IntArray:
        """Status of each patient of an arm."""
        return self.trajectories.status[self.rows(arm)]

    @property
    def visit_index(self) -> IntArray:
        """Which sample times are visits. Shape (visit,)."""
        return np.searchsorted(self.plan.times, self.plan.study.visits_day)


def simulate_cohort(
    plan: Plan,
    cohort: Cohort,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """Solve every arm of a plan in the patients of a cohort.

    Parameters
    ----------
    progress
        Called with the number of courses (arm x patient) finished.
    """
    arms, n_arms = plan.arms, len(plan.arms)
    if plan.study.rules:
        book = DoseBook(plan, cohort)
        observer = _observer(plan, cohort, book)
        trajectories, actions, problem = solve_with_rules(
            plan, cohort, observer, threads, progress, book
        )
    else:
        actions, book = None, DoseBook.planned(plan, cohort)
        problem = EnsembleProblem(
            plan.assembly.system,
            np.tile(cohort.parameters, (n_arms, 1)),
            schedule_of(plan, cohort),
            plan.times,
            plan.output_names,
            initial_states=np.tile(cohort.initial_states, (n_arms, 1)),
        )
        trajectories = solve(
            problem, method=METHOD, tolerance=plan.tolerance, threads=threads, progress=progress
        )
    labels = [f"{number} of arm '{arm}'" for arm in arms for number in cohort.numbers]
    failures = tuple(explain(trajectories, problem, labels))
    simulation = Simulation(plan, cohort, trajectories, failures, actions=actions, book=book)
    for arm in arms:
        simulation.visits[arm] = observed_visits(simulation, arm)
    return simulation


def _observer(plan: Plan, cohort: Cohort, book: DoseBook) -> Observer:
    """What the rules of a study see: components and endpoints as observed, covariates, events."""
    covariates, seed = columns_of(cohort.covariates), plan.study.population.seed
    days = np.array(plan.study.visits_day)
    index = np.searchsorted(plan.times, days)
    looked_at = {
        name
        for rule in plan.study.rules
        for condition in (rule.when, rule.until)
        if condition is not None
        for name in condition.names
    }
    effects = [harm for harm in plan.side_effects if harm.name in looked_at]
    stopping = (
        [harm for harm in plan.side_effects if harm.is_drawn] if STOPPING in looked_at else []
    )
    specs = endpoint_specs(
        plan.situation, [name for name in plan.situation.endpoints if name in looked_at]
    )
    units, n = component_units(plan.situation), len(cohort.numbers)
    names = plan.output_names
    highest = np.array([output.high for output in plan.outputs])
    reference = plan.arms.index(plan.reference)
    # Nobody acts on a visit that was missed.
    missed = missing_visits(plan.study.missed_visits, cohort.numbers, seed, len(days))

    def observer(arm: int, visit: int, values: FloatArray) -> dict[str, FloatArray]:
        upto = index[: visit + 1]
        own = np.minimum(values[arm * n : (arm + 1) * n], highest)
        true = {name: own[:, upto, k] for k, name in enumerate(names)}
        seen = observe(plan.situation.components, true, cohort.numbers, seed)
        for values_seen in seen.values():
            values_seen[missed[:, : visit + 1]] = np.nan
        found = {name: values[:, visit] for name, values in seen.items()}
        observations = Observations(days[: visit + 1], seen, units)
        found |= {spec.name: evaluate(spec, observations)[:, visit] for spec in specs}
        for harm in effects:
            if not harm.is_drawn:
                graded = seen.get(harm.output, true.get(harm.output))
                assert graded is not None
                limits = harm.card.limits
                found[harm.name] = ctcae_grade(graded_values(harm, graded), *limits)[:, visit]
            else:
                found[harm.name] = happened(arm, visit, harm, own, values, False)
        if stopping:
            stops = [happened(arm, visit, harm, own, values, True) for harm in stopping]
            found[STOPPING] = np.max(stops, axis=0)
        return {**covariates, **found}

    def happened(
        arm: int, visit: int, harm: Harm, own: FloatArray, values: FloatArray, that_stop: bool
    ) -> FloatArray:
        without = values[reference * n : (reference + 1) * n]
        stop, since = int(index[visit]) + 1, days[max(visit - 1, 0)]
        return _happened_since(book, arm, harm, own[:, :stop], without[:, :stop], since, that_stop)

    return observer


def _happened_since(
    book: DoseBook,
    arm: int,
    harm: Harm,
    own: FloatArray,
    without: FloatArray,
    since_day: float,
    that_stop: bool = False,
) -> FloatArray:
    """1 for patients with an event of a side effect since the visit before, else 0.

    With `that_stop`, only events after which, by their card, a drug is stopped.
    """
    plan, cohort = book.plan, book.cohort
    n, n_times = own.shape[:2]
    if n_times < 2:
        return np.zeros(n)
    names = plan.output_names
    drawn = events_of(
        harm,
        cohort.numbers,
        columns_of(cohort.covariates),
        {name: own[:, :, k] for k, name in enumerate(names)},
        {name: without[:, :, k] for k, name in enumerate(names)},
        book.of(arm),
        plan.times[:n_times],
        plan.study.population.seed,
    )
    counts = drawn.events.event_time > since_day
    if that_stop:
        counts = counts & drawn.graded.stops
    found = np.zeros(n)
    found[drawn.events.event_row[counts]] = 1.0
    return found


def disease_course(
    simulation: Simulation, arm: str, leaving_day: FloatArray | None = None
) -> DiseaseCourse | None:
    """Events of the disease in one arm; None where the situation has none.

    Parameters
    ----------
    leaving_day
        Day on which each patient leaves; None follows everybody. Shape (patient,).
    """
    own = disease_hazards(simulation, arm)
    if own is None:
        return None
    seed = simulation.plan.study.population.seed
    return draw_course(own.kinds, own.by_name, own.times, seed, own.patients, leaving_day)


def disease_hazards(simulation: Simulation, arm: str) -> Hazards | None:
    """Hazards of the events of the disease in one arm; None where the situation has none."""
    plan = simulation.plan
    if not plan.situation.events:
        return None
    hazards = {
        name: simulation.values(arm, card.hazard) for name, card in plan.situation.events.items()
    }
    kinds, numbers = event_kinds(plan.situation), simulation.cohort.numbers
    return Hazards(kinds, hazards, plan.times, numbers)


def schedule_of(plan: Plan, cohort: Cohort) -> Schedule:
    """Doses of every arm in every patient, arm after arm."""
    weight = cohort.covariates["weight"].to_numpy(np.float64)
    surface = columns_of(cohort.covariates).get("bsa")
    return joined(
        [
            schedule_for(
                plan.assembly.system,
                plan.regimens(arm),
                plan.study.duration_day,
                weight,
                cohort.bioavailability,
                surface,
            )
            for arm in plan.arms
        ]
    )


def joined(schedules: list[Schedule]) -> Schedule:
    """Schedules of several arms, one after another."""
    lengths = np.concatenate([np.diff(schedule.offsets) for schedule in schedules])
    return Schedule(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([schedule.times for schedule in schedules]),
        np.concatenate([schedule.actions for schedule in schedules]),
        np.concatenate([schedule.targets for schedule in schedules]),
        np.concatenate([schedule.values for schedule in schedules]),
    )


def observed_visits(simulation: Simulation, arm: str) -> dict[str, FloatArray]:
    """What the visits of an arm record, with the error of the day. Each (patient, visit)."""
    components = simulation.plan.situation.components
    index = simulation.visit_index
    true = {
        card.output: simulation.values(arm, card.output)[:, index] for card in components.values()
    }
    seed = simulation.plan.study.population.seed
    return observe(components, true, simulation.cohort.numbers, seed)

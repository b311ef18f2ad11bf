"""What is kept of the simulation of one block of candidates: a chunk of named arrays.

Everything that a patient's results need is read here, where his courses are in memory: what visits
record, when he leaves, his endpoints, side effects and the parts of his immune response. Tables of
a study are then made of the chunks alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from immunostat.engine.problem import IntArray
from immunostat.engine.solution import Status
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import Observations, evaluate, times_of
from immunostat.outcomes.event_times import DiseaseCourse, EventTimes
from immunostat.outcomes.scores import ctcae_grade
from immunostat.outcomes.severity import present_at
from immunostat.outcomes.sketch import Sketch, tree_sum
from immunostat.study.harm import Drawn, Harm, events_of, graded_values
from immunostat.study.plan import Plan
from immunostat.study.recruitment import columns_of
from immunostat.study.simulation import Simulation, disease_course
from immunostat.study.specs import component_units, concentration_outputs, specs_of
from immunostat.study.store import AnyArray, Chunk
from immunostat.trial.dropout import (
    STOPPING,
    Happenings,
    dropout_times,
    missing_visits,
    observed_until,
)


def harvest(simulation: Simulation, is_kept: bool, block: tuple[int, int] = (0, 0)) -> Chunk:
    """What a study keeps of a block of candidates.

    Parameters
    ----------
    simulation
        Every arm in the patients who entered from a block of candidates.
    is_kept
        Whether courses are kept; if not, only counts for their quantiles.
    block
        Number of the first candidate of the block, and its size; needed where courses are not
        kept.
    """
    plan, cohort = simulation.plan, simulation.cohort
    columns: dict[str, AnyArray] = {"number": cohort.numbers}
    for name, values in columns_of(cohort.covariates).items():
        columns[f"covariate/{name}"] = values
    for name in individual_parameters(plan):
        index = plan.assembly.system.parameters.index(name)
        columns[f"parameter/{name}"] = cohort.parameters[:, index]
    logs: dict[str, AnyArray] = {}
    sums: dict[str, AnyArray] = {}
    for i, arm in enumerate(plan.study.arms):
        _arm(simulation, i, arm, columns, logs)
        courses = simulation.courses(arm)
        if is_kept:
            columns[f"course/{i}"] = courses
        else:
            _summed(courses, cohort.numbers - block[0], block[1], i, sums)
    for name, values in vars(simulation.actions).items() if simulation.actions else ():
        logs[f"action/{name}"] = values
    status = simulation.trajectories.status
    meta = {
        "patients": len(cohort.numbers),
        "candidates": cohort.n_candidates,
        "rejected": dict(cohort.rejected),
        "failures": list(simulation.failures),
        "failed": {
            own.name.lower().replace("_", " "): int(np.sum(status == own))
            for own in Status
            if own is not Status.OK and np.any(status == own)
        },
        "steps": int(simulation.trajectories.accepted.sum()),
    }
    return Chunk(columns, logs, sums, meta)


def individual_parameters(plan: Plan) -> tuple[str, ...]:
    """Names of the parameters of the joined model in which patients differ."""
    kinetics = {
        f"{drug.prefix}_{name}" for drug in plan.drugs if drug.pk for name in drug.pk.parameters
    }
    own = {*plan.assembly.varied, *kinetics}
    return tuple(name for name in plan.assembly.system.parameters if name in own)


def _arm(
    simulation: Simulation,
    i: int,
    arm: str,
    columns: dict[str, AnyArray],
    logs: dict[str, AnyArray],
) -> None:
    """Everything of one arm."""
    plan = simulation.plan
    days = np.array(plan.study.visits_day)
    columns[f"status/{i}"] = simulation.status(arm)
    events = _drawn(simulation, arm)
    leaving, cause = _leaving(simulation, arm, events)
    course = disease_course(simulation, arm, leaving)
    if course is not None:
        # Who has died does not leave any more.
        is_dead = ~np.isnan(course.died_day)
        cause = np.where(is_dead, -1, cause)
        columns |= _disease(plan, course, i, logs)
    gone = leaving if course is None else np.fmin(leaving, course.died_day)
    if plan.study.dropout:
        columns[f"left/{i}"] = np.where(cause < 0, np.inf, leaving)
        columns[f"cause/{i}"] = cause
    seen = _seen(simulation, arm, gone)
    columns |= {f"visit/{i}/{name}": values for name, values in seen.items()}
    for name, values in endpoint_values(plan, seen, course).items():
        columns[f"endpoint/{i}/{name}"] = values
    for name, exact in exact_times(plan, seen, course).items():
        columns[f"event_time/{i}/{name}"] = exact.array
    for drug, output in concentration_outputs(plan, arm).items():
        found = simulation.values(arm, output.name)[:, simulation.visit_index] * output.factor
        columns[f"concentration/{i}/{drug}"] = observed_until(found, days, gone)
    for name, ratio in _ratios(simulation, arm).items():
        columns[f"ratio/{i}/{name}"] = ratio
    for harm in plan.side_effects:
        key = f"{i}/{harm.name}"
        if harm.is_drawn:
            drawn = events[harm.name]
            if np.isfinite(gone).any():
                drawn = drawn_of(simulation, harm, arm, gone)
            own = drawn.events
            columns[f"expected/{key}"] = own.expected
            columns[f"chance/{key}"] = drawn.chance
            columns[f"background/{key}"] = drawn.by_background
            columns[f"mechanism/{key}"] = drawn.by_mechanism
            columns[f"count/{key}"] = own.counts
            columns[f"follow_up/{key}"] = own.follow_up
            columns[f"first/{key}"] = own.first
            logs[f"event/{key}/row"], logs[f"event/{key}/day"] = own.event_row, own.event_time
            logs[f"event/{key}/grade"] = drawn.graded.grade
            columns |= _worst(drawn, harm, key, plan.study.duration_day)
        else:
            grades = _grades(simulation, harm, arm, seen)[:, 1:]
            worst = np.fmax.reduce(grades, axis=1)
            columns[f"grade/{key}"] = worst
            columns[f"grade_day/{key}"] = days[1:][np.argmax(grades == worst[:, None], axis=1)]


def observed_endpoints(simulation: Simulation, arm: str) -> dict[str, FloatArray]:
    """Every endpoint of the study as the trial sees it: missing where a patient is not seen.

    Each (patient, visit).
    """
    return observed_outcomes(simulation, arm)[0]


def observed_outcomes(
    simulation: Simulation, arm: str
) -> tuple[dict[str, FloatArray], dict[str, EventTimes]]:
    """Every endpoint as the trial sees it, and the days of events of those made of events.

    The first each (patient, visit).
    """
    plan = simulation.plan
    leaving, _ = _leaving(simulation, arm, _drawn(simulation, arm))
    course = disease_course(simulation, arm, leaving)
    gone = leaving if course is None else np.fmin(leaving, course.died_day)
    seen = _seen(simulation, arm, gone)
    return endpoint_values(plan, seen, course), exact_times(plan, seen, course)


def _disease(
    plan: Plan, course: DiseaseCourse, i: int, logs: dict[str, AnyArray]
) -> dict[str, AnyArray]:
    """What happened to the patients of an arm by their disease."""
    columns: dict[str, AnyArray] = {f"end/{i}": course.end_day, f"died/{i}": course.died_day}
    for name in plan.situation.events:
        own, key = course.of(name), f"{i}/{name}"
        columns[f"disease_count/{key}"] = own.counts
        columns[f"disease_follow_up/{key}"] = own.follow_up
        columns[f"disease_expected/{key}"] = own.expected
        columns[f"disease_first/{key}"] = own.first
        logs[f"disease/{key}/row"], logs[f"disease/{key}/day"] = own.event_row, own.event_time
    return columns


def _seen(simulation: Simulation, arm: str, leaving: FloatArray) -> dict[str, FloatArray]:
    """What visits record of patients until they leave, but for the visits that they miss."""
    study = simulation.plan.study
    days, numbers = np.array(study.visits_day), simulation.cohort.numbers
    missed = missing_visits(study.missed_visits, numbers, study.population.seed, len(days))
    seen = {}
    for name, values in simulation.visits[arm].items():
        seen[name] = observed_until(values, days, leaving)
        seen[name][missed] = np.nan
    return seen


def _drawn(simulation: Simulation, arm: str) -> dict[str, Drawn]:
    """Events of every side effect that is drawn, as if nobody left."""
    harms = (harm for harm in simulation.plan.side_effects if harm.is_drawn)
    return {harm.name: drawn_of(simulation, harm, arm) for harm in harms}


def _worst(drawn: Drawn, harm: Harm, key: str, end_day: float) -> dict[str, AnyArray]:
    """Worst grade of each patient, whether an event was serious or stopped the drug, and whether
    an episode lasts at the end; each only where the card knows. Each (patient,).
    """
    events, graded, known = drawn.events, drawn.graded, harm.severity
    found: dict[str, AnyArray] = {}
    if known.shares:
        worst = np.zeros(len(events.patients))
        np.maximum.at(worst, events.event_row, graded.grade)
        found[f"grade/{key}"] = worst
    for name, has, flags in (
        ("serious", known.serious is not None, graded.is_serious),
        ("stops", known.stops is not None, graded.stops),
    ):
        if has:
            own = np.zeros(len(events.patients), dtype=bool)
            own[events.event_row[flags]] = True
            found[f"{name}/{key}"] = own
    if harm.card.kind == "symptom":
        found[f"present/{key}"] = present_at(events, graded, end_day).astype(bool)
    return found


def _grades(
    simulation: Simulation, harm: Harm, arm: str, seen: Mapping[str, FloatArray]
) -> FloatArray:
    """Grade of a lab change at every visit; NaN where it is not seen. Shape (patient, visit)."""
    if harm.output in seen:
        values = seen[harm.output]
    else:  # no component of the situation: the value itself, where anything is seen
        anything = next(iter(seen.values()))
        values = simulation.values(arm, harm.output)[:, simulation.visit_index]
        values = np.where(np.isnan(anything), np.nan, values[:, : anything.shape[1]])
    return ctcae_grade(graded_values(harm, values), *harm.card.limits)


def drawn_of(
    simulation: Simulation, harm: Harm, arm: str, end_day: FloatArray | None = None
) -> Drawn:
    """Events of one side effect in one arm; a patient who fails is followed until then."""
    plan = simulation.plan
    assert simulation.book is not None
    return events_of(
        harm,
        simulation.cohort.numbers,
        columns_of(simulation.cohort.covariates),
        {name: simulation.values(arm, name) for name in harm.states},
        {name: simulation.values(plan.reference, name) for name in harm.states},
        simulation.book.of(plan.arms.index(arm)),
        plan.times,
        plan.study.population.seed,
        end_day,
    )


def endpoint_values(
    plan: Plan, seen: Mapping[str, FloatArray], course: DiseaseCourse | None = None
) -> dict[str, FloatArray]:
    """Every endpoint of the study. Each (patient, visit)."""
    observations = _observations(plan, seen, course)
    return {spec.name: evaluate(spec, observations) for spec in specs_of(plan)}


def exact_times(
    plan: Plan, seen: Mapping[str, FloatArray], course: DiseaseCourse | None = None
) -> dict[str, EventTimes]:
    """Days of events of every endpoint of the study that is made of events."""
    observations = _observations(plan, seen, course)
    found = {spec.name: times_of(spec, observations) for spec in specs_of(plan)}
    return {name: exact for name, exact in found.items() if exact is not None}


def _observations(
    plan: Plan, seen: Mapping[str, FloatArray], course: DiseaseCourse | None
) -> Observations:
    days = np.array(plan.study.visits_day)
    n_visits = next(iter(seen.values())).shape[1]
    return Observations(days[:n_visits], seen, component_units(plan.situation), course)


def _leaving(
    simulation: Simulation, arm: str, events: Mapping[str, Drawn]
) -> tuple[FloatArray, IntArray]:
    """Day on which each patient leaves the trial, and why."""
    plan = simulation.plan
    study, numbers = plan.study, simulation.cohort.numbers
    if not study.dropout:
        return np.full(len(numbers), np.inf), np.full(len(numbers), -1, dtype=np.int64)
    seen = simulation.visits[arm]
    values: dict[str, FloatArray] = {
        **columns_of(simulation.cohort.covariates),
        **endpoint_values(plan, seen, disease_course(simulation, arm)),
        **seen,
    }
    happened = {
        name: Happenings(own.events.event_row, own.events.event_time, own.graded.grade)
        for name, own in events.items()
    }
    stopped = [(own.events, own.graded.stops) for own in events.values()]
    happened[STOPPING] = Happenings(
        _together([own.event_row[stops] for own, stops in stopped]).astype(np.int64),
        _together([own.event_time[stops] for own, stops in stopped]),
    )
    days = np.array(study.visits_day)
    for harm in plan.side_effects:
        if not harm.is_drawn:
            grades = _grades(simulation, harm, arm, seen)
            row, visit = np.nonzero(grades >= 1)
            happened[harm.name] = Happenings(row, days[visit], grades[row, visit])
    found = dropout_times(study.dropout, numbers, study.population.seed, days, values, happened)
    stays = found.time_day > study.duration_day
    return (
        np.where(stays, np.inf, found.time_day),
        np.where(stays, -1, found.cause).astype(np.int64),
    )


def _together(parts: list[AnyArray]) -> AnyArray:
    return np.concatenate([np.zeros(0), *parts])


def _ratios(simulation: Simulation, arm: str) -> dict[str, FloatArray]:
    """Activity of each part of the immune response under an arm over that without it.

    Both courses are of the same patient, so that a disease that grows or passes is the same in
    both. Where it rests without treatment, time averages are from the middle of the study on,
    when treatment has had time to work; where it does not, over the whole study, since the middle
    may be past the illness.
    """
    plan = simulation.plan
    if arm == plan.reference:
        return {}
    late = plan.times >= (plan.study.duration_day / 2 if plan.situation.rests else 0.0)
    found = {}
    for name, function in plan.core.functions.items():
        treated, without = (
            # Row by row in memory: the order of a sum must not depend on the number of patients.
            np.asarray(
                np.trapezoid(
                    np.ascontiguousarray(simulation.values(which, function.output)[:, late]),
                    plan.times[late],
                    axis=1,
                )
            )
            for which in (arm, plan.reference)
        )
        found[name] = treated / np.where(without > 0, without, np.nan)
    return found


def _summed(
    courses: FloatArray, places: IntArray, n_places: int, i: int, sums: dict[str, AnyArray]
) -> None:
    """Counts and sums from which quantiles and means of courses follow, without who failed."""
    well = np.isfinite(courses).all(axis=(1, 2))
    if not well.all():
        courses, places = courses[well], places[well]
    flat = courses.reshape(len(courses), -1)
    sketch = Sketch.of(flat)
    sums[f"total/{i}"] = tree_sum(flat, places, n_places).reshape(courses.shape[1:])
    sums[f"number/{i}"] = np.array(len(courses))
    sums[f"first/{i}"], sums[f"bin/{i}"] = sketch.first, sketch.bin
    sums[f"count/{i}"] = sketch.count

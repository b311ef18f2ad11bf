"""Arms whose doses answer to visits: solved from visit to visit, doses decided in between.

At each visit the patients are observed as the trial observes them, the rules decide, and the doses
until the next visit follow. An infusion that runs over a visit goes on; a dose that was taken
before it is absorbed after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from immunostat.engine.problem import Action, EnsembleProblem, IntArray, Schedule
from immunostat.engine.solution import Status, Trajectories
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray
from immunostat.study.cohort import Cohort, columns_of
from immunostat.study.doses import DoseBook
from immunostat.study.plan import METHOD, Plan
from immunostat.therapy.schedule import doses_in_window
from immunostat.trial.rules import Dosing, Entry

#: What a visit of an arm shows to the rules: index of the arm, of the visit, and the courses so
#: far of all arms one after another (arm x patient, time, output), to values by name, (patient,).
Observer = Callable[[int, int, FloatArray], Mapping[str, FloatArray]]


@dataclass(frozen=True)
class ActionLog:
    """What the rules did, in order of arm and time.

    Parameters
    ----------
    arm
        Index of the arm. Shape (entry,).
    row
        Row of the patient in the cohort. Shape (entry,).
    day
        Day of the visit. Shape (entry,).
    rule
        Index of the rule. Shape (entry,).
    word, drug
        What was done, and to which drug. Shape (entry,).
    """

    arm: IntArray
    row: IntArray
    day: FloatArray
    rule: IntArray
    word: np.ndarray[tuple[int], np.dtype[np.str_]]
    drug: np.ndarray[tuple[int], np.dtype[np.str_]]


@dataclass
class _Pending:
    """Events that are still to come, of all rows, and the rate at which drug flows in now."""

    row: IntArray
    time: FloatArray
    action: IntArray
    target: IntArray
    value: FloatArray
    rate: dict[int, FloatArray] = field(default_factory=dict)

    @classmethod
    def none(cls) -> _Pending:
        nothing, no_index = np.zeros(0), np.zeros(0, dtype=np.int64)
        return cls(no_index, nothing, no_index, no_index, nothing)

    def add(
        self, row: IntArray, time: FloatArray, action: IntArray, target: IntArray, value: FloatArray
    ) -> None:
        """Put in events."""
        self.row = np.concatenate([self.row, row])
        self.time = np.concatenate([self.time, time])
        self.action = np.concatenate([self.action, action])
        self.target = np.concatenate([self.target, target])
        self.value = np.concatenate([self.value, value])

    def until(self, start: float, end: float, n_rows: int) -> Schedule:
        """Take out the events before `end`, with the inflow that runs at `start`."""
        parts = [
            (rows, np.full(len(rows), start), int(Action.RATE), target, rate[rows])
            for target, rate in sorted(self.rate.items())
            if len(rows := np.flatnonzero(rate))
        ]
        now = self.time < end
        row = np.concatenate([*(p[0] for p in parts), self.row[now]]).astype(np.int64)
        time = np.concatenate([*(p[1] for p in parts), self.time[now]])
        kind = [*(np.full(len(p[0]), p[2]) for p in parts), self.action[now]]
        goal = [*(np.full(len(p[0]), p[3]) for p in parts), self.target[now]]
        value = np.concatenate([*(p[4] for p in parts), self.value[now]])
        self._flow(now, n_rows)
        keep = ~now
        self.row, self.time, self.value = self.row[keep], self.time[keep], self.value[keep]
        self.action, self.target = self.action[keep], self.target[keep]
        # Within a patient by time; an inflow ends before another begins, as in `schedule_for`.
        order = np.lexsort((value, time, row))
        counts = np.bincount(row, minlength=n_rows)
        return Schedule(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            time[order],
            np.concatenate(kind).astype(np.int64)[order],
            np.concatenate(goal).astype(np.int64)[order],
            value[order],
        )

    def _flow(self, now: np.ndarray[tuple[int], np.dtype[np.bool_]], n_rows: int) -> None:
        """Inflow after the events that have been taken out."""
        is_rate = now & (self.action == int(Action.RATE))
        for target in np.unique(self.target[is_rate]):
            own = is_rate & (self.target == target)
            change = np.bincount(self.row[own], self.value[own], n_rows)
            rate = self.rate.get(int(target), np.zeros(n_rows)) + change
            # What began and ended leaves rounding, not an inflow.
            largest = np.zeros(n_rows)
            np.maximum.at(largest, self.row[own], np.abs(self.value[own]))
            rate[np.abs(rate) <= 1e-9 * largest] = 0.0
            self.rate[int(target)] = rate


def solve_with_rules(
    plan: Plan,
    cohort: Cohort,
    observer: Observer,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    book: DoseBook | None = None,
) -> tuple[Trajectories, ActionLog, EnsembleProblem]:
    """Solve every arm of a plan with the rules of its study.

    Parameters
    ----------
    observer
        What the rules see at a visit.
    progress
        Called with the number of courses (arm x patient) finished, in fractions of the study.
    book
        Where the doses are noted that patients get.

    Returns
    -------
    Courses of all arms one after another, the log of actions, and the problem of the last stretch
    (for the words about failures).
    """
    n, arms, times = len(cohort.numbers), plan.arms, plan.times
    n_rows, visits = n * len(arms), plan.study.visits_day
    dosings = [Dosing.of(arm, plan.regimens(arm), plan.study.rules, n) for arm in arms]
    pending, log = _Pending.none(), list[tuple[int, float, Entry]]()
    values = np.full((n_rows, len(times), len(plan.outputs)), np.nan)
    parameters = np.tile(cohort.parameters, (len(arms), 1))
    states = np.tile(cohort.initial_states, (len(arms), 1))
    status = np.zeros(n_rows, dtype=np.int64)
    reached = np.full(n_rows, float(visits[0]))
    accepted, rejected = np.zeros(n_rows, dtype=np.int64), np.zeros(n_rows, dtype=np.int64)
    problem: EnsembleProblem | None = None
    for visit, (start, end) in enumerate(pairwise(visits)):
        inside = np.flatnonzero((times >= start) & (times <= end))
        if visit == 0:
            first = _sampled(plan, parameters, states, np.array([start]), start, n_rows, threads)
            values[:, inside[0]] = first.values[:, 0]
        for arm, dosing in enumerate(dosings):
            seen = observer(arm, visit, values)
            log += [(arm, start, entry) for entry in dosing.visit(start, seen)]
            _give(plan, cohort, dosing, arm * n, (start, end), pending)
            if book is not None:
                _note(book, arm, dosing, (start, end))
        problem = EnsembleProblem(
            plan.assembly.system,
            parameters,
            pending.until(start, end, n_rows),
            times[inside[1:]],
            plan.output_names,
            start=start,
            initial_states=states,
        )
        share = n_rows * visit // (len(visits) - 1)
        part = solve(
            problem,
            method=METHOD,
            tolerance=plan.tolerance,
            threads=threads,
            progress=_scaled(progress, share, len(visits) - 1),
        )
        well = status == Status.OK
        values[:, inside[1:]] = np.where(well[:, None, None], part.values, np.nan)
        reached[well], status[well] = part.status_times[well], part.status[well]
        accepted += part.accepted
        rejected += part.rejected
        states = part.final_states
    assert problem is not None
    found = Trajectories(
        values, times, plan.output_names, status, reached, states, accepted, rejected
    )
    return found, _joined_log(log), problem


def _sampled(
    plan: Plan,
    parameters: FloatArray,
    states: FloatArray,
    times: FloatArray,
    start: float,
    n_rows: int,
    threads: int | None,
) -> Trajectories:
    """Outputs at the start, before anything is given."""
    problem = EnsembleProblem(
        plan.assembly.system,
        parameters,
        Schedule.empty(n_rows),
        times,
        plan.output_names,
        start=start,
        initial_states=states,
    )
    return solve(problem, method=METHOD, tolerance=plan.tolerance, threads=threads)


def _give(
    plan: Plan,
    cohort: Cohort,
    dosing: Dosing,
    first_row: int,
    window: tuple[float, float],
    pending: _Pending,
) -> None:
    """Put the doses of one arm until the next visit among the pending events."""
    weight = cohort.covariates["weight"].to_numpy(np.float64)
    surface = columns_of(cohort.covariates).get("bsa")
    for course in dosing.courses:
        given = course.is_given
        for origin in np.unique(course.origin_day[given]):
            rows = np.flatnonzero(given & (course.origin_day == origin)).astype(np.int64)
            doses = doses_in_window(
                plan.assembly.system,
                course.regimen,
                float(origin),
                window,
                weight[rows],
                {key: values[rows] for key, values in cohort.bioavailability.items()},
                None if surface is None else surface[rows],
            )
            n_events = len(doses.times)
            if not n_events:
                continue
            amounts = doses.values * course.factor[rows][:, None]
            pending.add(
                np.repeat(rows + first_row, n_events),
                np.tile(doses.times, len(rows)),
                np.tile(doses.actions, len(rows)),
                np.tile(doses.targets, len(rows)),
                amounts.reshape(-1),
            )


def _note(book: DoseBook, arm: int, dosing: Dosing, window: tuple[float, float]) -> None:
    """Write down the doses of one arm until the next visit."""
    for course in dosing.courses:
        given = course.is_given
        for origin in np.unique(course.origin_day[given]):
            rows = np.flatnonzero(given & (course.origin_day == origin)).astype(np.int64)
            book.add(arm, course.regimen, float(origin), window, rows, course.factor[rows])


def _scaled(
    progress: Callable[[int], None] | None, share: int, n_parts: int
) -> Callable[[int], None] | None:
    """Progress of one stretch as a part of the whole."""
    if progress is None:
        return None
    tell = progress
    return lambda done: tell(share + done // n_parts)


def _joined_log(log: list[tuple[int, float, Entry]]) -> ActionLog:
    """Entries of all arms and visits as arrays, by arm, then time."""
    log = sorted(log, key=lambda item: (item[0], item[1]))
    sizes = [len(entry.rows) for _, _, entry in log]

    def spread(values: list[Any], kind: str) -> Any:
        return np.repeat(np.array(values, dtype=kind), sizes)

    rows = [entry.rows for _, _, entry in log]
    return ActionLog(
        spread([arm for arm, _, _ in log], "i8"),
        np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64),
        spread([day for _, day, _ in log], "f8"),
        spread([entry.rule for _, _, entry in log], "i8"),
        spread([entry.word for _, _, entry in log], "U16"),
        spread([entry.drug for _, _, entry in log], "U80"),
    )

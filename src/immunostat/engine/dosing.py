"""From a data set in NONMEM's form to what the engine does to each patient.

The meaning of every column, and of their combinations, stands in docs/reference/dosing.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError, Place, near_matches
from immunostat.engine.backends.reference import PlainSystem
from immunostat.engine.dose_cycle import DoseCycle, cycle_states, settling_part
from immunostat.engine.nonmem import MODIFIER, EventTable, Record
from immunostat.engine.problem import Action, Event, Schedule
from immunostat.model.expressions import free_names
from immunostat.model.system import FloatArray, OdeSystem

#: When a covariate's new value begins to count: from the record before the one that has it
#: (next observation carried backward, as in NONMEM), or from that record on.
COVARIATE_RULES = ("nocb", "locf")

#: Events of all patients together.
MOST_EVENTS = 50_000_000

#: Two times closer than this, relative to their size or to one, are the same time.
SAME_TIME = 1e-9


@dataclass(frozen=True)
class Dosing:
    """What a data set asks of the engine.

    Parameters
    ----------
    patients
        Labels.
    parameters
        Shape (patient, parameter).
    schedule
        Doses, resets and changes of covariates.
    start
        Earliest time: zero, or that of the first record before it.
    unused
        Columns that are no parameter of the model.
    """

    patients: pd.Index
    parameters: FloatArray
    schedule: Schedule
    start: float
    unused: tuple[str, ...]


@dataclass
class _Given:
    """One dose under way to a state: at once (no end), or at a rate until an end."""

    start: float
    target: str
    value: float
    order: int
    end: float | None = None


@dataclass
class _Course:
    """What happens to one patient, in the order of his records."""

    index: int
    base: FloatArray
    given: list[_Given] = field(default_factory=list)
    events: list[tuple[float, float, Event]] = field(default_factory=list)

    def cut(self, time: float) -> None:
        """Nothing given before goes on: a reset, or a steady state that replaces."""
        self.given = [
            own for own in self.given if own.start < time or (own.end is None and own.start == time)
        ]
        for own in self.given:
            if own.end is not None:
                own.end = min(own.end, time)

    def all_events(self) -> list[Event]:
        """Sorted by time, equal times in the order of the records."""
        timed: list[tuple[float, float, Event]] = list(self.events)
        for own in self.given:
            if own.end is None:
                timed.append(
                    (own.start, own.order, Event(own.start, Action.ADD, own.target, own.value))
                )
            elif own.end > own.start:
                rate = own.value
                timed.append(
                    (own.start, own.order, Event(own.start, Action.RATE, own.target, rate))
                )
                timed.append((own.end, own.order, Event(own.end, Action.RATE, own.target, -rate)))
        timed.sort(key=lambda item: item[:2])
        return [event for _, _, event in timed]


@dataclass
class _Request:
    """A steady state that a record asks for."""

    course: _Course
    record: Record
    order: int
    cycle: DoseCycle


class _Expansion:
    """The data set, the model, and how their names go together."""

    def __init__(
        self,
        table: EventTable,
        system: OdeSystem,
        compartments: Sequence[str] | None,
        covariate_rule: str,
    ) -> None:
        if covariate_rule not in COVARIATE_RULES:
            raise InputError(
                f"unknown rule for covariates '{covariate_rule}'",
                remedy=f"known are {', '.join(COVARIATE_RULES)}",
            )
        self.table, self.system, self.rule = table, system, covariate_rule
        self.compartments = tuple(system.states if compartments is None else compartments)
        for name in self.compartments:
            if name not in system.states:
                raise InputError(
                    f"compartment '{name}' is no state of model '{system.name}'",
                    remedy=near_matches(name, system.states),
                )
        self.used = [name for name in table.covariates if name in system.parameters]
        self._check_columns()
        self._plain: PlainSystem | None = None

    def _check_columns(self) -> None:
        table, system = self.table, self.system
        by_lower = {name.lower(): name for name in system.parameters}
        for name in table.covariates:
            if name in system.parameters:
                if name in table.texts:
                    raise InputError(
                        f"the cell of parameter '{name}' is no number",
                        Place(table.source, table.texts[name]),
                    )
            elif name.lower() in by_lower:
                raise InputError(
                    f"column '{name}' is parameter '{by_lower[name.lower()]}' but for its case",
                    Place(table.source, 1),
                    "Write it as the model does, or name it differently.",
                )
        derived: set[str] = set()
        for _, formula in system.derived_parameters:
            derived |= free_names(formula)
        for name in self.used:
            values = [{r.covariates.get(name) for r in own} for own in table.records]
            if name in derived and any(len(own) > 1 for own in values):
                raise InputError(
                    f"covariate '{name}' changes, but the model computes a constant from it once",
                    Place(table.source, 1),
                    "Make that constant an assignment rule of the model (:= instead of =).",
                )

    # names and numbers of one record

    def target(self, record: Record) -> str:
        """State that a dose goes into."""
        text, system = record.compartment, self.system
        if text in system.states:
            return text
        number = 1 if text in ("", "0") else int(text) if text.lstrip("-").isdigit() else None
        if number is None:
            raise InputError(
                f"compartment '{text[:40]}' is no state of model '{system.name}'",
                self.table.place(record),
                near_matches(text, system.states),
            )
        if not 1 <= number <= len(self.compartments):
            raise InputError(
                f"compartment {number} of {len(self.compartments)}",
                self.table.place(record),
                "A negative compartment (switched off) is not supported."
                if number < 0
                else "Numbers follow the model's states, from 1; names of states work, too.",
            )
        return self.compartments[number - 1]

    def modifier(self, record: Record, kind: str) -> float | None:
        """Value of F, ALAG, R or D for the compartment of a dose."""
        target = self.target(record)
        number = str(self.compartments.index(target) + 1) if target in self.compartments else ""
        own = record.modifiers
        return own.get((kind, number), own.get((kind, "")))

    def dose(self, record: Record) -> tuple[float, float, float, float]:
        """Amount that arrives, duration, rate and lag time of a dose."""
        place = self.table.place(record)
        fraction, lag = self.modifier(record, "F"), self.modifier(record, "ALAG") or 0.0
        amount = record.amount * (1.0 if fraction is None else fraction)
        if amount < 0 or lag < 0:
            raise InputError("F or ALAG is negative", place)
        rate, duration = record.rate, record.duration
        if rate == -1.0:
            rate = self._modelled(record, "R", "RATE -1")
        elif rate == -2.0:
            rate, duration = 0.0, self._modelled(record, "D", "RATE -2")
        if rate > 0 and record.amount > 0:
            duration = amount / rate
        elif duration > 0:
            rate = amount / duration
        return amount, duration, rate, lag

    def _modelled(self, record: Record, kind: str, said: str) -> float:
        value = self.modifier(record, kind)
        if value is None or value <= 0:
            raise InputError(
                f"{said} needs a positive value in a column {kind} or {kind} with the compartment",
                self.table.place(record),
            )
        return value

    def parameters(self, course: _Course, record: Record) -> FloatArray:
        """Parameters of a patient as a record has them."""
        values = course.base.copy()
        for name in self.used:
            if name in record.covariates:
                values[self.system.parameters.index(name)] = record.covariates[name]
        return values

    # courses

    def course(self, index: int, base: FloatArray) -> tuple[_Course, list[_Request]]:
        """Walk through one patient's records."""
        records = self.table.records[index]
        course = _Course(index, base)
        requests: list[_Request] = []
        first: dict[str, float] = {}
        for name in self.used:
            known = [r.covariates[name] for r in records if name in r.covariates]
            if known:
                first[name] = known[0]
                course.base[self.system.parameters.index(name)] = known[0]
        before = dict(first)
        for order, record in enumerate(records):
            for name in self.used:
                value = record.covariates.get(name, before.get(name))
                if value is not None and value != before[name]:
                    is_back = self.rule == "nocb" and order > 0
                    time = records[order - 1].time if is_back else record.time
                    event = Event(time, Action.SET, name, value)
                    course.events.append((time, order, event))
                    before[name] = value
            if record.is_reset:
                self._reset(course, record, order)
            if record.is_dose:
                self._dose(course, record, order, requests)
        return course, requests

    def _reset(self, course: _Course, record: Record, order: int) -> None:
        course.cut(record.time)
        if self._plain is None:
            self._plain = PlainSystem(self.system, ())
        own = self._plain.derived(self.parameters(course, record))
        values = self._plain.initial(own)
        for name, value in zip(self.system.states, values, strict=True):
            event = Event(record.time, Action.REPLACE, name, float(value))
            course.events.append((record.time, order, event))

    def _dose(self, course: _Course, record: Record, order: int, requests: list[_Request]) -> None:
        amount, duration, rate, lag = self.dose(record)
        target, time = self.target(record), record.time
        if record.steady:
            if record.steady == 1:
                course.cut(time)
            phase = -lag % record.interval if record.interval else 0.0
            if record.interval and record.interval - phase < SAME_TIME * record.interval:
                phase = 0.0
            cycle = DoseCycle(
                self.parameters(course, record), target, amount, duration, record.interval,
                rate, phase,
            )  # fmt: skip
            requests.append(_Request(course, record, order, cycle))
        if not record.amount:  # an infusion from ever until now
            if lag:
                course.given.append(_Given(time, target, rate, order, time + lag))
            return
        first = 0
        if record.steady:
            # doses of the train that are still to come or still running at the record's time
            first = -math.floor((lag + duration) / record.interval + SAME_TIME)
        for k in range(first, record.additional + 1):
            start = time + lag + k * record.interval
            end = start + duration
            if k < 0:
                slack = SAME_TIME * max(1.0, abs(time))
                if (end if duration else start) <= time - slack:
                    continue
                if duration and end <= time + slack:
                    continue
                start = max(start, time)
            course.given.append(
                _Given(
                    start, target, rate if duration else amount, order, end if duration else None
                )
            )

    def settle(self, requests: Sequence[_Request]) -> None:
        """Compute the steady states asked for, and let the courses take them."""
        if not requests:
            return
        states, values, _ = cycle_states(self.system, [r.cycle for r in requests])
        part = settling_part(self.system)
        resting = PlainSystem(part, ())
        is_found = np.isfinite(values).all(axis=1)
        if not is_found.any():
            course, record = requests[0].course, requests[0].record
            raise InputError(
                f"this dose leads patient '{self.table.patients[course.index]}' to no steady state",
                self.table.place(record),
                "What comes in is not eliminated fast enough; or write the doses out (ADDL).",
            )
        for request, row in zip(requests, values, strict=True):
            # of several patients one without a steady state fails alone: he is not a number
            record, course = request.record, request.course
            if record.steady == 1:
                for name, value in zip(states, row, strict=True):
                    event = Event(record.time, Action.REPLACE, name, float(value))
                    course.events.append((record.time, request.order - 0.5, event))
                continue
            rest = resting.initial(resting.derived(request.cycle.parameters))
            for name, value in zip(states, row - rest, strict=True):
                event = Event(record.time, Action.ADD, name, float(value))
                course.events.append((record.time, request.order, event))


def expand(
    table: EventTable,
    system: OdeSystem,
    parameters: FloatArray | None = None,
    *,
    compartments: Sequence[str] | None = None,
    covariates: str = "nocb",
) -> Dosing:
    """What the engine is to do with each patient of a data set.

    Parameters
    ----------
    table
        From `read_events` or `events_of_frame`.
    system
        The model; columns named as its parameters give them their values.
    parameters
        What patients have before the columns of the data set count; None is the model's defaults.
        Shape (patient, parameter), in the order of ``table.patients``.
    compartments
        States that the numbers 1, 2, ... of CMT mean; None takes the model's order.
    covariates
        ``"nocb"``, as NONMEM: a record's value counts since the record before it; ``"locf"``: it
        counts from its own record on.

    Raises
    ------
    InputError
        A record cannot be carried out; the message names its line.
    """
    expansion = _Expansion(table, system, compartments, covariates)
    n = len(table.patients)
    base = np.tile(system.defaults, (n, 1)) if parameters is None else np.array(parameters)
    if base.shape != (n, system.n_parameters):
        raise InputError(
            f"parameters have shape {base.shape}; expected ({n}, {system.n_parameters})"
        )
    for column in {"".join(key) for own in table.records for r in own for key in r.modifiers}:
        if column in system.parameters and MODIFIER.fullmatch(column):
            raise InputError(
                f"column '{column}' is a property of doses and a parameter of the model",
                Place(table.source, 1),
                "Rename the parameter or the column.",
            )
    courses: list[_Course] = []
    requests: list[_Request] = []
    n_events = 0
    for index in range(n):
        course, asked = expansion.course(index, base[index])
        courses.append(course)
        requests += asked
        n_events += len(course.events) + 2 * len(course.given)
        if n_events > MOST_EVENTS:
            raise InputError(
                f"the doses make more than {MOST_EVENTS} events",
                table.place(table.records[index][0]),
                "Split the file, or lower ADDL.",
            )
    expansion.settle(requests)
    schedule = Schedule.of_events(system, [course.all_events() for course in courses])
    first = min(own[0].time for own in table.records)
    unused = tuple(name for name in table.covariates if name not in system.parameters)
    return Dosing(table.patients, base, schedule, min(0.0, first), unused)

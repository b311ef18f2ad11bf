"""Events of one patient that wait to happen: triggers, delays, priorities, persistence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from immunostat.engine.formulas import Formulas, Past
from immunostat.model.system import FloatArray, OdeSystem, StateEvent

#: Two times closer than this, relative to their size or to one unit, are the same.
SAME_TIME = 1e-12


class EventStorm(Exception):
    """Events follow one another without end."""


class _Rule:
    """One event of the model with its formulas."""

    def __init__(self, system: OdeSystem, event: StateEvent) -> None:
        self.event = event
        self.values = Formulas(system, [a.value for a in event.assignments])
        self.delay = None if event.delay is None else Formulas(system, [event.delay])
        self.priority = None if event.priority is None else Formulas(system, [event.priority])
        states = {name: i for i, name in enumerate(system.states)}
        parameters = {name: i for i, name in enumerate(system.parameters)}
        names = [assignment.target for assignment in event.assignments]
        self.states = [(k, states[n]) for k, n in enumerate(names) if n in states]
        self.parameters = [(k, parameters[n]) for k, n in enumerate(names) if n not in states]


@dataclass
class _Pending:
    """An event that was triggered and has not happened yet."""

    time: float
    rule: int
    values: FloatArray | None


class EventQueue:
    """Which triggers were true, and which events wait.

    Parameters
    ----------
    system
        The model.
    patient
        Number of the patient: together with the count of draws it decides between events of equal
        priority, so that his course does not depend on other patients.
    limit
        Number of events after which `EventStorm` is raised.
    """

    def __init__(self, system: OdeSystem, patient: int, limit: int) -> None:
        self._rules = [_Rule(system, event) for event in system.events]
        self.triggers = np.array([event.starts_true for event in system.events], dtype=np.float64)
        self._pending: list[_Pending] = []
        self._draws = np.random.Generator(np.random.Philox(key=patient))
        self._limit = limit
        self.n_happened = 0

    @property
    def next_time(self) -> float:
        """When the next waiting event is due; infinite if none waits."""
        return min((p.time for p in self._pending), default=np.inf)

    def matters(self, triggers: FloatArray) -> bool:
        """Whether a change of triggers starts an event, or cancels one that waits."""
        if (triggers > self.triggers).any():
            return True
        ended = set(np.flatnonzero(triggers < self.triggers))
        waiting = {p.rule for p in self._pending}
        return any(not self._rules[i].event.is_persistent for i in ended & waiting)

    def happen(
        self,
        time: float,
        states: FloatArray,
        parameters: FloatArray,
        look: Callable[[], FloatArray],
        past: Past,
    ) -> None:
        """Carry out what is due, changing states and parameters in place.

        Each event may start or cancel others; of those due, that of highest priority comes first,
        and among equals chance decides.
        """
        if not self._rules:
            return
        while True:
            now = np.concatenate(([time], states, parameters))
            self._notice(look(), time, now, past)
            due = self._take_due(time, now, past)
            if due is None:
                return
            self.n_happened += 1
            if self.n_happened > self._limit:
                raise EventStorm
            rule = self._rules[due.rule]
            values = rule.values(now, past) if due.values is None else due.values
            for k, i in rule.states:
                states[i] = values[k]
            for k, i in rule.parameters:
                parameters[i] = values[k]

    def _notice(self, triggers: FloatArray, time: float, now: FloatArray, past: Past) -> None:
        """Start events whose triggers became true; cancel those that do not persist."""
        for i in np.flatnonzero(triggers < self.triggers):
            if not self._rules[i].event.is_persistent:
                self._pending = [p for p in self._pending if p.rule != i]
        for i in np.flatnonzero(triggers > self.triggers):
            rule = self._rules[i]
            wait = 0.0 if rule.delay is None else float(rule.delay(now, past)[0])
            values = rule.values(now, past) if rule.event.uses_trigger_values else None
            # a delay that is not a number never ends
            due = time + max(wait, 0.0) if wait == wait else np.inf
            self._pending.append(_Pending(due, int(i), values))
        if len(self._pending) > self._limit:
            raise EventStorm
        self.triggers = triggers

    def _take_due(self, time: float, now: FloatArray, past: Past) -> _Pending | None:
        """Take the event that happens next at this time from those that wait."""
        limit = time + SAME_TIME * max(1.0, abs(time))
        due = [p for p in self._pending if p.time <= limit]
        if not due:
            return None
        if len(due) > 1:
            ranks = [self._rank(self._rules[p.rule], now, past) for p in due]
            best = [p for p, rank in zip(due, ranks, strict=True) if rank == max(ranks)]
            due = [best[int(self._draws.integers(len(best)))]] if len(best) > 1 else best
        # by identity: two that are triggered alike are still two
        self._pending = [p for p in self._pending if p is not due[0]]
        return due[0]

    @staticmethod
    def _rank(rule: _Rule, now: FloatArray, past: Past) -> float:
        if rule.priority is None:
            return -np.inf
        rank = float(rule.priority(now, past)[0])
        return -np.inf if rank != rank else rank

"""The way for systems with events of their own: one patient at a time, exact in order.

Between events scipy's LSODA integrates with dense output. After every step the triggers are
looked at along the step; where one changes, the time is found by bisection of the dense output
down to neighboring doubles, the step is cut there, and the events are carried out. Fast it is not;
models without events never come here.

Source of the rules of order: SBML Level 3 Version 2, section 4.11 (events), 3.4.6 (delay).
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from immunostat.engine.breakpoints import Breakpoints
from immunostat.engine.event_queue import EventQueue, EventStorm
from immunostat.engine.formulas import Formulas, compiled
from immunostat.engine.history import Dense, History
from immunostat.engine.problem import Action, EnsembleProblem, IntArray, Tolerance
from immunostat.engine.solution import Status, Trajectories
from immunostat.model.expressions import free_names, with_slack
from immunostat.model.system import FloatArray, OdeSystem

#: Two times closer than this, relative to their size or to one unit, are the same.
SAME_TIME = 1e-12

#: The longest step, as a share of the whole course, and how often triggers are looked at in one.
LONGEST_STEP, LOOKS = 0.01, 4

#: LSODA's error adds up over its steps more than that of a one-step method: it gets less.
TOLERANCE_SHARE, LEAST_TOLERANCE = 0.01, 1e-12

#: So many times of events within this share of the course are chatter.
CHATTER, SHORT = 20, 1e-3

#: Events in one patient after which he is given up.
MOST_EVENTS = 200_000


class _Failure(Exception):
    """The integration of one patient cannot go on."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


class _Tools:
    """Functions of a system that all patients share."""

    def __init__(self, system: OdeSystem, outputs: tuple[str, ...]) -> None:
        import symengine as se

        self.system = system
        self.rates = Formulas(system, system.rates)
        self.outputs = Formulas(system, [se.Symbol(name) for name in outputs])
        self.triggers = Formulas(system, [event.trigger for event in system.events])
        self._slack: dict[float, Formulas] = {}
        self.breakpoints = Breakpoints(system)
        symbols = [se.Symbol(name) for name in system.parameters]
        self.initial = _of_parameters(symbols, list(system.initial))
        self.derived = [
            (system.parameters.index(name), _of_parameters(symbols, [expression]))
            for name, expression in system.derived_parameters
        ]

    def triggers_with_slack(self, slack: float) -> Formulas:
        """Triggers that a state must pass by more than `slack`; see `_Patient.look_for_chatter`."""
        if slack not in self._slack:
            names = set(self.system.states)
            for name, expression in self.system.assignments:
                if free_names(expression) & names:
                    names.add(name)
            triggers = [with_slack(event.trigger, names, slack) for event in self.system.events]
            self._slack[slack] = Formulas(self.system, triggers)
        return self._slack[slack]


def _of_parameters(symbols: list[object], formulas: list[object]) -> Callable[..., FloatArray]:
    function = compiled(symbols or [_nothing()], formulas)
    return lambda values: function(values if len(values) else np.zeros(1))


def _nothing() -> object:
    import symengine as se

    return se.Symbol("nothing")


@dataclass
class _Doses:
    """What is left of one patient's schedule."""

    times: FloatArray
    actions: IntArray
    targets: IntArray
    values: FloatArray
    next: int = 0

    @property
    def next_time(self) -> float:
        return float(self.times[self.next]) if self.next < len(self.times) else np.inf


class _Patient:
    """One patient under way."""

    def __init__(
        self, problem: EnsembleProblem, tools: _Tools, index: int, tolerance: Tolerance, limit: int
    ) -> None:
        self.tools, self.tolerance, self.max_steps = tools, tolerance, limit
        self.times = np.asarray(problem.times, dtype=np.float64)
        self.time = problem.start
        self.end = float(self.times[-1]) if len(self.times) else problem.start
        self.parameters = np.array(problem.parameters[index], dtype=np.float64)
        for position, formula in tools.derived:
            self.parameters[position] = formula(self.parameters)[0]
        given = problem.initial_states
        self.states = (
            tools.initial(self.parameters) if given is None else given[index].astype(np.float64)
        )
        self.inputs = np.zeros(len(self.states))
        own = slice(problem.schedule.offsets[index], problem.schedule.offsets[index + 1])
        schedule = problem.schedule
        self.doses = _Doses(
            schedule.times[own], schedule.actions[own], schedule.targets[own], schedule.values[own]
        )
        self.samples = np.full((len(self.times), len(problem.outputs)), np.nan)
        self.n_sampled, self.steps, self.steps_before = 0, 0, 0
        self.history = History(tools.system, self.time, self.states, self.parameters)
        self.look, self.event_times = tools.triggers, deque([-np.inf], maxlen=CHATTER)
        self.queue = EventQueue(tools.system, index, MOST_EVENTS)
        self.longest = max((self.end - self.time) * LONGEST_STEP, 0.0) or np.inf

    # looking

    def now(self, time: float, states: FloatArray) -> FloatArray:
        return np.concatenate(([time], states, self.parameters))

    def triggers(self, time: float, states: FloatArray) -> FloatArray:
        """1 for each trigger that is true, else 0. Shape (event,)."""
        values = self.look(self.now(time, states), self.history)
        return np.asarray(values > 0.5, dtype=np.float64)

    def sample_until(self, limit: float, dense: Dense | None, is_inclusive: bool) -> None:
        """Take the samples before `limit`, or up to it, from a step's dense output."""
        slack = SAME_TIME * max(1.0, abs(limit))
        bound = limit + slack if is_inclusive else limit - slack
        while self.n_sampled < len(self.times) and self.times[self.n_sampled] <= bound:
            moment = float(self.times[self.n_sampled])
            states = self.states if dense is None else dense(moment)
            values = self.tools.outputs(self.now(moment, states), self.history)
            self.samples[self.n_sampled] = values
            self.n_sampled += 1

    # going

    def run(self) -> None:
        """Carry the patient to the end; raises `_Failure`."""
        slack = SAME_TIME * max(1.0, abs(self.end))
        while True:
            self.happen()
            self.sample_until(self.time, None, is_inclusive=True)
            if self.time >= self.end - slack:
                return
            if self.give_doses():
                self.happen()
            self.history.restart(self.time, self.states, self.parameters)
            stop = min(
                self.end,
                self.doses.next_time,
                self.queue.next_time,
                self.tools.breakpoints.after(self.time, self.parameters),
            )
            self.advance(stop)

    def happen(self) -> None:
        """Carry out all events that are due now, in order."""
        begun = self.queue.n_happened
        try:
            self.queue.happen(
                self.time,
                self.states,
                self.parameters,
                lambda: self.triggers(self.time, self.states),
                self.history,
            )
        except EventStorm:
            raise _Failure(Status.EVENT_STORM) from None
        if self.queue.n_happened > begun:
            self.steps_before, self.steps = self.steps_before + self.steps, 0
            self.look_for_chatter()

    def look_for_chatter(self) -> None:
        """Where events follow one another at once, let states pass triggers by their tolerance.

        So does an event that sets a state to 0 when round-off makes it negative: without slack it
        would happen at every double of time.
        """
        if self.time > self.event_times[-1]:
            self.event_times.append(self.time)
        lasts = self.event_times[-1] - self.event_times[0]
        if len(self.event_times) == CHATTER and lasts < SHORT * (self.end - self.times[0]):
            self.look = self.tools.triggers_with_slack(self.tolerance.absolute)

    def give_doses(self) -> bool:
        """Apply the schedule's actions that are due; whether there were any."""
        own, begun = self.doses, self.doses.next
        limit = self.time + SAME_TIME * max(1.0, abs(self.time))
        while own.next_time <= limit:
            target, value = int(own.targets[own.next]), float(own.values[own.next])
            action = Action(int(own.actions[own.next]))
            if action is Action.ADD:
                self.states[target] += value
            elif action is Action.RATE:
                self.inputs[target] += value
            elif action is Action.SET:
                self.parameters[target] = value
            else:
                self.states[target] = value
            own.next += 1
        return own.next > begun

    def advance(self, stop: float) -> None:
        """Integrate to `stop`, or to the first change of a trigger that matters before it."""
        if stop - self.time <= 8 * np.spacing(abs(stop)):
            self.time = stop
            return
        stepper = _Stepper(self, stop)
        while self.time < stop:
            begin = self.time
            end, dense = stepper.step()
            self.steps += 1
            if self.steps > self.max_steps:
                raise _Failure(Status.TOO_MANY_STEPS)
            cut = self._change_in(begin, end, dense)
            reached = end if cut is None else cut
            if self.tools.system.delays:
                self.history.append(begin, reached, dense)
            self.sample_until(reached, dense, is_inclusive=False)
            self.time, self.states = reached, np.array(dense(reached))
            if cut is not None:
                return
            if end < stop:
                self.sample_until(reached, dense, is_inclusive=True)

    def _change_in(self, begin: float, end: float, dense: Dense) -> float | None:
        """First time in a step at which a trigger changes so that something must be done."""
        if not self.tools.system.events:
            return None
        low = begin
        for look in range(1, LOOKS + 1):
            high = end if look == LOOKS else begin + (end - begin) * look / LOOKS
            while True:
                values = self.triggers(high, dense(high))
                if np.array_equal(values, self.queue.triggers):
                    break
                changed = self._bisect(low, high, dense)
                found = self.triggers(changed, dense(changed))
                if self.queue.matters(found):
                    return changed
                self.queue.triggers = found
                low = changed
            low = high
        return None

    def _bisect(self, low: float, high: float, dense: Dense) -> float:
        """First double at which the triggers differ from what they were."""
        while True:
            middle = low + (high - low) / 2
            if middle <= low or middle >= high:
                return high
            if np.array_equal(self.triggers(middle, dense(middle)), self.queue.triggers):
                low = middle
            else:
                high = middle


class _Stepper:
    """Steps with dense output; a system without states just lets time pass."""

    def __init__(self, patient: _Patient, stop: float) -> None:
        from scipy.integrate import LSODA

        self.patient, self.stop = patient, stop
        self.solver: LSODA | None = None
        if not len(patient.states):
            return
        tools, inputs, parameters = patient.tools, patient.inputs, patient.parameters
        history, n_states = patient.history, len(patient.states)
        now = np.concatenate(([patient.time], patient.states, parameters))

        def rates(time: float, states: FloatArray) -> FloatArray:
            now[0] = time
            now[1 : 1 + n_states] = states
            return tools.rates(now, history) + inputs

        if not np.isfinite(rates(patient.time, patient.states)).all():
            raise _Failure(Status.NOT_FINITE)
        share = patient.tolerance
        self.solver = LSODA(
            rates,
            patient.time,
            patient.states,
            stop,
            rtol=max(share.relative * TOLERANCE_SHARE, LEAST_TOLERANCE),
            atol=share.absolute * TOLERANCE_SHARE,
            max_step=patient.longest,
        )

    def step(self) -> tuple[float, Dense]:
        """End of the next step, and its dense output."""
        if self.solver is None:
            end = min(self.stop, self.patient.time + self.patient.longest)
            return end, lambda _: self.patient.states
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the status says what the warning would
            self.solver.step()
        if self.solver.status == "failed":
            raise _Failure(Status.STEP_TOO_SMALL)
        if not np.isfinite(self.solver.y).all():
            raise _Failure(Status.NOT_FINITE)
        return float(self.solver.t), self.solver.dense_output()


def solve_with_events(
    problem: EnsembleProblem,
    tolerance: Tolerance,
    progress: Callable[[int], None] | None = None,
    max_steps: int = 100_000,
) -> Trajectories:
    """Solve a system that has events or delays, or no states; see `solve`."""
    tools = _Tools(problem.system, problem.outputs)
    n, n_times = problem.n_patients, len(problem.times)
    values = np.full((n, n_times, len(problem.outputs)), np.nan)
    final_states = np.full((n, problem.system.n_states), np.nan)
    reached = np.full(n, problem.start, dtype=np.float64)
    status, accepted = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for index in range(n):
        patient = _Patient(problem, tools, index, tolerance, max_steps)
        try:
            patient.run()
            final_states[index] = patient.states
        except _Failure as failure:
            status[index] = failure.status
        values[index] = patient.samples
        reached[index], accepted[index] = patient.time, patient.steps_before + patient.steps
        if progress is not None:
            progress(index + 1)
    units = {o: problem.system.units[o] for o in problem.outputs if o in problem.system.units}
    return Trajectories(
        values,
        np.array(problem.times, dtype=np.float64),
        problem.outputs,
        status,
        reached,
        final_states,
        accepted,
        np.zeros(n, dtype=np.int64),
        units,
    )

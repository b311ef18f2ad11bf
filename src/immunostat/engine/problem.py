"""What the engine is asked: a system, patients, their schedules, sample times and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import ShapeError
from immunostat.model.system import FloatArray, OdeSystem

IntArray = npt.NDArray[np.int64]


class Action(IntEnum):
    """What a scheduled event does to one patient."""

    ADD = 0  #: add `value` to state `target` at once (a bolus)
    RATE = 1  #: add `value` (per day) to the constant input into state `target` (infusion on, off)
    SET = 2  #: set parameter `target` to `value`
    REPLACE = 3  #: set state `target` to `value`


@dataclass(frozen=True)
class Event:
    """One scheduled action; `target` is the name of a state or parameter."""

    time: float
    action: Action
    target: str
    value: float


@dataclass(frozen=True)
class Schedule:
    """Events of all patients, each one's sorted by time; patient i owns offsets[i]:offsets[i+1].

    A sample at the time of an event is taken before the event (a trough at the time of the next
    dose is the trough). Events at equal time happen in the order given.
    """

    offsets: IntArray
    times: FloatArray
    actions: IntArray
    targets: IntArray
    values: FloatArray

    @classmethod
    def of_events(cls, system: OdeSystem, events: Sequence[Sequence[Event]]) -> Schedule:
        """Schedule from a list of events for each patient; names become indices of `system`."""
        state = {name: i for i, name in enumerate(system.states)}
        parameter = {name: i for i, name in enumerate(system.parameters)}
        offsets = np.zeros(len(events) + 1, dtype=np.int64)
        ordered: list[Event] = []
        for i, own in enumerate(events):
            ordered.extend(sorted(own, key=lambda event: event.time))
            offsets[i + 1] = len(ordered)
        index = [(parameter if e.action is Action.SET else state)[e.target] for e in ordered]
        return cls(
            offsets,
            np.array([e.time for e in ordered], dtype=np.float64),
            np.array([int(e.action) for e in ordered], dtype=np.int64),
            np.array(index, dtype=np.int64),
            np.array([e.value for e in ordered], dtype=np.float64),
        )

    @classmethod
    def empty(cls, n_patients: int) -> Schedule:
        """No events for anybody."""
        nothing, none = np.zeros(0), np.zeros(0, dtype=np.int64)
        return cls(np.zeros(n_patients + 1, dtype=np.int64), nothing, none, none, nothing)

    def placed(self, rows: Sequence[int], n_patients: int) -> Schedule:
        """The same events for patients `rows` of `n_patients`; the others have none."""
        counts = np.zeros(n_patients + 1, dtype=np.int64)
        counts[np.asarray(rows, dtype=np.int64) + 1] = np.diff(self.offsets)
        order = np.argsort(np.asarray(rows, dtype=np.int64), kind="stable")
        parts = [np.arange(self.offsets[i], self.offsets[i + 1]) for i in order]
        chosen = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        return Schedule(
            np.cumsum(counts),
            self.times[chosen],
            self.actions[chosen],
            self.targets[chosen],
            self.values[chosen],
        )

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len(self.offsets) - 1


@dataclass(frozen=True)
class Tolerance:
    """Wanted local error: absolute + relative * |state|, root mean square over states."""

    relative: float = 1e-5
    absolute: float = 1e-8


@dataclass(frozen=True)
class EnsembleProblem:
    """One model and many patients.

    Parameters
    ----------
    system
        The model.
    parameters
        One row per patient, in the order of ``system.parameters``. Shape (patient, parameter).
    schedule
        Doses and changes of every patient.
    times
        Sample times common to all patients, ascending, day. Shape (time,).
    outputs
        Names to sample: states, assignments or parameters.
    start
        Time at which integration starts, day.
    initial_states
        Start values; None takes ``system.initial``. Shape (patient, state).
    """

    system: OdeSystem
    parameters: FloatArray
    schedule: Schedule
    times: FloatArray
    outputs: tuple[str, ...]
    start: float = 0.0
    initial_states: FloatArray | None = None

    def __post_init__(self) -> None:
        n = len(self.parameters)
        if self.parameters.shape != (n, self.system.n_parameters):
            raise ShapeError(
                f"parameters have shape {self.parameters.shape}; "
                f"expected (patient, {self.system.n_parameters})"
            )
        if self.schedule.n_patients != n:
            raise ShapeError(f"schedule is for {self.schedule.n_patients} patients, not {n}")
        if self.initial_states is not None and self.initial_states.shape != (
            n,
            self.system.n_states,
        ):
            raise ShapeError(f"initial_states have shape {self.initial_states.shape}")

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len(self.parameters)

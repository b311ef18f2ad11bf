"""What the engine answers: labeled trajectories and a status for every patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray


class Status(IntEnum):
    """How one patient's integration ended."""

    OK = 0
    STEP_TOO_SMALL = 1
    TOO_MANY_STEPS = 2
    NOT_FINITE = 3
    EVENT_STORM = 4


@dataclass(frozen=True)
class Trajectories:
    """Sampled outputs of an ensemble.

    Parameters
    ----------
    values
        Samples; NaN after a patient failed. Shape (patient, time, output).
    times
        Sample times, day. Shape (time,).
    outputs
        Names of the last axis.
    status
        One `Status` per patient. Shape (patient,).
    status_times
        Time reached by each patient, day. Shape (patient,).
    final_states
        State at the last sample time (events at that time not yet applied). Shape (patient, state).
    accepted, rejected
        Number of steps. Shape (patient,).
    units
        Unit of each output where known.
    """

    values: FloatArray
    times: FloatArray
    outputs: tuple[str, ...]
    status: IntArray
    status_times: FloatArray
    final_states: FloatArray
    accepted: IntArray
    rejected: IntArray
    units: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, output: str) -> FloatArray:
        """Samples of one output. Shape (patient, time)."""
        values: FloatArray = self.values[:, :, self.outputs.index(output)]
        return values

    @property
    def is_ok(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which patients were integrated to the end. Shape (patient,)."""
        return np.asarray(self.status == Status.OK)

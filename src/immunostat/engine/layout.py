"""Where things stand in the block of memory that the kernel's functions share.

A block is rows of one vector each; a vector has one double per lane. The driver reads and writes
single lanes of it, the kernel whole rows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar


@dataclass(frozen=True)
class Layout:
    """First row of each array in a block; see `rows` for the scalars of a lane.

    Parameters
    ----------
    n_states, n_parameters, n_hoisted, n_factors, n_outputs, n_stages
        Sizes.
    """

    n_states: int
    n_parameters: int
    n_hoisted: int
    n_factors: int
    n_outputs: int
    n_stages: int

    # one row each
    TIME: ClassVar[int] = 0  #: time at the start of the step, day
    STEP: ClassVar[int] = 1  #: step to try next, day
    STOP: ClassVar[int] = 2  #: time that a step must not pass: next event or end
    NEW_TIME: ClassVar[int] = 3  #: time at the end of the step tried
    TAKEN: ClassVar[int] = 4  #: step tried
    FLAG: ClassVar[int] = 5  #: 1 accepted, 0 rejected
    ERROR: ClassVar[int] = 6  #: mean square of the error in units of the tolerance
    REJECTED: ClassVar[int] = 7  #: 1 if the last step was rejected
    ABSOLUTE: ClassVar[int] = 8  #: absolute tolerance
    RELATIVE: ClassVar[int] = 9  #: relative tolerance
    THETA: ClassVar[int] = 10  #: place of a sample in the step, 0 to 1
    SAMPLE_TIME: ClassVar[int] = 11  #: time of the sample, day
    MASK: ClassVar[int] = 12  #: lanes that a function is to change
    FIRST_STEP: ClassVar[int] = 13  #: result of the starting-step rule
    ACTIVE: ClassVar[int] = 14  #: 1 where the lane has a patient
    STAGE_TIME: ClassVar[int] = 15
    INVERSE_STEP: ClassVar[int] = 16
    DIAGONAL: ClassVar[int] = 17  #: 1 / (h gamma)

    LEARNED: ClassVar[int] = 18  #: first step that the last events of this kind allowed, or 0
    IS_LEARNING: ClassVar[int] = 19  #: 1 if such a step may be used again

    # arrays
    @property
    def state(self) -> int:
        """States at the start of the step."""
        return 20

    @property
    def new_state(self) -> int:
        """States at the end of the step."""
        return self.state + self.n_states

    @property
    def trial(self) -> int:
        """States at which rates are taken."""
        return self.new_state + self.n_states

    @property
    def rate(self) -> int:
        """Rates, for the starting-step rule."""
        return self.trial + self.n_states

    @property
    def by_time(self) -> int:
        """Derivatives of the rates by time."""
        return self.rate + self.n_states

    @property
    def memory(self) -> int:
        """Sums over earlier stages."""
        return self.by_time + self.n_states

    @property
    def input(self) -> int:
        """Constant inputs."""
        return self.memory + self.n_states

    @property
    def start(self) -> int:
        """Start values."""
        return self.input + self.n_states

    @property
    def stages(self) -> int:
        """Stages k_1 .. k_s, each of all states."""
        return self.start + self.n_states

    @property
    def parameter(self) -> int:
        """Parameters."""
        return self.stages + self.n_stages * self.n_states

    @property
    def hoisted(self) -> int:
        """What depends on parameters alone."""
        return self.parameter + self.n_parameters

    @property
    def factors(self) -> int:
        """Entries of the factorization."""
        return self.hoisted + self.n_hoisted

    @property
    def output(self) -> int:
        """Outputs at a sample."""
        return self.factors + self.n_factors

    @property
    def n_rows(self) -> int:
        """Rows of a block."""
        return self.output + self.n_outputs

    def sizes(self) -> list[int]:
        """The sizes, to make the layout again."""
        return [getattr(self, f.name) for f in fields(self)]

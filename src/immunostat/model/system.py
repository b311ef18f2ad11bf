"""The flat system of ordinary differential equations: the engine's only view of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from symengine import Expr

FloatArray = npt.NDArray[np.float64]

#: Name of the symbol for time in every expression of an `OdeSystem`, day.
TIME = "time"


@dataclass(frozen=True)
class EventAssignment:
    """What an event does to one state or parameter: it takes the value of a formula."""

    target: str
    value: Expr


@dataclass(frozen=True)
class StateEvent:
    """An event of the model itself: it happens when its trigger becomes true.

    Parameters
    ----------
    name
        Name of the event.
    trigger
        Truth value of time, states, parameters and assignments.
    assignments
        What it sets; all values are taken before any is set.
    delay
        Time between trigger and effect; None for none.
    priority
        Of events due at the same time the one of highest priority comes first; None for none.
    is_persistent
        Whether it still happens if the trigger becomes false during the delay.
    starts_true
        What the trigger counts as before the start: if false, one that is true at the start fires.
    uses_trigger_values
        Whether values are computed when it is triggered, not when it happens.
    """

    name: str
    trigger: Expr
    assignments: tuple[EventAssignment, ...]
    delay: Expr | None = None
    priority: Expr | None = None
    is_persistent: bool = True
    starts_true: bool = True
    uses_trigger_values: bool = True


@dataclass(frozen=True)
class Delay:
    """A name for the value that a formula had `by` ago (SBML's csymbol delay)."""

    name: str
    value: Expr
    by: Expr


@dataclass(frozen=True)
class OdeSystem:
    """States, parameters, assignments and rates as symbolic expressions.

    Parameters
    ----------
    name
        Name of the model.
    states
        Names of what changes by a rate, in order.
    parameters
        Names of the constants; each patient has his own values.
    defaults
        Value of each parameter where a patient brings none. Shape (parameter,).
    initial
        Start value of each state, as an expression of parameters alone. Length (state,).
    assignments
        Names and expressions in order of evaluation: each uses time, states, parameters and
        earlier assignments.
    rates
        Time derivative of each state; uses time, states, parameters, assignments. Length (state,).
    derived_parameters
        Names and expressions, in order, of constants that follow from other parameters
        (SBML initial assignments of parameters); evaluated once per patient before time zero.
        Their names also stand in `parameters`.
    units
        Unit of each name where the model file gives one.
    events
        Events that the model's own state triggers.
    delays
        Names of delayed values, which assignments, rates and events may use.
    before
        Names and formulas of what was not constant before the start: states and parameters whose
        initial assignments use time. Delays ask for them.
    notes
        What a person should know about how the file was read, a sentence each.
    passed_on
        State that takes up what leaves another one, in the same unit; see `model.passing`. Solvers
        judge the error of a state in a step beside the larger of the two.
    """

    name: str
    states: tuple[str, ...]
    parameters: tuple[str, ...]
    defaults: FloatArray
    initial: tuple[Expr, ...]
    assignments: tuple[tuple[str, Expr], ...]
    rates: tuple[Expr, ...]
    derived_parameters: tuple[tuple[str, Expr], ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    events: tuple[StateEvent, ...] = ()
    delays: tuple[Delay, ...] = ()
    before: tuple[tuple[str, Expr], ...] = ()
    notes: tuple[str, ...] = ()
    passed_on: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether it is ordinary differential equations alone, without events and delays."""
        return not self.events and not self.delays

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.states)

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return len(self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that can be asked for as an output: states, assignments, parameters."""
        return (*self.states, *(name for name, _ in self.assignments), *self.parameters)

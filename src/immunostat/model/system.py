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

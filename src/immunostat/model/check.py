"""Checks of a flat system: names that nothing defines, parameters that nothing uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immunostat.base.errors import ModelError
from immunostat.model.expressions import free_names
from immunostat.model.system import TIME, OdeSystem


@dataclass(frozen=True)
class Findings:
    """What a check found that is odd but not wrong.

    Parameters
    ----------
    unused_parameters
        Parameters that nothing uses.
    constant_states
        States whose rate is zero: only doses change them.
    missing_values
        Parameters in use that have no default: every patient must bring them.
    """

    unused_parameters: tuple[str, ...] = ()
    constant_states: tuple[str, ...] = ()
    missing_values: tuple[str, ...] = ()

    def messages(self) -> list[str]:
        """One sentence for each finding."""
        return [
            *(f"parameter '{name}' is not used" for name in self.unused_parameters),
            *(f"state '{name}' has no rate" for name in self.constant_states),
            *(f"parameter '{name}' has no value" for name in self.missing_values),
        ]


def check_system(system: OdeSystem) -> Findings:
    """Check that a system is complete.

    Returns
    -------
    Oddities that a person may want to know.

    Raises
    ------
    ModelError
        A name is used before anything defines it, or is defined twice.
    """
    _refuse_doubles(system)
    parameters, states = set(system.parameters), set(system.states)
    used: set[str] = set()

    def refuse_undefined(where: str, expression: object, allowed: set[str]) -> None:
        names = free_names(expression)
        used.update(names)
        unknown = sorted(names - allowed)
        if unknown:
            raise ModelError(
                f"model '{system.name}': {where} uses '{unknown[0]}', not defined there"
            )

    for name, expression in system.derived_parameters:
        refuse_undefined(f"the start value of '{name}'", expression, parameters)
    for name, expression in zip(system.states, system.initial, strict=True):
        refuse_undefined(f"the start value of '{name}'", expression, parameters)
    known = parameters | states | {TIME}
    for name, expression in system.assignments:
        refuse_undefined(f"the assignment of '{name}'", expression, known)
        known.add(name)
    for name, expression in zip(system.states, system.rates, strict=True):
        refuse_undefined(f"the rate of '{name}'", expression, known)
    derived = {name for name, _ in system.derived_parameters}
    without = zip(system.parameters, np.isnan(system.defaults), strict=True)
    return Findings(
        tuple(p for p in system.parameters if p not in used),
        tuple(s for s, rate in zip(system.states, system.rates, strict=True) if rate == 0),
        tuple(p for p, is_missing in without if is_missing and p in used and p not in derived),
    )


def _refuse_doubles(system: OdeSystem) -> None:
    seen: set[str] = set()
    for name in system.names:
        if name in seen:
            raise ModelError(f"model '{system.name}': '{name}' is defined twice")
        seen.add(name)
    lengths = {len(system.states), len(system.rates), len(system.initial)}
    if len(lengths) != 1:
        raise ModelError(f"model '{system.name}': states, rates and start values differ in number")

"""States that only hand on what they hold, such as a depot that empties into the circulation.

What is wrong in such a state goes where its content goes, so its error matters beside what is
there, and not beside the last trace left behind.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import symengine as se

from immunostat.model.influence import readers, reads
from immunostat.model.system import OdeSystem

if TYPE_CHECKING:
    from symengine import Expr

#: Draws of positive numbers at which the flows are compared.
_DRAWS = 8


def passed_on(
    system: OdeSystem, states: Sequence[str], seen: Collection[str] = ()
) -> dict[str, str]:
    """State that takes up, in the end, what leaves each state that only hands on.

    Such a state is read by one rate alone, besides its own, and that rate gains from it no more
    than it loses. Parameters are taken to be positive, and shares to be at most 1.

    Parameters
    ----------
    states
        States in one unit that are looked at, such as the amounts of one drug.
    seen
        Assignments that others read, such as a concentration; what they are made of is kept exact.

    Returns
    -------
    Receiver by state; the receiver is the end of the chain, not the next state in it.
    """
    read, known = reads(system), set(states)
    shown = {state for name in seen for state in read.get(name, ())}
    following: dict[str, str] = {}
    for state in sorted(known - shown):
        rates = [name for name in readers(state, read) if name in system.states and name != state]
        if len(rates) == 1 and rates[0] in known and _hands_on(system, state, rates[0]):
            following[state] = rates[0]
    found = {}
    for state, receiver in following.items():
        chain = [state]
        while receiver in following and receiver not in chain:
            chain.append(receiver)
            receiver = following[receiver]
        if receiver not in chain:  # two that exchange have no end
            found[state] = receiver
    return found


def _hands_on(system: OdeSystem, giver: str, taker: str) -> bool:
    """Whether the taker's rate gains from the giver, at no more than the giver's own loss."""
    rate = dict(zip(system.states, system.rates, strict=True))
    content = se.Symbol(giver)
    loss, gain = (_complete(system, rate[name]).diff(content) for name in (giver, taker))
    names = sorted((loss + gain).free_symbols | loss.free_symbols, key=str)
    numbers = np.random.Generator(np.random.PCG64(1)).uniform(0.05, 1.0, (_DRAWS, len(names)))
    for draw in numbers:
        values = dict(zip(names, map(float, draw), strict=True))
        try:
            out, into = (float(part.subs(values)) for part in (loss, gain))
        except (TypeError, ValueError, RuntimeError):
            return False  # a formula without a number at these values
        if not (into > 0 and out + into <= 1e-9 * abs(out)):
            return False
    return True


def _complete(system: OdeSystem, formula: Expr) -> Expr:
    """A formula of states, parameters and time alone."""
    for name, own in reversed(system.assignments):
        symbol = se.Symbol(name)
        if symbol in formula.free_symbols:
            formula = formula.subs({symbol: own})
    return formula

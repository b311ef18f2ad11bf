"""Folds: the value of a parameter at which two steady states meet and vanish."""

from __future__ import annotations

import numpy as np

from immunostat.base.errors import ModelError
from immunostat.engine.backends.reference import PlainSystem
from immunostat.model.system import FloatArray, OdeSystem

#: Steps from one end of the branch to the other.
STEPS = 81


def fold(
    system: OdeSystem,
    values: FloatArray,
    guess: FloatArray,
    state: str,
    ends: tuple[float, float],
    parameter: str,
) -> float:
    """Extreme value of a parameter along the steady states in which one state has given values.

    At each value of `state` the other states and the parameter are found by Newton's method, from
    those found before; where the parameter turns, two steady states meet.

    Parameters
    ----------
    system
        A model whose rates do not use time.
    values
        Parameters. Shape (parameter,).
    guess
        States near those of the branch where `state` is ``ends[0]``. Shape (state,).
    state
        The state that is followed.
    ends
        Where the branch begins and ends; the parameter turns once between.
    parameter
        The parameter that is found.

    Raises
    ------
    ModelError
        No steady state is found, or the parameter does not turn once.
    """
    from scipy.optimize import minimize_scalar, root

    plain = PlainSystem(system, ())
    row, column = system.states.index(state), system.parameters.index(parameter)
    others = [i for i in range(system.n_states) if i != row]
    complete = plain.derived(values)

    def rates(unknown: FloatArray, at: float) -> FloatArray:
        states, own = np.empty(system.n_states), complete.copy()
        states[row], states[others], own[column] = at, unknown[:-1], unknown[-1]
        return plain.rates(0.0, states, plain.derived(own))

    def found(at: float, begin: FloatArray) -> FloatArray:
        answer = root(rates, begin, args=(at,), tol=1e-13)
        if not answer.success and not np.abs(answer.fun).max() < 1e-10:
            raise ModelError(
                f"model '{system.name}' has no steady state with {state} = {at:g} near the one "
                "before",
                remedy="choose a closer guess, or other ends of the branch",
            )
        return np.asarray(answer.x, dtype=np.float64)

    grid = np.linspace(*ends, STEPS)
    branch = [found(float(grid[0]), np.append(guess[others], values[column]))]
    for at in grid[1:]:
        branch.append(found(float(at), branch[-1]))
    course = np.array([solution[-1] for solution in branch])
    steps = np.sign(np.diff(course))
    turns = np.flatnonzero(steps[1:] != steps[:-1]) + 1
    if len(turns) != 1:
        raise ModelError(
            f"model '{system.name}': {parameter} turns {len(turns)} times while {state} goes from "
            f"{ends[0]:g} to {ends[1]:g}",
            remedy="choose ends around one fold",
        )
    turn = int(turns[0])
    sign = 1.0 if steps[turn] > 0 else -1.0
    first, last = sorted((float(grid[turn - 1]), float(grid[turn + 1])))
    best = minimize_scalar(
        lambda at: sign * found(float(at), branch[turn])[-1],
        bounds=(first, last),
        method="bounded",
        options={"xatol": 1e-9 * (last - first)},
    )
    return float(sign * best.fun)

"""Models too large to write out as straight-line code: CVODE with a sparse Jacobian instead.

Compiling time grows faster than a model. What is written out is about one instruction for each
node of the formulas' graph, for each multiplication of the factorization and for each entry of
its factors; their sum decides. A network of 300 states with some 6 partners each has 50,000 and
compiles in 15 seconds; above `LARGEST_TEXT` compiling would take more than half a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from immunostat.base.errors import ModelError
from immunostat.engine.passes import Elimination, SystemGraph
from immunostat.engine.problem import EnsembleProblem, Tolerance
from immunostat.engine.solution import Trajectories
from immunostat.model.expressions import free_names
from immunostat.model.system import FloatArray

#: Most instructions that are written out.
LARGEST_TEXT = 100_000


class TooLarge(ModelError):
    """A model that is not written out as straight-line code."""


def text_size(equations: SystemGraph, elimination: Elimination) -> int:
    """Instructions that one step takes when it is written out, about."""
    position = {state: k for k, state in enumerate(elimination.order)}
    right = dict.fromkeys(elimination.order, 0)
    below = dict.fromkeys(elimination.order, 0)
    for i, j in elimination.pattern:
        if position[j] > position[i]:
            right[i] += 1
        elif position[i] > position[j]:
            below[j] += 1
    products = sum(right[p] * below[p] for p in elimination.order)
    return len(equations.graph.ops) + products + len(elimination.pattern)


def check_size(name: str, equations: SystemGraph, elimination: Elimination) -> None:
    """Refuse to write out what would take too long to compile.

    Raises
    ------
    TooLarge
        The model is too large for the compiled methods.
    """
    size = text_size(equations, elimination)
    if size > LARGEST_TEXT:
        raise TooLarge(
            f"model '{name}' is too large to compile: about {size} instructions, "
            f"where {LARGEST_TEXT} is the most",
            remedy="solve it with method='cvode'",
        )


def solve_with_sparse_cvode(
    problem: EnsembleProblem,
    tolerance: Tolerance,
    progress: Callable[[int], None] | None = None,
    max_steps: int = 100_000,
) -> Trajectories:
    """CVODE patient by patient, its linear systems solved by SuperLU on the Jacobian's pattern."""
    from immunostat.engine.backends.reference import cvode_segment, solve_one_by_one

    segment = partial(cvode_segment, linsolver="sparse", sparsity=jacobian_pattern(problem))
    return solve_one_by_one(problem, tolerance, segment, progress, max_steps)


def jacobian_pattern(problem: EnsembleProblem) -> FloatArray:
    """1 where the rate of a state (row) depends on a state (column), and on the diagonal."""
    system = problem.system
    index = {name: i for i, name in enumerate(system.states)}
    uses: dict[str, set[str]] = {}

    def states_in(names: set[str]) -> set[str]:
        """States that a formula with these names depends on, through assignments too."""
        own = names & index.keys()
        return own.union(*(uses[name] for name in names & uses.keys()))

    for name, expression in system.assignments:
        uses[name] = states_in(set(free_names(expression)))
    pattern = np.eye(system.n_states)
    for i, rate in enumerate(system.rates):
        for name in states_in(set(free_names(rate))):
            pattern[i, index[name]] = 1.0
    return pattern

"""``method="auto"``: which compiled method suits a model, by a rule that is stated here.

The model's own patient (its default parameters, no doses) is solved by both methods at the wanted
tolerance. Tsit5 is taken if it gets to the end in at most `MOST_STEPS_RATIO` times the steps of
Rodas5P. A stiff model forces an explicit method to short steps, so it is told by just that.

A patient whom Tsit5 does not bring to the end in `MOST_STEPS` steps and `MOST_STEPS_FACTOR` times
those of the model's own patient, as where only a dose makes the model stiff, is solved again, from
his beginning, by Rodas5P. Both rules use the model, the tolerance, the times and that one
patient, so his numbers do not depend on who shares his run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from immunostat.engine.backends.cpu import solve_on_cpu
from immunostat.engine.methods.explicit_rk import TSIT5
from immunostat.engine.methods.rosenbrock import RODAS5P
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solution import Status, Trajectories

#: A step of Tsit5 costs a third of one of Rodas5P or less, but at one tolerance its error is
#: larger; at equal error it may take half as many steps again.
MOST_STEPS_RATIO = 1.5

#: Steps of the model's own patient that count as none: a short run says little.
FREE_STEPS = 20

MOST_STEPS, MOST_STEPS_FACTOR = 2000, 20


def choose_method(problem: EnsembleProblem, tolerance: Tolerance) -> tuple[str, int]:
    """Name of the method for a model, and the steps that its own patient takes by it.

    Of the problem, only the model, the outputs and the first and last time count.
    """
    system = problem.system
    end = problem.times[-1:] if len(problem.times) else np.array([problem.start])
    own = EnsembleProblem(
        system, system.defaults[None, :], Schedule.empty(1), end, problem.outputs, problem.start
    )
    stiff = solve_on_cpu(own, tolerance, 1, None, 100_000, RODAS5P)
    n_stiff = int(stiff.accepted[0] + stiff.rejected[0])
    if stiff.status[0] != Status.OK:
        return "rodas5p", n_stiff
    allowed = int(MOST_STEPS_RATIO * n_stiff) + FREE_STEPS
    explicit = solve_on_cpu(own, tolerance, 1, None, allowed + 1, TSIT5)
    n_explicit = int(explicit.accepted[0] + explicit.rejected[0])
    is_explicit = explicit.status[0] == Status.OK and n_explicit <= allowed
    return ("tsit5", n_explicit) if is_explicit else ("rodas5p", n_stiff)


def solve_by_choice(
    problem: EnsembleProblem,
    tolerance: Tolerance,
    n_threads: int,
    progress: Callable[[int], None] | None,
    max_steps: int,
) -> Trajectories:
    """Solve by the method that suits the model; see `solve`."""
    name, n_steps = choose_method(problem, tolerance)
    if name == "rodas5p":
        return solve_on_cpu(problem, tolerance, n_threads, progress, max_steps, RODAS5P)
    limit = min(max_steps, MOST_STEPS + MOST_STEPS_FACTOR * n_steps)
    found = solve_on_cpu(problem, tolerance, n_threads, progress, limit, TSIT5)
    again = np.flatnonzero(found.status != Status.OK)
    if not len(again):
        return found
    part = subset(problem, again.tolist())
    second = solve_on_cpu(part, tolerance, n_threads, None, max_steps, RODAS5P)
    merged = {}
    for field in ("values", "status", "status_times", "final_states", "accepted", "rejected"):
        merged[field] = getattr(found, field).copy()
        merged[field][again] = getattr(second, field)
    return replace(found, **merged)


def subset(problem: EnsembleProblem, patients: Sequence[int]) -> EnsembleProblem:
    """The problem of some of the patients, in the order given."""
    schedule, offsets = problem.schedule, problem.schedule.offsets
    chosen = np.array(patients, dtype=np.int64)
    counts = offsets[chosen + 1] - offsets[chosen]
    ends = np.cumsum(counts)
    events = np.arange(int(counts.sum())) + np.repeat(offsets[chosen] - (ends - counts), counts)
    own = Schedule(
        np.concatenate(([0], ends)).astype(np.int64),
        schedule.times[events],
        schedule.actions[events],
        schedule.targets[events],
        schedule.values[events],
    )
    initial = problem.initial_states
    return replace(
        problem,
        parameters=problem.parameters[chosen],
        schedule=own,
        initial_states=None if initial is None else initial[chosen],
    )

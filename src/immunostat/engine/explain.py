"""Why patients failed, in words, for a whole run; `diagnosis` finds the words for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from immunostat.engine.diagnosis import diagnose
from immunostat.engine.problem import EnsembleProblem
from immunostat.engine.solution import Status, Trajectories
from immunostat.model.system import FloatArray, OdeSystem

#: Patients that are told about one by one; the others are counted.
MOST_TOLD = 5


def explain(
    trajectories: Trajectories, problem: EnsembleProblem, labels: Sequence[object] | None = None
) -> list[str]:
    """Who failed, when, which state moved fastest then, and what to try.

    Failed patients are solved again up to the time of their failure, to see their states there.

    Parameters
    ----------
    trajectories
        What `solve` returned.
    problem
        What it was asked.
    labels
        How to call the patients; None numbers them from 0.

    Returns
    -------
    A text for each of the first five, then one that counts the others; empty if all went well.

    Examples
    --------
    >>> import immunostat as im, numpy as np
    >>> from immunostat.engine.problem import EnsembleProblem, Schedule
    >>> from immunostat.engine.solve import solve
    >>> model = im.load_model("docs/examples/one_compartment.ant")
    >>> parameters = np.tile(model.defaults, (2, 1))
    >>> parameters[1, model.parameters.index("clearance")] = np.inf
    >>> ask = EnsembleProblem(model, parameters, Schedule.empty(2), np.array([1.0]), ("central",))
    >>> print(explain(solve(ask), ask)[0].splitlines()[1])
      parameter 'clearance' is inf; the model's own is 3
    """
    failed = np.flatnonzero(trajectories.status != Status.OK)
    texts = []
    for i in failed[:MOST_TOLD]:
        name = i if labels is None else labels[i]
        text = f"patient {name} {diagnose(problem, trajectories, int(i))}"
        texts.append("\n  ".join([text, *_strange(problem.system, problem.parameters[i])]))
    left = failed[MOST_TOLD:]
    if len(left):
        counts = Counter(Status(int(code)) for code in trajectories.status[left])
        shown = ", ".join(
            f"{n} {code.name.lower().replace('_', ' ')}" for code, n in sorted(counts.items())
        )
        texts.append(f"{len(left)} more patients failed: {shown}")
    return texts


def _strange(system: OdeSystem, parameters: FloatArray) -> list[str]:
    """Parameters that are no numbers, or zero or less where the model's own is more."""
    derived = {name for name, _ in system.derived_parameters}
    return [
        f"parameter '{name}' is {value:.4g}; the model's own is {default:.4g}"
        for name, value, default in zip(system.parameters, parameters, system.defaults, strict=True)
        if name not in derived and (not np.isfinite(value) or value <= 0 < default)
    ][:3]

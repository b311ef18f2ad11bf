"""A situation with its core and no drug: engagement of targets is put in by hand.

Small and quick, since nothing of a drug is solved: a hook holds one number from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from immunostat.catalog.lookup import packaged_catalog
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve
from immunostat.study.assemble import Assembly, assemble

#: What the tests read. The same for all of them, so that each system is compiled once.
OUTPUTS = {
    "bacterial-infection": (
        "disease_bacteria",
        "disease_ln_bacteria",
        "disease_log10_bacteria",
        "disease_site_neutrophils",
        "disease_crp",
        "disease_temperature",
        "disease_sofa",
        "core_neutrophils",
        "core_macrophage",
    ),
    "tuberculosis": (
        "disease_bacilli",
        "disease_hold",
        "disease_reactivation_hazard",
        "core_tnf_signal",
    ),
    "rheumatoid-arthritis": ("core_tnf_signal", "core_il6_signal", "core_macrophage"),
}


@cache
def assembly(name: str) -> Assembly:
    """Core and situation with the numbers of their cards, without drugs."""
    catalog = packaged_catalog()
    return assemble(catalog, catalog.situation(name), ())


def course(
    name: str,
    times: Sequence[float],
    start: float = 0.0,
    **settings: float | Sequence[float],
) -> Trajectories:
    """Courses of typical patients; a setting with several values makes as many patients.

    Parameters
    ----------
    times
        Shape (time,), day.
    start
        When the equations start, day.
    settings
        Parameters of the joined model, such as ``tnf_binding`` or ``disease_growth``.
    """
    own = assembly(name)
    n = max([1, *(np.size(value) for value in settings.values())])
    table = np.tile(own.system.defaults, (n, 1))
    for parameter, value in {**own.defaults, **settings}.items():
        table[:, own.system.parameters.index(parameter)] = value
    problem = EnsembleProblem(
        own.system,
        table,
        Schedule.empty(n),
        np.asarray(times, dtype=np.float64),
        OUTPUTS[name],
        start=start,
    )
    found = solve(problem, tolerance=Tolerance(1e-6, 1e-9), threads=1)
    assert not np.any(found.status), "every patient is solved"
    return found

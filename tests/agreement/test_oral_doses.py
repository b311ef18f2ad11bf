"""Frequent oral doses: fewer steps for what a depot leaves behind, and not a larger error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.engine.problem import EnsembleProblem, Tolerance
from immunostat.engine.solve import solve
from immunostat.study.cohort import draw_cohort
from immunostat.study.plan import METHOD, prepare
from immunostat.study.simulation import schedule_of
from immunostat.study.study_reader import make_study

CATALOG = packaged_catalog()


@pytest.mark.parametrize(
    "regimen", ["tofacitinib 5 mg oral twice daily", "prednisone 10 mg oral daily"]
)
def test_depots_are_judged_beside_the_circulation(regimen: str) -> None:
    study = make_study(
        {
            "situation": "rheumatoid-arthritis",
            "population": {"name": "methotrexate-inadequate-response", "patients": 4},
            "arms": {"drug": [regimen]},
            "duration": "2 weeks",
        }
    )
    plan = prepare(study, CATALOG)
    cohort = draw_cohort(plan.recruitment(1), 4)
    n, system = len(plan.arms), plan.assembly.system
    problem = EnsembleProblem(
        system,
        np.tile(cohort.parameters, (n, 1)),
        schedule_of(plan, cohort),
        np.linspace(0, 14, 57),
        [name for name in system.states if name not in system.passed_on],
        initial_states=np.tile(cohort.initial_states, (n, 1)),
    )
    plain = replace(problem, system=replace(system, passed_on={}))
    exact = solve(problem, method="cvode", tolerance=Tolerance(1e-10, 1e-13)).values
    own = np.abs(exact).max(axis=1, keepdims=True)
    # A state at rest at zero is as large as the absolute tolerance lets it be.
    size = np.maximum(own, np.maximum(1e-6 * own.max(axis=0, keepdims=True), 1e-3))
    # A score of films is read in half units; two weeks of damage are thousandths of one.
    film = np.array(problem.outputs) == "disease_joint_damage"
    size = np.where(film, np.maximum(size, 0.5), size)

    def off(own: EnsembleProblem) -> tuple[float, int]:
        found = solve(own, method=METHOD, tolerance=Tolerance(1e-5, 1e-8))
        return float((np.abs(found.values - exact) / size).max()), int(found.accepted.sum())

    error, steps = off(problem)
    error_of_all, steps_of_all = off(plain)
    assert steps < 0.9 * steps_of_all
    # Not a larger error, but for the chance of where steps fall.
    assert error < 2 * error_of_all
    assert error < 1e-4

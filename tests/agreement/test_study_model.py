"""The fast engine against CVODE on the model of the demo study, doses and all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.engine.problem import EnsembleProblem, Tolerance
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve
from immunostat.study.run import simulate
from immunostat.study.simulation import joined
from immunostat.study.study_reader import read_study
from immunostat.therapy.schedule import schedule_for

STUDY = Path(__file__).parents[2] / "studies" / "ra-biologics.yaml"
N_PATIENTS = 12

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def problem() -> EnsembleProblem:
    """Patients under each arm, weekly samples, every state an output."""
    study = read_study(STUDY)
    study = replace(study, population=replace(study.population, n_patients=N_PATIENTS))
    start = simulate(study, packaged_catalog())
    system, cohort = start.plan.assembly.system, start.cohort
    weight = cohort.covariates["weight"].to_numpy(float)
    schedule = joined(
        [schedule_for(system, study.arms[arm], study.duration_day, weight) for arm in study.arms]
    )
    n = len(study.arms)
    return EnsembleProblem(
        system,
        np.tile(cohort.parameters, (n, 1)),
        schedule,
        np.arange(0.0, study.duration_day + 1, 7.0),
        system.states,
        initial_states=np.tile(cohort.initial_states, (n, 1)),
    )


def largest_difference(problem, values: np.ndarray, reference: np.ndarray) -> float:
    """Largest difference, relative to the size that the state has over the patient's course.

    What empties into another state counts beside that one. A patient without a drug has none of it
    but for round-off of the reference, so a state's size is taken as at least a millionth of the
    largest that any patient has.
    """
    own = np.abs(reference).max(axis=1, keepdims=True)
    states = list(problem.system.states)
    for state, receiver in problem.system.passed_on.items():
        i, j = states.index(state), states.index(receiver)
        own[:, :, i] = np.maximum(own[:, :, i], own[:, :, j])
    scale = np.maximum(own, 1e-6 * own.max(axis=0, keepdims=True))
    return float((np.abs(values - reference) / np.where(scale > 0, scale, 1.0)).max())


def test_states_agree_with_cvode_to_four_digits(problem) -> None:
    reference = solve(problem, method="cvode", tolerance=Tolerance(1e-10, 1e-13))
    fast = solve(problem)
    assert reference.is_ok.all()
    assert fast.is_ok.all()
    # 1e-4: the goal of the first release at the default tolerance.
    assert largest_difference(problem, fast.values, reference.values) < 1e-4


@pytest.fixture(scope="module")
def reference(problem) -> Trajectories:
    """As exact as the method gets."""
    return solve(problem, method="rodas5p", tolerance=Tolerance(1e-11, 1e-13))


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
def test_error_falls_with_the_tolerance(problem, reference, tolerance) -> None:
    found = solve(problem, tolerance=Tolerance(tolerance, tolerance * 1e-3))
    # Global error against local tolerance: some tens of steps add up, and where the joint reaches
    # its floor (a maximum in the model) a step loses order.
    assert largest_difference(problem, found.values, reference.values) < 200 * tolerance

"""Every arm of a study solved in the same patients: same random numbers, so that arms differ by
treatment alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from immunostat.engine.explain import explain
from immunostat.engine.problem import EnsembleProblem, IntArray, Schedule
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray
from immunostat.study.cohort import Cohort, columns_of, observe
from immunostat.study.plan import METHOD, Plan
from immunostat.therapy.schedule import schedule_for


@dataclass(frozen=True)
class Simulation:
    """Every arm of a study, solved for some patients.

    Parameters
    ----------
    plan
        What was simulated.
    cohort
        In whom.
    trajectories
        All arms of the plan one after another. Its first axis has length arm x patient.
    failures
        Who failed, when, which state moved fastest, and what to try; empty if nobody did.
    visits
        What visits recorded, by arm and component. Each (patient, visit).
    """

    plan: Plan
    cohort: Cohort
    trajectories: Trajectories
    failures: tuple[str, ...] = ()
    visits: dict[str, dict[str, FloatArray]] = field(default_factory=dict)

    @property
    def n_patients(self) -> int:
        """Number of patients in each arm."""
        return len(self.cohort.numbers)

    def rows(self, arm: str) -> slice:
        """Rows of an arm in the trajectories."""
        start = self.plan.arms.index(arm) * self.n_patients
        return slice(start, start + self.n_patients)

    def values(self, arm: str, output: str) -> FloatArray:
        """Course of one output in one arm, in the unit of the model. Shape (patient, time)."""
        index = self.trajectories.outputs.index(output)
        highest = self.plan.outputs[index].high
        return np.minimum(self.trajectories.values[self.rows(arm), :, index], highest)

    def status(self, arm: str) -> IntArray:
        """Status of each patient of an arm."""
        return self.trajectories.status[self.rows(arm)]

    @property
    def visit_index(self) -> IntArray:
        """Which sample times are visits. Shape (visit,)."""
        return np.searchsorted(self.plan.times, self.plan.study.visits_day)


def simulate_cohort(
    plan: Plan,
    cohort: Cohort,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """Solve every arm of a plan in the patients of a cohort.

    Parameters
    ----------
    progress
        Called with the number of courses (arm x patient) finished.
    """
    arms, n_arms = plan.arms, len(plan.arms)
    problem = EnsembleProblem(
        plan.assembly.system,
        np.tile(cohort.parameters, (n_arms, 1)),
        schedule_of(plan, cohort),
        plan.times,
        plan.output_names,
        initial_states=np.tile(cohort.initial_states, (n_arms, 1)),
    )
    trajectories = solve(
        problem, method=METHOD, tolerance=plan.tolerance, threads=threads, progress=progress
    )
    labels = [f"{number} of arm '{arm}'" for arm in arms for number in cohort.numbers]
    failures = tuple(explain(trajectories, problem, labels))
    simulation = Simulation(plan, cohort, trajectories, failures)
    for arm in arms:
        simulation.visits[arm] = observed_visits(simulation, arm)
    return simulation


def schedule_of(plan: Plan, cohort: Cohort) -> Schedule:
    """Doses of every arm in every patient, arm after arm."""
    weight = cohort.covariates["weight"].to_numpy(np.float64)
    surface = columns_of(cohort.covariates).get("bsa")
    return joined(
        [
            schedule_for(
                plan.assembly.system,
                plan.regimens(arm),
                plan.study.duration_day,
                weight,
                cohort.bioavailability,
                surface,
            )
            for arm in plan.arms
        ]
    )


def joined(schedules: list[Schedule]) -> Schedule:
    """Schedules of several arms, one after another."""
    lengths = np.concatenate([np.diff(schedule.offsets) for schedule in schedules])
    return Schedule(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([schedule.times for schedule in schedules]),
        np.concatenate([schedule.actions for schedule in schedules]),
        np.concatenate([schedule.targets for schedule in schedules]),
        np.concatenate([schedule.values for schedule in schedules]),
    )


def observed_visits(simulation: Simulation, arm: str) -> dict[str, FloatArray]:
    """What the visits of an arm record, with the error of the day. Each (patient, visit)."""
    components = simulation.plan.situation.components
    index = simulation.visit_index
    true = {
        card.output: simulation.values(arm, card.output)[:, index] for card in components.values()
    }
    seed = simulation.plan.study.population.seed
    return observe(components, true, simulation.cohort.numbers, seed)


def dataset(simulation: Simulation) -> xr.Dataset:
    """Trajectories with labels: (arm, patient, time), in the units of readers."""
    arms = tuple(simulation.plan.study.arms)
    shape = (len(arms), simulation.n_patients, len(simulation.plan.times))
    variables: dict[str, tuple[Any, ...]] = {}
    for output in simulation.plan.outputs:
        values = np.empty(shape)
        for i, arm in enumerate(arms):
            values[i] = simulation.values(arm, output.name) * output.factor
        attributes: Mapping[str, str] = {"units": output.unit, "long_name": output.title}
        variables[output.name] = (("arm", "patient", "time"), values, attributes)
    coordinates = {
        "arm": list(arms),
        "patient": simulation.cohort.numbers,
        "time": ("time", simulation.plan.times, {"units": "day"}),
    }
    return xr.Dataset(variables, coords=coordinates)

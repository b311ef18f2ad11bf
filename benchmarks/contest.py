"""The contest's task: the 24-state model, its patients, their doses, and what counts as error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem

FloatArray = npt.NDArray[np.float64]

MODEL_FILE = Path(__file__).parent / "models" / "mab_immune_24.ant"
MODEL = "mab_immune_24"

#: 12 doses in 24 weeks: 162 mg of an antibody of 148 kDa every second week, nmol.
DOSE, DOSE_INTERVAL, N_DOSES = 1095.0, 14.0, 12
DOSED = "depot"
SAMPLE_DAYS = 7.0 * np.arange(25.0)

#: Parameters that differ between patients, log-normally, by `SPREAD`.
VARIED = ("ka", "CL", "V1", "kon", "ksyn", "k_Mac", "k_TNF", "k_IL6", "k_Th17", "mtt")
SPREAD = 0.3
SEED = 20240501


@dataclass(frozen=True)
class Task:
    """The same work for every simulator.

    Parameters
    ----------
    text
        Antimony text of the model.
    sbml
        The same as SBML.
    system
        The same as the engine sees it.
    varied
        Values of `VARIED`. Shape (patient, parameter).
    """

    text: str
    sbml: str
    system: OdeSystem
    varied: FloatArray

    def problem(self, n_patients: int) -> EnsembleProblem:
        """The first patients, as the engine takes them."""
        system = self.system
        values = np.tile(system.defaults, (n_patients, 1))
        for column, name in enumerate(VARIED):
            values[:, system.parameters.index(name)] = self.varied[:n_patients, column]
        doses = [Event(DOSE_INTERVAL * i, Action.ADD, DOSED, DOSE) for i in range(N_DOSES)]
        schedule = Schedule.of_events(system, [doses] * n_patients)
        return EnsembleProblem(system, values, schedule, SAMPLE_DAYS, system.states)


def make_task(n_patients: int) -> Task:
    """Read the model and draw the patients."""
    text = MODEL_FILE.read_text()
    sbml = flatten([Fragment(text, MODEL_FILE.name)], MODEL)
    system = system_from_sbml(sbml, MODEL_FILE.name)
    middle = np.array([system.defaults[system.parameters.index(name)] for name in VARIED])
    spread = np.sqrt(np.log(1.0 + SPREAD**2))
    draws = np.random.default_rng(SEED).normal(0.0, spread, (n_patients, len(VARIED)))
    return Task(text, sbml, system, middle * np.exp(draws))


@dataclass(frozen=True)
class Reference:
    """What is taken as the truth, and each state's size in each patient's course."""

    values: FloatArray
    size: FloatArray

    def error(self, values: FloatArray) -> float:
        """Median over patients of the largest error over states and times, relative to the size.

        Simulators may solve fewer patients than the reference; the first ones are compared.
        """
        n = min(len(values), len(self.values))
        relative = np.abs(values[:n] - self.values[:n]) / self.size[:n]
        return float(np.median(relative.max(axis=(1, 2))))


def make_reference(task: Task, n_patients: int) -> Reference:
    """The engine at 1e-11."""
    solution = solve(task.problem(n_patients), tolerance=Tolerance(1e-11, 1e-14))
    if not solution.is_ok.all():
        raise RuntimeError("the reference failed")
    size = np.abs(solution.values).max(axis=1, keepdims=True)
    return Reference(solution.values, size)

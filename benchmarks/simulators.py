"""The simulators of the contest, each used the way its documentation says for many runs.

Reading and compiling the model stand in the constructors and are not timed. Each run gives the
samples of all states and the seconds of processor time that solving took (every tool runs on one
thread; wall time would count what else the machine does); where a tool's Python layer is slow at
handing results over, that is left out to its advantage (said at each). A tool that is not
installed raises `Missing`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from benchmarks.contest import (
    DOSE,
    DOSE_INTERVAL,
    DOSED,
    MODEL,
    N_DOSES,
    SAMPLE_DAYS,
    VARIED,
    FloatArray,
    Task,
)
from benchmarks.diffsl import diffsl_text
from immunostat.engine.problem import Tolerance
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten

#: Absolute tolerance as a share of the relative one: states are of the order of 1 or larger.
ABSOLUTE_SHARE = 1e-3

#: An event's dose comes this much after the sample of its day, so that samples are troughs.
JUST_AFTER = 1e-8

Run = tuple[FloatArray, float]


class Missing(Exception):
    """A tool is not installed, or does not work here."""


class Simulator(Protocol):
    """One way of one tool."""

    name: str
    #: Tool that this is a way of; ways of one tool compete for its best time.
    tool: str

    def run(self, n_patients: int, relative: float) -> Run:
        """Samples, shape (patient, time, state), and seconds."""
        ...


def _with_events(text: str) -> str:
    """The model with its doses as events and the first dose at the start."""
    events = "".join(
        f"  dose{k}: at (time >= {DOSE_INTERVAL * k + JUST_AFTER!r}), t0=true: "
        f"{DOSED} = {DOSED} + {DOSE!r}\n"
        for k in range(1, N_DOSES)
    )
    head, tail = text.rsplit("\nend", 1)
    return f"{head}\n{events}end{tail}".replace(f"{DOSED} = 0;", f"{DOSED} = {DOSE!r};")


def _events_sbml(task: Task) -> str:
    text: str = flatten([Fragment(_with_events(task.text), "events.ant")], MODEL)
    return text


def _before_first_dose(values: FloatArray, task: Task) -> FloatArray:
    """The sample at the start, where the first dose is an initial value, without the dose."""
    values[:, 0, task.system.states.index(DOSED)] -= DOSE
    return values


class Immunostat:
    """This project's engine on one thread."""

    tool = "immunostat"

    def __init__(self, task: Task) -> None:
        self.name, self.task = f"immunostat {_version('immunostat')}", task
        self.run(1, 1e-3)

    def run(self, n_patients: int, relative: float) -> Run:
        """All patients in one call."""
        problem = self.task.problem(n_patients)
        tolerance = Tolerance(relative, relative * ABSOLUTE_SHARE)
        began = time.process_time()
        solution = solve(problem, tolerance=tolerance, threads=1)
        seconds = time.process_time() - began
        if not solution.is_ok.all():
            raise RuntimeError("a patient failed")
        return solution.values, seconds


class RoadRunner:
    """libRoadRunner: `reset`, new parameters, `simulate`; doses as events or by stopping."""

    tool = "libRoadRunner"

    def __init__(self, task: Task, uses_events: bool) -> None:
        try:
            import roadrunner
        except ImportError as problem:
            raise Missing("libroadrunner is not installed") from problem
        roadrunner.Logger.setLevel(roadrunner.Logger.LOG_ERROR)
        how = "events" if uses_events else "restarts"
        self.name = f"libRoadRunner {roadrunner.__version__}, {how}"
        self.task, self.uses_events = task, uses_events
        self.runner = roadrunner.RoadRunner(_events_sbml(task) if uses_events else task.sbml)
        self.runner.timeCourseSelections = list(task.system.states)
        names = list(self.runner.model.getGlobalParameterIds())
        self.varied = [names.index(name) for name in VARIED]
        self.dosed = [names.index(DOSED)]
        self.run(1, 1e-3)

    def run(self, n_patients: int, relative: float) -> Run:
        """One patient after another."""
        runner = self.runner
        runner.integrator.relative_tolerance = relative
        runner.integrator.absolute_tolerance = relative * ABSOLUTE_SHARE
        values = np.zeros((n_patients, len(SAMPLE_DAYS), self.task.system.n_states))
        began = time.process_time()
        for own, varied in zip(values, self.task.varied[:n_patients], strict=True):
            runner.reset()
            runner.model.setGlobalParameterValues(self.varied, varied)
            if self.uses_events:
                own[:] = runner.simulate(times=SAMPLE_DAYS)
            else:
                self._restarting(runner, own)
        seconds = time.process_time() - began
        if self.uses_events:
            values = _before_first_dose(values, self.task)
        return values, seconds

    def _restarting(self, runner: Any, own: FloatArray) -> None:
        for k in range(N_DOSES):
            amount = runner.model.getGlobalParameterValues(self.dosed)[0] + DOSE
            runner.model.setGlobalParameterValues(self.dosed, [amount])
            found = runner.simulate(times=SAMPLE_DAYS[2 * k : 2 * k + 3])
            own[2 * k + 1 : 2 * k + 3] = found[1:]
            if k == 0:
                own[0] = found[0]
                own[0, self.task.system.states.index(DOSED)] -= DOSE


class Diffsol:
    """diffsol through pydiffsol: one compiled model, `solve_dense` from dose to dose."""

    tool = "diffsol"

    def __init__(self, task: Task, method: str, matrix: str) -> None:
        try:
            import pydiffsol
        except ImportError as problem:
            raise Missing("pydiffsol is not installed") from problem
        self.name = f"diffsol {pydiffsol.diffsol_version()}, {method} {matrix}"
        self.task, system = task, task.system
        self.ode = pydiffsol.Ode(
            diffsl_text(system),
            matrix_type=getattr(pydiffsol, matrix),
            ode_solver=getattr(pydiffsol, method),
        )
        self.initial = np.array([float(e) for e in system.initial])
        self.dosed = system.states.index(DOSED)
        self.run(1, 1e-3)

    def run(self, n_patients: int, relative: float) -> Run:
        """One patient after another; each interval starts from states given as inputs."""
        self.ode.rtol, self.ode.atol = relative, relative * ABSOLUTE_SHARE
        n = self.task.system.n_parameters
        parameters = self.task.problem(n_patients).parameters
        values = np.zeros((n_patients, len(SAMPLE_DAYS), self.task.system.n_states))
        values[:, 0] = self.initial
        inside = SAMPLE_DAYS[1:3]  # the model does not use time: each interval starts at 0
        began = time.process_time()
        inputs = np.zeros(n + self.task.system.n_states)
        for own, patient in zip(values, parameters, strict=True):
            inputs[:n], inputs[n:] = patient, self.initial
            for k in range(N_DOSES):
                inputs[n + self.dosed] += DOSE
                found = self.ode.solve_dense(inputs, inside).ys
                own[2 * k + 1 : 2 * k + 3] = found.T
                inputs[n:] = found[:, 1]
        return values, time.process_time() - began


class Copasi:
    """COPASI through basico: its time-course task (LSODA); doses are events.

    Only setting parameters and `process` are timed, not the copying of results.
    """

    tool = "COPASI"

    def __init__(self, task: Task) -> None:
        try:
            import basico
            import COPASI
        except ImportError as problem:
            raise Missing("copasi-basico is not installed") from problem
        self.name = f"COPASI {COPASI.__version__}, LSODA"
        self.copasi, self.basico, self.task = COPASI, basico, task
        self.model = basico.load_model_from_string(_events_sbml(task))
        self.values = {v.getObjectName(): v for v in self.model.getModel().getModelValues()}
        self.run(1, 1e-3)

    def run(self, n_patients: int, relative: float) -> Run:
        """One patient after another."""
        copasi, task = self.copasi, self.model.getTask("Time-Course")
        self.basico.set_task_settings(
            "Time-Course",
            {
                "scheduled": False,
                "problem": {
                    "Duration": float(SAMPLE_DAYS[-1]),
                    "StepNumber": len(SAMPLE_DAYS) - 1,
                    "StepSize": float(SAMPLE_DAYS[1]),
                    "TimeSeriesRequested": True,
                },
                "method": {
                    "Relative Tolerance": relative,
                    "Absolute Tolerance": relative * ABSOLUTE_SHARE,
                },
            },
            model=self.model,
        )
        own_model, seconds = self.model.getModel(), 0.0
        values = np.zeros((n_patients, len(SAMPLE_DAYS), self.task.system.n_states))
        for own, varied in zip(values, self.task.varied[:n_patients], strict=True):
            began = time.process_time()
            changed = copasi.ObjectStdVector()
            for name, value in zip(VARIED, varied, strict=True):
                self.values[name].setInitialValue(float(value))
                changed.append(self.values[name].getInitialValueReference())
            own_model.updateInitialValues(changed)
            task.initializeRaw(copasi.CCopasiTask.OUTPUT_UI)
            is_done = task.processRaw(True)
            task.restore()
            seconds += time.process_time() - began
            series = task.getTimeSeries()
            if not is_done or series.getRecordedSteps() != len(SAMPLE_DAYS):
                raise RuntimeError("COPASI did not finish a patient")
            titles = {series.getTitle(i): i for i in range(series.getNumVariables())}
            for column, state in enumerate(self.task.system.states):
                index = (
                    titles[f"Values[{state}]"] if f"Values[{state}]" in titles else titles[state]
                )
                own[:, column] = [series.getData(i, index) for i in range(len(SAMPLE_DAYS))]
        return _before_first_dose(values, self.task), seconds


class Amici:
    """AMICI: C++ code for the model (CVODES and KLU); doses are events at known times.

    The time is the solver's own (`cpu_time`), without handing results to Python.
    """

    tool = "AMICI"

    def __init__(self, task: Task) -> None:
        try:
            import amici
            import amici.sim.sundials as sundials
        except ImportError as problem:
            raise Missing("amici is not installed") from problem
        self.name, self.task, self.sundials = f"AMICI {amici.__version__}", task, sundials
        self.folder = tempfile.TemporaryDirectory(prefix="amici-")
        source = f"{self.folder.name}/model.xml"
        with open(source, "w", encoding="utf-8") as file:
            file.write(_events_sbml(task))
        try:
            with _quiet():
                self.model = amici.SbmlImporter(source).sbml2amici(
                    "contest",
                    f"{self.folder.name}/contest",
                    generate_sensitivity_code=False,
                    verbose=logging.ERROR,
                )
        except Exception as problem:  # whatever a compiler and a build system may raise
            raise Missing("AMICI could not compile the model (it needs a compiler)") from problem
        self.model.set_timepoints(SAMPLE_DAYS)
        self.solver = self.model.create_solver()
        self.order = [list(self.model.get_state_ids()).index(n) for n in task.system.states]
        self.run(1, 1e-3)

    def run(self, n_patients: int, relative: float) -> Run:
        """One patient after another."""
        self.solver.set_relative_tolerance(relative)
        self.solver.set_absolute_tolerance(relative * ABSOLUTE_SHARE)
        values = np.zeros((n_patients, len(SAMPLE_DAYS), self.task.system.n_states))
        seconds = 0.0
        for own, varied in zip(values, self.task.varied[:n_patients], strict=True):
            for name, value in zip(VARIED, varied, strict=True):
                self.model.set_free_parameter_by_id(name, float(value))
            found = self.sundials.run_simulation(self.model, self.solver)
            if found.status != 0:
                raise RuntimeError(f"AMICI did not finish a patient: {found.status}")
            seconds += 1e-3 * float(found.cpu_time)
            own[:] = np.asarray(found.x)[:, self.order]
        return _before_first_dose(values, self.task), seconds


#: Ways of other tools, by a short name that `--only` takes.
OTHERS: dict[str, Callable[[Task], Simulator]] = {
    "roadrunner-events": lambda task: RoadRunner(task, uses_events=True),
    "roadrunner-restarts": lambda task: RoadRunner(task, uses_events=False),
    "diffsol-bdf": lambda task: Diffsol(task, "bdf", "nalgebra_dense"),
    "diffsol-bdf-sparse": lambda task: Diffsol(task, "bdf", "faer_sparse"),
    "diffsol-tr-bdf2": lambda task: Diffsol(task, "tr_bdf2", "nalgebra_dense"),
    "diffsol-esdirk34": lambda task: Diffsol(task, "esdirk34", "nalgebra_dense"),
    "copasi": Copasi,
    "amici": Amici,
}


def _version(package: str) -> str:
    return importlib.metadata.version(package)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep a build's output, also that of its processes, off the screen."""
    with open(os.devnull, "w") as nowhere:
        saved = os.dup(1), os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)

"""The engine with tables in and tables out: any model, a row per patient, a row per dose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from immunostat.base.errors import InputError, RangeError, UnknownNameError, near_matches
from immunostat.engine import solve as engine
from immunostat.engine.dosing import expand
from immunostat.engine.nonmem import EventTable, events_of_frame
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solution import Status, Trajectories
from immunostat.engine.steady_state import steady_state
from immunostat.model.system import FloatArray, OdeSystem

if TYPE_CHECKING:
    import xarray as xr

#: Columns of a table of doses, with the NONMEM names that are also understood.
DOSE_COLUMNS = {"patient": "ID", "time": "TIME", "state": "CMT", "amount": "AMT", "duration": "DUR"}

#: Columns that only a data set in NONMEM's form has.
NONMEM_COLUMNS = frozenset({"EVID", "RATE", "SS", "II", "ADDL"})


@dataclass(frozen=True)
class Solution:
    """Trajectories of an ensemble with labels.

    Parameters
    ----------
    trajectories
        What the engine returned.
    patients
        Label of each patient. Shape (patient,).
    """

    trajectories: Trajectories
    patients: pd.Index

    @property
    def status(self) -> pd.Series[str]:
        """How each patient's integration ended: ``ok`` or the cause."""
        names = [Status(code).name.lower().replace("_", " ") for code in self.trajectories.status]
        return pd.Series(names, index=self.patients, name="status")

    def to_dataset(self) -> xr.Dataset:
        """One variable per output, dimensions (patient, time)."""
        import xarray as xr

        own = self.trajectories
        variables = {
            name: (("patient", "time"), own[name], {"units": own.units.get(name, "")})
            for name in own.outputs
        }
        return xr.Dataset(variables, coords={"patient": self.patients, "time": own.times})

    def to_frame(self) -> pd.DataFrame:
        """One row per patient and time, one column per output."""
        return self.to_dataset().to_dataframe().reset_index()


def solve(
    model: OdeSystem,
    *,
    times: npt.ArrayLike,
    patients: pd.DataFrame | None = None,
    doses: pd.DataFrame | EventTable | None = None,
    outputs: Sequence[str] | None = None,
    compartments: Sequence[str] | None = None,
    covariates: str = "nocb",
    starts_at_rest: bool = False,
    method: str = "rodas5p",
    relative_tolerance: float = 1e-5,
    absolute_tolerance: float = 1e-8,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Solution:
    """Integrate a model for every row of a table of patients.

    Parameters
    ----------
    model
        From `load_model`.
    times
        Sample times, ascending, in the model's unit of time. Shape (time,).
    patients
        One row per patient; a column for each parameter that differs from the model's default.
        None is one patient with the defaults.
    doses
        Columns ``time``, ``state``, ``amount`` and, where wanted, ``duration`` (0 or missing: at
        once) and ``patient`` (an index label of `patients`; missing: everybody). NONMEM's names
        ``TIME CMT AMT DUR ID`` are understood. A sample at the time of a dose is taken before it.
        Or a data set in NONMEM's form (`read_events`, or a table with a column ``EVID``, ``RATE``,
        ``SS``, ``II`` or ``ADDL``); its ``ID`` are then the patients if `patients` is None.
    outputs
        States, assignments or parameters; all states and assignments if None.
    compartments, covariates
        For a data set in NONMEM's form; see `immunostat.engine.dosing.expand`.
    starts_at_rest
        Whether patients start in the steady state that they reach from the model's start values
        without doses. One who has none fails at the start, by status.
    method, relative_tolerance, absolute_tolerance, threads, progress
        See `immunostat.engine.solve.solve`.

    Raises
    ------
    InputError, UnknownNameError
        A column is no parameter of the model, or a dose names an unknown state or patient.

    Examples
    --------
    >>> import immunostat as im, pandas as pd
    >>> model = im.load_model("docs/examples/one_compartment.ant")
    >>> doses = pd.DataFrame({"time": [0.0], "state": ["central"], "amount": [100.0]})
    >>> im.solve(model, doses=doses, times=[0, 1, 2]).to_frame()["central"].round(2).tolist()
    [0.0, 74.08, 54.88]
    """
    data = _data_set(doses)
    if patients is not None:
        table = patients
    else:
        table = pd.DataFrame(index=[0] if data is None else data.patients)
    if table.index.has_duplicates:
        raise InputError("the table of patients has two rows of one label")
    sampled = np.asarray(times, dtype=np.float64)
    if sampled.ndim != 1 or not len(sampled):
        raise RangeError("times must be a list of at least one time")
    names = tuple(outputs) if outputs is not None else model.names[: -model.n_parameters or None]
    parameters, start = _parameters(model, table), 0.0
    if data is None:
        events = _events(model, table.index, doses if isinstance(doses, pd.DataFrame) else None)
        schedule = Schedule.of_events(model, events)
    else:
        rows = _rows(table.index, data)
        dosing = expand(
            data, model, parameters[rows], compartments=compartments, covariates=covariates
        )
        parameters[rows], schedule, start = dosing.parameters, dosing.schedule, dosing.start
        schedule = schedule.placed(rows, len(table))
    initial = steady_state(model, parameters) if starts_at_rest else None
    states = None
    if initial is not None:
        states = np.where(initial.is_ok[:, None], initial.states, np.nan)
    problem = EnsembleProblem(model, parameters, schedule, sampled, names, start, states)
    tolerance = Tolerance(relative_tolerance, absolute_tolerance)
    found = engine.solve(
        problem, method=method, tolerance=tolerance, threads=threads, progress=progress
    )
    return Solution(found, table.index)


def _data_set(doses: pd.DataFrame | EventTable | None) -> EventTable | None:
    """The doses as a data set in NONMEM's form, where they are one."""
    if doses is None or isinstance(doses, EventTable):
        return doses
    columns = {str(column).upper() for column in doses.columns}
    return events_of_frame(doses) if columns & NONMEM_COLUMNS else None


def _rows(labels: pd.Index, data: EventTable) -> list[int]:
    """Row of each patient of a data set."""
    rows = labels.get_indexer(data.patients)
    if (rows < 0).any():
        own = data.patients[int(np.flatnonzero(rows < 0)[0])]
        raise UnknownNameError(f"a dose is for patient '{own}', who is not in the table")
    return [int(row) for row in rows]


def _parameters(model: OdeSystem, patients: pd.DataFrame) -> FloatArray:
    """Defaults of the model, replaced by the columns of the table. Shape (patient, parameter)."""
    values = np.tile(model.defaults, (len(patients), 1))
    for column in patients.columns:
        if column not in model.parameters:
            raise UnknownNameError(
                f"'{column}' is no parameter of model '{model.name}'",
                remedy=near_matches(str(column), model.parameters),
            )
        values[:, model.parameters.index(column)] = patients[column].to_numpy(np.float64)
    return values


def _events(model: OdeSystem, labels: pd.Index, doses: pd.DataFrame | None) -> list[list[Event]]:
    """Events of each patient."""
    events: list[list[Event]] = [[] for _ in range(len(labels))]
    if doses is None:
        return events
    table = doses.rename(columns={old: new for new, old in DOSE_COLUMNS.items()})
    for needed in ("time", "state", "amount"):
        if needed not in table:
            raise InputError(f"the table of doses lacks the column '{needed}'")
    for row in table.to_dict("records"):
        if row["state"] not in model.states:
            raise UnknownNameError(
                f"'{row['state']}' is no state of model '{model.name}'",
                remedy=near_matches(str(row["state"]), model.states),
            )
        own = row.get("patient")
        if own is not None and own not in labels:
            raise UnknownNameError(f"a dose is for patient '{own}', who is not in the table")
        everybody = list(range(len(labels)))
        rows = everybody if own is None else [int(labels.get_indexer(pd.Index([own]))[0])]
        time, amount = float(row["time"]), float(row["amount"])
        duration = float(row.get("duration") or 0.0)
        if duration > 0:
            rate = amount / duration
            new = [
                Event(time, Action.RATE, row["state"], rate),
                Event(time + duration, Action.RATE, row["state"], -rate),
            ]
        else:
            new = [Event(time, Action.ADD, row["state"], amount)]
        for i in rows:
            events[i].extend(new)
    return events

"""Regimens to events of the engine: for one patient, and quickly for a whole arm.

A dose is put into the state of its route: at once (ADD), or at a constant rate over the infusion
or the zero-order input of the route (a pair of RATE). Bioavailability multiplies the amount.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, RangeError, ShapeError
from immunostat.base.units import convert
from immunostat.engine.problem import Action, Event, Schedule
from immunostat.model.system import OdeSystem
from immunostat.therapy.drug import Drug
from immunostat.therapy.regimen import SAME_TIME_DAY, DoseEvent, Regimen

FloatArray = npt.NDArray[np.float64]

#: Bioavailability of patients by drug and route; shape (patient,) or one number for all.
Bioavailability = Mapping[tuple[str, str], FloatArray | float]


@dataclass(frozen=True)
class _Action:
    """One event of an arm: the amount is `amount` nmol (per kg), over `over_day` if not zero.

    `given` is the time at which the dose is taken, which a lag or the end of an infusion follows.
    """

    time: float
    dose: int
    target: str
    over_day: float
    sign: float
    given: float


@dataclass(frozen=True)
class _Dose:
    """What one dose means inside: nmol, nmol per kg or nmol per m^2, and its cap in nmol."""

    amount: float
    per: str
    maximum: float
    drug: str
    route: str
    fraction: float


def _in_nmol(drug: Drug, event: DoseEvent, regimen: Regimen) -> _Dose:
    if event.unit.endswith("IU"):
        if drug.iu_per_nmol is None:
            raise InputError(
                f"doses of {drug.name} in IU cannot be turned into an amount",
                regimen.place,
                "write the dose as a mass, for example 'mg', or give the card a specific_activity",
            )
        per_unit = convert(1.0, event.unit, "IU", what="dose") / drug.iu_per_nmol
    else:
        per_unit = convert(
            1.0, event.unit, "nmol", molar_mass=drug.molar_mass, what="dose", place=regimen.place
        )
    maximum = np.inf if event.maximum is None else event.maximum * per_unit
    bioavailability = drug.routes[event.route].bioavailability
    fraction = 1.0 if bioavailability is None else bioavailability.value
    per = "kg" if event.per_kg else "m2" if event.per_m2 else ""
    return _Dose(event.amount * per_unit, per, maximum, drug.name, event.route, fraction)


def _plan(regimens: Sequence[Regimen], duration_day: float) -> tuple[list[_Action], list[_Dose]]:
    """Events of all regimens in order of time, and the doses that they belong to.

    At equal time an infusion ends before another begins, so that a rate never piles up.
    """
    actions: list[_Action] = []
    doses: list[_Dose] = []
    known: dict[tuple[object, ...], int] = {}
    for regimen in regimens:
        drug = regimen.drug
        if drug.pk is None:
            continue
        for event in regimen.doses(duration_day):
            route = drug.routes[event.route]
            per = (event.per_kg, event.per_m2)
            key = (drug.name, event.route, event.amount, event.unit, *per, event.maximum)
            if key not in known:
                known[key] = len(doses)
                doses.append(_in_nmol(drug, event, regimen))
            state, over = drug.state(event.route), event.infusion_day or route.over_day
            start = event.time_day + route.lag_day
            given = event.time_day
            actions.append(_Action(start, known[key], state, over, 1.0, given))
            if over:
                actions.append(_Action(start + over, known[key], state, over, -1.0, given))
    return sorted(actions, key=lambda action: (action.time, action.sign)), doses


def _amounts(
    doses: Sequence[_Dose],
    weight_kg: FloatArray,
    bioavailability: Bioavailability,
    bsa_m2: FloatArray | None,
) -> FloatArray:
    """What arrives of each dose in each patient. Shape (patient, dose), nmol."""
    if bsa_m2 is None and any(dose.per == "m2" for dose in doses):
        raise InputError(
            "doses per m2 need the body surface of patients, which this population lacks",
            remedy="add the covariate 'bsa' to the population, or write the dose in mg or mg/kg",
        )
    sizes: dict[str, FloatArray | float] = {
        "": 1.0,
        "kg": weight_kg,
        "m2": 1.0 if bsa_m2 is None else bsa_m2,
    }
    if not np.all(np.isfinite(weight_kg)) or np.any(weight_kg <= 0):
        first = int(np.flatnonzero(~(np.isfinite(weight_kg) & (weight_kg > 0)))[0])
        raise RangeError(
            f"weight of patient {first} is {weight_kg[first]:g} kg; weights are above 0"
        )
    amounts = np.empty((len(weight_kg), len(doses)))
    for i, dose in enumerate(doses):
        given = np.minimum(dose.amount * sizes[dose.per], dose.maximum)
        fraction = bioavailability.get((dose.drug, dose.route), dose.fraction)
        if np.ndim(fraction) and np.shape(fraction) != weight_kg.shape:
            raise ShapeError(
                f"bioavailability of {dose.drug} has shape {np.shape(fraction)}; "
                f"expected {weight_kg.shape}"
            )
        amounts[:, i] = given * fraction
    return amounts


def events(
    regimens: Sequence[Regimen],
    duration_day: float,
    weight_kg: float,
    bioavailability: Bioavailability | None = None,
    bsa_m2: float | None = None,
) -> list[Event]:
    """Events of one patient, ascending in time.

    Parameters
    ----------
    regimens
        What the patient takes; drugs without kinetics are left out.
    duration_day
        Doses that start before this are given, day.
    weight_kg
        Body weight.
    bioavailability
        By drug and route; the typical value of the route where missing.

    Returns
    -------
    Amounts in nmol, rates in nmol/day; targets are states named ``<drug>_<state>``.

    Raises
    ------
    RangeError
        The weight is not above 0.
    UnitError
        A dose has a unit that does not convert to nmol.
    """
    actions, doses = _plan(regimens, duration_day)
    surface = None if bsa_m2 is None else np.array([bsa_m2], dtype=np.float64)
    weight = np.array([weight_kg], dtype=np.float64)
    amounts = _amounts(doses, weight, bioavailability or {}, surface)[0]
    return [
        Event(a.time, Action.RATE, a.target, float(a.sign * amounts[a.dose] / a.over_day))
        if a.over_day
        else Event(a.time, Action.ADD, a.target, float(amounts[a.dose]))
        for a in actions
    ]


def schedule_for(
    system: OdeSystem,
    regimens: Sequence[Regimen],
    duration_day: float,
    weight_kg: FloatArray,
    bioavailability: Bioavailability | None = None,
    bsa_m2: FloatArray | None = None,
) -> Schedule:
    """Events of all patients of an arm: equal times, amounts by weight and bioavailability.

    Parameters
    ----------
    system
        The composed model; must hold the states ``<drug>_<state>`` of every drug with kinetics.
    regimens
        What all patients of the arm take.
    duration_day
        Doses that start before this are given, day.
    weight_kg
        Shape (patient,).
    bioavailability
        By drug and route, shape (patient,) or one number; the typical value where missing.
    bsa_m2
        Body surface, needed by doses per m^2. Shape (patient,).

    Raises
    ------
    InputError
        The model lacks the state of a drug.
    RangeError
        A weight is not above 0; the message names the patient.
    """
    actions, doses = _plan(regimens, duration_day)
    n_patients, n_events = len(weight_kg), len(actions)
    index = {name: i for i, name in enumerate(system.states)}
    missing = sorted({action.target for action in actions} - index.keys())
    if missing:
        raise InputError(
            f"model '{system.name}' has no state {', '.join(missing)} to receive the doses",
            remedy="compose the model with the drugs of the arm",
        )
    weight = np.asarray(weight_kg, dtype=np.float64)
    amounts = _amounts(doses, weight, bioavailability or {}, bsa_m2)
    scale = np.array([a.sign / a.over_day if a.over_day else 1.0 for a in actions])
    values = amounts[:, [action.dose for action in actions]] * scale
    kinds = [int(Action.RATE if action.over_day else Action.ADD) for action in actions]

    def repeated(row: Sequence[float] | Sequence[int], kind: type) -> npt.NDArray[np.generic]:
        return np.tile(np.array(row, dtype=kind), n_patients)

    return Schedule(
        np.arange(n_patients + 1, dtype=np.int64) * n_events,
        repeated([action.time for action in actions], np.float64),  # type: ignore[arg-type]
        repeated(kinds, np.int64),  # type: ignore[arg-type]
        repeated([index[action.target] for action in actions], np.int64),  # type: ignore[arg-type]
        np.ascontiguousarray(values).reshape(-1),
    )


@dataclass(frozen=True)
class DoseWindow:
    """Events of the doses that start in a window, for patients who share a regimen.

    Parameters
    ----------
    times
        Ascending; some may lie after the window: the end of an infusion, a lagged start. Shape
        (event,), day.
    actions, targets
        `Action` and index of the state. Shape (event,).
    values
        Shape (patient, event).
    n_doses
        Number of doses that start in the window.
    """

    times: FloatArray
    actions: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    values: FloatArray
    n_doses: int


def doses_in_window(
    system: OdeSystem,
    regimen: Regimen,
    origin_day: float,
    window: tuple[float, float],
    weight_kg: FloatArray,
    bioavailability: Bioavailability | None = None,
    bsa_m2: FloatArray | None = None,
) -> DoseWindow:
    """Events of the doses of a regimen that start within a window.

    Parameters
    ----------
    origin_day
        Day of the trial on which the regimen's time is 0.
    window
        First day, which is inside, and end, which is not.
    weight_kg, bioavailability, bsa_m2
        See `schedule_for`.
    """
    index = {name: i for i, name in enumerate(system.states)}
    first, end = (day - origin_day for day in window)
    actions, doses = _plan([regimen], end)
    inside = [action for action in actions if action.given >= first - SAME_TIME_DAY]
    amounts = _amounts(doses, np.asarray(weight_kg, np.float64), bioavailability or {}, bsa_m2)
    scale = np.array([a.sign / a.over_day if a.over_day else 1.0 for a in inside])
    return DoseWindow(
        np.array([max(a.time + origin_day, window[0]) for a in inside], dtype=np.float64),
        np.array([int(Action.RATE if a.over_day else Action.ADD) for a in inside], dtype=np.int64),
        np.array([index[a.target] for a in inside], dtype=np.int64),
        np.ascontiguousarray(amounts[:, [a.dose for a in inside]] * scale),
        len({action.given for action in inside}),
    )

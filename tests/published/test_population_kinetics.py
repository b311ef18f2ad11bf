"""Cards against the equations of their publications, written out again and solved by SciPy.

Numbers are those of the publications, in their own units, as encoded in the public model library
nlmixr2lib (file of the same name); each is of a patient without random effects.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from immunostat.base.units import convert
from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.kinetic_people import People, concentrations, kinetic_system
from immunostat.therapy.grammar import parse_regimen

CATALOG = packaged_catalog()
Floats = np.ndarray


def predicted(name: str, line: str, times_day: Floats, covariates: dict[str, float]) -> Floats:
    """Concentration of one patient without random effects by the card, mg/L."""
    drug = CATALOG.drug(name)
    columns = {key: np.array([value]) for key, value in covariates.items()}
    own = drug.pk.individual(columns, np.zeros((1, len(drug.pk.parameters))))
    people = People(
        drug,
        kinetic_system(CATALOG, drug),
        pd.DataFrame(columns),
        {f"{drug.prefix}_{key}": values for key, values in own.items()},
        {},
    )
    regimen = parse_regimen(f"{name} {line}", lambda _: drug)
    course = concentrations(people, regimen, float(times_day[-1]) + 1, times_day, threads=1)
    assert course.is_ok.all()
    per_mass = convert(1.0, "mg/L", "nmol/L", molar_mass=drug.pk.molar_mass)
    return course.values[0, :, 0] / per_mass


def solved(
    rates: Callable[[float, Floats], list[float]],
    n_states: int,
    doses: list[tuple[float, float, int, float]],
    times: Floats,
) -> Floats:
    """States at `times`; a dose is when, how much, into which state, over how long (0 at once)."""
    breaks = {0.0, float(times[-1])}
    for start, _, _, span in doses:
        breaks |= {start, start + span}
    edges = sorted(edge for edge in breaks if edge <= times[-1])
    states, found = np.zeros(n_states), np.zeros((n_states, len(times)))
    for left, right in pairwise(edges):
        running = np.zeros(n_states)
        for start, amount, into, span in doses:
            if span == 0 and start == left:
                states[into] += amount
            elif start <= left < start + span:
                running[into] += amount / span

        def slope(t: float, y: Floats, running: Floats = running) -> Floats:
            return np.asarray(rates(t, y)) + running

        inside = (times > left) & (times <= right)
        part = solve_ivp(
            slope, (left, right), states, "LSODA", dense_output=True, rtol=1e-9, atol=1e-12
        )
        if inside.any():
            found[:, inside] = part.sol(times[inside])
        states = part.y[:, -1].copy()
    return found


#: The solver of the engine keeps 1e-5 a step, over some hundred steps.
RELATIVE = 2e-3


@pytest.mark.parametrize("dose_mg_kg", [16.0, 4.0, 1.0])
@pytest.mark.parametrize(
    ("weight", "albumin", "female", "igg"), [(78.6, 37.0, 0.0, 0.0), (61.0, 33.0, 1.0, 1.0)]
)
def test_daratumumab_is_the_model_of_xu_2020(dose_mg_kg, weight, albumin, female, igg):
    """Linear and Michaelis-Menten elimination; the maximum of the second fades. Time in hours."""
    clearance = 0.00485 * (weight / 78.6) ** 0.451 * (albumin / 37) ** -1.149 * (1 + 0.806 * igg)
    central = 4.09 * (weight / 78.6) ** 0.375 * (1 - 0.205 * female)
    between, peripheral = 0.0642, 3.06

    def rates(t: float, y: Floats) -> list[float]:
        c, p = y[0] / central, y[1] / peripheral
        saturable = 2.08 * np.exp(-0.0013 * t) * c / (0.93 + c)
        return [-clearance * c - saturable - between * (c - p), between * (c - p)]

    weeks = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12]
    doses = [(week * 168.0, dose_mg_kg * weight, 0, 4.0) for week in weeks]
    times = np.arange(12.0, 12 * 168 + 300.0, 12.0)
    published = solved(rates, 2, doses, times)[0] / central
    line = f"{dose_mg_kg:g} mg/kg intravenous over 4 hours at weeks {', '.join(map(str, weeks))}"
    covariates = {"weight": weight, "albumin": albumin, "female": female, "igg_myeloma": igg}
    own = predicted("daratumumab", line, times / 24, covariates)
    # below 1e-3 mg/L no assay reads; the time on treatment of the card stands still far below that
    assert np.allclose(own, published, rtol=RELATIVE, atol=1e-3)

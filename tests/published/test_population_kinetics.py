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


@pytest.mark.parametrize(("dose_mg", "hematocrit"), [(2.0, 0.351), (40.0, 0.28)])
def test_sirolimus_is_the_model_of_wu_2012(dose_mg, hematocrit):
    """Absorption that saturates, two compartments. Time in hours."""
    clearance = 12.9 * (0.351 / hematocrit) ** 0.14

    def rates(t: float, y: Floats) -> list[float]:
        c, p = y[1] / 53.4, y[2] / 611.0
        absorbed = 4.56 * y[0] / (13.8 + y[0])
        return [-absorbed, absorbed - clearance * c - 29.0 * (c - p), 29.0 * (c - p)]

    days = list(range(6))
    times = np.arange(1.0, 200.0, 3.0)
    published = solved(rates, 3, [(24.0 * day, dose_mg, 0, 0.0) for day in days], times)[1] / 53.4
    line = f"{dose_mg:g} mg oral at days {', '.join(map(str, days))}"
    own = predicted("sirolimus", line, times / 24, {"hematocrit": hematocrit})
    assert np.allclose(own, published, rtol=RELATIVE, atol=1e-6)


def test_anakinra_binds_its_receptor_as_in_jung_2023():
    """Quasi-steady binding to a constant receptor; free drug. The absorption rate is the card's."""
    total_receptor, half, loss = 1.67483, 1.391, 0.206
    clearance, central = 9.02825, 53.6953

    def free(amount: Floats) -> Floats:
        excess = amount / central - total_receptor - half
        return 0.5 * (excess + np.sqrt(excess**2 + 4 * half * amount / central))

    def rates(t: float, y: Floats) -> list[float]:
        c = float(free(y[1]))
        bound = loss * total_receptor * c * central / (half + c)
        return [-0.458 * y[0], 0.458 * y[0] - clearance * c - bound]

    times = np.arange(0.5, 72.0, 0.5)
    per_mg = convert(1.0, "mg", "nmol", molar_mass=CATALOG.drug("anakinra").pk.molar_mass)
    doses = [(0.0, 100.0 * per_mg, 0, 0.0), (24.0, 100.0 * per_mg, 0, 0.0)]
    published = free(solved(rates, 2, doses, times)[1]) / per_mg
    # of a body weight and a renal function at which the card's factors are 1
    covariates = {"weight": 70.0, "creatinine_clearance": 104.5}
    own = predicted("anakinra", "100 mg subcutaneous at days 0, 1", times / 24, covariates)
    assert np.allclose(own, published, rtol=RELATIVE, atol=1e-6)


def test_belimumab_is_the_model_of_zhou_2021():
    """Two compartments, a woman of 38 years, lean mass 36 kg, albumin 35 and IgG 18 g/L. Days."""
    clearance = 0.238 * (36 / 40.69) ** 0.673 * (35 / 40) ** -1.12 * (18 / 14.8) ** 0.293
    central = 2.597 * (36 / 40.69) ** 0.891 * 38 / (38 + 1.58)

    def rates(t: float, y: Floats) -> list[float]:
        c, p = y[0] / central, y[1] / 2.318
        return [-clearance * c - 0.591 * (c - p), 0.591 * (c - p)]

    times = np.arange(0.25, 120.0, 0.5)
    doses = [(day, 600.0, 0, 1 / 24) for day in (0.0, 14.0, 28.0, 56.0, 84.0)]
    published = solved(rates, 2, doses, times)[0] / central
    covariates = {"fat_free_mass": 36.0, "albumin": 35.0, "immunoglobulin_g": 18.0}
    line = "600 mg intravenous over 1 hour at weeks 0, 2, 4, 8, 12"
    own = predicted("belimumab", line, times, covariates)
    assert np.allclose(own, published, rtol=RELATIVE, atol=1e-6)

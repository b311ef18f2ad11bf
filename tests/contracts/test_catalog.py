"""Laws that the card of every drug keeps, and every kinetic fragment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from immunostat.base.errors import ImmunostatError
from immunostat.catalog.cards import all_facts
from immunostat.catalog.check import check_card
from immunostat.catalog.lookup import packaged_catalog
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.study import kinetic_people
from immunostat.study.cohort import parameter_table
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.schedule import schedule_for

CATALOG = packaged_catalog()


def _with_kinetics() -> list[str]:
    names = []
    for name in CATALOG.drugs():
        try:
            if CATALOG.drug(name).pk is not None:
                names.append(name)
        except ImmunostatError:  # test_a_card_is_sound says what is wrong
            continue
    return names


DRUGS = CATALOG.drugs()
KINETIC = _with_kinetics()
JOINED = [name for name in KINETIC if CATALOG.drug(name).pk.fragments]

#: Fragments that are linear in the amounts.
LINEAR = {
    "first_order_absorption",
    "transit_absorption",
    "prodrug",
    "central",
    "peripheral",
    "second_peripheral",
    "linear_elimination",
    "active_metabolite",
}
#: States that hold no amount of the drug itself.
NOT_AMOUNTS = {"treatment_time", "fading_time", "enzyme", "target", "metabolite"}


def people_of(name: str, n: int = 4) -> kinetic_people.People:
    return kinetic_people.draw_people(CATALOG, CATALOG.drug(name), "adults", n, 3)


def first_regimen(name: str):
    drug = CATALOG.drug(name)
    if drug.regimens:
        return parse_regimen(f"{name} label", lambda _: drug, next(iter(drug.regimens)))
    return parse_regimen(f"{name} 10 mg {next(iter(drug.routes))} daily", lambda _: drug)


@pytest.mark.parametrize("name", DRUGS)
def test_a_card_is_sound(name):
    """Units, sources, targets, actions, regimens, parameters of the fragments, unknown keys."""
    assert [str(problem) for problem in check_card(CATALOG, "drugs", name)] == []


@pytest.mark.parametrize("name", CATALOG.targets())
def test_a_target_is_sound(name):
    assert [str(problem) for problem in check_card(CATALOG, "targets", name)] == []


@pytest.mark.parametrize("name", DRUGS)
def test_every_value_has_evidence_and_a_source_or_a_reason(name):
    for path, fact in all_facts(CATALOG.drug_card(name)):
        assert fact.evidence, path
        assert (fact.source and fact.where) or fact.because, path
        # what was not read in a source cannot be checked
        assert fact.source or not fact.checked, path


@pytest.mark.parametrize("name", DRUGS)
def test_labelled_regimens_expand_to_doses(name):
    drug = CATALOG.drug(name)
    for situation in drug.regimens:
        regimen = parse_regimen(f"{name} label", lambda _: drug, situation)
        doses = regimen.doses(365.0)
        assert doses, situation
        assert all(dose.amount > 0 for dose in doses)
        times = [dose.time_day for dose in doses]
        assert times == sorted(times)
        again = parse_regimen(regimen.words(), lambda _: drug).doses(365.0)
        assert [dose.time_day for dose in again] == pytest.approx(times)
        assert [dose.amount for dose in again] == [dose.amount for dose in doses]


def right_hand_side(system, parameters, states):
    """Rates and assignments at one point, evaluated by substitution; names to numbers."""
    values = {"time": 1.0, **dict(zip(system.parameters, parameters, strict=True)), **states}
    for key, expression in (*system.derived_parameters, *system.assignments):
        values[key] = float(expression.subs(values))
    rates = [float(rate.subs(values)) for rate in system.rates]
    return dict(zip(system.states, rates, strict=True)), values


@pytest.mark.parametrize("name", JOINED)
def test_what_comes_in_is_in_the_body_or_eliminated(name):
    people = people_of(name, 1)
    system, prefix = people.system, people.drug.prefix
    parameters = parameter_table(system, dict(people.parameters), 1)[0]
    random = np.random.default_rng(5)
    states = {state: float(random.uniform(10, 1000)) for state in system.states}
    rates, values = right_hand_side(system, parameters, states)
    own = {state.removeprefix(f"{prefix}_"): rate for state, rate in rates.items()}
    change = sum(rate for state, rate in own.items() if state not in NOT_AMOUNTS)
    out = values[f"{prefix}_elimination"]
    if "prodrug" in own:
        rate = values[f"{prefix}_conversion_rate"] * states[f"{prefix}_prodrug"]
        out += (1 - values[f"{prefix}_conversion_fraction"]) * rate
    scale = max(abs(rate) for rate in own.values())
    # 1e-9: sums of numbers of this size in double precision
    assert change + out == pytest.approx(0.0, abs=1e-9 * scale)
    assert out >= 0


@pytest.mark.parametrize("name", KINETIC)
def test_every_parameter_of_the_card_is_in_the_model_and_the_other_way_round(name):
    drug = CATALOG.drug(name)
    system = kinetic_people.kinetic_system(CATALOG, drug)
    own = {f"{drug.prefix}_{parameter}" for parameter in drug.pk.parameters}
    assert own <= set(system.parameters)
    if drug.pk.fragments:
        # what fragments share and no card sets
        assert set(system.parameters) - own <= {f"{drug.prefix}_clearance_factor"}


@pytest.mark.parametrize("name", KINETIC)
def test_concentrations_are_positive_and_nobody_fails(name):
    people = people_of(name, 16)
    regimen = first_regimen(name)
    times = np.linspace(0.0, 84.0, 337)
    found = kinetic_people.concentrations(people, regimen, 56.0, times, threads=1)
    assert found.is_ok.all()
    course = found.values[:, :, 0]
    # 1e-6 of the peak: what the tolerance of the solver leaves below zero
    assert course.min() >= -1e-6 * course.max()
    assert (course.max(axis=1) > 0).all()


@pytest.mark.parametrize(
    "name", [name for name in JOINED if set(CATALOG.drug(name).pk.fragments) <= LINEAR]
)
def test_doses_of_a_linear_drug_add_up(name):
    people = people_of(name)
    regimen = kinetic_people.single_dose(first_regimen(name))
    first = regimen.phases[0]
    start = first.at_day[0]
    later = replace(first, at_day=(start + 3.0,))
    both = replace(first, at_day=(start, start + 3.0))
    times = start + np.linspace(0.0, 20.0, 121)

    def course(phase):
        own = replace(regimen, phases=(phase,))
        return kinetic_people.concentrations(people, own, start + 4.0, times, threads=1).values

    one, other, together = course(first), course(later), course(both)
    # 2e-4 of the peak: three solutions, each with a relative tolerance of 1e-5 a step
    assert np.allclose(one + other, together, rtol=0, atol=2e-4 * together.max())


def representatives() -> list[str]:
    """Fewest drugs, in order of the catalog, that use every fragment."""
    seen: set[str] = set()
    chosen = []
    for name in JOINED:
        new = set(CATALOG.drug(name).pk.fragments) - seen
        if new:
            chosen.append(name)
            seen |= new
    return chosen


@pytest.mark.parametrize("name", representatives())
def test_every_fragment_agrees_with_the_reference_solver(name):
    people = people_of(name, 2)
    regimen = first_regimen(name)
    times = np.linspace(0.0, 30.0, 61)
    system = people.system
    schedule = schedule_for(
        system, [regimen], 20.0, people.weight_kg, people.bioavailability, people.bsa_m2
    )
    output = f"{people.drug.prefix}_{people.drug.pk.concentration}"
    parameters = parameter_table(system, dict(people.parameters), 2)
    problem = EnsembleProblem(system, parameters, schedule, times, (output,))
    tight = Tolerance(1e-8, 1e-10)
    fast = solve(problem, tolerance=tight, threads=1).values
    slow = solve(problem, method="cvode", tolerance=tight).values
    # two solvers at 1e-8 a step, over some hundred steps
    assert np.allclose(fast, slow, rtol=1e-4, atol=1e-5 * slow.max())


def test_an_oral_dose_in_one_compartment_is_the_textbook_formula():
    """Bateman's function: the joined fragments against the closed form."""
    name = next(
        n
        for n in JOINED
        if set(CATALOG.drug(n).pk.fragments)
        == {"first_order_absorption", "central", "linear_elimination"}
    )
    people = people_of(name, 1)
    system, prefix = people.system, people.drug.prefix
    parameters = parameter_table(system, dict(people.parameters), 1)
    own = dict(zip(system.parameters, parameters[0], strict=True))
    ka, volume = own[f"{prefix}_absorption_rate"], own[f"{prefix}_central_volume"]
    k = own[f"{prefix}_clearance"] / volume
    times = np.linspace(0.0, 4.0 / k, 50)
    initial = np.zeros((1, system.n_states))
    initial[0, system.states.index(f"{prefix}_depot")] = 1000.0
    problem = EnsembleProblem(
        system,
        parameters,
        Schedule.empty(1),
        times,
        (f"{prefix}_concentration",),
        initial_states=initial,
    )
    found = solve(problem, tolerance=Tolerance(1e-9, 1e-11), threads=1).values[0, :, 0]
    exact = 1000.0 * ka / (volume * (ka - k)) * (np.exp(-k * times) - np.exp(-ka * times))
    # 1e-6: the tolerance of a step times the number of steps
    assert np.allclose(found, exact, rtol=1e-6, atol=1e-6 * exact.max())

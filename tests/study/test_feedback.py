"""Situations that act back on the core: run-in, joint steady state, start values of a patient.

The core and the situations here are small inventions, so that scipy can solve the same equations.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from immunostat.base.errors import InputError
from immunostat.catalog.check import check_card
from immunostat.catalog.lookup import Catalog, data_folder
from immunostat.study.cohort import draw_cohort, intake, redraw
from immunostat.study.plan import prepare
from immunostat.study.run import run
from immunostat.study.simulation import simulate_cohort
from immunostat.study.study_reader import make_study

CORE = """\
model tiny_core(danger, tnf_binding)
  var danger, tnf_binding, macrophage, neutrophils, tnf_signal;
  danger = 0;  tnf_binding = 0;
  tnf_signal := macrophage/(1 + tnf_binding_partition*tnf_binding);
  macrophage = 1;
  macrophage' = 0.5*(1 + by_danger*danger - macrophage);
  neutrophils = 5;
  neutrophils' = 1.5*(5*tnf_signal - neutrophils);
  by_danger = 0;  tnf_binding_partition = 1;
end
"""

# A pathogen that grows, is killed by neutrophils, and is the danger that macrophages see.
INFECTION = """\
model infection(neutrophils, danger)
  var neutrophils, danger, pathogen;
  neutrophils = 5;
  pathogen = inoculum;
  pathogen' = growth*pathogen*(1 - pathogen/10) - killing*neutrophils*pathogen;
  danger := pathogen/(1 + pathogen);
  inoculum = 0.1;  growth = 1;  killing = 0.1;
end
"""

# A mass that each patient brings with him; `seen` is what he had at entry.
TUMOUR = """\
model tumour(macrophage, danger)
  var macrophage, danger, mass, score;
  macrophage = 1;
  mass = mass_entry;
  mass' = growth*mass;
  danger := mass/100;
  score := mass + 0*danger_entry;
  mass_entry = 1;  growth = 0;  danger_entry = 0;
end
"""

CORE_CARD = """\
name: tiny_core
title: Tiny core
fragment: models/core/tiny_core.ant
module: tiny_core
ports: [danger, tnf_binding]
functions:
  innate: {title: Innate, output: core_macrophage}
  neutrophils: {title: Neutrophils, output: core_neutrophils}
profile_threshold: {value: 0.2, unit: "1", evidence: assumed, because: invented}
parameters:
  by_danger: {value: 2, unit: "1", evidence: assumed, because: invented}
"""

SITUATION = """\
name: NAME
title: Invented
core: tiny_core
fragment: models/situations/MODULE.ant
module: MODULE
ports: [core.SIGNAL, danger]
START
FROM
parameters:
PARAMETERS
components:
  burden: {title: Burden, output: disease_BURDEN, unit: "1", low: 0, high: 1000}
  neutrophils: {title: Neutrophils, output: core_neutrophils, unit: 10^9/L, low: 0, high: 100}
endpoints:
  burden: {title: Burden, kind: value, component: burden}
  cleared: {title: Burden below 0.05, kind: below, component: burden, level: 0.05}
main_endpoint: cleared
course: burden
"""

POPULATION = """\
name: people-NAME
title: Invented
situation: NAME
covariates:
  weight: &w
    distribution: lognormal
    unit: kg
    mean: {value: 75, unit: kg, evidence: assumed, because: invented}
    sd: {value: 15, unit: kg, evidence: assumed, because: invented}
    low: 40
    high: 160
  mass:
    distribution: lognormal
    unit: "1"
    mean: {value: 20, unit: "1", evidence: assumed, because: invented}
    sd: {value: 10, unit: "1", evidence: assumed, because: invented}
    low: 1
    high: 90
"""

FACT = "evidence: assumed, because: invented"
RUN_IN = (
    f"run_in: {{duration: {{value: 2, unit: day, {FACT}}}, "
    "plausible: [{output: disease_pathogen, minimum: 0.01, because: ill}]}"
)
REST_ALL = f"steady_state: {{of: all, duration: {{value: 2, unit: year, {FACT}}}}}"
REST_CORE = (
    f"steady_state: {{duration: {{value: 1, unit: year, {FACT}}}, "
    "anchors: {disease_danger_entry: core_tnf_signal}}"
)
ENTRY = "entry_state: {anchors: {disease_danger_entry: danger}}"
INFECTION_PARAMETERS = f"""\
  inoculum: {{value: 0.1, unit: "1", {FACT}, spread: {{lognormal_cv: 0.6}}}}
  growth: {{value: 1.2, unit: 1/day, {FACT}}}
  killing: {{value: 0.1, unit: 1/day, {FACT}, spread: {{lognormal_cv: 0.3}}}}"""
TUMOUR_PARAMETERS = f"  growth: {{value: 0.02, unit: 1/day, {FACT}}}"
FROM_MASS = "from_covariates: {disease_mass_entry: mass}"

DAYS = np.array([0.0, 3.5, 7.0])


def write(folder, name, module, start, origin=""):
    """A situation and its population."""
    own = {
        "infection": ("neutrophils", "pathogen", INFECTION_PARAMETERS),
        "tumour": ("macrophage", "mass", TUMOUR_PARAMETERS),
    }[module]
    text = SITUATION.replace("NAME", name, 1).replace("MODULE", module).replace("START", start)
    text = text.replace("SIGNAL", own[0]).replace("BURDEN", own[1]).replace("FROM", origin)
    text = text.replace("PARAMETERS", own[2])
    (folder / "situations" / f"{name}.yaml").write_text(text)
    population = POPULATION.replace("NAME", name)
    (folder / "populations" / f"people-{name}.yaml").write_text(population)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    for kind in ("core", "situations", "populations", "models/core", "models/situations"):
        (folder / kind).mkdir(parents=True)
    (folder / "models/core/tiny_core.ant").write_text(CORE)
    (folder / "models/situations/infection.ant").write_text(INFECTION)
    (folder / "models/situations/tumour.ant").write_text(TUMOUR)
    (folder / "core/tiny_core.yaml").write_text(CORE_CARD)
    write(folder, "acute", "infection", RUN_IN)
    write(folder, "chronic", "infection", REST_ALL)
    write(folder, "held", "tumour", REST_CORE, FROM_MASS)
    write(folder, "entering", "tumour", ENTRY, FROM_MASS)
    write(folder, "bare", "tumour", "", FROM_MASS)
    return folder


@pytest.fixture(scope="module")
def catalog(folder):
    return Catalog(data_folder(), folder)


def planned(catalog, name, **keys):
    lines = {
        "situation": name,
        "population": {"name": f"people-{name}", "seed": 5, "patients": 6},
        "arms": {"untreated": []},
        "duration": "7 days",
        "side_effects": "none",
        **keys,
    }
    return prepare(make_study(lines, catalog), catalog)


def reference(plan, cohort, start_day, times):
    """The equations of the infection by scipy, for each patient. Shape (patient, time, state)."""
    names, found = plan.assembly.system.parameters, []
    for own in cohort.parameters:
        p = SimpleNamespace(**dict(zip(names, own, strict=True)))

        def rates(_, y, p=p):
            macrophage, neutrophils, pathogen = y
            growing = p.disease_growth * pathogen * (1 - pathogen / 10)
            return [
                0.5 * (1 + p.core_by_danger * pathogen / (1 + pathogen) - macrophage),
                1.5 * (5 * macrophage - neutrophils),
                growing - p.disease_killing * neutrophils * pathogen,
            ]

        begin = [1.0, 5.0, p.disease_inoculum]
        span = (start_day, times[-1])
        course = solve_ivp(rates, span, begin, "LSODA", times, rtol=1e-10, atol=1e-12)
        found.append(course.y.T)
    return np.array(found)


def states(plan, cohort):
    """States at entry in the order of `reference`. Shape (patient, state)."""
    order = ("core_macrophage", "core_neutrophils", "disease_pathogen")
    index = [plan.assembly.system.states.index(name) for name in order]
    return cohort.initial_states[:, index]


@pytest.mark.parametrize("name", ["acute", "chronic", "held", "entering", "bare"])
def test_cards_are_valid(catalog, name) -> None:
    assert list(check_card(catalog, "situations", name)) == []


# ---- Feedback -------------------------------------------------------------------------------


def test_the_run_in_and_what_follows_equal_an_independent_solution(catalog) -> None:
    plan = planned(catalog, "acute")
    cohort = draw_cohort(plan.recruitment(1), 6)
    wanted = reference(plan, cohort, -2.0, DAYS)
    np.testing.assert_allclose(states(plan, cohort), wanted[:, 0], rtol=2e-4)
    found = simulate_cohort(plan, cohort, 1)
    neutrophils = found.values("untreated", "core_neutrophils")
    index = np.searchsorted(plan.times, DAYS)
    np.testing.assert_allclose(neutrophils[:, index], wanted[:, :, 1], rtol=2e-3)


def test_the_pathogen_changes_the_core(catalog) -> None:
    plan = planned(catalog, "acute")
    cohort = draw_cohort(plan.recruitment(1), 6)
    macrophage, neutrophils, pathogen = states(plan, cohort).T
    assert len(np.unique(pathogen)) == 6
    assert (macrophage > 1.05).all()
    assert (neutrophils > 5.05).all()


def test_a_port_that_is_driven_also_takes_no_value_of_its_own(catalog) -> None:
    system = planned(catalog, "acute").assembly.system
    assert "danger" not in system.parameters
    assert str(dict(system.assignments)["danger"]) == "disease_danger"
    assert "disease_danger" not in system.parameters


def test_core_and_situation_come_to_rest_together(catalog) -> None:
    plan = planned(catalog, "chronic")
    cohort = draw_cohort(plan.recruitment(1), 6)
    found = simulate_cohort(plan, cohort, 1)
    for output in ("core_neutrophils", "disease_pathogen"):
        course = found.values("untreated", output)
        np.testing.assert_allclose(course, course[:, :1] * np.ones(len(plan.times)), rtol=1e-3)
    wanted = reference(plan, cohort, -730.0, np.array([0.0]))[:, 0]
    np.testing.assert_allclose(states(plan, cohort), wanted, rtol=1e-3, atol=1e-6)


def test_who_is_not_at_rest_is_left_out_with_a_reason(folder) -> None:
    short = f"steady_state: {{of: all, duration: {{value: 3, unit: day, {FACT}}}}}"
    write(folder, "hasty", "infection", short)
    plan = planned(Catalog(data_folder(), folder), "hasty")
    block = intake(plan.recruitment(1), np.arange(8))
    assert block.rejected == {"untreated disease not solved, or not at rest": 8}


# ---- Start values ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["held", "entering", "bare"])
def test_start_values_follow_covariates_of_the_patient(catalog, name) -> None:
    plan = planned(catalog, name)
    cohort = draw_cohort(plan.recruitment(1), 6)
    start = dict(zip(plan.assembly.system.states, cohort.initial_states.T, strict=True))
    mass = cohort.covariates["mass"].to_numpy()
    np.testing.assert_array_equal(start["disease_mass"], mass)
    # `held`: the core has come to rest with the mass that the patient brings.
    macrophage = 1 + 2 * mass / 100 if name == "held" else np.ones(6)
    np.testing.assert_allclose(start["core_macrophage"], macrophage, rtol=1e-4)
    grown = simulate_cohort(plan, cohort, 1).values("untreated", "disease_mass")[:, -1]
    np.testing.assert_allclose(grown, mass * np.exp(0.02 * 7), rtol=1e-3)


def test_anchors_read_the_patient_at_entry(catalog) -> None:
    for name, level in (("held", lambda mass: 1 + 2 * mass / 100), ("entering", lambda m: m / 100)):
        plan = planned(catalog, name)
        cohort = draw_cohort(plan.recruitment(1), 4)
        column = plan.assembly.system.parameters.index("disease_danger_entry")
        mass = cohort.covariates["mass"].to_numpy()
        np.testing.assert_allclose(cohort.parameters[:, column], level(mass), rtol=1e-4)


# ---- A patient is himself -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["acute", "chronic", "held", "entering"])
def test_order_chunks_and_drugs_do_not_change_a_patient(catalog, name) -> None:
    plan = planned(catalog, name)
    recruitment = plan.recruitment(2)
    whole = redraw(recruitment, np.arange(9))
    for numbers in ([8, 2, 5], [5]):
        part = redraw(recruitment, np.array(numbers))
        np.testing.assert_array_equal(part.initial_states, whole.initial_states[numbers])
        np.testing.assert_array_equal(part.parameters, whole.parameters[numbers])
    treated = planned(catalog, name, arms={"a": "etanercept 50 mg subcutaneous every week"})
    other = redraw(treated.recruitment(1), np.arange(9))
    for state in plan.assembly.system.states:
        own = whole.initial_states[:, plan.assembly.system.states.index(state)]
        there = other.initial_states[:, treated.assembly.system.states.index(state)]
        np.testing.assert_array_equal(own, there)


def test_the_activity_profile_compares_with_the_untreated_course(catalog) -> None:
    study = make_study(
        {
            "situation": "acute",
            "population": {"name": "people-acute", "seed": 5, "patients": 8},
            "arms": {"anti-TNF": "etanercept 50 mg subcutaneous every week"},
            "duration": "14 days",
            "side_effects": "none",
        },
        catalog,
    )
    result = run(study, catalog=catalog)
    profile = result.profile.set_index("function")
    # Fewer neutrophils, so more pathogen, so more macrophages than the same patient untreated.
    assert profile.loc["Neutrophils", "direction"] == "suppressed"
    assert profile.loc["Innate", "ratio"] > 1.0
    plan = prepare(study, catalog)
    found = simulate_cohort(plan, draw_cohort(plan.recruitment(1), 8), 1)
    means = [
        np.trapezoid(found.values(arm, "core_neutrophils"), plan.times, axis=1)
        for arm in ("anti-TNF", plan.reference)
    ]
    assert profile.loc["Neutrophils", "ratio"] == pytest.approx(np.median(means[0] / means[1]))


# ---- What makes no sense is refused ---------------------------------------------------------


@pytest.mark.parametrize("name", ["acute", "held", "entering", "bare"])
def test_a_treatment_before_a_disease_that_does_not_rest_is_refused(catalog, name) -> None:
    prior = {
        "regimens": ["etanercept 50 mg subcutaneous every week"],
        "duration": "4 weeks",
        "failed": "cleared",
    }
    with pytest.raises(InputError, match="not at rest") as caught:
        planned(
            catalog,
            name,
            population={"name": f"people-{name}", "seed": 5, "prior": prior},
        )
    assert "leave out 'prior'" in caught.value.remedy


def refused(folder, name, module, start, origin=""):
    write(folder, name, module, start, origin)
    with pytest.raises(InputError) as caught:
        planned(Catalog(data_folder(), folder), name)
    return str(caught.value)


def test_wrong_cards_say_what_is_wrong_and_where(folder) -> None:
    both = RUN_IN + "\n" + REST_ALL
    message = refused(folder, "wrong", "infection", both)
    assert "'steady_state' and 'run_in' both say" in message
    message = refused(folder, "wrong", "tumour", ENTRY, "from_covariates: {disease_mass: mass}")
    assert "'disease_mass' is a state" in message
    assert "wrong.yaml:" in message
    message = refused(folder, "wrong", "tumour", ENTRY, "from_covariates: {disease_mas: mass}")
    assert "did you mean" in message
    message = refused(folder, "wrong", "tumour", ENTRY, "from_covariates: {disease_mass_entry: m}")
    assert "population 'people-wrong' has no covariate 'm'" in message
    anchored = RUN_IN[:-1] + ", anchors: {disease_killing: danger}}"
    message = refused(folder, "wrong", "infection", anchored)
    assert "acts on 'disease_pathogen' before" in message
    assert "trial_states" in message
    own = (folder / "situations" / "acute.yaml").read_text()
    own = own.replace("name: acute", "name: wrong")
    (folder / "situations" / "wrong.yaml").write_text(own.replace(", danger]", ", dangr]"))
    with pytest.raises(InputError, match="no port of core 'tiny_core'") as caught:
        planned(Catalog(data_folder(), folder), "wrong", population={"name": "people-wrong"})
    assert "danger" in caught.value.remedy
    (folder / "situations" / "wrong.yaml").write_text(own.replace("core.neu", "blood.neu"))
    with pytest.raises(InputError, match="is no signal of the core"):
        planned(Catalog(data_folder(), folder), "wrong", population={"name": "people-wrong"})

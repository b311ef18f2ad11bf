"""Multiple myeloma: laws of its equations, published values, and what drugs may do in it."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solution import Status
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.outcomes.myeloma import imwg_response
from immunostat.study.cohort import draw_cohort
from immunostat.study.plan import prepare
from immunostat.study.simulation import schedule_of
from immunostat.study.study_reader import make_study

FRAGMENT = "models/situations/multiple_myeloma.ant"
EARLY = "relapsed-myeloma-early-lines"
DAYS = np.array([0.0, 21.0, 100.0, 200.0, 400.0])


@pytest.fixture(scope="module")
def disease():
    """The module alone, its signals those of health and no drug."""
    text, _ = packaged_catalog().text(FRAGMENT)
    return system_from_sbml(flatten([Fragment(text, FRAGMENT)], "multiple_myeloma"), "myeloma")


#: Without immune killing, clones are alone with each other.
ALONE = {"immune_loss_rate": 0.0, "prior_lines": 0.0, "growth_by_lines": 0.0}


def course(system, *names: str, days=DAYS, **values: float) -> list[np.ndarray]:
    parameters = system.defaults.copy()[None, :]
    for name, value in values.items():
        parameters[:, system.parameters.index(name)] = value
    problem = EnsembleProblem(system, parameters, Schedule.empty(1), np.asarray(days), names)
    found = solve(problem, tolerance=Tolerance(1e-9, 1e-12))
    assert found.is_ok.all()
    return [found[name][0] for name in names]


# ---- Laws of the equations ---------------------------------------------------------------------


def test_untreated_growth_is_logistic(disease) -> None:
    found, *_ = course(disease, "burden", growth_rate=0.01, m_protein_entry=20.0, **ALONE)
    wanted = 150.0 / (1.0 + (150.0 / 20.0 - 1.0) * np.exp(-0.01 * DAYS))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_resistance_to_two_targets_leaves_what_four_independent_clones_would_leave(disease) -> None:
    # Sensitive, resistant, escaping and both, each with its own equation: what they leave together
    # is the product that the equations hold. Far from the largest burden, without protection.
    free = {"burden_maximal": 1e9, "protection_by_marrow": 0.0, "protection_by_regulatory_T": 0.0}
    found, *_ = course(
        disease, "burden", m_protein_entry=30.0, growth_rate=0.01, cereblon_bound=0.5,
        kill_by_cereblon=0.08, resistant_odds=0.25, resistant_left=0.1, cd38_bound=1.0,
        kill_by_cd38=0.03, antibody_odds=1 / 9, escaping_left=0.2, **free, **ALONE,
    )  # fmt: skip
    clones = [
        (0.8 * 0.9, 0.01 - 0.04 - 0.03),
        (0.2 * 0.9, 0.01 - 0.004 - 0.03),
        (0.8 * 0.1, 0.01 - 0.04 - 0.006),
        (0.2 * 0.1, 0.01 - 0.004 - 0.006),
    ]
    wanted = 30.0 * sum(share * np.exp(rate * DAYS) for share, rate in clones)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_under_a_drug_the_myeloma_falls_and_comes_back_as_the_sum_of_two_exponentials(
    disease,
) -> None:
    # The law of resistance in models of M-protein (sensitive cells die, resistant ones grow), here
    # far from the largest burden.
    found, *_ = course(
        disease, "burden", m_protein_entry=1.0, growth_rate=0.01, cereblon_bound=0.5,
        kill_by_cereblon=0.08, resistant_odds=0.02, resistant_left=0.1, burden_maximal=1e9, **ALONE,
    )  # fmt: skip
    share = 0.02 / 1.02
    wanted = (1 - share) * np.exp((0.01 - 0.04) * DAYS) + share * np.exp((0.01 - 0.004) * DAYS)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found[-1] > found.min()


@pytest.mark.parametrize(("not_igg", "half_life"), [(0.0, np.log(2) / 0.033), (1.0, 5.97)])
def test_m_protein_lags_by_the_half_life_of_its_class(disease, not_igg, half_life) -> None:
    # 21 days for IgG, about 6 for IgA: all cells die at once.
    days = [0.0, 1.0, 1.0 + half_life]
    found, *_ = course(
        disease, "m_protein", days=days, not_igg=not_igg, proteasome_bound=1.0,
        kill_by_proteasome=100.0, resistant_odds=1e-12, **ALONE,
    )  # fmt: skip
    assert found[2] / found[1] == pytest.approx(0.5, rel=0.01)


def test_a_blocker_of_fcrn_lowers_igg_m_protein_alone(disease) -> None:
    quiet = {"growth_rate": 0.0, "igg_catabolism": 2.4, **ALONE}
    igg, burden = course(disease, "m_protein", "burden", not_igg=0.0, **quiet)
    other, _ = course(disease, "m_protein", "burden", not_igg=1.0, **quiet)
    assert igg[-1] == pytest.approx(igg[0] / 2.4, rel=1e-4)
    assert other[-1] == pytest.approx(other[0])
    assert burden[-1] == pytest.approx(burden[0])


def test_growth_is_the_published_one_at_entry_whatever_the_immune_system(disease) -> None:
    for NK in (0.3, 1.0, 2.0):
        loss = course(disease, "immune_loss", NK=NK)[0][0]
        growth = course(disease, "growth", NK=NK, immune_loss_entry=loss)[0][0]
        assert growth == pytest.approx(0.0174 * (1 - 26 / 150))


def test_immune_killing_is_that_of_gallaher_at_his_start_values(disease) -> None:
    # BIOMD0000000743 at 4 g/dL, 464 T cells, 227 NK cells and 42 regulatory T cells per uL; our
    # halves are his over the counts of health of the core, rounded to three digits.
    M, Tc, N, Tr = 4.0, 464.0, 227.0, 42.0
    killing = 5 * N / (N + 150) + 5 * Tc / (Tc + 375) + 8 * N / (N + 150) * Tc / (Tc + 375)
    wanted = 0.002 * killing * (1 - 0.5 * M / (M + 3) - 0.5 * Tr / (Tr + 25))
    counts = packaged_catalog().core("immune_core").parameters
    card = packaged_catalog().situation("multiple-myeloma").parameters
    halves = ("half_NK", "half_T", "half_regulatory_T", "half_marrow")
    CD8 = counts["naive_CD8_entry"].value + counts["memory_CD8_entry"].value
    found = course(
        disease, "immune_loss", m_protein_entry=10 * M, CD8_effector=Tc / 1000 / CD8,
        NK=N / 1000 / counts["NK_entry"].value,
        regulatory_T=Tr / 1000 / counts["Treg_entry"].value,
        immune_loss_rate=0.002, **{name: card[name].value for name in halves},
    )[0][0]  # fmt: skip
    assert found == pytest.approx(wanted, rel=2e-3)


@pytest.mark.parametrize(
    ("worse", "values"),
    [
        ("resistant_odds", (0.001, 0.1)),
        ("cereblon_exposed", (0.0, 1.0)),
        ("cereblon_refractory", (0.0, 1.0)),
        ("resistant_left", (0.5, 0.05)),
    ],
)
def test_more_resistance_means_a_shallower_response(disease, worse, values) -> None:
    left = [
        course(disease, "m_protein", cereblon_bound=0.6, kill_by_cereblon=0.1, **{worse: value})[0][
            -1
        ]
        for value in values
    ]
    assert left[0] < left[1]


def test_who_is_refractory_to_one_class_answers_to_another_as_before(disease) -> None:
    drug = {"proteasome_bound": 0.6, "kill_by_proteasome": 0.1}
    other = course(disease, "m_protein", cereblon_refractory=1.0, **drug)[0]
    naive = course(disease, "m_protein", **drug)[0]
    own = course(disease, "m_protein", proteasome_refractory=1.0, **drug)[0]
    np.testing.assert_array_equal(other, naive)
    assert own[-1] > 2 * naive[-1]


def test_an_exposed_typical_patient_has_the_odds_of_the_card(disease) -> None:
    found = course(
        disease, "cereblon_odds", cereblon_exposed=1.0, resistant_odds=0.02,
        resistant_by_exposure=1.5,
    )[0]  # fmt: skip
    assert found[0] == pytest.approx(0.02 * np.exp(1.5))


def test_what_lines_add_to_growth_they_add_to_killing_inside_the_cell_alone(disease) -> None:
    # The slope between the logarithms of growth and killing of Collins 2023, 0.546/0.677.
    slope = packaged_catalog().situation("multiple-myeloma").parameters["killing_by_growth"].value
    assert slope == pytest.approx(0.546 / 0.677, abs=0.005)
    drugs = {
        "cereblon_bound": 0.5,
        "proteasome_bound": 0.5,
        "cd38_bound": 0.5,
        "bcma_cd3_bound": 0.5,
    }
    names = ("by_cereblon", "by_proteasome", "by_cd38", "by_bcma")
    few, many = (
        course(
            disease, *names, days=[0.0, 0.01], prior_lines=lines, lines_reference=1.0,
            growth_by_lines=0.2, killing_by_growth=slope, **drugs,
        )
        for lines in (1.0, 5.0)
    )  # fmt: skip
    ratio = [more[-1] / less[-1] for less, more in zip(few, many, strict=True)]
    np.testing.assert_allclose(ratio[:2], np.exp(0.2 * 4) ** slope, rtol=1e-4)
    np.testing.assert_allclose(ratio[2:], 1.0, rtol=1e-3)


def test_the_effect_of_a_steroid_comes_within_hours_and_fades_in_days(disease) -> None:
    card = packaged_catalog().situation("multiple-myeloma").parameters
    onset, fading = card["glucocorticoid_onset"].value, card["glucocorticoid_fading"].value
    # A biological half-life of 36 to 54 hours.
    assert 36 / 24 < np.log(2) / fading < 54 / 24
    days = np.array([0.0, 0.25, 1.0, 4.0])
    found = course(disease, "glucocorticoid_effect", days=days, glucocorticoid_bound=0.9)[0]
    rate = 0.9 * onset + fading
    np.testing.assert_allclose(found, 0.9 * onset / rate * (1 - np.exp(-rate * days)), rtol=1e-6)
    assert found[1] > 0.4


def test_marrow_and_antigen_follow_the_burden(disease) -> None:
    crowding, antigen, burden = course(
        disease, "marrow_crowding", "foreign_antigen", "burden", growth_rate=0.02, **ALONE
    )
    assert np.all(np.diff(burden) > 0)
    assert np.all(np.diff(crowding) > 0)
    assert np.all(np.diff(antigen) > 0)
    assert crowding[-1] < 1.0


def test_a_sensitive_myeloma_responds_by_the_criteria_and_a_resistant_one_progresses(
    disease,
) -> None:
    visits = np.arange(0.0, 730.0, 28.0)
    rows = [
        course(
            disease, "m_protein", days=visits, cereblon_bound=0.6, kill_by_cereblon=0.1,
            resistant_odds=odds, **ALONE,
        )[0]
        for odds in (1e-4, 50.0)
    ]  # fmt: skip
    category = imwg_response(np.array(rows), 0, 0.5, True)
    assert category[0].max() >= 3
    assert category[1, -1] == -1


# ---- With the core and drugs -------------------------------------------------------------------


class Answer:
    """Courses of some outputs in every arm, in the same patients."""

    def __init__(self, arms: dict[str, list[str]], outputs, days, patients: int = 3):
        study = make_study(
            {
                "title": "test",
                "situation": "multiple-myeloma",
                "population": {"name": EARLY, "patients": patients, "seed": 3},
                "arms": arms,
                "duration": f"{days[-1]:g} days",
                "endpoints": ["ORR", "M-protein"],
                "side_effects": "none",
            },
            packaged_catalog(),
        )
        plan = prepare(study, packaged_catalog())
        cohort = draw_cohort(plan.recruitment(1), patients)
        n_arms = len(plan.arms)
        problem = EnsembleProblem(
            plan.assembly.system,
            np.tile(cohort.parameters, (n_arms, 1)),
            schedule_of(plan, cohort),
            np.asarray(days, dtype=float),
            outputs,
            initial_states=np.tile(cohort.initial_states, (n_arms, 1)),
        )
        self.arms, self.n, self.cohort = list(plan.arms), patients, cohort
        self.found = solve(problem, threads=1)

    def end(self, arm: str, output: str) -> np.ndarray:
        """Last value in each patient. Shape (patient,)."""
        k = self.arms.index(arm)
        return np.asarray(self.found[output][k * self.n : (k + 1) * self.n, -1])


@pytest.mark.slow
def test_a_cereblon_modulator_wakes_t_and_nk_cells_and_calms_monocyte_cytokines() -> None:
    # In health the same is a test of the core (test_immune_core.py).
    outputs = ("core_CD8_effector", "core_NK", "core_tnf", "core_il6")
    arms = {"none": [], "lenalidomide": ["lenalidomide 25 mg oral daily"]}
    found = Answer(arms, outputs, [0.0, 7.25])
    ratio = {
        name: np.median(found.end("lenalidomide", name) / found.end("none", name))
        for name in outputs
    }
    assert ratio["core_CD8_effector"] > 1.05
    assert ratio["core_NK"] > 1.05
    assert ratio["core_tnf"] < 0.95
    assert ratio["core_il6"] < 0.95


@pytest.mark.slow
def test_patients_enter_with_the_counts_of_their_trial() -> None:
    # Counts of health are a covariate times a number, and crowding takes that number back: nearly
    # so in the typical patient, more or less with more or less myeloma.
    outputs = ("core_neutrophils", "core_platelets", "core_hemoglobin")
    found = Answer({"none": []}, outputs, [0.0, 1.0], patients=40)
    for output, covariate in zip(outputs, ("neutrophils", "platelets", "haemoglobin"), strict=True):
        ratio = found.end("none", output) / found.cohort.covariates[covariate].to_numpy(float)
        assert np.median(ratio) == pytest.approx(1.0, abs=0.1), output


#: One drug or two of every target of myeloma, and drugs that the core alone answers to.
DRUGS = {
    "cereblon": ["pomalidomide 4 mg oral daily on days 1-21 of 28"],
    "proteasome": ["bortezomib 1.3 mg/m2 subcutaneous on days 1, 4, 8, 11 of 21"],
    "glucocorticoid": ["dexamethasone 40 mg oral daily on days 1-4, 9-12, 17-20 of 28"],
    "CD38": ["isatuximab 10 mg/kg intravenous over 3 hours at weeks 0, 1, 2, 3 then every 2 weeks"],
    "SLAMF7": ["elotuzumab 10 mg/kg intravenous over 2 hours every 1 week"],
    "BCMA": ["elranatamab 12 mg subcutaneous once then 76 mg every week from day 7"],
    "GPRC5D": ["talquetamab 0.4 mg/kg subcutaneous every 1 week"],
    "IL-6 receptor": ["tocilizumab 8 mg/kg intravenous over 1 hour every 4 weeks"],
    "PD-1": ["pembrolizumab 200 mg intravenous over 30 minutes every 3 weeks"],
    "FcRn": ["efgartigimod 10 mg/kg intravenous over 1 hour every 1 week"],
}


@pytest.mark.slow
def test_every_drug_can_be_given_and_those_of_myeloma_lower_it() -> None:
    outputs = ("disease_burden", "disease_m_protein")
    found = Answer({"none": [], **DRUGS}, outputs, [0.0, 84.0], patients=6)
    assert np.all(found.found.status == Status.OK)
    untreated = found.end("none", "disease_burden")
    for arm in ("cereblon", "proteasome", "glucocorticoid", "CD38", "SLAMF7", "BCMA", "GPRC5D"):
        assert np.median(found.end(arm, "disease_burden") / untreated) < 0.98, arm
    igg = found.end("FcRn", "disease_m_protein") / found.end("none", "disease_m_protein")
    assert igg.min() < 0.7


@pytest.mark.slow
def test_a_steroid_once_a_week_does_more_than_a_seventh_of_a_steroid_every_day() -> None:
    # Its effect outlasts it: the receptor is bound for little more than a seventh of the time.
    arms = {
        "weekly": ["dexamethasone 40 mg oral daily on days 1, 8, 15, 22 of 28"],
        "daily": ["dexamethasone 40 mg oral daily"],
    }
    found = Answer(arms, ("disease_by_glucocorticoid",), [0.0, 28.0])
    weekly, daily = (found.end(arm, "disease_by_glucocorticoid") for arm in arms)
    assert np.all(weekly / daily > 0.4)
    assert np.all(weekly < daily)


@pytest.mark.slow
def test_a_second_drug_leaves_less_myeloma_in_everybody() -> None:
    low = "dexamethasone 40 mg oral daily on days 1, 8, 15, 22 of 28"
    both = ["lenalidomide 25 mg oral daily on days 1-21 of 28", low]
    found = Answer({"one": [low], "two": both}, ("disease_burden",), [0.0, 168.0], patients=20)
    one, two = found.end("one", "disease_burden"), found.end("two", "disease_burden")
    assert np.all(two <= one * 1.001)

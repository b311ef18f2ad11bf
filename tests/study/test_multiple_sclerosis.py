"""Relapsing multiple sclerosis: laws of the module, and what drugs do to it through the core."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import i0

from immunostat.base.errors import InputError
from immunostat.catalog.check import check_card
from immunostat.catalog.lookup import Catalog, data_folder, packaged_catalog
from immunostat.engine.problem import EnsembleProblem
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray
from immunostat.study.candidates import candidate_covariates, candidate_parameters
from immunostat.study.cohort import columns_of, draw_cohort
from immunostat.study.plan import METHOD, prepare
from immunostat.study.simulation import schedule_of
from immunostat.study.study_reader import make_study

CATALOG = packaged_catalog()
CARD = CATALOG.situation("multiple-sclerosis")
ARMS = {
    "placebo": [],
    "interferon": ["interferon-beta-1a 44 ug subcutaneous on days 1, 3, 5 of 7"],
    "natalizumab": ["natalizumab 300 mg intravenous over 1 hour every 4 weeks"],
    "fingolimod": ["fingolimod 0.5 mg oral daily"],
    "ocrelizumab": ["ocrelizumab 300 mg intravenous over 2.5 hours at weeks 0, 2"],
}
READ = (
    *("disease_relapse_hazard", "disease_inflammation", "disease_gd_lesions", "disease_burst"),
    *("disease_lymphocytes", "disease_edss", "core_Th17", "core_NK", "core_antiviral", "core_igg"),
    *("core_memory_B_tissue", "core_crp"),
)


def courses(
    arms: dict[str, list[str]],
    n: int,
    weeks: int,
    read: tuple[str, ...] = READ,
    step: float = 3.5,
    **population: object,
) -> dict[str, dict[str, FloatArray]]:
    """Courses by arm and output, every half week if nothing is said. Each (patient, time)."""
    study = make_study(
        {
            "title": "test",
            "situation": CARD.name,
            "population": {
                "name": "affirm-multiple-sclerosis",
                "patients": n,
                "seed": 3,
                **population,
            },
            "arms": arms,
            "duration": f"{weeks} weeks",
            "visits": "every 12 weeks",
            "endpoints": ["ARR"],
            "side_effects": "none",
        },
        CATALOG,
    )
    plan = prepare(study, CATALOG)
    cohort = draw_cohort(plan.recruitment(None), n)
    times = np.arange(0.0, 7.0 * weeks, step)
    solution = solve(
        EnsembleProblem(
            plan.assembly.system,
            np.tile(cohort.parameters, (len(arms), 1)),
            schedule_of(plan, cohort),
            times,
            read,
            initial_states=np.tile(cohort.initial_states, (len(arms), 1)),
        ),
        method=METHOD,
        tolerance=plan.tolerance,
    )
    assert (np.asarray(solution.status) == 0).all()
    values = solution.values.reshape(len(arms), n, len(times), len(read))
    return {
        arm: {name: values[i, :, :, k] for k, name in enumerate(read)} for i, arm in enumerate(arms)
    }


@pytest.fixture(scope="module")
def two_years() -> dict[str, dict[str, FloatArray]]:
    return courses(ARMS, 12, 48)


def later(arm: dict[str, FloatArray], name: str) -> float:
    """Mean over patients and over time from week 12 on."""
    return float(arm[name][:, 24:].mean())


def test_a_burst_is_one_on_average() -> None:
    """The series of the module is the Bessel function that is the mean of exp(s*sin)."""
    for size in (0.2, 0.6, 1.0):
        series = 1 + size**2 / 4 + size**4 / 64 + size**6 / 2304
        assert series == pytest.approx(i0(size), rel=1e-4)


def test_untreated_inflammation_is_about_one_and_crp_stays_normal(two_years) -> None:
    placebo = two_years["placebo"]
    assert 0.7 < placebo["disease_inflammation"].mean() < 1.4
    assert np.all(placebo["core_crp"] < 3.0)
    swing = placebo["disease_inflammation"]
    assert np.all(swing.max(axis=1) > 1.5 * swing.min(axis=1))  # everybody has bursts


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm != "placebo"])
def test_a_drug_lowers_lesions_more_than_relapses(two_years, arm) -> None:
    placebo, treated = two_years["placebo"], two_years[arm]
    relapses, lesions = (
        later(treated, name) / later(placebo, name)
        for name in ("disease_relapse_hazard", "disease_gd_lesions")
    )
    assert lesions < relapses < 0.9
    assert later(treated, "disease_edss") < later(placebo, "disease_edss")


def test_bursts_are_the_same_in_every_arm(two_years) -> None:
    for arm in two_years.values():
        np.testing.assert_allclose(
            arm["disease_burst"], two_years["placebo"]["disease_burst"], rtol=1e-9
        )


def test_interferon_acts_both_ways(two_years) -> None:
    """It raises the antiviral state and NK cells, and lowers Th17 and relapses."""
    placebo, treated = two_years["placebo"], two_years["interferon"]
    assert later(placebo, "core_antiviral") < 0.01 < 0.3 < later(treated, "core_antiviral")
    assert later(treated, "core_NK") > 1.2 * later(placebo, "core_NK")
    assert later(treated, "core_Th17") < 0.8 * later(placebo, "core_Th17")


def test_depletion_of_B_cells_works_without_a_fall_of_antibody(two_years) -> None:
    placebo, treated = two_years["placebo"], two_years["ocrelizumab"]
    assert later(treated, "core_memory_B_tissue") < 0.2
    assert later(treated, "core_igg") > 0.85 * later(placebo, "core_igg")
    assert later(treated, "disease_relapse_hazard") < 0.5 * later(placebo, "disease_relapse_hazard")


def test_lymphocytes_tell_the_class(two_years) -> None:
    """Blocked entry raises the count in blood, blocked egress halves it or more."""
    counts = {arm: later(own, "disease_lymphocytes") for arm, own in two_years.items()}
    assert counts["natalizumab"] > 1.2 * counts["placebo"]
    assert counts["fingolimod"] < 0.55 * counts["placebo"]


def test_relapses_fall_with_age_as_published() -> None:
    """By 17 % in five years (Tremlett 2008)."""
    card = CARD.parameters["relapse_rate"]
    age = next(effect for effect in card.covariates if effect.covariate == "age")
    assert np.exp(5 * age.effect) == pytest.approx(0.83, abs=0.002)


def test_a_rule_that_asks_for_a_step_of_edss_counts_as_many_relapses_as_published() -> None:
    """Lublin 2014: 84 % of those on placebo, 71 % on natalizumab; within two standard errors."""
    arms = {arm: ARMS[arm] for arm in ("placebo", "natalizumab")}
    every, stepped = (
        courses(arms, 24, 104, ("disease_relapse_hazard",), person={"relapses_counted": share})
        for share in (1.0, 0.84)
    )
    left = {
        arm: stepped[arm]["disease_relapse_hazard"].sum() / own["disease_relapse_hazard"].sum()
        for arm, own in every.items()
    }
    assert left["placebo"] == pytest.approx(0.84, abs=0.02)
    assert left["natalizumab"] == pytest.approx(0.71, abs=2 * np.sqrt(0.71 * 0.29 / 183))
    assert left["natalizumab"] < left["placebo"]


def test_every_relapse_counts_by_the_rule_of_affirm() -> None:
    """Other rules are told relative to it, so that its share is 1 and no drug changes it."""
    counted = {
        name: CATALOG.population(name).covariates["relapses_counted"].mean.value
        for name in CATALOG.populations(CARD.name)
    }
    assert counted["affirm-multiple-sclerosis"] == 1.0
    assert counted["clarity-multiple-sclerosis"] < counted["temso-multiple-sclerosis"] < 1.0


def test_few_patients_of_a_sobol_sequence_have_the_mean_rate_of_many() -> None:
    """A rate differs so much between patients that 256 random ones are 6 % off, 1 SD."""
    population = {"name": "affirm-multiple-sclerosis", "patients": 256, "seed": 1}
    study = make_study(
        {
            "title": "test",
            "situation": CARD.name,
            "population": {**population, "sampling": "sobol"},
            "arms": {"placebo": []},
            "duration": "2 weeks",
            "visits": "every 2 weeks",
            "endpoints": ["ARR"],
            "side_effects": "none",
        },
        CATALOG,
    )
    recruitment = prepare(study, CATALOG).recruitment(None)
    means = []
    for seed in range(4):
        own, numbers = replace(recruitment, seed=seed), np.arange(256)
        covariates, _ = candidate_covariates(own, numbers)
        drawn = candidate_parameters(own, columns_of(covariates), numbers)
        means.append(drawn["disease_relapse_rate"].mean())
    assert np.std(means) / np.mean(means) < 0.03


@pytest.mark.slow
def test_every_class_of_drugs_can_be_given() -> None:
    arms = {
        "peginterferon": ["peginterferon-beta-1a 125 ug subcutaneous every 2 weeks"],
        "interferon-1b": ["interferon-beta-1b 0.25 mg subcutaneous every 2 days"],
        "glatiramer": ["glatiramer 20 mg subcutaneous daily"],
        "siponimod": ["siponimod 2 mg oral daily"],
        "ozanimod": ["ozanimod 0.92 mg oral daily"],
        "ponesimod": ["ponesimod 20 mg oral daily"],
        "teriflunomide": ["teriflunomide 14 mg oral daily"],
        "fumarate": ["dimethyl-fumarate 240 mg oral twice daily"],
        "cladribine": ["cladribine 0.175 mg/kg oral daily on days 1-5 of 28 for 2 cycles"],
        "alemtuzumab": ["alemtuzumab 12 mg intravenous over 4 hours on days 1-5 of 365"],
        "ofatumumab": ["ofatumumab 20 mg subcutaneous at weeks 0, 1, 2 then every 4 weeks"],
        "rituximab": ["rituximab 1000 mg intravenous over 4 hours at weeks 0, 2"],
        "prednisone": ["prednisone 60 mg oral daily for 7 days"],
    }
    found = courses({"placebo": [], **arms}, 3, 24)
    placebo = found.pop("placebo")
    for arm, own in found.items():
        if arm != "prednisone":
            assert later(own, "disease_relapse_hazard") < later(
                placebo, "disease_relapse_hazard"
            ), arm


# ---- populations that are like another ----------------------------------------------------------


def test_a_population_that_is_like_another_says_only_what_differs() -> None:
    base = CATALOG.population("relapsing-multiple-sclerosis")
    own = CATALOG.population("affirm-multiple-sclerosis")
    assert own.situation == base.situation
    assert list(own.covariates) == list(base.covariates)
    assert own.covariates["weight"] == base.covariates["weight"]
    assert own.covariates["edss"].mean.value == 2.3


@pytest.mark.parametrize(
    ("like", "words"),
    [("affirm-multiple-sclerosis", "is itself like"), ("afirm", "no population")],
)
def test_a_population_cannot_be_like_any(tmp_path, like, words) -> None:
    folder = tmp_path / "populations"
    folder.mkdir()
    text = f"name: mine\ntitle: Mine\nlike: {like}\ncovariates: {{}}\n"
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    catalog = Catalog(data_folder(), tmp_path)
    assert any(words in str(error) for error in check_card(catalog, "populations", "mine"))
    with pytest.raises(InputError):
        catalog.population("mine")


# ---- Counts of cells under the drugs of multiple sclerosis, as published ---------------


@pytest.fixture(scope="module")
def half_a_year() -> dict[str, dict[str, FloatArray]]:
    """Cells relative to those before treatment, mean of patients, each week."""
    kinds = ("lymphocytes", "naive_CD4", "naive_CD8", "CD4_count", "CD8_count", "B_count")
    arms: dict[str, list[str]] = {
        "placebo": [],
        "ozanimod": ["ozanimod 0.92 mg oral daily"],
        "fingolimod": ["fingolimod 0.5 mg oral daily"],
        "siponimod": ["siponimod 2 mg oral daily"],
        "ponesimod": ["ponesimod 20 mg oral daily"],
        "fumarate": ["dimethyl-fumarate 240 mg oral twice daily"],
        "cladribine": ["cladribine 0.175 mg/kg oral daily on days 1-5 of 28 for 2 cycles"],
        "ofatumumab": [
            "ofatumumab 20 mg subcutaneous at weeks 0, 1, 2 then every 4 weeks from week 4"
        ],
    }
    found = courses(arms, 6, 24, read=tuple(f"core_{kind}" for kind in kinds), step=7.0)
    return {
        arm: {
            kind: (own[f"core_{kind}"] / own[f"core_{kind}"][:, :1]).mean(axis=0) for kind in kinds
        }
        for arm, own in found.items()
    }


def test_ozanimod_holds_back_cells_with_ccr7_most(half_a_year) -> None:
    """Harris 2020: naive cells down by 90 %, T and B cells by more than half, all by 55 to 65 %."""
    left = {kind: own[-1] for kind, own in half_a_year["ozanimod"].items()}
    assert left["naive_CD4"] == pytest.approx(0.1, abs=0.06)
    assert left["naive_CD8"] == pytest.approx(0.1, abs=0.06)
    assert left["CD4_count"] < left["CD8_count"]
    assert 0.33 < left["lymphocytes"] < 0.47


@pytest.mark.parametrize(
    ("drug", "least", "most"),
    [("fingolimod", 0.2, 0.35), ("siponimod", 0.18, 0.33), ("ponesimod", 0.28, 0.45)],
)
def test_lymphocytes_under_s1p_modulators(half_a_year, drug, least, most) -> None:
    """Labels: 20 to 30 % are left under fingolimod and siponimod, 35 to 40 % under ponesimod."""
    assert least < half_a_year[drug]["lymphocytes"][-1] < most


def test_fumarate_takes_more_cd8_than_cd4_cells(half_a_year) -> None:
    """Spencer 2015: CD4 cells down by 39 %, CD8 cells by 55 % after a year."""
    own = half_a_year["fumarate"]
    assert own["CD4_count"][-1] == pytest.approx(0.61, abs=0.06)
    assert own["CD8_count"][-1] == pytest.approx(0.45, abs=0.1)


def test_cladribine_takes_b_cells_for_a_while(half_a_year) -> None:
    """Congress abstract of CLARITY: down by three quarters to four fifths, back from week 24."""
    b_cells = half_a_year["cladribine"]["B_count"]
    assert b_cells[5:14].mean() == pytest.approx(0.22, abs=0.1)
    assert b_cells[-1] > 0.4
    assert half_a_year["cladribine"]["lymphocytes"][13] > 0.4


def test_ofatumumab_leaves_hardly_a_b_cell(half_a_year) -> None:
    """Nine of ten patients have 10 cells in a microlitre or fewer from week 4 on (ASCLEPIOS)."""
    assert half_a_year["ofatumumab"]["B_count"][4] < 0.06
    assert half_a_year["ofatumumab"]["B_count"][-1] < 0.06


def test_relapses_before_entry_tell_the_rate_as_published() -> None:
    """Held 2005: rates 1.80 and 2.48 times as high after one and two relapses as after none."""
    covariates = CARD.parameters["relapse_rate"].covariates
    own = next(c for c in covariates if c.covariate == "relapses_two_years")
    assert own.reference is not None
    rate = 1 + own.effect * (np.arange(3.0) - own.reference.value)
    np.testing.assert_allclose(rate[1:] / rate[0], np.exp([0.59, 0.91]), rtol=0.1)

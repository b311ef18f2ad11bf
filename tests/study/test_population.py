"""Virtual populations end to end: built, stored, served to a study; a treatment failed before."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.model_cards import ParameterCorrelationCard, SituationCard
from immunostat.cli.app import app
from immunostat.outcomes.endpoints import Observations, evaluate
from immunostat.population.sampling import Sampling
from immunostat.report import population_figures
from immunostat.study.candidates import candidate_covariates, candidate_parameters
from immunostat.study.cohort import draw_cohort, examine, intake, rejections
from immunostat.study.eligibility import eligibility
from immunostat.study.plan import prepare
from immunostat.study.population_build import build_population
from immunostat.study.prior_failure import run_in
from immunostat.study.recruitment import Prior, columns_of
from immunostat.study.screening import ENTRY
from immunostat.study.simulation import simulate_cohort
from immunostat.study.specs import endpoint_spec
from immunostat.study.stored_population import open_population, write_population
from immunostat.study.study_reader import make_study
from immunostat.therapy.grammar import parse_regimen

CATALOG = packaged_catalog()
RA, POPULATION = "rheumatoid-arthritis", "methotrexate-inadequate-response"
ADALIMUMAB = parse_regimen("adalimumab 40 mg subcutaneous every 2 weeks", CATALOG.drug)


@pytest.fixture(scope="module")
def plan():
    study = make_study(
        {
            "situation": RA,
            "population": {"name": POPULATION, "seed": 7},
            "arms": {"placebo": [], "adalimumab": "adalimumab label"},
            "duration": "4 weeks",
            "side_effects": "none",
        }
    )
    return prepare(study, CATALOG)


@pytest.fixture(scope="module")
def recruitment(plan):
    return plan.recruitment(2)


@pytest.fixture(scope="module")
def stored():
    return build_population(RA, size=1500, seed=3, threads=2)


def ages(cohort) -> np.ndarray:
    return cohort.covariates["age"].to_numpy()


# ---- A population ---------------------------------------------------------------------------


def test_targets_are_met_and_most_patients_still_count(stored) -> None:
    card = stored.card
    assert card["within_tolerance"]
    assert stored.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert card["effective_size_of_entered"] >= 0.2 * card["entered"]
    own = stored.weights[stored.entered]
    for target in card["targets"]:
        if target["arm"] or target["column"] not in stored.covariates:
            continue
        table = stored.readouts if target["column"] in stored.readouts else stored.covariates
        mean = np.average(table[target["column"]][stored.entered], weights=own)
        assert abs(mean - target["mean"]) <= target["tolerance"] + 1e-6, target["name"]


def test_only_training_arms_are_targets(stored) -> None:
    held_back = {
        f"{trial.name} {arm.name}"
        for trial in map(CATALOG.trial, CATALOG.trials())
        for arm in trial.arms
        if arm.role != "training"
    }
    named = [own["name"] for own in stored.card["targets"] if own["arm"]]
    # Seven training arms, each with what it prints first of ACR20, ACR50 and ACR70.
    assert len({" ".join(name.split(" of ")[1:]) for name in named}) == 7
    assert not any(arm in name for name in named for arm in held_back)


def test_who_would_not_enter_keeps_the_average_weight(stored) -> None:
    np.testing.assert_allclose(stored.weights[~stored.entered], 1 / 1500, rtol=1e-12)


def test_the_rejection_report_adds_up(stored) -> None:
    report = pd.DataFrame(stored.card["rejections"])
    implausible = report.loc[report["kind"] != ENTRY, "first"].sum()
    assert implausible == stored.card["candidates"] - stored.card["size"]
    assert report["first"].sum() == stored.card["candidates"] - stored.card["entered"]


def test_the_same_command_gives_the_same_version(stored, tmp_path) -> None:
    again = build_population(RA, size=1500, seed=3, threads=1)
    assert again.version == stored.version
    assert open_population(write_population(again, tmp_path / "p")).version == stored.version


def test_weights_that_leave_too_few_are_refused() -> None:
    with pytest.raises(InputError, match="effective sample size") as caught:
        build_population(RA, size=600, seed=3, threads=2, least_effective=0.99)
    assert "larger pool" in str(caught.value)


def test_every_part_of_the_figure_can_be_drawn(stored) -> None:
    for part in ("baseline", "targets", "weights", "rejections", "population"):
        drawn = population_figures.style.svg(getattr(population_figures, part)(stored))
        assert drawn.startswith("<svg"), part


def test_the_command_builds_and_shows(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["population", "build", RA, "--size", "600", "--seed", "3", "-o", "p", "--json"]
    built = CliRunner().invoke(app, words)
    assert built.exit_code == 0, built.output
    card = json.loads(built.stdout)
    shown = CliRunner().invoke(app, ["population", "show", "p", "--csv"])
    assert shown.exit_code == 0, shown.output
    assert len(shown.stdout.splitlines()) == 1 + len(card["targets"])
    assert (tmp_path / "p" / "population.svg").is_file()
    wrong = CliRunner().invoke(app, ["population", "build", RA, "--method", "best"])
    assert wrong.exit_code == 2
    assert "allowed: entropy" in wrong.stderr


# ---- A cohort from it -----------------------------------------------------------------------


def test_a_cohort_of_stored_patients_has_their_covariates_and_parameters(
    stored, recruitment
) -> None:
    cohort = draw_cohort(replace(recruitment, stored=stored), 60)
    rows = np.searchsorted(stored.numbers, cohort.stored_numbers)
    np.testing.assert_array_equal(ages(cohort), stored.covariates["age"].to_numpy()[rows])
    system = recruitment.assembly.system
    for name in stored.parameters:
        own = cohort.parameters[:, system.parameters.index(name)]
        np.testing.assert_array_equal(own, stored.parameters[name].to_numpy()[rows])


def test_candidates_of_stored_patients_do_not_depend_on_the_chunk(stored, recruitment) -> None:
    own = replace(recruitment, stored=stored)
    whole = intake(own, np.arange(200)).cohort
    parts = [intake(own, np.arange(i, i + 50)).cohort for i in range(0, 200, 50)]
    np.testing.assert_array_equal(
        whole.initial_states, np.concatenate([part.initial_states for part in parts])
    )
    np.testing.assert_array_equal(
        whole.stored_numbers, np.concatenate([part.stored_numbers for part in parts])
    )


def test_a_patient_drawn_twice_is_another_candidate(stored, recruitment) -> None:
    few = replace(
        stored, table=stored.table.head(5).assign(prevalence_weight=[0.2] * 5)
    )  # so that all are drawn often
    candidates, _, _ = examine(replace(recruitment, stored=few), np.arange(20))
    same = np.flatnonzero(candidates.stored_numbers == candidates.stored_numbers[0])
    assert len(same) > 1
    names = recruitment.assembly.system.parameters
    kinetics = [i for i, name in enumerate(names) if name.startswith("adalimumab_clearance")]
    assert (np.diff(candidates.parameters[np.ix_(same, kinetics)], axis=0) != 0).any(axis=1).all()
    assert len(np.unique(ages(candidates)[same])) == 1


def test_a_stored_population_of_others_is_refused(stored, recruitment) -> None:
    other = replace(stored, card={**stored.card, "population": "another"})
    with pytest.raises(InputError, match="not 'methotrexate-inadequate-response'"):
        replace(recruitment, stored=other)


# ---- Drawing --------------------------------------------------------------------------------


def test_sobol_candidates_do_not_depend_on_the_chunk(recruitment) -> None:
    own = replace(recruitment, sampling=Sampling.SOBOL)
    whole, _ = candidate_covariates(own, np.arange(100))
    part, _ = candidate_covariates(own, np.arange(60, 80))
    np.testing.assert_array_equal(whole.iloc[60:80].to_numpy(), part.to_numpy())
    first = candidate_parameters(own, columns_of(whole), np.arange(100))
    second = candidate_parameters(own, columns_of(part), np.arange(60, 80))
    for name, values in second.items():
        np.testing.assert_array_equal(first[name][60:80], values)


def with_correlation(situation: SituationCard, *pairs) -> SituationCard:
    cards = [
        ParameterCorrelationCard(of=of, correlation=r, evidence="assumed", because="a test")
        for of, r in pairs
    ]
    return situation.model_copy(update={"parameter_correlations": tuple(cards)})


def test_correlations_of_parameters_are_recovered_and_others_stay(recruitment) -> None:
    numbers = np.arange(20_000)
    covariates, _ = candidate_covariates(recruitment, numbers)
    columns = columns_of(covariates)
    before = candidate_parameters(recruitment, columns, numbers)
    pair = (("driver_tnf", "driver_il6"), -0.5)
    situation = with_correlation(recruitment.situation, pair)
    own = replace(recruitment, situation=situation)
    after = candidate_parameters(own, columns, numbers)
    logs = [np.log(after[f"disease_{name}"]) for name in pair[0]]
    # Three standard errors of a correlation.
    assert np.corrcoef(*logs)[0, 1] == pytest.approx(-0.5, abs=3 / np.sqrt(20_000))
    spread = recruitment.situation.parameters["driver_il6"].spread
    assert logs[1].std() == pytest.approx(np.sqrt(spread.lognormal_variance), rel=0.03)
    for name, values in before.items():
        if name != "disease_driver_il6":
            np.testing.assert_array_equal(after[name], values)


def test_a_correlation_of_an_unknown_parameter_is_refused(recruitment) -> None:
    situation = with_correlation(recruitment.situation, (("driver_tnf", "pain_floor"), 0.5))
    with pytest.raises(InputError, match="'pain_floor', in which patients do not differ"):
        intake(replace(recruitment, situation=situation), np.arange(4))


# ---- Eligibility ----------------------------------------------------------------------------


def asked(recruitment, words):
    condition = eligibility(words, CATALOG, recruitment.situation, recruitment.population)
    return replace(recruitment, eligibility=condition)


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("elderly", lambda c: c["age"] >= 65),
        ("renal-impairment", lambda c: c["creatinine_clearance"] < 60),
        ("low-weight", lambda c: c["weight"] < 60),
        ("high-weight", lambda c: c["weight"] >= 100),
        ("men", lambda c: c["female"] == 0),
    ],
)
def test_a_special_population_holds_those_who_meet_it(recruitment, name, holds) -> None:
    own = intake(asked(recruitment, name), np.arange(400))
    assert len(own.cohort.numbers) > 3
    assert holds(own.cohort.covariates).all()
    # They are those of the whole population, and no others.
    everybody = intake(recruitment, np.arange(400)).cohort
    expected = everybody.numbers[holds(everybody.covariates).to_numpy()]
    np.testing.assert_array_equal(own.cohort.numbers, expected)


def test_a_condition_on_a_readout_looks_at_what_the_visit_records(recruitment) -> None:
    own = intake(asked(recruitment, "CRP >= 30 mg/L"), np.arange(300))
    table = rejections([own]).set_index("reason")
    assert table.loc["does not meet crp >= 30", "first"] > 0
    assert table["first"].sum() == 300 - len(own.cohort.numbers)


def test_a_condition_that_hardly_anybody_meets_is_refused(recruitment) -> None:
    with pytest.raises(InputError, match="candidates may enter") as caught:
        draw_cohort(asked(recruitment, "age >= 84"), 30)
    assert "does not meet age >= 84" in str(caught.value)


# ---- Failure of a prior treatment -----------------------------------------------------------


def failed(recruitment, n=600, washout=0.0, regimen=ADALIMUMAB):
    prior = Prior((regimen,), 84.0, "ACR20", washout)
    candidates, _, _ = examine(recruitment, np.arange(n))
    return candidates, *run_in(recruitment, prior, candidates)


def test_a_drug_without_effect_fails_as_often_as_placebo(recruitment, plan) -> None:
    # A dose of nothing: one picogram.
    nothing = parse_regimen("adalimumab 1e-9 mg subcutaneous every 2 weeks", CATALOG.drug)
    _, _, findings = failed(recruitment, 2000, regimen=nothing)
    began = findings.is_free_of(ENTRY)
    inert = findings.found["responded to adalimumab"][began].mean()

    study = replace(plan.study, duration_day=84.0, visits_day=(0.0, 84.0))
    trial = prepare(study, CATALOG)
    cohort = intake(trial.recruitment(2), np.arange(2000)).cohort
    simulation = simulate_cohort(trial, cohort, 2)
    visits = Observations(np.array([0.0, 84.0]), simulation.visits["placebo"])
    placebo = evaluate(endpoint_spec("ACR20", trial.situation), visits)[:, 1].mean()
    # Three standard errors of the difference of two shares among some 800.
    error = np.sqrt(2 * placebo * (1 - placebo) / len(cohort.numbers))
    assert inert == pytest.approx(placebo, abs=3 * error)


def test_an_effective_drug_fails_less_often(recruitment) -> None:
    nothing = parse_regimen("adalimumab 1e-9 mg subcutaneous every 2 weeks", CATALOG.drug)
    shares = [
        failed(recruitment, regimen=drug)[2].found["responded to adalimumab"].mean()
        for drug in (ADALIMUMAB, nothing)
    ]
    assert shares[0] > shares[1] + 0.1


def test_the_state_goes_on_from_where_the_first_drug_left_it(recruitment) -> None:
    system = recruitment.assembly.system
    index = {name: i for i, name in enumerate(system.states)}
    before, after, _ = failed(recruitment, 100)
    _, washed, _ = failed(recruitment, 100, washout=3650.0)
    drug, synovitis = index["adalimumab_central"], index["disease_synovitis"]
    assert (after.initial_states[:, drug] > 0).all()
    assert (after.initial_states[:, synovitis] < before.initial_states[:, synovitis]).mean() > 0.9
    # What belongs to a trial begins anew; entry levels are the patient's own.
    assert (after.initial_states[:, index["disease_trial_course"]] == 0).all()
    np.testing.assert_array_equal(after.parameters, before.parameters)
    # Ten years later nothing of the drug is left, and the disease rests where it rested:
    # 1e-3, as slow rates of the core are integrated with a relative tolerance of 1e-5.
    assert (washed.initial_states[:, drug] < 1e-6).all()
    np.testing.assert_allclose(
        washed.initial_states[:, synovitis], before.initial_states[:, synovitis], atol=1e-3
    )


def test_responders_are_left_out_and_counted(recruitment) -> None:
    own = replace(recruitment, prior=Prior((ADALIMUMAB,), 84.0))
    block = intake(own, np.arange(400))
    table = rejections([block]).set_index("reason")
    assert table.loc["responded to adalimumab", "first"] > 0
    assert table["first"].sum() == 400 - len(block.cohort.numbers)
    parts = [intake(own, np.arange(i, i + 100)) for i in range(0, 400, 100)]
    np.testing.assert_array_equal(
        block.cohort.initial_states, np.concatenate([p.cohort.initial_states for p in parts])
    )


def test_a_drug_outside_the_model_and_a_number_as_endpoint_are_refused(recruitment) -> None:
    tocilizumab = parse_regimen(
        "tocilizumab 8 mg/kg intravenous over 1 hour every 4 weeks", CATALOG.drug
    )
    with pytest.raises(InputError, match="gives tocilizumab, which the joined model lacks"):
        intake(replace(recruitment, prior=Prior((tocilizumab,), 84.0)), np.arange(4))
    with pytest.raises(InputError, match="failure of 'DAS28-CRP' cannot be told"):
        intake(replace(recruitment, prior=Prior((ADALIMUMAB,), 84.0, "DAS28-CRP")), np.arange(4))
    with pytest.raises(InputError, match="lasts longer than 0"):
        Prior((ADALIMUMAB,), 0.0)

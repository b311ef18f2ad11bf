"""Designs of trials, from study files to conclusions: each with a law behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from immunostat.base.errors import InputError
from immunostat.study.run import Running, run
from immunostat.study.study_reader import make_study, read_study

STUDIES = Path(__file__).parents[2] / "studies"
TOCILIZUMAB = "tocilizumab 4 mg/kg intravenous over 1 hour every 4 weeks"
POPULATION = {"name": "methotrexate-inadequate-response", "patients": 30, "seed": 2}


def answer(arms, **more):
    data = {
        "situation": "rheumatoid-arthritis",
        "population": POPULATION,
        "arms": arms,
        "duration": "8 weeks",
        "endpoints": ["ACR20", "DAS28-CRP", "DAS28-CRP-change"],
        "side_effects": "none",
        **more,
    }
    return run(make_study(data))


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_study_file_reads_back_as_it_was_resolved(file) -> None:
    study = read_study(file)
    again = make_study(study.resolved())
    assert again.resolved() == study.resolved()
    assert again == study


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_study_file_runs(file) -> None:
    few = ["population.patients=20", "population.seed=3"]
    if "replicates" in file.read_text():
        few.append("design.replicates=4")
    result = run(read_study(file, settings=few))
    assert result.run["failed"] == {}
    assert result.endpoints["estimate"].notna().any()


def test_each_patient_of_a_parallel_trial_is_in_one_arm() -> None:
    result = answer(
        {"placebo": [], "drug": TOCILIZUMAB},
        design={
            "arms": "parallel",
            "randomization": {"ratio": {"drug": 2}, "block": 6, "strata": ["age >= 55"]},
        },
    )
    counts = result.patients["arm"].value_counts()
    assert counts.sum() == 90
    assert result.patients["patient"].is_unique
    # Two strata, each with at most one unfinished block of six.
    assert abs(counts["drug"] - 60) <= 4
    older = result.patients[result.patients["age"] >= 55]["arm"].value_counts()
    assert abs(older["drug"] - 2 * older["placebo"]) <= 6
    assert set(result.visits["patient"]) == set(result.patients["patient"])


@pytest.fixture(scope="module")
def replicated():
    return answer(
        {"placebo": [], "drug": TOCILIZUMAB, "same": []},
        design={"arms": "parallel", "randomization": {"block": 3}, "replicates": 150},
        analyses=[
            {
                "endpoint": "DAS28-CRP-change",
                "arm": "drug",
                "versus": "placebo",
                "measure": "mean difference",
            },
            {
                "endpoint": "DAS28-CRP-change",
                "arm": "same",
                "versus": "placebo",
                "measure": "mean difference",
            },
        ],
        interim={"looks": [0.5, 1], "boundary": "Pocock", "better": "lower"},
    )


def test_power_equals_that_of_the_t_test_for_the_same_means_and_spreads(replicated) -> None:
    changes = replicated.patients.groupby("arm")["DAS28-CRP-change at end"]
    mean, variance = changes.mean(), changes.var()
    n = POPULATION["patients"]
    error = np.sqrt((variance["drug"] + variance["placebo"]) / n)
    shift = abs(mean["drug"] - mean["placebo"]) / error
    # Noncentral t: the analytic power of a two-arm trial with a normal endpoint.
    critical = stats.t.ppf(0.975, 2 * n - 2)
    analytic = stats.nct.sf(critical, 2 * n - 2, shift)
    found = replicated.power.iloc[0]
    assert 0.2 < analytic < 0.99
    # Four standard errors of a share of 150 trials.
    margin = 4 * np.sqrt(analytic * (1 - analytic) / 150)
    assert found["power"] == pytest.approx(analytic, abs=margin)
    assert abs(found["bias"]) < 4 * error / np.sqrt(150)
    assert found["sd"] == pytest.approx(error, rel=4 / np.sqrt(2 * 150))


def test_two_arms_of_the_same_treatment_differ_in_one_trial_of_twenty(replicated) -> None:
    found = replicated.power.iloc[1]
    assert found["power"] < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 150)
    p = replicated.replicates.query("analysis == 1")["p"]
    # p values of a true null hypothesis are uniform.
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_looks_share_out_all_trials_and_save_patients(replicated) -> None:
    looks = replicated.interim
    reasons = looks[["efficacy", "harm", "futility", "end"]].to_numpy()
    assert reasons.sum() == pytest.approx(1.0)
    assert looks["expected_patients"].iloc[0] < looks["patients"].iloc[-1]
    assert looks["efficacy"].iloc[0] > looks["harm"].iloc[0]


def test_a_crossover_finds_within_patients_what_arms_find_between_them() -> None:
    result = answer(
        {"placebo": [], "drug": TOCILIZUMAB},
        duration="24 weeks",
        visits="every 4 weeks",
        design={
            "crossover": {
                "sequences": {"DP": ["drug", "placebo"], "PD": ["placebo", "drug"]},
                "period": "8 weeks",
                "washout": "8 weeks",
            }
        },
        analyses=[{"endpoint": "DAS28-CRP", "arm": "drug", "versus": "placebo"}],
    )
    effects = result.analyses.set_index("measure")
    within = effects.loc["within-patient difference"]
    between = answer(
        {"placebo": [], "drug": TOCILIZUMAB},
        analyses=[
            {
                "endpoint": "DAS28-CRP",
                "arm": "drug",
                "versus": "placebo",
                "measure": "mean difference",
            }
        ],
        population={**POPULATION, "patients": 400},
    ).analyses.iloc[0]
    # The same effect, seen with a much smaller error.
    assert within["low"] - 0.35 < between["estimate"] < within["high"] + 0.35
    assert within["high"] - within["low"] < 0.6
    assert result.study["arms"]["PD"] == [
        "tocilizumab 4 mg/kg intravenous over 1 hour every 4 weeks from 16 weeks until 24 weeks"
    ]


def test_a_dose_response_rises_and_names_the_dose_for_a_target() -> None:
    doses = {f"{dose} mg/kg": dose for dose in (1, 2, 4, 8)}
    arms = {
        name: f"tocilizumab {dose} mg/kg intravenous over 1 hour every 4 weeks"
        for name, dose in doses.items()
    }
    result = answer(
        {"placebo": [], **arms},
        duration="16 weeks",
        population={**POPULATION, "patients": 150},
        dose_response={
            "endpoint": "DAS28-CRP-change",
            "doses": {"placebo": 0, **doses},
            "target": -0.8,
        },
    )
    rows = result.dose_response.set_index("what")
    assert rows.loc["trend", "p"] < 1e-6
    assert rows.loc["trend", "estimate"] < 0
    wanted = rows.loc["dose for a difference of -0.8"]
    curve = rows.loc["emax", "estimate"] * wanted["estimate"]
    # The dose that is named makes the target on the fitted curve.
    assert curve / (rows.loc["ed50", "estimate"] + wanted["estimate"]) == pytest.approx(-0.8)


def test_a_declared_endpoint_follows_from_the_one_that_it_reads() -> None:
    result = answer(
        {"drug": TOCILIZUMAB},
        endpoints=[
            "ACR20",
            "CRP",
            {"name": "time to ACR20", "kind": "time_to_event", "of": "ACR20"},
            {"name": "mean CRP", "kind": "average", "component": "crp"},
            {"name": "CRP area", "kind": "area", "component": "crp"},
        ],
    )
    area = result.patients.set_index("patient")
    np.testing.assert_allclose(area["CRP area at end"], 56 * area["mean CRP at end"], rtol=1e-12)
    assert set(result.endpoints.query("endpoint == 'CRP area'")["unit"]) == {"mg/L*day"}
    visits = result.visits.pivot(index="patient", columns="time_day", values="crp")
    mean = np.trapezoid(visits.to_numpy(), visits.columns.to_numpy(float), axis=1) / 56
    found = result.patients.set_index("patient")["mean CRP at end"]
    np.testing.assert_allclose(found.loc[visits.index], mean, rtol=1e-12)
    last = result.endpoints.query("time_day == 56").set_index("endpoint")["estimate"]
    # Whoever responds at the end has responded by then.
    assert last["time to ACR20"] >= last["ACR20"]


def test_the_same_patients_make_up_a_longer_trial() -> None:
    short = answer({"placebo": []})
    long = answer({"placebo": []}, population={**POPULATION, "patients": 50})
    assert list(long.patients["patient"][:30]) == list(short.patients["patient"])


@pytest.mark.parametrize(
    ("key", "value", "cause"),
    [
        ("design", {"replicates": 10}, "arms: parallel"),
        ("interim", {"looks": [0.5, 1]}, "design.replicates"),
        ("design", {"crossover": {"sequences": {"A": ["drug"]}, "period": "8 weeks"}}, "AB"),
        ("dose_response", {"endpoint": "ACR20", "doses": {"drug": 1, "placebo": 0, "drg": 2}},
         "drug"),
        ("endpoints", [{"name": "x", "kind": "average"}], "component"),
        ("endpoints", [{"name": "x", "kind": "averge", "component": "crp"}], "average"),
        ("design", {"arms": "parallel", "randomization": {"block": 3}}, "block"),
        ("analyses", [{"endpoint": "ACR20", "arm": "drug", "versus": "placebo", "at": "week 5"}],
         "visit"),
    ],
)  # fmt: skip
def test_what_makes_no_trial_is_refused_with_a_way_out(key, value, cause) -> None:
    with pytest.raises(InputError, match=cause):
        answer({"placebo": [], "drug": TOCILIZUMAB}, **{key: value})


def test_a_run_in_pieces_gives_the_same_trial() -> None:
    study = read_study(STUDIES / "rules.yaml", settings=["population.patients=25"])
    whole, pieces = run(study), run(study, running=Running(chunk=64))
    assert pieces.run["chunks"]["number"] > 1
    for name in ("endpoints", "patients", "visits", "events", "actions", "analyses"):
        assert getattr(whole, name).equals(getattr(pieces, name)), name

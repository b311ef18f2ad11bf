"""Studies of viral situations from end to end: who enters, what drugs do, that nothing fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.run import run
from immunostat.study.study_reader import make_study, read_study

STUDIES = Path(__file__).parents[2] / "studies"

VIRAL = ("hepatitis-c", "influenza", "covid-19", "vaccine", "common-cold")


def estimates(result) -> dict[tuple[str, str], float]:
    """Last estimate of every endpoint in every arm."""
    rows = result.endpoints.sort_values("time_day")
    return {(r.endpoint, r.arm): float(r.estimate) for r in rows.itertuples()}


def small(name: str, patients: int):
    study = read_study(STUDIES / f"{name}.yaml")
    population = replace(study.population, n_patients=patients)
    return run(replace(study, population=population, compare_with=()))


@pytest.mark.parametrize("name", VIRAL)
def test_study_files_of_viral_situations_are_read(name) -> None:
    study = read_study(STUDIES / f"{name}.yaml")
    assert study.situation in packaged_catalog().situations()
    assert len(study.arms) >= 3


@pytest.mark.slow
def test_peginterferon_cures_more_than_short_lived_interferon_and_costs_counts() -> None:
    found = estimates(small("hepatitis-c", 40))
    untreated, weekly, thrice = "untreated", "peginterferon alfa-2a", "interferon alfa-2b"
    assert found["SVR", untreated] == 0
    assert found["SVR", weekly] > found["SVR", thrice]


@pytest.mark.slow
def test_a_glucocorticoid_shortens_symptoms_of_influenza_and_not_shedding() -> None:
    # The difference is a twentieth of a day, which forty patients do not tell.
    found = estimates(small("influenza", 300))
    assert found["symptom-days", "prednisone"] < found["symptom-days", "untreated"]
    assert found["shedding", "prednisone"] >= found["shedding", "untreated"]


@pytest.mark.slow
def test_covid_patients_enter_with_their_own_crp_and_die_less_under_dexamethasone() -> None:
    result = small("covid-19", 60)
    assert not result.run["failed"]
    found = estimates(result)
    key = "mortality-28-day"
    assert found[key, "dexamethasone"] <= found[key, "usual care"]
    assert found[key, "tocilizumab"] <= found[key, "usual care"]
    assert found["damage", "dexamethasone"] < found["damage", "usual care"]


@pytest.mark.slow
def test_the_answer_to_a_vaccine_needs_b_cells_and_help() -> None:
    found = estimates(small("vaccine", 20))
    for arm in ("rituximab", "abatacept", "prednisone"):
        assert found["antibody", arm] < found["antibody", "untreated"], arm
    # B cells are gone, T cells have seen the vaccine.
    assert found["memory", "rituximab"] > 0.8 * found["memory", "untreated"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("situation", "population"),
    [("influenza", "adults-with-influenza"), ("hepatitis-c", "chronic-hepatitis-c")],
)
def test_drugs_at_many_targets_can_be_given_to_the_infected(situation, population) -> None:
    lines = (
        "adalimumab 40 mg subcutaneous every 2 weeks",
        "tocilizumab 8 mg/kg intravenous over 1 hour every 4 weeks",
        "baricitinib 4 mg oral daily",
        "rituximab 1000 mg intravenous over 4 hours once",
        "alemtuzumab 12 mg intravenous over 4 hours daily for 5 days",
        "fingolimod 0.5 mg oral daily",
        "nivolumab 240 mg intravenous over 30 minutes every 2 weeks",
        "lenalidomide 25 mg oral daily",
        "aldesleukin 1 mg subcutaneous daily for 5 days",
        "methylprednisolone 500 mg intravenous over 1 hour daily for 3 days",
    )
    study = {
        "title": "Smoke",
        "situation": situation,
        "population": {"name": population, "patients": 3, "seed": 2},
        "arms": {line.split()[0]: [line] for line in lines},
        "duration": "2 weeks",
        "visits": "every 1 week",
        "side_effects": "none",
    }
    result = run(make_study(study))
    assert not result.run["failed"]

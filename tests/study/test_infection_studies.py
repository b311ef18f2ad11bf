"""Bacterial infection and latent tuberculosis as studies: people, drugs, events."""

from __future__ import annotations

import pandas as pd
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.run import run
from immunostat.study.study_reader import make_study

pytestmark = pytest.mark.slow

#: One regimen for each of many targets.
DRUGS = (
    "adalimumab 40 mg subcutaneous every 2 weeks",
    "tocilizumab 8 mg/kg intravenous over 1 hour every 4 weeks",
    "prednisone 20 mg oral daily",
    "tofacitinib 5 mg oral twice daily",
    "filgrastim 5 ug/kg subcutaneous daily for 2 weeks",
    "rituximab 1000 mg intravenous over 4 hours at weeks 0, 2",
    "ustekinumab 90 mg subcutaneous every 12 weeks",
)


def last(frame: pd.DataFrame, endpoint: str) -> pd.Series:
    own = frame[(frame.endpoint == endpoint) & (frame.time_day == frame.time_day.max())]
    return own.set_index("arm").estimate


@pytest.fixture(scope="module")
def infected():
    study = make_study(
        {
            "situation": "bacterial-infection",
            "population": {"name": "adults-infected-on-treatment", "patients": 60, "seed": 3},
            "arms": {"untreated": [], **{d.split()[0]: [d] for d in DRUGS[:3]}},
            "duration": "8 weeks",
            "visits": "every 1 day",
            "endpoints": [
                "days-infected",
                "infected",
                "days-of-fever",
                "sepsis-share",
                "mortality",
            ],
            "side_effects": "none",
        }
    )
    return run(study)


def test_most_untreated_patients_clear_the_infection_and_few_become_septic(infected) -> None:
    found = infected.endpoints
    assert last(found, "days-infected")["untreated"] < 7
    assert last(found, "infected")["untreated"] < 0.1
    assert 0 < last(found, "sepsis-share")["untreated"] < 0.25
    assert last(found, "mortality")["untreated"] < 0.1


def test_drugs_that_calm_inflammation_lengthen_the_infection(infected) -> None:
    days = last(infected.endpoints, "days-infected")
    fever = last(infected.endpoints, "days-of-fever")
    for drug in ("adalimumab", "tocilizumab", "prednisone"):
        assert days[drug] > days["untreated"]
        assert fever[drug] < fever["untreated"]


@pytest.mark.parametrize("situation", ["bacterial-infection", "tuberculosis"])
def test_drugs_of_many_targets_can_be_given(situation: str) -> None:
    population = {
        "bacterial-infection": "adults-infected-on-treatment",
        "tuberculosis": "latent-tuberculosis",
    }[situation]
    study = make_study(
        {
            "situation": situation,
            "population": {"name": population, "patients": 8},
            "arms": {drug.split()[0]: [drug] for drug in DRUGS},
            "duration": "6 weeks",
            "visits": "every 1 week",
            "side_effects": "none",
        }
    )
    result = run(study)
    assert not sum(result.run["failed"].values()), result.run["failures"]
    assert packaged_catalog().situation(situation).main_endpoint in set(result.endpoints.endpoint)

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import InputError, UnknownNameError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.populations import population_spec
from immunostat.population.sample import sample_covariates
from immunostat.study.person import person_of
from immunostat.study.study_reader import make_study

CARD = packaged_catalog().population("methotrexate-inadequate-response")


def test_a_person_is_read_with_units() -> None:
    found = person_of({"age": "72 year", "female": "yes", "weight": 60}, CARD)
    assert found == {"age": 72.0, "female": 1.0, "weight": 60.0}
    assert person_of({"weight": "60000 g"}, CARD) == {"weight": 60.0}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"age": 172}, "18 to 85"),
        ({"female": 0.5}, "yes or no"),
        ({"pregnant": "yes"}, "not simulated"),
        ({"age": "old"}, "no condition"),
    ],
)
def test_a_person_who_cannot_be_is_refused(said: dict[str, str | float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        person_of(said, CARD)


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="age"):
        person_of({"agee": 50}, CARD)


def test_twins_share_what_is_described_and_differ_in_the_rest() -> None:
    spec, numbers = population_spec(CARD), np.arange(300)
    free = sample_covariates(spec, 1, numbers)
    twins = sample_covariates(spec, 1, numbers, person={"age": 70.0, "female": 1.0})
    assert set(twins["age"]) == {70.0}
    assert twins["weight"].equals(free["weight"])
    assert (twins["creatinine_clearance"] < free["creatinine_clearance"]).mean() > 0.5


def test_what_goes_with_a_described_number_is_drawn_as_in_people_who_have_it() -> None:
    spec, numbers = population_spec(CARD), np.arange(4000)
    free = sample_covariates(spec, 1, numbers)
    pain = float(np.quantile(free["pain"], 0.9))
    twins = sample_covariates(spec, 1, numbers, person={"pain": pain})
    near = free[(free["pain"] - pain).abs() < 3]
    assert len(near) > 100
    for name in ("patient_global", "tender_joints_68"):
        error = free[name].std() / np.sqrt(len(near))
        assert abs(twins[name].mean() - near[name].mean()) < 3 * error


def test_the_person_stays_in_the_resolved_study() -> None:
    data = {
        "situation": "rheumatoid-arthritis",
        "population": {"name": CARD.name, "patients": 5, "person": {"age": 70, "female": "yes"}},
        "arms": {"none": []},
        "duration": "4 weeks",
    }
    study = make_study(data)
    again = make_study(study.resolved())
    assert again.population.person == study.population.person == {"age": 70.0, "female": 1.0}

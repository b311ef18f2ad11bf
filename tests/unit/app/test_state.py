from __future__ import annotations

import pytest

from immunostat.app import explore_state, patient_state, trial_state
from immunostat.app.address import LONGEST, Address, query
from immunostat.app.index import Index
from immunostat.app.limits import EXPLORE
from immunostat.base.errors import InputError, UnknownNameError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.study_reader import make_study

INDEX = Index(packaged_catalog())
SITUATIONS = list(INDEX.situations)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_situation_has_a_state_to_begin_with_that_is_a_study(situation: str) -> None:
    state = explore_state.read(f"situation={situation}", INDEX)
    line = explore_state.example(INDEX, situation)
    state = explore_state.read(f"situation={situation}&add-a={line.split()[0]}", INDEX)
    assert state.regimens
    study = make_study(state.study(INDEX.catalog.situation(situation).visits), INDEX.catalog)
    EXPLORE.check(study)
    assert trial_state.read(f"situation={situation}", INDEX).study(INDEX).arms
    twins = patient_state.read(f"situation={situation}", INDEX)
    assert make_study(twins.study("every 1 week"), INDEX.catalog).arms


def test_an_address_reopens_its_state() -> None:
    words = "adalimumab 40 mg subcutaneous every 2 weeks"
    state = explore_state.read(
        f"situation=rheumatoid-arthritis&a={words}&b={words}&patient=7", INDEX
    )
    again = explore_state.read(state.address, INDEX)
    assert again == state
    assert list(state.arms) == ["adalimumab 40 mg", "adalimumab 40 mg (2)"]


def test_a_class_is_no_drug_and_near_names_are_told() -> None:
    with pytest.raises(UnknownNameError, match="adalimumab"):
        explore_state.read("situation=rheumatoid-arthritis&add-a=adalimumb", INDEX)


@pytest.mark.parametrize(
    "text", ["patients=ten", "patients=0", "patients=1000000", "seed=-1", "situation=nowhere"]
)
def test_a_wrong_part_of_an_address_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        explore_state.read(text, INDEX)


def test_a_long_address_is_refused() -> None:
    with pytest.raises(InputError, match="too long"):
        Address("a=" + "x" * LONGEST)
    assert Address(query({"a": ["1", "2"]})).all("a") == ("1", "2")


def test_a_form_with_everything_is_a_study() -> None:
    text = query(
        {
            "situation": "rheumatoid-arthritis",
            "name-a": "control",
            "name-b": "drug",
            "b": "tocilizumab 8 mg/kg intravenous over 1 hour every 4 weeks",
            "patients": 50,
            "duration": "12 weeks",
            "endpoint": ["ACR20", "neutrophils"],
            "eligibility": "age >= 40; weight < 120 kg",
            "design": "parallel",
            "replicates": 3,
            "dropout": "10 % by week 12",
            "when-0": "neutrophils < 1.0",
            "do-0": "hold tocilizumab",
            "until-0": "neutrophils >= 1.5",
            "compare-0": "ACR20",
            "arm-0": "drug",
            "versus-0": "control",
            "trial": "OPTION",
        }
    )
    study = trial_state.read(text, INDEX).study(INDEX)
    assert study.design.n_replicates == 3
    assert len(study.rules) == len(study.analyses) == len(study.compare_with) == 1
    assert study.dropout


def test_a_study_file_stands_instead_of_the_form_and_is_told_with_its_line() -> None:
    text = query(
        {"situation": "rheumatoid-arthritis", "file": "situation: rheumatoid-arthritis\nx: 1"}
    )
    with pytest.raises(InputError, match=r"study\.yaml:2"):
        trial_state.read(text, INDEX).study(INDEX)

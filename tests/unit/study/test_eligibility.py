"""Conditions and special populations: read, joined, and refused where nothing is known."""

from __future__ import annotations

import pytest

from immunostat.base.errors import InputError, UnitError, UnknownNameError
from immunostat.catalog.check import check_card
from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.eligibility import eligibility

CATALOG = packaged_catalog()
SITUATION = CATALOG.situation("rheumatoid-arthritis")
POPULATION = CATALOG.population("methotrexate-inadequate-response")


def read(words):
    return eligibility(words, CATALOG, SITUATION, POPULATION)


@pytest.mark.parametrize("name", CATALOG.special_populations())
def test_a_special_population_is_sound_and_can_be_asked_for(name: str) -> None:
    assert [str(problem) for problem in check_card(CATALOG, "special_populations", name)] == []
    assert read(name).comparisons


def test_names_and_conditions_hold_together() -> None:
    assert str(read(["elderly", "Low Weight", "CRP >= 20 mg/L"])) == (
        "age >= 65 and weight < 60 and crp >= 20"
    )
    assert str(read("creatinine clearance < 3.6 L/h")) == "creatinine_clearance < 60"


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(InputError, match="or a special population: elderly"):
        read("eldery")
    with pytest.raises(UnknownNameError, match="'ag' cannot be compared"):
        read("ag > 65")
    with pytest.raises(UnitError):
        read("age > 65 kg")


@pytest.mark.parametrize(
    "words", ["pregnant is yes", "pregnancy", "pregnant women", "age < 40 and pregnant is yes"]
)
def test_pregnant_patients_are_refused_with_the_reason(words: str) -> None:
    with pytest.raises(InputError, match="not simulated") as caught:
        read(words)
    assert "unborn child" in str(caught.value)
    assert "no medical advice" in str(caught.value)


def test_to_keep_pregnant_patients_out_asks_nothing() -> None:
    assert read(["pregnant is no", "elderly"]) == read("elderly")

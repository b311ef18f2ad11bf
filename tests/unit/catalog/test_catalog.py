"""The catalog: the packaged cards are sound, and a broken card is refused with its line."""

import shutil

import numpy as np
import pytest

from immunostat.base.errors import InputError, UnitError, UnknownNameError
from immunostat.catalog.lookup import KINDS, Catalog, data_folder, packaged_catalog
from immunostat.therapy.drug import covariance_root


def test_every_packaged_card_is_sound():
    assert [str(problem) for problem in packaged_catalog().validate_all()] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.folder)
def test_every_kind_has_cards_that_are_found_by_name(kind):
    catalog = packaged_catalog()
    for name in catalog.names(kind.folder):
        assert catalog.card(kind.folder, name).name == name


def test_unknown_names_are_answered_with_near_matches():
    with pytest.raises(UnknownNameError, match="did you mean 'adalimumab'"):
        packaged_catalog().drug("adalimumb")


def test_numbers_of_a_drug_are_in_inside_units():
    drug = packaged_catalog().drug("adalimumab")
    clearance = drug.pk.parameters["clearance"]
    # the card prints L/h
    assert clearance.fact.unit == "L/h"
    assert clearance.value == pytest.approx(clearance.fact.value * 24, rel=1e-12)
    assert clearance.unit == "L/day"
    assert drug.molar_mass == pytest.approx(148_000)
    assert drug.routes["subcutaneous"].over_day == pytest.approx(2.82 / 24)


def test_mass_of_a_saturable_elimination_becomes_amount():
    parameter = packaged_catalog().drug("tocilizumab").pk.parameters["maximum_elimination"]
    assert parameter.value == pytest.approx(parameter.fact.value * 1e6 / 148_000, rel=1e-9)


@pytest.mark.parametrize("name", packaged_catalog().drugs())
def test_random_effects_have_the_covariance_of_the_card(name):
    pk = packaged_catalog().drug(name).pk
    if pk is None:
        pytest.skip("no kinetics")
    root = covariance_root(pk.covariance)
    # 1e-9: eigenvalues that rounding makes negative are taken as zero
    assert np.allclose(root @ root.T, pk.covariance, atol=1e-9)


def test_a_fact_knows_the_line_of_its_card():
    fact = packaged_catalog().drug("adalimumab").pk.parameters["clearance"].fact
    path = data_folder() / "drugs" / "adalimumab.yaml"
    line = path.read_text(encoding="utf-8").splitlines()[fact.place.line - 1]
    assert line.strip() == "clearance:"


@pytest.fixture
def own(tmp_path):
    """A folder of one's own with a copy of a drug card, and a function that edits it."""
    folder = tmp_path / "own"
    (folder / "drugs").mkdir(parents=True)
    card = folder / "drugs" / "adalimumab.yaml"
    shutil.copy(data_folder() / "drugs" / "adalimumab.yaml", card)

    def edit(old: str, new: str) -> Catalog:
        text = card.read_text(encoding="utf-8")
        assert old in text
        card.write_text(text.replace(old, new, 1), encoding="utf-8")
        return Catalog.packaged(folder)

    return edit


def test_a_card_of_ones_own_wins(own):
    assert own("title: Adalimumab", "title: Mine").drug("adalimumab").title == "Mine"


def test_a_wrong_unit_is_refused_with_its_line(own):
    catalog = own("unit: L/h", "unit: mL")
    with pytest.raises(UnitError, match=r"adalimumab.yaml:\d+: clearance has unit 'mL'") as caught:
        catalog.drug("adalimumab")
    assert "L/day" in caught.value.remedy


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("modality: antibody", "modality: antibdy", "allowed: "),
        ("direction: suppressant", "directon: suppressant", "did you mean 'direction'"),
        ("evidence: fitted", "evidence: assumed", "needs the key 'because'"),
        ("value: 0.0244", "value: -1", "below zero"),
        ("value: 0.0244", "value: yes", "does not fit"),
        ("value: 0.0244", "value: true", "does not fit"),
        ("name: adalimumab", "name: other", "rename the file"),
        ("covariance: -0.0139", "covariance: 9", "negative eigenvalue"),
        ("spread: {lognormal_variance: 0.122}", "spread: {}", "spread needs one of"),
    ],
)
def test_a_broken_card_names_file_line_and_remedy(own, old, new, cause):
    catalog = own(old, new)
    with pytest.raises(InputError) as caught:
        catalog.drug("adalimumab")
    assert cause in str(caught.value)
    assert caught.value.place.line is not None
    assert caught.value.place.file.endswith("adalimumab.yaml")


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("source: shealy2010", "source: shealy2011", "did you mean 'shealy2010'"),
        ("TNF:", "TNG:", "target 'TNG' is not in the catalog"),
        ("action: neutralize", "action: block", "allowed: neutralize"),
        ('label: "40 mg subcutaneous', 'label: "40 subcutaneous', "has no unit"),
        ("unit: kg}", "unit: kilo}", "kilo"),
    ],
)
def test_validation_finds_what_does_not_fit_the_rest_of_the_catalog(own, old, new, cause):
    problems = [str(problem) for problem in own(old, new).validate_all()]
    assert any(cause in problem for problem in problems), problems


def test_a_path_out_of_the_catalog_is_refused():
    with pytest.raises(InputError, match="leads out"):
        packaged_catalog().text("../../../pyproject.toml")


def test_the_hash_changes_with_a_card(own):
    first = own("title: Adalimumab", "title: One").hash()
    assert own("title: One", "title: Two").hash() != first

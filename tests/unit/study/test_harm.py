"""Side effects as a study sees them: which drugs they mean, what is not known, what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.side_effect_cards import SideEffectCard
from immunostat.outcomes.signals import DoseCourse
from immunostat.study import harm_validation
from immunostat.study.harm import (
    Surroundings,
    events_of,
    harm_of,
    harms_of,
    is_meant,
    warnings_of,
)

CATALOG = packaged_catalog()
CARDS = [CATALOG.side_effect(name) for name in CATALOG.side_effects()]
DAILY = "tofacitinib"


def around(*drugs: str, in_start: tuple[str, ...] = ()) -> Surroundings:
    """Rheumatoid arthritis with a few covariates and outputs."""
    return Surroundings(
        "rheumatoid-arthritis",
        frozenset({"age", "female", "diabetes", "glucocorticoid"}),
        frozenset({"core_tnf_capacity", "core_neutrophils"}),
        frozenset({"neutrophils"}),
        tuple(CATALOG.drug(name) for name in (*drugs, *in_start)),
        frozenset(in_start),
    )


@pytest.mark.parametrize("name", CATALOG.drugs())
def test_every_drug_has_a_side_effect_that_it_drives(name: str) -> None:
    drug = CATALOG.drug(name)
    assert any(is_meant(driver, drug) for card in CARDS for driver in card.drivers)


@pytest.mark.parametrize(
    "word", ["fatigue", "nausea", "serious-infection", "malignancy", "lymphoma"]
)
def test_the_side_effects_that_the_project_names_have_cards(word: str) -> None:
    assert word in CATALOG.side_effects()


def test_checks_have_drugs_and_roles_that_fit() -> None:
    for card in CARDS:
        roles = {check.role for check in card.checks}
        assert roles <= {"training", "held-back", "shown"}
        for check in card.checks:
            assert check.drug == "placebo" or check.drug in CATALOG.drugs()


def test_a_covariate_that_is_not_known_takes_the_mean_of_people() -> None:
    harm = harm_of(CATALOG.side_effect("tuberculosis"), around("adalimumab"))
    assert "latent_tuberculosis" in harm.unknown
    assert harm.hazard is not None
    shares = {driver.covariate: driver.share for driver in harm.hazard.covariates}
    assert shares["latent_tuberculosis"] == 0.042


def test_all_side_effects_leaves_out_what_nothing_in_the_study_moves() -> None:
    found = {harm.name for harm in harms_of(CARDS, around("adalimumab"), ())}
    assert {"serious-infection", "tuberculosis", "neutropenia"} <= found
    assert "cytokine-release-syndrome" not in found  # no bispecific antibody
    assert "lymphopenia" not in found  # not in this model
    assert "teratogenicity" not in found  # a text, no rate


def test_a_named_side_effect_stays_and_a_count_that_is_missing_is_refused() -> None:
    found = harms_of(CARDS, around("adalimumab"), ["cytokine-release-syndrome"])
    assert "cytokine-release-syndrome" in {harm.name for harm in found}
    with pytest.raises(InputError, match="grades 'lymphocytes'"):
        harms_of(CARDS, around("adalimumab"), ["lymphopenia"])


def test_warnings_are_those_of_the_drugs() -> None:
    drugs = [CATALOG.drug("lenalidomide"), CATALOG.drug("adalimumab")]
    found = warnings_of(CARDS, drugs)
    assert {(drug, name) for drug, name, _ in found} == {("lenalidomide", "teratogenicity")}


CARD = SideEffectCard.model_validate(
    {
        "name": "example",
        "title": "Example",
        "kind": "event",
        "background": {"value": 10, "unit": "1/(100 year)", "evidence": "assumed", "because": "x"},
        "drivers": [
            {
                "target": "JAK1",
                "form": "factor",
                "effect": 3,
                "evidence": "assumed",
                "because": "x",
            },
            {
                "drug": DAILY,
                "by": "dose",
                "form": "proportional",
                "per": {"value": 10, "unit": "mg/day"},
                "effect": 1,
                "evidence": "assumed",
                "because": "x",
            },
        ],
        "severity": {"shares": {"1": 0.9, "3": 0.1}, "evidence": "assumed", "because": "x"},
    }
)
TIMES = np.linspace(0.0, 365.25, 366)


def expected(dose_mg: float) -> tuple[float, float, float]:
    """Expected events in a year at a dose twice daily: all, by mechanism, by background."""
    harm = harm_of(CARD, around(DAILY))
    at = np.arange(0.0, 366.0, 0.5)
    course = DoseCourse(DAILY, at, np.full((1, len(at)), dose_mg), ("oral",) * len(at), 30.0)
    drawn = events_of(harm, np.arange(3), {}, {}, {}, {DAILY: course} if dose_mg else {}, TIMES, 1)
    found = (drawn.events.expected, drawn.by_mechanism, drawn.by_background)
    return tuple(float(own.mean()) for own in found)  # type: ignore[return-value]


def test_mechanism_and_the_drug_itself_are_told_apart() -> None:
    assert expected(0.0) == pytest.approx((0.1, 0.1, 0.1))
    assert expected(5.0) == pytest.approx((0.6, 0.3, 0.1))


def test_a_higher_dose_has_more_of_the_drugs_own_effect_and_the_same_mechanism() -> None:
    assert expected(10.0) == pytest.approx((0.9, 0.3, 0.1))


def test_a_drug_of_the_start_is_in_use_in_every_arm() -> None:
    harm = harm_of(CATALOG.side_effect("liver-enzymes"), around(in_start=("methotrexate",)))
    assert [own.drugs[0].name for own in harm.signals] == ["methotrexate"]


def test_pairs_are_judged_by_the_geometric_mean_of_their_ratios() -> None:
    import pandas as pd

    rows = pd.DataFrame(
        {
            "side_effect": ["a", "a", "b"],
            "drug": ["x", "x", "y"],
            "situation": ["s"] * 3,
            "role": ["held-back"] * 3,
            "judged": [True] * 3,
            "ratio": [0.5, 2.0, 3.0],
        }
    )
    found = harm_validation.pairs(rows)
    assert found["ratio"].tolist() == pytest.approx([1.0, 3.0])
    assert "1 of 2 (50%): missed" in harm_validation.conclusion(rows)

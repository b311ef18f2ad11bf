"""Side effects as a study sees them: which drugs they mean, what is not known, what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.side_effect_cards import SideEffectCard, SideEffectCheckCard
from immunostat.outcomes.hazards import DAYS_PER_YEAR, Hazard, hazard_rate
from immunostat.outcomes.signals import DoseCourse
from immunostat.study import harm_pairs, harm_validation
from immunostat.study.harm import (
    Surroundings,
    events_of,
    harm_of,
    harms_of,
    is_meant,
    warnings_of,
)
from immunostat.study.study import Study
from immunostat.study.study_reader import make_study

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


def test_the_register_of_the_background_has_the_serious_infections_that_it_printed() -> None:
    # Covariates of its patients (mehta2019, table 1); HAQ, a state, has its mean in everybody.
    harm = harm_of(CATALOG.side_effect("serious-infection"), around())
    assert harm.hazard is not None
    random, n = np.random.default_rng(1), 40_000
    people = {
        "age": random.normal(58.4, 13.9, n),
        "glucocorticoid": (np.arange(n) % 1000 < 298).astype(float),
        "diabetes": (random.permutation(n) % 1000 < 87).astype(float),
    }
    drivers = tuple(own for own in harm.hazard.covariates if own.covariate in people)
    assert {own.covariate for own in drivers} == set(people)
    alone = Hazard("e", harm.hazard.background, drivers)
    rate = hazard_rate(alone, people, {}, {}, (n, 1)) * 100 * DAYS_PER_YEAR
    spread_of_disability = 1.03
    # 2.24 per 100 patient-years, 1.92 to 2.61 (ozen2019); 2 % for the draw and rounding.
    assert rate.mean() * spread_of_disability == pytest.approx(2.24, rel=0.02)


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
            "predicted": [1.0, 4.0, 3.0],
            "observed_low": [float("nan")] * 2 + [0.5],
            "observed_high": [float("nan")] * 2 + [3.5],
        }
    )
    found = harm_pairs.pairs(rows)
    assert found["ratio"].tolist() == pytest.approx([1.0, 3.0])
    assert found["is_inside"].tolist() == [False, True]
    said = harm_pairs.conclusion(rows)
    assert "1 of 2 (50%): missed; 1 of the others inside the published interval" in said


def check_of(name: str, drug: str, source: str) -> SideEffectCheckCard:
    """A published number of a card."""
    found = [c for c in CATALOG.side_effect(name).checks if (c.drug, c.source) == (drug, source)]
    return found[0]


def test_counts_are_taken_as_the_card_says_for_a_situation() -> None:
    card = CATALOG.side_effect("neutropenia")
    check = check_of("neutropenia", "pomalidomide", "dimopoulos2016safety")
    group = harm_validation._Group("multiple-myeloma", "relapsed-myeloma", 26, check.until)
    group.checks.append((card, check, "a"))
    assert harm_validation._visits(group)[:3] == ["1 weeks", "2 weeks", "3 weeks"]
    other = harm_validation._Group("rheumatoid-arthritis", "x", 24)
    other.checks.append((card, check, "a"))
    assert harm_validation._visits(other) == "every 4 weeks"


def test_a_rate_has_the_exact_interval_of_its_patient_years() -> None:
    check = check_of("herpes-zoster", "placebo", "tofacitinibphase3")
    value, low, high = harm_validation._observed(check)
    # 3 events in 149.5 years; Garwood: 0.619 to 8.767 events.
    assert (value, low, high) == pytest.approx(
        (2.0, 100 * 0.6187 / 149.5, 100 * 8.767 / 149.5), 1e-3
    )


def test_what_ends_the_follow_up_of_a_rate_is_refused() -> None:
    data = {"drug": "placebo", "value": 1, "evidence": "measured", "source": "a", "where": "b"}
    with pytest.raises(ValueError, match="share of patients"):
        SideEffectCheckCard(**data, unit="1/(100 year)", until="progression is yes")
    with pytest.raises(ValueError, match="belong to a rate"):
        SideEffectCheckCard(**data, unit="%", patient_years=3)


@pytest.mark.parametrize(
    ("name", "drug", "factor"),
    [("herpes-zoster", "aciclovir", 0.35), ("hepatitis-b-reactivation", "entecavir", 0.15)],
)
def test_an_antiviral_drug_prevents_while_it_is_in_use(name: str, drug: str, factor: float) -> None:
    harm = harm_of(CATALOG.side_effect(name), around(drug))
    people = {"age": 60.0, "female": 1.0, "diabetes": 0.0, "glucocorticoid": 0.0}
    known = {covariate: np.full(2, value) for covariate, value in people.items()}
    at = np.arange(0.0, 366.0, 0.5)
    course = DoseCourse(drug, at, np.full((1, len(at)), 400.0), ("oral",) * len(at), 30.0)
    states = {state: np.ones((2, len(TIMES))) for state in harm.states}
    with_it, without = (
        events_of(harm, np.arange(2), known, states, states, doses, TIMES, 1).events.expected
        for doses in ({drug: course}, {})
    )
    assert with_it == pytest.approx(factor * without)


def study_with(rule: str, side_effects: list[str]) -> Study:
    """One arm of tocilizumab with a rule."""
    body = {
        "situation": "rheumatoid-arthritis",
        "population": {"name": "methotrexate-inadequate-response", "patients": 5},
        "arms": {"a": ["tocilizumab 8 mg/kg intravenous over 1 hour every 4 weeks"]},
        "duration": "12 weeks",
        "endpoints": ["ACR20"],
        "side_effects": side_effects,
        "rules": [{"when": rule, "do": "stop treatment"}],
    }
    return make_study(body, CATALOG)


def test_a_rule_may_read_that_an_event_stops_the_drug_by_its_card() -> None:
    study = study_with("stopping is yes", ["serious-infection"])
    assert set(study.rules[0].when.names) == {"stopping"}
    with pytest.raises(InputError, match="stopping"):
        study_with("stopping is yes", ["neutropenia"])

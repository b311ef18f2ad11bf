"""What the demo study gives, beside what was published. Each tolerance has its reason beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.run import run, simulate
from immunostat.study.simulation import Simulation
from immunostat.study.study_reader import read_study

STUDY = Path(__file__).parents[2] / "studies" / "ra-biologics.yaml"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result():
    return run(read_study(STUDY))


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(read_study(STUDY), packaged_catalog())


def course(simulation: Simulation, arm: str, drug: str) -> np.ndarray:
    """Concentration in ug/mL. Shape (patient, time)."""
    name = f"{drug}_concentration"
    factor = next(o.factor for o in simulation.plan.outputs if o.name == name)
    return simulation.values(arm, name) * factor


def trough(simulation: Simulation, arm: str, drug: str) -> float:
    """Mean over patients at week 24, before the dose that would be due then, ug/mL."""
    return float(course(simulation, arm, drug)[:, -1].mean())


def check(drug: str, regimen: str, quantity: str, value: float):
    """The published exposure of a drug card that has this value."""
    found = [
        c
        for c in packaged_catalog().drug_card(drug).exposure_checks
        if c.regimen == regimen and c.quantity == quantity and c.value == value
    ]
    assert len(found) == 1, [c.value for c in packaged_catalog().drug_card(drug).exposure_checks]
    assert found[0].source
    assert found[0].checked, "a check that nobody has read in its source is no check"
    return found[0]


EVERY_4_WEEKS = "{} mg/kg intravenous over 1 hour every 4 weeks"


@pytest.mark.parametrize(("arm", "dose", "published"), [("tocilizumab-8", 8, 9.74)])
def test_tocilizumab_trough_is_that_of_its_label(simulation, arm, dose, published) -> None:
    # The label's own prediction (section 12.3, mean 9.74, SD 10.5 ug/mL), not a parameter here; it
    # comes from the same analysis as the kinetics, so it shows that they are entered right and that
    # this population's covariates are those of the trials. 25 %: the goal of the first release.
    known = check("tocilizumab", EVERY_4_WEEKS.format(dose), "trough", published)
    assert trough(simulation, arm, "tocilizumab") == pytest.approx(known.value, rel=0.25)


def test_patients_without_trough_are_as_many_as_in_a_cohort(simulation) -> None:
    # Independent of the kinetic model: 17 to 31 % of a cohort on 8 mg/kg had a trough below 1 mg/L,
    # by time of sampling. Simulated with the assay's error (proportional and additive) of the card;
    # the wide band allows for what the cohort's patients differ in.
    low = course(simulation, "tocilizumab-8", "tocilizumab")[:, -1] < 1.0
    assert 0.02 < low.mean() < 0.31


def test_tocilizumab_peak_is_that_of_its_label(simulation) -> None:
    known = check("tocilizumab", EVERY_4_WEEKS.format(8), "maximum", 182)
    peak = course(simulation, "tocilizumab-8", "tocilizumab").max(axis=1).mean()
    assert peak == pytest.approx(known.value, rel=0.15)


@pytest.mark.parametrize("published", [7.4, 7.5])
def test_adalimumab_trough_is_that_of_patients_on_methotrexate(simulation, published) -> None:
    # Measured in patients on methotrexate: a cohort (Pouw 2015) and a phase III trial (week 24).
    # They print medians and the goal speaks of a mean, which is higher where a few have much: the
    # simulated median is a quarter below, see docs/science. 25 %: goal of the release.
    known = check("adalimumab", "40 mg subcutaneous every 2 weeks", "trough", published)
    assert trough(simulation, "adalimumab", "adalimumab") == pytest.approx(known.value, rel=0.25)


def test_receptor_occupancy_at_trough_is_that_of_simulations_by_others(simulation) -> None:
    # Xu 2021: 99 % and 60 % of soluble receptor at trough for 8 and 4 mg/kg (typical patient).
    # 10 points: theirs is another model, and a median of patients is compared with a typical one.
    for arm, published in (("tocilizumab-8", 0.99), ("tocilizumab-4", 0.60)):
        occupied = simulation.values(arm, "core_il6r_occupancy")[:, -1]
        assert np.median(occupied) == pytest.approx(published, abs=0.10)


def test_training_arms_are_reproduced(result) -> None:
    rows = result.comparison
    rows = rows[(rows.role == "training") & rows.endpoint.isin(["ACR20", "ACR50", "ACR70"])]
    assert len(rows) == 9
    off = (rows.predicted - rows.observed).abs()
    # 5 points: the goal of the first release, which one value of nine has missed since seven arms
    # train the model and not three (ACR50 of tocilizumab in OPTION, 44 %; LITHE and TOWARD have 32
    # and 38 %). Three standard errors of a published share of 200 patients are 10 points.
    assert off.mean() < 0.05
    assert (off > 0.05).sum() <= 1
    assert off.max() < 0.10


def test_held_back_arms_are_named_as_such(result) -> None:
    rows = result.comparison
    four = rows[(rows.arm == "tocilizumab-4") & rows.endpoint.str.startswith("ACR")]
    assert len(four) >= 6
    assert set(four.role) == {"held-back"}
    # The mean absolute error is printed in the report; 10 points would be no prediction any more.
    assert four.difference.abs().mean() < 0.10


def test_neutropenia_follows_the_receptor_and_stays_rare(result) -> None:
    rows = result.side_effects
    rows = rows[(rows.side_effect == "neutropenia") & (rows.measure == "grade 3-4")]
    severe = rows.set_index("arm").estimate
    # Label, 24 weeks: 0.1 % on placebo, 1.8 and 3.4 % on 4 and 8 mg/kg; not fitted. A factor of
    # three both ways is what counts of some ten patients can tell.
    assert severe["placebo"] < 0.01
    assert 0.034 / 3 < severe["tocilizumab-8"] < 0.034 * 3
    assert severe["tocilizumab-4"] <= severe["tocilizumab-8"]


def test_serious_infections_come_more_often_under_a_blocked_defence(result) -> None:
    rows = result.side_effects
    rows = rows[(rows.side_effect == "serious-infection") & (rows.measure == "incidence rate")]
    expected = rows.set_index("arm").expected
    # The order of the arms, and rates of the size that trials print (1.35 to 5.3 per 100 years).
    assert expected["placebo"] < expected["adalimumab"]
    assert expected["placebo"] < expected["tocilizumab-8"]
    assert expected.between(1.35 / 1.5, 5.3 * 1.5).all()

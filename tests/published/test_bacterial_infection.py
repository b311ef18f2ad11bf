"""Bacterial infection: laws of Reynolds 2006 and Li 2002, its course, what drugs do to it."""

from __future__ import annotations

import numpy as np
import pytest
from situation_alone import OUTPUTS, assembly, course

from immunostat.catalog.lookup import packaged_catalog

NAME = "bacterial-infection"
DAYS = np.arange(0.0, 43.0, 0.25)
#: log10 per mL; what a culture finds.
DETECTABLE = 1.0
BACTERIA = "disease_log10_bacteria"

#: Engagement of one target, as much as a licensed dose or more.
TNF_BLOCKED = {"tnf_binding": 300.0}
IL6R_BLOCKED = {"il6r_binding": 100.0}
GLUCOCORTICOID = {"glucocorticoid_binding": 1.0}
C5_BLOCKED = {"c5_binding": 1000.0}


def days_infected(**settings: float) -> float:
    log10 = course(NAME, DAYS, **settings)[BACTERIA][0]
    return float(np.sum(log10 > DETECTABLE) * 0.25)


def load(**settings: float) -> float:
    """Area under the bacteria, 10^6/mL*day."""
    bacteria = course(NAME, DAYS, **settings)["disease_bacteria"][0]
    return float(np.trapezoid(bacteria, DAYS))


def test_nothing_moves_before_the_focus_opens() -> None:
    found = course(NAME, [0.0, 27.0], disease_infection_day=28.0)
    for output in OUTPUTS[NAME]:
        # The start values of the core are rounded to about four digits.
        assert found[output][0, 1] == pytest.approx(found[output][0, 0], rel=1e-3, abs=1e-4)


def test_a_small_inoculum_dies_where_reynolds_says() -> None:
    # Without phagocytes from the blood: growth*(1 - P/capacity) = rate/(1 + P/half).
    growth, rate, half, capacity = 7.2, 36.0, 0.2, 20.0
    p = np.linspace(0.01, 5.0, 50_000)
    limit = p[np.argmin(np.abs(growth * (1 - p / capacity) - rate / (1 + p / half)))]
    assert limit == pytest.approx(0.84, abs=0.01)
    alone = {
        "disease_recruitment": 0.0,
        "disease_seen_bacteria": 0.0,
        "disease_antigen": 0.0,
        "disease_virulence": 1.0,
        "disease_growth": growth,
    }
    inoculum = [0.95 * limit, 1.05 * limit]
    found = course(NAME, [0, 5], disease_inoculum=inoculum, **alone)
    end = found["disease_bacteria"][:, -1]
    assert end[0] < 1e-3
    assert end[1] > 10


def test_bacteria_fall_or_rise_by_the_second_order_law_of_li() -> None:
    # No local response, no opsonins, no damping, room without end: ln B' = g - k*N of the focus.
    held = {
        "disease_local_rate": 0.0,
        "disease_capacity": 1e9,
        "disease_virulence": 1.0,
        "disease_by_acute_phase": 0.0,
        "disease_half_il10": 1e9,
        "disease_infection_day": -1.0,
        "disease_by_igg": 0.0,
    }
    times = [0.0, 0.1, 0.2, 0.3]
    found = course(NAME, times, **held)
    ln = found["disease_ln_bacteria"][0]
    site = found["disease_site_neutrophils"][0]
    fine = course(NAME, np.linspace(0, 0.3, 301), **held)
    seen = np.trapezoid(fine["disease_site_neutrophils"][0], dx=0.001)
    assert ln[-1] - ln[0] == pytest.approx(11.5 * 0.3 - 2.88 * seen, abs=1e-3)
    assert site[0] == 0.0


def test_the_critical_count_of_neutrophils_is_near_half_of_1e9_per_litre() -> None:
    # S. epidermidis of Li 2002 (virulence 1): critical in suspension 0.3 to 0.4, in the clinic 0.5.
    # Whose bacteria are more after two days than the inoculum was?
    counts = np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 2.0, 4.5])
    found = course(NAME, [2.0], core_neutrophils_entry=counts, disease_virulence=1.0)
    grows = found["disease_bacteria"][:, 0] > 3.0
    assert np.all(np.diff(grows.astype(int)) <= 0), "one limit, not several"
    limit = counts[grows].max()
    assert 0.3 <= limit <= 0.8


def test_a_resistant_organism_is_cleared_when_antibody_comes() -> None:
    resistant = {"disease_virulence": 16.0}
    with_b_cells = days_infected(**resistant)
    # Pneumococcal pneumonia before antibiotics: recovery about day ten.
    assert 7 < with_b_cells < 18
    # B cells gone for a year before.
    without = course(NAME, DAYS, start=-365.0, cd20_binding=100.0, **resistant)
    assert np.sum(without[BACTERIA][0] > DETECTABLE) * 0.25 > with_b_cells + 7


def test_a_growth_factor_saves_the_neutropenic() -> None:
    neutropenic = {"disease_marrow_failure": 0.95, "disease_infection_day": 0.25}
    found = {
        gcsf: course(NAME, DAYS, start=-180.0, gcsf_binding=gcsf, **neutropenic)
        for gcsf in (0.0, 5.0)
    }
    assert found[0.0]["core_neutrophils"][0, 0] < 0.5
    assert found[5.0]["core_neutrophils"][0, 0] > 1.5 * found[0.0]["core_neutrophils"][0, 0]
    area = {g: np.trapezoid(f["disease_bacteria"][0], DAYS) for g, f in found.items()}
    assert area[5.0] < 0.8 * area[0.0]
    assert found[5.0]["disease_sofa"].max() < found[0.0]["disease_sofa"].max()


@pytest.mark.parametrize("drug", [TNF_BLOCKED, IL6R_BLOCKED, GLUCOCORTICOID])
def test_less_inflammation_is_more_bacteria(drug: dict[str, float]) -> None:
    without = course(NAME, DAYS)
    treated = course(NAME, DAYS, **drug)
    assert treated["disease_crp"].max() < 0.7 * without["disease_crp"].max()
    assert treated["disease_temperature"].max() < without["disease_temperature"].max() - 0.2
    area = [np.trapezoid(f["disease_bacteria"][0], DAYS) for f in (without, treated)]
    assert area[1] > 1.05 * area[0]


def test_a_blocked_il6_receptor_hides_crp_and_costs_little_defence() -> None:
    found = course(NAME, DAYS, **IL6R_BLOCKED)
    assert found["disease_crp"].max() < 0.1 * course(NAME, DAYS)["disease_crp"].max()
    assert load(**IL6R_BLOCKED) < load(**TNF_BLOCKED)


def test_complement_and_b_cells_matter_less_than_neutrophils() -> None:
    few = load(core_neutrophils_entry=0.5)
    assert load() < load(**C5_BLOCKED) < few
    assert load() <= load(cd20_binding=100.0) * 1.001
    assert load(cd20_binding=100.0) < 1.05 * load()


def test_load_grows_with_virulence_growth_and_inoculum() -> None:
    for name, values in (
        ("virulence", [1.0, 2.0, 4.0, 8.0]),
        ("growth", [6.0, 9.0, 12.0, 18.0]),
        ("inoculum", [1.0, 2.0, 4.0, 8.0]),
    ):
        found = course(NAME, DAYS, **{f"disease_{name}": values})
        area = np.trapezoid(found["disease_bacteria"], DAYS, axis=1)
        assert np.all(np.diff(area) > 0), name


def test_every_number_has_a_kind_of_evidence_and_fits_its_unit() -> None:
    card = packaged_catalog().situation(NAME)
    own = assembly(NAME).system.parameters
    assert {f"disease_{name}" for name in card.parameters} <= set(own)

"""Latent tuberculosis: laws of the hold, its rate, and harm by what helps in arthritis."""

from __future__ import annotations

import numpy as np
import pytest
from situation_alone import assembly, course

NAME = "tuberculosis"
YEARS = 365.25
TIMES = np.linspace(0.0, 2 * YEARS, 105)
BACILLI, HAZARD, HOLD = "disease_bacilli", "disease_reactivation_hazard", "disease_hold"


def rate_ratio(**settings: float) -> float:
    """Expected reactivations in two years, relative to the same carrier without a drug."""
    areas = [np.trapezoid(course(NAME, TIMES, **own)[BACILLI][0], TIMES) for own in (settings, {})]
    return float(areas[0] / areas[1])


def test_latency_rests_for_twenty_years() -> None:
    found = course(NAME, [0, 20 * YEARS])
    # The core rests to about four digits.
    assert found[BACILLI][0] == pytest.approx([1.0, 1.0], abs=2e-3)


def test_untreated_carriers_fall_ill_at_the_published_rate() -> None:
    # 0.084 per 100 person-years (Shea 2014) is the mean of carriers, whose frailty has the mean 1.
    hazard = course(NAME, TIMES, disease_frailty=1.0)[HAZARD][0]
    assert 100 * YEARS * hazard.mean() == pytest.approx(0.084, rel=0.01)
    own = assembly(NAME).varied["disease_frailty"]
    cv = own.spread.lognormal_cv
    assert own.value * np.sqrt(1 + cv**2) == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize("reserve", [0.5, 1.0, 3.0])
def test_what_is_left_of_the_hold_decides_where_bacilli_rest(reserve: float) -> None:
    # Without a limit of room, and with a hold H for ever: L = R/((1 + R)*H - 1), if H > 1/(1 + R).
    left = 1.1 / (1 + reserve)
    settings = {"disease_reserve": reserve, "disease_capacity": 1e9}
    # A hold of that size by TNF alone: x*(1 + h)/(h + x) = left.
    half = 0.02
    x = left * half / (1 + half - left)
    at = np.array([0.0, 6000.0])
    found = course(NAME, at, **settings, tnf_binding=1 / x)
    hold = found[HOLD][0, -1]
    if hold * (1 + reserve) > 1.02:
        assert found[BACILLI][0, -1] == pytest.approx(
            reserve / ((1 + reserve) * hold - 1), rel=0.01
        )
    else:
        assert found[BACILLI][0, -1] > 10


def test_more_blocker_is_less_hold_and_more_disease() -> None:
    binding = [0.0, 1.0, 10.0, 100.0, 1000.0, 10000.0]
    found = course(NAME, TIMES, tnf_binding=binding)
    assert np.all(np.diff(found[HOLD][:, -1]) < 0)
    assert np.all(np.diff(found[BACILLI][:, -1]) > 0)
    assert np.all(found[BACILLI] <= 100.0 + 1e-3)


def test_drugs_that_weaken_the_hold_raise_the_risk() -> None:
    blockers = {
        "TNF": {"tnf_binding": 3000.0},
        "JAK": {"jak1_binding": 2.0, "jak2_binding": 0.5},
        "glucocorticoid": {"glucocorticoid_binding": 0.3},
        "IL-12/23": {"il12_23_binding": 100.0},
    }
    ratios = {name: rate_ratio(**own) for name, own in blockers.items()}
    assert all(ratio > 1.02 for ratio in ratios.values()), ratios
    # No other blocker touches the hold as much as one of TNF.
    assert ratios["TNF"] == max(ratios.values())
    # An IL-6 receptor blocker or a lack of B cells hardly does.
    assert rate_ratio(il6r_binding=100.0) < 1.5
    assert rate_ratio(cd20_binding=100.0) == pytest.approx(1.0, abs=0.05)


def test_given_interferon_gamma_strengthens_the_hold() -> None:
    assert rate_ratio(ifngr_binding=1.0) < 1.0


def test_what_helps_in_arthritis_harms_here() -> None:
    blocked = {"tnf_binding": 1000.0}
    # Arthritis: the core in its inflamed steady state, and what TNF does there.
    inflamed = {"self_antigen": 0.65}
    days = np.array([0.0, 4000.0])
    signals = ["core_tnf_signal", "core_il6_signal", "core_macrophage"]
    untreated = course("rheumatoid-arthritis", days, **inflamed)
    treated = course("rheumatoid-arthritis", days, **inflamed, **blocked)
    for signal in signals:
        assert treated[signal][0, -1] < 0.8 * untreated[signal][0, -1]
    assert rate_ratio(**blocked) > 3

"""Published models beside results in closed form that their equations imply."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.published import published_course

CATALOG = packaged_catalog()


def course(name: str, until: float, settings: dict[str, float]):
    card = CATALOG.published_model(name)
    data = published_course(CATALOG, card, np.linspace(0.0, until, 201), settings).to_dataset()
    return {str(n): data[n].to_numpy()[0] for n in data.data_vars}


@pytest.mark.parametrize(("rate", "grows"), [(1.49, False), (1.51, True)])
def test_a_trace_of_pathogen_grows_only_past_the_local_response(rate: float, grows: bool) -> None:
    """Reynolds 2006: health is stable below k_pg = k_pm s_m/mu_m = 0.6*0.005/0.002 = 1.5."""
    pathogen = course("reynolds2006", 1.0, {"k_pg": rate, "P": 1e-9})["P"]
    assert (pathogen[-1] > pathogen[0]) == grows


def test_health_stays_health_without_pathogen() -> None:
    found = course("reynolds2006", 500.0, {"P": 0.0})
    assert np.all(found["N"] == 0.0)
    # 1e-9: the solver's tolerance
    assert np.allclose(found["CA"], 0.0125 / 0.1, rtol=1e-9)


def test_a_joint_without_its_feedback_rests_at_background_over_loss() -> None:
    """Baker 2013 with alpha2 = alpha4 = 0: p = alpha1/gamma, a = 0, reached exponentially."""
    found = course("baker2013", 4.0, {"alpha2": 0.0, "alpha4": 0.0, "p": 1.0, "a": 0.0})
    times = np.linspace(0.0, 4.0, 201)
    rest = 0.025 / 1.25
    # 1e-7: the solver's tolerance over the steps of the course
    assert np.allclose(found["p"], rest + (1 - rest) * np.exp(-1.25 * times), rtol=1e-7)
    assert np.all(found["a"] == 0.0)


def test_myeloma_without_immune_cells_grows_to_the_logistic_equilibrium() -> None:
    """Gallaher 2018: sm + rm (1 - M/km) M - dm M = 0 where nobody kills."""
    alone = {"Tc": 0.0, "N": 0.0, "sn": 0.0}
    found = course("gallaher2018", 5000.0, alone)
    a, b, c = -0.0175 / 10.0, 0.0175 - 0.002, 0.001
    exact = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
    assert found["M"][-1] == pytest.approx(exact, rel=1e-7)


def test_regulatory_cells_without_myeloma_rest_at_their_own_balance() -> None:
    """Gallaher 2018: rr (1 - Tr/kr) = dr without M protein."""
    found = course("gallaher2018", 5000.0, {"M": 0.0, "sm": 0.0})
    assert found["Tr"][-1] == pytest.approx(80.0 * (1 - 0.0757 / 0.0831), rel=1e-6)


def test_cytotoxic_cells_die_out_without_myeloma() -> None:
    """What the card says of Gallaher 2018 beside a core: nothing else keeps them."""
    cells = course("gallaher2018", 50_000.0, {"M": 0.0, "sm": 0.0})["Tc"]
    assert cells[-1] < 0.01 * cells[0]

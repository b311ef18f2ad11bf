"""One described patient: what is fixed in his twins, and what a run says of him."""

from __future__ import annotations

import pytest

from immunostat.base.errors import InputError, UnknownNameError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.cli.risk import _described, _needed
from immunostat.study.risk import WITH, WITHOUT, risk_of, with_covariates

CATALOG = packaged_catalog()
CARD = CATALOG.population("methotrexate-inadequate-response")


def test_what_is_said_of_a_patient_is_fixed_and_its_correlations_fall_away() -> None:
    found = with_covariates(CARD, {"age": 72.0, "female": 1.0, "latent_tuberculosis": 1.0})
    assert found.covariates["age"].distribution == "constant"
    assert found.covariates["female"].probability is not None
    assert found.covariates["female"].probability.value == 1.0
    assert "latent_tuberculosis" in found.covariates  # nobody asked the population for it
    heavy = with_covariates(CARD, {"weight": 60.0})
    assert all("weight" not in pair.of for pair in heavy.correlations)


def test_words_of_the_command_become_covariates() -> None:
    found = _described(72.0, "Female", 60.0, ["diabetes=yes", "crp=30"])
    assert found == {"age": 72.0, "female": 1.0, "weight": 60.0, "diabetes": 1.0, "crp": 30.0}
    with pytest.raises(InputError, match="not understood"):
        _described(None, "", None, ["diabetes"])
    with pytest.raises(InputError, match="sex"):
        _described(None, "x", None, [])


def test_patients_for_one_more_event_come_from_the_difference() -> None:
    assert _needed(2.0) == "50"
    assert _needed(-1.0) == "100 (less)"
    assert _needed(0.0) == "no difference"


def test_a_covariate_that_nothing_reads_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="shoe_size"):
        risk_of(CATALOG, "rheumatoid-arthritis", ["adalimumab label"], {"shoe_size": 43.0})


@pytest.mark.slow
def test_an_old_diabetic_patient_has_more_infections_than_the_population() -> None:
    said = {"age": 75.0, "diabetes": 1.0}
    found = risk_of(CATALOG, "rheumatoid-arthritis", ["adalimumab label"], said, n_twins=20)
    rows = found.table.set_index(["side_effect", "arm"])
    own = rows.loc["serious-infection", WITH]
    assert own["risk"] > 1.5 * own["population"]
    assert own["risk"] > rows.loc["serious-infection", WITHOUT]["risk"]
    assert own["background"] + own["mechanism"] + own["own"] == pytest.approx(100.0)
    drivers = found.drivers[found.drivers["side_effect"] == "serious-infection"]
    assert "diabetes" in set(drivers["driver"])
    assert len(drivers) <= 3

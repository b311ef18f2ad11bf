"""Covariates beside those of a population, and trial rules that look at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from immunostat.base.errors import InputError, UnknownNameError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.populations import population_spec
from immunostat.population.sample import sample_covariates
from immunostat.study.also import with_also
from immunostat.study.plan import prepare
from immunostat.study.study_reader import make_study, read_study

CATALOG = packaged_catalog()
CARD = CATALOG.population("methotrexate-inadequate-response")
STUDIES = Path(__file__).parents[3] / "studies"


def test_a_covariate_is_drawn_with_the_share_of_its_card_and_others_stay_the_same() -> None:
    numbers = np.arange(4000)
    plain = sample_covariates(population_spec(CARD), 3, numbers)
    wide = with_also(CARD, ["latent_tuberculosis"], CATALOG)
    found = sample_covariates(population_spec(wide), 3, numbers)
    assert float(np.mean(found["latent_tuberculosis"])) == pytest.approx(0.042, abs=0.01)
    for name, values in plain.items():
        np.testing.assert_array_equal(found[name], values)


def test_what_nobody_knows_the_share_of_must_be_said() -> None:
    with pytest.raises(InputError, match="how many people have 'hepatitis_b_prophylaxis'"):
        with_also(CARD, ["hepatitis_b_prophylaxis"], CATALOG)
    said = with_also(CARD, ["hepatitis_b_prophylaxis"], CATALOG, ["hepatitis_b_prophylaxis"])
    assert "hepatitis_b_prophylaxis" in said.covariates


def test_names_that_nothing_reads_or_that_are_there_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="latent_tb"):
        with_also(CARD, ["latent_tb"], CATALOG)
    with pytest.raises(InputError, match="by itself"):
        with_also(CARD, ["diabetes"], CATALOG)


def test_a_study_with_further_covariates_is_written_out_and_read_again() -> None:
    study = read_study(STUDIES / "tuberculosis-screening.yaml")
    assert study.population.also == ("latent_tuberculosis",)
    again = make_study(study.resolved(), CATALOG)
    assert again.population.also == study.population.also
    plan = prepare(again, CATALOG)
    (harm,) = [own for own in plan.side_effects if own.name == "tuberculosis"]
    assert "latent_tuberculosis" not in harm.unknown


@pytest.mark.parametrize(
    ("name", "least_arms"),
    [("tuberculosis-screening", 3), ("neutrophil-support", 3), ("when-to-vaccinate", 3),
     ("zoster-prophylaxis", 2), ("hepatitis-b-prophylaxis", 2), ("benefit-and-risk-by-dose", 3)],
)  # fmt: skip
def test_studies_of_prevention_are_read(name: str, least_arms: int) -> None:
    assert len(read_study(STUDIES / f"{name}.yaml").arms) >= least_arms

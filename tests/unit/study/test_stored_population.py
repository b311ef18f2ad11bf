"""A stored population comes back as it was, tells damage, and gives patients by their weight."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.stored_population import (
    CARD,
    TABLE,
    StoredPopulation,
    model_hash,
    open_population,
    table_hash,
    write_population,
)

CATALOG = packaged_catalog()
SITUATION, POPULATION = "rheumatoid-arthritis", "methotrexate-inadequate-response"


@pytest.fixture(scope="module")
def stored() -> StoredPopulation:
    weights = np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    table = pd.DataFrame(
        {
            "number": [0, 1, 3, 4, 7],
            "prevalence_weight": weights,
            "entered": [1, 1, 0, 1, 0],
            "covariate.age": [61.1, 1 / 3, 1e-9, 55.0, 1e12],
            "parameter.self_antigen": [0.1, 0.2, 0.3, 0.4, 0.5],
        }
    )
    card = {
        "format": 1,
        "situation": SITUATION,
        "population": POPULATION,
        "seed": 7,
        "size": 5,
        "targets": [{"name": "age", "mean": 1e-5, "sd": None}],
        "model_hash": model_hash(CATALOG, SITUATION, POPULATION),
        "catalog_hash": CATALOG.hash(),
        "table_hash": table_hash(table),
    }
    return StoredPopulation(table, card)


def test_it_comes_back_to_the_bit(stored: StoredPopulation, tmp_path: Path) -> None:
    opened = open_population(write_population(stored, tmp_path / "p"))
    pd.testing.assert_frame_equal(opened.table, stored.table, check_exact=True)
    assert dict(opened.card) == dict(stored.card)
    assert opened.version == stored.version
    assert opened.covariates.columns.tolist() == ["age"]


@pytest.mark.parametrize("where", [0.3, 0.5, 0.7, 0.9])
def test_a_flipped_byte_of_the_table_is_told_or_harmless(
    stored: StoredPopulation, tmp_path: Path, where: float
) -> None:
    folder = write_population(stored, tmp_path / "p")
    raw = bytearray((folder / TABLE).read_bytes())
    raw[int(len(raw) * where)] ^= 0xFF
    (folder / TABLE).write_bytes(bytes(raw))
    with contextlib.suppress(InputError):
        # Some bytes describe the file's maker and carry no value.
        pd.testing.assert_frame_equal(open_population(folder).table, stored.table, check_exact=True)


def test_a_cut_table_is_told_by_name(stored: StoredPopulation, tmp_path: Path) -> None:
    folder = write_population(stored, tmp_path / "p")
    raw = (folder / TABLE).read_bytes()
    (folder / TABLE).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match=r"population\.parquet: .* damaged"):
        open_population(folder)


def test_another_value_in_the_table_is_told(stored: StoredPopulation, tmp_path: Path) -> None:
    folder = write_population(stored, tmp_path / "p")
    changed = stored.table.assign(prevalence_weight=[0.2] * 5)
    changed.to_parquet(folder / TABLE, index=False)
    with pytest.raises(InputError, match="the table of the population is damaged or was edited"):
        open_population(folder)


def test_an_edited_card_is_told_by_name(stored: StoredPopulation, tmp_path: Path) -> None:
    folder = write_population(stored, tmp_path / "p")
    text = (folder / CARD).read_text()
    (folder / CARD).write_text(text.replace("seed: 7", "seed: 8"))
    with pytest.raises(InputError, match=r"population\.yaml: the card .* was edited"):
        open_population(folder)


def test_a_missing_table_and_a_later_layout_are_told(
    stored: StoredPopulation, tmp_path: Path
) -> None:
    folder = write_population(stored, tmp_path / "p")
    (folder / TABLE).unlink()
    with pytest.raises(InputError, match=r"population\.parquet: .* missing"):
        open_population(folder)
    later = StoredPopulation(stored.table, {**stored.card, "format": 2})
    with pytest.raises(InputError, match="later version"):
        open_population(write_population(later, tmp_path / "q"))
    with pytest.raises(InputError, match="no such population folder"):
        open_population(tmp_path / "none")


def test_a_folder_with_something_else_is_left_alone(
    stored: StoredPopulation, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds no population"):
        write_population(stored, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_any_run_of_candidates_holds_patients_in_proportion(stored: StoredPopulation) -> None:
    for first in (0, 12_345, 2**40):
        rows = stored.choose(7, np.arange(first, first + 1000))
        shares = np.bincount(rows, minlength=5) / 1000
        # The sequence's discrepancy at 1000 points is some 2/1000; random choice errs by 14/1000.
        np.testing.assert_allclose(shares, stored.weights, atol=0.004)


def test_a_candidate_is_chosen_by_seed_and_number_alone(stored: StoredPopulation) -> None:
    whole = stored.choose(7, np.arange(300))
    np.testing.assert_array_equal(stored.choose(7, np.array([250, 9])), whole[[250, 9]])
    assert not np.array_equal(stored.choose(8, np.arange(300)), whole)


def test_only_the_right_situation_and_unchanged_cards_are_served(stored: StoredPopulation) -> None:
    assert stored.check(CATALOG) == []
    with pytest.raises(InputError, match="the study of 'multiple-sclerosis'"):
        stored.check(CATALOG, "multiple-sclerosis")
    other = StoredPopulation(stored.table, {**stored.card, "model_hash": "0"})
    with pytest.raises(InputError, match="build it again: immunostat population build"):
        other.check(CATALOG, SITUATION)
    elsewhere = StoredPopulation(stored.table, {**stored.card, "catalog_hash": "0"})
    assert "other cards of the catalog have changed" in elsewhere.check(CATALOG)[0]

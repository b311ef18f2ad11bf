"""What is wrong with the card of a published model is said with its place and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from immunostat.base.errors import ImmunostatError
from immunostat.catalog.check import check_card
from immunostat.catalog.lookup import Catalog, data_folder
from immunostat.catalog.published import reproduced

CARD = (data_folder() / "published" / "baker2013.yaml").read_text(encoding="utf-8")


def own_catalog(folder: Path, old: str, new: str) -> Catalog:
    assert old in CARD
    (folder / "published").mkdir()
    (folder / "published" / "baker2013.yaml").write_text(CARD.replace(old, new, 1), "utf-8")
    return Catalog.packaged(folder)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  alpha3:\n", "  alpha5:\n", "has no 'alpha5'"),
        ("  p: {title", "  q: {title", "has no 'q'"),
        ("module: baker2013", "module: baker", "no 'model baker()"),
        ("{alpha2: 18, alpha4: 7}", "{beta: 18}", "'beta'"),
        ("kind: lasting states", "kind: fold", "'fold' needs 'parameter'"),
        ("end: 100", "end: 0, begin: 1", "'end' must lie after 'begin'"),
        ("tolerance: 1e-8", "tolerance: 0", "greater than 0"),
        ("fragment: models/published/baker2013.ant", "fragment: x.ant", "no such file"),
    ],
)
def test_a_broken_card_is_explained(tmp_path: Path, old: str, new: str, words: str) -> None:
    problems = [
        str(p) for p in check_card(own_catalog(tmp_path, old, new), "published", "baker2013")
    ]
    assert problems
    assert words in problems[0]


def test_a_parameter_without_a_number_is_named(tmp_path: Path) -> None:
    start = CARD.index("  alpha3:\n")
    old = CARD[start : CARD.index("  alpha4:\n")]
    (problem,) = check_card(own_catalog(tmp_path, old, ""), "published", "baker2013")
    assert "'alpha3' of the model is missing" in str(problem)


def test_a_threshold_that_is_not_in_its_range_is_refused(tmp_path: Path) -> None:
    old = "reading: {kind: value, output: p, end: 100}"
    new = (
        "reading: {kind: value, output: p, end: 100, "
        "threshold: {of: alpha1, low: 0.01, high: 0.02, crosses: 5}}"
    )
    catalog = own_catalog(tmp_path, old, new)
    with pytest.raises(ImmunostatError, match="crosses 5 0 times for alpha1"):
        reproduced(catalog, catalog.published_model("baker2013"))


def test_a_result_beyond_its_tolerance_differs(tmp_path: Path) -> None:
    catalog = own_catalog(tmp_path, "value: 0.0203298264712407", "value: 0.0204")
    first, *others = reproduced(catalog, catalog.published_model("baker2013"))
    assert not first.agrees
    assert first.difference == pytest.approx(0.0203298264712407 - 0.0204, abs=1e-9)
    assert all(result.agrees for result in others)

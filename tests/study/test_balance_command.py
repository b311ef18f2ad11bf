"""Command balance, on a small study from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from immunostat import write_result
from immunostat.catalog.lookup import packaged_catalog
from immunostat.cli.app import app
from immunostat.study.run import run
from immunostat.study.study_reader import make_study

STUDY = {
    "situation": "rheumatoid-arthritis",
    "population": {
        "name": "methotrexate-inadequate-response",
        "patients": 12,
        "seed": 2,
        "also": ["latent_tuberculosis"],
    },
    "arms": {
        "placebo": [],
        "low": ["adalimumab 10 mg subcutaneous every 2 weeks"],
        "high": ["adalimumab 40 mg subcutaneous every 2 weeks"],
    },
    "duration": "8 weeks",
    "endpoints": ["ACR20"],
    "side_effects": ["tuberculosis", "serious-infection"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("balance") / "result"
    return write_result(run(make_study(STUDY, packaged_catalog())), path)


def told(*words: object) -> str:
    found = CliRunner().invoke(app, ["balance", *map(str, words)])
    assert found.exit_code == 0, found.output
    return found.output


def test_weights_on_the_line_make_a_net_benefit(folder: Path) -> None:
    text = told(folder, "--weight", "ACR20=1", "--weight", "serious-infection=2", "--json")
    found = json.loads(text[: text.rindex("}") + 1])
    assert found["reference"] == "placebo"
    assert found["weights"]["serious-infection"] == {"weight": 2.0}
    for arm in found["net"]:
        assert arm["net"] == pytest.approx(arm["benefit"] - arm["harm"])
    assert {own["outcome"] for own in found["needed"]} >= {"ACR20", "tuberculosis"}


def test_weights_to_begin_with_say_that_they_are_illustrative(folder: Path) -> None:
    assert "illustrative" in told(folder)


def test_doses_and_figures_are_written(folder: Path, tmp_path: Path) -> None:
    doses = [word for text in ("placebo=0", "low=10", "high=40") for word in ("--dose", text)]
    text = told(folder, *doses, "-o", tmp_path / "out")
    assert "weighs best" in text
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"net.csv", "quadrant.svg", "value-tree.svg", "dose-balance.svg"} <= names


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["--weight", "ACR21=1"], "ACR20"),
        (["--weight", "ACR20"], "NAME=NUMBER"),
        (["--reference", "placbo"], "placebo"),
        (["--dose", "high=40"], "three arms"),
    ],
)
def test_wrong_words_are_answered_with_a_remedy(
    folder: Path, words: list[str], remedy: str
) -> None:
    found = CliRunner().invoke(app, ["balance", str(folder), *words])
    assert found.exit_code == 2
    assert remedy in found.output

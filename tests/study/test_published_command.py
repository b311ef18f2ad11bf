"""`immunostat published` from a shell's point of view."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from immunostat.catalog.lookup import packaged_catalog
from immunostat.cli.app import app


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_all_models_stand_in_a_table() -> None:
    rows = json.loads(call("published", "--json").stdout)
    assert [row["name"] for row in rows] == list(packaged_catalog().published_models())
    assert all(row["printed results"] >= 1 for row in rows)


def test_one_model_says_what_agrees_and_where_it_comes_from() -> None:
    result = call("published", "reynolds2006", "--until", 100)
    assert result.exit_code == 0
    for part in (
        "what it leaves out",
        "beside an explicit core",
        "0.5137",
        "agrees",
        "time [hour]",
    ):
        assert part in result.stdout
    assert "DIFFERS" not in result.stdout


def test_a_course_follows_the_settings() -> None:
    """At the growth rate 0 and without killing, pathogen stays what it was."""
    held = ["--set", "k_pg=0", "--set", "k_pm=0", "--set", "k_pn=0"]
    result = call("published", "reynolds2006", "--csv", "--until", 50, *held)
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [float(row["pathogen"]) for row in rows] == pytest.approx([1.0] * len(rows))
    assert float(rows[-1]["time [hour]"]) == 50.0


def test_every_number_is_shown_with_its_source() -> None:
    rows = json.loads(call("published", "baker2013", "--numbers", "--json").stdout)
    named = {row["number"]: row for row in rows}
    assert named["parameters.alpha4"]["value"] == 3.5
    assert named["parameters.alpha4"]["source"] == "baker2013"


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_figure_is_written(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"course.{ending}"
    assert call("published", "gallaher2018", "--plot", out).exit_code == 0
    assert out.stat().st_size > 5_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reynolds"], "reynolds2006"),
        (["reynolds2006", "--set", "kpg=1"], "k_pg"),
        (["reynolds2006", "--set", "k_pg"], "not a name and a number"),
        (["reynolds2006", "--until", "0"], "--until 200"),
        (["reynolds2006", "--plot", "x.pdf"], ".png or .svg"),
        (["--until", "5"], "immunostat published NAME"),
    ],
)
def test_wrong_input_is_answered_with_the_way_out(arguments: list[str], words: str) -> None:
    result = call("published", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr

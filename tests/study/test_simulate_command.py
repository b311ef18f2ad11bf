"""`immunostat simulate` and `immunostat export` from a shell's point of view."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import xarray as xr
from typer.testing import CliRunner, Result

from immunostat.cli.app import app

MODEL = """
model absorption()
  unit day = 86400 second; unit time_unit = day;
  var depot, central; depot = 0; central = 0; depot has mg; unit mg = 1e-3 gram;
  ka = 1; ke = 0.2;
  depot' = -ka*depot;  central' = ka*depot - ke*central;
end
"""
STUDY = Path(__file__).resolve().parents[2] / "studies" / "ra-biologics.yaml"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "absorption.ant"
    path.write_text(MODEL)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_table_is_printed_with_units(model: Path) -> None:
    result = call("simulate", model, "--until", 2, "--samples", 3, "--dose", "10 depot")
    assert result.exit_code == 0
    assert "time [day]" in result.stdout
    assert "depot [mg]" in result.stdout
    assert "1.35335" in result.stdout  # 10 exp(-2)


def test_json_is_for_programs(model: Path) -> None:
    result = call(
        "simulate", model, "--samples", 2, "--set", "depot=1", "--json", "--show", "depot"
    )
    assert json.loads(result.stdout)[0] == {"time [day]": 0.0, "depot [mg]": 1.0}


@pytest.mark.parametrize("ending", ["csv", "nc", "png", "svg"])
def test_a_file_of_each_kind_is_written(model: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"course.{ending}"
    result = call("simulate", model, "--dose", "10 depot at 1 every 24 times 3 over 2", "-o", out)
    assert result.exit_code == 0
    if ending == "csv":
        rows = list(csv.reader(out.read_text().splitlines()))
        assert rows[0] == ["time [day]", "depot [mg]", "central"]
        assert len(rows) == 102
    elif ending == "nc":
        with xr.open_dataset(out, engine="scipy", decode_times=False) as data:
            assert data["depot"].attrs["units"] == "mg"
            assert data.sizes["time"] == 101
    else:
        assert out.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["-o", "course.xlsx"], "cannot write '.xlsx' files"),
        (["--until", "-1"], "must end after it begins"),
        (["--set", "ka"], "is not a name and a number"),
        (["--set", "ka=fast"], "is not a name and a number"),
        (["--set", "kaa=1"], "did you mean 'ka'"),
        (["--show", "nothing"], "has nothing called 'nothing'"),
        (["--dose", "10 gut"], "'gut' is no state"),
    ],
)
def test_a_mistake_is_said_in_words(model: Path, arguments: list[str], part: str) -> None:
    result = call("simulate", model, *arguments)
    assert result.exit_code == 2
    assert part in result.stderr
    assert "Traceback" not in result.output


def test_a_study_is_exported_to_a_file(tmp_path: Path) -> None:
    out = tmp_path / "study.xml"
    result = call("export", STUDY, "--sbml", "--patient", 0, "--arm", "placebo", "-o", out)
    assert result.exit_code == 0
    assert "patient 0 of arm 'placebo'" in result.stderr
    assert out.read_text().startswith("<?xml")
    assert call("export", STUDY).exit_code == 2

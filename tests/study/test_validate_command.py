"""The command validate SITUATION, from the outside."""

import csv
import io
import json

from typer.testing import CliRunner

from immunostat.cli.app import app

FEW = ("--patients", 20, "--trial", "ARMADA", "--trial", "CHARISMA", "--quiet")


def invoke(*arguments):
    outcome = CliRunner().invoke(app, ["validate", *(str(a) for a in arguments)])
    assert outcome.exit_code == 0, outcome.output
    return outcome


def refused(*arguments):
    outcome = CliRunner().invoke(app, ["validate", *(str(a) for a in arguments)])
    assert outcome.exit_code == 2, outcome.output
    assert outcome.stdout == ""
    return outcome.stderr


def test_arms_errors_and_the_goal_are_printed():
    said = invoke("rheumatoid-arthritis", *FEW).stdout
    for words in ("ARMADA", "Not simulated", "methotrexate was stopped", "nothing to judge by"):
        assert words in said
    assert "mean absolute error at most 6 points" in said


def test_the_name_of_a_situation_is_enough():
    short = invoke("rheumatoid-arthritis", *FEW, "--csv").stdout
    assert short == invoke("situation", "rheumatoid-arthritis", *FEW, "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(short)))
    assert {row["trial"] for row in rows} == {"ARMADA", "CHARISMA"}
    assert {row["role"] for row in rows} == {"held-back"}


def test_json_is_for_programs():
    data = json.loads(invoke("rheumatoid-arthritis", *FEW, "--json").stdout)
    assert data["patients"] == 20
    assert {"errors", "results", "not_simulated", "seed"} <= set(data)
    assert all(row["reason"] for row in data["not_simulated"])


def test_a_folder_gets_tables_figures_and_numbers(tmp_path):
    invoke("rheumatoid-arthritis", *FEW, "-o", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "results.csv",
        "not-simulated.csv",
        "errors.csv",
        "validation.json",
        "agreement.svg",
        "forest.svg",
    }


def test_what_is_not_known_is_refused_with_a_hint(tmp_path):
    assert "rheumatoid-arthritis" in refused("rheumatoid-artritis", *FEW)
    assert ".csv" in refused("rheumatoid-arthritis", *FEW, "-o", tmp_path / "a.txt")


def test_pk_is_still_its_own_command():
    said = invoke("pk", "adalimumab", "--patients", 10).stdout
    assert "Predicted and published exposure" in said

"""The commands pk, validate pk and drugs, from the outside."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from immunostat.cli.app import app


def invoke(*arguments):
    outcome = CliRunner().invoke(app, [str(a) for a in arguments])
    assert outcome.exit_code == 0, outcome.output
    return outcome


def refused(*arguments):
    outcome = CliRunner().invoke(app, [str(a) for a in arguments])
    assert outcome.exit_code == 2, outcome.output
    assert outcome.stdout == ""
    return outcome.stderr


def test_pk_in_the_words_of_a_clinic():
    words = "25 mg daily for 21 of 28 days"
    said = invoke("pk", "lenalidomide", "--dose", words, "--patients", 40).stdout
    for name in ("Cmax", "AUC over the interval", "half-life", "trough", "Cmin"):
        assert name in said


def test_pk_takes_the_label_where_no_dose_is_said():
    outcome = invoke("pk", "adalimumab", "--patients", 20, "--csv")
    assert "40 mg subcutaneous every 2 weeks" in outcome.stderr
    rows = list(csv.DictReader(io.StringIO(outcome.stdout)))
    assert {"metric", "interval", "median", "5 %", "95 %", "unit"} == set(rows[0])


def test_the_same_seed_gives_the_same_numbers():
    command = ("pk", "tofacitinib", "--patients", 30, "--json")
    assert json.loads(invoke(*command).stdout) == json.loads(invoke(*command).stdout)


def test_pk_writes_a_folder_and_files(tmp_path):
    command = ("pk", "tocilizumab", "--patients", 20, "-o")
    invoke(*command, tmp_path / "all")
    names = {path.name for path in (tmp_path / "all").iterdir()}
    assert names == {"concentration.csv", "concentration.svg", "exposure.csv"}
    invoke(*command, tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pk", "adalimumab", "--dose", "40 subcutaneous weekly"), "has no unit"),
        (("pk", "risankizumab", "--dose", "40 mg weekly"), "no route"),
        (("pk", "adalimumab", "--weeks", "-1"), "weeks lie between"),
        (("pk", "adalimumb"), "did you mean 'adalimumab'"),
        (("drugs", "--target", "TNFF"), "did you mean 'TNF'"),
        (("drugs", "--direction", "sideways"), "allowed: suppressant"),
        (("drugs", "--class", "nothing"), "no drug is of a class"),
        (("drugs", "--indication", "happiness"), "no drug is used for"),
    ],
)
def test_bad_input_is_answered(arguments, message):
    assert message in refused(*arguments)


def test_validate_pk_says_ratio_and_share():
    said = invoke("validate", "pk", "tocilizumab", "--patients", 30).stdout
    assert "within 0.8 to 1.25" in said
    found = json.loads(invoke("validate", "pk", "tocilizumab", "--patients", 30, "--json").stdout)
    assert found["summary"]["drugs"] == 1


def test_filters_of_drugs_narrow_the_table():
    every = json.loads(invoke("drugs", "--json").stdout)
    tnf = json.loads(invoke("drugs", "--target", "tnf", "--json").stdout)
    assert 0 < len(tnf) < len(every)
    assert all("TNF" in " ".join(row["targets"]) for row in tnf)
    names = {row["name"] for row in json.loads(invoke("drugs", "--class", "jak", "--json").stdout)}
    assert "tofacitinib" in names


def test_a_card_reads_like_a_page():
    said = invoke("drugs", "tocilizumab").stdout
    for title in ("What it is", "What it does", "Dose", "Kinetics at a glance", "Harms", "Sources"):
        assert title in said
    assert "half-life" in said

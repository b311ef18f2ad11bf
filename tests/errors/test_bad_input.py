"""What a person types wrong: one clear message with place and remedy, exit code 2, nothing written.

Every case goes through the command line as installed programs do.
"""

import pytest
from typer.testing import CliRunner

from immunostat.catalog.lookup import data_folder
from immunostat.cli import app

STUDY = """\
title: A study
situation: rheumatoid-arthritis
population: {name: methotrexate-inadequate-response, patients: 4, seed: 7}
arms:
  placebo: []
  adalimumab: [adalimumab 40 mg subcutaneous every 2 weeks]
duration: 4 weeks
"""

BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in ("ab", "bc", "cd"))


def refused(arguments, folder, *parts):
    """Run the program and check that it refuses well; returns its message."""
    before = sorted(path.name for path in folder.rglob("*"))
    outcome = CliRunner().invoke(app, [str(a) for a in arguments])
    assert outcome.exit_code == 2, outcome.output
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("error: ")
    assert "Traceback" not in outcome.stderr
    assert sorted(path.name for path in folder.rglob("*")) == before
    for part in parts:
        assert part in outcome.stderr, outcome.stderr
    return outcome.stderr


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "line", "remedy"),
    [
        ("adalimumab 40", "adalimumb 40", 6, "did you mean 'adalimumab'"),
        ("40 mg", "40 mL", 6, "for example '40 mg' or '40 mg/kg'"),
        ("40 mg", "40", 6, "for example '40 mg' or '40 mg/kg'"),
        ("40 mg", "-40 mg", 6, "for example '40 mg'"),
        ("mg subcutaneous", "mg", 6, "routes of adalimumab: subcutaneous"),
        ("mg subcutaneous", "mg oral", 6, "routes of adalimumab: subcutaneous"),
        ("every 2 weeks", "every 2", 6, "for example 'every 2 weeks'"),
        ("every 2 weeks", "at weeks 0, 2, 6", 6, "put the text before 2 in quotes"),
        ("patients: 4", "patients: -4", 3, "it should be greater than 0"),
        ("duration: 4 weeks", "duration: 4", 7, "for example 24 weeks"),
        ("duration: 4 weeks", "duration: 4 mg", 7, "for example 24 weeks"),
        ("duration:", "duratoin:", 7, "did you mean 'duration'"),
        ("placebo: []", "placebo: []\n  placebo: []", 6, "it stands first at"),
        ("placebo: []", "placebo: [", 7, "begins on line 5"),
        ("  placebo: []", "\tplacebo: []", 5, "check the indentation"),
        ("title: A study", BOMB + "title: A study", 2, "write the value"),
        ("title: A study", "title: !!python/name:os.system x", 1, "remove the tag"),
        ("title: A study", "title: A study\nrules: [{do: hold}]", 2, "add 'when: ...' here"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check", "show"])
def test_a_wrong_study(here, command, old, new, line, remedy):
    assert old in STUDY
    (here / "study.yaml").write_text(STUDY.replace(old, new, 1), encoding="utf-8")
    refused([command, "study.yaml"], here, f"study.yaml:{line}: ", remedy)


@pytest.mark.parametrize("command", ["run", "check", "show"])
def test_a_missing_file_offers_its_neighbors(here, command):
    (here / "study.yaml").write_text(STUDY)
    refused([command, "stduy.yaml"], here, "stduy.yaml: ", "did you mean 'study.yaml'?")


@pytest.mark.parametrize("command", ["run", "check", "show"])
def test_a_folder_in_place_of_a_file(here, command):
    refused([command, "."], here, "this is a folder")


def test_text_that_is_not_utf8_or_too_large(here):
    (here / "study.yaml").write_bytes(b"title: x\nsituation: \xff\n")
    refused(["run", "study.yaml"], here, "study.yaml:2: ", "save the file as UTF-8")
    (here / "study.yaml").write_bytes(b"#" * 2_000_001)
    refused(["run", "study.yaml"], here, "study.yaml: ", "larger than 2 MB")


def test_a_negative_weight(here):
    (here / "study.yaml").write_text(STUDY)
    refused(["show", "study.yaml", "--doses", "--weight", "-70"], here, "--weight -70", "70")


def test_a_wrong_setting(here):
    (here / "study.yaml").write_text(STUDY)
    refused(["run", "study.yaml", "--set", "population.patients=-1"], here, "greater than 0")
    refused(["run", "study.yaml", "--patients", "-1"], here, "population.patients=-1")
    refused(["run", "study.yaml", "--set", "duration"], here, "KEY=VALUE")


def test_a_folder_that_is_not_ours_is_not_overwritten(here):
    (here / "study.yaml").write_text(STUDY)
    (here / "thesis").mkdir()
    (here / "thesis" / "chapter.txt").write_text("years of work")
    refused(["run", "study.yaml", "-o", "thesis"], here, "no run.json", "--force")
    refused(["run", "study.yaml", "-o", "study.yaml"], here, "is a file")


def test_antimony_that_cannot_be_read(here):
    (here / "model.ant").write_text("model x()\n  A = 1;\n  J0: A -> ; k*A*;\nend\n")
    refused(["check", "model.ant"], here, "model.ant:3: ", "not valid Antimony")


def test_a_model_of_unknown_kind(here):
    (here / "model.xml").write_text("this is not SBML")
    refused(["check", "model.xml"], here, "model.xml")


@pytest.mark.parametrize(
    ("old", "new", "message", "remedy"),
    [
        ("unit: L/h", "unit: mL", "clearance has unit 'mL'", "L/day"),
        ("unit: L/h", "unti: L/h", "unknown key 'pk.parameters.clearance.unti'", "'unit'"),
        ("unit: L/h", "unit: 9^9^9", "power that is not a small number", "L/day"),
        ("value: 0.0244", "value: many", "'many' does not fit", "valid number"),
        ("source: kang2020", "source: kang2021", "'kang2021' is not in sources.bib", "'kang2020'"),
    ],
)
def test_a_wrong_card(here, old, new, message, remedy):
    text = (data_folder() / "drugs" / "adalimumab.yaml").read_text(encoding="utf-8")
    assert old in text
    (here / "drugs").mkdir()
    (here / "drugs" / "adalimumab.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    said = refused(["check", "drugs/adalimumab.yaml"], here, message, remedy)
    assert "drugs/adalimumab.yaml:" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["drugs", "adalimumb"],
        ["targets", "TNG"],
        ["situations", "reumatoid-arthritis"],
        ["side-effects", "neutropnia"],
        ["trials", "OPTOIN"],
        ["sources", "fray2010"],
        ["schema", "studdy"],
    ],
)
def test_an_unknown_name(here, arguments):
    refused(arguments, here, arguments[1])


def test_control_characters_do_not_reach_the_terminal(here):
    line = 'adalimumab: ["adalimumab \\e[31m40 mg subcutaneous every 2 weeks"]'
    (here / "study.yaml").write_text(STUDY.replace("adalimumab: [", f"{line} # [", 1))
    assert "\x1b" not in refused(["check", "study.yaml"], here, "study.yaml:6: ")

"""The command line on good input: what it prints where, and that help is honest."""

import json

import pytest
from typer.testing import CliRunner

from immunostat.cli import app

STUDY = """\
title: A study
situation: rheumatoid-arthritis
population: {name: methotrexate-inadequate-response, patients: 4, seed: 7}
arms:
  placebo: []
  tocilizumab: tocilizumab label
duration: 8 weeks
"""


def invoke(*arguments):
    outcome = CliRunner().invoke(app, list(arguments))
    assert outcome.exit_code == 0, outcome.output
    return outcome


COMMANDS = [
    command.name or command.callback.__name__.replace("_", "-")
    for command in app.registered_commands
]


def test_every_help_teaches_and_gives_no_medical_advice():
    assert len(COMMANDS) > 8
    for command in ([], *([name] for name in COMMANDS)):
        said = " ".join(invoke(*command, "--help").stdout.split())
        assert "gives no medical advice" in said
        assert "Example: immunostat" in said


@pytest.mark.parametrize(
    "command", ["drugs", "targets", "situations", "side-effects", "trials", "sources", "doctor"]
)
def test_tables_are_text_json_or_csv(command):
    assert invoke(command).stdout
    records = json.loads(invoke(command, "--json").stdout)
    assert records
    lines = invoke(command, "--csv").stdout.splitlines()
    assert lines[0] == ",".join(records[0])
    assert len(lines) >= len(records) + 1


def test_one_drug_shows_its_numbers_and_sources():
    assert "pk.parameters.clearance" in invoke("drugs", "adalimumab", "--numbers").stdout
    assert "tuberculosis" in invoke("drugs", "adalimumab").stdout
    assert json.loads(invoke("drugs", "adalimumab", "--json").stdout)["class"] == "TNF inhibitor"


def test_one_trial_tells_who_left_and_how_it_counted_him():
    told = invoke("trials", "OPTION").output
    assert "Rescued, and then no responder: tender-joints-percent-change > -20" in told
    assert "Left for other reasons: placebo + methotrexate 3.7 % by week 24" in told
    assert "Means hold the last value of who left." in invoke("trials", "SERENE").output
    assert "Rescued" not in invoke("trials", "AFFIRM").output


@pytest.mark.parametrize("what", ["study", "drug", "target", "trial", "side-effect"])
def test_schemas_are_json_schemas(what):
    assert json.loads(invoke("schema", what).stdout)["type"] == "object"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    return "study.yaml"


def test_check_says_that_a_study_is_well(study):
    outcome = invoke("check", study)
    assert outcome.stdout == ""
    assert "2 arms and 2 doses; no error" in outcome.stderr


def test_a_dry_run_writes_nothing(study, tmp_path):
    assert "tocilizumab 8 mg/kg" in invoke("run", study, "--dry-run").stdout
    assert [path.name for path in tmp_path.iterdir()] == [study]


def test_doses_for_a_weight_are_capped(study):
    doses = json.loads(invoke("show", study, "--doses", "--weight", "120", "--json").stdout)
    assert [(d["day"], d["given"]) for d in doses] == [(0, "800 mg"), (28, "800 mg")]


def test_show_prints_a_study_file_that_reads_back(study, tmp_path):
    resolved = invoke("show", study, "--json").stdout
    (tmp_path / "again.yaml").write_text(resolved)
    assert invoke("show", "again.yaml", "--json").stdout == resolved


def test_version_is_printed():
    assert invoke("--version").stdout.startswith("immunostat ")


def test_an_earlier_result_is_replaced_and_failures_are_told(study, tmp_path, monkeypatch):
    import immunostat.report.page as page
    import immunostat.study.result as results
    import immunostat.study.run as runs
    from immunostat.study.result import Result

    def simulate(plan, **options):
        return Result(plan.resolved(), run={"seed": 7, "failed": {"step too small": 2}})

    monkeypatch.setattr(runs, "run", simulate)
    monkeypatch.setattr(page, "write", lambda answer, folder: None)
    assert results is not None
    for _ in range(2):
        outcome = CliRunner().invoke(app, ["run", study, "--quiet"])
        assert outcome.exit_code == 3, outcome.output
        assert "2 step too small" in outcome.stderr
        assert outcome.stdout == ""
    assert (tmp_path / "results" / "study" / "run.json").is_file()


def test_an_interrupt_writes_nothing(study, tmp_path, monkeypatch):
    import immunostat.study.run as runs

    def simulate(plan, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "run", simulate)
    assert CliRunner().invoke(app, ["run", study]).exit_code == 130
    assert [path.name for path in tmp_path.iterdir()] == [study]

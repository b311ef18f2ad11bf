"""The number of patients that a trial needs, against the analytic one for the same pool."""

from __future__ import annotations

import json

import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize
from typer.testing import CliRunner

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.cli import app
from immunostat.study.required_size import required_size
from immunostat.study.run import run
from immunostat.study.study_reader import make_study

STUDY = {
    "situation": "rheumatoid-arthritis",
    "population": {"name": "methotrexate-inadequate-response", "patients": 30, "seed": 2},
    "arms": {"placebo": [], "drug": "tocilizumab 4 mg/kg intravenous over 1 hour every 4 weeks"},
    "duration": "8 weeks",
    "endpoints": ["ACR20"],
    "side_effects": "none",
    "analyses": [{"endpoint": "ACR20", "arm": "drug", "versus": "placebo"}],
}


def test_it_is_the_analytic_size_for_two_proportions() -> None:
    pool = 1200
    found = required_size(make_study(STUDY), packaged_catalog(), pool=pool, replicates=600)
    shares = run(make_study({**STUDY, "population": {**STUDY["population"], "patients": pool}}))
    last = shares.endpoints.query("time_day == 56 and endpoint == 'ACR20'").set_index("arm")[
        "estimate"
    ]
    effect = proportion_effectsize(last["drug"], last["placebo"])
    analytic = NormalIndPower().solve_power(effect, power=0.8, alpha=0.05)
    # The interval of the search (a few percent), and the normal approximations of both.
    assert found.size.n == pytest.approx(analytic, rel=0.12)
    assert found.difference == pytest.approx(last["drug"] - last["placebo"])


def test_a_study_without_the_analysis_is_refused() -> None:
    with pytest.raises(InputError, match="analyses"):
        required_size(make_study({**STUDY, "analyses": []}), packaged_catalog())


def test_the_command_prints_the_size(tmp_path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(STUDY))
    options = ["--pool", "400", "--replicates", "60", "--json", "-q"]
    outcome = CliRunner().invoke(app, ["sample-size", str(file), *options])
    assert outcome.exit_code == 0, outcome.output
    said = json.loads(outcome.stdout)
    assert 10 < said["patients_per_arm"] < 200
    assert said["endpoint"] == "ACR20"

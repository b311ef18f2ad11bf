"""Studies whose numbers are varied: which can be, in whom, and what the commands write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import Catalog, packaged_catalog
from immunostat.cli import app
from immunostat.study.plan import prepare
from immunostat.study.run import run
from immunostat.study.sensitivity import local_sensitivity
from immunostat.study.study_reader import read_study
from immunostat.study.trial_answer import outputs_for, trial_answer
from immunostat.study.varied import FACTORS, chosen, varied_parameters

STUDY = Path(__file__).parents[2] / "studies" / "ra-biologics.yaml"
SMALL = ["population.patients=30", "duration=8 weeks"]


@pytest.fixture(scope="module")
def study():
    return read_study(STUDY, settings=SMALL)


@pytest.fixture(scope="module")
def answer(study):
    situation = packaged_catalog().situation(study.situation)
    outputs = outputs_for(
        study, situation, ["DAS28-CRP-change", "ACR20"], ["adalimumab", "tocilizumab-8"]
    )
    return trial_answer(study, packaged_catalog(), outputs, 30)


@pytest.fixture(scope="module")
def parameters(answer):
    return varied_parameters(packaged_catalog(), answer.plan)


def test_the_unchanged_model_gives_the_endpoints_of_a_run(study, answer):
    table = run(study).endpoints
    for output, values in zip(answer.outputs, answer({}).values(), strict=True):
        own = table[(table.arm == output.arm) & (table.endpoint == output.endpoint)]
        estimate = own[own.time_day == output.time_day].estimate.iloc[0]
        # Other arms are not in the joined model: the same numbers up to the solver's tolerance.
        assert np.mean(values) == pytest.approx(estimate, abs=1e-4)


def test_every_parameter_that_is_offered_can_be_varied(answer, parameters):
    names = {parameter.name for parameter in parameters}
    assert {"core_tnf_loss", "disease_driver_tnf", "self_antigen"} <= names
    assert {"adalimumab_clearance_typical", "adalimumab_TNF_dissociation"} <= names
    answer.plan.with_factors(dict.fromkeys(names, 1.1))


def test_what_each_patient_brings_is_not_offered(parameters):
    names = {parameter.name for parameter in parameters}
    assert not names & {"core_seropositive", "core_crp_maximal", "disease_in_trial"}
    assert not any(name.startswith("disease_") and name.endswith("_entry") for name in names)
    assert "core_neutrophils_entry" not in names


def test_a_weaker_binding_drug_lowers_the_effect_of_its_own_arm_alone(answer):
    base, weak = answer({}), answer({"adalimumab_TNF_dissociation": 10.0})
    own, other = (f"DAS28-CRP-change, {arm}, week 8" for arm in ("adalimumab", "tocilizumab-8"))
    assert weak[own].mean() > base[own].mean()
    np.testing.assert_array_equal(weak[other], base[other])


def test_the_same_people_are_looked_at_whatever_is_changed(answer, study):
    changed = answer({"core_slope": 0.5})
    assert all(len(values) == 30 for values in changed.values())
    again = trial_answer(study, packaged_catalog(), answer.outputs, 30, entry="again")
    name = str(answer.outputs[0])
    # Some are no longer plausible under so flat a response, and others enter.
    assert not np.array_equal(again({"core_slope": 0.5})[name], changed[name])
    np.testing.assert_array_equal(again({})[name], answer({})[name])


def test_a_difference_is_taken_within_patients(study, answer):
    situation = packaged_catalog().situation(study.situation)
    outputs = outputs_for(study, situation, ["ACR20"], ["adalimumab"], "tocilizumab-8")
    found = trial_answer(study, packaged_catalog(), outputs, 30)({})
    whole = answer({})
    np.testing.assert_array_equal(
        found["ACR20, adalimumab minus tocilizumab-8, week 8"],
        whole["ACR20, adalimumab, week 8"] - whole["ACR20, tocilizumab-8, week 8"],
    )


def test_the_answer_does_not_depend_on_threads(study, answer):
    one = trial_answer(study, packaged_catalog(), answer.outputs, 30, threads=1)
    for left, right in zip(
        one({"core_tnf_loss": 1.3}).values(), answer({"core_tnf_loss": 1.3}).values(), strict=True
    ):
        np.testing.assert_array_equal(left.view(np.int64), right.view(np.int64))


def test_a_drug_that_an_arm_does_not_give_changes_nothing_in_it(answer, parameters):
    few = chosen(parameters, ["adalimumab_absorption_rate", "tocilizumab_central_volume"])
    table = local_sensitivity(answer, few).table
    own = table[table.parameter == "adalimumab_absorption_rate"].set_index("output")
    assert own.loc["DAS28-CRP-change, tocilizumab-8, week 8", "influence"] == 0
    assert own.loc["DAS28-CRP-change, adalimumab, week 8", "influence"] > 0


def test_ranges_follow_the_evidence_unless_one_is_asked_for(answer, parameters):
    for parameter in parameters:
        assert parameter.high == FACTORS[parameter.evidence]
        assert parameter.low == pytest.approx(1 / parameter.high)
    wide = varied_parameters(packaged_catalog(), answer.plan, 3.0)
    assert {parameter.high for parameter in wide} == {3.0}
    with pytest.raises(InputError, match="factor up and down"):
        varied_parameters(packaged_catalog(), answer.plan, 0.5)


def own_core(tmp_path: Path, interval: str) -> Catalog:
    """A catalog in which one number of the core states an interval."""
    text, _ = packaged_catalog().text("core/immune_core.yaml")
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith("tnf_loss:"))
    if "{" in lines[start]:
        lines[start] = lines[start].replace("{", "{" + interval + ", ", 1)
    else:
        indent = len(lines[start + 1]) - len(lines[start + 1].lstrip())
        lines[start + 1 : start + 1] = [" " * indent + part for part in interval.split(", ")]
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "immune_core.yaml").write_text("\n".join(lines), encoding="utf-8")
    return Catalog.packaged(tmp_path)


def test_an_interval_in_a_card_wins_over_the_default(tmp_path):
    value = packaged_catalog().core("immune_core").parameters["tnf_loss"].value
    catalog = own_core(tmp_path, f"low: {0.5 * value!r}, high: {3 * value!r}")
    plan = prepare(read_study(STUDY, catalog, SMALL), catalog)
    (found,) = chosen(varied_parameters(catalog, plan), ["core_tnf_loss"])
    assert (found.low, found.high) == (pytest.approx(0.5), pytest.approx(3.0))
    assert found.because == "interval stated in the card"


def test_an_interval_without_its_value_is_refused_with_its_line(tmp_path):
    value = packaged_catalog().core("immune_core").parameters["tnf_loss"].value
    with pytest.raises(InputError, match=r"immune_core\.yaml:\d+.*between 'low' and 'high'"):
        own_core(tmp_path, f"low: {2 * value!r}, high: {3 * value!r}").core("immune_core")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(STUDY, tmp_path / "study.yaml")
    return tmp_path


def invoke(*words: str, code: int = 0):
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, done.output
    return done


FEW = ["--set", "duration=8 weeks", "--patients", "12", "--arm", "adalimumab"]
TWO = ["--parameters", "core_tnf_loss", "--parameters", "self_antigen"]


def test_a_sensitivity_is_printed_written_and_resumed(folder):
    words = ["sensitivity", "study.yaml", *FEW, *TWO, "--endpoint", "DAS28-CRP-change"]
    shown = invoke(*words, "--endpoint", "CRP", "-o", "out").stdout
    assert "DAS28-CRP-change, adalimumab, week 8" in shown
    assert "default for assumed: factor 2" in shown
    table = pd.read_csv("out/sensitivity.csv")
    assert set(table["parameter"]) == {"core_tnf_loss", "self_antigen"}
    assert (folder / "out" / "heatmap.svg").read_text().startswith("<svg")
    assert len(list((folder / "out").glob("tornado-*.svg"))) == 2
    record = json.loads((folder / "out" / "analysis.json").read_text())
    assert record["patients"] == 12
    before = (folder / "out" / "sensitivity.csv").read_bytes()
    invoke(*words, "--endpoint", "CRP", "-o", "out", "--resume")
    assert (folder / "out" / "sensitivity.csv").read_bytes() == before
    said = invoke(*words, "-o", "out", "--resume", code=2).stderr
    assert "outputs differ" in said


@pytest.mark.parametrize(("method", "samples"), [("morris", "2"), ("sobol", "2"), ("prcc", "8")])
def test_every_method_prints_json(folder, method, samples):
    words = ["sensitivity", "study.yaml", *FEW, *TWO, "--versus", "placebo", "--json"]
    rows = json.loads(invoke(*words, "--method", method, "--samples", samples).stdout)
    assert {row["parameter"] for row in rows} == {"core_tnf_loss", "self_antigen"}
    assert {row["output"] for row in rows} == {"ACR20, adalimumab minus placebo, week 8"}


def test_an_uncertainty_is_printed_and_written(folder):
    words = ["uncertainty", "study.yaml", *FEW, *TWO, "--draws", "10", "--at", "week 4"]
    shown = invoke(*words, "-o", "out").stdout
    assert "12 patients, 10 draws" in shown
    draws = pd.read_csv("out/draws.csv")
    assert len(draws) == 11
    assert (draws.loc[0, ["core_tnf_loss", "self_antigen"]] == 1).all()
    assert "ACR20, adalimumab, week 4" in draws


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--endpoint", "ACR2"], "did you mean 'ACR20'"),
        (["--arm", "adalimumb"], "did you mean 'adalimumab'"),
        (["--at", "week 5"], "visits: day 0, week 4, week 8"),
        (["--at", "5"], "week 24"),
        (["--parameters", "core_tnf_los"], "did you mean 'core_tnf_loss'"),
        (["--arm", "placebo", "--versus", "placebo"], "with itself"),
        (["--resume"], "name it with -o"),
        (["--samples", "5"], "takes no samples"),
        (["--range", "1"], "factor up and down"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(folder, words, said):
    base = ["sensitivity", "study.yaml", "--set", "duration=8 weeks", "--patients", "4"]
    assert said in invoke(*base, *words, code=2).stderr


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two results of the same people, in the second of which one arm gets less."""
    from immunostat.study.result import write

    root = tmp_path_factory.mktemp("results")
    arms = ["endpoints=[ACR20, DAS28-CRP-change]", "population.patients=12", "duration=8 weeks"]
    first = read_study(STUDY, settings=arms)
    less = "arms.tocilizumab-8=[tocilizumab 2 mg/kg intravenous over 1 hour every 4 weeks]"
    write(run(first), root / "first")
    write(run(read_study(STUDY, settings=[*arms, less])), root / "less")
    return root


def test_results_are_compared(results, tmp_path):
    first, less = str(results / "first"), str(results / "less")
    done = invoke("compare", first, less, "-o", str(tmp_path / "out"))
    assert "arms.tocilizumab-8" in done.stdout
    assert "12 patients are the same people" in done.stderr
    table = pd.read_csv(tmp_path / "out" / "endpoints.csv").query("time_day == 56")
    moved = table[table.endpoint == "DAS28-CRP-change"].set_index("arm")["difference"]
    assert moved["tocilizumab-8"] > 0
    assert moved["adalimumab"] == 0
    same = json.loads(invoke("compare", first, first, "--json").stdout)
    assert {row["difference"] for row in same["endpoints"]} == {0.0}
    assert same["study"] == []


def test_one_result_is_not_compared(results):
    assert "needs two results" in invoke("compare", str(results / "first"), code=2).stderr


def test_a_patient_is_shown(results, tmp_path):
    patients = pd.read_parquet(results / "first" / "patients.parquet")["patient"]
    number = str(patients.iloc[3])
    folder = tmp_path / "out"
    shown = invoke("patient", str(results / "first"), number, "-o", str(folder)).stdout
    assert f"Virtual patient {number}, one of 12" in shown
    assert "percentile" in shown
    for name in ("who", "courses", "visits"):
        assert (folder / f"{name}.svg").read_text().startswith("<svg")
    data = json.loads(invoke("patient", str(results / "first"), number, "--json").stdout)
    assert {row["endpoint"] for row in data["endpoints"]} >= {"ACR20", "DAS28-CRP-change"}


def test_a_patient_who_did_not_enter_is_answered_with_near_ones(results):
    said = invoke("patient", str(results / "first"), "999999", code=2).stderr
    assert "near ones who did:" in said

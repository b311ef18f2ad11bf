"""The command calibrate: a truth that is known is found again, and cards are written."""

import json

import pytest
from typer.testing import CliRunner

from immunostat.catalog.calibrations import calibration_named, resolved
from immunostat.catalog.lookup import Catalog, data_folder, packaged_catalog
from immunostat.cli.app import app
from immunostat.study.calibration import calibrate
from immunostat.study.training import TrainingArms
from immunostat.study.validation import validate

ARTHRITIS = "rheumatoid-arthritis"
PATIENTS = 40

#: What makes the synthetic trial; the search starts elsewhere.
TRUTH = {"final": 0.25, "tnf": 0.9}

WEEKS = (12, 24)


def calibration_card():
    results = [{"endpoint": name, "week": week, "sd": 0.05, "because": "made without noise"}
               for week in WEEKS for name in ("DAS28-CRP-change", "HAQ-change")]  # fmt: skip
    return {
        "name": "synthetic",
        "title": "A truth that is known",
        "situation": ARTHRITIS,
        "because": "changes of scores, in standard errors, squared",
        "patients": PATIENTS,
        "seed": 5,
        "arms": [{"trial": "Synthetic", "arm": name, "results": results}
                 for name in ("placebo", "adalimumab")],
        "fitted": {
            "final": {"of": ["trial_course_final"], "low": -1, "high": 1, "scale": "linear",
                      "because": "everybody's course"},
            "tnf": {"of": ["driver_tnf"], "low": 0.05, "high": 4, "because": "weight of TNF"},
        },
        "search": {"explore": 60, "polish": 60, "width": 0.2},
    }  # fmt: skip


def trial_card(values):
    arms = []
    for name, regimen in (("placebo", ""), ("adalimumab", "40 mg subcutaneous every 2 weeks")):
        results = [
            {"endpoint": endpoint, "week": week, "value": values[name, endpoint, week], "unit": "1",
             "source": "keystone2004", "where": "made by the model", "evidence": "measured",
             "checked": True}
            for week in WEEKS for endpoint in ("DAS28-CRP-change", "HAQ-change")
        ]  # fmt: skip
        arms.append({"name": name, "drug": name, "regimen": regimen, "n": 100,
                     "role": "training", "results": results})  # fmt: skip
    return {
        "name": "Synthetic",
        "title": "A trial that the model made",
        "situation": ARTHRITIS,
        "population": "methotrexate-inadequate-response",
        "citation": "keystone2004",
        "arms": arms,
    }


def put(folder, kind, data):
    (folder / kind).mkdir(exist_ok=True)
    file = folder / kind / f"{data['name']}.yaml"
    # JSON is YAML, and has none of its aliases.
    file.write_text(json.dumps(data), encoding="utf-8")


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    """A catalog folder whose trial was made by the model with `TRUTH`."""
    folder = tmp_path_factory.mktemp("cards")
    put(folder, "calibrations", calibration_card())
    put(folder, "trials", trial_card(dict.fromkeys(keys(), -1.0)))
    catalog = Catalog(data_folder(), folder)
    arms = TrainingArms(resolved(catalog, catalog.calibration("synthetic")), catalog, PATIENTS, 5)
    values = dict(zip(keys(), arms.predict(TRUTH).values, strict=True))
    put(folder, "trials", trial_card({key: float(value) for key, value in values.items()}))
    return folder


def keys():
    return [
        (arm, endpoint, week)
        for arm in ("placebo", "adalimumab")
        for week in WEEKS
        for endpoint in ("DAS28-CRP-change", "HAQ-change")
    ]


def asked(cards):
    catalog = Catalog(data_folder(), cards)
    return catalog, resolved(catalog, calibration_named(catalog, "synthetic"))


def invoke(*arguments, code=0):
    outcome = CliRunner().invoke(app, [str(a) for a in arguments])
    assert outcome.exit_code == code, outcome.output
    return outcome


@pytest.mark.slow
def test_a_known_truth_is_found_again(cards):
    pytest.importorskip("cma")
    catalog, calibration = asked(cards)
    found = calibrate(catalog, calibration)
    assert found.objective[0] > 10  # the start is elsewhere
    assert found.objective[1] < 0.05
    assert found.values == pytest.approx(TRUTH, abs=0.02)
    assert list(found.numbers["verdict"]) == ["identified", "identified"]
    for row in found.numbers.to_dict("records"):
        assert row["low"] < TRUTH[row["name"]] < row["high"]


@pytest.mark.slow
def test_predictions_are_those_of_validate(cards):
    catalog = packaged_catalog()
    calibration = resolved(catalog, calibration_named(catalog, ARTHRITIS))
    arms = TrainingArms(calibration, catalog, 30, seed=3)
    own = {
        fitted.name: fitted.moved[0].card.value if not fitted.is_spread else _spread(fitted)
        for fitted in calibration.fitted
    }
    said = dict(zip([(w.trial, w.arm, w.endpoint) for w in arms.wanted],
                    arms.predict(own).values, strict=True))  # fmt: skip
    table = validate(catalog, ARTHRITIS, 30, 3, only=("DE019", "OPTION")).table
    rows = table[table["week"] == 24].to_dict("records")
    there = {(row["trial"], row["arm"], row["endpoint"]): row["predicted"] for row in rows}
    # The tolerance of the solver is wider here: a patient may cross a limit of a response.
    mine = {key: value for key, value in said.items() if key[0] in ("DE019", "OPTION")}
    assert len(mine) == 14
    for key, value in mine.items():
        assert value == pytest.approx(there[key], abs=100 / 30 + 1e-9)


def _spread(fitted):
    own = fitted.moved[0].card.spread.model_dump()
    return next(value for value in own.values() if value is not None)


@pytest.mark.slow
def test_the_untreated_state_is_solved_again_only_where_the_core_moves(cards, monkeypatch):
    from immunostat.study import training

    solved = []
    true = training.untreated_levels
    monkeypatch.setattr(training, "untreated_levels", lambda *a: solved.append(1) or true(*a))
    catalog, calibration = asked(cards)
    arms = TrainingArms(calibration, catalog, 10, 1)
    for tnf in (0.3, 0.6, 0.9):
        arms.predict({"final": 0.0, "tnf": tnf})
    once = len(solved)
    assert not arms.moves_untreated
    fitted = {"core": {"of": ["core.tnf_loss"], "low": 1, "high": 100, "because": "a test"}}
    data = {**calibration_card(), "fitted": fitted}
    card = type(calibration.card).model_validate(data)
    moved = TrainingArms(resolved(catalog, card), catalog, 10, 1)
    assert moved.moves_untreated
    first = moved.predict({"core": 20.0}).values
    assert (first != moved.predict({"core": 25.0}).values).any()
    assert len(solved) == 3 * once


@pytest.mark.slow
def test_other_patients_are_those_of_another_seed(cards):
    catalog, calibration = asked(cards)
    first, second = (TrainingArms(calibration, catalog, 10, seed) for seed in (1, 2))
    values = {"final": 0.1, "tnf": 0.5}
    own = first.with_seed(2).predict(values).values
    assert own.tobytes() == second.predict(values).values.tobytes()
    assert own.tobytes() != first.predict(values).values.tobytes()


@pytest.mark.slow
def test_the_command_writes_a_report_and_a_card_of_ones_own(cards, tmp_path):
    folder, mine = tmp_path / "out", tmp_path / "mine"
    base = ("--catalog", cards, "calibrate", "synthetic", "-o", folder)
    few = ("--patients", 10, "--explore", 0, "--polish", 4)
    said = invoke(*base, *few).stdout
    for words in ("Training results", "Fitted numbers", "largest miss", "combinations"):
        assert words in said
    names = {path.name for path in folder.iterdir()}
    assert {"report.html", "report.md", "fitted.yaml", "training.csv", "numbers.csv"} <= names
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "no medical advice" in page
    assert page.count("<svg") == 6
    data = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    fitted = {row["name"]: row["fitted"] for row in data["numbers"]}

    patch = invoke(*base, "--apply").stdout
    packaged = packaged_catalog().situation(ARTHRITIS).parameters["driver_tnf"].value
    assert f"-    value: {packaged:g}" in patch
    invoke(*base, "--apply", "--to", mine)
    card = Catalog(data_folder(), mine).situation(ARTHRITIS)
    assert card.parameters["driver_tnf"].value == pytest.approx(fitted["tnf"], rel=1e-3)
    assert card.parameters["driver_tnf"].evidence == "fitted"
    own = packaged_catalog().situation(ARTHRITIS)
    for name, parameter in own.parameters.items():
        if name not in ("driver_tnf", "trial_course_final"):
            assert card.parameters[name] == parameter
    text = (mine / "situations" / f"{ARTHRITIS}.yaml").read_text(encoding="utf-8")
    assert "# Patient-specific numbers" in text  # comments stay

    refused = invoke(*base, "--apply", "--to", data_folder(), code=2).stderr
    assert "cards of the program itself are not changed" in refused
    assert "stands there already" in invoke(*base, "--apply", "--to", mine, code=2).stderr
    assert "stands here already" in invoke(*base, *few, code=2).stderr


def test_what_cannot_be_is_refused(tmp_path):
    cards = tmp_path / "cards"
    cards.mkdir()
    put(cards, "calibrations", calibration_card())
    put(cards, "trials", trial_card(dict.fromkeys(keys(), -1.0)))
    base = ("--catalog", cards, "calibrate", "synthetic", "-o", tmp_path / "out")
    assert "needs --apply" in invoke(*base, "--to", tmp_path, code=2).stderr
    assert "exclude each other" in invoke(*base, "--resume", "--force", code=2).stderr
    assert "no finished calibration" in invoke(*base, "--apply", code=2).stderr
    assert "no calibration to go on with" in invoke(*base, "--resume", code=2).stderr
    said = invoke("calibrate", "rheumatod-arthritis", code=2).stderr
    assert "did you mean 'rheumatoid-arthritis'" in said

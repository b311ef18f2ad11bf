"""Calibration cards: what they may train on, and what they may move."""

import pytest
import yaml

from immunostat.base.errors import InputError
from immunostat.catalog.calibrations import calibration_named, resolved
from immunostat.catalog.lookup import Catalog, data_folder, packaged_catalog

ARTHRITIS = "rheumatoid-arthritis"


def card(**changes):
    """A small calibration as plain data."""
    own = {
        "name": "small",
        "title": "A small calibration",
        "situation": ARTHRITIS,
        "because": "misses in standard errors, squared",
        "arms": [
            {
                "trial": "OPTION",
                "arm": "placebo + methotrexate",
                "results": [{"endpoint": "ACR20", "week": 24}],
            }
        ],
        "fitted": {"driver": {"of": ["driver_tnf"], "low": 0.1, "high": 2, "because": "a test"}},
    }
    return {**own, **changes}


def read(tmp_path, data):
    folder = tmp_path / "calibrations"
    folder.mkdir(exist_ok=True)
    (folder / "small.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    catalog = Catalog(data_folder(), tmp_path)
    return resolved(catalog, calibration_named(catalog, "small"))


def arm(**changes):
    return {**card()["arms"][0], **changes}


def fitted(**changes):
    return {"driver": {**card()["fitted"]["driver"], **changes}}


def test_the_packaged_calibrations_are_well_and_train_on_training_arms_alone():
    catalog = packaged_catalog()
    for name in catalog.calibrations():
        found = resolved(catalog, catalog.calibration(name))
        assert {training.arm.role for training in found.arms} == {"training"}
        assert all(result.checked for training in found.arms for _, result in training.results)


def test_a_situation_with_one_calibration_is_name_enough():
    catalog = packaged_catalog()
    assert calibration_named(catalog, "Rheumatoid-Arthritis").situation == ARTHRITIS


def test_the_start_is_what_the_card_of_the_parameter_says(tmp_path):
    found = read(tmp_path, card())
    own = packaged_catalog().situation(ARTHRITIS).parameters["driver_tnf"]
    assert found.fitted[0].start == own.value
    spread = read(tmp_path, card(fitted=fitted(part="spread", high=6)))
    assert own.spread is not None
    assert spread.fitted[0].start == own.spread.lognormal_variance


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            card(arms=[arm(arm="tocilizumab 4 mg/kg + methotrexate")]),
            ("held back", "never fitted", "role: training", "small.yaml:"),
        ),
        (
            card(fitted=fitted(of=["adalimumab_TNF_dissociation"])),
            ("drug adalimumab", "No parameter differs between drugs except", "small.yaml:"),
        ),
        (card(fitted=fitted(of=["tocilizumab.clearance"])), ("drug tocilizumab",)),
        (card(fitted=fitted(of=["driver_tfn"])), ("no parameter", "did you mean 'driver_tnf'")),
        (card(fitted=fitted(of=["core.tnf_los"])), ("did you mean 'core.tnf_loss'",)),
        (card(fitted=fitted(of=["trial_course_rate"], part="spread")), ("patients do not differ",)),
        (card(fitted=fitted(low=1.5)), ("lies outside 1.5 to 2", "give a 'start'")),
        (card(fitted=fitted(start=5)), ("the start 5 lies outside low and high",)),
        (card(arms=[arm(trial="OPTOIN")]), ("did you mean 'OPTION'",)),
        (
            card(arms=[arm(results=[{"endpoint": "ACR20", "week": 12}])]),
            ("has no ACR20 at week 12", "ACR20 at week 24"),
        ),
        (
            card(arms=[arm(results=[{"endpoint": "ACR20", "week": 24, "weight": 3}])]),
            ("needs 'because'",),
        ),
        (card(arms=[arm(), arm()]), ("stands twice",)),
        (card(situation="gout"), ("situation 'gout' is not in the catalog",)),
    ],
)
def test_what_a_calibration_may_not_do_is_refused_with_its_place(tmp_path, data, words):
    with pytest.raises(InputError) as refused:
        read(tmp_path, data)
    for word in words:
        assert word in str(refused.value)


def test_a_result_from_memory_is_not_trained_on(tmp_path):
    trials = tmp_path / "trials"
    trials.mkdir()
    text = (data_folder() / "trials" / "OPTION.yaml").read_text(encoding="utf-8")
    (trials / "OPTION.yaml").write_text(text.replace("checked: true", "checked: false"))
    with pytest.raises(InputError, match="was not read in a source"):
        read(tmp_path, card())

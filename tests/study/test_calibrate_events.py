"""Rates, median times and comparisons of two arms can be followed by a calibration."""

import json
import math

import pytest
import yaml

from immunostat.base.errors import InputError
from immunostat.catalog.calibrations import calibration_named, resolved
from immunostat.catalog.lookup import Catalog, data_folder
from immunostat.study.training import TrainingArms
from immunostat.study.validation import validate

NAME, POPULATION = "flaring-arthritis", "flaring-people"

#: Flares come with synovitis, death does not.
HAZARDS = """
  var flare_hazard, death_hazard;
  flare_hazard := 1.2/365.25*synovitis;
  death_hazard := 0.3/365.25;
"""

FACT = {"source": "keystone2004", "where": "invented", "evidence": "measured", "checked": True}
RESULTS = [
    {"endpoint": "flare-rate", "month": 6, "value": 1.0, "unit": "1/year", **FACT},
    {"endpoint": "FFS", "month": 6, "value": 8, "unit": "month", "low": 6, "high": 11, **FACT},
    {"endpoint": "mortality", "month": 6, "value": 12, "unit": "%", **FACT},
]
RATIO = {
    "endpoint": "flare-rate",
    "month": 6,
    "measure": "rate_ratio",
    "arm": "adalimumab",
    "versus": "placebo",
    "value": 0.6,
    "low": 0.4,
    "high": 0.9,
    "unit": "1",
    **FACT,
}
DRUG = "40 mg subcutaneous every 2 weeks"


def put(folder, kind, data):
    (folder / kind).mkdir(exist_ok=True)
    (folder / kind / f"{data['name']}.yaml").write_text(json.dumps(data), encoding="utf-8")


def flaring(folder, own_trial):
    """A catalog with arthritis whose patients flare and die, and a trial of it."""
    data = data_folder()
    model = (data / "models/situations/rheumatoid_arthritis.ant").read_text()
    model = model.replace("model rheumatoid_arthritis(", "model flaring_arthritis(")
    end = model.rindex("end")
    (folder / "models/situations").mkdir(parents=True)
    file = folder / "models/situations/flaring_arthritis.ant"
    file.write_text(model[:end] + HAZARDS + model[end:])
    card = yaml.safe_load((data / "situations/rheumatoid-arthritis.yaml").read_text())
    endpoints = {
        "flare-rate": {"title": "Flares", "kind": "event_rate", "events": ["flare"]},
        "mortality": {"title": "Death", "kind": "event_share", "events": ["death"]},
        "FFS": {"title": "Free of both", "kind": "event_time", "events": ["flare", "death"]},
    }
    events = {
        "flare": {"title": "Flare", "hazard": "disease_flare_hazard", "recurrent": True},
        "death": {"title": "Death", "hazard": "disease_death_hazard", "terminal": True},
    }
    card |= {
        "name": NAME,
        "title": "Flaring arthritis",
        "module": "flaring_arthritis",
        "fragment": "models/situations/flaring_arthritis.ant",
        "events": events,
        "endpoints": {**card["endpoints"], **endpoints},
    }
    people = data / "populations/methotrexate-inadequate-response.yaml"
    put(folder, "situations", card)
    put(folder, "populations",
        yaml.safe_load(people.read_text()) | {"name": POPULATION, "situation": NAME})  # fmt: skip
    put(folder, "trials", own_trial)
    put(folder, "calibrations", calibration_card())
    return Catalog(data, folder)


def trial(role="training"):
    def arm(name, regimen, own):
        return {"name": name, "drug": name, "regimen": regimen, "n": 100, "role": own,
                "results": RESULTS}  # fmt: skip

    return {
        "name": "Eventful",
        "title": "An invented trial",
        "situation": NAME,
        "population": POPULATION,
        "citation": "keystone2004",
        "arms": [arm("placebo", "", role), arm("adalimumab", DRUG, "training")],
        "comparisons": [RATIO],
    }


def calibration_card():
    ratio = {"endpoint": "flare-rate", "month": 6, "measure": "rate_ratio", "versus": "placebo"}
    own = [{"endpoint": r["endpoint"], "month": 6} for r in RESULTS]
    return {
        "name": "events",
        "title": "Events",
        "situation": NAME,
        "because": "a test",
        "arms": [{"trial": "Eventful", "arm": "adalimumab", "results": [*own, ratio]}],
        "fitted": {"tnf": {"of": ["driver_tnf"], "low": 0.05, "high": 4, "because": "a test"}},
    }


def asked(folder, role="training"):
    catalog = flaring(folder, trial(role))
    return catalog, resolved(catalog, calibration_named(catalog, "events"))


@pytest.mark.slow
def test_rates_times_and_ratios_are_followed(tmp_path):
    catalog, calibration = asked(tmp_path)
    arms = TrainingArms(calibration, catalog, 40, seed=2)
    rate, time, death, ratio = arms.wanted
    assert [own.scale for own in arms.wanted] == ["log", "log", "points", "log"]
    # Of a rate without an interval the number of events tells the error: 1 a year, 100 patients.
    assert rate.sd == pytest.approx(1 / math.sqrt(1.0 * 100 * 0.5), rel=1e-6)
    assert time.sd == pytest.approx(math.log(11 / 6) / (2 * 1.959964), rel=1e-6)
    assert death.unit == "%"
    assert ratio.sd == pytest.approx(math.log(0.9 / 0.4) / (2 * 1.959964), rel=1e-6)
    assert ratio.versus == "placebo"  # simulated too, though no result of it is followed
    start = {"tnf": calibration.fitted[0].start}
    found = arms.predict(start)
    assert not found.problem
    assert found.failed_share == 0
    table = validate(catalog, NAME, 40, 2, only=["Eventful"]).table
    rows = table[table["arm"] == "adalimumab"].to_dict("records")
    there = {(row["endpoint"], row["measure"]): row["predicted"] for row in rows}
    for own, value in zip(arms.wanted, found.values, strict=True):
        measure = own.compared.measure if own.compared else "value"
        assert value == pytest.approx(there[own.endpoint, measure], rel=0.05)
    more = arms.predict({"tnf": 4.0})
    # The more TNF drives, the more the drug takes away.
    assert more.values[3] < found.values[3]


def test_a_comparison_with_a_held_back_arm_is_refused(tmp_path):
    with pytest.raises(InputError, match="arm 'placebo' of Eventful is held back"):
        asked(tmp_path, role="held-back")

"""A study with events of the disease, from the card to the result folder and the validation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from eventful import ENDPOINTS, EVENTS, NAME, POPULATION, catalog_with_events

from immunostat.base.errors import ImmunostatError, InputError
from immunostat.catalog.cards import TrialCard
from immunostat.catalog.endpoint_cards import EndpointCard, EventCard
from immunostat.catalog.model_cards import SituationCard
from immunostat.report import page
from immunostat.study import validation
from immunostat.study.goals import Goal, errors
from immunostat.study.result import open_result, write
from immunostat.study.run import Running, run
from immunostat.study.study_reader import make_study
from immunostat.study.validation import validate

FACT = {"source": "keystone2004", "where": "invented", "evidence": "measured", "checked": True}
TRIAL = {
    "name": "EVENTS",
    "title": "An invented trial",
    "situation": NAME,
    "population": POPULATION,
    "citation": "keystone2004",
    "arms": [
        {
            "name": "placebo",
            "drug": "placebo",
            "n": 200,
            "role": "held-back",
            "results": [
                {"endpoint": "flare-rate", "week": 24, "value": 1.2, "unit": "1/year", **FACT},
                {"endpoint": "flare-free", "week": 24, "value": 55, "unit": "%", **FACT},
                {"endpoint": "mortality", "day": 28, "value": 2.0, "unit": "%", **FACT},
                {"endpoint": "FFS", "month": 6, "value": 5.5, "unit": "month", **FACT},
                {"endpoint": "worse", "week": 24, "value": 1.0, "unit": "year", **FACT},
            ],
        },
        {
            "name": "adalimumab",
            "drug": "adalimumab",
            "regimen": "adalimumab 40 mg subcutaneous every 2 weeks",
            "n": 200,
            "role": "held-back",
            "results": [
                {"endpoint": "flare-rate", "week": 24, "value": 0.06, "unit": "1/month", **FACT}
            ],
        },
    ],
    "comparisons": [
        {
            "endpoint": "FFS",
            "arm": "adalimumab",
            "versus": "placebo",
            "measure": "hazard_ratio",
            "month": 6,
            "value": 0.7,
            "unit": "1",
            **FACT,
        }
    ],
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return catalog_with_events(tmp_path_factory.mktemp("eventful"), [TRIAL])


def study(catalog, n=60, **changes):
    data = {
        "situation": NAME,
        "population": {"name": POPULATION, "patients": n, "seed": 3},
        "arms": {"placebo": [], "adalimumab": "adalimumab 40 mg subcutaneous every 2 weeks"},
        "duration": "24 weeks",
        "visits": "every 4 weeks",
        "endpoints": ["ACR20", *ENDPOINTS],
        "side_effects": ["serious-infection"],
        "dropout": {"background": "20 % by week 24"},
        "analyses": [{"endpoint": "flare-rate", "arm": "adalimumab", "versus": "placebo"}],
    }
    return make_study({**data, **changes}, catalog)


@pytest.fixture(scope="module")
def result(catalog):
    return run(study(catalog), catalog=catalog, threads=2)


def test_events_are_counted_and_the_dead_are_seen_no_more(result) -> None:
    events, patients = result.events, result.patients.set_index(["arm", "patient"])
    for arm, name in (("placebo", "flare"), ("adalimumab", "death")):
        own = events[(events["arm"] == arm) & (events["event"] == name)]
        counted = patients.loc[arm][f"{name} events"]
        assert len(own) == counted.sum() > 0
    died = patients["death day"].dropna()
    later = events.set_index(["arm", "patient"])["time_day"]
    visits = result.visits.set_index(["arm", "patient"])
    for key, day in died.items():
        assert (later.loc[[key]] <= day + 1e-9).all()
        own = visits.loc[[key]]
        assert own.loc[own["time_day"] > day, "pain"].isna().all()
        assert own.loc[own["time_day"] < day, "pain"].notna().all()
    assert patients.loc[patients["death day"].notna(), "left_day"].isna().all()


def test_death_does_not_depend_on_the_arm_where_its_hazard_does_not(result) -> None:
    table = result.patients.pivot(index="patient", columns="arm", values="death day")
    left = result.patients.pivot(index="patient", columns="arm", values="left_day")
    stayed = left.isna().all(axis=1)
    own = table[stayed]
    assert np.array_equal(own["placebo"], own["adalimumab"], equal_nan=True)


def test_tables_tell_rates_and_curves(result) -> None:
    rate = result.disease_events.set_index(["arm", "event", "measure"])
    row = rate.loc[("placebo", "flare", "rate")]
    flares = result.patients[result.patients["arm"] == "placebo"]["flare events"].sum()
    assert row["events"] == flares
    assert row["estimate"] == pytest.approx(flares / row["patient_years"])
    # The hazard of the untreated is 1.2 a year, but for the course of synovitis.
    assert row["expected"] == pytest.approx(1.2, rel=0.02)
    ends = result.endpoints[result.endpoints["time_day"] == 168.0].set_index(["arm", "endpoint"])
    assert ends.loc[("placebo", "flare-rate"), "estimate"] == pytest.approx(row["estimate"])
    curves = result.event_curves
    assert set(curves["event"]) == {*EVENTS, "flare-free", "mortality", "FFS"}
    own = curves[(curves["event"] == "FFS") & (curves["arm"] == "placebo")]
    assert own["estimate"].is_monotonic_decreasing
    assert ends.loc[("placebo", "mortality"), "estimate"] == pytest.approx(
        curves[(curves["event"] == "mortality") & (curves["arm"] == "placebo")]["estimate"].iloc[-1]
    )


def test_analyses_compare_rates(result) -> None:
    row = result.analyses.iloc[0]
    assert row["measure"] == "rate ratio"
    assert row["low"] < row["estimate"] < row["high"]


def test_pieces_make_no_difference(catalog, result) -> None:
    own = study(catalog)
    parts = run(own, catalog=catalog, running=Running(threads=1, chunk=64))
    assert parts.run["chunks"]["number"] > 1
    for name in ("endpoints", "events", "patients", "disease_events", "event_curves"):
        pd.testing.assert_frame_equal(getattr(parts, name), getattr(result, name))


@pytest.mark.slow
def test_the_folder_and_the_page_hold_events(result, tmp_path) -> None:
    folder = write(result, tmp_path / "out")
    again = open_result(folder)
    pd.testing.assert_frame_equal(
        again.disease_events, result.disease_events, check_dtype=False, check_exact=False
    )
    said = page.write(again, folder, png=False).read_text()
    assert "Up to week 24, flare rate was" in said
    for name in ("event-ffs", "event-flare", "event-worse"):
        assert (folder / "figures" / f"{name}.svg").exists()
    # A folder of before is read as one without events.
    (folder / "disease_events.csv").unlink()
    assert open_result(folder).disease_events.empty


def test_a_study_may_declare_endpoints_of_events(catalog) -> None:
    part = {"name": "no-death", "kind": "event_free", "events": ["death", "worse"]}
    own = study(catalog, endpoints=["ACR20", part], analyses=[])
    spec = own.declared["no-death"]
    assert spec.events == ("death",)
    assert [seen.name for seen in spec.seen] == ["worse"]
    assert study(catalog, endpoints=own.resolved()["endpoints"], analyses=[]).declared == (
        own.declared
    )
    with pytest.raises(ImmunostatError, match="death"):
        study(catalog, endpoints=[{**part, "events": ["deth"]}], analyses=[])
    with pytest.raises(InputError, match="events and something else"):
        study(catalog, endpoints=[{**part, "of": "ACR20"}], analyses=[])


def test_what_is_published_of_events_is_predicted_in_its_unit(catalog, monkeypatch) -> None:
    goals = (
        Goal("Rate", ("flare-rate",), 0.06, "1/year", None),
        Goal("Ratio", ("flare-rate",), 0.12, "1", None, measures=("rate ratio",)),
        Goal("Median", ("FFS",), 20.0, "%", None, is_relative=True),
    )
    monkeypatch.setattr(validation, "goals_of", lambda situation: goals)
    found = validate(catalog, NAME, n_patients=60, threads=2)
    table = found.table.set_index(["arm", "endpoint", "measure"])
    assert table.loc[("placebo", "mortality", "value"), "week"] == pytest.approx(4.0)
    assert table.loc[("placebo", "FFS", "value"), "unit"] == "month"
    rates = table.xs(("flare-rate", "value"), level=("endpoint", "measure"))
    assert set(rates["unit"]) == {"1/year", "1/month"}
    ratio = table.loc[("adalimumab", "flare-rate", "rate ratio")]
    # Made of the two arms, printed in different units.
    assert ratio["observed"] == pytest.approx(0.06 * 12 / 1.2)
    predicted = 12 * rates.loc["adalimumab", "predicted"] / rates.loc["placebo", "predicted"]
    assert ratio["predicted"] == pytest.approx(predicted)
    hazard = table.loc[("adalimumab", "FFS", "hazard ratio")]
    assert hazard["observed"] == 0.7
    assert 0 < hazard["predicted_low"] < hazard["predicted"] < hazard["predicted_high"]
    (why,) = found.skipped["reason"]
    assert "printed in 'year'" in why
    off = errors(found.table, goals)
    off = off[off["verdict"] != ""].set_index("goal")["mean_absolute_error"]
    differences = rates["difference"] * [
        12.0 if unit == "1/month" else 1.0 for unit in rates["unit"]
    ]
    assert off["Rate"] == pytest.approx(differences.abs().mean())
    median = table.loc[("placebo", "FFS", "value")]
    assert off["Median"] == pytest.approx(100 * abs(median["difference"]) / 5.5)


def test_no_event_is_drawn_for_what_a_hazard_tells(catalog) -> None:
    found = validate(catalog, NAME, n_patients=12, threads=1)
    table = found.table.set_index(["arm", "endpoint", "measure"])
    # Of 12 patients hardly one dies within 28 days at 0.3 deaths a year; the share is known.
    death = table.loc[("placebo", "mortality", "value")]
    assert death["predicted"] == pytest.approx(100 * -np.expm1(-0.3 * 28 / 365.25), rel=1e-9)
    assert death["predicted_low"] == pytest.approx(death["predicted_high"])
    # Among 12 patients of 24 weeks, drawn flares would be multiples of one in 5.5 years.
    rate = table.loc[("placebo", "flare-rate", "value")]
    assert rate["predicted_high"] / rate["predicted_low"] < 1.5
    # Expected events, like everything, do not depend on the threads.
    pd.testing.assert_frame_equal(
        validate(catalog, NAME, n_patients=12, threads=2).table, found.table, check_exact=True
    )


def refused(catalog, match, **changes):
    card = catalog.situation(NAME).model_dump()
    for key, value in changes.items():
        card[key] = {**card[key], **value}
    with pytest.raises(ValueError, match=match):
        SituationCard.model_validate(card)


def test_a_card_that_does_not_fit_is_refused(catalog) -> None:
    title = {"title": "t"}
    refused(catalog, "no event or endpoint 'flair'; did you mean 'flare'",
            endpoints={"x": {**title, "kind": "event_rate", "events": ["flair"]}})  # fmt: skip
    refused(catalog, "no yes or no",
            endpoints={"x": {**title, "kind": "event_time", "events": ["CRP"]}})  # fmt: skip
    refused(catalog, "a rate counts events that are drawn",
            endpoints={"x": {**title, "kind": "event_rate", "events": ["ACR20"]}})  # fmt: skip
    refused(catalog, "reads itself",
            endpoints={"x": {**title, "kind": "above", "level": 1, "of": "y"},
                       "y": {**title, "kind": "average", "of": "x"}})  # fmt: skip
    refused(catalog, "there is an endpoint of that name",
            events={"ACR20": {**title, "hazard": "disease_flare_hazard"}})  # fmt: skip
    for match, card in (
        ("needs the key 'events'", {"kind": "event_rate"}),
        ("reads no events", {"kind": "value", "events": ["flare"]}),
        ("confirm_weeks", {"kind": "confirmed_worsening", "level": 1}),
        ("one of 'level' and 'steps'", {"kind": "confirmed_worsening", "confirm_weeks": 12}),
        ("drop 'component'", {"kind": "average", "of": "x", "component": "pain"}),
    ):
        with pytest.raises(ValueError, match=match):
            EndpointCard.model_validate({**title, **card})
    with pytest.raises(ValueError, match="drop 'recurrent'"):
        EventCard.model_validate({**title, "hazard": "h", "recurrent": True, "terminal": True})


def test_an_event_of_an_unknown_hazard_is_refused(catalog, tmp_path) -> None:
    other = catalog_with_events(tmp_path / "other")
    path = tmp_path / "other" / "situations" / f"{NAME}.yaml"
    path.write_text(path.read_text().replace("disease_flare_hazard", "disease_flare"))
    with pytest.raises(InputError, match="disease_flare_hazard"):
        run(study(other, n=2), catalog=other)


def test_times_and_arms_of_a_trial_card_are_checked() -> None:
    def card(**changes):
        comparison = {**TRIAL["comparisons"][0], **changes}
        return TrialCard.model_validate({**TRIAL, "comparisons": [comparison]})

    (own,) = card().comparisons
    assert own.week == pytest.approx(6 * 365.25 / 12 / 7)
    assert TrialCard.model_validate(card().model_dump()) == card()
    for match, changes in (
        ("one of the keys", {"month": None}),
        ("not more", {"week": 3}),
        ("no arm 'ada'", {"arm": "ada"}),
        ("with itself", {"versus": "adalimumab"}),
        ("above 0", {"value": -1.0}),
    ):
        with pytest.raises(ValueError, match=match):
            card(**changes)

"""Doses that answer to visits, in whole studies: laws that hold whatever the numbers are."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.outcomes.scores import ctcae_grade
from immunostat.study.run import run
from immunostat.study.study_reader import make_study

ADALIMUMAB = "adalimumab 40 mg subcutaneous every 2 weeks"
TOCILIZUMAB = "tocilizumab 8 mg/kg intravenous over 1 hour every 4 weeks"
ALWAYS, NEVER = "age > 0", "age < 0"


def answer(arms, rules=(), **more):
    data = {
        "situation": "rheumatoid-arthritis",
        "population": {"name": "methotrexate-inadequate-response", "patients": 12, "seed": 5},
        "arms": arms,
        "duration": "12 weeks",
        "rules": list(rules),
        "endpoints": ["ACR20", "DAS28-CRP", "neutrophils"],
        "side_effects": more.pop("side_effects", "none"),
        **more,
    }
    return run(make_study(data))


def course(result, arm, output="tocilizumab_concentration"):
    return result.trajectories[output].sel(arm=arm).values


def test_arms_of_the_same_drug_are_identical_with_and_without_rules() -> None:
    rule = {"when": "neutrophils < 4", "do": "hold tocilizumab", "until": "neutrophils >= 5"}
    for rules in ((), (rule,)):
        result = answer({"one": TOCILIZUMAB, "two": TOCILIZUMAB}, rules)
        for name in result.trajectories:
            one, two = (course(result, arm, name).view(np.int64) for arm in ("one", "two"))
            np.testing.assert_array_equal(one, two)


def test_rules_that_never_apply_change_nothing() -> None:
    long_infusion = "tocilizumab 8 mg/kg intravenous over 40 days every 8 weeks"
    arms = {"placebo": [], "long": long_infusion, "under the skin": ADALIMUMAB}
    plain = answer(arms)
    stopped = answer(arms, [{"when": NEVER, "do": "stop treatment"}])
    for name in plain.trajectories:
        expected, found = plain.trajectories[name].values, stopped.trajectories[name].values
        scale = np.abs(expected).max(axis=(0, 1), keepdims=True) + 1e-12
        # Two ways through the same course (restarted at visits or not), each within the solver's
        # local error of 1e-5; the infusion of 40 days runs over a visit.
        assert np.abs((found - expected) / scale).max() < 2e-4, name


def test_treatment_stopped_at_the_first_visit_is_no_treatment() -> None:
    result = answer(
        {"placebo": [], "drug": TOCILIZUMAB},
        [{"when": ALWAYS, "do": "stop treatment"}],
    )
    for name in result.trajectories:
        np.testing.assert_array_equal(
            course(result, "placebo", name).view(np.int64),
            course(result, "drug", name).view(np.int64),
        )


def test_a_regimen_that_a_rule_starts_is_the_regimen_written_from_that_week() -> None:
    result = answer(
        {"started": [], "written": f"{ADALIMUMAB} from week 4", "rest": TOCILIZUMAB},
        [
            {
                "when": ALWAYS,
                "do": f"start {ADALIMUMAB}",
                "from": "4 weeks",
                "to": "4 weeks",
                "arms": ["started"],
            }
        ],
    )
    started, written = (
        course(result, arm, "adalimumab_concentration") for arm in ("started", "written")
    )
    assert started.max() > 1
    np.testing.assert_array_equal(started.view(np.int64), written.view(np.int64))
    assert set(result.actions["action"]) == {"start"}
    assert set(result.actions["time_day"]) == {28.0}


def test_half_the_dose_is_half_the_dose() -> None:
    half = TOCILIZUMAB.replace("8 mg/kg", "4 mg/kg")
    result = answer(
        {"reduced": TOCILIZUMAB, "half": half},
        [{"when": ALWAYS, "do": "reduce tocilizumab by 50 %", "once": True, "arms": ["reduced"]}],
    )
    np.testing.assert_allclose(course(result, "reduced"), course(result, "half"), rtol=1e-9)


def test_a_hold_leaves_out_the_doses_between_its_visits() -> None:
    result = answer(
        {"held": TOCILIZUMAB},
        [{"when": ALWAYS, "do": "hold tocilizumab", "from": "4 weeks", "to": "4 weeks"}],
    )
    # Held at week 4 and never resumed, as the condition holds on: one dose in all.
    log = result.actions
    assert (log["action"] == "hold").all()
    assert len(log) == 12
    concentration = course(result, "held")
    times = result.trajectories["time"].values
    assert (np.diff(concentration[:, times >= 28], axis=1) <= 0).all()


def test_rules_see_events_and_doses_stop_after_them() -> None:
    result = answer(
        {"drug": TOCILIZUMAB},
        [{"when": "neutropenia >= 1", "do": "stop tocilizumab"}],
        side_effects=["neutropenia", "serious-infection"],
        population={"name": "methotrexate-inadequate-response", "patients": 60, "seed": 5},
    )
    stopped = result.actions.set_index("patient")["time_day"]
    assert 0 < len(stopped) < 60
    # Exactly those whose observed count had a grade at a visit, at the first such visit.
    limits, is_low_bad = packaged_catalog().side_effect("neutropenia").limits
    seen = result.visits[result.visits["time_day"] < 84]
    graded = seen[ctcae_grade(seen["neutrophils"].to_numpy(), limits, is_low_bad) >= 1]
    assert stopped.to_dict() == graded.groupby("patient")["time_day"].min().to_dict()


def test_dropout_at_a_hazard_loses_the_share_that_it_should() -> None:
    n = 400
    result = answer(
        {"placebo": [], "drug": TOCILIZUMAB},
        dropout={"background": "100 per 100 patient-years"},
        population={"name": "methotrexate-inadequate-response", "patients": n, "seed": 5},
    )
    lost = result.patients.groupby("arm")["left_day"].apply(lambda day: day.notna().sum())
    share = 1 - np.exp(-84 / 365.25)
    # Four standard deviations of a binomial number.
    assert abs(lost["placebo"] - n * share) < 4 * np.sqrt(n * share * (1 - share))
    # Nothing in an arm makes them leave, so the same patients leave at the same time.
    assert lost["placebo"] == lost["drug"]
    # Nobody is seen after he has left.
    visits = result.visits.merge(result.patients[["arm", "patient", "left_day"]])
    after = visits[visits["time_day"] > visits["left_day"]]
    assert len(after) > 0
    assert after["crp"].isna().all()
    assert visits[~(visits["time_day"] > visits["left_day"])]["crp"].notna().all()


def test_leaving_competes_with_a_side_effect() -> None:
    result = answer(
        {"drug": TOCILIZUMAB},
        duration="104 weeks",
        visits="every 26 weeks",
        dropout={"background": "50 per 100 patient-years"},
        side_effects=["serious-infection"],
        population={"name": "methotrexate-inadequate-response", "patients": 1500, "seed": 5},
    )
    rows = result.side_effects.set_index("measure")
    found = rows.loc["cumulative incidence, leaving competes"]
    # Nobody is censored before the end, so the estimator is the share who had an event first.
    events = result.events[result.events["event"] == "serious-infection"]
    share = events["patient"].nunique() / 1500
    assert 0.02 < share < 0.2
    assert found["estimate"] == pytest.approx(share, rel=1e-9)
    assert found["low"] < share < found["high"]


def test_missed_visits_are_missing_completely_at_random() -> None:
    result = answer(
        {"placebo": []},
        missed_visits=0.25,
        population={"name": "methotrexate-inadequate-response", "patients": 300, "seed": 5},
    )
    visits = result.visits
    assert visits[visits["time_day"] == 0]["crp"].notna().all()
    later = visits[visits["time_day"] > 0]
    share = later["crp"].isna().mean()
    assert share == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / len(later)))
    assert (later["crp"].isna() == later["pain"].isna()).all()

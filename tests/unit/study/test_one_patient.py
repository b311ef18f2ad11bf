"""One patient beside the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from immunostat.study import one_patient
from immunostat.study.result import Result


def result() -> Result:
    people = pd.DataFrame(
        {
            "patient": np.arange(5),
            "status": "ok",
            "age": [20.0, 30.0, 40.0, 50.0, 60.0],
            "female": [1.0, 0.0, 1.0, 1.0, 1.0],
            "count": [1.0, 2.0, 3.0, 4.0, 5.0],
            "alike": 7.0,
        }
    )
    arms = [
        people.assign(
            arm=arm,
            **{"count at baseline": people["count"], "count at end": people["count"] * factor},
            response=float(factor < 1),
        )
        for arm, factor in (("placebo", 1.0), ("drug", 0.5))
    ]
    endpoints = pd.DataFrame(
        {
            "arm": ["placebo", "placebo"],
            "endpoint": ["count", "response"],
            "statistic": ["mean", "proportion"],
            "time_day": 28.0,
        }
    )
    study = {"arms": {"placebo": [], "drug": []}}
    return Result(study=study, patients=pd.concat(arms), endpoints=endpoints)


def test_people_are_what_is_the_same_under_every_arm():
    table = one_patient.people(result())
    assert list(table.columns) == ["patient", "age", "female", "count", "alike"]
    assert len(table) == 5


def test_the_median_patient_stands_at_one_half():
    table = one_patient.standing(one_patient.people(result()), 2).set_index("name")
    assert table.loc["age", "percentile"] == pytest.approx(0.5)
    assert table.loc["age", "q50"] == 40.0
    assert table.loc["age", "unit"] == "year"
    assert table.loc["female", "is_flag"]
    assert table.loc["female", "share"] == pytest.approx(0.8)


def test_a_number_in_which_all_are_alike_is_left_out():
    table = one_patient.standing(one_patient.people(result()), 2)
    assert "alike" not in set(table["name"])


def test_a_missing_value_has_no_percentile():
    people = pd.DataFrame({"patient": [0, 1, 2], "x": [np.nan, 1.0, 2.0]})
    assert np.isnan(one_patient.standing(people, 0)["percentile"].iloc[0])


def test_outcomes_stand_arm_beside_arm():
    table = one_patient.outcomes(result(), 4).set_index("endpoint")
    assert table.loc["count", ["placebo", "drug"]].tolist() == [5.0, 2.5]
    assert table.loc["response", ["placebo", "drug"]].tolist() == [0.0, 1.0]
    assert table.loc["response", "is_share"]


def test_parameters_are_shown_where_a_result_has_them():
    plain = result()
    assert one_patient.model_parameters(plain) is None
    object.__setattr__(plain, "parameters", pd.DataFrame({"patient": [0, 1], "rate": [0.1, 0.2]}))
    assert one_patient.model_parameters(plain)["rate"].tolist() == [0.1, 0.2]

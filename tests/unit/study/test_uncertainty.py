"""Uncertainty of functions whose variance is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from immunostat.base import streams
from immunostat.base.errors import InputError
from immunostat.study.uncertainty import draw_factors, uncertainty, variance_components
from immunostat.study.varied import Parameter

A, B = Parameter("a", 1 / 1.5, 1.5), Parameter("b", 0.5, 2.0)
PATIENTS = 2.0 * streams.normal(3, "patients of a test", np.arange(100))[:, 0]


def trial(factors):
    """The mean moves by 3 ln a; patients differ by 2 (1 + ln b) times a normal number."""
    a, b = (math.log(factors.get(name, 1.0)) for name in "ab")
    return {"y": 5 + 3 * a + PATIENTS * (1 + b)}


def test_variance_of_parameters_and_of_patients_are_told_apart():
    row = uncertainty(trial, [A, B], draws=2000).table.iloc[0]
    of_parameters = 3 * A.log_sd
    of_patients = PATIENTS.std(ddof=1) / 10 * math.sqrt(1 + B.log_sd**2)
    # 5 %: three standard errors of a standard deviation from 2000 draws, 1/sqrt(2 * 2000) each.
    assert row["parameter_sd"] == pytest.approx(of_parameters, rel=0.05)
    assert row["sampling_sd"] == pytest.approx(of_patients, rel=0.05)
    share = of_parameters**2 / (of_parameters**2 + of_patients**2)
    assert row["share"] == pytest.approx(share, abs=0.02)


def test_the_interval_of_a_single_parameter_is_its_own_range():
    row = uncertainty(lambda f: {"y": f.get("a", 1.0)}, [A], draws=5000).table.iloc[0]
    # 4 %: three standard errors of a 2.5 % quantile of 5000 draws on the log scale.
    assert row["parameter_low"] == pytest.approx(A.low, rel=0.04)
    assert row["parameter_high"] == pytest.approx(A.high, rel=0.04)
    assert row["sampling_low"] == row["sampling_high"] == 1.0


def test_without_effect_of_parameters_all_variance_is_of_patients():
    row = uncertainty(lambda f: {"y": PATIENTS}, [A], draws=50).table.iloc[0]
    assert row["parameter_sd"] == 0
    assert row["share"] == 0
    assert row["sampling_sd"] == pytest.approx(PATIENTS.std(ddof=1) / 10)


def test_the_total_holds_both_parts():
    row = uncertainty(trial, [A, B], draws=200).table.iloc[0]
    assert row["total_low"] < row["parameter_low"] < row["median"]
    assert row["median"] < row["parameter_high"] < row["total_high"]


def test_the_interaction_of_patients_with_draws_is_not_uncertainty():
    # Pure noise: no draw is better than another on average.
    noise = streams.normal(5, "noise of a test", np.arange(200), 50)
    found = variance_components(noise)
    assert found.interaction == pytest.approx(1.0, rel=0.05)
    # 4 standard errors of a component whose expectation is zero: sqrt(2/199)/50.
    assert found.parameters < 4 * math.sqrt(2 / 199) / 50


def test_the_law_of_total_variance_holds_in_a_balanced_table():
    draws = streams.normal(1, "draws of a test", np.arange(400))[:, 0]
    people = 3 * streams.normal(1, "people of a test", np.arange(300))[:, 0]
    found = variance_components(draws[:, None] + people[None, :])
    assert found.parameters == pytest.approx(draws.var(ddof=1))
    assert found.patients == pytest.approx(people.var(ddof=1) / 300)
    assert found.total == pytest.approx(found.parameters + found.patients)


def test_failed_draws_and_patients_are_left_out():
    table = PATIENTS[None, :] + np.arange(12.0)[:, None]
    table[3] = np.nan
    table[5, 7] = np.nan
    found = variance_components(table)
    assert (found.draws, found.n) == (11, 99)


def test_a_draw_keeps_its_factors_when_others_are_added():
    few, many = draw_factors([A], 5, 1), draw_factors([B, A], 50, 1)
    np.testing.assert_array_equal(few[:, 0], many[:5, 1])


def test_factors_have_the_stated_median_and_range():
    one_sided = Parameter("a", 0.9, 2.5)
    drawn = draw_factors([one_sided], 20000, 1)[:, 0]
    # 2 %: three standard errors of the quantiles of 20 000 draws on the log scale.
    assert np.quantile(drawn, [0.025, 0.5, 0.975]) == pytest.approx(
        [0.9, math.sqrt(0.9 * 2.5), 2.5], rel=0.03
    )


def test_too_few_draws_are_refused():
    with pytest.raises(InputError, match="at least 10"):
        uncertainty(trial, [A], draws=5)

"""Differences of harm between arms and between patients, drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from example import example_result

from immunostat.report import figures, harm_maps, harm_words
from immunostat.report.balance_figures import dose_balance as drawn_doses
from immunostat.study.balance import weighed
from immunostat.study.dose_balance import dose_balance
from immunostat.study.result import Result


@pytest.fixture(scope="module")
def result() -> Result:
    """The example, with a chance of infection that doubles every ten years of age."""
    found = example_result(120)
    chance = 0.01 * 2.0 ** ((found.patients["age_year"] - 50.0) / 10.0)
    columns = {"serious infection expected": chance, "serious infection chance": chance}
    patients = found.patients.assign(**columns)
    run = dict(found.run) | {
        "warnings": [{"drug": "x", "side_effect": "birth-defects", "text": "Not in pregnancy."}],
        "not_known_here": {"serious-infection": ["prior_serious_infection"]},
    }
    return _with(found, patients=patients, run=run)


def _with(found: Result, **changed: object) -> Result:
    from dataclasses import replace

    return replace(found, **changed)  # type: ignore[arg-type]


def test_the_map_of_arms_shows_the_rate_of_each_side_effect(result: Result) -> None:
    text = figures.svg(figures.harm_rates(result))
    for arm in result.arms:
        assert arm in text
    assert "serious infection" in text


def test_the_number_that_a_harm_goes_with_is_found(result: Result) -> None:
    found = harm_maps.main_harm(result)
    assert found is not None
    assert (found.side_effect, found.covariate) == ("serious infection", "age_year")
    assert found.correlation > 0.9
    assert "age year" in figures.svg(figures.harm_chances(result, found))


def test_a_result_in_which_nobody_differs_has_no_such_figure(result: Result) -> None:
    same = result.patients.assign(
        **{"serious infection expected": 0.01, "serious infection chance": 0.01}
    )
    assert harm_maps.main_harm(_with(result, patients=same)) is None


def test_warnings_and_what_is_not_known_are_told(result: Result) -> None:
    assert harm_words.warnings(result).iloc[0]["Warning"] == "Not in pregnancy."
    assert harm_words.not_known(result).iloc[0]["Not known here"] == "prior serious infection"
    assert harm_words.warnings(example_result(10)).empty


def test_quadrant_and_value_tree_name_every_arm(result: Result) -> None:
    goal = next(name for name in result.patients if name == "ACR20")
    parts, net = weighed(result, {goal: 1.0, "serious infection": 2.0}, result.arms[0])
    for figure in (
        figures.quadrant(result, net, result.arms[0]),
        figures.value_tree(result, parts, net),
    ):
        text = figures.svg(figure)
        assert all(arm in text for arm in result.arms)


def test_benefit_and_harm_by_dose_are_drawn_on_one_axis(result: Result) -> None:
    doses = {arm: float(i) for i, arm in enumerate(result.arms)}
    found = dose_balance(result, {"ACR20": 1.0, "serious infection": 2.0}, doses, n_draws=5)
    assert np.isfinite(found.curves["net"]).all()
    assert isinstance(found.arms, pd.DataFrame)
    text = figures.svg(drawn_doses(found, "mg"))
    assert "dose, mg" in text
    assert "net" in text

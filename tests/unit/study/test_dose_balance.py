"""The dose that weighs best, where theory says which it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from immunostat.base.errors import InputError
from immunostat.study.dose_balance import best_words, dose_balance
from immunostat.study.result import TABLES, Result
from immunostat.study.weights import illustrative, read_weights

N = 300
DOSES = {"none": 0.0, "1": 1.0, "2": 2.0, "4": 4.0, "8": 8.0}


def dosed(harm: Callable[[float], float]) -> Result:
    """Arms of the same patients: chance of the goal 0.6 d / (1 + d), chance of harm as given."""
    number = np.arange(N)
    u = (number * 0.6180339887) % 1.0  # evenly spread
    rows = [
        pd.DataFrame(
            {
                "arm": arm,
                "patient": number,
                "status": "ok",
                "goal": (u < 0.6 * dose / (1.0 + dose)).astype(float),
                "infection expected": -np.log1p(-harm(dose)) * (0.5 + u),
                "infection chance": harm(dose) * (0.5 + u),
            }
        )
        for arm, dose in DOSES.items()
    ]
    endpoints = TABLES["endpoints"].empty().reindex(range(1))
    endpoints[["arm", "endpoint", "statistic"]] = [["none", "goal", "proportion"]]
    effects = TABLES["side_effects"].empty().reindex(range(1))
    effects[["arm", "side_effect"]] = [["none", "infection"]]
    return Result(
        study={
            "arms": {arm: [arm] if dose else [] for arm, dose in DOSES.items()},
            "dose_response": {"doses": DOSES},
        },
        patients=pd.concat(rows, ignore_index=True),
        endpoints=endpoints,
        side_effects=effects,
    )


def test_the_best_dose_is_where_one_more_unit_gains_what_it_costs() -> None:
    # Benefit 0.6 d / (1 + d), harm 0.2 d / (10 + d): 0.6 / (1 + d)^2 = 2 / (10 + d)^2 weighed once.
    result = dosed(lambda d: 0.2 * d / (10.0 + d))
    found = dose_balance(result, {"goal": 1.0, "infection": 3.0}, n_draws=40)
    ratio = np.sqrt(0.6 / 6.0)  # weighed three times
    exact = (10.0 * ratio - 1.0) / (1.0 - ratio)
    assert found.best == pytest.approx(exact, rel=0.1)
    assert found.low <= found.best <= found.high
    assert found.at_highest < 0.1
    assert f"{found.best:.3g}" in best_words(found)


def test_without_harm_the_highest_dose_weighs_best_and_the_words_say_so() -> None:
    found = dose_balance(dosed(lambda d: 0.01), {"goal": 1.0, "infection": 1.0}, n_draws=20)
    assert found.best == 8.0
    assert found.at_highest == 1.0
    assert "a higher one may weigh more" in best_words(found)


def test_harm_that_outweighs_everything_makes_no_dose_best() -> None:
    result = dosed(lambda d: 0.5 * d / (1.0 + d))
    found = dose_balance(result, {"goal": 1.0, "infection": 5.0}, n_draws=20)
    assert found.best == 0.0
    assert found.net_at_best == 0.0


def test_the_same_seed_gives_the_same_interval() -> None:
    result = dosed(lambda d: 0.2 * d / (10.0 + d))
    one, two = (dose_balance(result, {"goal": 1.0, "infection": 3.0}, n_draws=10) for _ in "ab")
    assert (one.low, one.high) == (two.low, two.high)
    pd.testing.assert_frame_equal(one.curves, two.curves)


def test_two_doses_tell_no_curve() -> None:
    with pytest.raises(InputError, match="2 doses tell no curve"):
        dose_balance(dosed(lambda d: 0.0), {"goal": 1.0}, {"none": 0.0, "1": 1.0})


def test_a_file_of_weights_is_read_and_its_faults_are_told(tmp_path: Path) -> None:
    file = tmp_path / "weights.yaml"
    file.write_text(
        "weights:\n  goal: 1\n  score: {weight: 2, worst: 0, best: -3}\ndoses: {a: 1}\n"
    )
    found = read_weights(file)
    assert found.weights["goal"].weight == 1.0
    assert found.weights["score"].best == -3.0
    assert found.doses == {"a": 1.0}
    file.write_text("weights:\n  goal: -1\n")
    with pytest.raises(InputError, match="goal"):
        read_weights(file)
    file.write_text("weights:\n  score: {weight: 1, worst: 0}\n")
    with pytest.raises(InputError, match="belong together"):
        read_weights(file)


def test_weights_to_begin_with_follow_the_grades_of_events() -> None:
    result = dosed(lambda d: 0.01)
    result.run["severities"] = {"infection": {"3": 0.5, "4": 0.5}}
    assert illustrative(result)["infection"].weight == pytest.approx(0.75)
    assert illustrative(result)["goal"].weight == 1.0

"""Results side by side: identical ones differ by nothing, a known shift is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from immunostat.base import streams
from immunostat.base.errors import InputError
from immunostat.outcomes import statistics
from immunostat.outcomes.comparisons import proportion_difference
from immunostat.study.compare import INDEPENDENT, PAIRED, compare_results, difference
from immunostat.study.result import Result

N = 80


def result(
    seed: int = 1, arms: tuple[str, ...] = ("placebo", "drug"), shift: float = 0.0
) -> Result:
    """A small result: a yes or no and a score, in the same patients under every arm."""
    numbers = np.arange(0, 2 * N, 2)
    normal = streams.normal(seed, "score of a test", numbers)[:, 0]
    patients, endpoints, effects, profile = [], [], [], []
    for place, arm in enumerate(arms):
        score = normal + shift * (arm == "drug") - place
        yes = (score < 0).astype(float)
        patients.append(
            pd.DataFrame(
                {"arm": arm, "patient": numbers, "status": "ok", "age": 50 + normal}
                | {"score": 3.0, "score at baseline": 0.0, "score at end": score, "yes": yes}
                | {"low count grade": np.where(score < -1, 3.0, 0.0)}
            )
        )
        for name, kind, found in (
            ("yes", "proportion", statistics.proportion(int(yes.sum()), N)),
            ("score", "mean", statistics.mean(score)),
        ):
            for day in (28.0, 56.0):
                endpoints.append(
                    {"arm": arm, "endpoint": name, "kind": kind, "time_day": day, "n": N}
                    | {"statistic": kind, "estimate": found.estimate, "low": found.low}
                    | {"high": found.high, "unit": "1", "method": found.method}
                )
        effects.append(
            {"arm": arm, "side_effect": "low count", "measure": "any grade", "n": N, "events": 0}
            | {"patient_years": 1.0, "estimate": float((score < -1).mean()), "low": 0.0}
            | {"high": 1.0, "unit": "1", "expected": np.nan}
        )
        profile.append(
            {"arm": arm, "function": "T cells", "ratio": 0.5 + shift, "low": 0.1, "high": 0.9}
            | {"direction": "suppressed"}
        )
    study = {
        "title": "a test",
        "situation": "somewhere",
        "population": {"name": "people", "patients": N, "seed": seed},
        "arms": {arm: [] for arm in arms},
    }
    return Result(
        study=study,
        patients=pd.concat(patients, ignore_index=True),
        endpoints=pd.DataFrame(endpoints),
        side_effects=pd.DataFrame(effects),
        profile=pd.DataFrame(profile),
        run={"tolerance": {"relative": 1e-5}},
    )


def last(table: pd.DataFrame, endpoint: str, arm: str) -> pd.Series:
    own = table[(table["endpoint"] == endpoint) & (table["arm"] == arm)]
    return own[own["time_day"] == own["time_day"].max()].iloc[0]


def test_a_result_does_not_differ_from_itself():
    found = compare_results(result(), result())
    assert found.study.empty
    assert (found.endpoints["difference"] == 0).all()
    assert not found.endpoints["is_beyond"].any()
    assert (found.side_effects["difference"] == 0).all()
    assert (found.profile["fold"] == 1).all()
    assert found.left_out == ()
    assert found.n_pairs == N


def test_a_known_shift_is_found_in_the_same_people():
    found = compare_results(result(), result(shift=0.25))
    moved = last(found.endpoints, "score", "drug")
    # Everybody moved by the same amount, so that nothing is left to chance.
    assert moved[["difference", "low", "high"]].tolist() == pytest.approx([0.25] * 3)
    assert moved["how"] == PAIRED
    assert moved["is_beyond"]
    assert last(found.endpoints, "score", "placebo")["difference"] == 0


def test_other_people_are_not_paired():
    found = compare_results(result(), result(seed=2))
    assert found.n_pairs == 0
    assert set(found.endpoints["how"]) == {INDEPENDENT}
    assert found.study["key"].tolist() == ["population.seed"]


def test_equal_numbers_of_other_people_are_not_paired():
    other = result()
    other.patients["age"] += 1
    assert compare_results(result(), other).n_pairs == 0


def test_a_larger_trial_is_paired_in_the_people_of_the_smaller_one():
    small = result()
    few = replace(small, patients=small.patients[small.patients["patient"] < 60])
    moved = last(compare_results(few, result(shift=0.25)).endpoints, "score", "drug")
    assert moved["how"] == PAIRED
    assert moved["n"] == 30
    assert moved["difference"] == pytest.approx(0.25)


def test_an_endpoint_is_not_taken_for_a_covariate_of_the_same_name():
    # The column 'score' is the same in both; 'score at end' is the endpoint.
    moved = last(compare_results(result(), result(shift=0.5)).endpoints, "score", "drug")
    assert moved["difference"] == pytest.approx(0.5)


def test_independent_differences_of_shares_are_those_of_newcombe():
    # The package's own Newcombe interval is checked against his paper.
    one, two = statistics.proportion(48, 80), statistics.proportion(56, 70)
    wanted = proportion_difference(56, 70, 48, 80)
    found = difference((one.estimate, one.low, one.high), (two.estimate, two.low, two.high))
    assert found == pytest.approx((wanted.estimate, wanted.low, wanted.high), rel=1e-12)


def test_the_error_of_the_solver_is_not_beyond_chance():
    other = result()
    other.patients["score at end"] += 1e-7
    found = last(compare_results(result(), other).endpoints, "score", "drug")
    assert found["low"] > 0
    assert not found["is_beyond"]


def test_what_only_one_holds_is_named():
    found = compare_results(result(), result(arms=("placebo", "another")))
    assert "arm only in the first result: drug" in found.left_out
    assert "arm only in the other result: another" in found.left_out


def test_results_without_a_common_arm_or_situation_are_refused():
    with pytest.raises(InputError, match="no arm in common"):
        compare_results(result(arms=("a",)), result(arms=("b",)))
    other = result()
    other.study["situation"] = "elsewhere"
    with pytest.raises(InputError, match="somewhere and elsewhere"):
        compare_results(result(), other)


def test_another_unit_is_not_compared():
    other = result()
    other.endpoints.loc[other.endpoints["endpoint"] == "score", "unit"] = "mm"
    found = compare_results(result(), other)
    assert set(found.endpoints["endpoint"]) == {"yes"}
    assert any("score of drug: mean in 1 and mean in mm" in text for text in found.left_out)


def test_a_patient_without_a_value_is_left_out_of_the_pairs():
    other = result(shift=0.25)
    other.patients.loc[other.patients["patient"] == 4, "score at end"] = np.nan
    moved = last(compare_results(result(), other).endpoints, "score", "drug")
    assert moved["n"] == N - 1
    assert moved["difference"] == pytest.approx(0.25)

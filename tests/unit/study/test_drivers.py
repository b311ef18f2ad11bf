from __future__ import annotations

import numpy as np
import pandas as pd

from immunostat.base import streams
from immunostat.study.drivers import _partial, drivers, outcome_column
from immunostat.study.rank_correlation import prcc
from immunostat.study.result import Result

N = 500


def numbers(name: str) -> np.ndarray:
    return streams.normal(1, name, np.arange(N))[:, 0]


def result() -> Result:
    age, weight, other = (numbers(name) for name in ("age", "weight", "other"))
    table = pd.DataFrame(
        {
            "arm": "drug",
            "patient": np.arange(N),
            "status": "ok",
            "age": age,
            "log_age": np.exp(age),
            "weight": weight,
            "other": other,
            "score at end": 2 * age - weight + 0.5 * numbers("noise"),
        }
    )
    endpoints = pd.DataFrame({"arm": ["drug"], "endpoint": ["score"], "statistic": ["mean"]})
    return Result(study={"arms": {"drug": ["x"]}}, patients=table, endpoints=endpoints)


def test_drivers_are_what_the_outcome_was_made_of() -> None:
    found = drivers(result(), "drug", "score at end")
    assert [own.name for own in found[:2]] == ["age", "weight"]
    assert found[0].correlation > 0.9
    assert found[1].correlation < -0.8
    assert "log_age" not in [own.name for own in found]


def test_an_outcome_that_is_the_same_in_everybody_has_no_driver() -> None:
    own = result()
    own.patients["score at end"] = 1.0
    assert drivers(own, "drug", "score at end") == []


def test_the_inverse_gives_the_partial_rank_correlations_of_regressions() -> None:
    x = np.column_stack([numbers(name) for name in ("a", "b", "c")])
    x[:, 1] += x[:, 0]
    y = x[:, 0] - x[:, 2] + numbers("noise")
    np.testing.assert_allclose(_partial(x, y), prcc(x, y), atol=1e-10)


def test_what_a_patient_reached_is_found_whatever_kind_of_endpoint_it_is() -> None:
    columns = ["ACR20", "DAS28 at baseline", "DAS28 at end", "ARR events", "death event"]
    table = pd.DataFrame([[1.0] * 5], columns=columns)
    found = [outcome_column(table, name) for name in ("ACR20", "DAS28", "ARR", "death", "SVR")]
    assert found == ["ACR20", "DAS28 at end", "ARR events", "death event", None]

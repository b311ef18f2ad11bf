"""Endpoints: each kind by hand, missing values, units and errors."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import InputError, RangeError, ShapeError, UnitError, UnknownNameError
from immunostat.outcomes import scores
from immunostat.outcomes.endpoints import KINDS, EndpointSpec, Observations, evaluate

DAYS = np.array([0.0, 84.0, 168.0])
X = np.array([[10.0, 8.0, 5.0], [4.0, np.nan, 6.0], [0.0, 1.0, 2.0]])
ONE = Observations(DAYS, {"x": X}, {"x": "mg/L"})
ACR_ROLES = {role: f"observed_{role}" for role in (*scores.ACR_JOINTS, *scores.ACR_OTHERS)}


def spec(kind: str, **more: object) -> EndpointSpec:
    return EndpointSpec("e", kind, {"value": "x"}, **more)  # type: ignore[arg-type]


def test_value_and_change_and_percent_change() -> None:
    np.testing.assert_array_equal(evaluate(spec("value"), ONE), X)
    np.testing.assert_array_equal(
        evaluate(spec("change"), ONE), [[0, -2, -5], [0, np.nan, 2], [0, 1, 2]]
    )
    found = evaluate(spec("percent_change"), ONE)
    np.testing.assert_array_equal(found, [[0, -20, -50], [0, np.nan, 50], [np.nan] * 3])


def test_thresholds_and_their_edges() -> None:
    below = evaluate(spec("below", level=5.0), ONE)
    np.testing.assert_array_equal(below, [[0, 0, 0], [1, np.nan, 0], [1, 1, 1]])
    assert evaluate(spec("below", level=5.0, is_inclusive=True), ONE)[0, 2] == 1
    assert evaluate(spec("above", level=5.0), ONE)[0, 2] == 0
    assert evaluate(spec("above", level=5.0, is_inclusive=True), ONE)[0, 2] == 1
    improved = evaluate(spec("improved", level=2.0), ONE)
    np.testing.assert_array_equal(improved, [[0, 1, 1], [0, np.nan, 0], [0, 0, 0]])


def test_grades_at_visits_and_the_worst_so_far() -> None:
    counts = np.array([[0.3, 1.2, 3.0], [3.0, np.nan, 0.9], [3.0, np.nan, np.nan]])
    observed = Observations(DAYS, {"x": counts})
    more = {"grades": {1: 2.0, 2: 1.5, 3: 1.0, 4: 0.5}, "level": 3.0}
    found = evaluate(spec("graded_count", **more), observed)
    np.testing.assert_array_equal(found, [[4, 2, 0], [0, np.nan, 3], [0, np.nan, np.nan]])
    worst = evaluate(spec("worst_grade", **more), observed)
    # What was there at baseline is not counted against the treatment.
    np.testing.assert_array_equal(
        worst, [[np.nan, 2, 2], [np.nan, np.nan, 3], [np.nan, np.nan, np.nan]]
    )


def rheumatoid(n: int = 2) -> Observations:
    values = {name: np.tile([20.0, 16.0, 5.0], (n, 1)) for name in ACR_ROLES.values()}
    return Observations(DAYS, values)


def test_acr_response_from_named_components() -> None:
    for level, expected in ((20, [0, 1, 1]), (50, [0, 0, 1]), (70, [0, 0, 1])):
        found = evaluate(EndpointSpec("a", "responder", ACR_ROLES, level=level), rheumatoid())
        np.testing.assert_array_equal(found, [expected] * 2)


def das_inputs() -> dict[str, str]:
    return {"tender_joints": "t", "swollen_joints": "s", "crp": "crp", "patient_global": "g"}


def das_observations(crp_unit: str = "mg/L", factor: float = 1.0) -> Observations:
    base = np.array([[16.0, 4.0, 0.0]])
    return Observations(
        DAYS,
        {"t": base, "s": base, "crp": base * factor, "g": base},
        {"t": "1", "crp": crp_unit, "g": "mm"},
    )


def test_a_score_is_made_from_its_components() -> None:
    found = evaluate(
        EndpointSpec("d", "value", das_inputs(), score="das28_crp"), das_observations()
    )
    base = np.array([[16.0, 4.0, 0.0]])
    np.testing.assert_allclose(found, scores.das28_crp(base, base, base, base), rtol=1e-15)


def test_a_score_converts_units_or_refuses_them() -> None:
    own = EndpointSpec("d", "value", das_inputs(), score="das28_crp")
    same = evaluate(own, das_observations("mg/dL", 0.1))
    np.testing.assert_allclose(same, evaluate(own, das_observations()), rtol=1e-12)
    with pytest.raises(UnitError, match="'crp' has unit 'nmol/L'"):
        evaluate(own, das_observations("nmol/L"))


def test_remission_and_low_activity_use_the_limits_of_the_score() -> None:
    more = {"inputs": das_inputs(), "score": "das28_crp"}
    remission = evaluate(EndpointSpec("r", "remission", **more), das_observations())  # type: ignore[arg-type]
    low = evaluate(EndpointSpec("r", "low_activity", **more), das_observations())  # type: ignore[arg-type]
    np.testing.assert_array_equal(remission, [[0, 0, 1]])
    # At four joints DAS28-CRP is 0.96 + 1.68 + 0.36 ln 5 + 0.056 = 3.28: moderate.
    np.testing.assert_array_equal(low, [[0, 0, 1]])
    moved = evaluate(EndpointSpec("r", "remission", level=3.3, **more), das_observations())  # type: ignore[arg-type]
    np.testing.assert_array_equal(moved, [[0, 1, 1]])


def test_eular_response_at_its_levels() -> None:
    for level, expected in ((1, [[0, 1, 1]]), (2, [[0, 0, 1]])):
        own = EndpointSpec("r", "eular_response", das_inputs(), score="das28_crp", level=level)
        np.testing.assert_array_equal(evaluate(own, das_observations()), expected)


def test_every_kind_has_values_of_patient_and_visit_and_keeps_missing_missing() -> None:
    everything = {**ACR_ROLES, "value": "x"}
    observed = Observations(DAYS, {**rheumatoid(3).components, "x": X})
    lost = Observations(DAYS, {n: np.full((3, 3), np.nan) for n in observed.components})
    for name, kind in KINDS.items():
        if kind.is_of_events:  # see test_event_times.py
            continue
        inputs = (
            {**everything, **das_inputs()} if name in ("low_activity", "remission") else everything
        )
        score = "das28_crp" if name in ("low_activity", "remission") else ""
        own = EndpointSpec(name, name, inputs, score=score, level=1.0, grades={1: 3.0, 2: 1.0})
        for at, is_lost in ((observed, False), (lost, True)):
            if score:
                at = Observations(DAYS, dict.fromkeys(das_inputs().values(), at["x"]))
            values = evaluate(own, at)
            assert values.shape == (3, 3), name
            if is_lost:
                assert np.isnan(values).all(), name
            if kind.is_binary:
                assert set(np.unique(values[~np.isnan(values)])) <= {0.0, 1.0}, name


def test_errors_name_the_endpoint_and_the_way_out() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'percent_change'"):
        spec("percentchange")
    with pytest.raises(UnknownNameError, match="das28_crp"):
        spec("value", score="das28")
    with pytest.raises(UnknownNameError, match="median"):
        spec("value", statistic="medain")
    with pytest.raises(InputError, match="needs a level"):
        spec("below")
    with pytest.raises(UnknownNameError, match="no component 'y'"):
        evaluate(EndpointSpec("e", "value", {"value": "y"}), ONE)
    roles = {role: name for role, name in ACR_ROLES.items() if role != "pain"}
    with pytest.raises(InputError, match="no input for 'pain'"):
        evaluate(EndpointSpec("a", "responder", roles, level=20), rheumatoid())
    with pytest.raises(RangeError, match="day -7"):
        evaluate(spec("change", baseline_day=-7.0), ONE)
    with pytest.raises(ShapeError, match="'x'"):
        Observations(DAYS, {"x": np.zeros((2, 4))})

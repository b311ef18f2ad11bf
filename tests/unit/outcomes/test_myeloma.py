"""IMWG response from the M-protein: each threshold, confirmation, and progression from nadir."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import UnitError
from immunostat.outcomes.endpoints import EndpointSpec, Observations, evaluate
from immunostat.outcomes.myeloma import Response, best_response, imwg_response, response_shares

NAN = np.nan


def of(*row: float, **more: object) -> list[float]:
    """Categories of one patient."""
    return imwg_response(np.array([row]), **more)[0].tolist()  # type: ignore[arg-type]


def test_thresholds_of_response_are_met_at_the_threshold_itself() -> None:
    found = of(40.0, 30.1, 30.0, 20.1, 20.0, 4.1, 4.0, is_confirmed=False)
    assert found == [0, 0, 1, 1, 2, 2, 3]
    assert of(40.0, 0.4, detection_limit_g_per_l=0.5, is_confirmed=False) == [0, 4]


def test_progression_needs_both_the_relative_and_the_absolute_rise() -> None:
    # nadir 10: 25 % is 2.5 g/L, but 5 g/L are needed
    assert of(40.0, 10.0, 14.9, is_confirmed=False)[-1] == Response.PARTIAL
    assert of(40.0, 10.0, 15.0, is_confirmed=False)[-1] == Response.PROGRESSION
    # nadir 30: 5 g/L are not yet 25 %
    assert of(40.0, 30.0, 37.4, is_confirmed=False)[-1] == Response.STABLE
    assert of(40.0, 30.0, 37.5, is_confirmed=False)[-1] == Response.PROGRESSION
    # nadir 60 (6 g/dL): 25 % is 15 g/L, above the 10 g/L that a high nadir needs
    assert of(60.0, 74.9, is_confirmed=False)[-1] == Response.STABLE
    assert of(60.0, 75.0, is_confirmed=False)[-1] == Response.PROGRESSION


def test_response_needs_two_consecutive_assessments() -> None:
    assert of(40.0, 20.0, 39.0, 20.0) == [0, 0, 0, 0]
    assert of(40.0, 20.0, 20.0, 30.0) == [0, 2, 2, 1]
    assert of(40.0, 20.0, 3.0) == [0, 2, 2]  # the deeper one stands alone
    found = of(40.0, 20.0, NAN, 20.0)
    assert found[1] == found[3] == 2
    assert np.isnan(found[2])


def test_progression_is_final_once_confirmed() -> None:
    assert of(40.0, 10.0, 10.0, 16.0, 10.0, 10.0) == [0, 2, 2, 2, 2, 2]
    assert of(40.0, 10.0, 10.0, 16.0, 17.0, 4.0) == [0, 2, 2, -1, -1, -1]


def test_best_response_keeps_what_came_before_progression() -> None:
    categories = imwg_response(np.array([[40.0, 10, 10, 16, 17], [40, 50, 55, 60, 60]]))
    best = best_response(categories)
    np.testing.assert_array_equal(best[:, 1:], [[2, 2, 2, 2], [-1, -1, -1, -1]])


def test_missing_stays_missing_and_harms_nobody_else() -> None:
    values = np.array([[NAN, 10.0, 5.0], [40.0, 10.0, 10.0], [0.0, 0.0, 0.0]])
    found = imwg_response(values)
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1:], [[0, 2, 2], [0, 0, 0]])


def test_endpoints_of_myeloma_are_built_from_one_another() -> None:
    grams = np.array([[4.0, 1.0, 1.0, 1.6, 1.7], [4.0, 3.9, 3.9, NAN, NAN]])
    observed = Observations(np.arange(5) * 28.0, {"M-protein": grams}, {"M-protein": "g/dL"})
    category = EndpointSpec("IMWG", "imwg_response", {"value": "M-protein"}, is_confirmed=True)
    best = EndpointSpec("best", "best_imwg_response", {"value": "M-protein"}, is_confirmed=True)
    overall = EndpointSpec("ORR", "above", level=2.0, is_inclusive=True, of=best)
    progressing = EndpointSpec("PD", "below", level=0.0, of=category)
    progression = EndpointSpec("TTP", "time_to_event", of=progressing)
    np.testing.assert_array_equal(evaluate(overall, observed)[:, -1], [1, 0])
    np.testing.assert_array_equal(
        evaluate(progression, observed), [[0, 0, 0, 1, 1], [0, 0, 0, NAN, NAN]]
    )
    wrong = Observations(observed.times, {"M-protein": grams}, {"M-protein": "mol/L"})
    with pytest.raises(UnitError, match="imwg_response needs 'g/L'"):
        evaluate(category, wrong)


def test_shares_count_everybody() -> None:
    shares = response_shares(np.array([2, 3, -1, 0, NAN]))
    parts = [e.estimate for name, e in shares.items() if name != "partial or better"]
    assert sum(parts) == pytest.approx(1.0)
    assert shares["partial or better"].estimate == pytest.approx(0.4)

"""Scores equal their published definitions, and missing inputs stay missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immunostat.base.errors import InputError, RangeError
from immunostat.outcomes import scores

WORST_FIRST = {
    "tender_joints": 20.0,
    "swollen_joints": 15.0,
    "acute_phase": 30.0,
    "evaluator_global": 60.0,
    "patient_global": 60.0,
    "pain": 60.0,
    "physical_function": 1.5,
}


def better(percent: dict[str, float]) -> dict[str, float]:
    return {role: value * (1 - percent.get(role, 0.0) / 100) for role, value in WORST_FIRST.items()}


def test_das28_of_a_healthy_person_is_its_printed_minimum() -> None:
    assert scores.das28_crp(0, 0, 0, 0) == pytest.approx(0.96)  # minimum stated by dasnl
    assert scores.das28_crp3(0, 0, 0) == pytest.approx(1.15)


def test_das28_by_hand() -> None:
    # t 16, s 9, CRP e - 1 (logarithm 1), global 50: 2.24 + 0.84 + 0.36 + 0.70 + 0.96.
    assert scores.das28_crp(16, 9, np.e - 1, 50) == pytest.approx(5.10)
    assert scores.das28_crp3(16, 9, np.e - 1) == pytest.approx(3.44 * 1.10 + 1.15)
    assert scores.das28_esr(16, 9, np.e, 50) == pytest.approx(2.24 + 0.84 + 0.70 + 0.70)


def test_cdai_and_sdai_are_sums_with_the_printed_maximum() -> None:
    assert scores.cdai(28, 28, 10, 10) == 76
    assert scores.sdai(4, 3, 2.5, 1.5, 0.7) == pytest.approx(11.7)


@given(
    tender=st.integers(0, 27),
    swollen=st.integers(0, 28),
    crp=st.floats(0, 200),
    health=st.floats(0, 100),
)
def test_one_more_tender_joint_never_lowers_a_score(
    tender: int, swollen: int, crp: float, health: float
) -> None:
    for more, less in (
        (
            scores.das28_crp(tender + 1, swollen, crp, health),
            scores.das28_crp(tender, swollen, crp, health),
        ),
        (scores.cdai(tender + 1, swollen, 5, 5), scores.cdai(tender, swollen, 5, 5)),
    ):
        assert more > less


def test_activity_limits_hold_at_their_edges() -> None:
    found = scores.activity_category("das28_crp", [2.59, 2.6, 3.2, 3.21, 5.1, 5.11, np.nan])
    np.testing.assert_array_equal(found, [0, 1, 1, 2, 2, 3, np.nan])
    found = scores.activity_category("cdai", [2.8, 2.9, 10, 10.1, 22, 22.1])
    np.testing.assert_array_equal(found, [0, 1, 1, 2, 2, 3])
    found = scores.activity_category("sdai", [3.3, 3.4, 11, 11.1, 26, 26.1])
    np.testing.assert_array_equal(found, [0, 1, 1, 2, 2, 3])


def test_boolean_remission_needs_all_four() -> None:
    assert scores.boolean_remission(1, 1, 1.0, 1.0) == 1
    for place in range(4):
        values = [1.0, 1.0, 1.0, 1.0]
        values[place] = 1.1
        assert scores.boolean_remission(*values) == 0
    assert np.isnan(scores.boolean_remission(1, np.nan, 1, 1))


def test_acr_needs_both_joint_counts_and_three_of_five() -> None:
    joints = {"tender_joints": 20.0, "swollen_joints": 20.0}
    three = {"acute_phase": 20.0, "pain": 20.0, "physical_function": 20.0}
    two = {"acute_phase": 20.0, "pain": 20.0}
    assert scores.acr_response(20, WORST_FIRST, better({**joints, **three})) == 1
    assert scores.acr_response(20, WORST_FIRST, better({**joints, **two})) == 0
    assert scores.acr_response(20, WORST_FIRST, better({"tender_joints": 90, **three})) == 0
    assert scores.acr_response(50, WORST_FIRST, better({**joints, **three})) == 0


def test_acr_is_met_exactly_at_its_level() -> None:
    before = dict.fromkeys(WORST_FIRST, 15.0)
    assert scores.acr_response(20, before, dict.fromkeys(before, 12.0)) == 1
    assert scores.acr_response(20, before, dict.fromkeys(before, 13.0)) == 0
    before = dict.fromkeys(WORST_FIRST, 10.0)
    for level, after in ((50, 5.0), (70, 3.0)):
        assert scores.acr_response(level, before, dict.fromkeys(before, after)) == 1


@given(st.lists(st.floats(0, 120), min_size=7, max_size=7))
def test_acr70_implies_acr50_implies_acr20(improvements: list[float]) -> None:
    present = better(dict(zip(WORST_FIRST, improvements, strict=True)))
    found = [float(scores.acr_response(level, WORST_FIRST, present)) for level in (70, 50, 20)]
    assert found == sorted(found)


def test_acr_is_missing_only_where_the_missing_value_decides() -> None:
    all_better = better(dict.fromkeys(WORST_FIRST, 30.0))
    assert scores.acr_response(20, WORST_FIRST, {**all_better, "pain": np.nan}) == 1
    assert np.isnan(scores.acr_response(20, WORST_FIRST, {**all_better, "tender_joints": np.nan}))
    unclear = {**better({"tender_joints": 30, "swollen_joints": 30, "pain": 30, "acute_phase": 30})}
    assert np.isnan(scores.acr_response(20, WORST_FIRST, {**unclear, "patient_global": np.nan}))
    worse = {**WORST_FIRST, "pain": np.nan}
    assert scores.acr_response(20, WORST_FIRST, worse) == 0


def test_nothing_to_improve_is_no_improvement() -> None:
    before = {**WORST_FIRST, "swollen_joints": 0.0}
    assert scores.acr_response(20, before, dict.fromkeys(before, 0.0)) == 0


def test_acr_broadcasts_over_visits_and_names_what_lacks() -> None:
    before = {role: np.full((3, 1), value) for role, value in WORST_FIRST.items()}
    after = {role: np.full((3, 4), value / 2) for role, value in WORST_FIRST.items()}
    assert scores.acr_response(50, before, after).shape == (3, 4)
    with pytest.raises(InputError, match="pain"):
        scores.acr_response(20, {k: v for k, v in before.items() if k != "pain"}, after)
    with pytest.raises(RangeError):
        scores.acr_response(0, before, after)


@pytest.mark.parametrize(
    ("before", "now", "grade"),
    [
        (5.0, 3.2, 2),
        (5.0, 3.3, 1),
        (6.5, 5.2, 1),
        (5.0, 4.2, 1),
        (6.2, 5.4, 0),
        (5.0, 4.5, 0),
        (3.0, 2.0, 1),
    ],
)
def test_eular_response_by_its_table(before: float, now: float, grade: int) -> None:
    assert scores.eular_response(before, now) == grade


def test_ctcae_neutrophil_grades() -> None:
    limits = {1: 2.0, 2: 1.5, 3: 1.0, 4: 0.5}
    found = scores.ctcae_grade([2.0, 1.99, 1.5, 1.49, 1.0, 0.99, 0.5, 0.49, np.nan], limits)
    np.testing.assert_array_equal(found, [0, 1, 1, 2, 2, 3, 3, 4, np.nan])


def test_ctcae_enzyme_grades_rise_and_grades_may_be_left_out() -> None:
    found = scores.ctcae_grade([1, 1.1, 3, 3.1, 5.1, 21], {1: 1, 2: 3, 3: 5, 4: 20}, False)
    np.testing.assert_array_equal(found, [0, 1, 1, 2, 3, 4])
    np.testing.assert_array_equal(scores.ctcae_grade([0.9, 0.4], {3: 1.0, 4: 0.5}), [3, 4])
    with pytest.raises(RangeError, match="milder"):
        scores.ctcae_grade([1.0], {1: 1.0, 2: 1.5})

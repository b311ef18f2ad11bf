"""Rules: what an observation does to the doses that follow, patient by patient."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.regimen import Regimen
from immunostat.trial.conditions import parse_condition
from immunostat.trial.rules import Act, Dosing, Rule

LOW = parse_condition("count < 1")
ENOUGH = parse_condition("count >= 1.5")


@pytest.fixture
def regimen() -> Regimen:
    return parse_regimen("adalimumab 40 mg subcutaneous every 2 weeks", packaged_catalog().drug)


def dosing(regimen: Regimen, *rules: Rule, n: int = 3) -> Dosing:
    return Dosing.of("arm", [regimen], rules, n)


def given(state: Dosing) -> list[bool]:
    return state.courses[0].is_given.tolist()


def test_a_hold_lasts_until_its_end_is_seen(regimen) -> None:
    state = dosing(regimen, Rule("", LOW, Act.HOLD, "adalimumab", until=ENOUGH))
    state.visit(0.0, {"count": [0.5, 2.0, np.nan]})
    assert given(state) == [False, True, True]
    state.visit(7.0, {"count": [1.2, 2.0, 2.0]})  # above the limit, below the end
    assert given(state) == [False, True, True]
    state.visit(14.0, {"count": [np.nan, 2.0, 2.0]})  # not seen is not recovered
    assert given(state) == [False, True, True]
    (entry,) = state.visit(21.0, {"count": [1.6, 0.5, 2.0]})[:1]
    assert (entry.word, entry.rows.tolist()) == ("resume", [0])
    assert given(state) == [True, False, True]


def test_a_hold_without_an_end_follows_its_condition(regimen) -> None:
    state = dosing(regimen, Rule("", LOW, Act.HOLD, "adalimumab"))
    state.visit(0.0, {"count": [0.5, 2.0, 2.0]})
    state.visit(7.0, {"count": [np.nan, 2.0, 2.0]})
    assert given(state) == [False, True, True]
    state.visit(14.0, {"count": [1.0, 2.0, 2.0]})
    assert given(state) == [True, True, True]


def test_dosing_goes_on_one_level_lower_and_never_below_the_last(regimen) -> None:
    rule = Rule(
        "", LOW, Act.HOLD, "adalimumab", ENOUGH, levels=(1.0, 0.5, 0.25), is_lower_after=True
    )
    state = dosing(regimen, rule, n=1)
    factors = []
    for _ in range(4):
        state.visit(0.0, {"count": [0.5]})
        state.visit(7.0, {"count": [2.0]})
        factors.append(state.courses[0].factor[0])
    assert factors == pytest.approx([0.5, 0.25, 0.25, 0.25])


def test_levels_go_down_and_up(regimen) -> None:
    down = Rule("", LOW, Act.LOWER, "adalimumab", levels=(1.0, 0.4))
    up = Rule("", ENOUGH, Act.RAISE, "adalimumab", levels=(1.0, 0.4))
    state = dosing(regimen, down, up, n=2)
    state.visit(0.0, {"count": [0.5, 2.0]})
    assert state.courses[0].factor.tolist() == pytest.approx([0.4, 1.0])
    state.visit(7.0, {"count": [2.0, 0.5]})
    assert state.courses[0].factor.tolist() == pytest.approx([1.0, 0.4])


def test_a_reduction_repeats_unless_it_is_once(regimen) -> None:
    for is_once, left in ((False, 0.25), (True, 0.5)):
        state = dosing(
            regimen, Rule("", LOW, Act.REDUCE, "adalimumab", factor=0.5, is_once=is_once), n=1
        )
        for day in (0.0, 7.0):
            state.visit(day, {"count": [0.5]})
        assert state.courses[0].factor[0] == left


def test_a_stop_is_for_good_and_a_change_brings_another_regimen(regimen) -> None:
    other = parse_regimen("adalimumab 80 mg subcutaneous every 2 weeks", packaged_catalog().drug)
    change = Rule("", LOW, Act.CHANGE, "adalimumab", regimen=other, is_once=True)
    state = dosing(regimen, change, n=2)
    state.visit(14.0, {"count": [0.5, 2.0]})
    state.visit(28.0, {"count": [0.5, 2.0]})
    assert given(state) == [False, True]
    assert state.courses[1].origin_day.tolist() == [14.0, np.inf]
    assert state.courses[1].is_given.tolist() == [True, False]


def test_nobody_who_has_stopped_is_changed_to_another_regimen(regimen) -> None:
    stop = Rule("", parse_condition("event = 1"), Act.STOP, "adalimumab")
    other = parse_regimen("adalimumab 80 mg subcutaneous every 2 weeks", packaged_catalog().drug)
    change = Rule("", LOW, Act.CHANGE, "adalimumab", regimen=other, is_once=True)
    state = dosing(regimen, stop, change, n=2)
    state.visit(0.0, {"event": [1.0, 0.0], "count": [0.5, 0.5]})
    assert np.isfinite(state.courses[1].origin_day).tolist() == [False, True]


def test_rules_keep_to_their_arms_and_days(regimen) -> None:
    stop = Rule("", LOW, Act.STOP, "adalimumab", from_day=14.0, to_day=14.0, arms=("arm",))
    state = dosing(regimen, stop, n=1)
    state.visit(0.0, {"count": [0.5]})
    assert given(state) == [True]
    state.visit(14.0, {"count": [0.5]})
    assert given(state) == [False]
    elsewhere = Dosing.of("other arm", [regimen], [stop], 1)
    elsewhere.visit(14.0, {"count": [0.5]})
    assert given(elsewhere) == [True]


def test_the_log_names_who_and_what(regimen) -> None:
    state = dosing(regimen, Rule("text", LOW, Act.STOP, ""))
    (entry,) = state.visit(0.0, {"count": [0.5, 2.0, 0.1]})
    assert entry.rows.tolist() == [0, 2]
    assert (entry.word, entry.drug, entry.rule) == ("stop", "adalimumab", 0)

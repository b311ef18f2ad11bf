"""Reasons against candidates add up, and those by kind are told apart."""

from __future__ import annotations

import numpy as np

from immunostat.study.screening import ENTRY, PLAUSIBILITY, Findings, rejection_table


def block() -> Findings:
    findings = Findings(6)
    values = np.array([1.0, 2.0, 3.0, 4.0, np.nan, 6.0])
    findings.add_range("readout", PLAUSIBILITY, values, 2.0, 5.0)
    findings.add("too young", ENTRY, [True, False, True, False, False, True])
    return findings


def test_a_missing_value_lies_outside_every_range() -> None:
    assert block().first.tolist() == [
        "readout below 2",
        "",
        "too young",
        "",
        "readout below 2",
        "readout above 5",
    ]


def test_first_reasons_add_up_to_all_who_are_left_out() -> None:
    parts = [block(), block().up_to(3)]
    table = rejection_table(parts).set_index("reason")
    left_out = sum(int((~part.is_free_of()).sum()) for part in parts)
    assert table["first"].sum() == left_out
    assert (table["all"] >= table["first"]).all()
    assert table.loc["too young"].tolist() == [ENTRY, 2, 5]


def test_kinds_of_reasons_are_told_apart() -> None:
    findings = block()
    assert findings.is_free_of(PLAUSIBILITY).tolist() == [False, True, True, True, False, False]
    assert findings.is_free_of().tolist() == [False, True, False, True, False, False]


def test_findings_of_some_candidates_keep_their_place_among_all() -> None:
    placed = block().placed(np.array([1, 3, 5, 7, 9, 11]), 12)
    assert placed.first[1::2].tolist() == block().first.tolist()
    assert (placed.first[::2] == "").all()
    assert placed.counts() == block().counts()

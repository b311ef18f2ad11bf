"""Reasons against candidates add up, and those by kind are told apart."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.catalog.endpoint_cards import ComponentCard
from immunostat.study.screening import ENTRY, PLAUSIBILITY, Findings, observe, rejection_table


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


def test_an_additive_error_is_as_wide_at_every_value() -> None:
    # Its standard deviation is in the unit of the component: a film of 0 is read as badly as one of
    # 100. 5 % of it at 20,000 readings is more than four standard errors of a standard deviation.
    error = {"value": 2.0, "unit": "1", "evidence": "assumed", "because": "for this test"}
    given = {"title": "film", "output": "film", "unit": "1", "additive_error": error}
    card = ComponentCard.model_validate({**given, "low": -100, "high": 200})
    true = {"film": np.repeat([[0.0, 100.0]], 20_000, axis=0)}
    seen = observe({"film": card}, true, np.arange(20_000), seed=3)["film"]
    assert np.allclose(seen.std(axis=0), 2.0, rtol=0.05)
    assert np.allclose(seen.mean(axis=0), [0.0, 100.0], atol=0.07)


@pytest.mark.parametrize(
    ("also", "said"),
    [
        ({"error_of": "joints"}, "one of 'error', 'error_of' and 'additive_error'"),
        ({"unit": "mm"}, "write it in 'mm'"),
    ],
)
def test_an_error_that_cannot_be_is_refused(also: dict[str, str], said: str) -> None:
    error = {"value": 2.0, "unit": "1", "evidence": "assumed", "because": "for this test"}
    given = {"title": "film", "output": "film", "unit": "1", "additive_error": error}
    with pytest.raises(ValueError, match=said):
        ComponentCard.model_validate({**given, "low": 0, "high": 1, **also})

"""Who left a published trial: counted as the trial counted him."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import ImmunostatError
from immunostat.catalog.cards import LeftCard, RescueCard, TrialArmCard, TrialCard
from immunostat.catalog.lookup import packaged_catalog
from immunostat.outcomes.endpoints import Observations, evaluate
from immunostat.outcomes.summary import summarize
from immunostat.study.leaving import as_published, leaving_of
from immunostat.study.specs import endpoint_spec

CATALOG = packaged_catalog()
SITUATION = CATALOG.situation("rheumatoid-arthritis")
DAYS = np.array([0.0, 84.0, 112.0, 168.0])
RULE = "tender-joints-percent-change > -20 and swollen-joints-percent-change > -20"
ABOUT = {"evidence": "assumed", "because": "a test"}


def trial(when: str = RULE, left: float | None = None, **keys: object) -> TrialCard:
    """A trial of one arm, with a rule of rescue at week 16 unless `when` is empty."""
    arm = {"name": "drug", "drug": "placebo", "role": "held-back"}
    if left is not None:
        arm["left"] = {"value": left, "unit": "%", "week": 24, **ABOUT}
    if when:
        keys["rescue"] = {"when": when, "week": 16, **ABOUT}
    return TrialCard.model_validate(
        {
            "name": "T",
            "title": "A trial",
            "situation": "rheumatoid-arthritis",
            "population": "methotrexate-inadequate-response",
            "citation": "smolen2008",
            "arms": [arm],
            **keys,
        }
    )


def joints(tender: list[list[float]], swollen: list[list[float]]) -> Observations:
    """Joint counts by patient and visit."""
    own = {"tender_joints_68": np.array(tender), "swollen_joints_66": np.array(swollen)}
    return Observations(DAYS, own, dict.fromkeys(own, "1"))


def published(own: TrialCard, seen: Observations) -> Observations:
    """What the trial would have seen."""
    leaving = leaving_of(own, own.arms[0], SITUATION)
    assert leaving is not None
    n = seen.n_patients
    return as_published(seen, leaving, np.arange(1, n + 1), 7)


def test_who_is_no_better_in_either_count_at_the_week_of_rescue_is_seen_no_more():
    seen = joints(
        # no better; better in one count; better later, too late; worse later, after the rule
        [[20, 20, 19, 5], [20, 20, 10, 9], [20, 20, 20, 0], [20, 9, 9, 20]],
        [[10, 10, 10, 4], [10, 10, 10, 9], [10, 10, 9, 0], [10, 4, 4, 10]],
    )
    found = published(trial(), seen)["tender_joints_68"]
    assert np.isnan(found[:, 3]).tolist() == [True, False, True, False]
    assert not np.isnan(found[:, :3]).any()  # the visit of the rescue is still seen


def test_the_rule_looks_at_its_week_alone():
    early = joints([[20, 20, 5, 5]], [[10, 10, 4, 4]])  # no better at week 12, better at 16
    assert not np.isnan(published(trial(), early)["swollen_joints_66"]).any()
    late = joints([[20, 5, 5, 20]], [[10, 4, 4, 10]])  # no better at week 24
    assert not np.isnan(published(trial(), late)["swollen_joints_66"]).any()


def test_the_last_value_is_carried_forward_where_the_trial_did_so():
    seen = joints([[20, 18, 19, 5]], [[10, 10, 9, 4]])
    found = published(trial(carried_forward=True), seen)
    assert found["tender_joints_68"][0].tolist() == [20, 18, 19, 19]
    assert found["swollen_joints_66"][0].tolist() == [10, 10, 9, 9]


def test_films_of_who_left_are_still_taken():
    seen = joints([[20, 18, 19, 5]], [[10, 10, 9, 4]])
    found = published(trial(followed_on=["swollen_joints_66"]), seen)
    assert np.isnan(found["tender_joints_68"][0, 3])
    assert found["swollen_joints_66"][0, 3] == 4


def test_a_share_that_left_is_taken_off_the_responders_and_off_no_mean():
    """By the week of the card that share has left; 20 000 patients leave 3 standard errors."""
    n = 20_000
    seen = joints([[20, 10, 10, 10]] * n, [[10, 5, 5, 5]] * n)
    found = published(trial("", left=10), seen)
    change = endpoint_spec("tender-joints-change", SITUATION)
    gone = np.isnan(found["tender_joints_68"][:, 3]).mean()
    assert gone == pytest.approx(0.10, abs=3 * np.sqrt(0.1 * 0.9 / n))
    half = np.isnan(found["tender_joints_68"][:, 1]).mean()  # week 12 of a constant hazard
    assert half == pytest.approx(1 - np.sqrt(0.9), abs=3 * np.sqrt(0.05 * 0.95 / n))
    rows = summarize(change, evaluate(change, found), DAYS, "arm")
    assert rows[-1].estimate == pytest.approx(-10.0)


def test_a_trial_that_says_nothing_keeps_everybody():
    own = trial("")
    assert leaving_of(own, own.arms[0], SITUATION) is None


def test_a_rule_may_be_of_some_arms():
    rescue = RescueCard.model_validate({"when": RULE, "week": 16, "arms": ["other"], **ABOUT})
    own = trial("").model_copy(update={"rescue": rescue})
    assert leaving_of(own, own.arms[0], SITUATION) is None


def test_a_rule_of_an_unknown_arm_is_refused():
    with pytest.raises(ValueError, match="no arm 'other'"):
        trial("", rescue={"when": RULE, "week": 16, "arms": ["other"], **ABOUT})


def test_a_rule_on_what_the_situation_has_not_is_refused():
    own = trial("ACR21 is no")
    with pytest.raises(ImmunostatError, match="no endpoint of rheumatoid-arthritis"):
        leaving_of(own, own.arms[0], SITUATION)


def test_a_share_in_another_unit_is_refused():
    left = LeftCard.model_validate({"value": 3, "unit": "mg", "week": 24, **ABOUT})
    arm = TrialArmCard.model_validate({"name": "a", "drug": "placebo", "role": "held-back"})
    own = trial("")
    with pytest.raises(ImmunostatError, match="no share of patients"):
        leaving_of(own, arm.model_copy(update={"left": left}), SITUATION)


@pytest.mark.parametrize(
    "name", [n for n in CATALOG.trials() if CATALOG.trial(n).situation == SITUATION.name]
)
def test_every_card_says_it_in_words_that_are_understood(name):
    own = CATALOG.trial(name)
    for arm in own.arms:
        leaving_of(own, arm, SITUATION)

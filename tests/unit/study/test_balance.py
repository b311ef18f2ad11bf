from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from immunostat.base.errors import InputError
from immunostat.report import balance_figures, style
from immunostat.study.balance import BENEFIT, HARM, Weight, outcomes, reference_arm, weighed
from immunostat.study.needed import needed
from immunostat.study.result import TABLES, Result

N = 400


def result(gain: float = 0.3, events: float = 0.1) -> Result:
    """Two arms: every tenth patient and a share `gain` more reach the goal under the drug."""
    number = np.arange(N)
    rows = [
        pd.DataFrame(
            {
                "arm": arm,
                "patient": number,
                "status": "ok",
                "goal": (number % 10 < 1 + 10 * own).astype(float),
                "infection chance": np.full(N, -np.expm1(-harm)),
                "infection expected": np.full(N, harm),
            }
        )
        for arm, own, harm in (("control", 0.0, 0.02), ("drug", gain, events))
    ]
    endpoints = TABLES["endpoints"].empty().reindex(range(2))
    endpoints[["arm", "endpoint", "statistic"]] = [
        ["control", "goal", "proportion"],
        ["drug", "goal", "proportion"],
    ]
    effects = TABLES["side_effects"].empty().reindex(range(2))
    effects[["arm", "side_effect"]] = [["control", "infection"], ["drug", "infection"]]
    return Result(
        study={"arms": {"drug": ["x"], "control": []}},
        patients=pd.concat(rows, ignore_index=True),
        endpoints=endpoints,
        side_effects=effects,
    )


def test_outcomes_are_goals_and_harms() -> None:
    assert [(own.name, own.kind) for own in outcomes(result())] == [
        ("goal", BENEFIT),
        ("infection", HARM),
    ]
    assert reference_arm(result()) == "control"


def test_what_is_better_not_had_counts_against_an_arm() -> None:
    mortal = replace(result(), run={"avoided": ["goal"]})
    (own, _) = outcomes(mortal)
    assert (own.name, own.kind) == ("goal", HARM)
    _, net = weighed(mortal, {"goal": 1.0}, "control")
    assert net.set_index("arm").loc["drug", "net"] == pytest.approx(-0.3)


def test_progression_that_is_confirmed_counts_by_its_day() -> None:
    first = result()
    day = np.where(first.patients["patient"] % 4 == 0, 84.0, np.nan)
    own = replace(first, patients=first.patients.assign(**{"goal day": day}).drop(columns="goal"))
    (progression, _) = outcomes(own)
    assert (progression.kind, progression.is_endpoint) == (HARM, True)
    assert progression.had(own.patients).mean() == 0.25


def test_net_benefit_is_the_weighted_difference_of_shares() -> None:
    _, net = weighed(result(), {"goal": 1.0, "infection": 2.0}, "control")
    drug = net.set_index("arm").loc["drug"]
    risk = np.exp(-0.02) - np.exp(-0.1)
    assert drug["benefit"] == pytest.approx(0.3)
    assert drug["harm"] == pytest.approx(2 * risk)
    assert drug["net"] == pytest.approx(0.3 - 2 * risk)
    assert drug["low"] < drug["net"] < drug["high"]
    assert net.set_index("arm").loc["control", "net"] == 0


def test_the_interval_is_that_of_a_paired_difference() -> None:
    _, net = weighed(result(), {"goal": 1.0}, "control")
    drug = net.set_index("arm").loc["drug"]
    # 30 % of patients reach the goal under the drug alone, none under control alone.
    sd = np.sqrt(0.3 * 0.7 / N)
    assert (drug["high"] - drug["low"]) / (2 * 1.96) == pytest.approx(sd, rel=0.15)
    assert drug["best"] > 0.99


def test_harm_alone_makes_the_reference_best() -> None:
    _, net = weighed(result(), {"infection": 1.0}, "control")
    assert net.set_index("arm").loc["control", "best"] == 1.0


def test_a_value_counts_in_proportion_between_worst_and_best() -> None:
    found = with_score(result())
    scale = Weight(2.0, worst=0.0, best=-3.0)
    parts, net = weighed(found, {"score": scale}, "control")
    # From -0.3 to -1.8 is half of the way.
    assert net.set_index("arm").loc["drug", "benefit"] == pytest.approx(2.0 * 1.5 / 3.0)
    assert parts.set_index("arm").loc["drug", "share"] == pytest.approx(0.6)


def test_the_rate_of_a_side_effect_counts_in_proportion() -> None:
    # 2 and 10 expected events in 100 patient-years over one year; 40 count all.
    _, net = weighed(result(), {"infection": Weight(1.0, worst=40.0, best=0.0)}, "control")
    assert net.set_index("arm").loc["drug", "harm"] == pytest.approx(8 / 40)


def test_benefit_and_harm_have_intervals_of_their_own() -> None:
    _, net = weighed(result(), {"goal": 1.0, "infection": 1.0}, "control")
    drug = net.set_index("arm").loc["drug"]
    assert drug["benefit_low"] < drug["benefit"] < drug["benefit_high"]
    # Everybody has the same chance of harm, so drawing patients anew changes nothing.
    assert drug["harm_low"] == pytest.approx(drug["harm"])


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"goals": 1.0}, "no outcome 'goals'"),
        ({"goal": 0.0}, "every weight is 0"),
        ({"score": 1.0}, "worst and a best"),
    ],
)
def test_weights_that_say_nothing_are_refused(weights: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        weighed(with_score(result()), weights, "control")


def test_patients_for_one_more_event_are_told_with_their_interval() -> None:
    table = needed(result(), "control").set_index("outcome")
    difference = np.exp(-0.02) - np.exp(-0.1)
    assert table.loc["infection", "difference"] == pytest.approx(difference)
    assert table.loc["infection", "needed"] == f"one more in {1 / difference:.0f}"
    assert table.loc["goal", "needed"].startswith("one more in 3.3 (")


def with_score(found: Result) -> Result:
    """The same result with a measured endpoint: -0.3 under control, -1.8 under the drug."""
    patients = found.patients.assign(
        **{"score at end": np.where(found.patients["arm"] == "drug", -1.8, -0.3)}
    )
    endpoints = found.endpoints.reindex(range(4))
    endpoints.loc[2:, ["arm", "endpoint", "statistic"]] = [
        ["control", "score", "mean"],
        ["drug", "score", "mean"],
    ]
    return replace(found, patients=patients, endpoints=endpoints)


def test_the_figures_name_arms_outcomes_and_the_reference() -> None:
    parts, net = weighed(result(), {"goal": 1.0, "infection": 2.0}, "control")
    quadrant = style.svg(balance_figures.quadrant(result(), net, "control"))
    tree = style.svg(balance_figures.value_tree(result(), parts, net))
    assert "against control" in quadrant
    assert "drug" in quadrant
    assert "goal" in tree
    assert "infection" in tree

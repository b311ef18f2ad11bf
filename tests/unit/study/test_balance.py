from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from immunostat.report import balance_figures, style
from immunostat.study.balance import BENEFIT, HARM, outcomes, reference_arm, weighed
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


def test_the_figures_name_arms_outcomes_and_the_reference() -> None:
    parts, net = weighed(result(), {"goal": 1.0, "infection": 2.0}, "control")
    quadrant = style.svg(balance_figures.quadrant(result(), net, "control"))
    tree = style.svg(balance_figures.value_tree(result(), parts, net))
    assert "against control" in quadrant
    assert "drug" in quadrant
    assert "goal" in tree
    assert "infection" in tree

"""Figures of trials, people and sensitivity: drawn from plain tables, the same every time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from example import example_result

from immunostat.base.errors import UnknownNameError
from immunostat.outcomes.survival import cumulative_incidence_of_cause, kaplan_meier
from immunostat.report import (
    comparison_figures,
    patient_figures,
    people_figures,
    sensitivity_figures,
    style,
    survival_figures,
    trial_figures,
)
from immunostat.study import one_patient
from immunostat.study.sensitivity import METHODS
from immunostat.study.uncertainty import uncertainty
from immunostat.study.varied import Parameter

ARMS = ("placebo", "drug")
A, B = Parameter("core_a", 0.5, 2.0), Parameter("core_b", 0.8, 1.25)


def curves() -> pd.DataFrame:
    days = np.linspace(1, 168, 60)
    found = {
        arm: kaplan_meier(days, (np.arange(60) % (2 + place)) == 0)
        for place, arm in enumerate(ARMS)
    }
    return survival_figures.curve_table(found)


def causes() -> pd.DataFrame:
    days, cause = np.linspace(1, 168, 60), np.arange(60) % 4
    return pd.concat(
        survival_figures.curve_table(
            {arm: cumulative_incidence_of_cause(days, cause, number) for arm in ARMS}
        ).assign(cause=name)
        for number, name in ((1, "no effect"), (2, "side effect"))
    )


def function(factors):
    a, b = factors.get("core_a", 1.0), factors.get("core_b", 1.0)
    people = np.array([0.2, 0.5, 0.9])
    return {"ACR20, drug, week 24": people * a**0.1, "DAS28, drug, week 24": -a + people / b}


def sensitivity(method: str) -> pd.DataFrame:
    options = {} if method == "local" else {"samples": 16}
    return METHODS[method](function, [A, B], **options).table


def by_time() -> pd.DataFrame:
    days = np.arange(0, 169, 28.0)
    lines = [
        pd.DataFrame({"patient": i, "time_day": days, "value": 5 - days / (100 + i)})
        for i in range(80)
    ]
    return pd.concat(lines, ignore_index=True)


def bands() -> pd.DataFrame:
    levels = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
    found = by_time().groupby("time_day")["value"].quantile(list(levels.values())).unstack()
    return found.set_axis(list(levels), axis=1).reset_index()


def compared() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "result": "second",
            "endpoint": ["ACR20", "ACR20", "CRP"],
            "arm": ["placebo", "drug", "drug"],
            "time_day": 168.0,
            "statistic": ["proportion", "proportion", "median"],
            "unit": ["1", "1", "mg/L"],
            "difference": [0.1, -0.05, 2.0],
            "low": [0.02, -0.1, np.nan],
            "high": [0.18, 0.0, np.nan],
            "how": ["paired", "paired", "independent"],
        }
    )


def replicates() -> pd.DataFrame:
    return pd.DataFrame(
        {"group": np.repeat(ARMS, 50), "estimate": np.tile(np.linspace(0.2, 0.4, 50), 2)}
    ).assign(truth=0.3)


def power() -> pd.DataFrame:
    share = np.array([0.3, 0.8, 0.95])
    return pd.DataFrame(
        {"n": [20, 60, 120], "power": share, "low": share - 0.05, "high": share + 0.04}
    )


def spans() -> pd.DataFrame:
    rows = [(i, 0.0, 60.0, "full dose") for i in range(50)]
    rows += [(i, 60.0, 168.0 - i, "held" if i % 2 else "reduced") for i in range(50)]
    return pd.DataFrame(rows, columns=["patient", "start_day", "end_day", "dose"])


def actions() -> pd.DataFrame:
    rows = [(i, 60.0, "hold" if i % 2 else "reduce") for i in range(50)]
    return pd.DataFrame(rows, columns=["patient", "time_day", "action"])


def changes() -> pd.DataFrame:
    values = np.tile(np.linspace(40, -90, 700), 2)
    return pd.DataFrame({"arm": np.repeat(ARMS, 700), "change": values})


def left() -> pd.DataFrame:
    days = np.arange(0, 169, 7.0)
    return pd.concat(
        pd.DataFrame({"arm": arm, "cause": cause, "time_day": days, "share": days / 1000})
        for arm in ARMS
        for cause in ("no effect", "side effect")
    )


def one_person() -> style.Figure:
    result = example_result(20)
    number = int(result.patients["patient"].iloc[0])
    return patient_figures.courses(result, result.patient(number))


def strips() -> style.Figure:
    result = example_result(20)
    number = int(result.patients["patient"].iloc[0])
    return patient_figures.strips(one_patient.standing(one_patient.people(result), number), number)


def visits() -> style.Figure:
    result = example_result(20)
    return patient_figures.visits(result, result.patient(int(result.patients["patient"].iloc[0])))


FIGURES = {
    "kaplan-meier": lambda: survival_figures.kaplan_meier(curves(), "relapse"),
    "cumulative incidence": lambda: survival_figures.cumulative_incidence(causes()),
    "power": lambda: trial_figures.power(power()),
    "replicates": lambda: trial_figures.replicates(replicates(), "ACR20", is_share=True),
    "comparisons": lambda: comparison_figures.compared(compared(), "first"),
    "swimmer": lambda: people_figures.swimmer(spans(), actions()),
    "waterfall": lambda: people_figures.waterfall(changes(), "CRP", is_percent=True, level=-50),
    "dropout": lambda: people_figures.dropout(left()),
    "spaghetti": lambda: people_figures.spaghetti(by_time(), bands(), "DAS28", marked=70),
    "tornado local": lambda: tornado("local"),
    "tornado morris": lambda: tornado("morris"),
    "tornado sobol": lambda: tornado("sobol"),
    "tornado prcc": lambda: tornado("prcc"),
    "heat map": lambda: sensitivity_figures.heatmap(sensitivity("local")),
    "intervals": lambda: sensitivity_figures.intervals(
        uncertainty(function, [A, B], draws=20).table, {"ACR20, drug, week 24": True}
    ),
    "strips": strips,
    "courses": one_person,
    "visits": visits,
}


def tornado(method: str) -> style.Figure:
    return sensitivity_figures.tornado(sensitivity(method), "ACR20, drug, week 24")


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_the_same_every_time_and_says_what_it_shows(name: str) -> None:
    figure = FIGURES[name]()
    first, second = style.svg(figure), style.svg(FIGURES[name]())
    assert first.startswith("<svg")
    assert first == second
    assert "NaN" not in first
    title = figure.to_dict(validate=False)["title"]
    assert title["text"]
    assert title["subtitle"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_valid_vega_lite_and_holds_no_more_than_a_chart_takes(name: str) -> None:
    drawn = FIGURES[name]().to_dict(validate=True)
    assert max(len(rows) for rows in drawn["datasets"].values()) <= style.MAXIMUM_ROWS


def test_every_figure_of_trials_has_words_in_its_place() -> None:
    functions = {"kaplan_meier", "cumulative_incidence", "power", "replicates", "comparisons"}
    functions |= {"swimmer", "waterfall", "dropout", "spaghetti"}
    assert set(trial_figures.CAPTIONS) == functions


def test_the_numbers_at_risk_are_those_of_the_curve() -> None:
    drawn = style.svg(survival_figures.kaplan_meier(curves(), "relapse"))
    # All 60 at the start, in both arms.
    assert drawn.count(">60</text>") == 2


def test_a_lane_is_drawn_for_the_first_patients_and_the_rest_is_told() -> None:
    drawn = style.svg(people_figures.swimmer(spans(), actions()))
    assert f"{people_figures.MOST_SWIMMERS} of 50 patients" in drawn


def test_a_tornado_of_an_unknown_output_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="ACR20, drug, week 24"):
        sensitivity_figures.tornado(sensitivity("local"), "ACR2, drug, week 24")

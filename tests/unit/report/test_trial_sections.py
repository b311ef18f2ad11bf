"""Sections about the trial: there where the data are, and with the numbers of the tables."""

from __future__ import annotations

import html as markup
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from example import ARMS, VISITS, example_result

from immunostat.report import (
    dose_figures,
    effects,
    event_sections,
    page,
    shape,
    style,
    trial_plates,
    trial_tables,
)
from immunostat.report import trial_words as told
from immunostat.study.later import Later
from immunostat.study.result import Result
from immunostat.study.result_tables import TABLES

SECTIONS = ("people", "conclusion", "events", "dose", "power", "rules")
N = 60


@pytest.fixture(scope="module")
def plain() -> Result:
    # Other figures take most of the time of a page, and have their own tests.
    others = {name: TABLES[name].empty() for name in ("bands", "profile", "comparison")}
    return replace(example_result(N), **others)


def table(name: str, *rows: dict[str, Any]) -> pd.DataFrame:
    """Rows of a table of a result; what a row does not say is missing."""
    columns = TABLES[name].columns
    nothing = {key: np.nan if kind == "number" else "" for key, (kind, _) in columns.items()}
    return pd.DataFrame([nothing | row for row in rows], columns=[*columns])


def with_cohort(result: Result) -> Result:
    cohort = {"candidates": 150, "left_out": {"crp below 10": 70, "age above 90": 20}}
    return replace(result, study=result.study | {"cohort": cohort})


def with_dropout(result: Result) -> Result:
    left = [("placebo", 1, 40.0, "lack of effect"), ("placebo", 5, 90.5, "other reason")]
    left += [("placebo", 7, 90.5, "lack of effect"), ("tocilizumab-8", 5, 100.0, "other reason")]
    rows = [
        {"arm": arm, "patient": patient, "time_day": day, "event": f"left: {why}", "grade": np.nan}
        for arm, patient, day, why in left
    ]
    return replace(result, events=pd.concat([result.events, pd.DataFrame(rows)]))


def with_analyses(result: Result) -> Result:
    pair = {"arm": "tocilizumab-8", "versus": "placebo", "time_day": 168.0, "n": 120, "unit": "1"}
    return replace(
        result,
        analyses=table(
            "analyses",
            pair | {"endpoint": "ACR20", "measure": "risk difference", "estimate": 0.3417,
                    "low": 0.1701, "high": 0.4903, "p": 0.00021, "method": "Newcombe"},
            pair | {"endpoint": "ACR20", "measure": "risk ratio", "estimate": 2.26,
                    "low": 1.41, "high": 3.62, "p": 0.00021, "method": "Katz"},
            pair | {"endpoint": "DAS28-CRP", "measure": "mean difference", "estimate": -0.123,
                    "low": -0.4, "high": 0.154, "p": 0.38, "method": "Welch"},
            pair | {"endpoint": "serious-infection", "measure": "rate ratio", "method": "none"},
        ),
    )  # fmt: skip


def with_events(result: Result) -> Result:
    rows = [
        {"arm": arm, "endpoint": "time to ACR20", "kind": "time_to_event", "time_day": float(day),
         "n": N, "statistic": "incidence", "estimate": top * day / 168,
         "low": np.nan if day == 0 else 0.9 * top * day / 168,
         "high": np.nan if day == 0 else 1.1 * top * day / 168, "unit": "1",
         "method": "Kaplan-Meier"}
        for arm, top in zip(ARMS, (0.31, 0.62, 0.55, 0.73), strict=True)
        for day in VISITS
    ]  # fmt: skip
    return replace(result, endpoints=pd.concat([result.endpoints, table("endpoints", *rows)]))


def with_doses(result: Result) -> Result:
    doses = {"placebo": 0, "tocilizumab-4": 4, "tocilizumab-8": 8}
    own = {"endpoint": "DAS28-CRP"}
    arms = [
        own | {"what": "arm", "dose": d, "estimate": m, "low": m - 0.2, "high": m + 0.2,
               "method": "normal 95 %"}
        for d, m in ((0.0, 5.6), (4.0, 4.4), (8.0, 4.0))
    ]  # fmt: skip
    return replace(
        result,
        study=result.study
        | {"dose_response": {"endpoint": "DAS28-CRP", "doses": doses, "target": -1.3}},
        dose_response=table(
            "dose_response",
            *arms,
            own | {"what": "trend", "estimate": -9.1, "p": 1e-9, "method": "Jonckheere-Terpstra"},
            own | {"what": "e0", "estimate": 5.61, "low": 5.4, "high": 5.8, "method": "Emax"},
            own | {"what": "emax", "estimate": -2.4, "low": -np.inf, "high": np.inf},
            own | {"what": "ed50", "estimate": 4.03, "low": 0.0, "high": np.inf},
            own | {"what": "dose for a difference of -1.3", "estimate": 4.76, "low": 3.3,
                   "high": 6.9, "method": "delta method"},
        ),
    )  # fmt: skip


def with_power(result: Result) -> Result:
    random = np.random.default_rng(5)
    own = {"analysis": 0, "endpoint": "ACR20", "arm": "tocilizumab-8", "versus": "placebo",
           "measure": "risk difference", "unit": "1"}  # fmt: skip
    trials = [
        own | {"replicate": i, "estimate": value, "low": value - 0.2, "high": value + 0.2,
               "p": 0.1, "n": 40}
        for i, value in enumerate(random.normal(0.3, 0.1, 30))
    ]  # fmt: skip
    design = {"arms": "parallel", "replicates": 30, "randomization": {"block": 8}}
    return replace(
        result,
        study=result.study | {"design": design, "interim": {"looks": [0.5, 1], "futility": 0.1}},
        replicates=table("replicates", *trials),
        power=table(
            "power",
            own | {"replicates": 30, "patients_per_arm": N, "power": 0.8333, "power_low": 0.6644,
                   "power_high": 0.9266, "mean": 0.301, "sd": 0.0967, "pooled": 0.2991,
                   "bias": 0.0019, "coverage": 0.9667},
        ),
        interim=table(
            "interim",
            {"look": 1, "fraction": 0.5, "critical": 2.963, "patients": 60, "efficacy": 0.2,
             "harm": 0.0, "futility": 0.1, "end": 0.0, "expected_patients": 102.0},
            {"look": 2, "fraction": 1.0, "critical": 1.969, "patients": 120, "efficacy": 0.6,
             "harm": 0.0, "futility": 0.0, "end": 0.1, "expected_patients": 102.0},
        ),
    )  # fmt: skip


def with_rules(result: Result) -> Result:
    hold = {"when": "neutrophils < 1.0", "do": "hold tocilizumab", "arms": ["tocilizumab-8"],
            "until": "neutrophils >= 1.0", "after": "one level lower",
            "levels": ["8 mg/kg", "4 mg/kg"]}  # fmt: skip
    never = {"when": "neutrophils < 0.5", "do": "stop tocilizumab", "arms": ["tocilizumab-8"]}
    text = "when neutrophils < 1.0: hold tocilizumab"
    own = {"arm": "tocilizumab-8", "drug": "tocilizumab", "rule": text}
    done = [(3, 28.0, "hold"), (3, 56.0, "resume"), (3, 84.0, "hold"), (5, 28.0, "hold")]
    return replace(
        with_dropout(result),
        study=result.study | {"rules": [hold, never]},
        actions=table(
            "actions",
            *(own | {"patient": n, "time_day": day, "action": act} for n, day, act in done),
        ),
    )


MAKES: dict[str, Callable[[Result], Result]] = {
    "people": with_cohort,
    "conclusion": with_analyses,
    "events": with_events,
    "dose": with_doses,
    "power": with_power,
    "rules": with_rules,
}


def written(result: Result, folder: Path) -> str:
    return page.write(result, folder, png=False).read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    """What a reader reads in a section, without its figures, as plain text."""
    own = re.search(rf'<section id="{name}">(.*?)</section>', text, re.S)
    assert own is not None
    bare = re.sub(r"<svg.*?</svg>", " ", own[1], flags=re.S)
    bare = markup.unescape(re.sub(r"<[^>]+>", " ", bare))
    return re.sub(r"[\s\u202f\u00a0]+", " ", bare)


def test_a_study_without_these_data_has_none_of_the_sections(plain: Result, tmp_path: Path) -> None:
    text = written(plain, tmp_path)
    assert not [name for name in SECTIONS if f'<section id="{name}">' in text]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_appears_with_its_data_and_in_the_contents(
    name: str, plain: Result, tmp_path: Path
) -> None:
    text = written(MAKES[name](plain), tmp_path)
    assert f'<section id="{name}">' in text
    assert f'<a href="#{name}">' in text
    first = re.search(rf'<section id="{name}">\s*<h2>[^<]+</h2>\s*<p>([^<]+)</p>', text)
    assert first is not None
    assert first[1].rstrip().endswith(".")


@pytest.mark.parametrize("name", SECTIONS)
def test_missing_numbers_are_never_printed_as_such(
    name: str, plain: Result, tmp_path: Path
) -> None:
    text = re.sub(r"<style>.*?</style>", "", written(MAKES[name](plain), tmp_path), flags=re.S)
    assert not re.search(r"\b(nan|inf|None|NaN)\b", text)


def test_everything_at_once_is_one_page_with_the_sections_in_order(
    plain: Result, tmp_path: Path
) -> None:
    result = plain
    for make in MAKES.values():
        result = make(result)
    text = written(result, tmp_path)
    places = [text.index(f'<section id="{name}">') for name in SECTIONS]
    assert places == sorted(places)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_who_entered_is_who_was_drawn_less_who_was_left_out(plain: Result, tmp_path: Path) -> None:
    said = section(written(with_cohort(plain), tmp_path), "people")
    assert "Of 150 candidates drawn, 60 entered" in said
    assert "left out: crp below 10 70 47 %" in said


def test_everybody_of_an_arm_has_left_for_one_cause_or_stayed(plain: Result) -> None:
    frame = trial_tables.flow(with_dropout(plain)).set_index("Patients")
    counts = frame.map(lambda cell: int(str(cell).split(" ")[0].replace(",", "")))
    assert (counts.loc["seen under the arm"] == N).all()
    assert (counts.iloc[1:].sum() == N).all()
    assert counts.loc["left: lack of effect", "placebo"] == 2


def test_the_curve_of_who_left_ends_at_the_share_that_left(plain: Result) -> None:
    result = with_dropout(plain)
    left = trial_tables.left_by(result)
    last = left[left["time_day"] == left["time_day"].max()].groupby("arm")["share"].sum()
    gone = shape.departures(result)["arm"].value_counts() / N
    assert last["placebo"] == pytest.approx(gone["placebo"])
    assert last["adalimumab"] == 0.0
    steps = left.groupby(["arm", "cause"])["share"]
    assert (steps.diff().dropna() >= 0).all()


def test_the_conclusion_has_the_numbers_of_the_analyses(plain: Result, tmp_path: Path) -> None:
    said = section(written(with_analyses(plain), tmp_path), "conclusion")
    assert "+34.2 points (95 % interval +17.0 to +49.0; p < 0.001): more than chance" in said
    assert "2.26 (1.41 to 3.62)" in said
    assert "\u22120.123" in said
    assert "0.38" in said
    assert "same virtual patients" in said


def test_a_ratio_is_drawn_around_one_and_a_difference_around_zero(plain: Result) -> None:
    rows = trial_tables.forest(with_analyses(plain)).set_index("panel")
    assert rows.loc["risk ratio", "is_ratio"]
    assert rows.loc["risk difference", "is_share"]
    assert not rows["estimate"].isna().any()


@pytest.mark.parametrize(
    ("measure", "low", "high", "p", "shown"),
    [
        ("risk ratio", 1.1, 2.0, np.nan, True),
        ("risk ratio", 0.9, 2.0, np.nan, False),
        ("mean difference", -0.5, -0.1, np.nan, True),
        ("mean difference", -0.5, -0.1, 0.2, False),
        ("mean difference", np.nan, np.nan, np.nan, False),
    ],
)
def test_a_difference_is_shown_by_p_or_else_by_an_interval_without_no_difference(
    measure: str, low: float, high: float, p: float, shown: bool
) -> None:
    row = {"measure": measure, "low": low, "high": high, "p": p}
    assert effects.is_shown(row) is shown


def test_shares_with_the_event_are_those_of_the_endpoints(plain: Result, tmp_path: Path) -> None:
    result = with_events(plain)
    said = section(written(result, tmp_path), "events")
    assert "By week 24, ACR20 had happened in 31 % (95 % interval 28 to 34 %)" in said
    curves = trial_tables.event_curves(result, "time to ACR20")
    assert list(dict.fromkeys(curves["arm"])) == list(ARMS)


def test_numbers_at_risk_stand_below_the_curves_where_the_result_has_them(plain: Result) -> None:
    result = with_events(plain)
    assert ">at risk<" not in style.svg(next(iter(event_sections.plates(result))).figure)
    known = replace(result, endpoints=result.endpoints.assign(n_at_risk=37))
    drawn = style.svg(next(iter(event_sections.plates(known))).figure)
    assert ">at risk<" in drawn
    assert ">37<" in drawn


def test_power_and_looks_have_the_numbers_of_the_tables(plain: Result, tmp_path: Path) -> None:
    text = written(with_power(plain), tmp_path)
    said = section(text, "power")
    assert "Of 30 whole trials with 60 patients per arm" in said
    assert "83.3 % (95 % interval 66.4 to 92.7 %)" in said
    assert "30.1 points 9.7 points 29.9 points 0.19 points 96.7 %" in said
    assert "102 patients on average instead of 120, 15 % fewer" in said
    assert "80.0 % of all trials end with the difference shown" in said
    assert "Lan-DeMets O'Brien-Fleming" in said
    assert "all 30 whole trials together" in section(text, "benefit")
    assert "240 virtual patients, each randomized to one of 4 arms" in section(text, "question")


def test_the_dose_has_the_unit_that_all_regimens_say(plain: Result, tmp_path: Path) -> None:
    result = with_doses(plain)
    assert trial_tables.dose_unit(result) == "mg/kg"
    said = section(written(result, tmp_path), "dose")
    assert (
        "a difference of \u22121.3 from dose 0 takes 4.76 mg/kg (95 % interval 3.30 to 6.90)"
        in (said)
    )
    other = result.study["arms"] | {"tocilizumab-4": ["tocilizumab 4 mg oral every 1 day"]}
    assert trial_tables.dose_unit(replace(result, study=result.study | {"arms": other})) == ""


def test_the_drawn_curve_is_the_fitted_one(plain: Result) -> None:
    known = with_doses(plain).dose_response.set_index("what")["estimate"]
    curve = dose_figures._curve(known, 8.0)
    wanted = 5.61 - 2.4 * curve["dose"] / (4.03 + curve["dose"])
    np.testing.assert_allclose(curve["estimate"], wanted, rtol=1e-12)


def test_a_dose_response_without_a_curve_shows_the_arms_alone(plain: Result) -> None:
    frame = with_doses(plain).dose_response
    nothing = frame.assign(estimate=frame["estimate"].where(frame["what"] == "arm"))
    assert style.svg(dose_figures.dose_response(nothing, "DAS28-CRP", target=-1.3))


def test_rules_are_counted_in_patients_and_an_idle_rule_is_told(
    plain: Result, tmp_path: Path
) -> None:
    said = section(written(with_rules(plain), tmp_path), "rules")
    assert "The rules acted on 2 of 60 patients (3.3 %) under tocilizumab-8" in said
    assert "tocilizumab held in 2 and tocilizumab resumed in 1" in said
    assert "One rule never applied." in said
    assert "2 (3.3 %) 3 times" in said


def test_a_lane_has_no_gap_and_ends_where_the_patient_left(plain: Result) -> None:
    spans, marks, n = trial_plates.lanes(with_rules(plain), "tocilizumab-8")
    assert n == 2
    own = spans[spans["patient"] == 3]
    assert list(own["dose"]) == ["full dose", "held", "reduced", "held"]
    assert list(own["start_day"][1:]) == list(own["end_day"][:-1])
    assert own["end_day"].iloc[-1] == 168.0
    assert spans[spans["patient"] == 5]["end_day"].max() == 100.0
    assert set(marks["action"]) == {"hold", "resume", "leave"}


def test_a_crossover_is_answered_within_patients(plain: Result, tmp_path: Path) -> None:
    crossover = {"sequences": {"placebo": ["a", "b"]}, "period": "8 weeks", "washout": "4 weeks"}
    own = {"endpoint": "DAS28-CRP", "arm": "a", "versus": "b", "time_day": 168.0, "unit": "1"}
    result = replace(
        plain,
        study=plain.study | {"design": {"crossover": crossover}},
        analyses=table(
            "analyses",
            own | {"measure": "within-patient difference", "estimate": -0.978, "low": -1.134,
                   "high": -0.822, "p": 1e-9, "n": 60},
            own | {"measure": "carry-over", "estimate": 0.2, "low": -0.8, "high": 1.3, "p": 0.65},
        ),
    )  # fmt: skip
    said = section(written(result, tmp_path), "answer")
    assert (
        "Within the same patients, DAS28-CRP at the end of a period differs by \u22120.978" in said
    )
    assert "Carry-over (p = 0.65)" in told.conclusion_notes(result)[0].replace("\u00a0", " ")
    assert "sees little" in " ".join(told.conclusion_notes(result))


def test_the_page_of_a_large_run_never_reads_its_patients(plain: Result, tmp_path: Path) -> None:
    def refuse() -> Any:
        raise AssertionError("the table of patients was read")

    later: Any = Later(refuse)
    counted = plain.run | {"failed": {"step too small": 3}, "courses": "quantiles"}
    for large in (
        replace(plain, run=counted, patients=later, visits=later, parameters=later),
        replace(with_dropout(plain), run=counted, patients=later, visits=later),
    ):
        assert shape.is_large(large)
        text = written(large, tmp_path)
        assert "step too small" in section(text, "failed")
    many = plain.study["population"] | {"patients": 100_000}
    assert shape.is_large(replace(plain, study=plain.study | {"population": many}))
    assert not shape.is_large(plain)

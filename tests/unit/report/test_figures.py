"""Figures: each is drawn without network, the same every time, and survives missing numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from example import ARMS, example_result

from immunostat.base.errors import InputError, UnknownNameError
from immunostat.report import figures, style
from immunostat.study.result import Result

FIGURES: dict[str, Callable[[Result], figures.Figure]] = {
    "response of a share": lambda result: figures.response(result, "ACR20"),
    "response of a score": lambda result: figures.response(result, "DAS28-CRP"),
    "responders": figures.responders,
    "forest": figures.forest,
    "concentration": lambda result: figures.course(result, "tocilizumab concentration"),
    "engagement": lambda result: figures.course(result, "IL6R engagement"),
    "course of four arms": lambda result: figures.course(result, "neutrophils"),
    "profile": figures.profile,
    "side effects": figures.side_effects,
    "grades": figures.grades,
    "balance": figures.balance,
}


@pytest.fixture(scope="module")
def result() -> Result:
    return example_result(60)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_the_same_every_time(result: Result, name: str) -> None:
    first, second = (figures.svg(FIGURES[name](result)) for _ in range(2))
    assert first.startswith("<svg")
    assert first == second
    assert "NaN" not in first


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_valid_vega_lite(result: Result, name: str) -> None:
    FIGURES[name](result).to_dict(validate=True)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_what_it_shows(result: Result, name: str) -> None:
    title = FIGURES[name](result).to_dict(validate=False)["title"]
    assert title["text"]
    assert title["subtitle"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_survives_unknown_intervals(result: Result, name: str) -> None:
    blank = {
        "endpoints": ["low", "high"],
        "side_effects": ["low", "high", "expected"],
        "comparison": ["observed_low", "observed_high"],
        "profile": ["low", "high"],
    }
    tables = {
        table: getattr(result, table).assign(**dict.fromkeys(columns, np.nan))
        for table, columns in blank.items()
    }
    assert "NaN" not in figures.svg(FIGURES[name](replace(result, **tables)))


def test_arms_keep_their_colors_and_the_untreated_arm_is_gray(result: Result) -> None:
    colors = style.arm_colors(result)
    assert list(colors) == list(ARMS)
    assert colors["placebo"] == style.CONTROL
    assert len(set(colors.values())) == len(ARMS)


def test_a_course_never_holds_more_rows_than_a_chart_takes(result: Result) -> None:
    bands = result.bands[result.bands["variable"] == "CRP"]
    many = bands.loc[bands.index.repeat(20)].reset_index(drop=True)
    many["time_day"] = many.groupby("arm").cumcount() * 0.05
    chart = figures.course(replace(result, bands=many), "CRP").to_dict(validate=False)
    rows = max(len(rows) for rows in chart["datasets"].values())
    assert rows <= style.MAXIMUM_ROWS


def test_a_concentration_of_zero_does_not_break_a_logarithmic_axis(result: Result) -> None:
    bands = result.bands.copy()
    is_drug = bands["variable"] == "adalimumab concentration"
    bands.loc[is_drug, ["q05", "q25", "q50", "q75", "q95"]] = 0.0
    figure = figures.course(replace(result, bands=bands), "adalimumab concentration")
    assert figures.svg(figure).startswith("<svg")


def test_an_unknown_endpoint_or_variable_is_answered_with_near_ones(result: Result) -> None:
    with pytest.raises(UnknownNameError, match=r"ACR2'.*\n.*ACR20"):
        figures.response(result, "ACR2")
    with pytest.raises(UnknownNameError, match=r"neutrophil'.*\n.*neutrophils"):
        figures.course(result, "neutrophil")


def test_published_marks_stand_only_beside_the_same_visit(result: Result) -> None:
    early = result.comparison.assign(time_day=84)
    drawn = figures.svg(figures.responders(replace(result, comparison=early)))
    assert "published" not in drawn


def test_an_endpoint_read_once_is_drawn_as_points(result: Result) -> None:
    once = result.endpoints[result.endpoints["time_day"] == 168]
    drawn = figures.svg(figures.response(replace(result, endpoints=once), "ACR20"))
    assert "week 24" in drawn


def test_a_figure_is_saved_as_svg_or_png_by_its_name(result: Result, tmp_path: Path) -> None:
    figure = figures.response(result, "ACR20")
    assert figures.save(figure, tmp_path / "a.svg").read_text().startswith("<svg")
    assert figures.save(figure, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"\.pdf.*\n.*\.svg or \.png"):
        figures.save(figure, tmp_path / "a.pdf")


def test_coordinates_are_short_and_shown_numbers_untouched() -> None:
    drawn = '<path d="M1.23456,2.34567e-7"/><text x="3.14159">3.14159</text>'
    short = style._shorter(drawn)
    assert 'd="M1.23' in short
    assert ">3.14159<" in short
    assert not re.search(r'x="3\.141', short)


def test_an_arm_without_the_drug_is_left_out_of_its_course(result: Result) -> None:
    bands = result.bands.copy()
    quantiles = ["mean", "q05", "q25", "q50", "q75", "q95"]
    untouched = bands[bands["variable"] == "TNF engagement"].assign(arm="placebo")
    untouched[quantiles] = 0.0
    more = replace(result, bands=pd.concat([bands, untouched], ignore_index=True))
    assert "placebo" not in figures.svg(figures.course(more, "TNF engagement"))

"""The report: self-contained, complete, and safe with text that others wrote."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from example import ARMS, example_result

from immunostat.report import answer, page, tables
from immunostat.study.result import Result, open_result, write


@pytest.fixture(scope="module")
def result() -> Result:
    return example_result(60)


@pytest.fixture(scope="module")
def folder(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(result, tmp_path_factory.mktemp("result"))
    page.write(open_result(folder), folder)
    return folder


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


class _Page(HTMLParser):
    """What the page is made of: tags, ids, links, levels of headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)
        if "id" in values:
            self.ids.append(str(values["id"]))
        if tag == "a":
            self.links.append(str(values.get("href")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_the_page_needs_nothing_from_elsewhere(html: str) -> None:
    parts = _Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(parts.tags)
    assert not re.search(r"url\((?!#)|@import", html)
    assert len(html.encode()) < 3e6


def test_the_page_is_well_formed_and_its_ids_are_its_own(html: str) -> None:
    parts = _Page(html)
    assert parts.open == []
    assert len(parts.ids) == len(set(parts.ids))
    inside = [link[1:] for link in parts.links if link.startswith("#")]
    assert set(inside) <= set(parts.ids)
    headings = [int(tag[1]) for tag in parts.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))


def test_every_figure_has_a_description_and_every_caption_a_number(html: str) -> None:
    figures = html.count("<figure")
    assert html.count('<svg role="img" aria-label="') == figures
    numbers = [int(number) for number in re.findall(r"<b>Figure (\d+)\.</b>", html)]
    assert numbers == list(range(1, figures + 1))
    numbered = [int(number) for number in re.findall(r"<b>Table (\d+)\.</b>", html)]
    assert numbered == list(range(1, len(numbered) + 1))


def test_the_page_says_at_top_and_bottom_that_it_is_no_medical_advice(html: str) -> None:
    assert html.count("no medical advice") == 2
    assert html.index("no medical advice") < html.index("<main>")
    assert html.rindex("no medical advice") > html.index("</main>")


def test_harm_is_in_the_answer_and_in_a_section_like_benefit(html: str) -> None:
    top = html[html.index('id="answer"') : html.index('id="question"')]
    assert "<strong>Benefit.</strong>" in top
    assert "<strong>Harm.</strong>" in top
    assert '<section id="benefit">' in html
    assert '<section id="harm">' in html


def test_every_figure_of_the_page_is_also_a_file(folder: Path, html: str) -> None:
    names = re.findall(r'<figure id="([^"]+)"', html)
    for ending in ("svg", "png"):
        assert {file.stem for file in (folder / "figures").glob(f"*.{ending}")} == set(names)


def test_assumptions_sources_and_failures_are_listed_by_name(html: str, result: Result) -> None:
    for name in result.assumptions["name"]:
        assert f"<code>{name}</code>" in html
    for source in result.sources:
        assert f'id="source-{source["key"]}"' in html
    assert "step too small" in html


def test_the_same_result_gives_the_same_page(result: Result, tmp_path: Path, html: str) -> None:
    folder = write(result, tmp_path)
    page.write(open_result(folder), folder, png=False)
    again = (folder / "report.html").read_text(encoding="utf-8")
    assert again.replace("SVG in", "SVG and PNG in") == html


def test_text_from_files_is_shown_and_never_run(result: Result, tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script>'
    arms = {evil if arm == "placebo" else arm: lines for arm, lines in ARMS.items()}
    renamed = {
        name: getattr(result, name).replace({"arm": {"placebo": evil}})
        for name in ("endpoints", "side_effects", "bands", "comparison", "patients")
    }
    study = result.study | {"title": evil, "question": evil, "arms": arms}
    sources = [{"key": evil, "text": evil, "bibtex": "", "url": "javascript:alert(1)"}]
    bad = replace(result, study=study, sources=sources, run={"version": evil}, **renamed)
    html = page.write(bad, tmp_path, png=False).read_text(encoding="utf-8")
    assert "<script" not in html.lower()
    assert "javascript:" not in html


def test_an_almost_empty_result_has_a_page(tmp_path: Path) -> None:
    result = Result(study={"title": "Nothing", "arms": {"a": [], "b": ["drug 1 mg oral daily"]}})
    html = page.write(result, tmp_path).read_text(encoding="utf-8")
    assert "silent about harm" in html
    assert "nothing here has been tested" in html


def test_the_answer_counts_predictions_apart_from_what_was_fitted(result: Result) -> None:
    trust = answer.sentences(result)[2]
    assert "Of the 16 published values shown, 10 were held back" in trust
    assert "−5.3\xa0points (DE019, adalimumab, ACR20)" in trust
    fitted = replace(result, comparison=result.comparison.assign(role="training"))
    assert "none of them tests it" in answer.sentences(fitted)[2]


def test_the_answer_names_the_highest_share_first(result: Result) -> None:
    benefit = answer.sentences(result)[0]
    assert benefit.startswith("At week 24, the share of patients with ACR20 was")
    assert benefit.index("tocilizumab-8") < benefit.index("placebo")


def test_the_primary_endpoint_of_the_study_leads_the_answer(result: Result) -> None:
    primary = replace(result, study=result.study | {"primary": "DAS28-CRP"})
    assert "the mean of DAS28-CRP was" in answer.sentences(primary)[0]


def test_wide_tables_have_a_row_per_endpoint_and_a_column_per_arm(result: Result) -> None:
    table = tables.efficacy(result)
    assert list(table.columns) == ["Endpoint", *ARMS]
    assert len(table) == 4
    assert isinstance(tables.harm(result), pd.DataFrame)


def test_harm_that_nobody_happened_to_have_is_told_by_what_the_model_expects(
    result: Result,
) -> None:
    none = result.side_effects.assign(events=0, estimate=0.0)
    harm = answer.sentences(replace(result, side_effects=none))[1]
    assert "No serious infection happened to these patients in any arm" in harm
    assert "the model expects, per 100 patient-years, 2.4 under placebo" in harm


def test_a_source_is_shown_once_with_its_address_as_a_link(result: Result, tmp_path: Path) -> None:
    url = "https://example.org/a"
    source = {"key": "a2000", "text": f"A. (2000). {url} [a2000]", "bibtex": "", "url": url}
    html = page.write(replace(result, sources=[source]), tmp_path, png=False).read_text("utf-8")
    assert f'A. (2000). <a href="{url}" rel="noreferrer">{url}</a> <code>a2000</code>' in html

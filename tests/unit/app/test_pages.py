from __future__ import annotations

import re
from pathlib import Path

import pytest

import immunostat.app
from immunostat.app import frame
from immunostat.app.card_page import KINDS, card_page, listing
from immunostat.app.index import Index
from immunostat.app.live import failed_patients_html, failure_html
from immunostat.base.errors import InputError, Place
from immunostat.catalog.lookup import packaged_catalog

INDEX = Index(packaged_catalog())
CSS = (Path(immunostat.app.__file__).parent / "static" / "app.css").read_text(encoding="utf-8")

#: Text and what it stands on.
PAIRS = (
    *(("ink", ground) for ground in ("paper", "ground", "soft", "warn", "bad", "field")),
    *(("muted", ground) for ground in ("paper", "ground", "soft")),
    *(("accent", ground) for ground in ("paper", "ground", "soft", "bad")),
    ("on-accent", "accent"),
)


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_text_can_be_read_on_its_ground(theme: str) -> None:
    block = CSS.split(theme, 1)[1].split("}", 1)[0]
    colors = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    for text, ground in PAIRS:
        high, low = sorted((luminance(colors[text]), luminance(colors[ground])), reverse=True)
        contrast = (high + 0.05) / (low + 0.05)
        assert contrast >= 4.5, f"{text} on {ground}: {contrast:.2f}"  # WCAG 2.2, AA


@pytest.mark.parametrize("kind", KINDS)
def test_every_card_has_a_page(kind: str) -> None:
    items = listing(INDEX, kind)
    assert items
    for name, _, _ in items:
        if kind == "drugs" and name not in ("adalimumab", "lenalidomide", "bcg"):
            continue  # their half-lives are solved, which takes time
        shown = card_page(INDEX, kind, name)
        assert shown.title
        known = {key for key, _, _ in shown.sources}
        assert {own.source for own in shown.numbers if own.source} <= known


def test_failed_patients_are_told_with_their_reason() -> None:
    html = failed_patients_html(
        {"failed": {"step too small": 2}, "failures": ["patient 7 of arm 'a': <stiff> at day 3"]}
    )
    assert "2 step too small" in html
    assert "patient 7" in html
    assert "&lt;stiff&gt;" in html
    assert failed_patients_html({"failed": {}}) == ""


def test_an_error_is_told_with_place_and_remedy_and_is_no_markup() -> None:
    html = failure_html(InputError("no <b>drug</b>", Place("study.yaml", 3), "write 'one'"))
    assert "study.yaml:3" in html
    assert "write &#39;one&#39;" in html
    assert "<b>" not in html


def test_every_page_says_that_it_is_no_advice() -> None:
    html = frame.page("error.html", "/library/", "Not found", error=InputError("x"))
    assert frame.NOTICE in html
    assert html.count("aria-current") == 1

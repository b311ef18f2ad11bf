"""The report: one HTML page that opens offline, with its figures and style inside it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from immunostat.report import answer, figures, plates, style, tables, words
from immunostat.study.result import Result

DISCLAIMER = (
    "This is the output of a research and teaching tool. It describes virtual patients of a model, "
    "not people, and it is no medical advice."
)
OPEN_ASSUMPTIONS = 12
"""Up to this many assumptions stand open on the page; more are folded away by card."""


@dataclass(frozen=True)
class Drawn:
    """A figure on the page."""

    name: str
    svg: Markup
    caption: str
    is_wide: bool


class _Count:
    """Numbers of figures and tables in the order of the page."""

    def __init__(self) -> None:
        figure, table = itertools.count(1), itertools.count(1)
        self.figure: Callable[[], int] = lambda: next(figure)
        self.table: Callable[[], int] = lambda: next(table)


def write(result: Result, folder: Path | str, png: bool = True) -> Path:
    """Write ``report.html`` and the figures as files into a result folder.

    Parameters
    ----------
    result
        What to report.
    folder
        The result folder; made if missing.
    png
        Whether each figure is also saved as a PNG beside its SVG.

    Returns
    -------
    Path of the page.
    """
    folder = Path(folder)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    shown: dict[str, list[Drawn]] = {}
    for plate in plates.chosen(result):
        drawn = figures.svg(plate.figure)
        file = folder / "figures" / f"{plate.name}.svg"
        file.write_text(drawn, encoding="utf-8", newline="\n")
        if png:
            file.with_suffix(".png").write_bytes(figures.png(drawn))
        inside = inline(drawn, plate.name, plate.caption)
        width = re.search(r'width="([\d.]+)"', drawn)
        is_wide = width is not None and float(width[1]) > style.WIDE * 0.6
        shown.setdefault(plate.section, []).append(
            Drawn(plate.name, inside, plate.caption, is_wide)
        )
    page = folder / "report.html"
    page.write_text(_rendered(result, shown, png), encoding="utf-8", newline="\n")
    return page


def inline(drawn: str, name: str, description: str) -> Markup:
    """SVG text to stand inside a page: own ids, the page's ink, a description for screen readers.

    Parameters
    ----------
    drawn
        SVG as `style.svg` gives it.
    name
        Put before every id, so that figures of one page do not share them.
    description
        Text in place of the figure.
    """
    drawn = re.sub(r'<rect width="[\d.]+" height="[\d.]+" fill="white"/>', "", drawn, count=1)
    drawn = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', drawn)
    drawn = drawn.replace("url(#", f"url(#{name}-")
    for paint in ("fill", "stroke"):
        drawn = drawn.replace(f'{paint}="{style.INK}"', f'{paint}="currentColor"')
        drawn = drawn.replace(f'{paint}="{style.MUTED}"', f'style="{paint}:var(--muted)"')
        faint = f'{paint}="currentColor" {paint}-opacity="0.14"'
        drawn = drawn.replace(f'{paint}="{style.GRID}"', faint)
    width = re.search(r'<svg[^>]*? width="([\d.]+)"', drawn)
    size = f' style="max-width:{float(width[1]):.0f}px"' if width else ""
    head = f'<svg role="img" aria-label="{escape(description)}"{size}'
    drawn = re.sub(r"<svg", lambda _: head, drawn, count=1)
    return Markup(re.sub(r'(<svg[^>]*?) width="[\d.]+" height="[\d.]+"', r"\1", drawn, count=1))


def _rendered(result: Result, shown: Mapping[str, list[Drawn]], has_png: bool) -> str:
    """The page's text."""
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    study = result.study
    assumed = tables.assumptions(result)
    compared = _some(tables.comparison(result))
    failures = _some(tables.failures(result))
    sections = ("answer", "benefit", "compared", "harm", "exposure", "inside")
    return environment.get_template("page.html").render(
        title=str(study.get("title") or "Untitled study"),
        question=study.get("question") or "",
        disclaimer=DISCLAIMER,
        css=Markup((here / "page.css").read_text(encoding="utf-8")),
        count=_Count(),
        contents=_contents(shown, failures is not None),
        answer=list(zip(("Benefit", "Harm", "Trust"), answer.sentences(result), strict=True)),
        asked=_asked(result),
        arms={arm: [str(line) for line in study["arms"][arm]] for arm in result.arms},
        colors=style.arm_colors(result),
        figures={name: shown.get(name, []) for name in sections},
        efficacy=_some(tables.efficacy(result)),
        harm=_some(tables.harm(result)),
        compared=compared,
        compared_words=_compared_words(result),
        courses_left=words.listed(plates.courses_left(result)),
        failures=failures,
        assumptions=assumed,
        assumption_words=_assumption_words(result),
        is_long=len(result.assumptions) > OPEN_ASSUMPTIONS,
        sources=[_source(source) for source in result.sources],
        source_keys={str(source.get("key", "")) for source in result.sources},
        made=_made(result),
        has_png=has_png,
    )


def _some(frame: pd.DataFrame) -> pd.DataFrame | None:
    return frame if len(frame) else None


def _contents(shown: Mapping[str, list[Drawn]], has_failures: bool) -> list[tuple[str, str]]:
    """Anchors and names of the sections that the page has."""
    listed = [
        ("answer", "Answer"),
        ("question", "Question"),
        ("benefit", "Benefit"),
        ("harm", "Harm"),
        *([("exposure", "Exposure")] if shown.get("exposure") else []),
        *([("inside", "Immune system")] if shown.get("inside") else []),
        *([("failed", "Failed patients")] if has_failures else []),
    ]
    ends = [("assumptions", "Assumptions"), ("sources", "Sources"), ("made", "Method")]
    return listed + ends


def _asked(result: Result) -> list[tuple[str, str]]:
    """What the study was, as pairs of words."""
    study = result.study
    population = study.get("population") or {}
    pairs = [
        ("Situation", words.label(str(study.get("situation") or "")).replace("-", " ")),
        ("Patients", _patients(population)),
        ("Background", "; ".join(str(line) for line in study.get("background") or [])),
        ("Duration", words.span(float(study["duration_day"])) if "duration_day" in study else ""),
        ("Endpoints", _names(study.get("endpoints"))),
        ("Side effects", _names(study.get("side_effects"))),
        ("Rules", _names(study.get("rules"))),
        ("Compared with", _names(study.get("compare_with"))),
    ]
    return [(word, text) for word, text in pairs if text]


def _patients(population: Mapping[str, Any]) -> str:
    """Who the virtual patients are and how many."""
    who = str(population.get("title") or population.get("name") or "")
    count = population.get("patients")
    if count is None:
        return who
    return f"{int(count):,} virtual patients, the same in every arm" + (f": {who}" if who else "")


def _names(value: object) -> str:
    """A list of names, or one word such as 'all', as text."""
    if isinstance(value, list | tuple):
        return ", ".join(words.label(str(name)) for name in value)
    return words.label(str(value or ""))


def _compared_words(result: Result) -> str:
    """What the comparison may be read as."""
    roles = result.comparison["role"]
    trained, held = int((roles == "training").sum()), int((roles != "training").sum())
    kinds = []
    if held:
        kinds.append(f"{held} were held back, so they test the model")
    if trained:
        kinds.append(f"{trained} were used to fit it, so they only show that it can follow them")
    unread = int((~result.comparison["checked"].astype(bool)).sum())
    text = f"Of {len(roles)} published values, {words.listed(kinds)}."
    return f"{text} {unread} of them still have to be read in their source." if unread else text


def _assumption_words(result: Result) -> str:
    """How many numbers are assumed and how many only unchecked."""
    table = result.assumptions
    assumed = int((table["evidence"] == "assumed").sum())
    rest = len(table) - assumed
    parts = []
    if assumed:
        parts.append(f"{assumed} number{'s' if assumed != 1 else ''} assumed")
    if rest:
        parts.append(f"{rest} taken from a source but not yet checked against it")
    return f"This result rests on {words.listed(parts)}."


def _source(source: Mapping[str, str]) -> dict[str, str]:
    """A source in parts, none said twice; an address that is no web address is left out."""
    key, url = str(source.get("key", "")), str(source.get("url", ""))
    text = str(source.get("text", "")).removesuffix(f"[{key}]").rstrip()
    is_web = re.match(r"https?://", url) is not None
    text = text.removesuffix(url).rstrip() if is_web else text
    return {"key": key, "text": text, "url": url if is_web else ""}


def _made(result: Result) -> list[tuple[str, str]]:
    """How the numbers came about, as pairs of words."""
    run = result.run
    host = run.get("host") or {}
    cohort = result.study.get("cohort") or {}
    left_out = sum((cohort.get("left_out") or {}).values())
    timings = run.get("timings") or {}
    tolerance = run.get("tolerance") or {}
    if not isinstance(tolerance, Mapping):
        tolerance = {"relative": tolerance}
    pairs = [
        ("Version", _names(run.get("version"))),
        ("Seed", str(run.get("seed", ""))),
        ("Cohort", _cohort(cohort, left_out)),
        ("Method", words.label(str(run.get("method", "")))),
        ("Tolerance", ", ".join(f"{k} {words.number(float(v))}" for k, v in tolerance.items())),
        ("Time", ", ".join(f"{words.label(k)} {float(v):.2f} s" for k, v in timings.items())),
        ("Speed", _speed(run)),
        ("Computer", ", ".join(f"{words.label(k)} {v}" for k, v in host.items())),
        ("Software", ", ".join(f"{k} {v}" for k, v in (run.get("versions") or {}).items())),
        ("Catalog", str(run.get("catalog_hash", ""))),
        ("Started", str(run.get("started", ""))),
    ]
    return [(word, text) for word, text in pairs if text]


def _cohort(cohort: Mapping[str, Any], left_out: int) -> str:
    """How many patients were drawn to find the plausible ones."""
    if not cohort.get("candidates"):
        return ""
    return f"{int(cohort['candidates']):,} drawn, {left_out:,} of them left out as not plausible"


def _speed(run: Mapping[str, Any]) -> str:
    speed = run.get("patients_per_second")
    return f"{words.number(float(speed))} patients per second" if speed else ""

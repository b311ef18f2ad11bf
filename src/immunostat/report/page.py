"""The report: one HTML page that opens offline, with its figures and style inside it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from immunostat.report import (
    answer,
    asked,
    event_sections,
    figures,
    harm_words,
    plates,
    style,
    tables,
    trial_tables,
    words,
)
from immunostat.report import trial_words as told
from immunostat.report.shape import shape_of
from immunostat.study.result import Result

DISCLAIMER = (
    "This is the output of a research and teaching tool. It describes virtual patients of a model, "
    "not people, and it is no medical advice."
)
SECTIONS = (
    *("answer", "people", "conclusion", "benefit", "compared", "events", "dose", "power", "rules"),
    *("harm", "exposure", "inside"),
)
"""Where figures stand."""

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
    trial = _trial(result)
    told_first = told.lead(result)
    answers = zip(("Benefit", "Harm", "Trust"), answer.sentences(result), strict=True)
    return environment.get_template("page.html").render(
        title=str(study.get("title") or "Untitled study"),
        question=study.get("question") or "",
        disclaimer=DISCLAIMER,
        css=Markup((here / "page.css").read_text(encoding="utf-8")),
        count=_Count(),
        contents=_contents(shown, trial, failures is not None),
        answer=[*told_first, *answers],
        trial=trial,
        all_trials=_all_trials(result),
        asked=asked.asked(result),
        arms={arm: [str(line) for line in study["arms"][arm]] for arm in result.arms},
        colors=style.arm_colors(result),
        figures={name: shown.get(name, []) for name in SECTIONS},
        efficacy=_some(tables.efficacy(result)),
        harm=_some(tables.harm(result)),
        needed=_some(harm_words.needed(result)),
        warnings=_some(harm_words.warnings(result)),
        not_known=_some(harm_words.not_known(result)),
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


@dataclass(frozen=True)
class Part:
    """A section about the trial.

    Parameters
    ----------
    title, short
        Its heading, and its name in the list of contents.
    sentences
        What it says first.
    tables
        Captions and tables; small ones stand side by side.
    notes
        What stands below.
    is_table_first
        Whether the tables come before the figures.
    """

    title: str
    short: str
    sentences: list[str]
    tables: list[tuple[str, pd.DataFrame]]
    notes: list[str]
    is_table_first: bool = False


def _trial(result: Result) -> dict[str, Part]:
    """Sections about the trial that the result has data for, by name."""
    people = [
        ("Candidates, and why some were left out.", trial_tables.left_out(result)),
        ("What became of the patients of each arm.", trial_tables.flow(result)),
    ]
    shape = shape_of(result)
    trials = f" All {shape.n_trials:,} whole trials together." if shape.n_trials > 1 else ""
    if trials:
        people[1] = (people[1][0] + trials, people[1][1])
    looks = trial_tables.looks(result)
    parts = {
        "people": Part("Who took part", "People", [told.people(result)], people, [], True),
        "conclusion": Part(
            "What the trial concludes",
            "Conclusion",
            [told.conclusion(result)],
            [("Analyses that the study asked for.", trial_tables.conclusions(result))],
            told.conclusion_notes(result),
        ),
        "events": Part(
            "How soon, and how often, it happened",
            "Events",
            event_sections.sentences(result),
            [
                (
                    "Events of the disease; in brackets the 95 % interval. Who has died, or left, "
                    "is at risk no more.",
                    event_sections.events_table(result),
                )
            ],
            [],
        ),
        "dose": Part(
            "How the effect follows the dose",
            "Dose",
            [told.dose(result)],
            [("Dose response.", trial_tables.doses(result))],
            [],
        ),
        "power": Part(
            "What trials like this would find",
            "Power",
            [told.power(result), told.looks(result)],
            [
                (
                    "Whole trials of the same design, each of other patients. Power: share with p "
                    "of at most 0.05. SD: of the estimates. Coverage: share of the 95 % intervals "
                    "that hold the estimate in all patients.",
                    trial_tables.power(result),
                ),
                (
                    "Looks at the data: share of the trials that stop at each.",
                    looks,
                ),
            ],
            [told.looks_notes(result)] if len(looks) else [],
        ),
        "rules": Part(
            "What the rules did",
            "Rules",
            [told.rules(result)],
            [("Patients on whom each rule acted; every action stands in actions.csv.",
              trial_tables.rules(result))],
            [],
        ),
    }  # fmt: skip
    kept = {}
    for name, part in parts.items():
        frames = [(caption, frame) for caption, frame in part.tables if len(frame)]
        if frames or (any(part.sentences) and name != "people"):
            said = [sentence for sentence in part.sentences if sentence]
            kept[name] = replace(part, sentences=said, tables=frames)
    return kept


def _all_trials(result: Result) -> str:
    """Whose numbers stand under benefit where there are many whole trials."""
    n = shape_of(result).n_trials
    if n == 1:
        return ""
    return (
        f"Here stand the patients of all {n:,} whole trials together, so intervals are much "
        "narrower than those of one trial."
    )


def _contents(
    shown: Mapping[str, list[Drawn]], trial: Mapping[str, Part], has_failures: bool
) -> list[tuple[str, str]]:
    """Anchors and names of the sections that the page has."""
    named = {name: [(name, part.short)] for name, part in trial.items()}
    listed = [
        ("answer", "Answer"),
        ("question", "Question"),
        *named.get("people", []),
        *named.get("conclusion", []),
        ("benefit", "Benefit"),
        *(pair for name in ("events", "dose", "power", "rules") for pair in named.get(name, [])),
        ("harm", "Harm"),
        *([("exposure", "Exposure")] if shown.get("exposure") else []),
        *([("inside", "Immune system")] if shown.get("inside") else []),
        *([("failed", "Failed patients")] if has_failures else []),
    ]
    ends = [("assumptions", "Assumptions"), ("sources", "Sources"), ("made", "Method")]
    return listed + ends


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
    text = (
        f"Of {len(roles)} published values, {words.listed(kinds)}. In trials, who left or was "
        "rescued counts as a non-responder; here everybody stays unless the study lets patients "
        "leave."
    )
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
        ("Version", asked.names(run.get("version"))),
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

"""Explore: move a dose and see what follows, from concentration to harm."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from immunostat.app import explore_state, frame, same_as
from immunostat.app.explore_state import LETTERS, ExploreState
from immunostat.app.figure_store import Drawn
from immunostat.app.limits import EXPLORE
from immunostat.app.live import Page, failed_patients_html
from immunostat.app.workbench import Workbench
from immunostat.base.errors import ImmunostatError, InputError
from immunostat.report import answer, plates
from immunostat.report.plate import Plate
from immunostat.report.style import CONTROL, PALETTE, WIDE
from immunostat.study.exploration import Explored
from immunostat.study.study import Study
from immunostat.study.study_reader import make_study

PATH = "/explore/"

#: Headings in the order of the chain, and the sections of the report that stand under each.
SECTIONS = (
    ("exposure", "Concentration and target engagement", ("exposure",)),
    ("inside", "Immune activity", ()),
    ("benefit", "Disease", ("inside", "benefit", "events", "compared")),
    ("harm", "Harm", ("harm", "answer")),
)
_GROUP = {section: key for key, _, sections in SECTIONS for section in sections}


def page(bench: Workbench, query: str) -> str:
    """The page for an address."""
    error: ImmunostatError | None = None
    try:
        state = explore_state.read(query, bench.index)
    except ImmunostatError as found:
        error, state = found, explore_state.read("", bench.index)
    regimens: list[tuple[str, Sequence[str]]] = list(zip(LETTERS, state.regimens, strict=False))
    if len(regimens) < len(LETTERS):
        regimens.append((LETTERS[len(regimens)], ()))
    return frame.page(
        "explore.html",
        PATH,
        "Explore",
        is_live=True,
        state=state,
        error=error,
        regimens=regimens,
        situations=list(bench.index.situations.values()),
        here=bench.index.situations[state.situation],
        drugs=bench.index.drugs_for(state.situation),
        limits=EXPLORE,
        colors=PALETTE,
        control=CONTROL,
        sections=[(key, title) for key, title, _ in SECTIONS],
    )


async def show(bench: Workbench, page: Page, query: str) -> None:
    """Compute what an address says and send it, figure by figure."""
    state = explore_state.read(query, bench.index)
    await page.send("begin", {})
    if not state.regimens:
        await page.status("Choose a drug to begin.")
        await page.send("end", {})
        return
    study, data = study_of(bench, state)
    await page.same_as(same_as.of_study(data, "explore"))
    tell = page.progress(EXPLORE)
    explored = await page.do(lambda: bench.explored(state.query, study, EXPLORE, tell))
    result = explored.result
    numbers = sorted({int(n) for n in result.patients["patient"]})
    marked = nearest(numbers, state.patient)
    await page.send("numbers", {"numbers": numbers, "marked": marked})
    chosen = plates.along_the_chain(result, marked)
    await page.status("drawing …", busy=True)
    while True:
        plate = await page.do(lambda: next(chosen, None))
        if plate is None:
            break
        drawn = await page.do(partial(bench.figures.draw, plate))
        group = "inside" if plate.name == "profile" else _GROUP[plate.section]
        await page.figure(group, drawn, is_wide(plate, drawn))
    await page.send("end", {})
    await page.part("answer", frame.part("answer.html", sentences=_sentences(explored)))
    await page.part("failure", failed_patients_html(result.run))
    n = f"{len(numbers):,} virtual patients under each of {len(result.arms)} arms"
    await page.status(n, state="done")


def study_of(bench: Workbench, state: ExploreState) -> tuple[Study, dict[str, Any]]:
    """The study of a state, within the limits, and what a study file would hold.

    Raises
    ------
    InputError
        A regimen or number is not understood, or the study is too large for the screen.
    """
    data = state.study(bench.index.catalog.situation(state.situation).visits)
    study = make_study(data, bench.index.catalog)
    EXPLORE.check(study)
    return study, data


def nearest(numbers: Sequence[int], wanted: int | None) -> int:
    """The number of a patient who entered, as near as can be to the wanted one."""
    if not numbers:
        raise InputError("nobody entered the study")
    return numbers[0] if wanted is None else min(numbers, key=lambda n: (abs(n - wanted), n))


def is_wide(plate: Plate, drawn: Drawn) -> bool:
    """Whether a figure needs the width of the page."""
    start = drawn.html.find("max-width:")
    if start < 0:
        return False
    return float(drawn.html[start + 10 :].split("px", 1)[0]) > 0.72 * WIDE


def _sentences(explored: Explored) -> list[tuple[str, str]]:
    """What was gained and what it cost, in words."""
    said = answer.sentences(explored.result)
    return list(zip(("Benefit", "Harm"), said, strict=False))

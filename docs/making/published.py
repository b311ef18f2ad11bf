"""The page of published models: what each is, its course, and printed results beside ours."""

from __future__ import annotations

import re

import numpy as np

from immunostat.base.sources import cite
from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.published import reproduced, scenarios
from immunostat.report.published_figure import course_figure
from immunostat.report.published_sheet import TIME_WORDS, printed_words
from immunostat.report.style import save
from making.markdown import page, table
from making.trial_run import ROOT

IMAGES = ROOT / "docs" / "images"


def pages() -> dict[str, str]:
    """The page by its path, pictures written on the way."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    catalog = packaged_catalog()
    names = catalog.published_models()
    rows = []
    parts = []
    for name in names:
        card = catalog.published_model(name)
        found = reproduced(catalog, card)
        agree = sum(result.agrees for result in found)
        link = f"[{card.title}](#{_anchor(card.title)})"
        rows.append((link, card.situation, len(card.initial), f"{agree} of {len(found)}"))
        parts += _section(name)
    return {
        "science/published-models.md": page(
            "# Published models beside ours",
            "Models of other authors, written in Antimony from their equations and numbers and "
            "solved by the same engine. They share nothing with the immune core: they show what "
            "a situation looks like without one, and they check the engine against results in "
            "print.",
            "```console\nimmunostat published\nimmunostat published reynolds2006 --until 100\n```",
            table(("model", "situation", "states", "printed results that come out again"), rows),
            "A printed result agrees if the difference is within its tolerance, which has a reason "
            "in the card. Where a publication could not be read as a whole, the card says what "
            "was read instead; a wide range (a spread of patients, or values on both sides of a "
            "threshold) is a weak check, and stands as one.",
            "To add one: the equations in `models/published/`, and a card in `published/` "
            "([its keys](../reference/cards.md#published-model)) that names what is printed and "
            "how a run is read.",
            "**Not here: Bedathuru 2024 (arthritis).** Its equations stand in a binary project "
            "file of another program, which could not be read, and of the publication only the "
            "abstract could be: no response to a drug is printed there. Its base parameter values "
            "were read; those that the immune core uses name it ([immune core](immune-core.md)).",
            *parts,
        )
    }


def _anchor(title: str) -> str:
    """Where a heading is linked to."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _section(name: str) -> list[str]:
    catalog = packaged_catalog()
    card = catalog.published_model(name)
    times = np.linspace(0.0, card.until, 401)
    courses = {n: c.to_dataset() for n, c in scenarios(catalog, card, times).items()}
    save(course_figure(card, courses), IMAGES / f"published-{name}.svg")
    rows = [
        (
            result.card.what,
            printed_words(result.card),
            f"{result.value:.6g}",
            "" if result.card.is_range else f"{result.card.tolerance:g}",
            f"{result.card.where} ({result.card.source})",
        )
        for result in reproduced(catalog, card)
    ]
    keys = dict.fromkeys([card.citation, *(own.source for own in card.printed if own.source)])
    parts = [
        f"## {card.title}",
        f"{card.summary}",
        f"![Courses of {name}](../images/published-{name}.svg)",
        table(("printed result", "printed", "here", "allowed difference", "where"), rows),
        f"*What it leaves out.* {card.leaves_out}",
        f"*Beside an explicit core.* {card.differences}",
    ]
    if card.note:
        parts.append(f"*Note.* {card.note}")
    if card.scenarios:
        told = [
            (n, ", ".join(f"`{k}` = {v:g}" for k, v in own.items()) or "the card's numbers")
            for n, own in card.scenarios.items()
        ]
        parts.append(table(("scenario", "what differs"), told))
    text, _ = catalog.text(card.fragment)
    parts += [
        f"Equations ({TIME_WORDS[card.time_unit]}):",
        f"```antimony\n{text.strip()}\n```",
        f"Every number: `immunostat published {name} --numbers`. Sources: "
        + "; ".join(cite(catalog.source(key)) for key in keys)
        + ".",
    ]
    return parts

"""The frame around every screen: templates, navigation, the notice, colors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from immunostat.app.same_as import SameAs
from immunostat.report import words

HERE = Path(__file__).parent

NOTICE = "A research and teaching tool. It gives no medical advice."

#: Where Shiny puts its own scripts.
SHINY = '<meta name="shiny-dependency-placeholder" content="">'


@dataclass(frozen=True)
class Screen:
    """A screen in the navigation."""

    path: str
    title: str
    says: str


SCREENS = (
    Screen("/explore/", "Explore", "Move a dose and see what follows"),
    Screen("/trial/", "Trial", "Build a trial, run it, read its report"),
    Screen("/patient/", "Patient", "One person, a thousand virtual twins"),
    Screen("/balance/", "Benefit and risk", "Weigh gains against harms"),
    Screen("/library/", "Library", "Every card with its sources"),
    Screen("/results/", "Results", "Open, compare and download"),
)


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: words.number(float(value))
    environment.filters["label"] = words.label
    return environment


def page(template: str, path: str, title: str, *, is_live: bool = False, **given: Any) -> str:
    """A whole page.

    Parameters
    ----------
    template
        Name of the template of the screen's own part.
    path
        Path of the screen, for the navigation.
    is_live
        Whether the page talks to a session.
    """
    return (
        _templates()
        .get_template(template)
        .render(
            screens=SCREENS,
            path=path,
            title=title,
            notice=NOTICE,
            shiny=Markup(SHINY) if is_live else "",
            is_live=is_live,
            **given,
        )
    )


def part(template: str, **given: Any) -> str:
    """A piece of a page, sent to a page that is open."""
    return _templates().get_template(template).render(**given)


def same_as_part(same: SameAs) -> str:
    """The three texts of "the same as"."""
    return part("same_as.html", same=same)

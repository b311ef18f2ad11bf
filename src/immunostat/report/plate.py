"""A figure of the report with its place and caption."""

from __future__ import annotations

import re
from dataclasses import dataclass

from immunostat.report import figures


@dataclass(frozen=True)
class Plate:
    """A figure of the report.

    Parameters
    ----------
    section
        Where it stands: answer, people, conclusion, benefit, compared, events, power, dose, rules,
        harm, exposure or inside.
    name
        Name of its file, without ending.
    figure
        The chart.
    caption
        What a reader should see in it; also read aloud in its place.
    """

    section: str
    name: str
    figure: figures.Figure
    caption: str


def file_name(kind: str, name: str) -> str:
    """Name of a figure's file: letters, digits and hyphens.

    Examples
    --------
    >>> file_name("course", "IL6R engagement"), file_name("course", "../a/b")
    ('course-il6r-engagement', 'course-a-b')
    """
    return f"{kind}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}"

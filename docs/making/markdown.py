"""Small pieces of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTICE = "<!-- Made by docs/make.py; changes here are lost. -->"


def cell(value: object) -> str:
    """Text that may stand in a table."""
    text = "" if value is None else str(value)
    return " ".join(text.replace("|", "\\|").split())


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def number(value: float, digits: int = 3) -> str:
    """A number with that many significant digits, without needless zeros."""
    return f"{value:.{digits}g}" if abs(value) < 1e5 else f"{value:.{digits}e}"


def page(*parts: str) -> str:
    """A page of these parts."""
    return "\n\n".join([NOTICE, *parts]) + "\n"

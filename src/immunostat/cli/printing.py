"""How the command line prints: tables to standard output, messages to standard error."""

from __future__ import annotations

import csv
import functools
import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, ParamSpec, TypeVar

import typer

from immunostat.base.errors import ImmunostatError

P = ParamSpec("P")
R = TypeVar("R")

NOTICE = "A research and teaching tool. It gives no medical advice."

#: Columns of text that is not shown on a terminal; a pipe gets this width.
PIPE_WIDTH = 200

#: Columns of the labels and of the words beside them where a card is shown as people read it.
LABEL_WIDTH, TEXT_WIDTH = 26, 110


class Exit:
    """Exit codes."""

    WRONG_INPUT = 2
    SOME_PATIENTS_FAILED = 3
    INTERRUPTED = 130


class Format(StrEnum):
    """How a table is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def format_of(as_json: bool, as_csv: bool) -> Format:
    """The wanted format; JSON wins."""
    return Format.JSON if as_json else Format.CSV if as_csv else Format.TEXT


def _printable(text: str) -> str:
    """Text without control characters: a file must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def message(text: str) -> None:
    """A line for people, on standard error."""
    typer.echo(_printable(text), err=True)


def heading(text: str) -> None:
    """A line above a table, on standard output."""
    typer.echo(_printable(text))


def print_sections(sections: Iterable[tuple[str, Sequence[tuple[str, str]]]]) -> None:
    """Headings with labels and words below them, long words wrapped."""
    for title, rows in sections:
        heading("")
        heading(title)
        for label, words in rows:
            lines = textwrap.wrap(words, TEXT_WIDTH) or [""]
            heading(f"  {label:{LABEL_WIDTH}} {lines[0]}")
            for line in lines[1:]:
                heading(f"  {'':{LABEL_WIDTH}} {line}")


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """A command whose errors become one clear message and an exit code, without traceback."""

    @functools.wraps(command)
    def safe(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ImmunostatError as error:
            message(f"error: {error}")
            raise typer.Exit(Exit.WRONG_INPUT) from None
        except KeyboardInterrupt:
            message("interrupted before the result was complete")
            raise typer.Exit(Exit.INTERRUPTED) from None

    return safe


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return _printable(str(value))


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    how: Format = Format.TEXT,
    title: str | None = None,
) -> None:
    """Print a table to standard output.

    Parameters
    ----------
    columns
        Names of the columns.
    rows
        Cells; lists are joined by commas in text and CSV.
    how
        Aligned text, JSON records or CSV.
    title
        A line above aligned text.
    """
    if how is Format.JSON:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    if how is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    if title:
        console.print(Text(title, style="bold"))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, column in enumerate(columns):
        numbers = rows and all(isinstance(row[i], int | float) for row in rows)
        is_flag = rows and all(isinstance(row[i], bool) for row in rows)
        justify: Any = "right" if numbers and not is_flag else "left"
        table.add_column(Text(column), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console.print(table)


def print_json(data: object) -> None:
    """Print JSON to standard output."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))

"""Options that several commands have, each with one name and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from immunostat.base.errors import InputError, Place, shown_path

SeedOption = Annotated[int, typer.Option(help="Seed of all random numbers.")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Threads; all processors if left out.")
]
SamplingOption = Annotated[
    str, typer.Option(help="random, or sobol: a sequence that fills the space more evenly.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
BriefOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV, for programs.")]


def check_folder(output: Path | None) -> None:
    """Refuse an output that cannot become a folder, before anything is computed.

    Raises
    ------
    InputError
        A file has that name.
    """
    if output is not None and output.exists() and not output.is_dir():
        place = Place(shown_path(output))
        raise InputError("the output is a file, not a folder", place, "choose another with -o")


def check_folder_or_csv(output: Path | None) -> None:
    """Refuse an output that is neither a folder nor a table, before anything is computed.

    Raises
    ------
    InputError
        It has another ending.
    """
    if output is not None and output.suffix.lower() not in ("", ".csv"):
        raise InputError(
            f"the ending '{output.suffix}' is not known",
            Place(shown_path(output)),
            "name a folder, or a file ending in .csv",
        )

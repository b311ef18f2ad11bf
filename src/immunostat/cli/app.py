"""The program `immunostat`: its commands and what they have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from immunostat.cli import (
    browse,
    calibrate,
    compare,
    doctor,
    exposure,
    laboratory,
    models,
    patient,
    population,
    published,
    risk,
    sample_size,
    sensitivity,
    studies,
)
from immunostat.cli.printing import NOTICE

app = typer.Typer(
    name="immunostat",
    help=(
        "An open simulator of immunomodulatory therapy: virtual patients, virtual trials, and a "
        f"source for every number.\n\n{NOTICE}\n\n"
        "Example:  immunostat run studies/ra-biologics.yaml"
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def program_version() -> str:
    """Version of the installed package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("immunostat")
    except PackageNotFoundError:
        return "unknown (not installed)"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"immunostat {program_version()}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    catalog: Annotated[
        Path | None,
        typer.Option(help="Folder of your own cards, used on top of the packaged ones."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    context.obj = catalog


studies.add_to(app)
population.add_to(app)
sample_size.add_to(app)
sensitivity.add_to(app)
calibrate.add_to(app)
compare.add_to(app)
patient.add_to(app)
laboratory.add_to(app)
risk.add_to(app)
exposure.add_to(app)
models.add_to(app)
browse.add_to(app)
published.add_to(app)
doctor.add_to(app)


def main() -> None:
    """Run the program; the exit code is 0, 2 (wrong input), 3 (failed patients) or 130."""
    app(prog_name="immunostat")

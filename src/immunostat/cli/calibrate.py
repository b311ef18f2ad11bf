"""Command calibrate NAME: fit numbers of the core and a situation to published training arms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.cli.options import BriefOption, JsonOption, ThreadsOption
from immunostat.cli.printing import (
    NOTICE,
    Format,
    format_of,
    guarded,
    heading,
    message,
    print_json,
    print_table,
)
from immunostat.cli.progress import progress_bar
from immunostat.cli.varying import resumable

if TYPE_CHECKING:
    from immunostat.catalog.calibrations import Calibration
    from immunostat.catalog.lookup import Catalog
    from immunostat.study.calibration import Calibrated
    from immunostat.study.fitted_cards import FittedNumber


@guarded
def calibrate(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(help="Name of a calibration card, or of a situation that has one."),
    ],
    patients: Annotated[
        int | None,
        typer.Option(min=10, max=100_000, help="Virtual patients in each arm; else the card's."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; else the card's.")] = None,
    explore: Annotated[
        int | None,
        typer.Option(min=0, help="Evaluations of the global search (CMA-ES); else the card's."),
    ] = None,
    polish: Annotated[
        int | None,
        typer.Option(min=0, help="Evaluations of the local search after it; else the card's."),
    ] = None,
    weights: Annotated[
        bool | None,
        typer.Option(
            "--weights/--no-weights", help="Seek prevalence weights after the fit; else the card's."
        ),
    ] = None,
    threads: ThreadsOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder; results/calibrate-NAME if left out."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what a cut-off run left in the folder.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Begin anew where a calibration stands already.")
    ] = False,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply", help="Search nothing: print what a finished calibration changes in the card."
        ),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(help="With --apply: write the changed card into this catalog folder instead."),
    ] = None,
    quiet: BriefOption = False,
    as_json: JsonOption = False,
) -> None:
    from immunostat.catalog.calibrations import calibration_named, resolved
    from immunostat.catalog.lookup import Catalog
    from immunostat.study.calibration import Options
    from immunostat.study.calibration import calibrate as run

    if to is not None and not apply:
        raise InputError("--to needs --apply", Place("--to"), "leave it out to search")
    if resume and force:
        raise InputError("--resume and --force exclude each other", Place("--force"))
    catalog = Catalog.packaged(context.obj)
    calibration = resolved(catalog, calibration_named(catalog, name))
    folder = output or Path("results") / f"calibrate-{calibration.card.name}"
    if apply:
        from immunostat.study.calibration_files import read_numbers

        _apply(catalog, calibration, read_numbers(folder, calibration), to, force)
        return
    options = Options(patients, seed, explore, polish, weights, threads)
    with progress_bar(quiet) as progress, resumable(folder, quiet):
        found = run(catalog, calibration, options, folder, resume, force, progress)
        _write(found, catalog, folder)
    if format_of(as_json, False) is Format.JSON:
        from immunostat.study.calibration_files import as_data

        print_json(as_data(found, catalog))
    elif not quiet:
        _print(found)
    if not quiet:
        message(f"report: {shown_path(folder / 'report.html')}")
        message(f"lines for the card: {shown_path(folder / 'fitted.yaml')}")
    message(NOTICE)


def _write(found: Calibrated, catalog: Catalog, folder: Path) -> None:
    from immunostat.report.calibration_page import write
    from immunostat.study.calibration_files import write_numbers

    write_numbers(found, catalog, folder)
    write(found, catalog, folder)


def _print(found: Calibrated) -> None:
    """What was followed, what was found, and what is not told by the data."""
    from immunostat.report.calibration_page import numbers, sentences, training

    for title, table in (
        ("Training results", training(found)),
        ("Fitted numbers, 95 % intervals", numbers(found)),
    ):
        rows = [tuple(row) for row in table.itertuples(index=False)]
        print_table(tuple(table.columns), rows, Format.TEXT, title)
        heading("")
    for sentence in sentences(found):
        heading(sentence)


def _apply(
    catalog: Catalog,
    calibration: Calibration,
    numbers: Mapping[str, FittedNumber],
    to: Path | None,
    force: bool,
) -> None:
    """Print a patch of the cards, or write the changed cards into a folder of one's own."""
    from immunostat.study.fitted_cards import (
        difference,
        fitted_lines,
        patched_cards,
        write_cards,
    )

    lines: dict[str, dict[str, Any]] = fitted_lines(catalog, calibration, numbers)
    texts = patched_cards(catalog, lines)
    if to is None:
        heading(difference(texts))
        return
    for file in write_cards(texts, to, force):
        message(f"written: {shown_path(file)}")
    message(f"use it: immunostat --catalog {shown_path(to)} validate {calibration.situation.name}")


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    text = (
        "Fit numbers of the core and a situation to its training arms, as a calibration card says. "
        "A number of a drug is never fitted, and a held-back arm never followed. A cut-off search "
        "goes on with --resume and ends with the same bits."
        "\n\nWritten to the folder: report.html and report.md, tables, fitted.yaml with the lines "
        "for the card, and every evaluation."
        "\n\nExample:  immunostat calibrate rheumatoid-arthritis"
        "\n\nExample:  immunostat calibrate rheumatoid-arthritis --resume"
        "\n\nExample:  immunostat calibrate rheumatoid-arthritis --apply --to my-cards"
        f"\n\n{NOTICE}"
    )
    app.command("calibrate", help=text, rich_help_panel="Studies")(calibrate)

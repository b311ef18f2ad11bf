"""The command published: models of publications that stand beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.cli.options import CsvOption, JsonOption
from immunostat.cli.printing import (
    NOTICE,
    Format,
    format_of,
    guarded,
    heading,
    message,
    print_json,
    print_sections,
    print_table,
)

if TYPE_CHECKING:
    from immunostat.catalog.lookup import Catalog

#: Rows of a course on a terminal; CSV has all samples.
ROWS, SAMPLES = 21, 401


@guarded
def published(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of one; all if left out.")] = None,
    until: Annotated[
        float | None, typer.Option(min=0, help="Last time, in the model's unit of time.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Value of a parameter, or start value of a state; may be repeated.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Figure to write, .png or .svg: the card's scenarios, or the course with --set."
        ),
    ] = None,
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Every number with its source instead.")
    ] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Models of publications, or one with its course."""
    from immunostat.catalog.lookup import Catalog
    from immunostat.catalog.published import published_system

    catalog, how = Catalog.packaged(context.obj), format_of(as_json, as_csv)
    if name is not None:
        _one(catalog, name, until, settings or [], plot, numbers, how)
        return
    if until is not None or settings or plot or numbers:
        raise InputError("a course needs the name of a model", remedy="immunostat published NAME")
    cards = [catalog.published_model(known) for known in catalog.published_models()]
    columns = ("name", "title", "situation", "states", "parameters", "printed results", "time")
    rows = [
        (
            c.name,
            c.title,
            c.situation,
            list(published_system(catalog, c).states),
            len(c.parameters),
            len(c.printed),
            "no unit" if c.time_unit == "1" else c.time_unit,
        )
        for c in cards
    ]
    print_table(columns, rows, how)


def _one(
    catalog: Catalog,
    name: str,
    until: float | None,
    settings: list[str],
    plot: Path | None,
    numbers: bool,
    how: Format,
) -> None:
    """One card as people read it with its course, or its numbers, or the course as CSV."""
    import numpy as np

    from immunostat.catalog.published import published_course, reproduced, scenarios
    from immunostat.cli.browse import FACT_COLUMNS, fact_rows
    from immunostat.cli.models import setting
    from immunostat.report.published_figure import course_figure
    from immunostat.report.published_sheet import sheet, titled
    from immunostat.report.style import save

    if plot is not None and plot.suffix.lower() not in (".png", ".svg"):
        raise InputError(
            f"cannot write '{plot.suffix or plot.name}' figures",
            Place(shown_path(plot)),
            "end the name in .png or .svg",
        )
    card: Any = catalog.published_model(name)
    if numbers:
        print_table(FACT_COLUMNS, fact_rows(card), how)
        return
    if how is Format.JSON:
        print_json(card.model_dump(mode="json", by_alias=True, exclude_none=True))
        return
    last = card.until if until is None else until
    if not last > 0:
        raise InputError("the course must last", remedy=f"--until {card.until:g}")
    times = np.linspace(0.0, last, SAMPLES)
    changed = dict(setting(text) for text in settings)
    data = published_course(catalog, card, times, changed).to_dataset()
    if how is Format.TEXT:
        heading(card.title)
        found = reproduced(catalog, card)
        print_sections((section.title, section.rows) for section in sheet(catalog, card, found))
        heading("")
        said = f" with {', '.join(settings)}" if settings else ""
        heading(f"Course{said}")
    shown = titled(card, data)
    columns = ["time" if card.time_unit == "1" else f"time [{card.time_unit}]"]
    columns += [
        f"{n} [{shown[n].attrs['units']}]" if shown[n].attrs["units"] else str(n)
        for n in shown.data_vars
    ]
    table = [times, *(shown[name].to_numpy()[0] for name in shown.data_vars)]
    rows = [[float(value) for value in row] for row in zip(*table, strict=True)]
    step = (SAMPLES - 1) // (ROWS - 1) if how is Format.TEXT else 1
    print_table(columns, rows[::step], how)
    if plot is not None:
        try:
            if settings:
                drawn = course_figure(card, {", ".join(settings): data}, shows_printed=False)
            else:
                found_courses = scenarios(catalog, card, times)
                drawn = course_figure(card, {n: c.to_dataset() for n, c in found_courses.items()})
            save(drawn, plot)
        except OSError as problem:
            cause = problem.strerror or str(problem)
            raise InputError(f"cannot write: {cause}", Place(shown_path(plot))) from None
        message(f"written to {shown_path(plot)}")


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "published",
        help="Models of publications beside ours, or one with its course.\n\n"
        "Example:  immunostat published\n\n"
        "Example:  immunostat published reynolds2006 --set k_pg=0.6 --until 400 --plot septic.svg"
        f"\n\n{NOTICE}",
        rich_help_panel="The catalog",
    )(published)

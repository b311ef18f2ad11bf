"""Commands on models: simulate any SBML or Antimony file, export a study as SBML."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.cli.options import CsvOption, JsonOption
from immunostat.cli.printing import NOTICE, Format, format_of, guarded, message, print_table

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from immunostat.model.system import OdeSystem

MOST_SAMPLES = 1_000_000

#: Rows and columns of a table on a terminal; a file gets all.
ROWS, COLUMNS = 26, 10

ENDINGS = (".csv", ".nc", ".png", ".svg")


@guarded
def simulate(
    model: Annotated[Path, typer.Argument(help="An SBML (.xml, .sbml) or Antimony (.ant) file.")],
    until: Annotated[float, typer.Option(help="Last time, in the model's unit of time.")] = 100.0,
    begin: Annotated[float, typer.Option("--from", help="First sample.")] = 0.0,
    samples: Annotated[int, typer.Option(min=1, max=MOST_SAMPLES, help="Number of samples.")] = 101,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Value of a parameter, or start value of a state; may be repeated.",
        ),
    ] = None,
    dose: Annotated[
        list[str] | None,
        typer.Option(
            help="A dose in the model's units: 'AMOUNT STATE at T every T times N over T'; "
            "may be repeated."
        ),
    ] = None,
    show: Annotated[
        str | None, typer.Option(help="Outputs, with commas; all states if left out.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=1e-12, max=1e-2, help="Relative tolerance.")
    ] = 1e-8,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write: .csv, .nc (NetCDF), .png or .svg."),
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Simulate any SBML or Antimony model once."""
    import numpy as np

    from immunostat.engine.course import dose_line, shown_names, simulate_course
    from immunostat.model.antimony import load_model

    if output is not None and output.suffix.lower() not in ENDINGS:
        raise InputError(
            f"cannot write '{output.suffix or output.name}' files",
            Place(shown_path(output)),
            f"end the name in {', '.join(ENDINGS)}",
        )
    if not (math.isfinite(until) and math.isfinite(begin) and until >= begin >= 0):
        raise InputError("the course must end after it begins", remedy="--until 100 --from 0")
    values = dict(setting(text) for text in settings or [])
    doses = [dose_line(text) for text in dose or []]
    system = load_model(model)
    for note in system.notes:
        message(f"note: {note}")
    names = [n.strip() for n in show.split(",") if n.strip()] if show else shown_names(system)
    times: np.ndarray = np.linspace(begin, until, samples)
    solution = simulate_course(system, times, values, doses, names, tolerance, tolerance * 1e-4)
    data = solution.to_dataset()
    how = format_of(as_json, as_csv)
    if output is None:
        _print(data, system, how)
        return
    _write(data, system, output)
    message(f"{NOTICE}\nwritten to {shown_path(output)}")


def setting(text: str) -> tuple[str, float]:
    """Name and number of a ``--set`` option."""
    name, sign, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not sign or not name.strip() or not math.isfinite(number):
        raise InputError(f"--set '{text}' is not a name and a number", remedy="--set k1=0.3")
    return name.strip(), number


def _columns(data: xr.Dataset, system: OdeSystem) -> list[str]:
    """Names with their units, time first."""
    units = {name: data[name].attrs.get("units", "") for name in data.data_vars}
    named = [("time", system.units.get("time", "")), *units.items()]
    return [f"{name} [{unit}]" if unit else str(name) for name, unit in named]


def _print(data: xr.Dataset, system: OdeSystem, how: Format) -> None:
    columns = _columns(data, system)
    table = [data["time"].to_numpy(), *(data[name].to_numpy()[0] for name in data.data_vars)]
    rows = [[float(value) for value in row] for row in zip(*table, strict=True)]
    if how is Format.TEXT:
        step = max(1, math.ceil((len(rows) - 1) / (ROWS - 1)))
        kept = [*rows[:-1:step], rows[-1]]
        if len(kept) < len(rows) or len(columns) > COLUMNS:
            message(
                f"shown: {len(kept)} of {len(rows)} samples, {min(len(columns), COLUMNS) - 1} of "
                f"{len(columns) - 1} outputs; all of them with -o FILE.csv"
            )
        rows = [row[:COLUMNS] for row in kept]
        columns = columns[:COLUMNS]
    print_table(columns, rows, how)


def _write(data: xr.Dataset, system: OdeSystem, output: Path) -> None:
    try:
        if output.suffix.lower() == ".csv":
            frame = data.isel(patient=0, drop=True).to_dataframe().reset_index()
            frame.columns = _columns(data, system)
            frame.to_csv(output, index=False)
        elif output.suffix.lower() == ".nc":
            unit = system.units.get("time", "")
            data = data.assign_coords(time=("time", data["time"].to_numpy(), {"unit": unit}))
            data.attrs["model"] = system.name
            data.to_netcdf(output, engine="scipy")
        else:
            from immunostat.report.model_figure import MOST_LINES, model_courses
            from immunostat.report.style import save

            if len(data.data_vars) > MOST_LINES:
                message(f"the figure has the first {MOST_LINES} outputs; choose with --show")
            save(model_courses(data, system.name, system.units.get("time", "")), output)
    except OSError as problem:
        cause = problem.strerror or str(problem)
        raise InputError(f"cannot write: {cause}", Place(shown_path(output))) from None


@guarded
def export(
    context: typer.Context,
    study: Annotated[Path, typer.Argument(help="A study file (YAML).")],
    sbml: Annotated[bool, typer.Option("--sbml", help="Write SBML Level 3.")] = False,
    arm: Annotated[
        str | None, typer.Option(help="Arm whose doses are written; the first with doses if not.")
    ] = None,
    patient: Annotated[
        int | None, typer.Option(help="Patient of the cohort, from 0; the most typical if not.")
    ] = None,
    doses: Annotated[bool, typer.Option(help="Write the doses of the arm as events.")] = True,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File; standard output if not given.")
    ] = None,
) -> None:
    """Write the joined model of a study for other programs."""
    from immunostat.catalog.lookup import Catalog
    from immunostat.study.export import export_sbml
    from immunostat.study.study_reader import read_study

    if not sbml:
        raise InputError("say what to write", remedy="immunostat export STUDY --sbml")
    catalog = Catalog.packaged(context.obj)
    written = export_sbml(read_study(study, catalog, []), catalog, arm, patient, doses)
    who = f"patient {written.patient} of arm '{written.arm}'"
    if output is None:
        typer.echo(written.sbml)
        return
    try:
        output.write_text(written.sbml, encoding="utf-8", newline="\n")
    except OSError as problem:
        cause = problem.strerror or str(problem)
        raise InputError(f"cannot write: {cause}", Place(shown_path(output))) from None
    message(f"{NOTICE}\n{who} written to {shown_path(output)}")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    text = (
        "Simulate any SBML or Antimony model once."
        "\n\nExample:  immunostat simulate model.xml --until 100 --samples 101 --set k1=0.3"
        f"\n\nExample:  immunostat simulate model.ant --until 24 -o course.csv\n\n{NOTICE}"
    )
    app.command("simulate", help=text)(simulate)
    text = (
        "Write the joined model of a study for other programs."
        f"\n\nExample:  immunostat export studies/ra-biologics.yaml --sbml -o model.xml\n\n{NOTICE}"
    )
    app.command("export", help=text)(export)

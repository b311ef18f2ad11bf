"""Command validate SITUATION: published trial arms of a situation beside the simulated ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import shown_path
from immunostat.cli.options import (
    CsvOption,
    JsonOption,
    QuietOption,
    SamplingOption,
    SeedOption,
    ThreadsOption,
    check_folder_or_csv,
)
from immunostat.cli.printing import (
    NOTICE,
    Exit,
    Format,
    format_of,
    guarded,
    heading,
    message,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from immunostat.study.validation import Validation

#: Name of the command; ``validate NAME`` with another name means ``validate situation NAME``.
COMMAND = "situation"


@guarded
def validate_situation(
    context: typer.Context,
    situation: Annotated[str, typer.Argument(help="Name of a situation.")],
    trial: Annotated[
        list[str] | None, typer.Option(help="A published trial; repeat for more; else all.")
    ] = None,
    patients: Annotated[
        int, typer.Option(min=10, max=100_000, help="Virtual patients in each arm.")
    ] = 1000,
    seed: SeedOption = 1,
    sampling: SamplingOption = "random",
    threads: ThreadsOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for tables and figures, or a .csv file."),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.catalog.lookup import Catalog
    from immunostat.cli.progress import progress_bar
    from immunostat.study.validation import as_data, validate

    check_folder_or_csv(output)
    how = format_of(as_json, as_csv)
    with progress_bar(quiet) as progress:
        found = validate(
            Catalog.packaged(context.obj),
            situation,
            patients,
            seed,
            trial or (),
            threads,
            progress,
            sampling,
        )
    if how is Format.JSON:
        print_json(as_data(found))
    elif how is Format.CSV:
        print_table(tuple(found.table.columns), _rows(found.table), how)
    else:
        _print(found)
    if output is not None:
        _write(found, output)
    message(NOTICE)
    if found.n_failed:
        message(f"{found.n_failed} courses could not be computed and are left out")
        raise typer.Exit(Exit.SOME_PATIENTS_FAILED)


def _rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in table.itertuples(index=False)]


def _print(found: Validation) -> None:
    """Tables for people: every result, what is not simulated, and the errors."""
    columns = ("trial", "arm", "week", "endpoint", "n", "published", "predicted", "off by", "role")
    for who, rows in found.table.groupby("patients", sort=False):
        ordered = rows.sort_values(["target", "drug"], kind="stable")
        print_table(columns, [_line(row) for row in _records(ordered)], Format.TEXT, str(who))
        heading("")
    if len(found.skipped):
        print_table(
            ("trial", "arm", "result", "reason"),
            _rows(found.skipped[["trial", "arm", "endpoint", "reason"]]),
            Format.TEXT,
            "Not simulated",
        )
        heading("")
    _print_without_goal(found)
    _print_errors(found)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _line(row: dict[str, Any]) -> tuple[object, ...]:
    digits = 0 if row["unit"] == "%" else 2
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    measure = "" if row["measure"] == "value" else f", {row['measure']}"
    return (
        row["trial"],
        row["arm"] + (f" against {row['versus']}" if row["versus"] else ""),
        f"{row['week']:.4g}",
        row["endpoint"] + measure,
        "" if math.isnan(row["n"]) else f"{row['n']:.0f}",
        _between(row, "observed", digits, unit) + ("" if row["checked"] else ", from memory"),
        _between(row, "predicted", digits, unit),
        f"{row['difference']:+.{digits}f}",
        row["role"],
    )


def _between(row: dict[str, Any], side: str, digits: int, unit: str) -> str:
    value, low, high = (row[side], row[f"{side}_low"], row[f"{side}_high"])
    text = f"{value:.{digits}f}{unit}"
    return text if math.isnan(low) else f"{text} ({low:.{digits}f} to {high:.{digits}f})"


def _print_errors(found: Validation) -> None:
    """How far held-back predictions are off, beside the goals."""
    from immunostat.study.goals import conclusion, errors

    table = errors(found.table, found.goals)
    heading(
        f"Published intervals are those of the trials' patients; predicted ones those of "
        f"{found.n_patients} virtual patients, the chance of drawing them alone. Rates and shares "
        "of events are expected ones: no event is drawn."
    )
    for goal in found.goals:
        own = table[table["goal"] == goal.name]
        heading("")
        lines = [
            (row["by"], row["group"], row["values"], *_errors(row, goal.digits))
            for row in _records(own[own["values"] > 0])
        ]
        if not lines:
            heading(conclusion(goal, own))
            continue
        names = ("by", "group", "values", "mean absolute error", "by chance", "mean error")
        title = f"{goal.name}: held-back arms, predicted minus published ({goal.unit})"
        print_table((*names, "largest", "inside"), lines, Format.TEXT, title)
        heading(conclusion(goal, own))


def _print_without_goal(found: Validation) -> None:
    """How far held-back predictions are off where no goal is set."""
    from immunostat.study.no_goal import errors_without_goal

    lines = []
    for row in _records(errors_without_goal(found.table)):
        digits = 0 if row["unit"] == "%" else 2
        measure = "" if row["measure"] == "value" else f", {row['measure']}"
        numbers = [f"{row[key]:.{digits}f}" for key in ("mean_observed", "mean_absolute_error")]
        signed = [f"{row[key]:+.{digits}f}" for key in ("mean_error", "worst")]
        what = (row["endpoint"] + measure, row["unit"], row["values"])
        lines.append((*what, *numbers, *signed))
    if lines:
        names = ("endpoint", "unit", "values", "mean published", "mean absolute error")
        title = "Held-back values without a goal"
        print_table((*names, "mean error", "largest"), lines, Format.TEXT, title)
        heading("")


def _errors(row: dict[str, Any], digits: int) -> tuple[str, ...]:
    mae, chance, mean, worst = (
        row[key] for key in ("mean_absolute_error", "by_chance", "mean_error", "worst")
    )
    inside = "" if math.isnan(row["inside"]) else f"{100 * row['inside']:.0f} %"
    shown = "" if math.isnan(chance) else f"{chance:.{digits}f}"
    return (
        f"{mae:.{digits}f}",
        shown,
        f"{mean:+.{digits}f}",
        f"{worst:+.{digits}f}",
        inside,
    )


def _write(found: Validation, output: Path) -> None:
    """Tables, figures and all numbers in a folder, or the table of results in a file."""
    from immunostat.report import style
    from immunostat.report.validation_figures import agreement, forest, subjects
    from immunostat.study.goals import errors
    from immunostat.study.validation import as_data

    if output.suffix:
        output.parent.mkdir(parents=True, exist_ok=True)
        found.table.to_csv(output, index=False, lineterminator="\n")
    else:
        output.mkdir(parents=True, exist_ok=True)
        tables = {
            "results": found.table,
            "not-simulated": found.skipped,
            "errors": errors(found.table, found.goals),
        }
        for name, table in tables.items():
            table.to_csv(output / f"{name}.csv", index=False, lineterminator="\n")
        text = json.dumps(as_data(found), indent=2, ensure_ascii=False, default=str)
        (output / "validation.json").write_text(text + "\n", encoding="utf-8", newline="\n")
        if len(found.table):
            for subject in subjects(found):
                name = f"-{subject.name}" if subject.name else ""
                style.save(agreement(found, subject), output / f"agreement{name}.svg")
                style.save(forest(found, subject), output / f"forest{name}.svg")
    message(f"written to {shown_path(output)}")


def add_to(group: typer.Typer) -> None:
    """Add the command to the group ``validate``."""
    text = (
        "Published trial arms of a situation, each beside what is predicted for it; at the end how "
        "far the held-back arms are off. The word 'situation' can be left out."
        "\n\nExample:  immunostat validate rheumatoid-arthritis -o validation"
        f"\n\nExample:  immunostat validate rheumatoid-arthritis --csv > arms.csv\n\n{NOTICE}"
    )
    group.command(COMMAND, help=text)(validate_situation)

"""Command validate harm: published side effects beside the simulated ones."""

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
    from immunostat.study.harm_validation import HarmValidation


@guarded
def validate_harms(
    context: typer.Context,
    situation: Annotated[
        list[str] | None, typer.Option(help="A situation; repeat for more; else all.")
    ] = None,
    patients: Annotated[
        int, typer.Option(min=10, max=100_000, help="Virtual patients in each arm.")
    ] = 500,
    seed: SeedOption = 1,
    threads: ThreadsOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for tables and the figure, or a .csv file."),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.catalog.lookup import Catalog
    from immunostat.cli.progress import progress_bar
    from immunostat.study.harm_pairs import records
    from immunostat.study.harm_validation import as_data, validate_harm

    check_folder_or_csv(output)
    how = format_of(as_json, as_csv)
    catalog = Catalog.packaged(context.obj)
    with progress_bar(quiet) as progress:
        found = validate_harm(catalog, patients, seed, situation or (), threads, progress)
    if how is Format.JSON:
        print_json(as_data(found))
    elif how is Format.CSV:
        rows = [tuple(row.values()) for row in records(found.table)]
        print_table(tuple(found.table.columns), rows, how)
    else:
        _print(found)
    if output is not None:
        _write(found, output)
    message(NOTICE)
    if found.n_failed:
        message(f"{found.n_failed} courses could not be computed and are left out")
        raise typer.Exit(Exit.SOME_PATIENTS_FAILED)


def _print(found: HarmValidation) -> None:
    """Tables for people: every number, each pair that is judged, what is left out, the goal."""
    from immunostat.study.harm_pairs import FACTOR, conclusion, pairs, records

    columns = ("side effect", "drug", "in", "n", "published", "predicted", "ratio", "role")
    for name, own in found.table.groupby("situation", sort=True):
        print_table(columns, [_line(row) for row in records(own)], Format.TEXT, str(name))
        heading("")
    judged = pairs(found.table)
    judged = judged[judged["judged"].astype(bool)]
    if len(judged):
        lines = [
            (
                row["side_effect"],
                row["drug"],
                row["numbers"],
                f"{row['ratio']:.2f}",
                "yes" if row["is_right"] else "no",
            )
            for row in records(judged)
        ]
        title = "Held-back pairs that count towards the goal"
        names = ("side effect", "drug", "numbers", "ratio", f"within {FACTOR:g}")
        print_table(names, lines, Format.TEXT, title)
        heading("")
    if len(found.skipped):
        counts = found.skipped.groupby(["situation", "reason"]).size().reset_index(name="n")
        rows = [tuple(row.values()) for row in records(counts)]
        print_table(("situation", "reason", "numbers"), rows, Format.TEXT, "Not simulated")
        heading("")
    heading(
        "Rates are per 100 patient-years; predicted intervals hold nine of ten patients' own "
        "risks (a share of a grade: 95 % interval of the virtual patients)."
    )
    heading(conclusion(found.table))


def _line(row: dict[str, Any]) -> tuple[object, ...]:
    unit = " %" if row["unit"] == "%" else ""
    grade = "" if row["grade"] is None else f" grade {row['grade']:.0f}+"
    return (
        f"{row['side_effect']}{grade}",
        row["arm"],
        f"{row['weeks']} weeks" if unit else "rate",
        "" if row["n"] is None else f"{row['n']:.0f}",
        _between(row, "observed", unit) + ("" if row["checked"] else ", from memory"),
        _between(row, "predicted", unit),
        "" if row["ratio"] is None else f"{row['ratio']:.2f}",
        row["role"],
    )


def _between(row: dict[str, Any], side: str, unit: str) -> str:
    value, low, high = (row[side], row[f"{side}_low"], row[f"{side}_high"])
    text = f"{value:.3g}{unit}"
    if low is None or math.isnan(low):
        return text
    return f"{text} ({low:.2g} to {high:.2g})"


def _write(found: HarmValidation, output: Path) -> None:
    """Tables, the figure and all numbers in a folder, or the table in a file."""
    from immunostat.report import style
    from immunostat.report.harm_validation_figure import harm_forest
    from immunostat.study.harm_pairs import pairs
    from immunostat.study.harm_validation import as_data

    if output.suffix:
        output.parent.mkdir(parents=True, exist_ok=True)
        found.table.to_csv(output, index=False, lineterminator="\n")
    else:
        output.mkdir(parents=True, exist_ok=True)
        tables = {
            "results": found.table,
            "pairs": pairs(found.table),
            "not-simulated": found.skipped,
        }
        for name, table in tables.items():
            table.to_csv(output / f"{name}.csv", index=False, lineterminator="\n")
        text = json.dumps(as_data(found), indent=2, ensure_ascii=False, default=str)
        (output / "harm.json").write_text(text + "\n", encoding="utf-8", newline="\n")
        if len(found.table):
            style.save(harm_forest(found), output / "forest.svg")
    message(f"written to {shown_path(output)}")


def add_to(group: typer.Typer) -> None:
    """Add the command to the group ``validate``."""
    text = (
        "Published rates and shares of side effects, drug by drug, each beside what is predicted "
        "for it; at the end how many held-back pairs of drug and side effect are within a factor "
        "of 1.5. What the model cannot simulate yet is listed with the reason."
        "\n\nExample:  immunostat validate harm --situation rheumatoid-arthritis -o harm"
        f"\n\nExample:  immunostat validate harm --csv > harm.csv\n\n{NOTICE}"
    )
    group.command("harm", help=text)(validate_harms)

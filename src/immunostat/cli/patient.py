"""The command that shows one virtual patient of a result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import Place, UnknownNameError, shown_path
from immunostat.cli.options import CsvOption, JsonOption, check_folder
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

if TYPE_CHECKING:
    import pandas as pd

    from immunostat.study.result import Patient, Result


@guarded
def patient(
    result: Annotated[Path, typer.Argument(help="A result folder.")],
    number: Annotated[int, typer.Argument(min=0, help="Number of the patient.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for figures and tables.")
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.study import one_patient
    from immunostat.study.result import open_result

    check_folder(output)
    opened = open_result(result)
    shown = _found(opened, number, result)
    standing = one_patient.standing(one_patient.people(opened), number)
    own = one_patient.model_parameters(opened)
    parameters = None if own is None else one_patient.standing(own, number)
    outcomes = one_patient.outcomes(opened, number)
    how = format_of(as_json, as_csv)
    if how is Format.JSON:
        print_json(
            {
                "patient": number,
                "covariates": _records(standing),
                "parameters": [] if parameters is None else _records(parameters),
                "endpoints": _records(outcomes),
                "events": _records(shown.events),
                "status": shown.arms["status"].to_dict(),
            }
        )
    elif how is Format.CSV:
        rows = [tuple(row) for row in outcomes.itertuples(index=False)]
        print_table(tuple(outcomes.columns), rows, how)
    else:
        _print(opened, shown, standing, parameters, outcomes)
    if output is not None:
        _write(opened, shown, standing, parameters, outcomes, output)
    message(NOTICE if output is None else f"{NOTICE}\nwritten to {shown_path(output)}")


def _found(opened: Result, number: int, folder: Path) -> Patient:
    """The patient of a number; the numbers are those of candidates, of whom some do not enter."""
    numbers = sorted({int(n) for n in opened.patients["patient"]})
    if number in numbers:
        return opened.patient(number)
    near = sorted(sorted(numbers, key=lambda n: (abs(n - number), n))[:6])
    shown = ", ".join(map(str, near)) or "nobody"
    raise UnknownNameError(
        f"patient {number} is not in this result",
        Place(shown_path(folder)),
        f"numbers are of candidates, of whom some do not enter; near ones who did: {shown}",
    )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _print(
    opened: Result,
    shown: Patient,
    standing: pd.DataFrame,
    parameters: pd.DataFrame | None,
    outcomes: pd.DataFrame,
) -> None:
    count = opened.patients["patient"].nunique()
    heading(f"Virtual patient {shown.number}, one of {count} of '{opened.study.get('title', '')}'")
    heading("")
    for name, table in (("At entry", standing), ("Numbers of the model", parameters)):
        if table is None or table.empty:
            continue
        rows = [_standing_row(row) for row in _records(table)]
        columns = ("", "value", "percentile", "middle half of all", "unit")
        print_table(columns, rows, Format.TEXT, name)
        heading("")
    rows = [
        (
            row["endpoint"],
            *(_said(row[arm], bool(row["is_share"])) for arm in opened.arms),
        )
        for row in _records(outcomes)
    ]
    print_table(("at the end", *opened.arms), rows, Format.TEXT, "Under every arm")
    heading("")
    events = [
        (e["arm"], f"{float(e['time_day']) / 7:.1f}", e["event"], _said(e["grade"], False))
        for e in _records(shown.events)
    ]
    if events:
        print_table(("arm", "week", "event", "grade"), events, Format.TEXT, "What happened")
    else:
        heading("No side effect happened under any arm.")
    failed = shown.arms[shown.arms["status"] != "ok"]["status"]
    for arm, status in failed.items():
        message(f"under {arm} this patient could not be computed to the end: {status}")


def _standing_row(row: dict[str, Any]) -> tuple[object, ...]:
    if row["is_flag"]:
        said = f"{100 * row['share']:.0f} % yes"
        return row["name"], "yes" if row["value"] else "no", "", said, ""
    place = "" if row["percentile"] is None else f"{100 * row['percentile']:.0f}"
    middle = f"{row['q25']:.3g} to {row['q75']:.3g}"
    return row["name"], _said(row["value"], False), place, middle, row["unit"]


def _said(value: Any, is_share: bool) -> str:
    if value is None:
        return ""
    return ("yes" if value else "no") if is_share else f"{value:.4g}"


def _write(
    opened: Result,
    shown: Patient,
    standing: pd.DataFrame,
    parameters: pd.DataFrame | None,
    outcomes: pd.DataFrame,
    output: Path,
) -> None:
    from immunostat.report import patient_figures, style

    output.mkdir(parents=True, exist_ok=True)
    tables = {"covariates": standing, "endpoints": outcomes, "visits": shown.visits}
    tables |= {"events": shown.events}
    figures = {
        "who": patient_figures.strips(standing, shown.number),
        "courses": patient_figures.courses(opened, shown),
        "visits": patient_figures.visits(opened, shown),
    }
    if parameters is not None and len(parameters):
        tables["parameters"] = parameters
        figures["parameters"] = patient_figures.strips(
            parameters, shown.number, title="Numbers of the model"
        )
    for name, table in tables.items():
        text = table.to_csv(index=False, lineterminator="\n")
        (output / f"{name}.csv").write_text(text, encoding="utf-8", newline="\n")
    for name, figure in figures.items():
        style.save(figure, output / f"{name}.svg")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    text = (
        "One virtual patient of a result: where each number lies among all patients, and the "
        "course under every arm.\n\n"
        f"Example:  immunostat patient results/first 17 -o results/patient-17\n\n{NOTICE}"
    )
    app.command("patient", help=text, rich_help_panel="Studies")(patient)

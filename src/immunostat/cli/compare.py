"""The command that puts results side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import InputError, Place, shown_path
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

    from immunostat.study.compare import Compared


@guarded
def compare(
    results: Annotated[
        list[Path], typer.Argument(help="Result folders; the first is what others are compared to.")
    ],
    endpoint: Annotated[
        list[str] | None,
        typer.Option("--endpoint", help="Endpoint to show; all if not given. May be repeated."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for tables and a figure.")
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.study.compare import compare_results
    from immunostat.study.result import open_result

    if len(results) < 2:
        raise InputError(
            "a comparison needs two results", remedy="immunostat compare RESULT1 RESULT2"
        )
    check_folder(output)
    names = _names(results)
    opened = [open_result(folder) for folder in results]
    found = {}
    for name, folder, other in zip(names[1:], results[1:], opened[1:], strict=True):
        try:
            found[name] = compare_results(opened[0], other)
        except InputError as error:
            raise InputError(
                error.message, error.place or Place(shown_path(folder)), error.remedy
            ) from None
    endpoints = _with_name(found, "endpoints")
    if endpoint:
        endpoints = _only(endpoints, endpoint)
    how = format_of(as_json, as_csv)
    if how is Format.JSON:
        print_json(
            {part: _records(_with_name(found, part)) for part in _PARTS}
            | {
                "endpoints": _records(endpoints),
                "left_out": {name: list(one.left_out) for name, one in found.items()},
            }
        )
    elif how is Format.CSV:
        rows = [tuple(row) for row in endpoints.itertuples(index=False)]
        print_table(tuple(endpoints.columns), rows, how)
    else:
        _print(names[0], found, endpoints)
    if output is not None:
        _write(names[0], found, endpoints, output)
    message(NOTICE if output is None else f"{NOTICE}\nwritten to {shown_path(output)}")


_PARTS = ("study", "endpoints", "side_effects", "profile")


def _names(folders: list[Path]) -> list[str]:
    """A short name for each folder; the whole path where short names are equal."""
    short = [folder.resolve().name for folder in folders]
    if len(set(short)) == len(short):
        return short
    return [f"{number}: {shown_path(f)}" for number, f in enumerate(folders, start=1)]


def _with_name(found: dict[str, Compared], part: str) -> pd.DataFrame:
    """One table of all comparisons, with the name of the result in front."""
    import pandas as pd

    parts = []
    for name, one in found.items():
        table: pd.DataFrame = getattr(one, part).copy()
        table.insert(0, "result", name)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _only(table: pd.DataFrame, endpoints: list[str]) -> pd.DataFrame:
    from immunostat.base.errors import UnknownNameError, near_matches

    known = {str(name).lower(): str(name) for name in table["endpoint"]}
    for name in endpoints:
        if name.lower() not in known:
            raise UnknownNameError(
                f"'{name}' is no endpoint that the results have in common",
                Place(f"--endpoint {name}"),
                near_matches(name, known.values()),
            )
    return table[table["endpoint"].isin([known[name.lower()] for name in endpoints])]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain data, None where a number is missing."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _last(table: pd.DataFrame) -> pd.DataFrame:
    """Rows at the last time of each result."""
    return table[table["time_day"] == table.groupby("result")["time_day"].transform("max")]


def _print(first: str, found: dict[str, Compared], endpoints: pd.DataFrame) -> None:
    for name, one in found.items():
        rows = [(r["key"], _cut(r["first"]), _cut(r["other"])) for r in _records(one.study)]
        if rows:
            print_table(("differs", first, name), rows, Format.TEXT, f"{name} against {first}")
        else:
            heading(f"{name} against {first}: the same study, version and catalog")
        heading("")
    shown = [
        (
            r["result"],
            r["endpoint"],
            r["arm"],
            r["statistic"],
            f"{r['first']:.4g}",
            f"{r['other']:.4g}",
            f"{r['difference']:+.4g}",
            f"{r['low']:.3g} to {r['high']:.3g}",
            "yes" if r["is_beyond"] else "no",
            f"{r['how']}, {r['n']}",
        )
        for r in _records(_last(endpoints))
        if not str(r["endpoint"]).endswith(" concentration")
    ]
    columns = ["result", "endpoint", "arm", "statistic", first, "other", "difference"]
    columns += ["95 % interval", "beyond chance", "how, n"]
    print_table(columns, shown, Format.TEXT, "Endpoints at the last time: other minus first")
    heading("")
    effects = [
        (
            r["result"],
            r["side_effect"],
            r["measure"],
            r["arm"],
            f"{r['first']:.4g}",
            f"{r['other']:.4g}",
            f"{r['difference']:+.4g}",
            f"{r['low']:.3g} to {r['high']:.3g}",
            "" if r["expected"] is None else f"{r['expected']:+.3g}",
            "yes" if r["is_beyond"] else "no",
            f"{r['how']}, {r['n']}",
        )
        for r in _records(_with_name(found, "side_effects"))
        if r["measure"] in ("incidence rate", "any grade", "grade 3-4")
    ]
    if effects:
        columns = ["result", "side effect", "measure", "arm", first, "other", "difference"]
        columns += ["95 % interval", "expected", "beyond chance", "how, n"]
        print_table(columns, effects, Format.TEXT, "Side effects")
        heading("")
    changed = [
        (
            r["result"],
            r["function"],
            r["arm"],
            *(f"{r[key]:.3g}" for key in ("first", "other", "fold")),
        )
        for r in _records(_with_name(found, "profile"))
        if abs(float(str(r["fold"])) - 1) > 0.005
    ]
    if changed:
        columns = ["result", "function", "arm", first, "other", "fold"]
        print_table(columns, changed, Format.TEXT, "Immune activity that differs by over 0.5 %")
        heading("")
    for name, one in found.items():
        for text in one.left_out:
            message(f"{name}: not compared: {text}")
        if one.n_pairs:
            message(f"{name}: {one.n_pairs} patients are the same people in both results")
        else:
            message(f"{name}: other patients than in {first}; differences hold the chance of both")


def _cut(value: object, most: int = 60) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _write(first: str, found: dict[str, Compared], endpoints: pd.DataFrame, output: Path) -> None:
    from immunostat.report import style
    from immunostat.report.comparison_figures import compared

    output.mkdir(parents=True, exist_ok=True)
    for part in _PARTS:
        table = endpoints if part == "endpoints" else _with_name(found, part)
        text = table.to_csv(index=False, lineterminator="\n")
        path = output / f"{part}.csv"
        path.write_text(text, encoding="utf-8", newline="\n")
    figure = compared(_last(endpoints), first)
    style.save(figure, output / "comparison.svg")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    text = (
        "Results side by side: what differs in the study, and whether the answers differ by more "
        "than chance.\n\nExample:  immunostat compare results/first results/second -o "
        f"results/compared\n\n{NOTICE}"
    )
    app.command("compare", help=text, rich_help_panel="Studies")(compare)

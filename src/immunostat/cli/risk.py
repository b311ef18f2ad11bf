"""Command risk: what a treatment may cost one described patient."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import InputError, shown_path
from immunostat.cli.options import (
    CsvOption,
    JsonOption,
    QuietOption,
    SeedOption,
    ThreadsOption,
    check_folder,
)
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

    from immunostat.study.risk import Risk


@guarded
def risk(
    context: typer.Context,
    drug: Annotated[
        list[str],
        typer.Option(
            help="A drug, at its labelled doses, or its regimen in plain words; repeat for more."
        ),
    ],
    disease: Annotated[str, typer.Option(help="Name of a situation.")] = "rheumatoid-arthritis",
    population: Annotated[
        str, typer.Option(help="Name of a population; the first of the situation if left out.")
    ] = "",
    age: Annotated[float | None, typer.Option(min=18, max=100, help="Age, year.")] = None,
    sex: Annotated[str, typer.Option(help="'female' or 'male'.")] = "",
    weight: Annotated[float | None, typer.Option(min=30, max=250, help="Body weight, kg.")] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option(
            help="What the patient has had, such as 'biologic' or 'serious infection'; repeat for "
            "more. The same as --set prior_NAME=yes."
        ),
    ] = None,
    known: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Anything else that is known, as NAME=VALUE, such as diabetes=yes."
        ),
    ] = None,
    weeks: Annotated[float, typer.Option(min=4, max=520, help="How far ahead.")] = 52.0,
    patients: Annotated[
        int, typer.Option(min=10, max=100_000, help="Number of virtual twins.")
    ] = 1000,
    seed: SeedOption = 1,
    threads: ThreadsOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for tables and the figure.")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.catalog.lookup import Catalog
    from immunostat.cli.progress import progress_bar
    from immunostat.study.risk import risk_of

    check_folder(output)
    before = ["prior_" + re.sub(r"[\s-]+", "_", own.strip().lower()) for own in prior or []]
    described = dict.fromkeys(before, 1.0) | _described(age, sex, weight, known or [])
    catalog = Catalog.packaged(context.obj)
    regimens = [words if " " in words.strip() else f"{words} label" for words in drug]
    how = format_of(as_json, as_csv)
    with progress_bar(quiet) as progress:
        found = risk_of(
            catalog,
            disease,
            regimens,
            described,
            population,
            weeks,
            patients,
            seed,
            threads,
            progress,
        )
    if how is Format.JSON:
        print_json(_as_data(found))
    elif how is Format.CSV:
        print_table(tuple(found.table.columns), _rows(found.table), how)
    else:
        _print(found, regimens)
    if output is not None:
        _write(found, output)
    message(NOTICE)


def _described(
    age: float | None, sex: str, weight: float | None, known: list[str]
) -> dict[str, float]:
    """What was said of the patient, by covariate."""
    found: dict[str, float] = {}
    if age is not None:
        found["age"] = age
    if sex:
        sexes = {"female": 1.0, "woman": 1.0, "male": 0.0, "man": 0.0}
        if sex.lower() not in sexes:
            raise InputError(f"sex '{sex}' is not known", remedy="write 'female' or 'male'")
        found["female"] = sexes[sex.lower()]
    if weight is not None:
        found["weight"] = weight
    words = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
    for text in known:
        name, separator, value = text.partition("=")
        try:
            own = words.get(value.strip().lower())
            found[name.strip()] = float(value) if own is None else own
        except ValueError:
            separator = ""
        if not separator:
            raise InputError(
                f"'{text}' is not understood", remedy="write NAME=VALUE, such as diabetes=yes"
            )
    return found


def _rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in table.itertuples(index=False)]


def _print(found: Risk, regimens: list[str]) -> None:
    """Risks with and without the treatment, what matters most, warnings, what is not known."""
    from immunostat.study.risk import WITH, WITHOUT

    said = ", ".join(f"{name} {value:g}" for name, value in found.described.items()) or "nothing"
    heading(f"{' and '.join(regimens)}; said of the patient: {said}")
    heading("")
    wide = found.table.pivot(index="title", columns="arm")
    order = wide["risk"][WITH].sort_values(ascending=False).index
    lines = []
    for title in order:
        row = wide.loc[title]
        if row["risk", WITH] <= 0:
            continue
        low, high = row["low", WITH], row["high", WITH]
        lines.append(
            (
                title,
                f"{row['risk', WITHOUT]:.2g} %",
                f"{row['risk', WITH]:.2g} %",
                f"{low:.2g} to {high:.2g}",
                f"{row['population', WITH]:.2g} %",
                _needed(row["risk", WITH] - row["risk", WITHOUT]),
                f"{row['mechanism', WITH]:.0f} / {row['own', WITH]:.0f} %",
            )
        )
    columns = (
        *("side effect", "without", "with", "nine of ten twins", "population"),
        *("patients for one more", "mechanism / drug itself"),
    )
    title = f"Risk in {found.weeks:g} weeks, mean of {found.n_twins} virtual twins"
    print_table(columns, lines, Format.TEXT, title)
    heading("")
    drivers = [
        (
            row.side_effect,
            row.driver,
            row.what_if,
            f"{row.risk:.2g} %",
            f"{row.without:.2g} %",
        )
        for row in found.drivers.itertuples(index=False)
    ]
    names = ("side effect", "driver", "what if", "risk", "would be")
    print_table(names, drivers, Format.TEXT, "What matters most for this patient")
    for drug, name, text in found.warnings:
        heading("")
        heading(f"{drug}, {name}: {text}")
    if found.unknown:
        heading("")
        heading("Not known of the patient or the model: " + _unknown(found))


def _needed(difference: float) -> str:
    """Patients to treat for one more event (or one less), from a difference in percent."""
    if abs(difference) < 0.005:
        return "no difference"
    number = 100.0 / abs(difference)
    return f"{number:,.0f}" + (" (less)" if difference < 0 else "")


def _unknown(found: Risk) -> str:
    return "; ".join(f"{name}: {', '.join(what)}" for name, what in found.unknown.items())


def _as_data(found: Risk) -> dict[str, Any]:
    return {
        "described": dict(found.described),
        "weeks": found.weeks,
        "twins": found.n_twins,
        "risks": found.table.to_dict("records"),
        "drivers": found.drivers.to_dict("records"),
        "warnings": [list(row) for row in found.warnings],
        "not_known": {name: list(what) for name, what in found.unknown.items()},
    }


def _write(found: Risk, output: Path) -> None:
    """Tables, numbers and the figure."""
    from immunostat.report import style
    from immunostat.report.risk_figure import risk_figure

    output.mkdir(parents=True, exist_ok=True)
    found.table.to_csv(output / "risks.csv", index=False, lineterminator="\n")
    found.drivers.to_csv(output / "drivers.csv", index=False, lineterminator="\n")
    text = json.dumps(_as_data(found), indent=2, ensure_ascii=False)
    (output / "risk.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    if (found.table["risk"] > 0).any():
        style.save(risk_figure(found), output / "risks.svg")
    message(f"written to {shown_path(output)}")


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    text = (
        "Risks of side effects for one described patient: virtual twins who share what is known of "
        "him, with and without the treatment, beside the population; and the drivers that matter "
        "most for him, by what would be without them."
        "\n\nExample:  immunostat risk --drug tocilizumab --age 72 --sex female --weight 60 "
        "--prior biologic --set diabetes=yes"
        '\n\nExample:  immunostat risk --drug "tofacitinib 5 mg oral every 12 hours" --age 45 '
        f"-o risk\n\n{NOTICE}"
    )
    app.command("risk", help=text, rich_help_panel="Studies")(risk)

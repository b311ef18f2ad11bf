"""Commands on the exposure to one drug: pk, and validate pk; the group of validate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.cli import harm_validation, validation
from immunostat.cli.options import CsvOption, JsonOption, SeedOption
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

    from immunostat.catalog.lookup import Catalog
    from immunostat.study.exposure import Exposure
    from immunostat.therapy.drug import Drug
    from immunostat.therapy.regimen import Regimen

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder, or file ending in .svg, .png or .csv."),
]


class _SituationOrCommand(TyperGroup):
    """What is no command is the name of a situation: ``validate rheumatoid-arthritis``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        is_name = bool(args) and not args[0].startswith("-")
        if is_name and self.get_command(ctx, args[0]) is None:
            args = [validation.COMMAND, *args]
        return super().resolve_command(ctx, args)


validate = typer.Typer(
    cls=_SituationOrCommand,
    help=(
        "Predicted against published.\n\nExample:  immunostat validate rheumatoid-arthritis\n\n"
        f"Example:  immunostat validate pk tocilizumab\n\n{NOTICE}"
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _catalog(context: typer.Context) -> Catalog:
    from immunostat.catalog.lookup import Catalog

    return Catalog.packaged(context.obj)


def _regimen(drug: Drug, dose: str | None) -> Regimen:
    """The regimen that a person wrote, or the first labelled one."""
    from immunostat.therapy.grammar import parse_regimen

    if dose is None:
        if not drug.regimens:
            raise InputError(
                f"the catalog has no labelled regimen of {drug.name}",
                remedy=f'say one: immunostat pk {drug.name} --dose "40 mg oral daily"',
            )
        situation, label = next(iter(drug.regimens.items()))
        message(f"the labelled regimen for {situation}: {label.label}")
        return parse_regimen(f"{drug.name} label", lambda _: drug, situation)
    only = next(iter(drug.routes)) if len(drug.routes) == 1 else None
    words = dose.strip()
    if words.lower().startswith(drug.name):
        words = words[len(drug.name) :]
    place = Place(f'--dose "{dose}"')
    return parse_regimen(f"{drug.name} {words}", lambda _: drug, "", place, only)


@guarded
def pk(
    context: typer.Context,
    drug: Annotated[str, typer.Argument(help="Name of a drug.")],
    dose: Annotated[
        str | None, typer.Option(help="A regimen in plain words; the label's if left out.")
    ] = None,
    weeks: Annotated[
        float | None, typer.Option(help="Length of treatment; until steady state if left out.")
    ] = None,
    patients: Annotated[int, typer.Option(min=1, max=100_000, help="Number of people.")] = 1000,
    seed: SeedOption = 1,
    population: Annotated[str, typer.Option(help="Whose body sizes they have.")] = "adults",
    output: OutputOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.study.exposure import expose
    from immunostat.study.exposure_tables import metric_table

    if weeks is not None and not 0 < weeks <= 520:
        raise InputError("weeks lie between 0 and 520", Place(f"--weeks {weeks:g}"))
    catalog, how = _catalog(context), format_of(as_json, as_csv)
    found = catalog.drug(drug)
    regimen = _regimen(found, dose)
    exposure = expose(
        catalog, regimen, weeks=weeks, n_patients=patients, seed=seed, population=population
    )
    table = metric_table(exposure)
    if how is Format.TEXT:
        _explain(exposure, population)
    columns = ("metric", "interval", "median", "5 %", "95 %", "unit")
    print_table(columns, [_rounded(row) for row in table.itertuples(index=False)], how)
    if output is not None:
        _write(exposure, table, output)
    message(NOTICE)


def _rounded(row: Any) -> tuple[object, ...]:
    numbers = (float(f"{value:.4g}") for value in (row.median, row.low, row.high))
    return (row.metric, row.interval, *numbers, row.unit)


def _explain(exposure: Exposure, population: str) -> None:
    """What was simulated, above the table."""
    drug, course = exposure.drug, exposure.course
    heading(f"{drug.title}: {exposure.regimen}")
    heading(f"{len(exposure.concentration)} people of '{population}', kinetics alone")
    if not course.is_single:
        heading(f"{len(course.doses)} doses; read after the first and on day {course.last:g}")
    if exposure.at_reference:
        heading(f"at the reference of the model: {', '.join(exposure.at_reference)}")
    if exposure.n_failed:
        heading(f"{exposure.n_failed} people could not be computed and are left out")
    heading("")


def _write(exposure: Exposure, table: pd.DataFrame, output: Path) -> None:
    """Figure and tables, by the ending of the path."""
    from immunostat.report import style
    from immunostat.report.exposure_figures import concentration
    from immunostat.study.exposure_tables import band

    def figure() -> style.Figure:
        return concentration(exposure, f"{exposure.drug.title} in blood", exposure.regimen.text)

    match output.suffix.lower():
        case ".csv":
            _folder_of(output)
            table.to_csv(output, index=False)
        case ".svg" | ".png":
            _folder_of(output)
            style.save(figure(), output)
        case "":
            output.mkdir(parents=True, exist_ok=True)
            table.to_csv(output / "exposure.csv", index=False)
            band(exposure).to_csv(output / "concentration.csv", index=False)
            style.save(figure(), output / "concentration.svg")
        case ending:
            raise InputError(
                f"the ending '{ending}' is not known",
                Place(shown_path(output)),
                "name a folder, or a file ending in .svg, .png or .csv",
            )
    message(f"written to {shown_path(output)}")


def _folder_of(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)


@guarded
def validate_pk(
    context: typer.Context,
    drugs: Annotated[list[str] | None, typer.Argument(help="Drugs; all if left out.")] = None,
    patients: Annotated[int, typer.Option(min=10, help="People for each regimen.")] = 500,
    seed: SeedOption = 1,
    output: OutputOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.study.exposure_checks import by_drug, compared, summary

    catalog, how = _catalog(context), format_of(as_json, as_csv)
    names = [catalog.drug_card(name).name for name in drugs or catalog.drugs()]
    table = compared(catalog, names, patients, seed)
    per_drug = by_drug(table)
    if how is Format.JSON:
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        print_json({"summary": summary(per_drug), "checks": rows})
    elif how is Format.CSV:
        print_table(tuple(table.columns), _rows(table), how)
    else:
        _print_checks(table, per_drug)
    if output is not None:
        _write_validation(table, per_drug, output)


def _rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in table.itertuples(index=False)]


def _print_checks(table: pd.DataFrame, per_drug: pd.DataFrame) -> None:
    """Tables for people: every check, every drug, and who lies outside and why."""
    from immunostat.study.exposure_checks import outside, summary

    done = table[table["why_not"] == ""]
    shown = ["drug", "regimen", "quantity", "statistic", "published", "predicted", "unit", "ratio"]
    rows = [
        (*row[:4], float(f"{row[4]:.4g}"), float(f"{row[5]:.4g}"), row[6], round(row[7], 2))
        for row in _rows(done[shown])
    ]
    print_table(shown, rows, Format.TEXT, "Predicted and published exposure")
    heading("")
    names = ("drug", "checks", "independent", "ratio", "lowest", "highest", "verdict")
    drugs = [(*r[:3], *(round(x, 2) for x in r[3:6]), r[6]) for r in _rows(per_drug)]
    print_table(names, drugs, Format.TEXT, "Geometric mean of predicted/published, by drug")
    found = summary(per_drug)
    heading("")
    heading(
        f"{found['drugs']:g} drugs with {len(done)} checks: {found['good']:g} "
        f"({100 * found['share_good']:.0f} %) within 0.8 to 1.25, "
        f"{found['outside']:g} outside 0.5 to 2; {len(table) - len(done)} checks not comparable"
    )
    for name, reason in outside(table, per_drug):
        heading(f"  {name}: {reason}")


def _write_validation(table: pd.DataFrame, per_drug: pd.DataFrame, output: Path) -> None:
    from immunostat.report import style
    from immunostat.report.exposure_figures import ratios

    match output.suffix.lower():
        case ".csv":
            _folder_of(output)
            table.to_csv(output, index=False)
        case ".svg" | ".png":
            _folder_of(output)
            style.save(ratios(table, per_drug), output)
        case "":
            output.mkdir(parents=True, exist_ok=True)
            table.to_csv(output / "checks.csv", index=False)
            per_drug.to_csv(output / "drugs.csv", index=False)
            style.save(ratios(table, per_drug), output / "ratios.svg")
        case ending:
            raise InputError(
                f"the ending '{ending}' is not known",
                Place(shown_path(output)),
                "name a folder, or a file ending in .svg, .png or .csv",
            )
    message(f"written to {shown_path(output)}")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    text = (
        "Exposure to one drug: concentrations in virtual people, AUC, Cmax, trough, half-life."
        '\n\nExample:  immunostat pk lenalidomide --dose "25 mg daily for 21 of 28 days"'
        f"\n\nExample:  immunostat pk adalimumab -o adalimumab.svg\n\n{NOTICE}"
    )
    app.command("pk", help=text, rich_help_panel="Exposure")(pk)
    text = (
        "Every exposure that the cards of drugs print, beside what their kinetics predict."
        f"\n\nExample:  immunostat validate pk tocilizumab adalimumab\n\n{NOTICE}"
    )
    validate.command("pk", help=text)(validate_pk)
    validation.add_to(validate)
    harm_validation.add_to(validate)
    app.add_typer(validate, name="validate", rich_help_panel="Exposure")

"""The command that shows what a study would run, for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.cli.options import CsvOption, JsonOption
from immunostat.cli.printing import (
    Format,
    format_of,
    guarded,
    heading,
    message,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from immunostat.catalog.lookup import Catalog
    from immunostat.study.study import Study

StudyArgument = Annotated[Path, typer.Argument(help="A study file (YAML).")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the study, such as duration='52 weeks'; may be repeated.",
    ),
]


def _catalog(context: typer.Context) -> Catalog:
    from immunostat.catalog.lookup import Catalog

    return Catalog.packaged(context.obj)


def overview(plan: Study) -> None:
    """What a study would run, for people."""
    from immunostat.therapy.regimen import duration_words

    heading(plan.title)
    lines = {
        "situation": plan.situation,
        "population": f"{plan.population.name}: {plan.population.n_patients} patients in each arm, "
        f"seed {plan.population.seed}",
        "background": "; ".join(r.words() for r in plan.background) or "as in the population",
        "duration": duration_words(plan.duration_day),
        "visits": ", ".join(duration_words(time) for time in plan.visits_day),
        "endpoints": ", ".join(plan.endpoints),
        "side effects": ", ".join(plan.side_effects) or "none",
        "compared with": ", ".join(plan.compare_with) or "nothing",
    }
    for name, value in lines.items():
        heading(f"  {name + ':':14} {value}")
    heading("")
    rows = [
        (
            arm,
            "; ".join(regimen.words() for regimen in regimens) or "background only",
            sum(len(regimen.doses(plan.duration_day)) for regimen in regimens),
        )
        for arm, regimens in plan.arms.items()
    ]
    print_table(("arm", "regimen", "doses"), rows)


@guarded
def show(
    context: typer.Context,
    study: StudyArgument,
    equations: Annotated[bool, typer.Option(help="The equations of the joined model.")] = False,
    doses: Annotated[bool, typer.Option(help="Every dose of every arm.")] = False,
    weight: Annotated[
        float | None, typer.Option(metavar="KG", help="With --doses: amounts for this weight.")
    ] = None,
    sources: Annotated[bool, typer.Option(help="The sources that the study rests on.")] = False,
    network: Annotated[
        bool,
        typer.Option(help="What acts on what, by the equations; also of a situation."),
    ] = False,
    around: Annotated[
        bool,
        typer.Option(help="With --network: only what the disease reads of the core and drives."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="With --network: picture, .svg or .png."),
    ] = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.study.study_reader import read_study

    catalog, how = _catalog(context), format_of(as_json, as_csv)
    if output is not None and not network:
        raise InputError("-o is for the picture of the network", Place("-o"), "add --network")
    if network and str(study) in catalog.situations() and not study.exists():
        _network(catalog, str(study), None, around, output, how)
        return
    plan = read_study(study, catalog, settings or [])
    if doses:
        columns, rows = _dose_rows(plan, weight)
        print_table(columns, rows, how)
    if sources:
        print_table(("key", "citation"), _source_rows(plan, catalog), how)
    if equations:
        _equations(plan, catalog)
    if network:
        _network(catalog, plan.situation, plan, around, output, how)
    if not (doses or sources or equations or network):
        if how is Format.JSON:
            print_json(plan.resolved())
        else:
            overview(plan)


def _dose_rows(plan: Study, weight: float | None) -> tuple[list[str], list[tuple[object, ...]]]:
    """Doses of every arm; with the amount given to a patient of `weight` kg."""
    if weight is not None and not 0 < weight < 1000:
        raise InputError(
            f"a weight of {weight:g} kg is not possible",
            Place(f"--weight {weight:g}"),
            "for example --weight 70",
        )
    columns = ["arm", "drug", "week", "day", "dose", "unit", "route", "infusion_h"]
    columns += ["given"] if weight is not None else []
    rows: list[tuple[object, ...]] = []
    for arm in plan.arms:
        for regimen in plan.regimens(arm):
            for dose in regimen.doses(plan.duration_day):
                per = "/kg" if dose.per_kg else "/m^2" if dose.per_m2 else ""
                unit = f"{dose.unit}{per}"
                row: tuple[object, ...] = (
                    arm,
                    dose.drug,
                    dose.time_day / 7,
                    dose.time_day,
                    dose.amount,
                    unit,
                    dose.route,
                    round(dose.infusion_day * 24, 6),
                )
                if weight is not None and dose.per_m2:
                    row = (*row, "by body surface")
                elif weight is not None:
                    given = dose.amount * (weight if dose.per_kg else 1.0)
                    given = given if dose.maximum is None else min(given, dose.maximum)
                    row = (*row, f"{given:g} {dose.unit}")
                rows.append(row)
    return columns, rows


def _source_rows(plan: Study, catalog: Catalog) -> list[tuple[str, str]]:
    from immunostat.study import ledger

    cards = ledger.cards_of_study(
        catalog,
        plan.situation,
        plan.population.name,
        [drug.name for drug in plan.drugs],
        plan.side_effects,
        plan.compare_with,
    )
    records = ledger.source_records(catalog, ledger.source_keys(catalog, cards))
    return [(record["key"], record["text"]) for record in records]


def _network(
    catalog: Catalog,
    situation: str,
    plan: Study | None,
    around: bool,
    output: Path | None,
    how: Format,
) -> None:
    """The network of a study's model, or of a situation with every hook of the core."""
    from immunostat.report.network_figure import write_network
    from immunostat.study.network import around_situation, network_of
    from immunostat.study.plan import drugs_in_start

    drugs = None
    if plan is not None:
        in_start = drugs_in_start(plan, catalog.population(plan.population.name))
        drugs = [drug for drug in plan.drugs if drug.name not in in_start]
    found = network_of(catalog, catalog.situation(situation), drugs)
    if around:
        found = around_situation(found, with_targets=drugs is None)
    effects = {1: "raises", -1: "lowers", 0: "unclear"}
    rows = [
        (edge.source, effects[edge.sign] if edge.acts else "nothing here", edge.target)
        for edge in found.edges
    ]
    print_table(("source", "effect", "target"), rows, how)
    if output is not None:
        write_network(found, output, has_targets=around)
        message(f"written to {shown_path(output)}")


def _equations(plan: Study, catalog: Catalog) -> None:
    from immunostat.study.assemble import assemble

    assembly = assemble(catalog, catalog.situation(plan.situation), plan.drugs)
    heading(assembly.antimony)
    heading("assignments")
    for name, expression in assembly.system.assignments:
        heading(f"  {name} = {expression}")
    heading("rates, per day")
    for state, rate in zip(assembly.system.states, assembly.system.rates, strict=True):
        heading(f"  d {state}/dt = {rate}")

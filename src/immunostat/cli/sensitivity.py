"""Commands that vary the numbers of a study's model: sensitivity, uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import InputError, Place
from immunostat.cli.options import CsvOption, JsonOption
from immunostat.cli.printing import (
    NOTICE,
    Format,
    format_of,
    guarded,
    heading,
    message,
    print_table,
)
from immunostat.cli.progress import progress_bar
from immunostat.cli.varying import (
    ArmOption,
    Asked,
    AtOption,
    EndpointOption,
    EntryChoice,
    EntryOption,
    Looked,
    OutputOption,
    ParametersOption,
    PatientsOption,
    QuietOption,
    RangeOption,
    ResumeOption,
    SeedOption,
    SetOption,
    StudyArgument,
    ThreadsOption,
    VersusOption,
    asked_study,
    failed,
    prepared,
    print_whole,
    resumable,
    say_ranges,
    say_who,
    short,
    store_of,
    write_tables,
)

if TYPE_CHECKING:
    import pandas as pd

    from immunostat.study.trial_answer import TrialAnswer
    from immunostat.study.varied import Parameter

#: Parameters that are printed, and that Sobol's method keeps after screening.
PRINTED, SCREENED = 20, 8


class Method(StrEnum):
    """How sensitivity is asked."""

    LOCAL = "local"
    MORRIS = "morris"
    SOBOL = "sobol"
    PRCC = "prcc"


@guarded
def sensitivity(
    context: typer.Context,
    study: StudyArgument,
    endpoint: EndpointOption = None,
    arm: ArmOption = None,
    versus: VersusOption = "",
    at: AtOption = "",
    method: Annotated[Method, typer.Option(help="How to ask.")] = Method.LOCAL,
    parameters: ParametersOption = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Print this many ({PRINTED}); sobol: keep this many of a screening ({SCREENED}).",
        ),
    ] = None,
    range_: RangeOption = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=2, help="morris: paths (10); sobol: a power of two (64); prcc: points (100 or more)"
        ),
    ] = None,
    patients: PatientsOption = None,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    entry: EntryOption = EntryChoice.SAME,
    settings: SetOption = None,
    output: OutputOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    quiet: QuietOption = False,
) -> None:
    from immunostat.study import sensitivity as sensitivities

    if samples is not None and method is Method.LOCAL:
        raise InputError("the local method takes no samples", Place("--samples"))
    asked = asked_study(context, study, settings, patients, seed, output, resume)
    answer, numbers = prepared(
        asked, Looked(endpoint or (), arm or (), versus, at), parameters, range_, entry, threads
    )
    if method is Method.SOBOL and not parameters:
        numbers = _screened(answer, numbers, top or SCREENED, quiet)
    options: dict[str, Any] = {} if method is Method.LOCAL else {"seed": asked.seed}
    options |= {"samples": samples} if samples is not None else {}
    with progress_bar(quiet) as progress, resumable(output, quiet):
        found = sensitivities.METHODS[method](
            answer,
            numbers,
            store=store_of(asked, answer, {"method": str(method)}),
            progress=progress,
            **options,
        )
    how = format_of(as_json, as_csv)
    if how is not Format.TEXT:
        print_whole(found.table, how)
    else:
        _print_sensitivity(found, numbers, top or PRINTED)
    if output is not None:
        record = {"method": str(method), "base": dict(found.base), "failed": found.n_failed}
        _write_sensitivity(asked, answer, found, [p.name for p in numbers], record)
    if not quiet:
        message(f"influence: {sensitivities.INFLUENCE[method]}")
        say_who(answer, output)
    failed(found.evaluated.failures, found.n_failed)


@guarded
def uncertainty(
    context: typer.Context,
    study: StudyArgument,
    endpoint: EndpointOption = None,
    arm: ArmOption = None,
    versus: VersusOption = "",
    at: AtOption = "",
    parameters: ParametersOption = None,
    range_: RangeOption = None,
    draws: Annotated[int, typer.Option(min=10, max=100_000, help="Number of draws.")] = 200,
    patients: PatientsOption = None,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    settings: SetOption = None,
    output: OutputOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    quiet: QuietOption = False,
) -> None:
    from immunostat.study.uncertainty import uncertainty as uncertain

    asked = asked_study(context, study, settings, patients, seed, output, resume)
    answer, numbers = prepared(
        asked,
        Looked(endpoint or (), arm or (), versus, at),
        parameters,
        range_,
        EntryChoice.SAME,
        threads,
    )
    with progress_bar(quiet) as progress, resumable(output, quiet):
        found = uncertain(
            answer,
            numbers,
            draws=draws,
            seed=asked.seed,
            store=store_of(asked, answer, {"method": "uncertainty"}),
            progress=progress,
        )
    how = format_of(as_json, as_csv)
    if how is not Format.TEXT:
        print_whole(found.table, how)
    else:
        _print_uncertainty(found.table, numbers)
    if output is not None:
        _write_uncertainty(asked, answer, found, [p.name for p in numbers])
    if not quiet:
        say_who(answer, output)
    failed(found.evaluated.failures, len(found.evaluated.failures))


def _screened(
    answer: TrialAnswer, numbers: list[Parameter], n: int, quiet: bool
) -> list[Parameter]:
    """The parameters that matter most by themselves, for any of the outputs."""
    from immunostat.study.sensitivity import local_sensitivity
    from immunostat.study.varied import chosen

    with progress_bar(quiet) as progress:
        table = local_sensitivity(answer, numbers, progress=progress).table
    best = table.groupby("parameter", sort=False)["rank"].min().sort_values(kind="stable")
    kept = [str(name) for name in best.index[:n]]
    if not quiet:
        message(f"screened {len(numbers)} numbers one at a time and kept {', '.join(kept)}")
    return chosen(numbers, kept)


#: Columns that are printed, by method.
_SHOWN: Mapping[str, tuple[str, ...]] = {
    "local": ("at_low", "at_high", "elasticity", "slope", "slope_error"),
    "morris": ("mu_star", "mu_star_error", "mu", "sigma"),
    "sobol": ("total", "total_error", "first", "first_error"),
    "prcc": ("prcc", "low", "high", "p"),
}


def _print_sensitivity(found: Any, numbers: Sequence[Parameter], top: int) -> None:
    """A table for each output, the most influential numbers first."""
    table: pd.DataFrame = found.table
    shown = _SHOWN[found.method]
    for output, rows in table.groupby("output", sort=False):
        columns = ("parameter", "value", "unit", "evidence", "varied", *shown)
        printed = [
            (
                row["parameter"],
                short(row["value"]),
                row["unit"],
                row["evidence"],
                f"{row['low_factor']:.3g} to {row['high_factor']:.3g} times",
                *(short(row[name]) for name in shown),
            )
            for row in rows.head(top).to_dict("records")
        ]
        base = found.base[str(output)]
        title = f"{output}: {base:.4g}, and what it depends on ({found.method})"
        print_table(columns, printed, Format.TEXT, title)
        if len(rows) > top:
            heading(f"... and {len(rows) - top} numbers that matter less")
        heading("")
    say_ranges(numbers)


def _print_uncertainty(table: pd.DataFrame, numbers: Sequence[Parameter]) -> None:
    columns = ("output", "estimate", "patients alone", "parameters alone", "both", "by parameters")
    rows = [
        (
            row["output"],
            short(row["estimate"]),
            *(
                f"{row[f'{kind}_low']:.3g} to {row[f'{kind}_high']:.3g}"
                for kind in ("sampling", "parameter", "total")
            ),
            f"{100 * row['share']:.0f} % of variance",
        )
        for row in table.to_dict("records")
    ]
    n, draws = int(table["n_patients"].iloc[0]), int(table["n_draws"].iloc[0])
    print_table(columns, rows, Format.TEXT, f"95 % intervals: {n} patients, {draws} draws")
    heading("")
    say_ranges(numbers)


def _write_sensitivity(
    asked: Asked, answer: TrialAnswer, found: Any, names: Sequence[str], record: dict[str, Any]
) -> None:
    import pandas as pd

    from immunostat.report import sensitivity_figures as drawn
    from immunostat.report import style
    from immunostat.report.plates import file_name

    assert asked.output is not None
    means = pd.DataFrame(found.evaluated.means, columns=found.evaluated.outputs)
    rows = pd.concat([pd.DataFrame(found.factors, columns=list(names)), means], axis=1)
    write_tables(asked, answer, record, {"sensitivity": found.table, "evaluations": rows})
    figures = {
        file_name("tornado", str(output)): drawn.tornado(found.table, str(output), found.base)
        for output in dict.fromkeys(found.table["output"])
    }
    if len(figures) > 1:
        figures["heatmap"] = drawn.heatmap(found.table)
    for name, figure in figures.items():
        style.save(figure, asked.output / f"{name}.svg")


def _write_uncertainty(asked: Asked, answer: TrialAnswer, found: Any, names: Sequence[str]) -> None:
    import pandas as pd

    from immunostat.report import sensitivity_figures as drawn
    from immunostat.report import style

    assert asked.output is not None
    factors = pd.DataFrame(found.factors, columns=list(names))
    rows = pd.concat([found.draws, factors], axis=1)
    record = {"method": "uncertainty", "draws": len(rows) - 1}
    write_tables(asked, answer, record, {"uncertainty": found.table, "draws": rows})
    shares = {str(output): output.is_share for output in answer.outputs}
    style.save(drawn.intervals(found.table, shares), asked.output / "uncertainty.svg")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""

    def text(first: str, *examples: str) -> str:
        shown = "\n\n".join(f"Example:  immunostat {example}" for example in examples)
        return f"{first}\n\n{shown}\n\n{NOTICE}"

    app.command(
        "sensitivity",
        help=text(
            "Which numbers of the model an endpoint depends on. Numbers of the core, the "
            "situation and the drugs (kinetics, affinities) are multiplied in everybody.",
            "sensitivity studies/ra-biologics.yaml --endpoint DAS28-CRP-change -o results/matters",
            "sensitivity studies/ra-biologics.yaml --method sobol --arm adalimumab "
            "--versus placebo",
        ),
        rich_help_panel="Studies",
    )(sensitivity)
    app.command(
        "uncertainty",
        help=text(
            "How well an endpoint is known: uncertain numbers of the model are drawn, and each "
            "draw is a whole trial of the same patients.",
            "uncertainty studies/ra-biologics.yaml --draws 200 -o results/uncertainty",
        ),
        rich_help_panel="Studies",
    )(uncertainty)

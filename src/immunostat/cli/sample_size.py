"""The command that finds how many patients a trial needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from immunostat.base.errors import shown_path
from immunostat.cli.options import CsvOption, JsonOption, QuietOption, ThreadsOption
from immunostat.cli.printing import (
    NOTICE,
    Format,
    format_of,
    guarded,
    message,
    print_json,
    print_table,
)
from immunostat.cli.progress import progress_bar
from immunostat.cli.varying import SetOption, StudyArgument

HELP = (
    "Find the patients per arm at which a trial reaches a power, by the study's own analysis: "
    "whole trials of every size, dealt from one simulated pool."
)


@guarded
def sample_size(
    context: typer.Context,
    study: StudyArgument,
    power: Annotated[float, typer.Option(min=0.05, max=0.99, help="Wanted power.")] = 0.8,
    alpha: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Two-sided level of the test.")
    ] = 0.05,
    analysis: Annotated[
        int, typer.Option(min=1, help="Which of the study's analyses, from 1.")
    ] = 1,
    pool: Annotated[int, typer.Option(min=40, max=1_000_000, help="Patients simulated.")] = 2000,
    replicates: Annotated[
        int, typer.Option(min=20, max=100_000, help="Whole trials at each size.")
    ] = 400,
    threads: ThreadsOption = None,
    settings: SetOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the table and the figure.")
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    quiet: QuietOption = False,
) -> None:
    from immunostat.catalog.lookup import Catalog
    from immunostat.study.required_size import required_size
    from immunostat.study.study_reader import read_study

    catalog, how = Catalog.packaged(context.obj), format_of(as_json, as_csv)
    plan = read_study(study, catalog, settings or [])
    with progress_bar(quiet) as progress:
        found = required_size(
            plan,
            catalog,
            power=power,
            alpha=alpha,
            analysis=analysis - 1,
            pool=pool,
            replicates=replicates,
            threads=threads,
            progress=progress,
        )
    size, own, points = found.size, found.analysis, found.points
    if how is Format.JSON:
        print_json(
            {
                "patients_per_arm": size.n,
                "low": size.low,
                "high": size.high if size.high < float("inf") else None,
                "power": power,
                "alpha": alpha,
                "endpoint": own.endpoint,
                "arm": own.arm,
                "versus": own.versus,
                "time_day": own.time_day,
                "difference": found.difference,
                "method": size.method,
                "tried": points.to_dict("records"),
            }
        )
    else:
        rows = [tuple(row) for row in points.itertuples(index=False)]
        print_table(tuple(points.columns), rows, how)
        week = own.time_day / 7
        what = f"{own.endpoint} at week {week:g}, {own.arm} against {own.versus}"
        if size.n is None:
            message(f"{what}: a power of {power:g} is not reached with {pool // 2} per arm")
        else:
            message(
                f"{what}: {size.n} patients per arm for a power of {power:g} "
                f"(95 % interval {size.low:.0f} to {size.high:.0f}, by the chance of the trials); "
                f"difference in the pool {found.difference:.3g}"
            )
        message(NOTICE)
    if output is not None:
        from immunostat.report import figures, trial_figures

        output.mkdir(parents=True, exist_ok=True)
        points.to_csv(output / "power.csv", index=False)
        figure = trial_figures.power(points, targets=(power,))
        for name in ("power.svg", "power.png"):
            figures.save(figure, output / name)
        message(f"written to {shown_path(output)}")


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    text = f"{HELP}\n\nExample:  immunostat sample-size studies/power.yaml --power 0.9\n\n{NOTICE}"
    app.command("sample-size", help=text, rich_help_panel="Studies")(sample_size)

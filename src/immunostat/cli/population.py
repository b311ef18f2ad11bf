"""Commands on virtual populations: build one, look at one, list who can be asked for by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immunostat.base.errors import shown_path
from immunostat.cli.options import BriefOption, CsvOption, JsonOption, SamplingOption, ThreadsOption
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
from immunostat.cli.progress import progress_bar

if TYPE_CHECKING:
    from immunostat.catalog.lookup import Catalog
    from immunostat.study.stored_population import StoredPopulation

FIGURE = "population.svg"

TARGET_COLUMNS = (
    "target",
    "published",
    "SD",
    "unweighted",
    "weighted",
    "weighted SD",
    "tolerance",
    "standard error",
    "met",
)

commands = typer.Typer(
    help=(
        "Virtual populations: plausible patients with prevalence weights.\n\n"
        "A plausible patient has every readout in its published range. Weights make those who "
        "enter like published ones: baseline tables, and response rates of the training arms. A "
        "study draws its cohort from a population that was stored.\n\n"
        "Example:  immunostat population build rheumatoid-arthritis --size 5000 --seed 7\n\n"
        f"{NOTICE}"
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _catalog(context: typer.Context) -> Catalog:
    from immunostat.catalog.lookup import Catalog

    return Catalog.packaged(context.obj)


@guarded
def build(
    context: typer.Context,
    situation: Annotated[str, typer.Argument(help="Name of a situation.")],
    population: Annotated[
        str | None, typer.Option(help="Name of a population of it; needed if it has several.")
    ] = None,
    size: Annotated[int, typer.Option(min=1, help="Number of plausible patients.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 1,
    sampling: SamplingOption = "random",
    method: Annotated[
        str,
        typer.Option(
            help="entropy: weights nearest to equal ones. least-squares: largest effective sample "
            "size. accept-reject: by the ratio of densities. greedy: a subset near the targets."
        ),
    ] = "entropy",
    max_weight: Annotated[
        float,
        typer.Option(help="Largest weight, times the average (entropy and least-squares)."),
    ] = 10.0,
    select: Annotated[
        int | None, typer.Option(help="Patients to select (greedy); half of those who enter.")
    ] = None,
    least_effective: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Effective sample size that is needed, as a share of who enter."
        ),
    ] = 0.2,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder; populations/<name of population> if not."),
    ] = None,
    threads: ThreadsOption = None,
    quiet: BriefOption = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.study.population_build import build_population, population_name
    from immunostat.study.stored_population import refuse_foreign, write_population

    catalog = _catalog(context)
    known = catalog.situation(situation).name
    folder = output or Path("populations") / population_name(catalog, known, population)
    refuse_foreign(folder)
    with progress_bar(quiet) as progress:
        stored = build_population(
            known,
            population,
            size=size,
            seed=seed,
            sampling=sampling,
            method=method,
            most=max_weight,
            select=select,
            least_effective=least_effective,
            catalog=catalog,
            threads=threads,
            progress=progress,
        )
    write_population(stored, folder)
    _draw(stored, folder / FIGURE)
    if not quiet:
        _print(stored, format_of(as_json, as_csv))
    message(f"{NOTICE}\nwritten to {shown_path(folder)}")


@guarded
def show(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of a population.")],
    figure: Annotated[
        Path | None,
        typer.Option(help="File of the figure (.svg or .png); population.svg in the folder."),
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.study.stored_population import open_population

    stored = open_population(folder)
    for warning in stored.check(_catalog(context)):
        message(f"warning: {warning}")
    path = figure or folder / FIGURE
    _draw(stored, path)
    _print(stored, format_of(as_json, as_csv))
    message(f"figure: {shown_path(path)}")


@guarded
def special(context: typer.Context, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    catalog = _catalog(context)
    cards = [catalog.special_population(name) for name in catalog.special_populations()]
    rows = [
        (card.name, card.title, card.condition, card.evidence.value, card.source or "")
        for card in cards
    ]
    print_table(
        ("name", "title", "condition", "evidence", "source"), rows, format_of(as_json, as_csv)
    )


def _draw(stored: StoredPopulation, path: Path) -> None:
    from immunostat.report.population_figures import population
    from immunostat.report.style import save

    save(population(stored), path)


def _print(stored: StoredPopulation, how: Format) -> None:
    """Summary, targets and rejection report; as CSV the targets alone, as JSON the card."""
    card = stored.card
    if how is Format.JSON:
        print_json({**card, "version": stored.version})
        return
    rows = [
        (
            own["name"],
            own["mean"],
            own["sd"],
            own["before"],
            own["reached"],
            own["reached_sd"],
            own["tolerance"],
            own["standard_error"],
            own["is_met"],
        )
        for own in card["targets"]
    ]
    if how is Format.CSV:
        print_table(TARGET_COLUMNS, rows, how)
        return
    lines = {
        "population": f"{card['title']} ({stored.population})",
        "patients": f"{card['size']} plausible of {card['candidates']} candidates; "
        f"{card['entered']} of them would enter a trial",
        "weights": f"{card['method']}, largest {card['largest_weight']:.3g} times the average",
        "effective": f"sample size {card['effective_size_of_entered']:.0f} of "
        f"{card['entered']} who enter, {card['effective_size']:.0f} of all {card['size']}",
        "drawn": f"{card['sampling']}, seed {card['seed']}",
        "version": stored.version[:16],
    }
    for name, value in lines.items():
        heading(f"{name + ':':12} {value}")
    heading("")
    shown = [tuple(None if v is None else f"{v:.4g}" if isinstance(v, float) else v for v in row)
             for row in rows]  # fmt: skip
    print_table(TARGET_COLUMNS, shown, how, "Targets (patients who enter)")
    if not card["within_tolerance"]:
        n = sum(not own["is_met"] for own in card["targets"])
        message(f"warning: {n} targets are not met; method entropy or least-squares meets them")
    heading("")
    print_table(
        ("reason", "kind", "first reason of", "concerns"),
        [(r["reason"], r["kind"], r["first"], r["all"]) for r in card["rejections"]],
        how,
        f"Left out, of {card['candidates']} candidates",
    )


def _help(first: str, *examples: str) -> str:
    shown = "\n\n".join(f"Example:  immunostat population {example}" for example in examples)
    return f"{first}\n\n{shown}\n\n{NOTICE}"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    commands.command(
        "build",
        help=_help(
            "Draw plausible patients, simulate the training arms in those whom a trial would let "
            "in, find prevalence weights, and keep it all in a folder. The same command gives the "
            "same population, to the bit.",
            "build rheumatoid-arthritis --size 5000 --seed 7 -o populations/ra",
            "build rheumatoid-arthritis --sampling sobol --method least-squares",
        ),
    )(build)
    commands.command(
        "show",
        help=_help(
            "Show a stored population: targets before and after weighting, the effective sample "
            "size, why candidates were left out, and a figure of it all. Its files are checked "
            "against their hashes.",
            "show populations/ra",
            "show populations/ra --figure ra.png --csv > targets.csv",
        ),
    )(show)
    commands.command(
        "special",
        help=_help(
            "Special populations that a study can ask for by name, such as the elderly.", "special"
        ),
    )(special)
    app.add_typer(commands, name="population", rich_help_panel="Studies")

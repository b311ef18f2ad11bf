"""Commands on study files: run, check, show."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import InputError, Place, near_matches, shown_path
from immunostat.cli.options import BriefOption, ThreadsOption, check_folder
from immunostat.cli.printing import NOTICE, Exit, Format, guarded, message, print_table
from immunostat.cli.progress import progress_bar
from immunostat.cli.show import SetOption, StudyArgument, overview, show

if TYPE_CHECKING:
    from immunostat.catalog.lookup import Catalog
    from immunostat.study.result import Result
    from immunostat.study.study import Study


class Keep(StrEnum):
    """What a result keeps of courses in time."""

    AUTO = "auto"
    ALL = "all"
    QUANTILES = "quantiles"


def _catalog(context: typer.Context) -> Catalog:
    from immunostat.catalog.lookup import Catalog

    return Catalog.packaged(context.obj)


@guarded
def run(
    context: typer.Context,
    study: StudyArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Result folder; results/<name of the study> if not."),
    ] = None,
    patients: Annotated[int | None, typer.Option(help="Number of patients in each arm.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.")] = None,
    threads: ThreadsOption = None,
    settings: SetOption = None,
    dry_run: Annotated[bool, typer.Option(help="Check and show, but do not simulate.")] = False,
    quiet: BriefOption = False,
    force: Annotated[
        bool,
        typer.Option(
            help="Write into a folder that is no result folder of this program, or start anew "
            "where an unfinished run lies."
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the finished chunks of a run cut short.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that simulate chunks (needs the extra 'cluster')."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers simulate chunks."),
    ] = None,
    keep: Annotated[
        Keep, typer.Option(help="Courses of all patients, or quantiles only; auto: up to 512 MiB.")
    ] = Keep.AUTO,
    chunk: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            help="Candidates in a chunk, rounded up to a power of two; by memory if not given.",
        ),
    ] = None,
) -> None:
    from immunostat.study.study_reader import read_study

    changes = list(settings or [])
    changes += [f"population.patients={patients}"] if patients is not None else []
    changes += [f"population.seed={seed}"] if seed is not None else []
    catalog = _catalog(context)
    plan = read_study(study, catalog, changes)
    folder = output or Path("results") / study.stem
    _refuse_foreign(folder, force)
    if dry_run:
        overview(plan)
        message(f"dry run: nothing was simulated; the result would go to {shown_path(folder)}")
        return

    from immunostat.report import page
    from immunostat.study import result as results
    from immunostat.study.cluster import maker_for
    from immunostat.study.run import CHUNKS, Running
    from immunostat.study.run import run as simulate
    from immunostat.study.store import remove_chunks, writing

    chunks = folder / CHUNKS
    _refuse_to_forget(chunks, resume, force)
    running = Running(
        threads,
        chunks,
        resume,
        chunk,
        None if keep is Keep.AUTO else keep is Keep.ALL,
        maker_for(context.obj, cluster, workers, threads) if cluster or workers else None,
    )
    started = time.perf_counter()
    try:
        with progress_bar(quiet) as progress:
            answer = simulate(plan, progress=progress, catalog=catalog, running=running)
        results.write(answer, folder)
        with writing(folder):
            page.write(results.open_result(folder), folder)
    except KeyboardInterrupt:
        message(
            "interrupted; finished chunks are kept: the same command with --resume goes on from "
            "them"
            if any(chunks.glob("*.npz"))
            else "interrupted before the first chunk was finished"
        )
        raise typer.Exit(Exit.INTERRUPTED) from None
    remove_chunks(chunks)
    for name in answer.run.get("remade", ()):
        message(f"chunk {name} was damaged and has been made again")
    if not quiet:
        _summary(answer, plan)
        seconds = time.perf_counter() - started
        message(f"{NOTICE}\nwritten to {shown_path(folder)} ({seconds:.1f} s)")
    failed = {cause: n for cause, n in dict(answer.run.get("failed", {})).items() if n}
    if failed:
        shown = ", ".join(f"{n} {cause}" for cause, n in failed.items())
        message(f"some patients failed and are left out of the tables: {shown}")
        for text in answer.run.get("failures", ()):
            message(text)
        raise typer.Exit(Exit.SOME_PATIENTS_FAILED)


def _refuse_to_forget(chunks: Path, resume: bool, force: bool) -> None:
    """An unfinished run is not thrown away by a forgotten option."""
    if not resume and not force and any(chunks.glob("*.npz")):
        raise InputError(
            "an unfinished run lies here",
            Place(shown_path(chunks)),
            "--resume goes on from it, --force starts anew",
        )


def _refuse_foreign(folder: Path, force: bool) -> None:
    """A result replaces an earlier result, and nothing else unless forced."""
    check_folder(folder)
    place = Place(shown_path(folder))
    is_own = (folder / "run.json").is_file() or (folder / ".chunks" / "mark.json").is_file()
    is_foreign = folder.is_dir() and any(folder.iterdir()) and not is_own
    if is_foreign and not force:
        raise InputError(
            "this folder is not empty and holds no result of this program (no run.json)",
            place,
            "choose another folder with -o, or use --force to write into this one",
        )


def _summary(answer: Result, plan: Study) -> None:
    """Endpoints at their last time, arm beside arm."""
    table = answer.endpoints
    rows = []
    for endpoint in plan.endpoints:
        own = table[table["endpoint"] == endpoint]
        if not len(own):
            continue
        last = own[own["time_day"] == own["time_day"].max()]
        for line in last.to_dict("records"):
            rows.append(
                (
                    endpoint,
                    line["arm"],
                    line["time_day"] / 7,
                    int(line["n"]),
                    line["statistic"],
                    f"{line['estimate']:.4g}",
                    f"{line['low']:.4g} to {line['high']:.4g}",
                    line["unit"],
                )
            )
    columns = ("endpoint", "arm", "week", "n", "statistic", "estimate", "95 % interval", "unit")
    print_table(columns, rows, Format.TEXT, plan.title)


@guarded
def check(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A study, a card or a model (.ant, .xml).")],
    kind: Annotated[
        str | None, typer.Option(help="Kind of card, such as drug, if its folder does not say.")
    ] = None,
) -> None:
    if file.suffix.lower() in (".ant", ".antimony", ".xml", ".sbml"):
        _check_model(file)
        return
    from immunostat.catalog.check import check_document
    from immunostat.catalog.reader import read_yaml

    catalog, document = _catalog(context), read_yaml(file)
    folder = _kind_of(file, document.data, kind)
    if folder == "studies":
        from immunostat.study.study_reader import study_of

        plan = study_of(document, catalog)
        n_doses = sum(
            len(r.doses(plan.duration_day)) for arm in plan.arms for r in plan.regimens(arm)
        )
        message(
            f"{shown_path(file)}: a study of {len(plan.arms)} arms and {n_doses} doses; no error"
        )
        return
    problems = list(check_document(catalog, folder, document, file))
    for problem in problems:
        message(f"error: {problem}")
    if problems:
        raise typer.Exit(Exit.WRONG_INPUT)
    message(f"{shown_path(file)}: a card in '{folder}'; no error")


def _kind_of(file: Path, data: dict[str, Any], kind: str | None) -> str:
    """Folder name of the kind of card, or 'studies'."""
    from immunostat.catalog.lookup import KINDS

    nouns = {k.noun.replace(" ", "-"): k.folder for k in KINDS} | {"study": "studies"}
    if kind is not None:
        if kind not in nouns:
            raise InputError(
                f"'{kind}' is no kind of file", Place("--kind"), near_matches(kind, nouns)
            )
        return nouns[kind]
    if file.resolve().parent.name in {k.folder for k in KINDS}:
        return file.resolve().parent.name
    telling = {
        "drugs": ("modality", "molar_mass"),
        "targets": ("hook",),
        "side_effects": ("grades", "drivers"),
        "trials": ("citation",),
        "situations": ("endpoints", "fragment"),
        "core": ("functions",),
        "populations": ("covariates",),
    }
    for folder, keys in telling.items():
        if folder == "situations" and not set(keys) <= set(data):
            continue
        if any(key in data for key in keys):
            return folder
    return "studies"


def _check_model(file: Path) -> None:
    from immunostat.model.antimony import load_model
    from immunostat.model.check import check_system

    system = load_model(file)
    for finding in check_system(system).messages():
        message(f"note: {finding}")
    message(
        f"{shown_path(file)}: a model of {system.n_states} states and {system.n_parameters} "
        "parameters; no error"
    )


def _help(first: str, *examples: str) -> str:
    shown = "\n\n".join(f"Example:  immunostat {example}" for example in examples)
    return f"{first}\n\n{shown}\n\n{NOTICE}"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""

    def add(command: Callable[..., None], name: str, text: str, *examples: str) -> None:
        app.command(name, help=_help(text, *examples), rich_help_panel="Studies")(command)

    add(
        run,
        "run",
        "Simulate a study and write a folder with tables, figures, sources and a report. An "
        "earlier result in the folder is replaced.",
        "run studies/ra-biologics.yaml --patients 200 -o results/first",
        "run studies/ra-biologics.yaml --set duration='52 weeks' --dry-run",
    )
    add(
        check,
        "check",
        "Check a study, a card or a model file without running it.",
        "check studies/ra-biologics.yaml",
        "check my-cards/drugs/mydrug.yaml",
    )
    add(
        show,
        "show",
        "Show what a study would run.",
        "show studies/ra-biologics.yaml --doses --weight 70",
        "show studies/ra-biologics.yaml --equations",
        "show rheumatoid-arthritis --network -o network.svg",
    )

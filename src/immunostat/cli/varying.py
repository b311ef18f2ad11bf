"""What the commands that vary numbers of a model have in common: options, progress, files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.cli.options import check_folder
from immunostat.cli.printing import NOTICE, Exit, Format, heading, message, print_json, print_table

if TYPE_CHECKING:
    import pandas as pd

    from immunostat.catalog.lookup import Catalog
    from immunostat.study.evaluations import Store
    from immunostat.study.study import Study
    from immunostat.study.trial_answer import TrialAnswer
    from immunostat.study.varied import Parameter

#: Patients in whom changes are looked at, if the study has as many.
PATIENTS = 200


class EntryChoice(StrEnum):
    """Who takes part under a changed model."""

    SAME = "same"
    AGAIN = "again"


StudyArgument = Annotated[Path, typer.Argument(help="A study file (YAML).")]
EndpointOption = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint", help="Endpoint; the situation's main one if not given. May be repeated."
    ),
]
ArmOption = Annotated[
    list[str] | None,
    typer.Option("--arm", help="Arm; all with drugs of their own if not given. May be repeated."),
]
VersusOption = Annotated[str, typer.Option(help="Arm that is subtracted, in the same patients.")]
AtOption = Annotated[str, typer.Option(help='Visit, such as "week 12"; the last one if not given.')]
ParametersOption = Annotated[
    list[str] | None,
    typer.Option("--parameters", help="Name of a number; all if not given. May be repeated."),
]
RangeOption = Annotated[
    float | None,
    typer.Option(
        "--range",
        metavar="FACTOR",
        help="Factor up and down for all numbers; by their evidence if not given.",
    ),
]
PatientsOption = Annotated[
    int | None,
    typer.Option(min=2, max=100_000, help=f"Patients; {PATIENTS}, or the study's if fewer."),
]
SeedOption = Annotated[
    int | None, typer.Option(min=0, help="Seed of patients and samples; the study's if not given.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Threads; all cores if not given. Results do not depend.")
]
EntryOption = Annotated[
    EntryChoice,
    typer.Option(
        help="'same': those who enter under the unchanged model; 'again': criteria applied anew."
    ),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder for tables and figures.")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with what a cut-off run left in the folder.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the study; may be repeated."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no messages.")]


@dataclass(frozen=True)
class Looked:
    """What is looked at, as a person wrote it."""

    endpoints: Sequence[str]
    arms: Sequence[str]
    versus: str
    at: str


@dataclass(frozen=True)
class Asked:
    """The study of a command, and where its answer goes."""

    study: Study
    catalog: Catalog
    patients: int
    output: Path | None
    resume: bool

    @property
    def seed(self) -> int:
        """Seed of patients and samples."""
        return self.study.population.seed


def asked_study(
    context: typer.Context,
    file: Path,
    settings: list[str] | None,
    patients: int | None,
    seed: int | None,
    output: Path | None,
    resume: bool,
) -> Asked:
    """Read the study of a command, with the options that change it."""
    from immunostat.catalog.lookup import Catalog
    from immunostat.study.study_reader import read_study

    if resume and output is None:
        raise InputError(
            "--resume needs the folder of the cut-off run", Place("--resume"), "name it with -o"
        )
    check_folder(output)
    changes = [*(settings or [])]
    changes += [f"population.seed={seed}"] if seed is not None else []
    catalog = Catalog.packaged(context.obj)
    study = read_study(file, catalog, changes)
    n = patients or min(PATIENTS, study.population.n_patients)
    return Asked(study, catalog, n, output, resume)


def prepared(
    asked: Asked,
    what: Looked,
    names: list[str] | None,
    range_: float | None,
    entry: EntryChoice,
    threads: int | None,
) -> tuple[TrialAnswer, list[Parameter]]:
    """The function that is asked, and the numbers that are varied."""
    from immunostat.study.trial_answer import outputs_for, trial_answer
    from immunostat.study.varied import chosen, varied_parameters

    study, catalog = asked.study, asked.catalog
    situation = catalog.situation(study.situation)
    outputs = outputs_for(study, situation, what.endpoints, what.arms, what.versus, what.at)
    answer = trial_answer(
        study, catalog, outputs, asked.patients, entry=entry.value, threads=threads
    )
    numbers = varied_parameters(catalog, answer.plan, range_)
    return answer, chosen(numbers, names) if names else numbers


def store_of(asked: Asked, answer: TrialAnswer, key: Mapping[str, str]) -> Store | None:
    """Where evaluations are kept; nowhere without a folder."""
    from immunostat.study.evaluations import Store
    from immunostat.study.versions import own_version

    if asked.output is None:
        return None
    whole = {
        **key,
        "version": own_version(),
        "catalog": asked.catalog.hash(),
        "study": asked.study.resolved(),
        "patients": asked.patients,
        "outputs": [str(output) for output in answer.outputs],
        "entry": answer.entry,
    }
    return Store(asked.output / "evaluations", whole, asked.resume)


@contextmanager
def resumable(output: Path | None, quiet: bool) -> Iterator[None]:
    """Say how to go on after an interrupt."""
    try:
        yield
    except KeyboardInterrupt:
        if output is not None and not quiet:
            message("finished evaluations are kept: the same command with --resume goes on")
        raise


def print_whole(table: pd.DataFrame, how: Format) -> None:
    rows = table.astype(object).where(table.notna(), None)
    if how is Format.JSON:
        print_json(rows.to_dict("records"))
    else:
        print_table(tuple(table.columns), [tuple(r) for r in rows.itertuples(index=False)], how)


def say_ranges(numbers: Sequence[Parameter]) -> None:
    """Where the ranges come from, and how many numbers have each."""
    reasons: dict[str, int] = {}
    for number in numbers:
        reasons[number.because] = reasons.get(number.because, 0) + 1
    shown = "; ".join(f"{reason} ({n})" for reason, n in reasons.items())
    heading(f"{len(numbers)} numbers varied; ranges: {shown}")


def short(value: Any) -> float:
    return float(f"{value:.4g}")


def say_who(answer: TrialAnswer, output: Path | None) -> None:
    n = len(answer.cohort.numbers)
    who = (
        "the same in every evaluation"
        if answer.entry == "same"
        else "chosen anew in every evaluation"
    )
    message(f"{n} patients, {who}; yes or no counts as 1 or 0, and means are over patients")
    message(NOTICE if output is None else f"{NOTICE}\nwritten to {shown_path(output)}")


def failed(failures: Mapping[int, str], n: int) -> None:
    if n:
        reason = f": {next(iter(failures.values()))}" if failures else ""
        message(f"{n} evaluations failed and are left out{reason}")
        raise typer.Exit(Exit.SOME_PATIENTS_FAILED)


def write_tables(
    asked: Asked,
    answer: TrialAnswer,
    record: dict[str, Any],
    tables: Mapping[str, pd.DataFrame],
) -> None:
    """Tables as CSV, the study, and what was asked."""
    import json

    import yaml

    from immunostat.study.result import plain
    from immunostat.study.versions import own_version

    assert asked.output is not None
    asked.output.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        text = table.to_csv(index=False, lineterminator="\n")
        (asked.output / f"{name}.csv").write_text(text, encoding="utf-8", newline="\n")
    study = yaml.safe_dump(
        plain(asked.study.resolved()), sort_keys=False, allow_unicode=True, width=100
    )
    (asked.output / "study.yaml").write_text(study, encoding="utf-8", newline="\n")
    whole = {
        "version": own_version(),
        "seed": asked.seed,
        "catalog_hash": asked.catalog.hash(),
        "patients": len(answer.cohort.numbers),
        "entry": answer.entry,
        "outputs": [str(output) for output in answer.outputs],
        **record,
    }
    text = json.dumps(plain(whole), indent=2, ensure_ascii=False) + "\n"
    (asked.output / "analysis.json").write_text(text, encoding="utf-8", newline="\n")

"""Results: open a result folder, compare two, download everything."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from immunostat.app import frame
from immunostat.app.address import Address
from immunostat.app.same_as import SameAs, of_folder, of_folders
from immunostat.app.workbench import Workbench
from immunostat.base.errors import InputError, UnknownNameError, near_matches
from immunostat.report import comparison_figures, patient_figures, tables, words
from immunostat.report.plate import Plate
from immunostat.study import one_patient
from immunostat.study.compare import compare_results
from immunostat.study.result import open_result

PATH = "/results/"

#: Files of a folder that can be downloaded.
ENDINGS = (".yaml", ".json", ".csv", ".parquet", ".bib", ".html", ".svg", ".png")

#: Bytes of a folder that is packed into one file.
MOST_PACKED = 400 * 2**20

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,120}")


@dataclass(frozen=True)
class Folder:
    """A result folder in the list."""

    name: str
    title: str
    situation: str
    started: str
    patients: str


def listed(bench: Workbench, query: str) -> str:
    """The page that lists result folders, and compares two of them."""
    folders = list(_folders(bench.results))
    chosen = Address(query).all("compare")
    names = [folder.name for folder in folders]
    comparison = None
    if len(chosen) > 2:
        raise InputError("two results are compared", remedy="choose two")
    if len(chosen) == 2:
        for name in chosen:
            path(bench, name)
        comparison = _compared(bench, chosen[0], chosen[1])
    same = of_folders(*(_shown(bench, own) for own in chosen)) if comparison else SameAs(
        "", "ls results", "import immunostat as im\n\nresult = im.open_result(\"results/NAME\")\n"
    )  # fmt: skip
    return frame.page(
        "results.html", PATH, "Results", folders=folders, names=names, chosen=chosen,
        comparison=comparison, where=bench.results.name, same=same,
    )  # fmt: skip


def opened(bench: Workbench, name: str) -> str:
    """The page of one result.

    Raises
    ------
    InputError
        There is no such result, or it is damaged.
    """
    folder = path(bench, name)
    result = open_result(folder)
    figures = sorted(path.stem for path in (folder / "figures").glob("*.svg"))
    files = sorted(path.name for path in folder.iterdir() if path.suffix in ENDINGS)
    efficacy, harm = _cells(tables.efficacy(result)), _cells(tables.harm(result))
    return frame.page(
        "result.html",
        PATH,
        str(result.study.get("title") or name),
        name=name,
        study=result.study,
        run=result.run,
        figures=figures,
        files=files,
        parts=[("Benefit", *efficacy), ("Harm", *harm)],
        has_report=(folder / "report.html").is_file(),
        same=of_folder(_shown(bench, name)),
    )


def one(bench: Workbench, name: str, query: str) -> str:
    """The page of one virtual patient of a result.

    Raises
    ------
    InputError
        There is no such result or patient.
    """
    result = open_result(path(bench, name))
    numbers = sorted({int(n) for n in result.rows("patients", ["patient"])["patient"]})
    number = Address(query).whole("patient", numbers[0], 0, 2**53)
    patient = result.patient(min(numbers, key=lambda own: (abs(own - number), own)))
    standing = one_patient.standing(one_patient.people(result), patient.number)
    plates = [
        Plate(
            "patient",
            "who",
            patient_figures.strips(standing, patient.number),
            "Each number of this patient among those of all: the dot is this patient.",
        )
    ]
    if len(result.bands) and len(patient.trajectories):
        plates.append(
            Plate(
                "patient",
                "courses",
                patient_figures.courses(result, patient),
                "The course of this patient under every arm.",
            )
        )
    outcomes = one_patient.outcomes(result, patient.number)
    rows = [
        (row["endpoint"], [_outcome(row[arm], bool(row["is_share"])) for arm in result.arms])
        for row in outcomes.to_dict("records")
    ]
    at = numbers.index(patient.number)
    return frame.page(
        "result_patient.html",
        PATH,
        f"Patient {patient.number}",
        name=name,
        number=patient.number,
        before=numbers[at - 1],
        after=numbers[(at + 1) % len(numbers)],
        n=len(numbers),
        arms=result.arms,
        rows=rows,
        drawn=[bench.figures.draw(plate) for plate in plates],
        same=SameAs(
            "",
            f"immunostat patient {_shown(bench, name)} {patient.number}",
            "import immunostat as im\n\n"
            f"result = im.open_result({_shown(bench, name)!r})\n"
            f"result.patient({patient.number})\n",
        ),
    )


def _outcome(value: float, is_share: bool) -> str:
    if value != value:
        return words.NO_VALUE
    return ("yes" if value else "no") if is_share else words.number(value)


def file(bench: Workbench, name: str, inside: str) -> Path:
    """A file of a result folder.

    Raises
    ------
    InputError
        There is none of that name that may be read.
    """
    folder = path(bench, name).resolve()
    found = (folder / inside).resolve()
    if not found.is_relative_to(folder) or found.suffix not in ENDINGS or not found.is_file():
        raise UnknownNameError(f"result '{name}' has no file '{inside}'")
    return found


def packed(bench: Workbench, name: str) -> bytes:
    """A whole result folder as one ZIP file.

    Raises
    ------
    InputError
        It is too large.
    """
    folder = path(bench, name)
    files = [own for own in sorted(folder.rglob("*")) if own.is_file() and not own.is_symlink()]
    size = sum(own.stat().st_size for own in files)
    if size > MOST_PACKED:
        raise InputError(
            f"this folder has {size / 2**20:,.0f} MiB", remedy="copy it from the folder of results"
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for own in files:
            archive.write(own, f"{name}/{own.relative_to(folder).as_posix()}")
    return buffer.getvalue()


def path(bench: Workbench, name: str) -> Path:
    """The folder of a name in the folder of results, and nowhere else."""
    known = [own.name for own in _folders(bench.results)]
    if not _NAME.fullmatch(name) or name not in known:
        raise UnknownNameError(f"there is no result '{name}'", remedy=near_matches(name, known))
    return bench.results / name


def names(bench: Workbench) -> list[str]:
    """Names of all result folders, the newest first."""
    return [folder.name for folder in _folders(bench.results)]


def _shown(bench: Workbench, name: str) -> str:
    return f"{bench.results.name}/{name}"


def _folders(results: Path) -> Iterator[Folder]:
    """Every complete result folder, the newest first."""
    if not results.is_dir():
        return
    found = [own for own in results.iterdir() if (own / "run.json").is_file()]
    found = [own for own in found if _NAME.fullmatch(own.name) and not own.is_symlink()]
    for own in sorted(found, key=lambda own: -(own / "run.json").stat().st_mtime):
        try:
            run = json.loads((own / "run.json").read_text(encoding="utf-8"))
            study = _head(own / "study.yaml")
        except (OSError, ValueError):
            continue
        yield Folder(
            own.name,
            study.get("title", own.name),
            study.get("situation", ""),
            str(run.get("started", ""))[:16].replace("T", " "),
            study.get("patients", ""),
        )


def _head(path: Path) -> dict[str, str]:
    """A few keys of a resolved study, without reading all of it as YAML."""
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines()[:40]:
        key, colon, value = line.strip().partition(": ")
        if colon and key in ("title", "situation", "patients") and key not in found:
            found[key] = value.strip("'\"")
    return found


@dataclass(frozen=True)
class Comparison:
    """Two results side by side."""

    first: str
    other: str
    differs: list[tuple[str, str, str]]
    columns: list[str]
    rows: list[list[str]]
    n_pairs: int
    left_out: tuple[str, ...]
    figure: str


def _compared(bench: Workbench, first: str, other: str) -> Comparison:
    """What differs in the question and in the answer."""
    compared = compare_results(open_result(path(bench, first)), open_result(path(bench, other)))
    table = compared.endpoints.assign(result=other)
    last = table[table["time_day"] == table["time_day"].max()]
    last = last[~last["endpoint"].astype(str).str.endswith(" concentration")]
    rows = [
        [
            str(row["endpoint"]), str(row["arm"]), f"{row['first']:.4g}", f"{row['other']:.4g}",
            f"{row['difference']:+.4g}", f"{row['low']:.3g} to {row['high']:.3g}",
            "yes" if row["is_beyond"] else "no",
        ]
        for row in last.to_dict("records")
    ]  # fmt: skip
    figure = ""
    if len(last):
        drawn = bench.figures.draw(
            Plate("compared", "comparison", comparison_figures.compared(last, first),
                  f"Difference of {other} from {first}, with 95 % intervals.")
        )  # fmt: skip
        figure = str(drawn.html)
    differs = [
        (str(row["key"]), str(row["first"])[:80], str(row["other"])[:80])
        for row in compared.study.to_dict("records")
    ]
    columns = ["Endpoint", "Arm", first, other, "Difference", "95 % interval", "Beyond chance"]
    return Comparison(
        first, other, differs, columns, rows, compared.n_pairs, tuple(compared.left_out), figure
    )


def _cells(table: pd.DataFrame) -> tuple[list[str], list[list[list[str]]]]:
    """Columns, and rows of cells of lines."""
    rows = [[str(cell).split("\n") for cell in row] for row in table.itertuples(index=False)]
    return [str(name) for name in table.columns], rows

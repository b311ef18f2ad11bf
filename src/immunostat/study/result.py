"""The answer of a study, and the folder that holds it: written once, opened again without solving.

A `Result` is a set of tidy tables (`TABLES` says what each column means), one labeled array of
trajectories, and three small records: the resolved study, the run, and the sources.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import xarray as xr
import yaml
import zarr.codecs

from immunostat.base.errors import InputError, Place, UnknownNameError, near_matches, shown_path
from immunostat.study.later import (
    GROUP_ROWS,
    Later,
    Where,
    chosen,
    in_parquet,
    write_csv,
    write_parquet,
)
from immunostat.study.result_tables import TABLES
from immunostat.study.store import writing

FORMAT = 1
"""Version of the folder's layout, kept in ``run.json``; a higher one than this is refused."""

CHUNK_BYTES = 2**20
"""Size of a piece of an array on disk, so that one patient is read without reading them all."""

MOST_CELLS = 10_000_000
"""Tables with more numbers than this are read from disk when somebody looks at them."""


@dataclass(frozen=True, eq=False)
class Patient:
    """One virtual patient under every arm.

    Parameters
    ----------
    number
        The patient's number.
    arms
        Row of `Result.patients` for each arm that holds the patient; the index is the arm.
    visits, events
        The patient's rows of `Result.visits` and `Result.events`.
    trajectories
        The patient's outputs, dimensions (arm, time).
    """

    number: int
    arms: pd.DataFrame
    visits: pd.DataFrame
    events: pd.DataFrame
    trajectories: xr.Dataset

    def _repr_html_(self) -> str:
        """A table with one column per arm, and the patient's events below it."""
        parts = [
            f"<strong>Virtual patient {self.number}</strong>",
            self.arms.T.to_html(float_format="{:.4g}".format, na_rep="", border=0),
        ]
        if len(self.events):
            columns = ["arm", "time_day", "event", "grade"]
            table = self.events[columns].to_html(index=False, na_rep="", border=0)
            parts.append(f"<div>{escape('What happened')}</div>{table}")
        return "\n".join(parts)


@dataclass(frozen=True, eq=False)
class Result:
    """The answer of a study; `TABLES` says what each column of each table means.

    Parameters
    ----------
    study
        The resolved study: ``title``, ``question`` (may lack), ``situation``, ``population``
        (``name``, ``title``, ``patients``, ``seed``), ``background`` (lines), ``arms``
        (arm -> regimen lines), ``duration_day``, ``visit_days``, ``endpoints``,
        ``side_effects``, ``compare_with``, and whatever else the study says.
    endpoints, side_effects, comparison
        One row per arm and estimate, with 95 % intervals; published values beside predicted.
    disease_events, event_curves
        How often each event of the disease came, and curves of it over time.
    patients, visits, events
        One row per arm and patient, per visit (a column for each score), per event.
    parameters
        One row per patient: the parameters of the joined model in which patients differ.
    actions
        One row for each thing that a rule of the trial did to a patient.
    analyses, replicates, power, interim, dose_response
        What the trial concludes: comparisons of arms, the same in every whole trial, what that
        shows of the design, where trials stop, how the effect follows the dose.
    bands, profile
        Spread over patients in time, and which part of the immune response goes up or down.
    assumptions
        Every assumed or unchecked number that the result rests on.
    sources
        Records with ``key``, ``text`` (one readable citation), ``bibtex`` and ``url``.
    run
        ``version``, ``seed``, ``method``, ``tolerance``, ``host`` (``cpu``, ``cores``, ...),
        ``timings`` (stage -> s), ``patients_per_second``, ``failed`` (cause -> count),
        ``catalog_hash``, ``started``.
    trajectories
        One variable per output, dimensions (arm, patient, time), time in day; each with
        ``units`` and ``long_name``. Kept on disk as 32-bit numbers (7 digits, more than any
        solver tolerance in use asks for).
    """

    study: dict[str, Any]
    endpoints: pd.DataFrame = field(default_factory=TABLES["endpoints"].empty)
    side_effects: pd.DataFrame = field(default_factory=TABLES["side_effects"].empty)
    disease_events: pd.DataFrame = field(default_factory=TABLES["disease_events"].empty)
    event_curves: pd.DataFrame = field(default_factory=TABLES["event_curves"].empty)
    patients: pd.DataFrame = field(default_factory=TABLES["patients"].empty)
    events: pd.DataFrame = field(default_factory=TABLES["events"].empty)
    visits: pd.DataFrame = field(default_factory=TABLES["visits"].empty)
    parameters: pd.DataFrame = field(default_factory=TABLES["parameters"].empty)
    actions: pd.DataFrame = field(default_factory=TABLES["actions"].empty)
    analyses: pd.DataFrame = field(default_factory=TABLES["analyses"].empty)
    replicates: pd.DataFrame = field(default_factory=TABLES["replicates"].empty)
    power: pd.DataFrame = field(default_factory=TABLES["power"].empty)
    interim: pd.DataFrame = field(default_factory=TABLES["interim"].empty)
    dose_response: pd.DataFrame = field(default_factory=TABLES["dose_response"].empty)
    bands: pd.DataFrame = field(default_factory=TABLES["bands"].empty)
    profile: pd.DataFrame = field(default_factory=TABLES["profile"].empty)
    comparison: pd.DataFrame = field(default_factory=TABLES["comparison"].empty)
    assumptions: pd.DataFrame = field(default_factory=TABLES["assumptions"].empty)
    sources: list[dict[str, str]] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)
    trajectories: xr.Dataset = field(default_factory=xr.Dataset)

    def __post_init__(self) -> None:
        for name, table in TABLES.items():
            own = vars(self)[name]
            if isinstance(own, pd.DataFrame) and own.shape == (0, 0):
                object.__setattr__(self, name, table.empty())

    def __getattribute__(self, name: str) -> Any:
        # A table of millions of rows is read when somebody looks at it.
        value = object.__getattribute__(self, name)
        if isinstance(value, Later):
            value = value.read()
            object.__setattr__(self, name, value)
        return value

    def rows(
        self, table: str, columns: Sequence[str] | None = None, where: Where | None = None
    ) -> pd.DataFrame:
        """Some columns and rows of a table, without reading the rest of a large one.

        Parameters
        ----------
        table
            Name, as in `TABLES`.
        columns
            Names of columns; None for all.
        where
            Which rows, such as ``("patient", "==", 12)`` or ``("status", "!=", "ok")``.
        """
        own = vars(self)[table]
        if isinstance(own, Later):
            return own.read(columns, where)
        return chosen(own, columns, where)

    @property
    def arms(self) -> list[str]:
        """Names of the arms, in the order of the study."""
        return [str(arm) for arm in self.study.get("arms", {})]

    def patient(self, number: int) -> Patient:
        """One virtual patient under every arm that holds the patient.

        Raises
        ------
        UnknownNameError
            No arm holds a patient of that number.
        """
        own: Where = ("patient", "==", number)
        rows = self.rows("patients", where=own)
        if rows.empty:
            numbers = self.rows("patients", ["patient"])["patient"]
            span = f"{numbers.min():.0f} to {numbers.max():.0f}" if len(numbers) else "none"
            raise UnknownNameError(f"no virtual patient {number}", remedy=f"patients: {span}")
        outputs = self.trajectories
        if "patient" in outputs.dims:
            held = np.asarray(outputs["patient"]) == number
            outputs = outputs.isel(patient=held).squeeze("patient") if held.any() else xr.Dataset()
        return Patient(
            number,
            rows.drop(columns="patient").set_index("arm"),
            self.rows("visits", where=own).reset_index(drop=True),
            self.rows("events", where=own).reset_index(drop=True),
            outputs,
        )

    def __repr__(self) -> str:
        count = self.rows("patients", ["patient"])["patient"].nunique()
        return f"Result({self.study.get('title', '')!r}: {len(self.arms)} arms, {count} patients)"


def write(result: Result, folder: Path | str) -> Path:
    """Write the result folder; what else the folder holds is left alone.

    Everything is written into a temporary folder inside, then moved into place; ``run.json`` is
    taken away first and put back last, so that a folder that has it is complete. Equal results
    give equal bytes, but for ``run.json``. The pages and figures of an earlier result go.

    Parameters
    ----------
    result
        What to write. Columns that `TABLES` requires must be there.
    folder
        Made if missing.

    Returns
    -------
    The folder.

    Raises
    ------
    InputError
        A table lacks a column, the folder's name is that of a file, or it cannot be written.
    """
    folder = Path(folder)
    for name in TABLES:
        table = vars(result)[name]
        if isinstance(table, pd.DataFrame):
            _require_columns(table, name, TABLES[name].file)
    if folder.exists() and not folder.is_dir():
        raise InputError("is a file, so no folder can be made", Place(shown_path(folder)))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(".writing-*"):  # of a run that was killed while it wrote
            shutil.rmtree(stale, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
        try:
            _write_parts(result, part)
            for old in ("run.json", "report.html", "figures"):
                _remove(folder / old)
            for item in sorted(part.iterdir(), key=lambda item: item.name == "run.json"):
                _remove(folder / item.name)
                item.rename(folder / item.name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def open_result(folder: Path | str) -> Result:
    """Open a result folder; trajectories are read from disk only when looked at.

    Raises
    ------
    InputError
        The folder is not a result, is not complete, or a file in it is damaged.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise InputError(
            "is not a result folder (it has no run.json)" if folder.is_dir() else "does not exist",
            Place(shown_path(folder)),
            "immunostat run STUDY -o FOLDER makes one; a run that was cut short leaves none.",
        )
    with _reading(folder / "run.json") as path:
        run = json.loads(path.read_text(encoding="utf-8"))
        layout = run.pop("format")
    if layout > FORMAT:
        raise InputError(
            f"was written by a newer version (layout {layout}, this one reads {FORMAT})",
            Place(shown_path(folder / "run.json")),
            "Update immunostat to open it.",
        )
    with _reading(folder / "study.yaml") as path:
        study = yaml.safe_load(path.read_text(encoding="utf-8"))
        study["arms"] = study.get("arms") or {}
    with _reading(folder / "sources.csv") as path:
        listed = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
    with _reading(folder / "sources.bib") as path:
        entries = _bibtex_entries(path.read_text(encoding="utf-8"))
    sources = [
        {str(k): str(v) for k, v in one.items()} | {"bibtex": entries.get(str(one["key"]), "")}
        for one in listed
    ]
    with _reading(folder / "trajectories.zarr") as path:
        trajectories = xr.open_zarr(path, chunks=None, consolidated=False)
        outputs = trajectories.attrs.pop("outputs", list(trajectories.data_vars))
        trajectories = trajectories[outputs]
        if "arm" in trajectories.coords:
            names = [str(arm) for arm in trajectories["arm"].values]
            trajectories = trajectories.assign_coords(arm=names)
    tables: dict[str, Any] = {name: _read_table(folder, name) for name in TABLES}
    return Result(study=study, sources=sources, run=run, trajectories=trajectories, **tables)


def _write_parts(result: Result, part: Path) -> None:
    """Write each file of the folder except the page and its figures."""
    study = yaml.safe_dump(plain(result.study), sort_keys=False, allow_unicode=True, width=100)
    _write_text(part / "study.yaml", study)
    run = json.dumps({"format": FORMAT} | plain(result.run), indent=2, ensure_ascii=False)
    _write_text(part / "run.json", run + "\n")
    for name, table in TABLES.items():
        frame: pd.DataFrame | Later = vars(result)[name]
        parts = frame.parts() if isinstance(frame, Later) else iter([frame])
        write_table = write_csv if table.file.endswith(".csv") else write_parquet
        write_table(_checked(parts, name), part / table.file)
    sources = [{k: one.get(k, "") for k in ("key", "text", "url")} for one in result.sources]
    listed = pd.DataFrame(sources, columns=["key", "text", "url"])
    _write_text(part / "sources.csv", listed.to_csv(index=False, lineterminator="\n"))
    bibtex = [one["bibtex"].strip() for one in result.sources if one.get("bibtex", "").strip()]
    _write_text(part / "sources.bib", "\n\n".join(bibtex) + "\n" if bibtex else "")
    _write_trajectories(result.trajectories, part / "trajectories.zarr")


def _write_trajectories(trajectories: xr.Dataset, path: Path) -> None:
    """Write the arrays in 32 bits and pieces of about a mebibyte, one arm each."""
    sizes = trajectories.sizes
    times = max(1, sizes.get("time", 1))
    patients = max(1, min(sizes.get("patient", 1), CHUNK_BYTES // (4 * times)))
    pieces = {"arm": 1, "patient": patients, "time": times}
    codec = zarr.codecs.BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")
    encoding = {
        name: {
            "dtype": "float32",
            "chunks": tuple(pieces.get(str(dim), sizes[dim]) for dim in array.dims),
            "compressors": (codec,),
        }
        for name, array in trajectories.data_vars.items()
    }
    clean = trajectories.drop_encoding()
    if "arm" in clean.coords:
        # Zarr 3 has a settled layout for text of any length, none for text of a fixed length.
        clean = clean.assign_coords(arm=clean["arm"].astype(object))
    clean = clean.assign_attrs(outputs=[str(name) for name in clean.data_vars])
    clean.to_zarr(path, mode="w", zarr_format=3, consolidated=False, encoding=encoding)


def _checked(parts: Iterator[pd.DataFrame], name: str) -> Iterator[pd.DataFrame]:
    """Parts of a table that has the columns that it must have."""
    for part in parts:
        _require_columns(part, name, TABLES[name].file)
        yield part


def _read_table(folder: Path, name: str) -> pd.DataFrame | Later:
    """Read one table and check its columns; text stays text, an empty number is NaN.

    A large one is read when somebody looks at it.
    """
    table = TABLES[name]
    if table.is_optional and not (folder / table.file).exists():
        return table.empty()
    with _reading(folder / table.file) as path:
        if table.file.endswith(".parquet"):
            about = pq.read_metadata(path)
            names = pd.DataFrame(columns=about.schema.to_arrow_schema().names)
            _require_columns(names, name, shown_path(path))
            if about.num_rows * about.num_columns > MOST_CELLS:
                return in_parquet(path)
            return pd.read_parquet(path, engine="pyarrow")
        if path.stat().st_size > 8 * MOST_CELLS:
            parts = pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=GROUP_ROWS)
            _require_columns(next(parts), name, shown_path(path))
            parts.close()
            return Later(lambda columns, where: _csv_parts(path, name))
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        _require_columns(frame, name, shown_path(path))
        return _typed(frame, name)


def _csv_parts(path: Path, name: str) -> Iterator[pd.DataFrame]:
    """A large table of text, part by part."""
    with pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=GROUP_ROWS) as parts:
        for part in parts:
            yield _typed(part, name)


def _typed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Columns of text as what `TABLES` says that they are."""
    for column, (kind, _) in TABLES[name].columns.items():
        if kind == "number":
            frame[column] = pd.to_numeric(frame[column].where(frame[column] != ""))
        elif kind == "flag":
            frame[column] = frame[column] == "True"
    return frame


def _require_columns(frame: pd.DataFrame, name: str, file: str) -> None:
    """Refuse a table that lacks a column, naming it."""
    missing = [column for column in TABLES[name].columns if column not in frame.columns]
    if missing:
        remedy = near_matches(missing[0], [str(column) for column in frame.columns])
        raise InputError(f"{name} has no column '{missing[0]}'", Place(file), remedy)


class _reading:
    """Turn whatever goes wrong while a file is read into an `InputError` that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        if not self.path.exists():
            raise InputError(
                "is missing from the result folder",
                Place(shown_path(self.path)),
                "Run the study again, or copy the whole folder.",
            )
        return self.path

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is not None and issubclass(kind, Exception) and not issubclass(kind, InputError):
            cause = str(error).splitlines()[0] if str(error) else kind.__name__
            raise InputError(
                f"cannot be read: {cause}",
                Place(shown_path(self.path)),
                "The file is damaged or was edited; run the study again.",
            ) from (error if isinstance(error, BaseException) else None)


def _bibtex_entries(text: str) -> dict[str, str]:
    """Entries of a BibTeX file by key; an entry starts where a line starts with ``@kind{key,``."""
    starts = list(re.finditer(r"^@\w+\s*\{\s*([^,\s]+)\s*,", text, flags=re.MULTILINE))
    ends = [*(match.start() for match in starts), len(text)][1:]
    return {
        match[1]: text[match.start() : end].strip()
        for match, end in zip(starts, ends, strict=False)
    }


def plain(value: Any) -> Any:
    """Value of built-in types only, as YAML and JSON write it; a number that is none is None."""
    match value:
        case Enum():
            return plain(value.value)
        case Mapping():
            return {str(key): plain(entry) for key, entry in value.items()}
        case float() if not math.isfinite(value):
            return None
        case str() | bool() | int() | float() | None:
            return value
        case np.ndarray():
            return plain(value.tolist())
        case np.generic():
            return plain(value.item())
        case list() | tuple() | set() | frozenset() | Iterator():
            return [plain(entry) for entry in value]
    return str(value)


def _write_text(path: Path, text: str) -> None:
    """Write UTF-8 with line feeds on every system."""
    path.write_text(text, encoding="utf-8", newline="\n")


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, if there is one; a link is never followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

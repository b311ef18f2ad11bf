"""Many evaluations of one function, kept on disk piece by piece, so that a cut-off run goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.model.system import FloatArray

#: From factors on parameters to outputs by name: a number, or one value per patient.
Evaluate = Callable[[Mapping[str, float]], Mapping[str, npt.ArrayLike]]

#: Called with the finished and the total number of evaluations, and the name of the stage.
Progress = Callable[[int, int, str], None]

#: Evaluations in one file; so many are lost, at most, when a run is cut off.
ROWS_PER_FILE = 16

#: Numbers that are held in memory at most, 8 bytes each.
MOST_NUMBERS = 100_000_000

_KEY = "asked.json"


@dataclass(frozen=True)
class Evaluated:
    """What came of some evaluations.

    Parameters
    ----------
    outputs
        Names, in the order of the axis.
    values
        NaN where a patient or a whole evaluation failed. Shape (row, output, patient).
    failures
        Why a whole evaluation failed, by row.
    """

    outputs: tuple[str, ...]
    values: FloatArray
    failures: Mapping[int, str]

    @property
    def means(self) -> FloatArray:
        """Mean over the patients who have a value; NaN if none has. Shape (row, output)."""
        known = np.isfinite(self.values)
        n = known.sum(axis=2)
        total = np.where(known, self.values, 0.0).sum(axis=2)
        return np.where(n > 0, total / np.maximum(n, 1), np.nan)


@dataclass(frozen=True)
class Store:
    """Where evaluations are kept.

    Parameters
    ----------
    folder
        Made if missing; nothing else belongs in it.
    key
        Whatever the values depend on: a run goes on only with what was asked before.
    resume
        Whether to go on with what an earlier run has left; else it is removed.
    """

    folder: Path
    key: Mapping[str, Any]
    resume: bool = False


def evaluate_rows(
    evaluate: Evaluate,
    names: Sequence[str],
    factors: FloatArray,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
    stage: str = "evaluations",
) -> Evaluated:
    """Evaluate a function at each row of factors.

    A row that fails with an `InputError` is NaN and noted; the other rows are unharmed. The first
    row must not fail: it says how many patients there are.

    Parameters
    ----------
    names
        Parameters, in the order of the columns.
    factors
        Shape (row, parameter), no unit.
    store
        Keeps finished rows on disk; nothing is kept if None.
    progress
        Told of finished evaluations.

    Raises
    ------
    InputError
        The first row failed, the numbers would not fit into memory, or the store holds something
        else.
    """
    n_rows = len(factors)
    key = _key_text(store.key, names, factors) if store else ""
    if store:
        _open(store, key)
    values: FloatArray | None = None
    failures: dict[int, str] = {}
    outputs: tuple[str, ...] = ()
    for first in range(0, n_rows, ROWS_PER_FILE):
        rows = factors[first : first + ROWS_PER_FILE]
        found = _kept(store.folder, first, len(rows)) if store else None
        if found is None:
            found = _evaluate(evaluate, names, rows, first, outputs, values, progress, n_rows)
            if store:
                _keep(store.folder, first, found)
        if values is None:
            outputs = found.outputs
            size = n_rows * int(np.prod(found.values.shape[1:]))
            if size > MOST_NUMBERS:
                raise InputError(
                    f"{n_rows} evaluations of {found.values.shape[1]} outputs in "
                    f"{found.values.shape[2]} patients do not fit into memory",
                    remedy="ask for fewer samples, patients, arms or endpoints",
                )
            values = np.full((n_rows, *found.values.shape[1:]), np.nan)
        values[first : first + len(rows)] = found.values
        failures.update(found.failures)
        if progress:
            progress(min(first + ROWS_PER_FILE, n_rows), n_rows, stage)
    if values is None:
        raise InputError("there is nothing to evaluate")
    return Evaluated(outputs, values, failures)


def _evaluate(
    evaluate: Evaluate,
    names: Sequence[str],
    rows: FloatArray,
    first: int,
    outputs: tuple[str, ...],
    so_far: FloatArray | None,
    progress: Progress | None,
    n_rows: int,
) -> Evaluated:
    """Evaluate the rows of one file."""
    columns: list[FloatArray | None] = []
    failures: dict[int, str] = {}
    shape = so_far.shape[1:] if so_far is not None else None
    for i, row in enumerate(rows):
        changed = {n: float(f) for n, f in zip(names, row, strict=True) if f != 1.0}
        try:
            found = evaluate(changed)
            one = np.stack([np.atleast_1d(np.asarray(v, np.float64)) for v in found.values()])
        except InputError as error:
            if first + i == 0:
                raise
            failures[first + i] = str(error).splitlines()[0]
            columns.append(None)
        else:
            outputs = outputs or tuple(found)
            shape = shape or one.shape
            columns.append(one)
        if progress:
            progress(first + i + 1, n_rows, "evaluations")
    assert shape is not None  # the first row of all did not fail
    nothing = np.full(shape, np.nan)
    values = np.stack([nothing if one is None else one for one in columns])
    return Evaluated(outputs, values, failures)


def _key_text(key: Mapping[str, Any], names: Sequence[str], factors: FloatArray) -> str:
    """What was asked, as text that is equal if and only if the answers are."""
    design = hashlib.sha256(np.ascontiguousarray(factors, dtype="<f8").tobytes()).hexdigest()
    whole = {**key, "parameters": list(names), "rows": len(factors), "design": design}
    return json.dumps(whole, indent=2, sort_keys=True, default=str) + "\n"


def _open(store: Store, key: str) -> None:
    """Make the folder, or check that what it holds was asked in the same words."""
    asked = store.folder / _KEY
    if store.resume and asked.is_file():
        earlier = json.loads(asked.read_text(encoding="utf-8"))
        now = json.loads(key)
        differs = sorted(name for name in {*earlier, *now} if earlier.get(name) != now.get(name))
        if differs:
            raise InputError(
                f"holds evaluations of something else: {', '.join(differs)} differ",
                Place(shown_path(store.folder)),
                "resume with the same study, options and version, or start anew without --resume",
            )
        return
    if store.folder.is_dir():
        if any(store.folder.iterdir()) and not asked.is_file():
            raise InputError(
                "is not empty and holds no evaluations of this program",
                Place(shown_path(store.folder)),
                "choose another folder with -o",
            )
        shutil.rmtree(store.folder)
    store.folder.mkdir(parents=True)
    asked.write_text(key, encoding="utf-8", newline="\n")


def _file(folder: Path, first: int) -> Path:
    return folder / f"{first:08d}.npy"


def _keep(folder: Path, first: int, found: Evaluated) -> None:
    """Write the rows of one file; a file that is there is complete."""
    note = {
        "outputs": list(found.outputs),
        "failures": {str(k): v for k, v in found.failures.items()},
    }
    _file(folder, first).with_suffix(".json").write_text(json.dumps(note), encoding="utf-8")
    part = folder / ".part.npy"
    np.save(part, found.values, allow_pickle=False)
    os.replace(part, _file(folder, first))


def _kept(folder: Path, first: int, n_rows: int) -> Evaluated | None:
    """Rows that an earlier run has finished; None if it has not, or if they cannot be read."""
    path = _file(folder, first)
    try:
        values = np.load(path, allow_pickle=False)
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        outputs = tuple(str(name) for name in note["outputs"])
        failures = {int(row): str(text) for row, text in note["failures"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if values.ndim != 3 or values.shape[:2] != (n_rows, len(outputs)) or values.dtype != np.float64:
        return None
    return Evaluated(outputs, values, failures)

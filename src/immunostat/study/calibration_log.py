"""Every evaluation of a calibration, one line each on disk, so that a cut-off search goes on.

The log is the state of the search. A search is a function of its seed and of what it was told
before, so it is run again from its beginning and takes from the log what stands there already; this
ends with the same bits as a search that was never cut off. Each line ends with a checksum of itself
and of all lines before it; from a damaged line on, evaluations are made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.study.store import locked, write_whole, writing

#: Version of the layout of the folder.
LAYOUT = 1

#: What parts of the mark are called in messages.
WORDS = {
    "patients": "number of patients",
    "explore": "length of the global search (--explore)",
    "polish": "length of the local search (--polish)",
    "calibration": "name",
}

LOG, MARK = "evaluations.jsonl", "asked.json"


@dataclass(frozen=True)
class Entry:
    """One evaluation.

    Parameters
    ----------
    stage
        What it was for.
    point
        Where, 0 to 1 between the bounds of each number.
    objective
        What is made small.
    values, off_by
        Predictions, NaN where there is none, and misses in standard errors.
    failed_share
        Share of the patient-arms that could not be computed.
    problem
        Why nothing was predicted; empty if something was.
    """

    stage: str
    point: tuple[float, ...]
    objective: float
    values: tuple[float, ...]
    off_by: tuple[float, ...]
    failed_share: float
    problem: str

    def to_json(self) -> str:
        """One line; numbers keep every bit."""
        data = dict(self.__dict__)
        data["values"] = [None if value != value else value for value in self.values]
        return json.dumps(data, ensure_ascii=False, allow_nan=False)


def _entry(text: str) -> Entry:
    data: dict[str, Any] = json.loads(text)
    nan = float("nan")
    return Entry(
        str(data["stage"]),
        tuple(float(x) for x in data["point"]),
        float(data["objective"]),
        tuple(nan if x is None else float(x) for x in data["values"]),
        tuple(float(x) for x in data["off_by"]),
        float(data["failed_share"]),
        str(data["problem"]),
    )


class Log:
    """Evaluations in order, on disk if there is a folder.

    Parameters
    ----------
    folder
        Where they are kept; None keeps them in memory.
    mark
        Whatever they depend on: a folder of another mark is refused.
    is_resumed
        Whether to go on with what is there.
    is_forced
        Whether to remove what is there.

    Raises
    ------
    InputError
        The folder cannot be written, belongs to another calibration, holds one already, or another
        run writes into it.
    """

    def __init__(
        self,
        folder: Path | None,
        mark: Mapping[str, Any],
        is_resumed: bool = False,
        is_forced: bool = False,
    ) -> None:
        self.folder, self.entries, self.n_damaged = folder, list[Entry](), 0
        self._sum, self._next = "", 0
        self._at: dict[tuple[float, ...], Entry] = {}
        if folder is None:
            return
        if folder.exists() and not folder.is_dir():
            raise InputError("the output is a file, not a folder", Place(shown_path(folder)))
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = locked(folder)
            self._open(folder, {"layout": LAYOUT, **mark}, is_resumed, is_forced)

    def _open(self, folder: Path, mark: dict[str, Any], is_resumed: bool, is_forced: bool) -> None:
        log, note = folder / LOG, folder / MARK
        here = Place(shown_path(folder))
        if log.exists() or note.exists():
            if is_forced:
                log.unlink(missing_ok=True)
            elif not is_resumed:
                raise InputError(
                    "a calibration stands here already",
                    here,
                    "go on with --resume, begin anew with --force, or choose another folder "
                    "with -o",
                )
            else:
                _require(note, mark, here)
        elif is_resumed:
            raise InputError("there is no calibration to go on with", here, "leave --resume out")
        elif any(path.name != "lock" for path in folder.iterdir()):
            raise InputError(
                "the folder holds something else", here, "choose an empty or a new folder with -o"
            )
        write_whole(note, (json.dumps(mark, indent=2, ensure_ascii=False) + "\n").encode())
        if log.exists():
            self._read(log)
        self._file = log

    def _read(self, log: Path) -> None:
        """Take every whole line, and cut the file off behind the last of them."""
        kept, lines = 0, log.read_bytes().splitlines(keepends=True)
        for line in lines:
            text, _, own = line.decode("utf-8", "replace").rstrip("\n").rpartition("\t")
            found = _chained(self._sum, text)
            if own != found or not line.endswith(b"\n"):
                break
            try:
                entry = _entry(text)
            except (ValueError, KeyError, TypeError):
                break
            self._sum, kept = found, kept + len(line)
            self.entries.append(entry)
        self.n_damaged = len(lines) - len(self.entries)
        if self.n_damaged:
            with log.open("r+b") as stream:
                stream.truncate(kept)

    def evaluation(self, point: tuple[float, ...], evaluate: Callable[[], Entry]) -> Entry:
        """The next evaluation of the search: from the log, from an earlier one here, or made now.

        Raises
        ------
        InputError
            The log goes on with another point.
        """
        if point in self._at:
            return self._at[point]
        if self._next < len(self.entries):
            entry = self.entries[self._next]
            if entry.point != point:
                assert self.folder is not None
                raise InputError(
                    f"evaluation {self._next + 1} here is of another point than the search asks "
                    "for; other versions of numerical libraries may be the cause",
                    Place(shown_path(self.folder / LOG)),
                    "begin anew with --force",
                )
        else:
            entry = evaluate()
            self._append(entry)
        self._next += 1
        self._at[point] = entry
        return entry

    def _append(self, entry: Entry) -> None:
        self.entries.append(entry)
        if self.folder is None:
            return
        text = entry.to_json()
        own = _chained(self._sum, text)
        with writing(self.folder), self._file.open("ab") as stream:
            stream.write(f"{text}\t{own}\n".encode())
            stream.flush()
            os.fsync(stream.fileno())
        self._sum = own

    @property
    def n_done(self) -> int:
        """Evaluations that the search has asked for so far."""
        return self._next


def _chained(before: str, text: str) -> str:
    return hashlib.sha256(f"{before}{text}".encode()).hexdigest()[:16]


def _require(note: Path, mark: Mapping[str, Any], here: Place) -> None:
    """Refuse what belongs to something else."""
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    found = found if isinstance(found, dict) else {}
    for key, value in json.loads(json.dumps(mark)).items():
        if found.get(key) != value:
            raise InputError(
                f"the calibration here had another {WORDS.get(key, key)}",
                here,
                "undo the change to resume it, begin anew with --force, or choose another folder "
                "with -o",
            )

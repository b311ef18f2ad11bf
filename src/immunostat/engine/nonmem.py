"""Data sets in NONMEM's form: read from a file or a table, checked line by line.

The columns are those of the event table that the field shares: ``ID TIME AMT RATE DUR EVID CMT SS
II ADDL``, ``DV MDV``, and any others as covariates; see docs/reference/dosing.md for their meaning.
A file comes from outside: it is bounded in size, no cell is evaluated, and what is wrong is said
with its line.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from immunostat.base.errors import InputError, Place, shown_path

#: Columns with a meaning of their own, in upper case.
STANDARD = (
    "ID", "TIME", "AMT", "RATE", "DUR", "EVID", "CMT", "SS", "II", "ADDL", "DV", "MDV",
)  # fmt: skip

#: Columns that change a dose: bioavailability, lag time, modelled rate and duration; with the
#: number of a compartment they count for doses into it alone.
MODIFIER = re.compile(r"(F|ALAG|LAG|R|D)(\d*)")

MOST_BYTES = 200_000_000
MOST_ROWS = 2_000_000  # some 0.5 kB of memory each
MOST_COLUMNS = 300
MOST_CHARACTERS = 200  # of a cell
MOST_ADDITIONAL = 100_000  # of ADDL

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
_MISSING = frozenset({"", ".", "NA"})


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a data set.

    Parameters
    ----------
    line
        Line of the file, or row of the table, from 1.
    time
        In the model's unit of time.
    event
        EVID: 0 observation, 1 dose, 2 other, 3 reset, 4 reset and dose.
    amount, rate, duration
        AMT, RATE and DUR; 0 where missing.
    compartment
        CMT as written; "" where missing.
    steady, interval, additional
        SS, II and ADDL; 0 where missing.
    modifiers
        By kind (``F``, ``ALAG``, ``R``, ``D``) and compartment ("" for any).
    covariates
        Value of each other column; a missing one is the value before it, or none.
    """

    line: int
    time: float
    event: int
    amount: float = 0.0
    rate: float = 0.0
    duration: float = 0.0
    compartment: str = ""
    steady: int = 0
    interval: float = 0.0
    additional: int = 0
    modifiers: dict[tuple[str, str], float] = field(default_factory=dict)
    covariates: dict[str, float] = field(default_factory=dict)

    @property
    def is_dose(self) -> bool:
        """Whether something is given."""
        return self.event in (1, 4)

    @property
    def is_reset(self) -> bool:
        """Whether the system starts anew."""
        return self.event in (3, 4)


@dataclass(frozen=True)
class EventTable:
    """A checked data set.

    Parameters
    ----------
    patients
        Labels in order of appearance; whole numbers where the file has them.
    records
        Records of each patient, in order of time. Length (patient,).
    covariates
        Names of the columns that are no standard ones, as the file writes them.
    source
        File, or "the table of doses".
    texts
        Line of the first cell that is no number, of covariates that have one.
    """

    patients: pd.Index
    records: tuple[tuple[Record, ...], ...]
    covariates: tuple[str, ...]
    source: str
    texts: dict[str, int] = field(default_factory=dict)

    def place(self, record: Record) -> Place:
        """Where a record stands."""
        return Place(self.source, record.line)

    @property
    def observation_times(self) -> list[float]:
        """Times of all records with EVID 0, each once, ascending."""
        return sorted({r.time for own in self.records for r in own if r.event == 0})


def read_events(path: str | Path) -> EventTable:
    """Read a data set in NONMEM's form.

    Parameters
    ----------
    path
        Text with a header line; cells separated by commas, semicolons, tabs or blanks. Missing is
        ``.``, ``NA`` or nothing. Lines that start with ``#``, and lines with anything but ``.`` in
        a column ``C``, are comments.

    Raises
    ------
    InputError
        The file is too large or not text, or a line is wrong; the message names the line.

    Examples
    --------
    >>> table = read_events("docs/examples/doses.csv")
    >>> [len(own) for own in table.records]
    [4, 3]
    """
    shown, file = shown_path(path), Path(path)
    try:
        size = file.stat().st_size
    except OSError as error:
        raise InputError("cannot be read", Place(shown), str(error.strerror)) from None
    if size > MOST_BYTES:
        raise InputError(
            f"has {size} bytes; at most {MOST_BYTES} are read", Place(shown), "Split the file."
        )
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            return _table(shown, _lines(shown, text))
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", Place(shown)) from None
    except OSError as error:
        raise InputError("cannot be read", Place(shown), str(error.strerror)) from None


def events_of_frame(frame: pd.DataFrame, source: str = "the table of doses") -> EventTable:
    """A data set from a table with the same columns; rows count as lines, from 1."""
    header = [str(column) for column in frame.columns]
    cells = frame.astype(object).where(frame.notna(), "").to_numpy()

    def rows() -> Iterator[tuple[int, list[str]]]:
        yield 0, header
        for number, row in enumerate(cells, 1):
            yield number, [_shown(cell) for cell in row]

    return _table(source, rows())


def _shown(cell: object) -> str:
    if isinstance(cell, bool):
        return str(int(cell))
    return repr(float(cell)) if isinstance(cell, float) else str(cell)


def _lines(shown: str, text: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line that is no comment."""
    separator: str | None = None
    is_blank = False
    for number, line in enumerate(text, 1):
        if not line.strip() or line.startswith("#"):
            continue
        if number > MOST_ROWS:
            raise InputError(f"has more than {MOST_ROWS} lines", Place(shown, number))
        if separator is None and not is_blank:
            separator = next((mark for mark in ",;\t" if mark in line), None)
            is_blank = separator is None
        if is_blank:
            cells = line.split()
        else:
            try:
                cells = next(csv.reader([line], delimiter=separator or ",", strict=True))
            except csv.Error as error:
                raise InputError(
                    f"cannot be split into cells: {error}", Place(shown, number)
                ) from None
        yield number, [cell.strip() for cell in cells]


def _table(source: str, rows: Iterator[tuple[int, list[str]]]) -> EventTable:
    first = next(rows, None)
    if first is None:
        raise InputError("is empty", Place(source), "The first line names the columns.")
    header = _Header(source, first[0], first[1])
    labels: list[str] = []
    records: list[list[Record]] = []
    seen: set[str] = set()
    for line, cells in rows:
        place = Place(source, line)
        if len(cells) != len(header.names):
            raise InputError(f"has {len(cells)} cells; the header has {len(header.names)}", place)
        if header.is_comment(cells):
            continue
        label = header.label(cells)
        if not labels or label != labels[-1]:
            if label in seen:
                raise InputError(
                    f"patient '{label}' comes again after another", place, "Sort the lines by ID."
                )
            seen.add(label)
            labels.append(label)
            records.append([])
        own = records[-1]
        record = header.record(place, line, cells, own[-1] if own else None)
        if own and record.time < own[-1].time:
            raise InputError(
                f"time {record.time:g} of patient '{label}' is before {own[-1].time:g}",
                place,
                "Times go on after a reset, too; count them from the patient's first line.",
            )
        own.append(record)
    if not labels:
        raise InputError("has no lines but the header", Place(source))
    patients = pd.Index([_label(label) for label in labels])
    return EventTable(
        patients, tuple(map(tuple, records)), tuple(header.covariates), source, header.texts
    )


def _label(text: str) -> int | str:
    """A whole number where the label is one, else the text."""
    if _NUMBER.fullmatch(text):
        value = float(text.replace("d", "e").replace("D", "e"))
        if value == int(value):
            return int(value)
    return text


class _Header:
    """Where each column stands, and how its cells are read."""

    def __init__(self, source: str, line: int, names: Sequence[str]) -> None:
        place = Place(source, line or None)
        if len(names) > MOST_COLUMNS:
            raise InputError(f"has {len(names)} columns; at most {MOST_COLUMNS}", place)
        self.names = list(names)
        self.standard: dict[str, int] = {}
        self.modifiers: dict[tuple[str, str], int] = {}
        self.covariates: dict[str, int] = {}
        self.comment: int | None = None
        self.texts: dict[str, int] = {}
        for index, name in enumerate(self.names):
            upper = name.upper()
            known = {n.upper() for n in self.names[:index]}
            if not name or upper in known:
                raise InputError(f"column {index + 1} has no name or one twice: '{name}'", place)
            match = MODIFIER.fullmatch(upper)
            if upper in STANDARD:
                self.standard[upper] = index
            elif upper == "C":
                self.comment = index
            elif match:
                kind = "ALAG" if match[1] == "LAG" else match[1]
                self.modifiers[kind, match[2]] = index
            else:
                self.covariates[name] = index
        if "TIME" not in self.standard:
            raise InputError("lacks the column TIME", place)

    def is_comment(self, cells: Sequence[str]) -> bool:
        """Whether the column C marks a line as one to leave out."""
        return self.comment is not None and cells[self.comment] not in _MISSING

    def label(self, cells: Sequence[str]) -> str:
        """Patient of a line; a data set without ID is one patient."""
        index = self.standard.get("ID")
        if index is None:
            return "1"
        text = cells[index]
        # 1, 1.0 and 1e0 are one patient
        return str(_label(text))

    def record(self, place: Place, line: int, cells: Sequence[str], last: Record | None) -> Record:
        """Record of a line, checked."""

        def get(name: str) -> float:
            index = self.standard.get(name)
            return 0.0 if index is None else _number(cells[index], name, place, 0.0)

        def whole(name: str, allowed: Sequence[int]) -> int:
            value = get(name)
            if value not in allowed:
                shown = (
                    f"one of {', '.join(map(str, allowed))}"
                    if len(allowed) < 9
                    else (f"a whole number from {allowed[0]} to {allowed[-1]}")
                )
                raise InputError(f"{name} is {value:g}; expected {shown}", place)
            return int(value)

        time = _number(cells[self.standard["TIME"]], "TIME", place, None)
        compartment = cells[self.standard["CMT"]] if "CMT" in self.standard else ""
        modifiers = dict(last.modifiers) if last else {}
        for key, index in self.modifiers.items():
            if cells[index] not in _MISSING:
                modifiers[key] = _number(cells[index], "".join(key), place, None)
        covariates = dict(last.covariates) if last else {}
        for name, index in self.covariates.items():
            if _NUMBER.fullmatch(cells[index]):
                covariates[name] = _number(cells[index], name, place, None)
            elif cells[index] not in _MISSING:
                self.texts.setdefault(name, line)
        if last and covariates == last.covariates:
            covariates = last.covariates  # one record of many: they share it
        if last and modifiers == last.modifiers:
            modifiers = last.modifiers
        amount, rate = get("AMT"), get("RATE")
        has_event = "EVID" in self.standard and cells[self.standard["EVID"]] not in _MISSING
        event = whole("EVID", (0, 1, 2, 3, 4)) if has_event else int(amount != 0 or rate != 0)
        steady = whole("SS", (0, 1, 2, 3))
        record = Record(
            line, time, event, amount, rate, get("DUR"),
            "" if compartment in _MISSING else _plain(compartment),
            1 if steady == 3 else steady, get("II"),
            whole("ADDL", range(MOST_ADDITIONAL + 1)), modifiers, covariates,
        )  # fmt: skip
        _check(record, place)
        return record


def _plain(compartment: str) -> str:
    """A compartment's number without decimals, or its name."""
    label = _label(compartment)
    return str(label)


def _number(text: str, name: str, place: Place, missing: float | None) -> float:
    if text in _MISSING and missing is not None:
        return missing
    if len(text) > MOST_CHARACTERS or not _NUMBER.fullmatch(text):
        hint = "Times are numbers in the model's unit, not clock times." if ":" in text else None
        raise InputError(f"{name} is '{text[:40]}'; expected a number", place, hint)
    value = float(text.replace("d", "e").replace("D", "e"))
    if not math.isfinite(value):
        raise InputError(f"{name} is '{text[:40]}', too large for a number", place)
    return value


def _check(record: Record, place: Place) -> None:
    """What cannot be meant is refused, not repaired."""
    if not record.is_dose:
        if record.amount or record.rate > 0 or record.steady or record.additional:
            kind = {0: "an observation", 2: "an other-type event", 3: "a reset"}[record.event]
            raise InputError(
                f"{kind} (EVID {record.event}) has AMT, RATE, SS or ADDL",
                place,
                "A dose has EVID 1, a reset with a dose EVID 4.",
            )
        return
    if record.amount < 0 or record.duration < 0 or record.interval < 0:
        raise InputError("AMT, DUR or II is negative", place)
    if record.rate < 0 and record.rate not in (-1.0, -2.0):
        raise InputError(
            f"RATE is {record.rate:g}", place,
            "A rate is positive; -1 takes it from a column R, -2 the duration from a column D.",
        )  # fmt: skip
    if record.rate and record.duration:
        raise InputError("a dose has both RATE and DUR", place, "One follows from the other.")
    is_endless = record.amount == 0 and record.rate != 0 and record.steady
    if record.amount == 0 and not is_endless:
        raise InputError("a dose has AMT 0", place, "Only a steady infusion (SS, RATE, II 0) may.")
    if is_endless and (record.interval or record.additional or record.rate == -2.0):
        raise InputError("a steady infusion (AMT 0) has II, ADDL or RATE -2", place)
    if (record.steady or record.additional) and not record.interval and not is_endless:
        raise InputError("SS or ADDL needs the interval II", place)

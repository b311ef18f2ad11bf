"""One chunk as one file: an uncompressed NumPy archive (.npz) whose arrays are read one by one.

Numbers are kept in the narrowest type that gives the same bits back, and their own type is noted in
the archive. Nothing in it is pickled. Any NumPy opens it.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, Place, shown_path

AnyArray = npt.NDArray[Any]

#: Largest size of one array of a chunk that is read back; the file is untrusted.
MOST_BYTES = 2**32

#: Kinds of arrays that a chunk holds.
KINDS = ("columns", "logs", "sums")

#: What an archive holds besides arrays.
META = "meta"

_NARROWER: Mapping[np.dtype[Any], tuple[np.dtype[Any], ...]] = {
    np.dtype(np.float64): (np.dtype(np.float16), np.dtype(np.float32)),
    np.dtype(np.int64): (np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32)),
}


@dataclass(frozen=True, eq=False)
class Chunk:
    """What is kept of a block of candidates.

    Parameters
    ----------
    columns
        One value or row per patient who entered. Each with first axis (patient,).
    logs
        One value per thing that happened; ``.../row`` holds the patient's row in the chunk.
    sums
        Arrays that add up over chunks.
    meta
        Plain numbers, texts and lists: the number of candidates, reasons, failures.
    """

    columns: Mapping[str, AnyArray]
    logs: Mapping[str, AnyArray] = field(default_factory=dict)
    sums: Mapping[str, AnyArray] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_patients(self) -> int:
        """Number of patients who entered."""
        return int(self.meta["patients"])


def write_archive(stream: IO[bytes], chunk: Chunk) -> None:
    """Write a chunk; equal chunks give equal bytes."""
    arrays, own_types = {}, {}
    for kind in KINDS:
        for name, values in getattr(chunk, kind).items():
            kept = np.asarray(narrowed(values), order="C")
            arrays[f"{kind}:{name}"] = kept
            if kept.dtype != values.dtype:
                own_types[f"{kind}:{name}"] = values.dtype.str
    record = json.dumps({"meta": chunk.meta, "types": own_types})
    arrays[META] = np.frombuffer(record.encode(), dtype=np.uint8)
    np.savez(stream, allow_pickle=False, **arrays)


def narrowed(values: AnyArray) -> AnyArray:
    """The same numbers in the narrowest type that gives their bits back.

    Examples
    --------
    >>> narrowed(np.array([0.0, 1.0, np.nan])).dtype, narrowed(np.array([0.1])).dtype
    (dtype('float16'), dtype('float64'))
    """
    if values.dtype.kind == "U" and values.size:
        length = max(1, int(np.strings.str_len(values).max()))
        try:
            return values.astype(f"S{length}")
        except UnicodeEncodeError:
            return values.astype(f"U{length}")
    for narrow in _NARROWER.get(values.dtype, ()):
        # The first values tell quickly that most columns need all their bits.
        if _fits(values.reshape(-1)[:64], narrow) and _fits(values, narrow):
            return values.astype(narrow)
    return values


def _fits(values: AnyArray, narrow: np.dtype[Any]) -> bool:
    """Whether a narrower type gives the same bits back, also those of -0.0 and of a NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        again = values.astype(narrow).astype(values.dtype)
    bits = np.dtype(np.int64)
    own = np.ascontiguousarray(values)
    return bool(np.array_equal(again.view(bits), own.view(bits)))


@dataclass(frozen=True)
class _Array:
    """Where an array lies in an archive."""

    offset: int
    shape: tuple[int, ...]
    kept: np.dtype[Any]
    own: np.dtype[Any]


class _Arrays(Mapping[str, AnyArray]):
    """Arrays of one kind in an archive, read when they are asked for."""

    def __init__(self, file: Path, arrays: dict[str, _Array]) -> None:
        self._file, self._arrays = file, arrays

    def __getitem__(self, name: str) -> AnyArray:
        where = self._arrays[name]
        count = int(np.prod(where.shape))
        try:
            with self._file.open("rb") as stream:
                stream.seek(where.offset)
                values = np.fromfile(stream, dtype=where.kept, count=count)
        except OSError:
            values = np.empty(0)
        if len(values) != count:
            raise InputError(
                "has changed or gone since this run made it",
                Place(shown_path(self._file)),
                "run again with --resume to remake it",
            )
        return values.astype(where.own, copy=False).reshape(where.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def open_archive(file: Path) -> Chunk:
    """A chunk whose arrays are read when they are asked for; the directory is read once.

    Raises
    ------
    ValueError, KeyError, OSError, zipfile.BadZipFile
        The file is no such archive.
    """
    found: dict[str, _Array] = {}
    record: Any = None
    with zipfile.ZipFile(file) as archive, file.open("rb") as stream:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > MOST_BYTES:
                raise ValueError("an array is compressed or too large")
            name = member.filename.removesuffix(".npy")
            array = _array_at(stream, member)
            if name == META:
                stream.seek(array.offset)
                record = json.loads(stream.read(array.shape[0]).decode())
            else:
                found[sys.intern(name)] = array
    for name, own in record["types"].items():
        array = found[name]
        found[name] = _Array(array.offset, array.shape, array.kept, _number(np.dtype(own)))
    columns, logs, sums = (
        _Arrays(file, {k.partition(":")[2]: v for k, v in found.items() if k.startswith(kind)})
        for kind in KINDS
    )
    return Chunk(columns, logs, sums, record["meta"])


def _array_at(stream: IO[bytes], member: zipfile.ZipInfo) -> _Array:
    """Where the numbers of an array of an archive begin, and what they are."""
    stream.seek(member.header_offset + 26)
    lengths = stream.read(4)
    skipped = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    stream.seek(member.header_offset + 30 + skipped)
    read = np.lib.format.read_array_header_1_0
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array has another layout")
    shape, is_fortran, kept = read(stream)
    size = int(np.prod(shape)) * kept.itemsize
    offset = stream.tell()
    end = member.header_offset + 30 + skipped + member.file_size
    if (is_fortran and len(shape) > 1) or offset + size != end:
        raise ValueError("an array has another layout")
    return _Array(offset, shape, _number(kept), kept)


def _number(kind: np.dtype[Any]) -> np.dtype[Any]:
    """A type of numbers or texts of fixed length; anything else is refused."""
    if kind.kind not in "biufUS" or kind.itemsize == 0:
        raise ValueError("an array holds no numbers")
    return kind

"""Where the finished chunks of a run are kept: in memory, or in a folder that survives the run.

A chunk is a block of candidates after recruitment and simulation: a set of named arrays. In a
folder each chunk is one NumPy archive beside its checksum, written whole under another name and
then renamed, so that a chunk is there complete or not at all. Nothing in it is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, Place, shown_path

AnyArray = npt.NDArray[Any]

#: Version of the layout of a chunk folder.
LAYOUT = 1

#: Largest size of one array of a chunk that is read back; the file is untrusted.
MOST_BYTES = 2**32


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


class Store(Protocol):
    """Chunks by their index."""

    def get(self, index: int) -> Chunk | None:
        """A finished chunk, None if it is not there or damaged."""

    def put(self, index: int, chunk: Chunk) -> None:
        """Keep a finished chunk."""


class MemoryStore:
    """Chunks of a run that is not resumed."""

    def __init__(self) -> None:
        self._chunks: dict[int, Chunk] = {}

    def get(self, index: int) -> Chunk | None:
        """A finished chunk, None if it is not there."""
        return self._chunks.get(index)

    def put(self, index: int, chunk: Chunk) -> None:
        """Keep a finished chunk."""
        self._chunks[index] = chunk


class FolderStore:
    """Chunks in a folder.

    Parameters
    ----------
    folder
        Made if missing.
    mark
        What the chunks depend on, such as the study and the version; a folder of another mark is
        refused.
    is_resumed
        Whether chunks that are there may be used; if not, they are removed.

    Raises
    ------
    InputError
        The folder cannot be written, or holds chunks of another study.
    """

    def __init__(self, folder: Path, mark: Mapping[str, str], is_resumed: bool) -> None:
        self.folder, self.damaged = folder, list[str]()
        self._opened: dict[int, Chunk] = {}
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not is_resumed:
                for file in (*folder.glob("*.npz"), *folder.glob("*.sha256")):
                    file.unlink()
            note = folder / "mark.json"
            if is_resumed and note.exists():
                self._require(note, mark)
            else:
                text = json.dumps({"layout": LAYOUT, **mark}, indent=2) + "\n"
                write_whole(note, text.encode())

    def _require(self, note: Path, mark: Mapping[str, str]) -> None:
        """Refuse chunks that belong to something else."""
        try:
            found = json.loads(note.read_text(encoding="utf-8"))
        except ValueError:
            found = {}
        for name, value in {"layout": LAYOUT, **mark}.items():
            if found.get(name) != value:
                raise InputError(
                    f"the unfinished run here had another {name}",
                    Place(shown_path(self.folder)),
                    "undo the change to resume it, or run without --resume to start anew",
                )

    def _file(self, index: int) -> Path:
        return self.folder / f"{index:06d}.npz"

    def get(self, index: int) -> Chunk | None:
        """A finished chunk; None if it is not there, or damaged, which `damaged` then tells."""
        if index in self._opened:
            return self._opened[index]
        file = self._file(index)
        if not file.exists():
            return None
        try:
            wanted = file.with_suffix(".sha256").read_text(encoding="ascii").strip()
            if _digest(file) != wanted:
                raise ValueError("checksum")
            chunk = _opened(file)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            self.damaged.append(file.name)
            file.unlink(missing_ok=True)
            return None
        self._opened[index] = chunk
        return chunk

    def put(self, index: int, chunk: Chunk) -> None:
        """Write a finished chunk; a folder that is full or read-only is an `InputError`."""
        file = self._file(index)
        arrays = {
            f"{kind}:{name}": values
            for kind in ("columns", "logs", "sums")
            for name, values in getattr(chunk, kind).items()
        }
        arrays["meta"] = np.frombuffer(json.dumps(chunk.meta).encode(), dtype=np.uint8)
        part = file.with_suffix(".part")
        with writing(self.folder):
            try:
                with part.open("wb") as stream:
                    np.savez(stream, allow_pickle=False, **arrays)
                    stream.flush()
                    os.fsync(stream.fileno())
                write_whole(file.with_suffix(".sha256"), _digest(part).encode())
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)


class writing:
    """Turn what goes wrong while a folder is written into an `InputError` that names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if isinstance(error, OSError):
            raise InputError(
                f"cannot be written: {error.strerror or error}",
                Place(shown_path(self.folder)),
                "make room or choose another folder with -o; finished chunks are kept, and "
                "--resume goes on from them",
            ) from error


def write_whole(file: Path, content: bytes) -> None:
    """Write a small file under another name, then rename it: it is there whole or not at all."""
    part = file.with_name(file.name + ".part")
    part.write_bytes(content)
    part.replace(file)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Members(Mapping[str, AnyArray]):
    """Arrays of one kind in an archive, read when they are asked for."""

    def __init__(self, file: Path, kind: str, names: list[str]) -> None:
        self._file, self._kind = file, kind
        self._names = [name.partition(":")[2] for name in names if name.startswith(f"{kind}:")]
        self._known = set(self._names)

    def __getitem__(self, name: str) -> AnyArray:
        if name not in self._known:
            raise KeyError(name)
        with np.load(self._file, allow_pickle=False) as archive:
            values: AnyArray = archive[f"{self._kind}:{name}"]
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _opened(file: Path) -> Chunk:
    """A chunk whose arrays are read when they are asked for."""
    with zipfile.ZipFile(file) as archive:
        if any(member.file_size > MOST_BYTES for member in archive.infolist()):
            raise ValueError("an array is too large")
    with np.load(file, allow_pickle=False) as archive:
        meta = json.loads(archive["meta"].tobytes().decode())
        names = archive.files
    columns, logs, sums = (_Members(file, kind, names) for kind in ("columns", "logs", "sums"))
    return Chunk(columns, logs, sums, meta)


def chunks_of(store: Store, n_chunks: int) -> Iterator[Chunk]:
    """Chunks of a store in order.

    Raises
    ------
    InputError
        One has been lost since it was made.
    """
    for index in range(n_chunks):
        chunk = store.get(index)
        if chunk is None:
            raise InputError(
                f"chunk {index} of the run is lost", remedy="run again with --resume to remake it"
            )
        yield chunk

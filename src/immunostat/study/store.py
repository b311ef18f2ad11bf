"""Where the finished chunks of a run are kept: in memory, or in a folder that survives the run.

In a folder each chunk is one archive beside its checksum, written whole under another name and
then renamed, so that a chunk is there complete or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Protocol

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.study.archive import AnyArray, Chunk, open_archive, write_archive

__all__ = [
    "AnyArray",
    "Chunk",
    "FolderStore",
    "MemoryStore",
    "Store",
    "chunks_of",
    "remove_chunks",
    "spare_store",
    "write_whole",
    "writing",
]

#: Version of the layout of a chunk folder.
LAYOUT = 2

#: What the chunks of a folder depend on.
MARK = "mark.json"

#: Held by the run that writes into a folder.
LOCK = "lock"


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
        The folder cannot be written, holds chunks of another study, or another run writes into it.
    """

    def __init__(self, folder: Path, mark: Mapping[str, str], is_resumed: bool) -> None:
        self.folder, self.damaged = folder, list[str]()
        self._opened: dict[int, Chunk] = {}
        note = folder / MARK
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = locked(folder)
            has_mark = note.exists()
            if is_resumed and has_mark:
                self._require(note, mark)
                _remove(folder, "*.part")
            elif is_resumed and any(folder.glob("*.npz")):
                self._refuse("study")  # nobody knows what they belong to
            else:
                _remove(folder, "*.npz", "*.sha256", "*.part")
                text = json.dumps({"layout": LAYOUT, **mark}, indent=2) + "\n"
                write_whole(note, text.encode())

    def _require(self, note: Path, mark: Mapping[str, str]) -> None:
        """Refuse chunks that belong to something else."""
        try:
            found = json.loads(note.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        found = found if isinstance(found, dict) else {}
        for name, value in {"layout": LAYOUT, **mark}.items():
            if found.get(name) != value:
                self._refuse(name)

    def _refuse(self, name: str) -> None:
        raise InputError(
            f"the unfinished run here had another {name}",
            Place(shown_path(self.folder)),
            "undo the change to resume it, run without --resume but with --force to start anew, "
            "or choose another folder with -o",
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
            chunk = open_archive(file)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            self.damaged.append(file.name)
            with writing(self.folder):
                file.unlink(missing_ok=True)
            return None
        self._opened[index] = chunk
        return chunk

    def put(self, index: int, chunk: Chunk) -> None:
        """Write a finished chunk; a folder that is full or read-only is an `InputError`."""
        file = self._file(index)
        part = file.with_suffix(".part")
        with writing(self.folder):
            try:
                with part.open("wb") as stream:
                    write_archive(stream, chunk)
                    stream.flush()
                    os.fsync(stream.fileno())
                write_whole(file.with_suffix(".sha256"), _digest(part).encode())
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
        self._opened[index] = open_archive(file)


def spare_store() -> FolderStore:
    """Chunks in a temporary folder, which goes when nobody needs them any more."""
    folder = Path(tempfile.mkdtemp(prefix="immunostat-chunks-"))
    store = FolderStore(folder, {}, is_resumed=False)
    weakref.finalize(store, shutil.rmtree, folder, ignore_errors=True)
    return store


def remove_chunks(folder: Path) -> None:
    """Take away what a store left in a folder, and the folder if nothing else is in it."""
    if folder.is_dir():
        _remove(folder, "*.npz", "*.sha256", "*.part", MARK, LOCK)
        if not any(folder.iterdir()):
            folder.rmdir()


def _remove(folder: Path, *patterns: str) -> None:
    for pattern in patterns:
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)


def locked(folder: Path) -> IO[bytes] | None:
    """Hold the folder until the store or its process ends; refuse one that another run holds."""
    try:
        import fcntl
    except ImportError:  # a system without such locks
        return None
    stream = (folder / LOCK).open("wb")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        stream.close()
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return None  # a file system without locks
        raise InputError(
            "another run is writing here",
            Place(shown_path(folder)),
            "wait until it ends, or choose another folder with -o",
        ) from None
    return stream


class writing:
    """Turn what goes wrong while a folder is written into an `InputError` that names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if isinstance(error, OSError):
            is_full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
            act = "make room" if is_full else "allow writing there, or choose another with -o"
            raise InputError(
                f"cannot be written: {error.strerror or error}",
                Place(shown_path(self.folder)),
                f"{act}; finished chunks are kept, and --resume goes on from them",
            ) from error


def write_whole(file: Path, content: bytes) -> None:
    """Write a small file under another name, then rename it: it is there whole or not at all."""
    part = file.with_name(file.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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

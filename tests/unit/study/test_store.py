"""Chunks on disk: what is written is read to the bit, and what is damaged is not used."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from immunostat.base.errors import InputError
from immunostat.study import store as module
from immunostat.study.archive import Chunk, narrowed, write_archive
from immunostat.study.store import FolderStore, chunks_of, remove_chunks, spare_store

MARK = {"study": "a", "version": "1"}


def some_chunk(n: int = 5) -> Chunk:
    """A chunk with every kind of array that a study keeps."""
    random = np.random.default_rng(n)
    binary = np.where(random.random((n, 3)) < 0.5, 1.0, np.nan)
    return Chunk(
        {
            "number": np.arange(n, dtype=np.int64) + 2**40,
            "visit/0/crp": random.normal(size=(n, 3)),
            "endpoint/0/ACR20": binary,
            "turned": np.asfortranarray(random.normal(size=(n, 4))),
            "zeros": np.full(n, -0.0),
        },
        {"action/word": np.array(["hold", "µg"], dtype="U16"), "nothing": np.zeros(0)},
        {"number/0": np.array(n), "bin/0": np.arange(300) - 40},
        {"patients": n, "candidates": 9, "rejected": {"age": 4}, "failed": {}, "failures": []},
    )


def assert_same(found: Chunk, wanted: Chunk) -> None:
    assert found.meta == wanted.meta
    for kind in ("columns", "logs", "sums"):
        ours, theirs = getattr(found, kind), getattr(wanted, kind)
        assert list(ours) == list(theirs)
        for name in ours:
            assert ours[name].dtype == theirs[name].dtype
            assert ours[name].shape == theirs[name].shape
            assert ours[name].tobytes() == theirs[name].tobytes()


def opened(folder: Path, is_resumed: bool = True) -> FolderStore:
    return FolderStore(folder, MARK, is_resumed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which a run left two chunks."""
    store = opened(tmp_path / "chunks", is_resumed=False)
    store.put(0, some_chunk(5))
    store.put(1, some_chunk(7))
    return store.folder


def test_what_is_written_is_read_to_the_bit(folder: Path) -> None:
    store = opened(folder)
    for index, n in enumerate((5, 7)):
        chunk = store.get(index)
        assert chunk is not None
        assert_same(chunk, some_chunk(n))
    assert store.get(2) is None
    assert store.damaged == []


def test_equal_chunks_give_equal_bytes() -> None:
    files = []
    for _ in range(2):
        stream = io.BytesIO()
        write_archive(stream, some_chunk())
        files.append(stream.getvalue())
    assert files[0] == files[1]


def test_any_numpy_opens_a_chunk_without_pickle(folder: Path) -> None:
    with np.load(folder / "000000.npz", allow_pickle=False) as archive:
        assert archive["columns:visit/0/crp"].shape == (5, 3)
        assert json.loads(archive["meta"].tobytes())["meta"]["patients"] == 5


any_floats = arrays(np.float64, st.integers(0, 80), elements=st.floats(width=64))
short_floats = arrays(np.float64, st.integers(0, 80), elements=st.floats(width=16))
any_integers = arrays(np.int64, st.integers(0, 80), elements=st.integers(-(2**63), 2**63 - 1))


@given(any_floats | short_floats | any_integers)
def test_a_narrower_type_gives_the_same_bits_back(values: np.ndarray) -> None:
    again = narrowed(values).astype(values.dtype)
    assert again.tobytes() == values.tobytes()


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "harm",
    [flipped, lambda data: data[:-100], lambda data: b"", lambda data: b"not an archive"],
    ids=["flipped bit", "truncated", "empty", "other file"],
)
def test_a_damaged_chunk_counts_as_missing_and_is_named(folder: Path, harm) -> None:
    file = folder / "000000.npz"
    file.write_bytes(harm(file.read_bytes()))
    store = opened(folder)
    assert store.get(0) is None
    assert store.damaged == ["000000.npz"]
    kept = store.get(1)
    assert kept is not None
    assert_same(kept, some_chunk(7))


def test_a_chunk_without_its_checksum_counts_as_missing(folder: Path) -> None:
    (folder / "000001.sha256").unlink()
    store = opened(folder)
    assert store.get(1) is None
    assert store.damaged == ["000001.npz"]


def archive_of(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def compressed() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, meta=np.zeros(1000, np.uint8))
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("meta.npy", "{}")
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        archive_of(),
        archive_of(meta=np.frombuffer(b"{}", np.uint8)),
        archive_of(meta=np.frombuffer(b"not json", np.uint8)),
        archive_of(meta=np.array([{"patients": 5}], dtype=object)),
        compressed(),
        zipped(),
    ],
    ids=["empty", "no record", "no json", "pickled", "compressed", "no arrays"],
)
def test_an_archive_that_is_no_chunk_is_not_used_whatever_its_checksum(
    folder: Path, content: bytes
) -> None:
    (folder / "000000.npz").write_bytes(content)
    (folder / "000000.sha256").write_text(hashlib.sha256(content).hexdigest())
    store = opened(folder)
    assert store.get(0) is None
    assert store.damaged == ["000000.npz"]


def test_a_half_written_chunk_is_no_chunk_and_goes(folder: Path) -> None:
    (folder / "000002.part").write_bytes(b"half")
    store = opened(folder)
    assert store.get(2) is None
    assert not (folder / "000002.part").exists()


@pytest.mark.parametrize("when", ["array", "checksum", "rename"])
def test_a_full_disk_is_told_and_loses_no_chunk(folder: Path, monkeypatch, when: str) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = opened(folder)
    where = {
        "array": (module, "write_archive"),
        "checksum": (Path, "write_bytes"),
        "rename": (Path, "replace"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*where[when], full)
        with pytest.raises(InputError, match=r"(?s)No space left.*make room.*--resume"):
            store.put(2, some_chunk(3))
    assert not list(folder.glob("*.part"))
    assert store.get(2) is None
    del store
    again = opened(folder)
    assert again.get(0) is not None
    assert again.get(1) is not None
    again.put(2, some_chunk(3))
    assert again.get(2) is not None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"(?s)file/chunks.*cannot be written.*-o"):
        opened(tmp_path / "file" / "chunks")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is read-only for this user"
)
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"(?s)Permission denied.*allow writing there"):
        opened(tmp_path / "chunks")


def test_a_folder_that_refuses_is_named_as_read_only(tmp_path: Path, monkeypatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"(?s)Read-only.*allow writing there"):
        opened(tmp_path / "chunks")


def test_chunks_of_something_else_are_refused_and_kept(folder: Path) -> None:
    for name in MARK:
        with pytest.raises(InputError, match=rf"(?s)another {name}.*--force.*-o"):
            FolderStore(folder, {**MARK, name: "other"}, is_resumed=True)
    for content in ("[]", "not json", "{}"):
        (folder / "mark.json").write_text(content)
        with pytest.raises(InputError, match="another layout"):
            opened(folder)
    (folder / "mark.json").unlink()
    with pytest.raises(InputError, match="another study"):
        opened(folder)
    assert len(list(folder.glob("*.npz"))) == 2


def test_a_run_that_starts_anew_removes_chunks_and_nothing_else(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    store = opened(folder, is_resumed=False)
    assert store.get(0) is None
    assert not list(folder.glob("*.npz"))
    remove_chunks(folder)
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_two_runs_do_not_write_into_one_folder(folder: Path) -> None:
    pytest.importorskip("fcntl")
    first = opened(folder)
    with pytest.raises(InputError, match="another run is writing here"):
        opened(folder)
    del first
    assert opened(folder).get(0) is not None


def test_a_chunk_that_goes_while_it_is_needed_is_missed(folder: Path) -> None:
    store = opened(folder)
    chunk = store.get(0)
    assert chunk is not None
    (folder / "000000.npz").unlink()
    with pytest.raises(InputError, match=r"(?s)changed or gone.*--resume"):
        chunk.columns["number"]
    del store
    with pytest.raises(InputError, match="chunk 0 of the run is lost"):
        list(chunks_of(opened(folder), 2))


def test_a_temporary_folder_goes_with_its_store() -> None:
    store = spare_store()
    store.put(0, some_chunk())
    folder = store.folder
    assert list(folder.glob("*.npz"))
    del store
    assert not folder.exists()

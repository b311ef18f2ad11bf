"""What the cache on disk gives back, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from immunostat.base import shelf


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(shelf.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_kept_comes_back_and_nothing_else(folder: Path) -> None:
    body = b"\x00\nmany\nlines\n"
    assert shelf.read("a", "text") is None
    shelf.write("a", "text", body, 3)
    assert shelf.read("a", "text") == body
    assert shelf.read("a", "other") is None


def test_one_changed_byte_counts_as_nothing(folder: Path) -> None:
    shelf.write("a", "text", b"whole", 3)
    file = folder / "a.text"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert shelf.read("a", "text") is None


def test_texts_are_told_apart_where_they_meet() -> None:
    assert shelf.key_of("ab", "c") != shelf.key_of("a", "bc")

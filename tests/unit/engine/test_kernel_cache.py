"""Compiled kernels are kept on disk, and what is damaged there is made anew."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import symengine as se

from immunostat.base import shelf
from immunostat.engine import kernel
from immunostat.engine.kernel import make_kernel
from immunostat.model.system import OdeSystem


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv(shelf.VARIABLE, str(tmp_path / "kernels"))
    monkeypatch.setattr(kernel, "_kernels", type(kernel._kernels)())
    return tmp_path / "kernels"


def forget() -> None:
    """Empty the cache in memory."""
    kernel._kernels.clear()


def decay(rate: float = 0.3) -> OdeSystem:
    """A state that decays; the rate is a number in the formula."""
    x = se.Symbol("A")
    one, formula = se.Integer(1), -se.RealDouble(rate) * x
    return OdeSystem("decay", ("A",), (), np.zeros(0), (one,), (), (formula,))


def test_old_kernels_are_removed(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(kernel, "FILES_KEPT", 2)
    for rate in (0.1, 0.2, 0.3, 0.4):
        make_kernel(decay(rate), ("A",))
    assert len(list(folder.iterdir())) == 2


def test_second_process_finds_the_kernel(folder: Path) -> None:
    assert not make_kernel(decay(), ("A",)).is_from_disk
    forget()
    assert make_kernel(decay(), ("A",)).is_from_disk


def test_numbers_that_differ_in_the_last_digit_are_different_models(folder: Path) -> None:
    make_kernel(decay(0.3), ("A",))
    assert not make_kernel(decay(0.30000000000000004), ("A",)).is_from_disk
    assert len(list(folder.glob("*.kernel"))) == 2


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"garbage", None])
def test_damaged_files_are_replaced(folder: Path, damage: bytes | None) -> None:
    make_kernel(decay(), ("A",))
    (file,) = folder.glob("*.kernel")
    whole = file.read_bytes()
    file.write_bytes(whole[:-100] if damage is None else damage)
    forget()
    assert not make_kernel(decay(), ("A",)).is_from_disk
    assert file.read_bytes() == whole


def test_the_cache_can_be_off_or_impossible(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv(shelf.VARIABLE, "off")
    assert shelf.folder() is None
    make_kernel(decay(), ("A",))
    forget()
    blocked = folder.parent / "a_file"
    blocked.write_text("x", encoding="utf-8")
    monkeypatch.setenv(shelf.VARIABLE, str(blocked / "below"))
    assert not make_kernel(decay(), ("A",)).is_from_disk


def _make_in_process(folder: str) -> bool:
    import os

    os.environ[shelf.VARIABLE] = folder
    make_kernel(decay(), ("A",))
    return True


def test_processes_can_write_at_once(folder: Path) -> None:
    with ProcessPoolExecutor(3) as pool:
        assert all(pool.map(_make_in_process, [str(folder)] * 6))
    files = list(folder.iterdir())
    assert [file.suffix for file in files] == [".kernel"]

"""Runs that are cut short, damaged or spread over processes give the result of an unbroken run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.cluster import Cluster, maker_for
from immunostat.study.run import CHUNKS, Running, run
from immunostat.study.study_reader import make_study

STUDY = """\
title: In pieces
situation: rheumatoid-arthritis
population: {name: methotrexate-inadequate-response, patients: 1500, seed: 7}
arms:
  placebo: []
  tocilizumab: tocilizumab label
duration: 24 weeks
visits: every 2 weeks
dropout: {background: 10 % by week 24}
"""
#: The program as a terminal starts it: what runs the tests in the background may ignore interrupts,
#: and what it starts would then, too.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from immunostat.cli import main; main()"
)
PROGRAM = [sys.executable, "-c", START, "run", "study.yaml"]
#: Everything of a result but `run.json`, which holds times.
TABLES = (
    "endpoints.csv", "side_effects.csv", "bands.csv", "profile.csv", "actions.csv",
    "patients.parquet", "visits.parquet", "events.parquet", "parameters.parquet",
)  # fmt: skip


def started(folder: Path, *options: str) -> subprocess.Popen[str]:
    """The program on the study, in a process of its own."""
    (folder / "study.yaml").write_text(STUDY)
    return subprocess.Popen(
        [*PROGRAM, "--chunk", "128", "--keep", "quantiles", *options],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_a_chunk_is_there(process: subprocess.Popen[str], chunks: Path) -> None:
    """Wait until the run has kept something."""
    deadline = time.monotonic() + 60
    while not any(chunks.glob("*.npz")):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline, "no chunk was kept in a minute"
        time.sleep(0.01)


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TABLES}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    process = started(folder, "-o", "whole", "--quiet")
    assert process.wait(timeout=120) == 0
    return folder / "whole"


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_bits(unbroken, tmp_path) -> None:
    process = started(tmp_path, "-o", "out", "--quiet")
    until_a_chunk_is_there(process, tmp_path / "out" / CHUNKS)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "run.json").exists()
    kept = len(list((tmp_path / "out" / CHUNKS).glob("*.npz")))
    # An unfinished run is not thrown away by a forgotten option.
    again = started(tmp_path, "-o", "out", "--quiet")
    assert again.wait(timeout=60) == 2
    assert "--resume goes on" in (again.stderr.read() if again.stderr else "")
    assert len(list((tmp_path / "out" / CHUNKS).glob("*.npz"))) == kept
    assert started(tmp_path, "-o", "out", "--resume", "--quiet").wait(timeout=120) == 0
    assert tables(tmp_path / "out") == tables(unbroken)
    assert not (tmp_path / "out" / CHUNKS).exists()


@pytest.mark.slow
def test_an_interrupt_stops_within_two_seconds_and_can_be_resumed(unbroken, tmp_path) -> None:
    process = started(tmp_path, "-o", "out", "--quiet")
    until_a_chunk_is_there(process, tmp_path / "out" / CHUNKS)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - began < 2.0
    assert "--resume" in (process.stderr.read() if process.stderr else "")
    assert started(tmp_path, "-o", "out", "--resume", "--quiet").wait(timeout=120) == 0
    assert tables(tmp_path / "out") == tables(unbroken)


def study(**more):
    return make_study(
        {
            "situation": "rheumatoid-arthritis",
            "population": {
                "name": "methotrexate-inadequate-response",
                "patients": 120,
                "seed": 7,
            },
            "arms": {"placebo": [], "drug": "tocilizumab label"},
            "duration": "8 weeks",
            **more,
        }
    )


def same(left, right) -> None:
    for name in ("endpoints", "side_effects", "patients", "visits", "events", "bands", "profile"):
        assert getattr(left, name).equals(getattr(right, name)), name
    for name in left.trajectories:
        one, two = (own.trajectories[name].values for own in (left, right))
        np.testing.assert_array_equal(one.view(np.int64), two.view(np.int64))


@pytest.fixture(scope="module")
def whole():
    return run(study())


@pytest.mark.parametrize("chunk", [64, 100])
@pytest.mark.parametrize("threads", [1, 2])
def test_bits_depend_on_neither_chunks_nor_threads(whole, chunk, threads) -> None:
    pieces = run(study(), threads=threads, running=Running(chunk=chunk))
    assert pieces.run["chunks"]["number"] > 1
    same(whole, pieces)


def damage_by_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def damage_by_cutting(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def damage_by_another_file(file: Path) -> None:
    file.write_bytes(b"something else")


@pytest.mark.parametrize(
    "damage", [damage_by_a_byte, damage_by_cutting, damage_by_another_file, os.remove]
)
def test_a_damaged_chunk_is_made_again_and_told(whole, tmp_path, damage) -> None:
    how = Running(folder=tmp_path / CHUNKS, chunk=100)
    run(study(), running=how)
    files = sorted((tmp_path / CHUNKS).glob("*.npz"))
    damage(files[1])
    resumed = run(study(), running=Running(folder=tmp_path / CHUNKS, chunk=100, is_resumed=True))
    same(whole, resumed)
    if damage is not os.remove:
        assert resumed.run["remade"] == [files[1].name]


@pytest.mark.parametrize(
    "other",
    [
        study(duration="12 weeks"),
        study(population={"name": "methotrexate-inadequate-response", "patients": 120, "seed": 8}),
    ],
)
def test_chunks_of_another_study_are_refused(tmp_path, other) -> None:
    run(study(), running=Running(folder=tmp_path / CHUNKS, chunk=100))
    with pytest.raises(InputError, match="another study"):
        run(other, running=Running(folder=tmp_path / CHUNKS, chunk=100, is_resumed=True))


def test_a_full_disk_is_told_and_what_was_kept_stays(whole, tmp_path, monkeypatch) -> None:
    folder, written = tmp_path / CHUNKS, []
    keep = os.fsync

    def full(descriptor: int) -> None:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(descriptor)
        keep(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left") as caught:
        run(study(), running=Running(folder=folder, chunk=64))
    assert "--resume" in str(caught.value)
    del caught  # it holds the run, which holds the folder
    monkeypatch.undo()
    assert len(list(folder.glob("*.npz"))) == 2
    assert not list(folder.glob("*.part"))
    resumed = Running(folder=folder, chunk=64, is_resumed=True)
    same(whole, run(study(), running=resumed))


def test_a_folder_that_is_a_file_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        run(study(), running=Running(folder=tmp_path / "file" / CHUNKS))


@pytest.mark.slow
def test_processes_give_the_bits_of_threads_and_one_that_dies_is_replaced(whole) -> None:
    pytest.importorskip("distributed")
    killed: list[int] = []
    makers: list[Cluster] = []
    make = maker_for(None, None, 2, 1)

    def maker(study, cut):
        makers.append(make(study, cut))
        return makers[0]

    def progress(done, total, stage) -> None:
        # Once there is something done, one of the workers dies.
        if done and not killed:
            pids = list(makers[0]._client.run(os.getpid).values())
            os.kill(pids[0], signal.SIGKILL)
            killed.append(pids[0])

    how = Running(chunk=64, maker=maker)
    spread = run(study(), progress=progress, catalog=packaged_catalog(), running=how)
    assert killed
    same(whole, spread)

"""Workers in other processes: they end with the run, and what goes wrong with them is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from immunostat.base.errors import InputError, Place
from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.chunks import Cut, Order
from immunostat.study.cluster import Cluster, DaskMaker, maker_for
from immunostat.study.run import Running, run
from immunostat.study.study_reader import make_study

pytest.importorskip("distributed")

#: The program as a terminal starts it: what runs the tests in the background may ignore interrupts,
#: and what it starts would then, too.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from immunostat.cli import main; main()"
)
PROGRAM = (sys.executable, "-c", START)
STUDY = """\
title: Many
situation: rheumatoid-arthritis
population: {name: methotrexate-inadequate-response, patients: 20000, seed: 7}
arms:
  placebo: []
  tocilizumab: tocilizumab label
duration: 8 weeks
"""


def small():
    return make_study(
        {
            "situation": "rheumatoid-arthritis",
            "population": {"name": "methotrexate-inadequate-response", "patients": 20, "seed": 7},
            "arms": {"tocilizumab": "tocilizumab label"},
            "duration": "4 weeks",
        },
        packaged_catalog(),
    )


@pytest.mark.slow
def test_an_interrupt_ends_workers_within_two_seconds_and_without_noise(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    words = ["run", "study.yaml", "-o", "out", "--chunk", "128", "--workers", "2"]
    process = subprocess.Popen(
        [*PROGRAM, *words, "--keep", "quantiles"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not list((tmp_path / "out" / ".chunks").glob("*.npz")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "no chunk in a minute"
        time.sleep(0.02)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes at once
    said = process.communicate(timeout=30)[1]
    assert time.monotonic() - began < 2
    assert process.returncode == 130
    assert said.strip() == (
        "interrupted; finished chunks are kept: the same command with --resume goes on from them"
    )


class _Answers:
    """A client whose workers make chunks at once, in this process."""

    def nthreads(self) -> dict[str, int]:
        return {"here": 1}

    def submit(self, make, *given, **options):
        return _Answer(make, given)


class _Answer:
    def __init__(self, make, given) -> None:
        self.make, self.given = make, given

    def result(self, timeout: float):
        return self.make(*self.given)


def made_from(**changed: str):
    """One chunk of a task in which something is not as the worker has it."""
    task = replace(Cluster(small(), Cut(64, False, 20))._task, **changed)
    orders = iter([Order(0), None])
    maker = DaskMaker(_Answers(), task)
    return next(maker.chunks(lambda: next(orders, None), lambda done: None))


def test_a_worker_of_another_version_is_refused() -> None:
    assert made_from().n_patients > 0
    with pytest.raises(InputError, match=r"(?s)another version of immunostat.*same version"):
        made_from(version="0.0.1")
    with pytest.raises(InputError, match="another version of the cards"):
        made_from(catalog="0" * 64)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("a bad number"), "chunk 0: ValueError: a bad number"),
        (ModuleNotFoundError("No module named 'immunostat'"), "same version of immunostat"),
        (ConnectionError("gone"), "scheduler is lost"),
        (InputError("population 'x' has nobody", remedy="ask for others"), "ask for others"),
    ],
)
def test_errors_of_workers_are_told_as_errors_of_the_program(
    monkeypatch, error: Exception, said: str
) -> None:
    def fail(*given: object) -> None:
        raise error

    monkeypatch.setattr("immunostat.study.cluster.chunk_elsewhere", fail)
    with pytest.raises(InputError, match=said):
        made_from()


def test_an_error_keeps_its_words_on_the_way_from_a_worker() -> None:
    protocol = pytest.importorskip("distributed.protocol")
    error = InputError("a dose is missing", Place("study.yaml", 3), "add one")
    # as Dask itself sends what a worker of this user has raised
    again = protocol.pickle.loads(protocol.pickle.dumps(error))
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_workers_that_die_again_and_again_end_the_run(monkeypatch) -> None:
    import distributed

    def die(*given: object) -> None:
        raise distributed.KilledWorker("chunk", None, 3)

    monkeypatch.setattr("immunostat.study.cluster.chunk_elsewhere", die)
    with pytest.raises(InputError, match=r"(?s)died again and again.*--chunk.*--resume"):
        made_from()


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch) -> None:
    monkeypatch.setattr("immunostat.study.cluster.ANSWER_SECONDS", 0.5)
    running = Running(None, None, False, 128, False, maker_for(None, "tcp://127.0.0.1:9", 1, 1))
    with pytest.raises(InputError, match=r"(?s)no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        run(small(), running=running)

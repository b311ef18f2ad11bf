"""Long runs: each in a process of its own, with truthful progress and a cancel that works.

A run that crashes, or is cancelled, takes nothing with it but itself.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from immunostat.app.limits import Limits
from immunostat.base.errors import InputError

#: Runs at a time, and runs that may wait.
MOST_RUNNING, MOST_WAITING = 1, 4

#: Jobs that are remembered.
MOST_REMEMBERED = 40

#: What a worker that ended without a word is said to have died of.
CRASHED = "the run ended without an answer (exit code {code}); it may have run out of memory"

#: Runs the text of a study file into a folder and tells the pipe; called in another process.
Work = Callable[[str, str, "str | None", "int | None", Connection], None]


class State(StrEnum):
    """How a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass
class Job:
    """One run.

    Parameters
    ----------
    number
        Part of its address.
    name
        Of its result folder.
    title
        Of its study.
    done, total, stage
        How far it is.
    error, remedy
        What went wrong.
    failed_patients
        Patients who could not be computed, in words.
    """

    number: str
    name: str
    title: str
    text: str
    state: State = State.WAITING
    done: int = 0
    total: int = 0
    stage: str = "waiting"
    error: str = ""
    remedy: str = ""
    failed_patients: str = ""
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    process: Any = None

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in (State.DONE, State.FAILED, State.CANCELLED)


class Jobs:
    """All runs of one app.

    Parameters
    ----------
    results
        Folder of result folders.
    catalog_folder
        Folder of one's own cards, or None.
    threads
        Threads of a run; all cores if None.
    limits
        Time that a run may take.
    work
        What the process does.
    """

    def __init__(
        self,
        results: Path,
        catalog_folder: Path | None,
        threads: int | None,
        limits: Limits,
        work: Work,
    ) -> None:
        self.results, self._catalog_folder = results, catalog_folder
        self._threads, self._limits, self._work = threads, limits, work
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def all(self) -> list[Job]:
        """Every job that is remembered, the newest first."""
        with self._lock:
            return list(self._jobs.values())[::-1]

    def get(self, number: str) -> Job | None:
        """The job of a number."""
        with self._lock:
            return self._jobs.get(number)

    def start(self, title: str, text: str) -> Job:
        """Begin a run, or let it wait for others.

        Parameters
        ----------
        title
            Of the study; its folder is named after it.
        text
            Text of a study file that has been checked.

        Raises
        ------
        InputError
            Too many runs are waiting.
        """
        with self._lock:
            if sum(not job.is_over for job in self._jobs.values()) >= MOST_RUNNING + MOST_WAITING:
                raise InputError(
                    "too many runs are waiting", remedy="cancel one, or wait until one is done"
                )
            number = secrets.token_hex(4)
            stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "trial"
            job = Job(number, f"{stem}-{number}", title, text)
            self._jobs[number] = job
            for old in [own for own in self._jobs.values() if own.is_over][:-MOST_REMEMBERED]:
                del self._jobs[old.number]
        self._next()
        return job

    def cancel(self, number: str) -> None:
        """End a run now; nothing of it is kept."""
        job = self.get(number)
        if job is None or job.is_over:
            return
        job.stage = "cancelled"
        self._end(job, State.CANCELLED)

    @staticmethod
    def _end(job: Job, state: State) -> None:
        """Set the last state of a run and end its process."""
        process, job.seconds = job.process, time.monotonic() - job.began
        job.state = state
        if process is not None and process.is_alive():
            process.terminate()
            process.join(2)
            if process.is_alive():
                process.kill()

    def close(self) -> None:
        """End every run, as the app ends."""
        for job in self.all():
            self.cancel(job.number)

    def _next(self) -> None:
        """Begin the run that has waited longest, if there is room."""
        with self._lock:
            running = sum(job.state is State.RUNNING for job in self._jobs.values())
            waiting = [job for job in self._jobs.values() if job.state is State.WAITING]
            if running >= MOST_RUNNING or not waiting:
                return
            job = waiting[0]
            job.state, job.stage, job.began = State.RUNNING, "starting", time.monotonic()
        threading.Thread(target=self._follow, args=(job,), daemon=True).start()

    def _follow(self, job: Job) -> None:
        """Run a job and follow it to its end."""
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe(duplex=False)
        folder = str(self.results / job.name)
        own = str(self._catalog_folder) if self._catalog_folder else None
        process = context.Process(
            target=self._work, args=(job.text, folder, own, self._threads, there), daemon=True
        )
        try:
            if job.state is State.RUNNING:
                process.start()
                job.process = process
            there.close()
            self._listen(job, here, process)
        finally:
            here.close()
            job.seconds = job.seconds or time.monotonic() - job.began
            self._next()

    def _listen(self, job: Job, here: Connection, process: Any) -> None:
        """Take what the process tells until it ends."""
        while job.state is State.RUNNING:
            if time.monotonic() - job.began > self._limits.seconds:
                job.error = f"the run took longer than {self._limits.seconds:,.0f} seconds"
                job.remedy = "ask for fewer patients, or run it with 'immunostat run'"
                job.stage = "failed"
                self._end(job, State.FAILED)
                return
            if here.poll(0.1):
                try:
                    self._take(job, here.recv())
                except EOFError:
                    process.join(2)
                    if job.state is State.RUNNING:
                        job.state = State.FAILED
                        job.error = CRASHED.format(code=process.exitcode)
                        job.remedy = "the app lives on; ask for fewer patients or shorter courses"
                    return
        with contextlib.suppress(Exception):
            process.join(5)

    @staticmethod
    def _take(job: Job, message: tuple[str, Any]) -> None:
        """One message of the process."""
        kind, said = message
        if job.state is not State.RUNNING:
            return
        if kind == "progress":
            job.done, job.total, job.stage = said
        elif kind == "done":
            job.seconds = time.monotonic() - job.began
            job.failed_patients, job.state = said, State.DONE
            job.stage = "done"
        elif kind == "error":
            job.error, job.remedy = said
            job.state, job.stage = State.FAILED, "failed"

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from immunostat.app.jobs import MOST_WAITING, Job, Jobs, State, Work
from immunostat.app.limits import TRIAL, Limits
from immunostat.base.errors import InputError

sys.path.append(str(Path(__file__).parent))

from works_of_jobs import crash, endless, good


def jobs_of(work: Work, limits: Limits = TRIAL) -> Jobs:
    return Jobs(Path("results"), None, 1, limits, work)


def ended(job: Job, seconds: float = 60.0) -> Job:
    until = time.monotonic() + seconds
    while not job.is_over and time.monotonic() < until:
        time.sleep(0.02)
    assert job.is_over
    return job


def running(job: Job) -> Job:
    until = time.monotonic() + 60.0
    while job.done == 0 and time.monotonic() < until:
        time.sleep(0.02)
    return job


@pytest.mark.slow
def test_a_job_tells_its_progress_and_is_done() -> None:
    job = ended(jobs_of(good).start("A trial: of it", "text"))
    assert job.state is State.DONE
    assert (job.done, job.total) == (3, 4)
    assert job.name.startswith("a-trial-of-it-")


@pytest.mark.slow
def test_cancel_ends_a_job_at_once_and_the_next_begins() -> None:
    jobs = jobs_of(endless)
    first, second = running(jobs.start("one", "")), jobs.start("two", "")
    assert second.state is State.WAITING
    began = time.monotonic()
    jobs.cancel(first.number)
    assert time.monotonic() - began < 5
    assert first.state is State.CANCELLED
    assert running(second).state is State.RUNNING
    jobs.close()
    assert second.state is State.CANCELLED


@pytest.mark.slow
def test_a_crash_is_a_failed_job() -> None:
    job = ended(jobs_of(crash).start("one", ""))
    assert job.state is State.FAILED
    assert "exit code 3" in job.error


@pytest.mark.slow
def test_a_job_that_takes_too_long_is_ended() -> None:
    limits = Limits(1, 1, 1, 1.0, 1, 0.5)
    job = ended(jobs_of(endless, limits).start("one", ""))
    assert job.state is State.FAILED
    assert "longer than" in job.error


def test_only_so_many_wait() -> None:
    jobs = jobs_of(endless)
    jobs._next = lambda: None  # type: ignore[method-assign]
    for i in range(MOST_WAITING + 1):
        jobs.start(str(i), "")
    with pytest.raises(InputError, match="waiting"):
        jobs.start("too many", "")

"""Dask workers as processes of this machine, which listen to this machine only.

They are plain processes, so that they end at once with the run, in the middle of a chunk too, and
do not hear the Ctrl-C of a terminal.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from immunostat.base.errors import InputError

#: How many workers may die for each one that is wanted, before something must be wrong.
MOST_DEATHS = 3

#: How long closing may take, s.
CLOSE_SECONDS = 1

HERE = "127.0.0.1"


class WorkerProcesses:
    """A scheduler in this process, and workers in processes of their own.

    Parameters
    ----------
    distributed
        Dask's module.
    n_workers
        How many processes.
    """

    def __init__(self, distributed: Any, n_workers: int) -> None:
        self.n_workers, self._deaths = n_workers, 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self.cluster: Any = distributed.LocalCluster(
            n_workers=0,
            processes=True,
            host=HERE,
            dashboard_address=f"{HERE}:0",
            silence_logs=logging.CRITICAL + 1,
        )
        self._folder = tempfile.mkdtemp(prefix="immunostat-workers-")
        self._processes = [self._start() for _ in range(n_workers)]

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: files of the folder in which a person works must not stand in for Python's own.
        words = [sys.executable, "-P", "-m", "distributed.cli.dask_worker"]
        words += [self.cluster.scheduler_address, "--no-nanny", "--nthreads", "1"]
        words += ["--host", HERE, "--dashboard-address", f"{HERE}:0", "--death-timeout", "60"]
        words += ["--local-directory", self._folder]
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            words, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )

    def tend(self) -> None:
        """Start a worker for each one that has died.

        Raises
        ------
        InputError
            They die again and again.
        """
        for i, process in enumerate(self._processes):
            code = process.poll()
            if code is None:
                continue
            self._deaths += 1
            if self._deaths > MOST_DEATHS * self.n_workers:
                raise InputError(
                    f"worker processes die again and again (the last one with {code})",
                    remedy="use fewer workers, or smaller chunks with --chunk, if memory is short; "
                    "finished chunks are kept, and --resume goes on from them",
                )
            self._processes[i] = self._start()

    def close(self) -> None:
        """End the workers, whatever they do, and the scheduler."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        try:
            self.cluster.close(timeout=CLOSE_SECONDS)
        except (TimeoutError, OSError, RuntimeError):
            self.cluster.shutdown_on_close = False  # or the program would wait when it ends
        shutil.rmtree(self._folder, ignore_errors=True)

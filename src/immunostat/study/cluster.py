"""Chunks of a run made by other processes, on this machine or others, through Dask.

A worker is told the study as a file, the folder of own cards and the index of a chunk, and sends
the chunk back. It prepares the model once. A chunk whose worker dies is made again by another.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from immunostat.base.errors import ImmunostatError, InputError
from immunostat.catalog.lookup import Catalog
from immunostat.study.chunks import Cut, Maker, Order, make_chunk
from immunostat.study.plan import Plan, prepare
from immunostat.study.result import plain
from immunostat.study.store import Chunk
from immunostat.study.study import Study
from immunostat.study.study_reader import make_study
from immunostat.study.versions import own_version
from immunostat.study.worker_processes import CLOSE_SECONDS, WorkerProcesses

#: Chunks begun for each worker before the first is taken.
AHEAD = 2

#: How often a chunk is begun anew when its worker dies.
MOST_DEATHS = 3

#: How often progress is told and an interrupt is looked for, s.
TELL_SECONDS = 0.2

#: What Dask raises when it has lost its scheduler; a timeout is an `OSError`.
LOST = (asyncio.CancelledError, concurrent.futures.CancelledError, OSError)

#: How long a scheduler may take to answer, s.
ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Task:
    """What a worker needs to know.

    Parameters
    ----------
    study
        The study as JSON, with the keys of a study file.
    cards
        Folder of the user's own cards; empty for none.
    version, catalog
        Of the program and the hash of its cards: a worker with others is refused.
    cut
        How the run is cut.
    threads
        Threads of each chunk.
    """

    study: str
    cards: str
    version: str
    catalog: str
    cut: Cut
    threads: int


@lru_cache(maxsize=2)
def _prepared(text: str, cards: str, version: str, catalog_hash: str) -> Plan:
    """The plan of a study, kept by the worker for its next chunk.

    Raises
    ------
    InputError
        The worker has another version of the program or of the cards, so other results.
    """
    catalog = Catalog.packaged(Path(cards) if cards else None)
    for name, own, wanted in (
        ("immunostat", own_version(), version),
        ("the cards", catalog.hash(), catalog_hash),
    ):
        if own != wanted:
            raise InputError(
                f"a worker has another version of {name} ({own[:12]} instead of {wanted[:12]})",
                remedy="install the same version on all machines; own cards must lie under the "
                "same path for all of them",
            )
    return prepare(make_study(json.loads(text), catalog), catalog)


def chunk_elsewhere(task: Task, order: Order) -> Chunk:
    """One chunk, made in the process that calls this."""
    plan = _prepared(task.study, task.cards, task.version, task.catalog)
    return make_chunk(plan, order.index, task.cut, order.most, task.threads)


class DaskMaker:
    """Makes chunks on the workers of a Dask cluster.

    Parameters
    ----------
    client
        Of a `distributed.Client`.
    task
        What its workers need to know.
    n_workers
        How many there will be at least, once they have started.
    tend
        Called now and then to look after the workers.
    """

    def __init__(
        self,
        client: Any,
        task: Task,
        n_workers: int = 1,
        tend: Callable[[], None] = lambda: None,
    ) -> None:
        self.client, self._task = client, task
        self._n_workers, self._tend = n_workers, tend
        self._deaths: dict[int, int] = {}

    def chunks(
        self, orders: Callable[[], Order | None], tell: Callable[[int], None]
    ) -> Iterator[Chunk]:
        """See `chunks.Maker`."""
        begun: deque[tuple[Order, Any]] = deque()
        while True:
            n_ahead = AHEAD * max(self._n_workers, len(self._workers()))
            while len(begun) < n_ahead and (order := orders()) is not None:
                begun.append((order, self._begin(order)))
            if not begun:
                return
            yield self._taken(*begun.popleft(), tell)

    def _workers(self) -> Mapping[str, int]:
        with _asking():
            return dict(self.client.nthreads())

    def _begin(self, order: Order) -> Any:
        # The number of a chunk is its priority, so that the first is done first.
        with _asking():
            return self.client.submit(
                chunk_elsewhere, self._task, order, pure=False, priority=-order.index
            )

    def _taken(self, order: Order, future: Any, tell: Callable[[int], None]) -> Chunk:
        """A chunk that was begun, once it is done.

        Raises
        ------
        InputError
            The workers cannot make it.
        """
        import distributed

        dask: Any = distributed
        while True:
            self._tend()
            try:
                chunk: Chunk = future.result(TELL_SECONDS)
            except (TimeoutError, dask.TimeoutError):
                tell(0)
            except dask.KilledWorker:
                self._deaths[order.index] = self._deaths.get(order.index, 0) + 1
                if self._deaths[order.index] >= MOST_DEATHS:
                    raise InputError(
                        f"chunk {order.index} cannot be made: its workers died again and again",
                        remedy="give workers more memory, or make smaller chunks with --chunk; "
                        "finished chunks are kept, and --resume goes on from them",
                    ) from None
                future = self._begin(order)
            except ImmunostatError:
                raise
            except LOST as error:
                raise _lost(error) from None
            except Exception as error:
                raise InputError(
                    f"a worker could not make chunk {order.index}: {type(error).__name__}: {error}",
                    remedy="workers need the same version of immunostat as this program",
                ) from error
            else:
                return chunk


def _lost(error: BaseException) -> InputError:
    return InputError(
        f"the Dask scheduler is lost ({type(error).__name__})",
        remedy="start it again; finished chunks are kept, and --resume goes on from them",
    )


@contextmanager
def _asking() -> Iterator[None]:
    """Turn what goes wrong while the scheduler is asked into an `InputError`."""
    try:
        yield
    except (*LOST, RuntimeError) as error:
        raise _lost(error) from None


class Cluster:
    """A maker for a study on a Dask cluster, or on processes that are started for it.

    Parameters
    ----------
    study, cut
        What is simulated, and how it is cut.
    cards
        Folder of the user's own cards, which workers must see under the same name.
    address
        Of a scheduler, such as ``tcp://10.0.0.1:8786``; empty starts `workers` processes here,
        which listen to this machine only.
    workers
        Number of processes to start when there is no address.
    threads
        Threads of each chunk.

    Raises
    ------
    InputError
        Dask is not installed, or the scheduler does not answer.
    """

    def __init__(
        self,
        study: Study,
        cut: Cut,
        cards: Path | None = None,
        address: str = "",
        workers: int = 2,
        threads: int = 1,
    ) -> None:
        folder = str(cards.resolve()) if cards else ""
        self._task = Task(
            json.dumps(_file_of(study)),
            folder,
            own_version(),
            Catalog.packaged(cards).hash(),
            cut,
            threads,
        )
        self._address, self._n_workers = address, workers
        self._own: WorkerProcesses | None = None
        self._silence: _Silence | None = None
        self._client: Any = None

    def __enter__(self) -> DaskMaker:
        dask = _distributed()
        self._silence = _Silence()
        try:
            if not self._address:
                self._own = WorkerProcesses(dask, self._n_workers)
            self._client = dask.Client(
                self._own.cluster if self._own else self._address,
                timeout=ANSWER_SECONDS,
                set_as_default=False,
            )
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            self._close()
            raise InputError(
                f"no Dask scheduler answers at '{self._address}' ({type(error).__name__})"
                if self._address
                else f"no worker processes can be started here ({error})",
                remedy="start one with 'dask scheduler' and workers with 'dask worker', or use "
                "--workers N"
                if self._address
                else "run without --workers",
            ) from None
        except BaseException:
            self._close()
            raise
        if self._own is None:
            return DaskMaker(self._client, self._task)
        return DaskMaker(self._client, self._task, self._own.n_workers, self._own.tend)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        """End what was started; what workers have begun in vain is not waited for."""
        if self._client is not None:
            with suppress(TimeoutError, OSError, RuntimeError):
                self._client.close(timeout=CLOSE_SECONDS)
        if self._own is not None:
            self._own.close()
        if self._silence is not None:
            self._silence.end()


def _distributed() -> Any:
    """Dask's module, which is loaded where it is needed."""
    try:
        import distributed
    except ImportError:
        raise InputError(
            "workers in other processes need Dask, which is not installed",
            remedy="pip install 'immunostat[cluster]'",
        ) from None
    return distributed


class _Silence:
    """Dask's talk about workers that come and go, turned off until `end`."""

    def __init__(self) -> None:
        names = {"tornado", "asyncio", *logging.root.manager.loggerDict}
        talking = ("distributed", "tornado", "asyncio")
        own = [logging.getLogger(n) for n in names if n.partition(".")[0] in talking]
        self._levels = [(logger, logger.level) for logger in own]
        for logger in own:
            logger.setLevel(logging.CRITICAL + 1)

    def end(self) -> None:
        """Let it talk as before."""
        for logger, level in self._levels:
            logger.setLevel(level)


def _file_of(study: Study) -> Mapping[str, Any]:
    """The study as a worker reads it: what a simulation does not need is left out."""
    data: dict[str, Any] = plain(study.resolved())
    if data["population"].get("stored"):
        data["population"]["stored"] = str(Path(data["population"]["stored"]).resolve())
    return data


def maker_for(
    cards: Path | None, address: str | None, workers: int | None, threads: int | None
) -> Callable[[Study, Cut], AbstractContextManager[Maker]]:
    """What `Running.maker` wants: a maker for a study, on a cluster or on processes started here.

    Parameters
    ----------
    cards
        Folder of the user's own cards.
    address
        Of a Dask scheduler; None starts processes here.
    workers
        How many processes to start.
    threads
        Threads of each chunk; one if None, as the processes share the machine.
    """
    return lambda study, cut: Cluster(study, cut, cards, address or "", workers or 2, threads or 1)

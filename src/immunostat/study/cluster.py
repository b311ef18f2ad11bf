"""Chunks of a run made by other processes, on this machine or others, through Dask.

A worker is told the study as a file, the folder of own cards and the index of a chunk, and sends
the chunk back. It prepares the model once. A chunk whose worker dies is made again by another.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import Catalog
from immunostat.study.chunks import Cut, make_chunk
from immunostat.study.plan import Plan, prepare
from immunostat.study.result import plain
from immunostat.study.store import Chunk
from immunostat.study.study import Study, make_study

#: Chunks begun for each worker before the first is taken.
AHEAD = 2

#: How often a chunk is begun anew when its worker dies.
MOST_DEATHS = 5


@lru_cache(maxsize=2)
def _prepared(text: str, cards: str) -> Plan:
    """The plan of a study, kept by the worker for its next chunk."""
    catalog = Catalog.packaged(Path(cards) if cards else None)
    return prepare(make_study(json.loads(text), catalog), catalog)


def chunk_elsewhere(text: str, cards: str, index: int, cut: Cut, threads: int) -> Chunk:
    """One chunk, made in the process that calls this.

    Parameters
    ----------
    text
        The study as JSON, with the keys of a study file.
    cards
        Folder of the user's own cards; empty for none.
    """
    return make_chunk(_prepared(text, cards), index, cut, None, threads)


class DaskMaker:
    """Makes chunks on the workers of a Dask cluster.

    Parameters
    ----------
    study
        What is simulated.
    cut
        How the run is cut.
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
        try:
            import distributed
        except ImportError:
            raise InputError(
                "workers in other processes need Dask, which is not installed",
                remedy="pip install 'immunostat[cluster]'",
            ) from None
        self._text = json.dumps(_file_of(study))
        self._cards = str(cards.resolve()) if cards else ""
        self._cut, self._threads = cut, threads
        dask: Any = distributed
        self._cluster: Any = None
        if not address:
            self._cluster = dask.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
            )
        try:
            self.client: Any = dask.Client(address or self._cluster, timeout="20s")
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at '{address}' ({error})",
                remedy="start one with 'dask scheduler', or use --workers N",
            ) from None

    def chunks(self, indices: Iterator[int]) -> Iterator[Chunk]:
        """Whole chunks of the indices, in their order; a few are begun ahead."""
        begun: deque[Any] = deque()
        while True:
            n_ahead = AHEAD * max(1, len(self.client.nthreads()))
            while len(begun) < n_ahead:
                index = next(indices, None)
                if index is None:
                    break
                begun.append(
                    self.client.submit(
                        chunk_elsewhere,
                        self._text,
                        self._cards,
                        index,
                        self._cut,
                        self._threads,
                        pure=False,
                        retries=MOST_DEATHS,
                    )
                )
            if not begun:
                return
            yield begun.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        if self._cluster is not None:
            self._cluster.close()


def _file_of(study: Study) -> Mapping[str, Any]:
    """The study as a worker reads it: what a simulation does not need is left out."""
    data: dict[str, Any] = plain(study.resolved())
    if data["population"].get("stored"):
        data["population"]["stored"] = str(Path(data["population"]["stored"]).resolve())
    return data


def maker_for(
    cards: Path | None, address: str | None, workers: int | None, threads: int | None
) -> Callable[[Study, Cut], DaskMaker]:
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
    return lambda study, cut: DaskMaker(
        study, cut, cards, address or "", workers or 2, threads or 1
    )

"""Chunks of a run made by threads of this process, a few at a time.

Only solving uses many threads by itself; what comes before and after it in one chunk is done while
another chunk is solved.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from immunostat.study.chunks import Cut, Order, make_chunk
from immunostat.study.plan import Plan
from immunostat.study.store import Chunk

#: Chunks that are made at a time, at most; each needs its own memory.
MOST_AT_A_TIME = 4

#: How often progress is told, s.
TELL_SECONDS = 0.2


class _Stopped(Exception):
    """The run ends before the chunk is done."""


class ThreadMaker:
    """Makes chunks in threads.

    Parameters
    ----------
    plan
        What is simulated.
    cut
        How the run is cut.
    threads
        Threads in all; all cores if None.
    """

    def __init__(self, plan: Plan, cut: Cut, threads: int | None = None) -> None:
        self._plan, self._cut = plan, cut
        self._all = threads or os.cpu_count() or 1
        self._hands = max(1, min(self._all, MOST_AT_A_TIME))
        self._pool = ThreadPoolExecutor(self._hands)
        self._done: dict[int, int] = {}
        self._is_stopped = False

    def chunks(
        self, orders: Callable[[], Order | None], tell: Callable[[int], None]
    ) -> Iterator[Chunk]:
        """See `chunks.Maker`."""
        # The first chunk is made alone: it compiles the model, and all chunks a small study has.
        first = orders()
        if first is None:
            return
        yield make_chunk(self._plan, first.index, self._cut, first.most, self._all, tell)
        begun: deque[tuple[int, Future[Chunk]]] = deque()
        while True:
            while len(begun) < self._hands + 1 and (order := orders()) is not None:
                begun.append((order.index, self._pool.submit(self._make, order)))
            if not begun:
                return
            index, future = begun.popleft()
            while True:
                try:
                    chunk = future.result(TELL_SECONDS)
                    break
                except TimeoutError:
                    tell(sum(self._done.values()))
            self._done.pop(index, None)
            yield chunk

    def _make(self, order: Order) -> Chunk:
        if self._is_stopped:
            raise _Stopped

        def count(done: int) -> None:
            if self._is_stopped:
                raise _Stopped
            self._done[order.index] = done

        threads = -(-self._all // self._hands)
        return make_chunk(self._plan, order.index, self._cut, order.most, threads, count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_stopped = True
        self._pool.shutdown(wait=True, cancel_futures=True)

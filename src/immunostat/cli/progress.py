"""A bar of finished work on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called with how much is done, how much there is, and the name of the stage.
Progress = Callable[[int, int, str], None]


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress | None]:
    """A bar for each stage in turn, where standard error is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started: dict[str, float] = {}
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("preparing", total=None, rate="")

        def show(done: int, total: int, stage: str) -> None:
            began = started.setdefault(stage, time.perf_counter())
            seconds = time.perf_counter() - began
            rate = f"{done / seconds:.0f}/s" if done and seconds > 0.05 else ""
            bar.update(task, description=stage, completed=done, total=total, rate=rate)

        yield show

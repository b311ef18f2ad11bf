"""How far a long piece of work is, on standard error: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from immunostat.cli.printing import message
from immunostat.report.pace import Pace, clock_words, speed_words, unit_of

#: Called with how much is done, how much there is, and the name of the stage.
Progress = Callable[[int, int, str], None]

#: Where there is no terminal, a line is written at most this often, s.
LINE_SECONDS = 30.0


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress | None]:
    """Tell progress: a bar for each stage in turn; lines where standard error is no terminal."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield lines()


def lines(
    say: Callable[[str], None] = message, clock: Callable[[], float] = time.perf_counter
) -> Progress:
    """Progress as lines, at most one every `LINE_SECONDS`; work that is done sooner says nothing.

    Parameters
    ----------
    say
        Writes a line.
    clock
        Seconds since any moment.
    """
    pace, last = Pace(clock), clock()

    def show(done: int, total: int, stage: str) -> None:
        nonlocal last
        found = pace(done, total, stage)
        if found is None or clock() - last < LINE_SECONDS:
            return
        last = clock()
        speed, left = found
        say(
            f"{stage}: {done:,} of {total:,} ({100 * done / max(total, 1):.0f} %), "
            f"{speed_words(speed, unit_of(stage))}, {clock_words(left)} left"
        )

    return show


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
    )
    pace = Pace()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("preparing", total=None, said="")

        def show(done: int, total: int, stage: str) -> None:
            found = pace(done, total, stage)
            said = ""
            if found is not None:
                speed, left = found
                said = f"{speed_words(speed, unit_of(stage))}, {clock_words(left)} left"
            bar.update(task, description=stage, completed=done, total=total, said=said)

        yield show

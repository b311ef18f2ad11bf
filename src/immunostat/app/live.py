"""A page that is open: one task at a time for each, what it sends, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from markupsafe import Markup, escape

from immunostat.app import frame
from immunostat.app.figure_store import Drawn
from immunostat.app.limits import Limits
from immunostat.app.same_as import SameAs
from immunostat.base.errors import ImmunostatError, InputError

T = TypeVar("T")

#: Told at most this often how far work is, s.
TELL_SECONDS = 0.15

#: Failed patients whose reason is told.
MOST_FAILURES = 8


class Stopped(Exception):
    """Somebody asked for something else, so that nobody waits for this any more."""


class Page:
    """The open page of one session.

    Parameters
    ----------
    session
        Shiny's session.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._task: asyncio.Task[None] | None = None
        self._stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._told = 0.0

    def begin(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do this now, instead of what is going on."""
        self.stop()
        self._stop = threading.Event()
        self._task = asyncio.create_task(self._guarded(work))

    def stop(self) -> None:
        """Give up what is going on; nothing of it reaches the page any more."""
        self._stop.set()
        if self._task is not None and not self._task.done():
            self._task.cancel()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever fails is told on the page, which lives on."""
        try:
            await work()
        except (asyncio.CancelledError, Stopped):
            return
        except ImmunostatError as error:
            await self.fail(error)
        except Exception as error:
            traceback.print_exc()
            await self.fail(
                InputError(
                    f"this went wrong in the program itself: {type(error).__name__}: {error}",
                    remedy="what you did before still works; please report it with the study file",
                )
            )

    async def do(self, work: Callable[[], T]) -> T:
        """Do slow work beside the page, so that it stays usable."""
        return await asyncio.to_thread(work)

    def progress(self, limits: Limits) -> Callable[[int, int, str], None]:
        """Takes progress from another thread; ends the work when nobody waits or time is up."""
        stop, began = self._stop, time.monotonic()

        def tell(done: int, total: int, stage: str) -> None:
            if stop.is_set():
                raise Stopped
            limits.check_seconds(time.monotonic() - began)
            now = time.monotonic()
            if now - self._told < TELL_SECONDS and total:
                return
            self._told = now
            words = f"{stage}: {done:,} of {total:,}" if total else f"{stage} …"
            message = {"words": words, "done": done, "total": total, "busy": True}
            coroutine = self.send("status", message)
            asyncio.run_coroutine_threadsafe(coroutine, self._loop)

        return tell

    async def send(self, kind: str, message: dict[str, Any]) -> None:
        """Send a message to the page; a page that is gone does not matter."""
        with contextlib.suppress(Exception):
            await self._session.send_custom_message(kind, message)

    async def status(self, words: str, **more: Any) -> None:
        """A line about what is going on."""
        await self.send("status", {"words": words, "done": 0, "total": 0, **more})

    async def part(self, place: str, html: str) -> None:
        """Put HTML into a part of the page; empty HTML hides the part."""
        await self.send("part", {"id": place, "html": str(html)})

    async def figure(self, group: str, drawn: Drawn, is_wide: bool = False) -> None:
        """Put a figure into a group, in place of an earlier one of its name."""
        await self.send("figure", {"group": group, "html": figure_html(drawn, is_wide)})

    async def same_as(self, same: SameAs) -> None:
        """Show what does the same."""
        await self.part("same-body", frame.same_as_part(same))

    async def fail(self, error: ImmunostatError) -> None:
        """Say what is wrong."""
        await self.part("failure", failure_html(error))
        await self.status("Nothing new is shown.", state="failed")


def figure_html(drawn: Drawn, is_wide: bool = False) -> str:
    """A figure with caption and downloads."""
    kind = ' class="wide"' if is_wide else ""
    links = " · ".join(
        f'<a href="/figures/{drawn.key}.{ending}" download>{ending.upper()}</a>'
        for ending in ("svg", "png")
    )
    return (
        f'<figure id="figure-{escape(drawn.name)}"{kind}>{drawn.html}'
        f"<figcaption>{escape(drawn.caption)} {links}</figcaption></figure>"
    )


def failure_html(error: ImmunostatError) -> str:
    """An error as people read it."""
    if isinstance(error, InputError):
        place = f" ({escape(str(error.place))})" if error.place else ""
        remedy = f"<p>{escape(error.remedy)}</p>" if error.remedy else ""
        return str(
            Markup('<div class="failure" role="alert"><strong>{}</strong>{}{}</div>').format(
                error.message, Markup(place), Markup(remedy)
            )
        )
    return str(Markup('<div class="failure" role="alert">{}</div>').format(str(error)))


def failed_patients_html(run: dict[str, Any]) -> str:
    """Which patients could not be computed, and why; empty if all could."""
    failed = {cause: n for cause, n in dict(run.get("failed", {})).items() if n}
    if not failed:
        return ""
    counts = ", ".join(f"{n:,} {cause}" for cause, n in failed.items())
    items = Markup("").join(
        Markup("<li>{}</li>").format(text) for text in run.get("failures", ())[:MOST_FAILURES]
    )
    return str(
        Markup(
            '<div class="failure" role="alert"><strong>Some patients could not be computed and '
            "are left out: {}.</strong><details><summary>Which, and why</summary><ul>{}</ul>"
            "</details></div>"
        ).format(counts, items)
    )

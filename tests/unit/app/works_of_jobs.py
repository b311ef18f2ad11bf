"""What processes of tests do; they import it, so it is a module of its own."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection


def good(text: str, folder: str, own: str | None, threads: int | None, pipe: Connection) -> None:
    for done in range(4):
        pipe.send(("progress", (done, 4, "patients")))
    pipe.send(("done", ""))


def endless(text: str, folder: str, own: str | None, threads: int | None, pipe: Connection) -> None:
    pipe.send(("progress", (1, 100, "patients")))
    time.sleep(600)


def crash(text: str, folder: str, own: str | None, threads: int | None, pipe: Connection) -> None:
    os._exit(3)

"""How long a person waits for the first figure of Explore, in a real browser.

    python -m benchmarks.app [--patients N] [--repeats N] [--page FILE]

The program `immunostat app` is started as a user starts it; a headless Chromium (named in CHROMIUM,
or found) opens Explore with two arms.

never compiled  the model's machine code is not on disk: the first time on this machine
cold            a new process, its page opened the moment that it says its address
warm            the dose is changed on the open page

A wait ends when the first figure is on the page; `all` when the last one is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

from benchmarks.engine_figures import describe_machine

PROGRAM = (sys.executable, "-c", "from immunostat.cli import main; main()")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

#: Seconds until the first figure that `never compiled` may take is not stated; the others may.
GOALS = {"cold": 4.0, "warm": 1.0}

_FRESH = "[...document.querySelectorAll('.shown figure')].some(own => !own.matches('.stale'))"
_FIRST = f"() => {_FRESH}"
_NEW = f"dose => {_FRESH} && document.querySelector('.shown').textContent.includes(dose)"
_ALL = "() => document.querySelector('#status').dataset.state === 'done'"


@dataclass(frozen=True)
class Wait:
    """Seconds until the first figure and until all are there."""

    first: float
    all: float


@contextmanager
def _program(cache: str) -> Iterator[str]:
    """The address of a running app, the moment that it is said."""
    with tempfile.TemporaryDirectory() as folder:
        running = subprocess.Popen(
            [*PROGRAM, "app", "--port", "0", "--no-browser", "--results", f"{folder}/results"],
            env=os.environ | {"XDG_CACHE_HOME": cache},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert running.stdout is not None
        try:
            for line in running.stdout:
                if "http://" in line:
                    yield line.split("http://")[1].split("/")[0]
                    break
            else:
                raise SystemExit("the app ended before it said its address")
        finally:
            running.terminate()
            running.wait(10)


def _wait(page: Page, began: float, first: str, argument: str | None = None) -> Wait:
    page.wait_for_function(first, arg=argument, polling="raf", timeout=300_000)
    seen = time.perf_counter() - began
    page.wait_for_function(_ALL, polling="raf", timeout=300_000)
    return Wait(seen, time.perf_counter() - began)


def _opened(page: Page, host: str, patients: int) -> Wait:
    """The page opened by its address, with two arms."""
    asked = urlencode(
        {
            "situation": "rheumatoid-arthritis",
            "patients": patients,
            "duration": "24 weeks",
            "a": "adalimumab 40 mg subcutaneous every 2 weeks",
        }
    )
    began = time.perf_counter()
    page.goto(f"http://{host}/explore/?{asked}")
    return _wait(page, began, _FIRST)


def _moved(page: Page, position: int, dose: str) -> Wait:
    """The dose of the first arm moved to another position of its slider."""
    began = time.perf_counter()
    page.locator(".dose").first.fill(str(position))
    return _wait(page, began, _NEW, dose)


def measure(patients: int, repeats: int) -> dict[str, list[Wait]]:
    """Waits of each kind."""
    named = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    found: dict[str, list[Wait]] = {"never compiled": [], "cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as cache, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=named, args=["--no-sandbox"])
        for i in range(repeats + 1):
            with _program(cache) as host:
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                found["cold" if i else "never compiled"].append(_opened(page, host, patients))
                for position, dose in ((8, "80 mg"), (3, "20 mg"), (7, "60 mg")):
                    found["warm"].append(_moved(page, position, f"adalimumab {dose}"))
                page.close()
        browser.close()
    return found


def table(found: dict[str, list[Wait]], patients: int) -> str:
    """Medians, as Markdown."""
    rows = [
        "# How fast the app answers",
        "",
        "How long a person waits for the first figure of Explore, in a real browser that opens "
        "its page the moment that `immunostat app` says its address. *Never compiled*: the first "
        "time that this model is solved on a machine. *Cold*: a new process. *Warm*: the dose is "
        "changed on the open page. Made by "
        "`python -m benchmarks.app --page docs/reference/app-speed.md` on an idle machine; on a "
        "busy one every wait grows with the load.",
        "",
        f"{patients:,} patients in each of two arms, 24 weeks; {describe_machine()}.",
        "",
        "| | goal, s | first figure, s | slowest | all figures, s | waits measured |",
        "|---|---|---|---|---|---|",
    ]
    for kind, waits in found.items():
        first = [wait.first for wait in waits]
        goal = GOALS.get(kind)
        rows.append(
            f"| {kind} | {goal if goal else '–'} | {statistics.median(first):.2f} | "
            f"{max(first):.2f} | {statistics.median(wait.all for wait in waits):.2f} | "
            f"{len(waits)} |"
        )
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3, help="new processes")
    parser.add_argument("--page", type=Path, help="file to write the table to")
    asked = parser.parse_args()
    text = table(measure(asked.patients, asked.repeats), asked.patients)
    print(text)
    if asked.page:
        asked.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

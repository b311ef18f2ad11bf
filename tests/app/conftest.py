"""The app in this process, and a real browser that may reach nothing but this machine."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from immunostat.app.server import application
from immunostat.app.workbench import Workbench
from immunostat.catalog.lookup import packaged_catalog

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class App:
    """A running app.

    Parameters
    ----------
    address
        Without a slash at its end.
    asked
        Every address that the browser asked for.
    """

    address: str
    bench: Workbench
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    import uvicorn

    bench = Workbench(packaged_catalog(), tmp_path_factory.mktemp("app") / "results", 2)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(bench), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield App(f"http://127.0.0.1:{listening.getsockname()[1]}", bench)
    server.should_exit = True
    bench.jobs.close()
    thread.join(10)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium here; install one, or name it in CHROMIUM")
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=str(Path(found)),
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(app: App, browser: Browser) -> Iterator[Page]:
    """A page of its own; errors of its script fail the test, and so does a request elsewhere."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: app.asked.append(request.url))
    yield page
    context.close()
    assert not problems
    elsewhere = [url for url in app.asked if not url.startswith((app.address, "data:", "blob:"))]
    assert not elsewhere, f"the page asked for {elsewhere}"

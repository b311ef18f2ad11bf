"""The server of the app: this machine only, every screen at its own address."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import shiny
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from immunostat.app import explore_state, frame
from immunostat.app.frame import HERE
from immunostat.app.guard import Guard
from immunostat.app.limits import EXPLORE
from immunostat.app.live import Page, Stopped
from immunostat.app.screens import balance, explore, library, patient, results, trial
from immunostat.app.workbench import Workbench
from immunostat.base.errors import ImmunostatError, InputError, UnknownNameError
from immunostat.report import figures

Press = Callable[[Workbench, Page, str, str], Awaitable[None]]
Show = Callable[[Workbench, Page, str], Awaitable[None]]


def application(bench: Workbench) -> Starlette:
    """The whole app, as an ASGI application."""

    def figure(request: Request) -> Response:
        found = bench.figures.get(request.path_params["key"])
        ending = request.path_params["ending"]
        if found is None or ending not in ("svg", "png"):
            return Response("This figure is kept no longer; reload its page.", 404)
        name, svg = found
        body = svg.encode() if ending == "svg" else figures.png(svg)
        kind = "image/svg+xml" if ending == "svg" else "image/png"
        safe = re.sub(r"[^A-Za-z0-9-]+", "-", name)
        headers = {"content-disposition": f'attachment; filename="{safe}.{ending}"'}
        return Response(body, media_type=kind, headers=headers)

    def home(request: Request) -> Response:
        return RedirectResponse(explore.PATH)

    def library_home(request: Request) -> Response:
        return RedirectResponse("/library/drugs")

    def library_list(request: Request) -> str:
        kind = request.path_params["kind"]
        if kind == "network":
            return library.network(bench, "", request.url.query)
        return library.listed(bench, kind)

    def library_card(request: Request) -> str:
        kind, name = request.path_params["kind"], request.path_params["name"]
        if kind == "network":
            return library.network(bench, name, request.url.query)
        return library.hook(bench, name) if kind == "at" else library.card(bench, kind, name)

    def results_list(request: Request) -> str:
        return results.listed(bench, request.url.query)

    def result_open(request: Request) -> str:
        return results.opened(bench, request.path_params["name"])

    def result_patient(request: Request) -> str:
        return results.one(bench, request.path_params["name"], request.url.query)

    def result_file(request: Request) -> Response:
        name, inside = request.path_params["name"], request.path_params["inside"]
        return FileResponse(results.file(bench, name, inside))

    def result_pack(request: Request) -> Response:
        name = request.path_params["name"]
        headers = {"content-disposition": f'attachment; filename="{name}.zip"'}
        return Response(results.packed(bench, name), media_type="application/zip", headers=headers)

    routes = [
        Route(results.PATH, _plain(results_list, results.PATH)),
        Route("/results/open/{name}", _plain(result_open, results.PATH)),
        Route("/results/patient/{name}", _plain(result_patient, results.PATH)),
        Route("/results/file/{name}/{inside:path}", _plain(result_file, results.PATH)),
        Route("/results/pack/{name}", _plain(result_pack, results.PATH)),
        Route(library.PATH, library_home),
        Route("/library/{kind}", _plain(library_list, library.PATH)),
        Route("/library/{kind}/{name}", _plain(library_card, library.PATH)),
        Route("/", home),
        Route("/figures/{key}.{ending}", figure),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        Mount(explore.PATH.rstrip("/"), _live(bench, explore.page, explore.show)),
        Mount(patient.PATH.rstrip("/"), _live(bench, patient.page, patient.show, patient.press)),
        Mount(balance.PATH.rstrip("/"), _live(bench, balance.page, balance.show)),
        Mount(trial.PATH.rstrip("/"), _live(bench, trial.page, trial.show, trial.press)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard)])


def _plain(made: Callable[[Request], str | Response], path: str) -> Callable[[Request], Response]:
    """A page without a session; what is wrong with an address is said on a page."""

    def respond(request: Request) -> Response:
        try:
            found = made(request)
            return found if isinstance(found, Response) else HTMLResponse(found)
        except ImmunostatError as error:
            wrong = error if isinstance(error, InputError) else InputError(str(error))
            status = 404 if isinstance(error, UnknownNameError) else 400
            title = "Not found" if status == 404 else "This cannot be shown"
            return HTMLResponse(frame.page("error.html", path, title, error=wrong), status)

    return respond


def _live(
    bench: Workbench,
    page: Callable[[Workbench, str], str],
    show: Show,
    press: Press | None = None,
) -> shiny.App:
    """A screen with a session: it computes what its address says, whenever that changes."""

    def ui(request: Request) -> Any:
        return shiny.ui.page_html(page(bench, request.url.query))

    def server(input: Any, output: Any, session: Any) -> None:
        own = Page(session)
        session.on_ended(own.stop)

        @shiny.reactive.effect
        @shiny.reactive.event(input.address)
        def _changed() -> None:
            query = str(input.address())
            own.begin(lambda: show(bench, own, query))

        @shiny.reactive.effect
        @shiny.reactive.event(input.press)
        def _pressed() -> None:
            said = dict(input.press())
            if press is not None:
                name, query = str(said.get("name")), str(said.get("address"))
                own.begin(lambda: press(bench, own, name, query))

    return shiny.App(ui, server)


def warm(bench: Workbench) -> None:
    """Read the cards, and compute what the first page shows while it is on its way."""

    def draw() -> None:  # starting the drawing program needs a core of its own, and no Python
        import vl_convert

        vl_convert.vegalite_to_svg({"mark": "point", "data": {"values": []}}, allowed_base_urls=[])

    def read() -> None:
        with contextlib.suppress(ImmunostatError, Stopped):
            state = explore_state.read("", bench.index)
            study, _ = explore.study_of(bench, state)

            def tell(*_: object) -> None:
                if bench.asked != state.query:  # somebody came by another address
                    raise Stopped

            bench.explored(state.query, study, EXPLORE, tell)

    for own in (draw, read):
        threading.Thread(target=own, daemon=True).start()


def serve(bench: Workbench, port: int, ready: Callable[[str], None] | None = None) -> None:
    """Serve until somebody stops it.

    Parameters
    ----------
    port
        0 takes any that is free.
    ready
        Told the address once the app answers.

    Raises
    ------
    OSError
        The port is taken.
    """
    import socket

    import uvicorn

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen()  # a browser that comes before the server is ready waits, and is not refused
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    warm(bench)
    settings = uvicorn.Config(
        application(bench), log_level="warning", ws_max_size=2**20, server_header=False
    )
    server = uvicorn.Server(settings)
    if ready is not None:
        ready(address)
    try:
        server.run(sockets=[listening])
    finally:
        bench.jobs.close()


def bench_for(catalog_folder: Path | None, results: Path, threads: int | None) -> Workbench:
    """A workbench on the packaged catalog, with a folder of one's own cards on top."""
    from immunostat.catalog.lookup import Catalog

    return Workbench(Catalog.packaged(catalog_folder), results, threads)

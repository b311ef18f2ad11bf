"""The commands that open the app, and that write the page of a result again."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.cli.options import ThreadsOption
from immunostat.cli.printing import NOTICE, guarded, message

#: Port of the app if nobody asks for another.
PORT = 8321


@guarded
def app(
    context: typer.Context,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes any free one.")
    ] = PORT,
    results: Annotated[
        Path, typer.Option(help="Folder of result folders: read, and written by trials.")
    ] = Path("results"),
    threads: ThreadsOption = None,
    browser: Annotated[bool, typer.Option(help="Open the app in a browser.")] = True,
) -> None:
    try:
        from immunostat.app import server
    except ImportError as error:
        raise InputError(
            f"the app needs a package that is not installed ({error.name})",
            remedy="pip install 'immunostat[app]'",
        ) from None
    if results.exists() and not results.is_dir():
        raise InputError("the folder of results is a file", Place(shown_path(results)))

    def ready(address: str) -> None:
        message(f"{NOTICE}\nThe app is at {address} (this machine only); Ctrl+C ends it.")
        if browser:
            webbrowser.open(address)

    try:
        server.serve(server.bench_for(context.obj, results, threads), port, ready)
    except OSError as error:
        raise InputError(
            f"port {port} cannot be used ({error.strerror})",
            remedy="choose another with --port, or 0 for any free one",
        ) from None


@guarded
def report(
    result: Annotated[Path, typer.Argument(help="A result folder.")],
) -> None:
    from immunostat.report import page
    from immunostat.study.result import open_result
    from immunostat.study.store import writing

    opened = open_result(result)
    with writing(result):
        written = page.write(opened, result)
    message(f"{NOTICE}\nwritten to {shown_path(written)}")


def add_to(program: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    text = (
        "The laboratory in a browser: explore doses, build and run trials, look at patients, read "
        "the cards. It works offline and answers to this machine only.\n\n"
        f"Example:  immunostat app\n\nExample:  immunostat app --port 0 --no-browser\n\n{NOTICE}"
    )
    program.command("app", help=text, rich_help_panel="Studies")(app)
    text = (
        "Write the report of a result again, without simulating.\n\n"
        f"Example:  immunostat report results/ra-biologics\n\n{NOTICE}"
    )
    program.command("report", help=text, rich_help_panel="Studies")(report)

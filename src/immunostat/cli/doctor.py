"""What this installation can do."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import typer

from immunostat.cli.options import CsvOption, JsonOption
from immunostat.cli.printing import NOTICE, format_of, guarded, print_table

#: Packages whose version matters to results or speed.
PACKAGES = (
    *("numpy", "scipy", "pandas", "xarray", "zarr", "llvmlite", "numba", "symengine"),
    *("python-libsbml", "antimony", "scikit-sundae", "pint", "pydantic", "altair"),
)


def _versions() -> list[tuple[str, str]]:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "missing: pip install immunostat again"))
    return found


def _workers() -> str:
    """What serves the options --workers and --cluster, if it is there."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"dask {version('dask')}, distributed {version('distributed')}"
    except PackageNotFoundError:
        return "not possible: pip install 'immunostat[cluster]'"


def _engine() -> list[tuple[str, str]]:
    """Processor, vectors and cache, asked of the engine; says so where it cannot be loaded."""
    try:
        from immunostat.base import shelf
        from immunostat.engine.kernel import native_width
    except ImportError as error:
        return [("engine", f"cannot be loaded: {error}")]
    folder = shelf.folder()
    kept = "off"
    if folder is not None:
        files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
        size = sum(_size(path) for path in files) / 1e6
        kept = f"{folder} ({len(files)} files, {size:.1f} MB)"
    return [
        ("vector width", f"{native_width()} patients at a time in each thread"),
        ("cache of compiled models", kept),
    ]


@guarded
def doctor(context: typer.Context, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    from immunostat.catalog.lookup import Catalog
    from immunostat.cli.app import program_version

    catalog = Catalog.packaged(context.obj)
    numbers = ", ".join(
        f"{len(names)} {noun}"
        for names, noun in (
            (catalog.drugs(), "drugs"),
            (catalog.situations(), "situations"),
            (catalog.side_effects(), "side effects"),
            (catalog.trials(), "trials"),
            (catalog.sources(), "sources"),
        )
    )
    rows = [
        ("immunostat", program_version()),
        ("python", f"{platform.python_version()} ({sys.implementation.name})"),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("cores", str(_usable_cores())),
        *_engine(),
        ("catalog", numbers),
        *_versions(),
        ("chunks in other processes", _workers()),
    ]
    print_table(("what", "value"), rows, format_of(as_json, as_csv))


def _usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def add_to(app: typer.Typer) -> None:
    """Add the command of this module to the program."""
    text = f"What this installation can do.\n\nExample:  immunostat doctor\n\n{NOTICE}"
    app.command("doctor", help=text, rich_help_panel="The program")(doctor)


def _size(path: Path) -> int:
    """Bytes of a file of the cache; 0 if another run has just replaced it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

"""Which version of this program runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """Version of the installed package, or that it is not installed."""
    try:
        return version("immunostat")
    except PackageNotFoundError:
        return "not installed"

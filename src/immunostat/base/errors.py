"""Errors that a person reads: what is wrong, where, and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where in a file something stands; line and column count from 1."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class ImmunostatError(Exception):
    """Base of all errors of this package."""


class InputError(ImmunostatError):
    """Something a person wrote is wrong: the message names the place, the cause and the remedy.

    Parameters
    ----------
    message
        What is wrong, naming the offender.
    place
        File and line, where known.
    remedy
        What is allowed or what to do, one sentence.
    """

    def __init__(self, message: str, place: Place | None = None, remedy: str | None = None) -> None:
        self.message = message
        self.place = place
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        head = self.message if self.place is None else f"{self.place}: {self.message}"
        return head if not self.remedy else f"{head}\n  {self.remedy}"


class UnitError(InputError):
    """A unit is missing, unknown, or of the wrong dimension."""


class UnknownNameError(InputError):
    """A name is not in the catalog; the remedy lists near matches."""


class ModelError(InputError):
    """A model file cannot be read or uses something that is not supported."""


class ShapeError(ImmunostatError):
    """Arrays that belong together differ in shape."""


class RangeError(ImmunostatError):
    """A number lies outside its allowed range."""


def near_matches(name: str, allowed: Iterable[str]) -> str:
    """One sentence that offers the allowed names nearest to `name`, or lists what is allowed.

    Examples
    --------
    >>> near_matches("adalimumb", ["adalimumab", "tocilizumab"])
    "did you mean 'adalimumab'?"
    """
    names = sorted(allowed)
    by_lower = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=3, cutoff=0.6)
    near = [by_lower[match] for match in near]
    if near:
        return "did you mean " + " or ".join(f"'{match}'" for match in near) + "?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"known names: {shown}" if names else "no names are known"


def shown_path(path: Path | str) -> str:
    """Path as a person would write it: relative to the current folder where that is shorter."""
    try:
        relative = str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
    return relative if len(relative) < len(str(path)) else str(path)

"""Antimony text: fragments joined into one model, and model files read.

libantimony keeps its models in global state; a lock keeps callers apart.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from immunostat.base import shelf
from immunostat.base.errors import ModelError, Place, near_matches, shown_path
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem

#: Largest model file that is read, bytes: beyond it something is wrong with the path.
LARGEST_FILE = 20_000_000

#: Joined systems that are kept, so that studies that share a model join it once.
MOST_KEPT = 32

#: Ending of flat models in the cache on disk, some 0.3 MB each, and how many stay there.
KIND, FILES_KEPT = "sbml", 256

_lock = threading.Lock()
_LINE = re.compile(r"line (\d+)(?: ?, column \d+)?:?\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Fragment:
    """A piece of Antimony text and the file that it comes from."""

    text: str
    place_file: str


def flatten(fragments: Sequence[Fragment], main: str) -> str:
    """Join fragments and give the flat SBML of one of their modules.

    Elements of submodels are called ``submodel_element`` in the flat model.

    Parameters
    ----------
    fragments
        Antimony text, later ones may use modules of earlier ones.
    main
        Name of the module to flatten.

    Returns
    -------
    SBML text.

    Raises
    ------
    ModelError
        The text is not Antimony (file and line are named), or has no such module.
    """
    import antimony

    text = "\n".join(fragment.text for fragment in fragments) + "\n"
    with _lock:
        antimony.clearPreviousLoads()
        try:
            if antimony.loadAntimonyString(text) < 0:
                raise _syntax_error(antimony.getLastError() or "unreadable", fragments)
            modules = [name for name in antimony.getModuleNames() or [] if name != "__main"]
            known = main in modules or (main == "__main" and not modules)
            sbml = antimony.getSBMLString(main) if known else None
            if sbml is None:
                place = Place(fragments[-1].place_file) if fragments else None
                if known:
                    raise ModelError(f"model '{main}': {antimony.getLastError()}", place)
                raise ModelError(f"there is no model '{main}'", place, near_matches(main, modules))
            return str(sbml)
        finally:
            antimony.clearPreviousLoads()


@lru_cache(maxsize=MOST_KEPT)
def joined_system(fragments: tuple[Fragment, ...], main: str, name: str) -> tuple[str, OdeSystem]:
    """Join fragments into a system of equations; the same question gets the same answer at once.

    Parameters
    ----------
    fragments, main
        As in `flatten`.
    name
        Of the system.

    Returns
    -------
    Flat SBML, and the system, which nobody may change.

    Raises
    ------
    ModelError
        As `flatten` and `system_from_sbml` do.
    """
    sbml = _kept_or_flattened(fragments, main)
    system = system_from_sbml(sbml, name)
    system.defaults.setflags(write=False)
    return sbml, system


def _kept_or_flattened(fragments: tuple[Fragment, ...], main: str) -> str:
    """Flat SBML from the cache on disk, as joining sixty states takes half a second."""
    from importlib.metadata import version

    key = shelf.key_of(version("antimony"), main, *(fragment.text for fragment in fragments))
    kept = shelf.read(key, KIND)
    if kept is not None:
        return kept.decode()
    sbml = flatten(fragments, main)
    shelf.write(key, KIND, sbml.encode(), FILES_KEPT)
    return sbml


def main_module(text: str, place_file: str) -> str:
    """Name of the last module of Antimony text, which Antimony takes for the main one."""
    import antimony

    with _lock:
        antimony.clearPreviousLoads()
        try:
            if antimony.loadAntimonyString(text + "\n") < 0:
                message = antimony.getLastError() or "unreadable"
                raise _syntax_error(message, [Fragment(text, place_file)])
            return str(antimony.getMainModuleName())
        finally:
            antimony.clearPreviousLoads()


def _syntax_error(message: str, fragments: Sequence[Fragment]) -> ModelError:
    """libantimony's message, with the line of the file that the fragment came from."""
    found = _LINE.search(message)
    if found is None:
        place = Place(fragments[-1].place_file) if fragments else None
        return ModelError(f"not valid Antimony: {message.strip()}", place)
    line, what = int(found.group(1)), found.group(2).strip()
    for fragment in fragments:
        n_lines = fragment.text.count("\n") + 1
        if line <= n_lines:
            break
        line -= n_lines
    line = min(line, fragment.text.count("\n") + 1)
    shown = fragment.text.splitlines()[line - 1].strip() if fragment.text.strip() else ""
    return ModelError(
        f"not valid Antimony: {what or 'syntax error'}",
        Place(fragment.place_file, line),
        f"the line reads: {shown[:120]}" if shown else "is a line before it unfinished?",
    )


def read_text(path: Path | str) -> str:
    """Text of a model file; refuses what is missing, too large, or not UTF-8."""
    file = Path(path)
    place = Place(shown_path(file))
    try:
        size = file.stat().st_size
        if size > LARGEST_FILE:
            raise ModelError(
                f"the file has {size / 1e6:.0f} MB; models of up to {LARGEST_FILE // 1_000_000} MB "
                "are read",
                place,
            )
        return file.read_text(encoding="utf-8")
    except OSError as problem:
        cause = problem.strerror or str(problem)
        raise ModelError(f"cannot read the model file: {cause}", place) from None
    except UnicodeDecodeError as problem:
        raise ModelError(
            f"the file is not UTF-8 text (byte {problem.start})", place, "save it as UTF-8"
        ) from None


def read_model(path: Path | str) -> str:
    """Flat SBML text of an Antimony (.ant) or SBML (.xml, .sbml) file."""
    text, file = read_text(path), shown_path(path)
    suffix = Path(path).suffix.lower()
    if suffix in (".xml", ".sbml"):
        return text
    if suffix in (".ant", ".antimony", ".txt"):
        return flatten([Fragment(text, file)], main_module(text, file))
    raise ModelError(
        f"unknown kind of model file '{suffix}'", Place(file), "use .ant, .xml or .sbml"
    )


def load_model(path: Path | str) -> OdeSystem:
    """System of equations of an Antimony or SBML file; named after the file."""
    folder = Path(path).resolve().parent
    return system_from_sbml(read_model(path), Path(path).stem, shown_path(path), folder)

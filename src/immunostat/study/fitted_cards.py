"""Fitted numbers as lines of a card, and a card with these lines in the place of the old ones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.catalog.calibrations import Calibration, Moved
from immunostat.catalog.lookup import Catalog, data_folder
from immunostat.catalog.reader import Document, parse_yaml, read_text
from immunostat.study.store import write_whole, writing

#: Significant digits of a fitted number in a card.
DIGITS = 4


@dataclass(frozen=True)
class FittedNumber:
    """What was found for one label of a calibration card.

    Parameters
    ----------
    value
        In the unit of the parameter.
    low, high
        Ends of its 95 % interval.
    """

    value: float
    low: float
    high: float


def fitted_lines(
    catalog: Catalog, calibration: Calibration, numbers: Mapping[str, FittedNumber]
) -> dict[str, dict[str, Any]]:
    """What the cards say of each parameter after the fit.

    Parameters
    ----------
    numbers
        By label.

    Returns
    -------
    By card (``situations/NAME``, ``core/NAME``): keys of each parameter that has moved.
    """
    found: dict[str, dict[str, Any]] = {}
    for fitted in calibration.fitted:
        number = numbers[fitted.name]
        for moved in fitted.moved:
            card = _card_of(calibration, moved)
            raw = catalog.document(*card.split("/")).data["parameters"][moved.name]
            own = found.setdefault(card, {}).setdefault(moved.name, dict(raw))
            if fitted.is_spread:
                kind = next(iter(own["spread"]))
                own["spread"] = {kind: _rounded(number.value)}
                continue
            own |= {
                "value": _rounded(number.value),
                "source": _source(calibration, own.get("source")),
                "where": _where(calibration),
                "evidence": "fitted",
                "checked": False,
                "because": fitted.card.because,
            }
            # A number that was fitted before keeps the words that say what it is.
            if raw["evidence"] == "fitted" and raw.get("because"):
                own["because"] = raw["because"]
            ends = _rounded(number.low), _rounded(number.high)
            for key in ("low", "high", "note"):
                own.pop(key, None)
            if ends[0] < own["value"] < ends[1]:
                own |= {"low": ends[0], "high": ends[1]}
    return found


def _card_of(calibration: Calibration, moved: Moved) -> str:
    if moved.is_core:
        return f"core/{calibration.core.name}"
    return f"situations/{calibration.situation.name}"


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _source(calibration: Calibration, present: object) -> str:
    """A card has one source: the one it has if that is a training trial, else the first trial."""
    keys = [training.trial.citation for training in calibration.arms]
    return present if isinstance(present, str) and present in keys else keys[0]


def _where(calibration: Calibration) -> str:
    """Which results it was fitted to."""
    parts = []
    for training in calibration.arms:
        weeks = sorted({result.week for _, result in training.results})
        names = "/".join(dict.fromkeys(result.endpoint for _, result in training.results))
        when = " and ".join(f"{week:.4g}" for week in weeks)
        parts.append(f"{training.trial.name} {training.arm.name}: {names}, week {when}")
    return "; ".join(parts)


def as_yaml(cards: Mapping[str, Mapping[str, Any]]) -> str:
    """The lines as text: a part for each card."""
    parts = ["# Lines for the cards named below; each takes the place of the parameter there."]
    for card, parameters in cards.items():
        parts.append(f"# {card}.yaml\nparameters:")
        parts += [_block(name, own, "  ") for name, own in parameters.items()]
    return "\n".join(parts) + "\n"


def _block(name: str, own: Mapping[str, Any], indent: str) -> str:
    """One parameter as block YAML."""
    text = yaml.safe_dump(
        dict(own), sort_keys=False, allow_unicode=True, width=100_000, default_flow_style=None
    )
    lines = [f"{indent}{name}:", *(f"{indent}  {line}" for line in text.splitlines())]
    return "\n".join(lines)


def patched(document: Document, text: str, parameters: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of a card with other keys for some parameters; everything else stays, also comments.

    Parameters
    ----------
    document, text
        The card.
    parameters
        All keys of each parameter that changes.

    Raises
    ------
    InputError
        The text would not say what was meant: the card is written in a way that cannot be patched.
    """
    lines = text.splitlines()
    starts = {name: document.places["parameters", name].line or 0 for name in parameters}
    for name in sorted(parameters, key=lambda own: -starts[own]):
        first = starts[name] - 1
        path = ("parameters", name)
        later = [
            place.line - 1
            for own, place in document.places.items()
            if place.line and place.line - 1 > first and own[:2] != path
        ]
        end = min(later, default=len(lines))
        while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip()[0] == "#"):
            end -= 1
        indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
        lines[first:end] = _block(name, parameters[name], indent).splitlines()
    changed = "\n".join(lines) + "\n"
    wanted = {**document.data, "parameters": {**document.data["parameters"], **parameters}}
    if parse_yaml(changed, document.file).data != wanted:
        raise InputError(
            "the lines cannot be put into this card without harm to others",
            Place(document.file),
            "write each parameter in lines of its own, or copy the lines of fitted.yaml by hand",
        )
    return changed


def patched_cards(
    catalog: Catalog, cards: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[str, str]]:
    """Text of each card before and after."""
    found = {}
    for card, parameters in cards.items():
        folder, _, name = card.partition("/")
        before = read_text(catalog.path(folder, name), "card")
        found[card] = (before, patched(catalog.document(folder, name), before, parameters))
    return found


def difference(texts: Mapping[str, tuple[str, str]]) -> str:
    """The changes as a patch."""
    parts: list[str] = []
    for card, (before, after) in texts.items():
        parts += difflib.unified_diff(
            before.splitlines(), after.splitlines(), f"{card}.yaml", f"{card}.yaml", lineterm=""
        )
    return "\n".join(parts)


def write_cards(
    texts: Mapping[str, tuple[str, str]], folder: Path, is_forced: bool = False
) -> Sequence[Path]:
    """Write changed cards into a catalog folder of one's own.

    Raises
    ------
    InputError
        The folder is the program's own, or a card stands there already and `is_forced` is false.
    """
    packaged = data_folder().resolve()
    if folder.resolve() == packaged or packaged in folder.resolve().parents:
        raise InputError(
            "the cards of the program itself are not changed",
            Place(shown_path(folder)),
            "name a folder of your own, and use it with --catalog",
        )
    files = [folder / f"{card}.yaml" for card in texts]
    for file in files:
        if file.exists() and not is_forced:
            raise InputError(
                "this card stands there already",
                Place(shown_path(file)),
                "write it over with --force, or name another folder",
            )
    with writing(folder):
        for file, (_, after) in zip(files, texts.values(), strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, after.encode())
    return files

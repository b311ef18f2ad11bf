"""The structured form of a regimen, for what a line of words says less well."""

from __future__ import annotations

from collections.abc import Mapping

from immunostat.base.errors import InputError, Place, near_matches
from immunostat.therapy.tokens import EXAMPLE

_KEYS = {
    "dose": "{}",
    "route": "{}",
    "over": "over {}",
    "every": "every {}",
    "frequency": "{}",
    "at": "at {}",
    "days": "on days {}",
    "start": "from {}",
    "stop": "until {}",
    "for": "for {}",
}


def line_of(data: Mapping[str, object], place: Place | None = None) -> str:
    """The line of plain words that a structured regimen means.

    Parameters
    ----------
    data
        Keys ``drug``, ``dose``, ``route``, ``over``, ``every``, ``frequency``, ``at``, ``days``,
        ``start``, ``stop``, ``for``, ``maximum``, ``label: true``, and ``phases``, a list of the
        same without ``drug``. Values are words, ``{value, unit}``, or lists of them.

    Raises
    ------
    InputError
        A key is unknown or the drug is missing.

    Examples
    --------
    >>> line_of({"drug": "examplumab", "dose": "40 mg", "route": "oral", "every": "1 day"})
    'examplumab 40 mg oral every 1 day'
    """
    drug = data.get("drug")
    if not isinstance(drug, str):
        raise InputError("a regimen has no 'drug'", place, f"or write one line: {EXAMPLE}")
    if data.get("label") is True:
        return f"{drug} label"
    phases = data.get("phases", [])
    if not isinstance(phases, list) or not all(isinstance(phase, Mapping) for phase in phases):
        raise InputError("'phases' is not a list of mappings", place, "write - {dose: 40 mg, ...}")
    own = {key: value for key, value in data.items() if key not in ("drug", "label", "phases")}
    cap = f" maximum {_value_words(own.pop('maximum'))}" if "maximum" in own else ""
    parts = ([own] if own else []) + phases
    return f"{drug} " + " then ".join(_phase_line(part, place) for part in parts) + cap


def _phase_line(data: Mapping[str, object], place: Place | None) -> str:
    for key in data:
        if key not in _KEYS:
            raise InputError(
                f"unknown key '{key}' in a regimen",
                place,
                near_matches(str(key), [*_KEYS, "maximum", "drug", "label", "phases"]),
            )
    return " ".join(
        pattern.format(_value_words(data[key])) for key, pattern in _KEYS.items() if key in data
    )


def _value_words(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{value.get('value', '')} {value.get('unit', '')}".strip()
    if isinstance(value, list):
        return ", ".join(_value_words(item) for item in value)
    return str(value)

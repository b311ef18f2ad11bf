"""Conditions in plain words, as rules, eligibility and dropout state them.

::

    condition  = comparison {"and" comparison}
    comparison = name ("<" | "<=" | ">" | ">=" | "=" | "is" | "is not") value [unit]
    value      = number | "yes" | "no"

A name is that of a component, an endpoint, a covariate or a side effect; whoever evaluates the
condition says which there are, and in what unit each is. A value without a unit is in the unit of
what it is compared with. A missing value fulfils no comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, Place, UnknownNameError, near_matches
from immunostat.base.units import convert
from immunostat.model.system import FloatArray

EXAMPLE = "for example 'neutrophils < 1.0' or 'age >= 65 and weight < 60 kg'"

#: Comparisons by their sign.
COMPARISONS: Mapping[str, Callable[[FloatArray, float], npt.NDArray[np.bool_]]] = {
    "<": lambda x, level: np.less(x, level),
    "<=": lambda x, level: np.less_equal(x, level),
    ">": lambda x, level: np.greater(x, level),
    ">=": lambda x, level: np.greater_equal(x, level),
    "=": lambda x, level: np.equal(x, level),
    "is not": lambda x, level: ~np.isnan(x) & np.not_equal(x, level),
}

_COMPARISON = re.compile(
    r"\s*(?P<name>[A-Za-z][\w .()/-]*?)\s*"
    r"(?:(?P<sign><=|>=|<|>|=)|\s(?P<word>is not|is))\s*"
    r"(?P<value>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|yes|no)\s*(?P<unit>[^\s\d<>=].*?)?\s*"
)
_MOST_LETTERS = 500


@dataclass(frozen=True)
class Comparison:
    """One comparison: a name, a sign of `COMPARISONS`, a number in `unit` (empty: the name's)."""

    name: str
    sign: str
    value: float
    unit: str = ""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} {self.sign} {self.value:.12g}{unit}"


@dataclass(frozen=True)
class Condition:
    """Comparisons that must all hold."""

    comparisons: tuple[Comparison, ...]

    def __str__(self) -> str:
        return " and ".join(str(comparison) for comparison in self.comparisons)

    @property
    def names(self) -> tuple[str, ...]:
        """What the condition looks at."""
        return tuple(dict.fromkeys(comparison.name for comparison in self.comparisons))

    def holds(self, values: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.bool_]:
        """Where every comparison holds.

        Parameters
        ----------
        values
            Array by name, in the unit that `resolved` was told; NaN where missing. Equal shapes.

        Returns
        -------
        False where a value is missing. Shape of the arrays.
        """
        parts = [
            COMPARISONS[own.sign](np.asarray(values[own.name], dtype=np.float64), own.value)
            for own in self.comparisons
        ]
        return np.asarray(np.logical_and.reduce(parts), dtype=np.bool_)


def parse_condition(text: object, place: Place | None = None) -> Condition:
    """The condition that plain words say.

    Raises
    ------
    InputError
        The words are no condition.

    Examples
    --------
    >>> str(parse_condition("neutrophils<1 and age >= 65 years"))
    'neutrophils < 1 and age >= 65 years'
    """
    if not isinstance(text, str) or len(text) > _MOST_LETTERS:
        raise InputError("a condition is a line of words", place, EXAMPLE)
    found = []
    for part in re.split(r"\sand\s", text):
        match = _COMPARISON.fullmatch(part)
        if match is None:
            raise InputError(f"'{part.strip()}' is no condition", place, EXAMPLE)
        sign = match["sign"] or {"is": "=", "is not": "is not"}[match["word"]]
        words = {"yes": 1.0, "no": 0.0}
        value = words.get(match["value"])
        if value is not None and (match["unit"] or sign not in ("=", "is not")):
            raise InputError(f"'{part.strip()}' is no condition", place, "write 'NAME is yes'")
        number = float(match["value"]) if value is None else value
        found.append(Comparison(match["name"], sign, number, match["unit"] or ""))
    return Condition(tuple(found))


def resolved(
    condition: Condition, units: Mapping[str, str], place: Place | None = None
) -> Condition:
    """The condition with the names as they are spelled and values in the units that are given.

    Parameters
    ----------
    condition
        From `parse_condition`.
    units
        Unit of everything that can be compared, by name; "1" for shares, scores and yes or no.
    place
        File and line for errors.

    Raises
    ------
    UnknownNameError
        A name is not known; the remedy lists near matches.
    UnitError
        A value has a unit that does not convert.
    """
    spelled = {re.sub(r"[ _]", "-", name).lower(): name for name in units}
    own = []
    for comparison in condition.comparisons:
        name = spelled.get(re.sub(r"[ _]", "-", comparison.name).lower())
        if name is None:
            raise UnknownNameError(
                f"'{comparison.name}' cannot be compared here",
                place,
                near_matches(comparison.name, units),
            )
        value = comparison.value
        if comparison.unit and comparison.unit != units[name]:
            value = convert(value, comparison.unit, units[name], what=name, place=place)
        own.append(Comparison(name, comparison.sign, value))
    return Condition(tuple(own))

"""The state of a screen as its address: what a link reopens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, urlencode

from immunostat.base.errors import InputError

#: Longest query that is read, and most parts of it.
LONGEST, MOST_PARTS = 60_000, 400


class Address:
    """The parts of a query, in order; a name may stand several times.

    Parameters
    ----------
    query
        With or without its question mark.

    Raises
    ------
    InputError
        It is too long to be one of ours.
    """

    def __init__(self, query: str = "") -> None:
        query = query.removeprefix("?")
        if len(query) > LONGEST:
            raise InputError("this address is too long", remedy="begin again from the screen")
        try:
            self.pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARTS)
        except ValueError:
            raise InputError("this address has too many parts") from None

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a name that is not blank."""
        return tuple(v.strip() for key, v in self.pairs if key == name and v.strip())

    def one(self, name: str, default: str = "") -> str:
        """The last value of a name."""
        found = self.all(name)
        return found[-1] if found else default

    def has(self, name: str) -> bool:
        """Whether the name stands in the address at all."""
        return any(key == name for key, _ in self.pairs)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within limits.

        Raises
        ------
        InputError
            It is none, or lies outside.
        """
        text = self.one(name)
        if not text:
            return default
        try:
            value = int(text)
        except ValueError:
            raise InputError(f"{name}: '{text}' is no whole number") from None
        if not low <= value <= high:
            raise InputError(f"{name}: {value:,} is outside {low:,} to {high:,}")
        return value

    def number(self, name: str) -> float | None:
        """A number; None where the name is blank.

        Raises
        ------
        InputError
            It is no number.
        """
        text = self.one(name)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            raise InputError(f"{name}: '{text}' is no number") from None
        if not abs(value) < 1e9:
            raise InputError(f"{name}: {text} is no number that a patient can have")
        return value


def query(pairs: Mapping[str, object] | Iterable[tuple[str, object]]) -> str:
    """An address of names and values; blank values are left out.

    Examples
    --------
    >>> query({"a": ["x 1", "y"], "b": "", "c": 3})
    'a=x+1&a=y&c=3'
    """
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    flat: list[tuple[str, str]] = []
    for name, value in items:
        several: Sequence[object] = (value,)
        if isinstance(value, Sequence) and not isinstance(value, str):
            several = value
        for one in several:
            text = "" if one is None else str(one)
            if text:
                flat.append((name, text))
    return urlencode(flat)

"""A number about the world: value, unit, source, place, evidence, and whether it was checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from immunostat.base.errors import Place


class Evidence(StrEnum):
    """How a number came to be known."""

    MEASURED = "measured"
    FITTED = "fitted"
    DERIVED = "derived"
    ASSUMED = "assumed"


@dataclass(frozen=True)
class Fact:
    """One number of a card.

    Parameters
    ----------
    name
        Dotted path inside its card, for example ``pk.parameters.clearance``.
    value
        The number as the card prints it, in `unit`.
    unit
        Unit as the card prints it (pint syntax; ``1`` for none).
    source
        Key in ``sources.bib``; empty for assumed numbers without one.
    where
        Place in the source: table, page, section.
    evidence
        Measured, fitted, derived or assumed.
    checked
        True only where the value was read in the source or a stored copy of it.
    because
        The reason, required of assumed and derived numbers.
    place
        File and line of the card.
    """

    name: str
    value: float
    unit: str
    source: str = ""
    where: str = ""
    evidence: Evidence = Evidence.ASSUMED
    checked: bool = False
    because: str = ""
    note: str = ""
    place: Place | None = field(default=None, compare=False)

    @property
    def is_assumption(self) -> bool:
        """Whether a reader should be told by name that this number is not established."""
        return self.evidence is Evidence.ASSUMED or not self.checked

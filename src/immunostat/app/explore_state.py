"""The state of the screen Explore: a situation, up to four regimens, the people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from immunostat.app.address import Address, query
from immunostat.app.index import Index, visits_for
from immunostat.app.limits import EXPLORE
from immunostat.app.whose import whose
from immunostat.base.errors import InputError, UnknownNameError, near_matches
from immunostat.base.units import DAYS

#: Keys of the regimens in an address.
LETTERS = ("a", "b", "c", "d")

#: Drugs of one regimen.
MOST_LINES = 5

#: Name of the arm without drugs of its own.
WITHOUT = "background"

_AMOUNT = re.compile(r"\d+(?:\.\d+)? ?(?:[munk]?g|IU|MIU|kIU|ug|mcg|units?|MU)(?:/(?:kg|m\^2))?\b")


@dataclass(frozen=True)
class ExploreState:
    """What the screen shows.

    Parameters
    ----------
    regimens
        Lines of each regimen in plain words; a regimen may be empty while somebody fills it.
    patient
        Number of the patient who stands out; the first one if None.
    """

    situation: str
    population: str
    regimens: tuple[tuple[str, ...], ...]
    patients: int = 500
    duration: str = "24 weeks"
    seed: int = 1
    patient: int | None = None

    @property
    def query(self) -> str:
        """The address, without whom the figures mark."""
        pairs: list[tuple[str, object]] = [
            ("situation", self.situation),
            ("population", self.population),
            ("patients", self.patients),
            ("duration", self.duration),
            ("seed", self.seed),
        ]
        pairs += [(letter, own) for letter, own in zip(LETTERS, self.regimens, strict=False)]
        return query(pairs)

    @property
    def address(self) -> str:
        """The whole address."""
        more = f"&patient={self.patient}" if self.patient is not None else ""
        return self.query + more

    @property
    def arms(self) -> dict[str, list[str]]:
        """Name of each arm that has a drug, with its lines."""
        return arm_names([own for own in self.regimens if own])

    def study(self, visits: str = "every 1 week") -> dict[str, Any]:
        """The study that the screen shows, as a study file holds it.

        Parameters
        ----------
        visits
            How often trials in the situation look, where the study is short.
        """
        days = days_of(self.duration)
        return {
            "title": f"Explore: {', '.join(self.arms) or 'nothing'}"[:150],
            "situation": self.situation,
            "population": {
                "name": self.population,
                "patients": self.patients,
                "seed": self.seed,
            },
            "arms": {WITHOUT: [], **self.arms},
            "duration": self.duration,
            "visits": visits_for(days, visits),
        }


def read(text: str, index: Index) -> ExploreState:
    """The state that an address says; what it leaves out is filled in.

    Raises
    ------
    InputError
        A name is unknown or a number out of range.
    """
    address = Address(text)
    situation, population = whose(address, index)
    name = situation.name
    regimens = [list(address.all(letter)) for letter in LETTERS]
    for letter, own in zip(LETTERS, regimens, strict=True):
        added = address.one(f"add-{letter}")
        if added:
            own.append(index.words(drug_name(added, index), name))
        if len(own) > MOST_LINES:
            raise InputError(f"a regimen has at most {MOST_LINES} drugs here")
    dropped = address.one("drop")
    if dropped in LETTERS:
        regimens[LETTERS.index(dropped)] = []
    kept = [tuple(own) for own in regimens if own]
    if not kept and not address.has("situation"):
        kept = [(example(index, name),)]
    patient = address.one("patient")
    return ExploreState(
        name,
        population,
        tuple(kept),
        address.whole("patients", 500, 1, EXPLORE.patients),
        address.one("duration") or situation.duration(),
        address.whole("seed", 1, 0, 2**53),
        int(patient) if patient.isdigit() else None,
    )


def drug_name(said: str, index: Index) -> str:
    """The drug that somebody typed: its name, a synonym, or the first word of a choice."""
    name = said.strip().lower().replace(" ", "-")
    if name in index.drugs:
        return name
    for entry in index.drugs.values():
        card = index.catalog.drug_card(entry.name)
        if said.strip().lower() in [entry.title.lower(), *map(str.lower, card.synonyms)]:
            return entry.name
    raise UnknownNameError(f"there is no drug '{said}'", remedy=near_matches(name, index.drugs))


def example(index: Index, situation: str) -> str:
    """A regimen to show first: of a drug of which the situation's trials say most, if any does."""
    counts: dict[str, int] = {}
    for name in index.situations[situation].trials:
        for arm in index.catalog.trial(name).arms:
            counts[arm.drug] = counts.get(arm.drug, 0) + len(arm.results)
    acting = [own for own in index.drugs_for(situation) if own.labels]
    best = max(
        acting, key=lambda own: (situation in own.labels, counts.get(own.name, 0)), default=None
    )
    return index.words(best.name, situation) if best else ""


def days_of(duration: str) -> float:
    """Length in days of words such as '24 weeks'; 168 where they are none, for the study to say."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", duration)
    if match is None or match[2] not in DAYS:
        return 168.0
    return float(match[1]) * DAYS[match[2]]


def arm_names(regimens: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """A short name for each regimen: drugs with their first dose, told apart where needed.

    Examples
    --------
    >>> arm_names([["adalimumab 40 mg subcutaneous every 2 weeks"], ["adalimumab 80 mg oral"]])
    {'adalimumab 40 mg': ['adalimumab 40 mg subcutaneous every 2 weeks'], \
'adalimumab 80 mg': ['adalimumab 80 mg oral']}
    """
    found: dict[str, list[str]] = {}
    for lines in regimens:
        name = " + ".join(short_words(line) for line in lines)[:60]
        own, n = name, 2
        while own in found or own == WITHOUT:
            own, n = f"{name} ({n})", n + 1
        found[own] = list(lines)
    return found


def short_words(line: str) -> str:
    """Drug and first dose of a regimen."""
    amount = _AMOUNT.search(line)
    drug = line.split(" ", 1)[0]
    if amount is None:
        return line if len(line) < 30 else drug
    before = line[: amount.start()].strip()
    return f"{before if len(before) < 30 else drug} {amount[0]}"

"""The state of the screen Patient: one described person and the drugs that are considered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from immunostat.app.address import Address
from immunostat.app.explore_state import WITHOUT, arm_names, days_of, example
from immunostat.app.index import Index, visits_for
from immunostat.app.limits import TWINS
from immunostat.app.whose import whose
from immunostat.base.units import COVARIATE_UNITS

#: Keys of the candidates in an address.
LETTERS = ("a", "b", "c", "d", "e")

#: Covariates that people ask for first, where a population has them.
FIRST = ("age", "female", "weight", "height", "creatinine_clearance", "serum_creatinine")


@dataclass(frozen=True)
class Field:
    """A covariate in the form."""

    name: str
    unit: str
    is_flag: bool
    low: float | None
    high: float | None
    is_first: bool


@dataclass(frozen=True)
class PatientState:
    """What the form says.

    Parameters
    ----------
    person
        Value of each described covariate, as written; others are drawn.
    what_if
        Covariates that are other than they are, to see what would follow.
    candidates
        Lines of each regimen that is considered.
    entry
        Conditions on the disease at entry, in words.
    failed
        A regimen that did not help, in words.
    """

    situation: str
    population: str
    person: Mapping[str, str]
    what_if: Mapping[str, str]
    candidates: tuple[tuple[str, ...], ...]
    entry: str = ""
    failed: str = ""
    twins: int = 1000
    duration: str = "24 weeks"
    seed: int = 1

    def changed(self) -> PatientState:
        """The person as he would be if."""
        return replace(self, person={**self.person, **self.what_if}, what_if={})

    def study(self, visits: str) -> dict[str, Any]:
        """The study of the person's twins, as a study file holds it."""
        population: dict[str, Any] = {
            "name": self.population,
            "patients": self.twins,
            "seed": self.seed,
        }
        if self.person:
            population["person"] = dict(self.person)
        if self.entry:
            population["eligibility"] = [w.strip() for w in self.entry.split(";") if w.strip()]
        if self.failed:
            population["prior"] = {"regimens": [self.failed]}
        return {
            "title": "Virtual twins of one person",
            "situation": self.situation,
            "population": population,
            "arms": {WITHOUT: [], **arm_names([own for own in self.candidates if own])},
            "duration": self.duration,
            "visits": visits_for(days_of(self.duration), visits),
        }


def fields(index: Index, population: str) -> list[Field]:
    """Covariates of a population that a person can be described by, the usual ones first."""
    card = index.catalog.population(population)
    found = [
        Field(
            name,
            COVARIATE_UNITS.get(name, own.unit) if own.unit == "1" else own.unit,
            own.distribution == "bernoulli",
            own.low,
            own.high,
            name in FIRST,
        )
        for name, own in card.covariates.items()
        if own.distribution not in ("constant",) and not name.startswith("log_")
    ]
    return sorted(found, key=lambda own: FIRST.index(own.name) if own.is_first else len(FIRST))


def read(query: str, index: Index) -> PatientState:
    """The state that an address says; what it leaves out is filled in.

    Raises
    ------
    InputError
        A name is unknown or a number out of range.
    """
    address = Address(query)
    situation, population = whose(address, index)
    name = situation.name
    known = {own.name for own in fields(index, population)}
    person = {own: address.one(f"is-{own}") for own in known if address.one(f"is-{own}")}
    what_if = {own: address.one(f"if-{own}") for own in known if address.one(f"if-{own}")}
    if not address.has("situation"):
        person = {own: v for own, v in (("age", "62"), ("female", "yes")) if own in known}
    candidates = [
        tuple(line.strip() for line in "\n".join(address.all(letter)).splitlines() if line.strip())
        for letter in LETTERS
    ]
    for i, letter in enumerate(LETTERS):
        added = address.one(f"add-{letter}")
        if added:
            candidates[i] = (*candidates[i], index.words(added.strip().lower(), name))
    kept = tuple(own for own in candidates if own)
    if not kept and not address.has("situation"):
        kept = tuple((line,) for line in usual(index, name))
    return PatientState(
        name,
        population,
        dict(sorted(person.items())),
        dict(sorted(what_if.items())),
        kept,
        address.one("entry"),
        address.one("failed"),
        address.whole("twins", 1000, 50, TWINS.patients),
        address.one("duration") or situation.duration(),
        address.whole("seed", 1, 0, 2**53),
    )


def usual(index: Index, situation: str, most: int = 3) -> list[str]:
    """Labelled regimens of drugs of different classes, those most tried first."""
    counts: dict[str, int] = {}
    for name in index.situations[situation].trials:
        for arm in index.catalog.trial(name).arms:
            counts[arm.drug] = counts.get(arm.drug, 0) + len(arm.results)
    acting = [own for own in index.drugs_for(situation) if situation in own.labels]
    acting.sort(key=lambda own: (-counts.get(own.name, 0), own.name))
    seen: dict[str, str] = {}
    for own in acting:
        seen.setdefault(own.drug_class, own.labels[situation])
    return list(seen.values())[:most] or list(filter(None, [example(index, situation)]))

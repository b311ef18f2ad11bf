"""The state of the screen Trial: the form of a study, or the text of a study file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from immunostat.app import explore_state
from immunostat.app.address import Address
from immunostat.app.explore_state import arm_names
from immunostat.app.index import Index
from immunostat.app.limits import TRIAL
from immunostat.app.whose import whose
from immunostat.catalog.reader import parse_yaml
from immunostat.study.study import Study
from immunostat.study.study_reader import study_of

#: Keys of the arms in an address.
LETTERS = ("a", "b", "c", "d", "e", "f")

#: Rows of rules and of comparisons in the form.
MOST_RULES, MOST_ANALYSES = 3, 3

DESIGNS = {
    "same patients": "Same patients under every arm (only a simulation can)",
    "parallel": "Parallel: each patient is randomized to one arm",
}


@dataclass(frozen=True)
class RuleRow:
    """A rule in the form."""

    when: str = ""
    do: str = ""
    until: str = ""


@dataclass(frozen=True)
class AnalysisRow:
    """A comparison of arms in the form."""

    endpoint: str = ""
    arm: str = ""
    versus: str = ""


@dataclass(frozen=True)
class TrialState:
    """What the form says.

    Parameters
    ----------
    arms
        Name and text of each arm, one regimen in each line; an arm without regimens is a control.
    file
        Text of a study file that stands instead of the form; empty if the form counts.
    run
        Number of the run that is shown.
    """

    situation: str
    population: str
    title: str = ""
    arms: tuple[tuple[str, str], ...] = ()
    background: str = ""
    patients: int = 200
    seed: int = 1
    duration: str = "24 weeks"
    visits: str = "every 4 weeks"
    endpoints: tuple[str, ...] = ()
    eligibility: str = ""
    design: str = "same patients"
    replicates: int = 1
    dropout: str = ""
    rules: tuple[RuleRow, ...] = ()
    analyses: tuple[AnalysisRow, ...] = ()
    trials: tuple[str, ...] = ()
    file: str = ""
    run: str = ""

    def data(self) -> dict[str, Any]:
        """The study that the form says, as a study file holds it; what is blank is left out."""
        arms = {name: _lines(text) for name, text in self.arms if name}
        population: dict[str, Any] = {
            "name": self.population,
            "patients": self.patients,
            "seed": self.seed,
        }
        if self.eligibility:
            population["eligibility"] = _lines(self.eligibility.replace(";", "\n"))
        design: dict[str, Any] = {}
        if self.design != "same patients":
            design["arms"] = self.design
        if self.replicates > 1:
            design["replicates"] = self.replicates
        found: dict[str, Any] = {
            "title": self.title or f"Trial: {', '.join(arms)}",
            "situation": self.situation,
            "population": population,
            "background": _lines(self.background),
            "arms": arms,
            "duration": self.duration,
            "visits": self.visits,
            "endpoints": list(self.endpoints),
            "design": design,
            "dropout": {"background": self.dropout} if self.dropout else {},
            "rules": [
                {"when": own.when, "do": own.do, **({"until": own.until} if own.until else {})}
                for own in self.rules
            ],
            "analyses": [
                {"endpoint": own.endpoint, "arm": own.arm, "versus": own.versus}
                for own in self.analyses
            ],
            "compare_with": list(self.trials),
        }
        kept = ("title", "situation", "population", "arms", "duration", "visits")
        return {key: value for key, value in found.items() if value or key in kept}

    def text(self) -> str:
        """The study file."""
        if self.file:
            return self.file
        return yaml.safe_dump(self.data(), sort_keys=False, allow_unicode=True, width=100)

    def study(self, index: Index) -> Study:
        """The study, within the limits.

        Raises
        ------
        InputError
            Something in it is wrong, with the line of the study file; or it is too large.
        """
        study = study_of(parse_yaml(self.text(), "study.yaml"), index.catalog)
        TRIAL.check(study)
        return study


def read(query: str, index: Index) -> TrialState:
    """The state that an address says; what it leaves out is filled in with an example.

    Raises
    ------
    InputError
        A name is unknown or a number out of range.
    """
    address = Address(query)
    situation, population = whose(address, index)
    name = situation.name
    arms = [
        (address.one(f"name-{letter}"), "\n".join(address.all(letter)))
        for letter in LETTERS
        if address.one(f"name-{letter}")
    ]
    if not arms:
        first = explore_state.example(index, name)
        arms = [("control", ""), *((own, "\n".join(x)) for own, x in arm_names([[first]]).items())]
    if address.has("add-arm") and len(arms) < len(LETTERS):
        arms.append((f"arm {len(arms) + 1}", ""))
    endpoints = address.all("endpoint") or situation.endpoints[:6]
    rules = [
        RuleRow(*(address.one(f"{key}-{i}") for key in ("when", "do", "until")))
        for i in range(MOST_RULES)
    ]
    analyses = [
        AnalysisRow(*(address.one(f"{key}-{i}") for key in ("compare", "arm", "versus")))
        for i in range(MOST_ANALYSES)
    ]
    return TrialState(
        name,
        population,
        address.one("title"),
        tuple(arms),
        "\n".join(address.all("background")),
        address.whole("patients", 200, 1, TRIAL.patients),
        address.whole("seed", 1, 0, 2**53),
        address.one("duration") or situation.duration(),
        address.one("visits") or situation.visits,
        tuple(endpoints),
        address.one("eligibility"),
        address.one("design") if address.one("design") in DESIGNS else "same patients",
        address.whole("replicates", 1, 1, 1000),
        address.one("dropout"),
        tuple(own for own in rules if own.when or own.do),
        tuple(own for own in analyses if own.endpoint and own.arm and own.versus),
        address.all("trial"),
        address.one("file"),
        address.one("run"),
    )


def _lines(text: str) -> list[str]:
    """Lines that are not blank."""
    return [line.strip() for line in text.splitlines() if line.strip()]

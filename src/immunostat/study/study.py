"""A study: who, which arms, how long, what is looked at.

`file.StudyFile` is the shape of the file; `Study` is what the program uses, with names looked up,
words turned into regimens and every time in days; `study_reader` makes the one from the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from immunostat.base.errors import Place
from immunostat.outcomes.endpoints import EndpointSpec
from immunostat.study.file import (
    DEFAULT_PATIENTS,
    DEFAULT_RELATIVE_TOLERANCE,
    DEFAULT_SEED,
)
from immunostat.study.recruitment import Prior
from immunostat.study.trial_parts import (
    Analysis,
    Design,
    DoseResponse,
    Interim,
)
from immunostat.therapy.drug import Drug
from immunostat.therapy.regimen import Regimen, duration_words
from immunostat.trial.conditions import Condition
from immunostat.trial.dropout import Cause
from immunostat.trial.rules import Rule

#: Keys of a file, and those under its population, that are kept as they were written.
TRIAL_KEYS = (
    "design",
    "dropout",
    "missed_visits",
    "rules",
    "analyses",
    "interim",
    "dose_response",
)
POPULATION_KEYS = ("stored", "sampling", "eligibility", "prior", "person", "also")


@dataclass(frozen=True)
class StudyPopulation:
    """Who takes part.

    Parameters
    ----------
    name, title
        A population of the catalog.
    n_patients
        Patients in each arm of one trial.
    seed
        Seed of all random numbers.
    stored
        Folder of a stored population whose patients take part; empty draws them anew.
    sampling
        ``random`` or ``sobol``.
    eligibility
        What patients must fulfil besides the population's own criteria.
    prior
        A treatment that they must have failed.
    person
        Covariates that everybody has, in the units of the population; see `person.person_of`.
    also
        Covariates beside those of the population; see `also.with_also`.
    """

    name: str
    n_patients: int = DEFAULT_PATIENTS
    seed: int = DEFAULT_SEED
    title: str = ""
    stored: str = ""
    sampling: str = "random"
    eligibility: Condition | None = None
    prior: Prior | None = None
    person: Mapping[str, float] = field(default_factory=dict)
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """A study that is ready to run.

    Parameters
    ----------
    arms
        Regimens of each arm, without the background.
    background
        Regimens that every arm has besides its own.
    duration_day
        Length of the study, day.
    visits_day
        Times of visits, ascending, with 0 and the end, day.
    side_effects
        Names, in the order of the file.
    has_all_side_effects
        Whether the study names none by itself: then those that nothing in it moves are left out.
    compare_with
        Names of published trials shown beside the simulated arms.
    design, dropout, missed_visits, rules, analyses, interim, dose_response
        What makes a trial of it; see `trial_parts` and `trial`.
    declared
        Endpoints that the study declares itself, by name.
    written
        The keys of the trial as they stood in the file, for `resolved`.
    """

    title: str
    situation: str
    population: StudyPopulation
    arms: Mapping[str, tuple[Regimen, ...]]
    duration_day: float
    visits_day: tuple[float, ...]
    endpoints: tuple[str, ...]
    side_effects: tuple[str, ...] = ()
    background: tuple[Regimen, ...] = ()
    compare_with: tuple[str, ...] = ()
    relative_tolerance: float = DEFAULT_RELATIVE_TOLERANCE
    question: str = ""
    design: Design = field(default_factory=Design)
    dropout: tuple[Cause, ...] = ()
    missed_visits: float = 0.0
    rules: tuple[Rule, ...] = ()
    analyses: tuple[Analysis, ...] = ()
    interim: Interim | None = None
    dose_response: DoseResponse | None = None
    declared: Mapping[str, EndpointSpec] = field(default_factory=dict)
    has_all_side_effects: bool = False
    written: Mapping[str, Any] = field(default_factory=dict, compare=False)
    place: Place | None = field(default=None, compare=False)

    @property
    def drugs(self) -> tuple[Drug, ...]:
        """Every drug of any arm or the background, once, in order of name."""
        regimens = [*self.background, *(r for arm in self.arms.values() for r in arm)]
        regimens += [rule.regimen for rule in self.rules if rule.regimen is not None]
        regimens += self.population.prior.regimens if self.population.prior else ()
        return tuple({r.drug.name: r.drug for r in sorted(regimens, key=_drug_name)}.values())

    @property
    def named_side_effects(self) -> frozenset[str]:
        """Side effects that the study cannot do without, by name."""
        if not self.has_all_side_effects:
            return frozenset(self.side_effects)
        conditions = [own for rule in self.rules for own in (rule.when, rule.until) if own]
        found = {name for condition in conditions for name in condition.names}
        found |= {cause.side_effect for cause in self.dropout if hasattr(cause, "side_effect")}
        found |= {analysis.endpoint for analysis in self.analyses}
        return frozenset(found & set(self.side_effects))

    def regimens(self, arm: str) -> tuple[Regimen, ...]:
        """What patients of an arm take: the background and the arm's own."""
        return (*self.background, *self.arms[arm])

    def resolved(self) -> dict[str, Any]:
        """The study as a study file with every default written out; reads back as the same.

        `duration_day`, `visit_days` and ``population.title`` are for readers of the result.
        """
        population = {
            "name": self.population.name,
            "title": self.population.title,
            "patients": self.population.n_patients,
            "seed": self.population.seed,
            **{key: self.written[key] for key in POPULATION_KEYS if self.written.get(key)},
        }
        return {
            "title": self.title,
            "question": self.question,
            "situation": self.situation,
            "population": population,
            "background": [regimen.words() for regimen in self.background],
            "arms": {
                name: [regimen.words() for regimen in regimens]
                for name, regimens in self.arms.items()
            },
            "duration": duration_words(self.duration_day),
            "duration_day": self.duration_day,
            "visits": [duration_words(time) for time in self.visits_day],
            "visit_days": list(self.visits_day),
            "endpoints": [
                self.written["declared"][name] if name in self.declared else name
                for name in self.endpoints
            ],
            "side_effects": self._side_effects(),
            **{key: self.written[key] for key in TRIAL_KEYS if self.written.get(key)},
            "compare_with": list(self.compare_with),
            "solve": {"relative_tolerance": self.relative_tolerance},
        }

    def _side_effects(self) -> str | list[str]:
        """Side effects as a study file says them."""
        if self.has_all_side_effects:
            return "all"
        return list(self.side_effects) or "none"


def _drug_name(regimen: Regimen) -> str:
    return regimen.drug.name

"""The catalog as forms offer it: situations with populations, drugs by name, class and target."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from immunostat.base.errors import ImmunostatError
from immunostat.catalog.lookup import Catalog


@dataclass(frozen=True)
class DrugEntry:
    """A drug in a list.

    Parameters
    ----------
    name, title, drug_class, direction
        As on its card.
    targets
        Names of its targets.
    acts
        Whether the immune core has a hook for one of them.
    has_kinetics
        Whether concentrations can be computed.
    labels
        Labelled regimen, with the drug's name, by situation.
    """

    name: str
    title: str
    drug_class: str
    direction: str
    targets: tuple[str, ...]
    acts: bool
    has_kinetics: bool
    labels: Mapping[str, str]

    @property
    def about(self) -> str:
        """Class and targets in a line."""
        return " · ".join([self.drug_class, ", ".join(self.targets)]).strip(" ·")


@dataclass(frozen=True)
class SituationEntry:
    """A situation in a list.

    Parameters
    ----------
    populations
        Name and title of those that belong to it.
    trials
        Names of published trials in it.
    weeks
        Usual length of those trials, week.
    visits
        How often they look.
    """

    name: str
    title: str
    summary: str
    populations: Mapping[str, str]
    trials: tuple[str, ...]
    weeks: float
    visits: str
    endpoints: tuple[str, ...]

    def duration(self) -> str:
        """Usual length in words."""
        if self.weeks < 3:
            return f"{max(1, round(7 * self.weeks))} days"
        return f"{round(self.weeks)} weeks"


class Index:
    """Lists made of the cards of a catalog, once.

    Parameters
    ----------
    catalog
        Where cards are. Cards that cannot be read are left out of lists.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    @cached_property
    def drugs(self) -> Mapping[str, DrugEntry]:
        """Every drug by name."""
        hooked = {name for name in self.catalog.targets() if self.catalog.target(name).hook}
        found = {}
        for name in self.catalog.drugs():
            card = self.catalog.drug_card(name)
            labels = {
                situation: f"{name} {own.label}"
                for situation, own in card.regimens.items()
                if own.label.split()[:1] != ["label"]
            }
            found[name] = DrugEntry(
                name,
                card.title,
                card.drug_class,
                card.direction,
                tuple(card.targets),
                bool(hooked & set(card.targets)),
                card.pk is not None,
                labels,
            )
        return found

    @cached_property
    def situations(self) -> Mapping[str, SituationEntry]:
        """Situations in which patients can be drawn, those with most published trials first."""
        trials: dict[str, list[str]] = {}
        lengths: dict[str, list[float]] = {}
        used: dict[str, int] = {}
        for name in self.catalog.trials():
            trial = self.catalog.trial(name)
            weeks = [result.week for arm in trial.arms for result in arm.results]
            trials.setdefault(trial.situation, []).append(name)
            used[trial.population] = used.get(trial.population, 0) + 1
            if weeks and max(weeks) > 0:
                lengths.setdefault(trial.situation, []).append(max(weeks))
        populations: dict[str, dict[str, str]] = {}
        for name in sorted(self.catalog.populations(), key=lambda own: -used.get(own, 0)):
            population = self.catalog.population(name)
            if population.situation:
                populations.setdefault(population.situation, {})[name] = population.title
        found = []
        for name in self.catalog.situations():
            try:
                card = self.catalog.situation(name)
            except ImmunostatError:
                continue
            if name not in populations:
                continue
            weeks_of = lengths.get(name, [])
            usual = float(statistics.median_low(weeks_of)) if weeks_of else 12.0
            usual = min(usual, 104.0)
            found.append(
                SituationEntry(
                    name,
                    card.title,
                    card.summary,
                    populations[name],
                    tuple(trials.get(name, ())),
                    usual,
                    visits_for(7 * usual, card.visits),
                    tuple(card.endpoints),
                )
            )
        found.sort(key=lambda own: -len(own.trials))
        return {own.name: own for own in found}

    def drugs_for(self, situation: str) -> list[DrugEntry]:
        """Drugs that act in the model, those labelled for the situation first."""
        acting = [own for own in self.drugs.values() if own.acts and own.has_kinetics]
        return sorted(acting, key=lambda own: (situation not in own.labels, own.name))

    def words(self, drug: str, situation: str) -> str:
        """A regimen to begin with: labelled here, else labelled elsewhere, else the bare name."""
        entry = self.drugs.get(drug)
        if entry is None:
            return drug
        if situation in entry.labels:
            return entry.labels[situation]
        return next(iter(entry.labels.values()), drug)


def visits_for(days: float, usual: str) -> str:
    """How often a trial of that length looks, in words: short ones as the situation says.

    Examples
    --------
    >>> visits_for(168, "every 1 week"), visits_for(728, "every 1 week")
    ('every 4 weeks', 'every 12 weeks')
    >>> visits_for(10, "every 1 day")
    'every 1 day'
    """
    if days < 56:
        return usual
    return "every 4 weeks" if days <= 400 else "every 12 weeks"

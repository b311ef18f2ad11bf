"""Reads a study from a file or plain data and checks it whole, each error with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any

from immunostat.base.errors import InputError, Place, UnitError, UnknownNameError, near_matches
from immunostat.base.units import DAYS, days_of
from immunostat.catalog.lookup import Catalog, packaged_catalog
from immunostat.catalog.reader import Document, parse_value, read_yaml, validated
from immunostat.outcomes.endpoints import EndpointSpec, is_made_of_events
from immunostat.study.also import with_also
from immunostat.study.eligibility import eligibility
from immunostat.study.file import (
    DEFAULT_VISITS,
    EndpointPart,
    PopulationPart,
    RegimenData,
    StudyFile,
)
from immunostat.study.person import person_of
from immunostat.study.recruitment import Prior
from immunostat.study.specs import endpoint_spec, endpoint_specs
from immunostat.study.stored_population import open_population
from immunostat.study.study import POPULATION_KEYS, TRIAL_KEYS, Study, StudyPopulation
from immunostat.study.trial_parts import (
    Names,
    PartReader,
)
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.regimen import Regimen, duration_words
from immunostat.therapy.structured import line_of

MAXIMUM_VISITS = 5_000
MAXIMUM_NAME = 200
LONGEST_DAYS = 365.25 * 100


class _Checker:
    """Turns the parts of a study file into what `Study` holds, each error with its line."""

    def __init__(self, document: Document, catalog: Catalog, file: StudyFile) -> None:
        self.document, self.catalog, self.file = document, catalog, file

    def named(self, path: Sequence[str | int], names: Sequence[str], name: str, noun: str) -> str:
        """`name` as it is spelled among `names`, whatever its capitals."""
        for known in names:
            if known.lower() == name.lower():
                return known
        raise UnknownNameError(
            f"{noun} '{name}' is not known", self.document.place(path), near_matches(name, names)
        )

    def days(self, value: object, path: Sequence[str | int], what: str, example: str) -> float:
        place = self.document.place(path)
        if isinstance(value, Mapping) and set(value) == {"value", "unit"}:
            value = f"{value['value']} {value['unit']}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise UnitError(f"{what} {value:g} has no unit", place, f"for example {example}")
        if not isinstance(value, str):
            raise InputError(f"{what} should be words", place, f"for example {example}")
        days = days_of(value, what=what, example=example, place=place)
        if days > LONGEST_DAYS:
            raise InputError(f"{what} '{value}' is longer than 100 years", place, f"e.g. {example}")
        return days

    def population(self) -> StudyPopulation:
        part = self.population_part()
        situation = self.catalog.situation(self.situation())
        names = self.catalog.populations(situation.name)
        path: tuple[str | int, ...] = ("population", "name")
        given = part.name or (open_population(part.stored).population if part.stored else "")
        name = self.named(path, names, given, f"population of {situation.name}")
        card = self.catalog.population(name)
        if part.also:
            place = self.document.place(("population", "also"))
            if part.stored:
                raise InputError(
                    "a stored population holds its own patients, so it cannot have others",
                    place,
                    "leave out 'stored'",
                )
            card = with_also(card, part.also, self.catalog, part.person, place)
        wanted = None
        if part.eligibility:
            place = self.document.place(("population", "eligibility"))
            wanted = eligibility(part.eligibility, self.catalog, situation, card, place)
        return StudyPopulation(
            name,
            part.patients,
            part.seed,
            card.title,
            part.stored,
            part.sampling,
            wanted,
            self.prior(part),
            person_of(
                part.person, card, bool(part.stored), self.document.place(("population", "person"))
            ),
            tuple(part.also),
        )

    def population_part(self) -> PopulationPart:
        part = self.file.population
        return PopulationPart(name=part) if isinstance(part, str) else part

    def prior(self, part: PopulationPart) -> Prior | None:
        """Treatment that patients must have failed."""
        if part.prior is None:
            return None
        path = ("population", "prior")
        own = part.prior
        return Prior(
            self.regimens(own.regimens, (*path, "regimens")),
            self.days(own.duration, (*path, "duration"), "duration", "12 weeks"),
            own.failed,
            self.days(own.washout, (*path, "washout"), "washout", "4 weeks"),
        )

    def situation(self) -> str:
        names = self.catalog.situations()
        return self.named(("situation",), names, self.file.situation, "situation")

    def regimen(self, data: RegimenData, path: Sequence[str | int]) -> Regimen:
        place = self.document.place(path)
        line = data if isinstance(data, str) else line_of(data, place)
        return parse_regimen(line, self.catalog.drug, self.situation(), place)

    def regimens(self, data: object, path: Sequence[str | int]) -> tuple[Regimen, ...]:
        if data is None:
            return ()
        if not isinstance(data, list):
            return (self.regimen(data, path),)  # type: ignore[arg-type]
        return tuple(self.regimen(item, (*path, i)) for i, item in enumerate(data))

    def arms(self) -> dict[str, tuple[Regimen, ...]]:
        arms = {}
        for name, data in self.file.arms.items():
            place = self.document.place(("arms", name))
            if not name.strip() or len(name) > MAXIMUM_NAME:
                raise InputError(
                    f"'{name[:90]}' is no name for an arm", place, f"use 1-{MAXIMUM_NAME} letters"
                )
            arms[name] = self.regimens(data, ("arms", name))
            given = [regimen.drug.name for regimen in arms[name]]
            twice = sorted({drug for drug in given if given.count(drug) > 1})
            if twice:
                raise InputError(
                    f"arm '{name}' has two regimens of {twice[0]}",
                    place,
                    "write one line of phases, such as '80 mg oral once then 40 mg daily'",
                )
        return arms

    def visits(self, duration_day: float) -> tuple[float, ...]:
        """Times of visits with the first and the last day of the study."""
        value, path = self.file.visits, ("visits",)
        place = self.document.place(path)
        if isinstance(value, list):
            times = [
                self.days(item, (*path, i), "visit", "[0 weeks, 4 weeks]")
                for i, item in enumerate(value)
            ]
        elif isinstance(value, str) and value.split()[:1] == ["every"]:
            words = value.split(None, 1)[1] if len(value.split()) > 1 else ""
            words = f"1 {words}" if words in DAYS else words
            interval = self.days(words, path, "visits every", DEFAULT_VISITS)
            if interval <= 0 or duration_day / interval > MAXIMUM_VISITS:
                raise InputError(f"visits '{value}' are too many", place, f"e.g. {DEFAULT_VISITS}")
            times = [i * interval for i in range(ceil(duration_day / interval - 1e-9))]
        else:
            raise InputError(
                f"visits '{value}' are not understood",
                place,
                f"write '{DEFAULT_VISITS}' or a list such as [0 weeks, 12 weeks, 24 weeks]",
            )
        late = [time for time in times if time > duration_day + 1e-9]
        if late or len(times) > MAXIMUM_VISITS:
            shown = duration_words(late[0]) if late else f"number {MAXIMUM_VISITS + 1}"
            raise InputError(
                f"a visit at {shown} is after the end of the study ({self.file.duration})",
                place,
                "write a longer duration or fewer visits",
            )
        return tuple(sorted({0.0, *times, duration_day}))

    def names(
        self, key: str, given: Sequence[str], known: Sequence[str], noun: str
    ) -> tuple[str, ...]:
        found = [self.named((key, i), known, name, noun) for i, name in enumerate(given)]
        return tuple(dict.fromkeys(found))

    def study(self) -> Study:
        file = self.file
        situation = self.situation()
        duration_day = self.days(file.duration, ("duration",), "duration", "24 weeks")
        if duration_day <= 0:
            raise InputError(
                "the duration is not above 0", self.document.place(("duration",)), "e.g. 24 weeks"
            )
        known_endpoints = tuple(self.catalog.situation(situation).endpoints)
        endpoints = known_endpoints if file.endpoints is None else file.endpoints
        side_effects = file.side_effects
        has_all = side_effects == "all"
        if isinstance(side_effects, str):
            words = {"all": list(self.catalog.side_effects()), "none": []}
            side_effects = words.get(side_effects, [side_effects])
        arms = self.arms()
        visits = self.visits(duration_day)
        named_effects = self.names(
            "side_effects", side_effects, self.catalog.side_effects(), "side effect"
        )
        reader = self.reader(arms, named_effects)
        crossover = None
        if file.design.crossover is not None:
            crossover, arms = reader.crossover(file.design.crossover, arms)
            reader = self.reader(arms, named_effects)
        named_endpoints, declared = self.endpoints(reader, endpoints)
        study = Study(
            title=file.title or situation,
            question=file.question,
            situation=situation,
            population=self.population(),
            background=self.regimens(file.background, ("background",)),
            arms=MappingProxyType(arms),
            duration_day=duration_day,
            visits_day=visits,
            endpoints=named_endpoints,
            side_effects=named_effects,
            has_all_side_effects=has_all,
            compare_with=self.names(
                "compare_with", file.compare_with, self.catalog.trials(), "trial"
            ),
            relative_tolerance=file.solve.relative_tolerance,
            design=reader.design(file.design, crossover),
            dropout=reader.dropout(file.dropout),
            missed_visits=file.missed_visits,
            rules=tuple(reader.rule(part, i) for i, part in enumerate(file.rules)),
            analyses=tuple(
                reader.analysis(part, i, named_endpoints, visits, crossover)
                for i, part in enumerate(file.analyses)
            ),
            interim=reader.interim(file.interim, file.design.replicates),
            dose_response=reader.dose_response(file.dose_response, named_endpoints),
            declared=MappingProxyType(declared),
            written=self.written(),
            place=Place(self.document.file),
        )
        for name, regimens in study.arms.items():
            for regimen in regimens:
                if regimen.drug.name in {other.drug.name for other in study.background}:
                    raise InputError(
                        f"{regimen.drug.name} is in arm '{name}' and in the background",
                        regimen.place,
                        "write it in one of the two",
                    )
                regimen.doses(duration_day)
        return study

    def reader(self, arms: Mapping[str, Any], side_effects: Sequence[str]) -> PartReader:
        """Reader of the parts that make a trial."""
        situation = self.catalog.situation(self.situation())
        own = self.population()
        card = with_also(self.catalog.population(own.name), own.also, self.catalog, own.person)
        covariates = {name: own.unit for name, own in card.covariates.items()}
        components = {name: own.unit for name, own in situation.components.items()}
        # What is made of events is not known at a visit.
        endpoints = {
            name: spec.unit
            for name in situation.endpoints
            if not is_made_of_events(spec := endpoint_spec(name, situation))
        }
        drugs = [regimen.drug.name for own in arms.values() for regimen in own]
        graded = frozenset(
            name for name in side_effects if self.catalog.side_effect(name).kind == "graded-count"
        )
        return PartReader(
            self.document.place,
            self.days,
            self.regimen,
            Names(
                {**endpoints, **components},
                covariates,
                tuple(side_effects),
                graded,
                components,
                tuple(situation.events),
            ),
            tuple(arms),
            tuple(dict.fromkeys(drugs)),
        )

    def endpoints(
        self, reader: PartReader, given: Sequence[str | EndpointPart]
    ) -> tuple[tuple[str, ...], dict[str, EndpointSpec]]:
        """Names of the endpoints in their order, and those that the study declares."""
        situation = self.catalog.situation(self.situation())
        known = {spec.name: spec for spec in endpoint_specs(situation, tuple(situation.endpoints))}
        declared: dict[str, EndpointSpec] = {}
        names: list[str] = []
        for i, part in enumerate(given):
            if isinstance(part, str):
                noun = f"endpoint of {situation.name}"
                names.append(self.named(("endpoints", i), list(known), part, noun))
                continue
            if part.name in known or part.name in declared:
                place = self.document.place(("endpoints", i))
                raise InputError(f"there is an endpoint '{part.name}' already", place, "rename it")
            declared[part.name] = reader.endpoint(part, i, {**known, **declared})
            names.append(part.name)
        return tuple(dict.fromkeys(names)), declared

    def written(self) -> dict[str, Any]:
        """Keys of the trial as they were written, without those left at their default."""
        given = self.file.model_dump(by_alias=True, exclude_defaults=True)
        kept = {key: given[key] for key in TRIAL_KEYS if key in given}
        population = given.get("population")
        if isinstance(population, Mapping):
            kept |= {key: population[key] for key in POPULATION_KEYS if key in population}
        parts = [own for own in given.get("endpoints") or () if isinstance(own, Mapping)]
        kept["declared"] = {str(own["name"]): dict(own) for own in parts}
        return kept


def study_of(document: Document, catalog: Catalog | None = None) -> Study:
    """The study that the data of a document says.

    Raises
    ------
    InputError
        Anything in it is wrong; the message has file and line, cause and remedy.
    """
    file = validated(document, StudyFile)
    return _Checker(document, catalog or packaged_catalog(), file).study()


def make_study(data: Mapping[str, Any], catalog: Catalog | None = None) -> Study:
    """A study from plain data with the keys of a study file.

    Raises
    ------
    InputError
        Anything in it is wrong.

    Examples
    --------
    ``make_study({"situation": "rheumatoid-arthritis", "population": "methotrexate-...",
    "arms": {"adalimumab": "adalimumab label"}, "duration": "24 weeks"})``
    """
    return study_of(Document(dict(data), "study"), catalog)


def apply_settings(document: Document, settings: Sequence[str]) -> None:
    """Put ``KEY=VALUE`` settings, keys dotted and values as in YAML, into a document.

    Raises
    ------
    InputError
        A setting has no '=' or sets a key below something that holds no keys.
    """
    for setting in settings:
        place = Place(f"--set {setting}")
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise InputError(
                "a setting has the form KEY=VALUE", place, "for example population.patients=100"
            )
        data = document.data
        if key.startswith("population.") and isinstance(data.get("population"), str):
            data["population"] = {"name": data["population"]}
        document.put(key.strip(), parse_value(value.strip(), place), place)


def read_study(
    path: Path | str, catalog: Catalog | None = None, settings: Sequence[str] = ()
) -> Study:
    """The study of a file.

    Parameters
    ----------
    path
        A YAML file.
    catalog
        Where names are looked up; the packaged catalog if not given.
    settings
        ``KEY=VALUE`` that win over the file, such as ``population.patients=100``.

    Raises
    ------
    InputError
        The file cannot be read or anything in it is wrong; the message has file and line, cause
        and remedy.
    """
    document = read_yaml(path, "study")
    apply_settings(document, settings)
    return study_of(document, catalog)

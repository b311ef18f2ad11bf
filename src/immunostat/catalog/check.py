"""Checks of a card against the rest of the catalog: sources exist, units fit, names are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from immunostat.base.errors import ImmunostatError, InputError, Place, near_matches
from immunostat.base.units import convert, to_internal
from immunostat.catalog.calibration_cards import CalibrationCard
from immunostat.catalog.calibrations import resolved
from immunostat.catalog.cards import (
    FactCard,
    FactKeys,
    TrialCard,
    all_facts,
)
from immunostat.catalog.convert import drug_of
from immunostat.catalog.drug_cards import DrugCard
from immunostat.catalog.lookup import Catalog, read_card
from immunostat.catalog.model_cards import PopulationCard
from immunostat.catalog.published_cards import PublishedModelCard
from immunostat.catalog.reader import Document
from immunostat.catalog.side_effect_cards import SideEffectCard
from immunostat.therapy.grammar import parse_regimen


def check_card(catalog: Catalog, folder: str, name: str) -> Iterator[ImmunostatError]:
    """Problems of one card, each with file and line; none if it is well.

    Parameters
    ----------
    catalog
        Where the card and all that it names are.
    folder, name
        The kind of card and its name.
    """
    try:
        document = catalog.document(folder, name)
    except InputError as error:
        yield error
        return
    yield from check_document(catalog, folder, document, catalog.path(folder, name))


def check_document(
    catalog: Catalog, folder: str, document: Document, path: Path | None = None
) -> Iterator[ImmunostatError]:
    """Problems of a card that may lie outside the catalog, each with file and line.

    Parameters
    ----------
    catalog
        Where all that the card names is.
    folder
        The kind of card.
    document
        Its data.
    path
        Its file, whose name is to be the name of the card; None if it does not matter.
    """
    try:
        card = read_card(document, folder, path)
    except InputError as error:
        yield error
        return
    yield from _check_sources(catalog, document)
    yield from _check_facts(card, document)
    if isinstance(card, DrugCard):
        yield from _check_drug(catalog, card, document)
    elif isinstance(card, TrialCard):
        yield from _check_trial(catalog, card, document)
    elif isinstance(card, PopulationCard):
        yield from _check_population(catalog, card, document)
    elif isinstance(card, PublishedModelCard):
        from immunostat.catalog.published import published_system

        yield from _attempt(partial(published_system, catalog, card))
    elif isinstance(card, CalibrationCard):
        yield from _attempt(partial(resolved, catalog, card, document))
    elif isinstance(card, SideEffectCard):
        yield from _check_side_effect(catalog, card, document)


def _attempt(act: Callable[[], object]) -> Iterator[ImmunostatError]:
    try:
        act()
    except ImmunostatError as error:
        yield error


def _check_sources(catalog: Catalog, document: Document) -> Iterator[InputError]:
    sources = catalog.sources()

    def search(part: object, path: tuple[str | int, ...]) -> Iterator[InputError]:
        if isinstance(part, dict):
            for key, child in part.items():
                if key in ("source", "citation") and isinstance(child, str):
                    if child and child not in sources:
                        yield InputError(
                            f"source '{child}' is not in sources.bib",
                            document.place((*path, key)),
                            near_matches(child, sources),
                        )
                else:
                    yield from search(child, (*path, key))
        elif isinstance(part, list):
            for i, child in enumerate(part):
                yield from search(child, (*path, i))

    yield from search(document.data, ())


def _path(dotted: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdigit() else part for part in dotted.split("."))


def _check_facts(card: object, document: Document) -> Iterator[ImmunostatError]:
    """Every unit of the card is one that is known."""
    for dotted, fact in all_facts(card):
        place = document.place(_path(dotted))
        if isinstance(fact, FactCard):
            yield from _known_unit(fact.unit, dotted, place)
        elif isinstance(fact, FactKeys):
            for key in ("reference", "per"):
                measure = getattr(fact, key, None)
                if measure is not None:
                    yield from _known_unit(measure.unit, f"{dotted}.{key}", place)


def _known_unit(unit: str, what: str, place: Place) -> Iterator[ImmunostatError]:
    yield from _attempt(
        partial(convert, 1.0, unit, unit, what=what, place=place, example="'nmol/L'")
    )


def _check_population(
    catalog: Catalog, card: PopulationCard, document: Document
) -> Iterator[InputError]:
    if card.like is None:
        return
    place = document.place(("like",))
    if card.like not in catalog.populations():
        remedy = near_matches(card.like, catalog.populations())
        yield InputError(f"'{card.like}' is no population of the catalog", place, remedy)
        return
    try:
        card.unlike(catalog.population(card.like))
    except ValueError as error:
        yield InputError(str(error), place)


def _check_drug(catalog: Catalog, card: DrugCard, document: Document) -> Iterator[ImmunostatError]:
    try:
        drug = drug_of(card, document, catalog.fragments())
    except ImmunostatError as error:
        yield error
        return
    for target, action in card.targets.items():
        place = document.place(("targets", target))
        if target not in catalog.targets():
            remedy = near_matches(target, catalog.targets())
            yield InputError(f"target '{target}' is not in the catalog", place, remedy)
        elif action.action not in catalog.target(target).actions:
            allowed = ", ".join(catalog.target(target).actions)
            yield InputError(
                f"target '{target}' has no action '{action.action}'", place, f"allowed: {allowed}"
            )
    for situation in drug.regimens:
        place = document.place(("regimens", situation))
        yield from _attempt(
            partial(parse_regimen, f"{drug.name} label", lambda _: drug, situation, place)
        )
    for i, check in enumerate(card.exposure_checks):
        place = document.place(("exposure_checks", i, "regimen"))
        yield from _attempt(
            partial(parse_regimen, f"{drug.name} {check.regimen}", lambda _: drug, "", place)
        )
        if check.population is not None and check.population not in catalog.populations():
            yield InputError(
                f"population '{check.population}' is not in the catalog",
                document.place(("exposure_checks", i, "population")),
                near_matches(check.population, catalog.populations()),
            )
        if check.quantity.startswith(("trough", "maximum", "mean concentration")):
            yield from _attempt(
                partial(
                    to_internal,
                    check.value,
                    check.unit,
                    "concentration",
                    drug.molar_mass,
                    what=check.quantity,
                    place=place,
                )
            )


def _classes(catalog: Catalog) -> Iterator[str]:
    """Classes of the drugs whose cards can be read; the others have problems of their own."""
    for name in catalog.drugs():
        try:
            card = catalog.card("drugs", name)
        except ImmunostatError:
            continue
        if isinstance(card, DrugCard):
            yield card.drug_class


def _check_side_effect(
    catalog: Catalog, card: SideEffectCard, document: Document
) -> Iterator[ImmunostatError]:
    """Rates are rates, and drugs, targets and situations are those of the catalog."""
    rates = [("background", card.background), ("background_by_age", card.background_by_age)]
    for key, rate in rates:
        if rate is None or (key == "background" and card.background_by_age is not None):
            continue
        yield from _attempt(
            partial(
                convert,
                1.0,
                rate.unit,
                "1/year",
                what=key,
                place=document.place((key,)),
                example="1.5 with unit 1/(100 year)",
            )
        )
    classes = set(_classes(catalog))
    known = {
        "drug": catalog.drugs(),
        "drug_class": tuple(sorted(classes)),
        "target": catalog.targets(),
        "situation": catalog.situations(),
    }
    for part in ("drivers", "warnings"):
        for i, own in enumerate(getattr(card, part)):
            for key, names in known.items():
                name = getattr(own, key, None)
                # A situation that is not modelled yet may be named: its driver waits.
                if name is not None and name not in names and key != "situation":
                    shown = key.removeprefix("drug_")
                    yield InputError(
                        f"{shown} '{name}' is not in the catalog",
                        document.place((part, i, shown)),
                        near_matches(name, names),
                    )


def _check_trial(
    catalog: Catalog, card: TrialCard, document: Document
) -> Iterator[ImmunostatError]:
    lines = [
        (line, document.place(("arms", i, "regimen")))
        for i, arm in enumerate(card.arms)
        for line in arm.lines
    ]
    if card.prior is not None:
        lines += [(line, document.place(("prior", "regimens"))) for line in card.prior.regimens]
    for line, place in lines:
        if line.split()[0] not in catalog.drugs():
            continue  # published arms may hold drugs that are not simulated
        yield from _attempt(partial(parse_regimen, line, catalog.drug, card.situation, place))

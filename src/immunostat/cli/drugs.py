"""The command drugs: a table to choose from, and one card as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import InputError, UnknownNameError, near_matches
from immunostat.cli.options import CsvOption, JsonOption
from immunostat.cli.printing import (
    Format,
    format_of,
    guarded,
    heading,
    print_json,
    print_sections,
    print_table,
)

if TYPE_CHECKING:
    from immunostat.catalog.drug_cards import DrugCard
    from immunostat.catalog.lookup import Catalog

COLUMNS = ("name", "class", "direction", "targets", "routes", "label for", "checked")


@guarded
def drugs(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of one; all if left out.")] = None,
    drug_class: Annotated[
        str | None, typer.Option("--class", help="Only of a class; a part of its name is enough.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Only those that act on a target.")] = None,
    direction: Annotated[
        str | None, typer.Option(help="Only suppressant, stimulant, both or neither.")
    ] = None,
    indication: Annotated[
        str | None, typer.Option(help="Only for a disease; a part of its name is enough.")
    ] = None,
    numbers: Annotated[bool, typer.Option(help="Every number of the card.")] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.catalog.lookup import Catalog

    catalog, how = Catalog.packaged(context.obj), format_of(as_json, as_csv)
    if name is not None:
        _one(catalog, name, how, numbers)
        return
    cards = [catalog.drug_card(known) for known in catalog.drugs()]
    cards = _chosen(catalog, cards, drug_class, target, direction, indication)
    print_table(COLUMNS, [_row(card) for card in cards], how)
    if how is Format.TEXT:
        heading("")
        heading(f"{len(cards)} drugs. 'checked': numbers that were read in their source, of all.")


def _plain(text: str) -> str:
    """Text in which case, hyphens and spaces do not matter."""
    return text.lower().replace("-", " ").replace("_", " ")


def _chosen(
    catalog: Catalog,
    cards: list[DrugCard],
    drug_class: str | None,
    target: str | None,
    direction: str | None,
    indication: str | None,
) -> list[DrugCard]:
    """Cards that fit every filter that is given; a filter that fits none is answered."""
    if target is not None:
        known = {name.lower(): name for name in catalog.targets()}
        if target.lower() not in known:
            raise UnknownNameError(
                f"target '{target}' is not in the catalog",
                remedy=near_matches(target, catalog.targets()),
            )
        cards = [card for card in cards if known[target.lower()] in card.targets]
    if direction is not None:
        allowed = ("suppressant", "stimulant", "both", "neither")
        if direction not in allowed:
            raise InputError(
                f"there is no direction '{direction}'", remedy=f"allowed: {', '.join(allowed)}"
            )
        cards = [card for card in cards if card.direction == direction]
    if drug_class is not None:
        classes = {card.drug_class for card in cards}
        cards = [card for card in cards if _plain(drug_class) in _plain(card.drug_class)]
        if not cards:
            raise UnknownNameError(
                f"no drug is of a class like '{drug_class}'",
                remedy=near_matches(drug_class, sorted(classes)),
            )
    if indication is not None:
        names = {use for card in cards for use in (*card.indications, *card.regimens)}
        wanted = _plain(indication)
        cards = [
            card
            for card in cards
            if any(wanted in _plain(use) for use in (*card.indications, *card.regimens))
        ]
        if not cards:
            raise UnknownNameError(
                f"no drug is used for anything like '{indication}'",
                remedy=near_matches(indication, sorted(names)),
            )
    return cards


def _row(card: DrugCard) -> tuple[object, ...]:
    from immunostat.catalog.cards import all_facts

    facts = [fact for _, fact in all_facts(card)]
    routes = list(card.pk.routes if card.pk else card.routes)
    checked = f"{sum(fact.checked for fact in facts)}/{len(facts)}"
    targets = [f"{target} ({action.action})" for target, action in card.targets.items()]
    labels = list(card.regimens)
    return (card.name, card.drug_class, card.direction, targets, routes, labels, checked)


def _one(catalog: Catalog, name: str, how: Format, numbers: bool) -> None:
    """One card, as people read it, as its numbers, or as JSON."""
    from immunostat.cli.browse import FACT_COLUMNS, fact_rows
    from immunostat.report.drug_sheet import sheet

    card: Any = catalog.drug_card(name)
    if how is Format.JSON:
        print_json(card.model_dump(mode="json", by_alias=True, exclude_none=True))
        return
    if how is Format.CSV or numbers:
        print_table(FACT_COLUMNS, fact_rows(card), how)
        return
    heading(card.title)
    print_sections((section.title, section.rows) for section in sheet(catalog, card.name))
    heading("")
    heading(f"Every number with its source: immunostat drugs {card.name} --numbers")

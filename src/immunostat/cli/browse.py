"""Commands that look into the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import UnknownNameError, near_matches
from immunostat.cli.drugs import drugs
from immunostat.cli.options import CsvOption, JsonOption
from immunostat.cli.printing import (
    NOTICE,
    Format,
    format_of,
    guarded,
    heading,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from immunostat.catalog.cards import TrialCard, TrialResultCard
    from immunostat.catalog.lookup import Catalog

Row = Sequence[object]
NameArgument = Annotated[str | None, typer.Argument(help="Name of one; all if left out.")]


def _catalog(context: typer.Context) -> Catalog:
    from immunostat.catalog.lookup import Catalog

    return Catalog.packaged(context.obj)


def _share_checked(card: object) -> str:
    from immunostat.catalog.cards import all_facts

    facts = [fact for _, fact in all_facts(card)]
    return f"{sum(fact.checked for fact in facts)}/{len(facts)}"


def fact_rows(card: object) -> list[Row]:
    """Every number of a card, a row each."""
    from immunostat.catalog.cards import FactCard, all_facts

    rows: list[Row] = []
    for name, fact in all_facts(card):
        value = fact.value if isinstance(fact, FactCard) else getattr(fact, "effect", None)
        unit = fact.unit if isinstance(fact, FactCard) else "1"
        source = fact.source or ""
        rows.append((name, value, unit, fact.evidence.value, fact.checked, source, fact.where[:60]))
    return rows


FACT_COLUMNS = ("number", "value", "unit", "evidence", "checked", "source", "where")


def _browse(
    catalog: Catalog,
    folder: str,
    name: str | None,
    columns: Sequence[str],
    row: Callable[[Any], Row],
    how: Format,
) -> None:
    """Print all cards of a kind, a line each, or every number of one card."""
    if name is None:
        cards = [catalog.card(folder, known) for known in catalog.names(folder)]
        print_table(columns, [row(card) for card in cards], how)
        return
    card = catalog.card(folder, name)
    if how is Format.JSON:
        print_json(card.model_dump(mode="json", by_alias=True, exclude_none=True))
        return
    if how is Format.TEXT:
        for column, value in zip(columns, row(card), strict=True):
            shown = ", ".join(value) if isinstance(value, list | tuple) else value
            heading(f"{column + ':':16} {shown}")
        for column in ("summary", "note"):
            if getattr(card, column, ""):
                heading(f"{column + ':':16} {getattr(card, column)}")
        heading("")
    print_table(FACT_COLUMNS, fact_rows(card), how)


@guarded
def targets(
    context: typer.Context,
    name: NameArgument = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    columns = ("name", "title", "kind", "actions", "tissue", "checked")
    _browse(
        _catalog(context),
        "targets",
        name,
        columns,
        lambda c: (c.name, c.title, c.kind, c.actions, c.tissue, _share_checked(c)),
        format_of(as_json, as_csv),
    )


@guarded
def situations(
    context: typer.Context,
    name: NameArgument = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    catalog = _catalog(context)
    columns = ("name", "title", "endpoints", "populations", "checked")
    _browse(
        catalog,
        "situations",
        name,
        columns,
        lambda c: (
            c.name,
            c.title,
            list(c.endpoints),
            catalog.populations(c.name),
            _share_checked(c),
        ),
        format_of(as_json, as_csv),
    )


def _driver(own: Any) -> str:
    """What drives a side effect: a name, with its kind where the name alone does not tell."""
    if own.covariate or own.state or own.drug:
        return str(own.covariate or own.state or own.drug)
    if own.drug_class:
        return f"class {own.drug_class}"
    return f"target {own.target}" if own.target else f"situation {own.situation}"


@guarded
def side_effects(
    context: typer.Context,
    name: NameArgument = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    def drivers(card: Any) -> list[str]:
        return [_driver(own) for own in card.drivers]

    columns = ("name", "title", "kind", "drivers", "checked")
    _browse(
        _catalog(context),
        "side_effects",
        name,
        columns,
        lambda c: (c.name, c.title, c.kind, drivers(c), _share_checked(c)),
        format_of(as_json, as_csv),
    )


@guarded
def trials(
    context: typer.Context,
    name: NameArgument = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    catalog, how = _catalog(context), format_of(as_json, as_csv)
    columns = ("name", "title", "situation", "arms", "source", "checked")

    def row(card: Any) -> Row:
        arms = [f"{arm.name} (n={arm.n or 'not read'})" for arm in card.arms]
        return (card.name, card.title, card.situation, arms, card.citation, _share_checked(card))

    if name is None or how is Format.JSON:
        _browse(catalog, "trials", name, columns, row, how)
        return
    card = catalog.trial(name)
    results = [
        (arm.name, r.role or arm.role, arm.n, *_printed(r))
        for arm in card.arms
        for r in arm.results
    ]
    names = ("arm", "role", "n", "endpoint", "week", "value", "unit", "checked", "source")
    print_table(names, results, how, f"{card.name}: {card.title}")
    if how is Format.TEXT:
        for line in _counted(card):
            heading(line)


def _printed(own: TrialResultCard) -> Row:
    """What was published, when, and where."""
    return (own.endpoint, own.week, own.value, own.unit, own.checked, own.source)


def _counted(card: TrialCard) -> Iterator[str]:
    """Who left or was rescued, and how means are counted, in lines."""
    rescue = card.rescue
    if rescue is not None:
        last = f" to {rescue.last_week:g}" if rescue.last_week else ""
        arms = f" ({', '.join(rescue.arms)})" if rescue.arms else ""
        known = "read" if rescue.checked else "not read"
        yield (
            f"Rescued, and then no responder{arms}: {rescue.when}, at week {rescue.week:g}{last} "
            f"({rescue.source}, {known})"
        )
    left = [
        f"{arm.name} {arm.left.value:g} {arm.left.unit} by week {arm.left.week:.3g}"
        for arm in card.arms
        if arm.left is not None
    ]
    if left:
        yield f"Left for other reasons: {'; '.join(left)}"
    if card.carried_forward:
        yield "Means hold the last value of who left."


@guarded
def sources(
    context: typer.Context,
    key: Annotated[str | None, typer.Argument(help="Key of one source; all if left out.")] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.base.sources import cite, write_bibtex

    catalog, how = _catalog(context), format_of(as_json, as_csv)
    chosen = [catalog.source(key)] if key else list(catalog.sources().values())
    if key and how is Format.TEXT:
        heading(cite(chosen[0]))
        heading("")
        heading(write_bibtex(catalog.sources(), [key]).rstrip())
        return
    print_table(("key", "citation", "url"), [(s.key, cite(s), s.url) for s in chosen], how)


#: What ``schema`` can print: name -> folder of the card, or empty for a study.
SCHEMAS = {
    "study": "",
    "drug": "drugs",
    "target": "targets",
    "core": "core",
    "situation": "situations",
    "population": "populations",
    "special-population": "special_populations",
    "trial": "trials",
    "side-effect": "side_effects",
    "published-model": "published",
}


@guarded
def schema(
    what: Annotated[str, typer.Argument(help="One of: " + ", ".join(SCHEMAS) + ".")] = "study",
) -> None:
    if what not in SCHEMAS:
        raise UnknownNameError(f"there is no schema '{what}'", remedy=near_matches(what, SCHEMAS))
    if SCHEMAS[what]:
        from immunostat.catalog.lookup import card_class

        print_json(card_class(SCHEMAS[what]).model_json_schema(by_alias=True))
        return
    from immunostat.study.file import StudyFile

    print_json(StudyFile.model_json_schema())


def _help(first: str, *examples: str) -> str:
    shown = "\n\n".join(f"Example:  immunostat {example}" for example in examples)
    return f"{first}\n\n{shown}\n\n{NOTICE}"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""

    def add(command: Callable[..., None], name: str, text: str, *examples: str) -> None:
        app.command(name, help=_help(text, *examples), rich_help_panel="The catalog")(command)

    add(
        drugs,
        "drugs",
        "The drugs, or one as a person reads it.",
        "drugs --class JAK",
        "drugs lenalidomide",
    )
    add(situations, "situations", "The situations (diseases), or one.", "situations")
    app.command("diseases", hidden=True, help=_help("Same as situations.", "situations"))(
        situations
    )
    add(targets, "targets", "The targets that drugs act on, or one.", "targets TNF")
    add(side_effects, "side-effects", "The side effects, or one.", "side-effects serious-infection")
    add(trials, "trials", "The published trials, or results of one.", "trials OPTION --csv")
    add(sources, "sources", "The sources, or one with its BibTeX.", "sources frey2010")
    add(schema, "schema", "JSON Schema of a study or a card.", "schema study > study.schema.json")

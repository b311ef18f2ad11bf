"""A card of the catalog as a page that people read: words, every number, its sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from pydantic import BaseModel

from immunostat.app.index import Index
from immunostat.base.errors import ImmunostatError
from immunostat.base.sources import cite
from immunostat.catalog.cards import Card, all_facts
from immunostat.catalog.side_effect_cards import DriverCard
from immunostat.report import drug_sheet, words

#: Folder of the kinds of cards that have pages, and what people call them.
KINDS: Mapping[str, str] = {
    "drugs": "Drugs",
    "targets": "Targets",
    "situations": "Situations",
    "side_effects": "Side effects",
    "populations": "Populations",
    "trials": "Trials",
}


@dataclass(frozen=True)
class Number:
    """A number of a card with all that is known of it."""

    path: str
    value: str
    evidence: str
    checked: bool
    source: str
    where: str
    why: str


@dataclass(frozen=True)
class CardPage:
    """A card, ready for a page.

    Parameters
    ----------
    sections
        Headings with labels and words.
    tables
        Captions with columns and rows of cells.
    numbers
        Every number.
    counts
        How many numbers are measured, fitted, derived, assumed; and ``unchecked``.
    sources
        Key, citation and address.
    """

    kind: str
    name: str
    title: str
    summary: str
    sections: list[tuple[str, list[tuple[str, Any]]]]
    tables: list[tuple[str, list[str], list[list[Any]]]]
    numbers: list[Number]
    counts: dict[str, int]
    sources: list[tuple[str, str, str]] = field(default_factory=list)


def card_page(index: Index, kind: str, name: str) -> CardPage:
    """The page of a card.

    Raises
    ------
    UnknownNameError
        There is no such card.
    """
    catalog = index.catalog
    card = catalog.card(kind, name)
    numbers = list(_numbers(card))
    counts = Counter(number.evidence for number in numbers)
    counts["unchecked"] = sum(not number.checked for number in numbers)
    own = str(getattr(card, "name", name))
    keys = dict.fromkeys(k for k in _source_keys(card) if k)
    known = catalog.sources()
    sources = [(key, cite(known[key]), known[key].url) for key in keys if key in known]
    sections: list[tuple[str, list[tuple[str, Any]]]]
    if kind == "drugs":
        sections = [
            (part.title, [(label, _linked(index, part.title, label, said)) for label, said in rows])
            for part in drug_sheet.sheet(catalog, own)
            if part.title != "Sources" and (rows := part.rows)
        ]
    else:
        sections = [("What the card says", list(_words(card)))]
    return CardPage(
        kind,
        own,
        str(getattr(card, "title", own)),
        str(getattr(card, "summary", "")),
        sections + list(_around(index, kind, own)),
        list(_tables(index, kind, own)),
        numbers,
        dict(counts),
        sources,
    )


def link(kind: str, name: str, shown: str = "") -> Markup:
    """A link to the page of a card."""
    return Markup('<a href="/library/{}/{}">{}</a>').format(kind, quote(name), shown or name)


def _linked(index: Index, section: str, label: str, said: str) -> Any:
    """Words of a drug's sheet; targets are linked where they head a row."""
    is_target = section == "What it does" and label in index.catalog.targets()
    return (Markup("{} <small>({})</small>").format(said, link("targets", label, "target"))
            if is_target else said)  # fmt: skip


def _numbers(card: Card) -> Iterator[Number]:
    for path, keys in all_facts(card):
        value = getattr(keys, "value", None)
        unit = str(getattr(keys, "unit", ""))
        if value is None:
            value = getattr(keys, "effect", None)
        text = "" if value is None else words.amount(float(value), unit)
        why = " ".join(part for part in (keys.because, keys.note) if part)
        yield Number(
            path, text, str(keys.evidence), keys.checked, keys.source or "", keys.where, why
        )


def _source_keys(card: Card) -> Iterator[str]:
    """Keys of sources anywhere in a card."""
    stack: list[Any] = [card]
    while stack:
        value = stack.pop(0)
        if isinstance(value, BaseModel):
            for key in ("source", "citation"):
                own = getattr(value, key, None)
                if isinstance(own, str):
                    yield own
            stack += [getattr(value, key) for key in type(value).model_fields]
        elif isinstance(value, Mapping):
            stack += list(value.values())
        elif isinstance(value, list | tuple):
            stack += list(value)


#: Parts of cards that stand elsewhere on the page.
_ELSEWHERE = frozenset({"name", "title", "summary", "arms", "comparisons", "checks"})


def _words(card: Card) -> Iterator[tuple[str, Any]]:
    """Everything of a card that is words or a list of words."""
    for key in type(card).model_fields:
        value = getattr(card, key)
        if key in _ELSEWHERE or value in (None, "", (), {}):
            continue
        if isinstance(value, str | bool | int | float):
            yield words.label(key), str(value)
        elif isinstance(value, tuple) and all(isinstance(one, str) for one in value):
            yield words.label(key), ", ".join(value)
        elif isinstance(value, Mapping) and not isinstance(value, BaseModel):
            shown = [_title_of(name, one) for name, one in value.items()]
            yield words.label(key), "; ".join(shown)


def _title_of(name: str, value: Any) -> str:
    title = getattr(value, "title", None) or getattr(value, "label", None)
    return (
        f"{words.label(str(name))} ({title})" if isinstance(title, str) else words.label(str(name))
    )


def _around(index: Index, kind: str, name: str) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Links to cards that have to do with a card."""
    comma = Markup(", ")
    if kind == "targets":
        drugs = [own for own in index.drugs.values() if name in own.targets]
        rows = [(own.drug_class, link("drugs", own.name)) for own in drugs]
        yield "Drugs on this target", rows or [("", "None in the catalog.")]
        card = index.catalog.target(name)
        if card.hook is None:
            yield (
                "In the model",
                [("", "Not part of the immune core yet: its drugs have no effect.")],
            )
    elif kind == "situations":
        here = index.situations.get(name)
        if here is not None:
            labelled = [own.name for own in index.drugs.values() if name in own.labels]
            acting = [own.name for own in index.drugs_for(name) if own.name in labelled]
            diagram = Markup('<a href="/library/network/{}">what acts on what</a>').format(name)
            explore = Markup('<a href="/explore/?situation={}">move a dose here</a>').format(name)
            people = (link("populations", own, title) for own, title in here.populations.items())
            yield (
                "Around it",
                [
                    ("diagram", diagram),
                    ("explore", explore),
                    ("populations", comma.join(people)),
                    ("drugs labelled here", comma.join(link("drugs", own) for own in labelled)),
                    ("of them in the model", f"{len(acting)} of {len(labelled)}"),
                    ("trials", comma.join(link("trials", own) for own in here.trials)),
                ],
            )
    elif kind == "drugs":
        entry = index.drugs[name]
        tried = [
            own
            for own in index.catalog.trials()
            if any(arm.drug == name for arm in index.catalog.trial(own).arms)
        ]
        rows = [("trials", comma.join(link("trials", own) for own in tried))] if tried else []
        harms = _harms_of(index, name)
        if harms:
            shown = (link("side_effects", own, words.label(own)) for own in harms)
            rows.append(("moves the rate of", comma.join(shown)))
        rows += [
            ("explore", Markup('<a href="/explore/?situation={0}&amp;a={1}">{1}</a>').format(
                situation, words_of))
            for situation, words_of in entry.labels.items()
            if situation in index.situations and entry.acts
        ]  # fmt: skip
        if rows:
            yield "Around it", rows


def _tables(index: Index, kind: str, name: str) -> Iterator[tuple[str, list[str], list[list[Any]]]]:
    """Tables of a card."""
    if kind == "trials":
        card = index.catalog.trial(name)
        rows = [
            [arm.name, ", ".join(arm.lines) or "placebo", arm.n or "", arm.role, result.endpoint,
             words.when(7 * result.week), words.amount(result.value, result.unit),
             "read" if result.checked else "not checked"]
            for arm in card.arms
            for result in arm.results
        ]  # fmt: skip
        names = ["Arm", "Regimen", "n", "Role", "Endpoint", "Time", "Published", "Source"]
        yield "What the trial printed", names, rows
        if card.situation in index.situations:
            yield (
                "",
                ["Situation", "Population"],
                [[link("situations", card.situation), link("populations", card.population)]],
            )
    elif kind == "side_effects":
        side = index.catalog.side_effect(name)
        rows = [
            [_cause(driver), driver.by, driver.form, words.number(driver.effect),
             str(driver.evidence)]
            for driver in side.drivers
        ]  # fmt: skip
        if rows:
            names = ["Driver", "Counts by", "Form", "Effect", "Evidence"]
            yield "What moves its rate", names, rows
        published = [
            [link("drugs", check.drug), check.trial or check.regimen, check.quantity,
             words.amount(check.value, check.unit), "read" if check.checked else "not checked"]
            for check in side.checks
        ]  # fmt: skip
        if published:
            names = ["Drug", "Where", "What", "Published", "Source"]
            yield "Published rates to compare with", names, published


def _cause(driver: DriverCard) -> Any:
    """What a driver is, linked where it has a page."""
    if driver.drug:
        return link("drugs", driver.drug)
    if driver.target:
        return Markup("drugs at {}").format(link("targets", driver.target))
    if driver.drug_class:
        return f"class {driver.drug_class}"
    return words.label(str(driver.covariate or driver.state or driver.situation or ""))


def _harms_of(index: Index, name: str) -> list[str]:
    """Side effects that a drug moves: by itself, its class or a target."""
    card = index.catalog.drug_card(name)
    found = []
    for effect in index.catalog.side_effects():
        for driver in index.catalog.side_effect(effect).drivers:
            is_own = driver.drug == name or driver.target in card.targets
            if is_own or (driver.drug_class or "").lower() == card.drug_class.lower():
                found.append(effect)
                break
    return found


def listing(index: Index, kind: str) -> list[tuple[str, str, str]]:
    """Name, title and words about it, of every card of a kind."""
    catalog = index.catalog
    found = []
    for name in catalog.names(kind):
        if kind == "drugs":
            entry = index.drugs[name]
            about = entry.about + ("" if entry.acts else " · not in the model yet")
            found.append((name, name, about))
            continue
        try:
            card = catalog.card(kind, name)
        except ImmunostatError as error:
            found.append((name, name, f"cannot be read: {error}"))
            continue
        title = str(getattr(card, "title", name))
        about = str(getattr(card, "situation", "") or getattr(card, "kind", "") or "")
        if kind == "targets" and getattr(card, "hook", None) is None:
            about += " · not in the model yet"
        found.append((name, name if kind in ("targets", "trials") else title, _joined(
            title if kind in ("targets", "trials") else "", words.label(about))))  # fmt: skip
    return found


def _joined(*parts: str) -> str:
    return " · ".join(part.strip(" ·") for part in parts if part.strip(" ·"))

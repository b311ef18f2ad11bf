"""The card of a drug as a person reads it: sections of labels and words, for terminal and page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from immunostat.base.errors import ImmunostatError
from immunostat.base.sources import cite
from immunostat.catalog.cards import FactCard, all_facts
from immunostat.catalog.drug_cards import DrugCard, ParameterCard, PkCard
from immunostat.catalog.lookup import Catalog

#: Shown after a number or statement that nobody has compared with its source.
UNCHECKED = "(not checked)"


@dataclass(frozen=True)
class Section:
    """A heading, and labels with words; a label may be empty."""

    title: str
    rows: tuple[tuple[str, str], ...]


def sheet(catalog: Catalog, name: str) -> tuple[Section, ...]:
    """What the card of a drug says, in the order in which people ask.

    Parameters
    ----------
    catalog
        Where the card and its targets are.
    name
        Name of the drug.

    Returns
    -------
    Sections with at least one row.
    """
    card = catalog.drug_card(name)
    sections = (
        Section("What it is", tuple(_identity(card))),
        Section("What it does", tuple(_actions(catalog, card))),
        Section("Dose", tuple(_doses(card))),
        Section("Kinetics at a glance", tuple(_kinetics(catalog, card))),
        Section("Harms", tuple(_harms(card))),
        Section("How well it is known", tuple(_standing(card))),
        Section("Sources", tuple(_sources(catalog, card))),
    )
    return tuple(section for section in sections if section.rows)


def shown(fact: FactCard) -> str:
    """Number with unit, and a word where it is not checked or assumed."""
    unit = "" if fact.unit == "1" else f" {fact.unit}"
    word = "" if fact.checked else f" {UNCHECKED}"
    return f"{fact.value:.6g}{unit}{word}" + (", assumed" if fact.evidence == "assumed" else "")


def _identity(card: DrugCard) -> Iterator[tuple[str, str]]:
    yield "class", f"{card.drug_class}; {card.modality}"
    yield "direction", card.direction
    if card.synonyms:
        yield "also called", ", ".join(card.synonyms)
    if card.atc:
        yield "ATC", card.atc
    yield "molar mass", shown(card.molar_mass)
    if card.specific_activity:
        yield "activity", shown(card.specific_activity)
    if card.indications:
        yield "used for", ", ".join(card.indications)
    if card.note:
        yield "note", card.note


def _actions(catalog: Catalog, card: DrugCard) -> Iterator[tuple[str, str]]:
    for name, action in card.targets.items():
        target = catalog.target(name)
        words = f"{action.action}: {target.title}"
        if action.affinity:
            words += f"; potency {shown(action.affinity)}"
        if action.assay:
            words += f" ({action.assay})"
        if action.fraction_unbound:
            words += f"; free fraction {shown(action.fraction_unbound)}"
        if action.maximum:
            words += f"; largest effect {shown(action.maximum)}"
        yield name, words + ("." if target.hook else ". Not part of the immune core yet.")
        yield "", target.summary
        if action.note:
            yield "", action.note


def _doses(card: DrugCard) -> Iterator[tuple[str, str]]:
    for situation, regimen in card.regimens.items():
        words = regimen.label
        if regimen.maximum:
            words += f", at most {regimen.maximum.value:g} {regimen.maximum.unit}"
        yield situation, words + ("" if regimen.checked else f" {UNCHECKED}")
        if regimen.note:
            yield "", regimen.note
    for words in card.adjustments:
        yield "adjust", words


def _kinetics(catalog: Catalog, card: DrugCard) -> Iterator[tuple[str, str]]:
    if card.pk is None:
        yield "", "No kinetics: doses can be written, concentrations are not computed."
        return
    if card.pk.population:
        yield "made from", card.pk.population
    yield "model", _model_words(catalog, card.pk)
    for name, route in card.pk.routes.items():
        parts = [f"into {route.into.replace('_', ' ')}"]
        parts += [f"after {shown(route.lag)}"] if route.lag else []
        parts += [f"over {shown(route.over)}"] if route.over else []
        if route.bioavailability:
            parts.append(f"bioavailability {shown(route.bioavailability)}")
        yield name, ", ".join(parts)
    half_life = derived_half_life(catalog, card.name)
    if half_life:
        yield "half-life", half_life
    for name, parameter in card.pk.parameters.items():
        yield name.replace("_", " "), _parameter_words(parameter)
    if card.pk.note:
        yield "note", card.pk.note


def _model_words(catalog: Catalog, pk: PkCard) -> str:
    if pk.model:
        return f"equations of its own, {pk.model}"
    fragments = catalog.fragments()
    return "; ".join(fragments[name].title for name in pk.fragments)


def _parameter_words(parameter: ParameterCard) -> str:
    words = shown(parameter)
    spread = parameter.spread
    if spread and spread.lognormal_variance:
        words += f", CV {100 * np.sqrt(np.expm1(spread.lognormal_variance)):.0f} %"
    elif spread and spread.lognormal_cv:
        words += f", CV {100 * spread.lognormal_cv:.0f} %"
    elif spread and spread.normal_variance:
        words += f", SD {np.sqrt(spread.normal_variance):.3g}"
    if parameter.covariates:
        names = dict.fromkeys(effect.covariate.replace("_", " ") for effect in parameter.covariates)
        words += f"; changes with {', '.join(names)}"
    return words


def derived_half_life(catalog: Catalog, name: str) -> str:
    """Terminal half-life that the model gives after a first labelled dose, in words."""
    from immunostat.study.kinetic_people import draw_people, half_lives
    from immunostat.therapy.grammar import parse_regimen

    drug = catalog.drug(name)
    if drug.pk is None or not drug.regimens:
        return ""
    try:
        situation = next(iter(drug.regimens))
        regimen = parse_regimen(f"{name} label", lambda _: drug, situation)
        people = draw_people(catalog, drug, "adults", 64, 1)
        days = half_lives(people, regimen)
    except ImmunostatError:
        return ""
    low, middle, high = np.nanquantile(days, [0.05, 0.5, 0.95])
    unit, factor = ("days", 1.0) if middle >= 2 else ("hours", 24.0)
    return (
        f"{middle * factor:.2g} {unit} (5 to 95 % of people {low * factor:.2g} to "
        f"{high * factor:.2g}), computed from the model after a first labelled dose"
    )


def _harms(card: DrugCard) -> Iterator[tuple[str, str]]:
    if card.harms is None:
        return
    word = "" if card.harms.checked else f" {UNCHECKED}"
    yield "boxed warning", (", ".join(card.harms.boxed) or "none") + word
    if card.harms.known:
        yield "known", ", ".join(card.harms.known)
    if card.harms.note:
        yield "note", card.harms.note


def _standing(card: DrugCard) -> Iterator[tuple[str, str]]:
    facts = [fact for _, fact in all_facts(card)]
    n_checked = sum(fact.checked for fact in facts)
    n_assumed = sum(fact.evidence == "assumed" for fact in facts)
    yield (
        "numbers",
        f"{n_checked} of {len(facts)} were read in their source; {n_assumed} are assumed",
    )
    if card.exposure_checks:
        yield "exposures", f"{len(card.exposure_checks)} published ones to compare with"


def _sources(catalog: Catalog, card: DrugCard) -> Iterator[tuple[str, str]]:
    sources = catalog.sources()
    for key in catalog.drug(card.name).source_keys:
        if key in sources:
            yield key, cite(sources[key])

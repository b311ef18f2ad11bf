"""The card of a published model as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from immunostat.base.sources import cite
from immunostat.catalog.cards import all_facts
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.published import Reproduced
from immunostat.catalog.published_cards import PrintedCard, PublishedModelCard
from immunostat.report.drug_sheet import Section, shown

if TYPE_CHECKING:
    import xarray as xr

#: Words for the units of time that a model may have.
TIME_WORDS = {"hour": "hours", "day": "days", "1": "time without unit"}


def sheet(
    catalog: Catalog, card: PublishedModelCard, found: Sequence[Reproduced]
) -> tuple[Section, ...]:
    """What the card of a published model says, and which printed results it gives again.

    Parameters
    ----------
    catalog
        Where its sources are.
    card
        The published model.
    found
        From `immunostat.catalog.published.reproduced`.

    Returns
    -------
    Sections with at least one row.
    """
    keys = [card.citation, *(fact.source for _, fact in all_facts(card) if fact.source)]
    about = [
        ("situation", card.situation),
        ("what it is", card.summary),
        ("what it leaves out", card.leaves_out),
        ("beside an explicit core", card.differences),
        *([("note", card.note)] if card.note else []),
        ("equations", f"{card.fragment}, in {TIME_WORDS[card.time_unit]}"),
    ]
    sections = (
        Section("What it is", tuple(about)),
        Section("Start", _start(card)),
        *([Section("Random input", _pulses(card))] if card.random_input else []),
        Section(
            "What it shows",
            tuple((n, f"{o.title}{_unit(o.unit)}") for n, o in card.outputs.items()),
        ),
        Section("Scenarios", tuple((n, _settings(own)) for n, own in card.scenarios.items())),
        Section("Printed results, and the same from this model", tuple(map(_printed, found))),
        Section("Sources", tuple((key, cite(catalog.source(key))) for key in dict.fromkeys(keys))),
    )
    return tuple(section for section in sections if section.rows)


def _start(card: PublishedModelCard) -> tuple[tuple[str, str], ...]:
    if not card.initial:
        return (("all states", "follow from the parameters, see the equations"),)
    return tuple((name, shown(fact)) for name, fact in card.initial.items())


def _pulses(card: PublishedModelCard) -> tuple[tuple[str, str], ...]:
    return tuple(
        (
            state,
            f"{pulse.amount.value:g}{_unit(pulse.amount.unit).lstrip(',')} at once, with "
            f"probability {pulse.chance.value:.4g} in each step of {pulse.step.value:g} "
            f"{pulse.step.unit}; the course below is the first history",
        )
        for state, pulse in card.random_input.items()
    )


def _unit(unit: str) -> str:
    return "" if unit == "1" else f", {unit}"


def _settings(values: Mapping[str, float]) -> str:
    return " ".join(f"--set {name}={value:g}" for name, value in values.items()) or "as above"


def printed_words(own: PrintedCard) -> str:
    """A printed value, bound or range with its unit."""
    unit = "" if own.unit == "1" else f" {own.unit}"
    if own.is_range:
        return f"{own.value - own.tolerance:.6g} to {own.value + own.tolerance:.6g}{unit}"
    bound = "" if own.compare == "equal" else f"{own.compare} "
    return f"{bound}{own.value:.6g}{unit}"


def _printed(result: Reproduced) -> tuple[str, str]:
    own = result.card
    word = "agrees" if result.agrees else "DIFFERS"
    allowed = "" if own.is_range else f"allowed difference {own.tolerance:g}; "
    here = f"printed {printed_words(own)}, here {result.value:.6g}"
    return word, f"{own.what}: {here} ({allowed}{own.because})"


def titled(card: PublishedModelCard, data: xr.Dataset) -> xr.Dataset:
    """A course under the titles and units of the card."""
    data = data.rename({name: output.title for name, output in card.outputs.items()})
    for output in card.outputs.values():
        unit = "" if output.unit == "1" else output.unit
        data[output.title].attrs["units"] = unit
    return data

"""What a study rests on: every number of the cards it uses, and the sources behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from immunostat.base.sources import cite, write_bibtex
from immunostat.catalog.cards import FactCard, FactKeys, all_facts
from immunostat.catalog.lookup import Catalog

#: A card by its folder and name.
CardName = tuple[str, str]


def cards_of_study(
    catalog: Catalog,
    situation: str,
    population: str,
    drugs: Sequence[str],
    side_effects: Sequence[str],
    trials: Sequence[str],
) -> tuple[CardName, ...]:
    """Cards that a study reads, in the order in which a report lists them."""
    targets = sorted({target for drug in drugs for target in catalog.drug(drug).targets})
    return (
        ("core", catalog.situation(situation).core),
        ("situations", situation),
        ("populations", population),
        *(("drugs", drug) for drug in drugs),
        *(("targets", target) for target in targets),
        *(("side_effects", name) for name in side_effects),
        *(("trials", name) for name in trials),
    )


#: Parts of cards that a simulation is compared with but does not rest on.
_COMPARED_WITH = ("exposure_checks", "checks", "arms")


def assumptions(catalog: Catalog, cards: Sequence[CardName]) -> pd.DataFrame:
    """Numbers that a result rests on and that are assumed or unchecked, by name.

    Returns
    -------
    One row per number: name, value, unit, evidence, checked, because, source, where, card.
    """
    rows = []
    for folder, name in cards:
        if folder == "trials":
            continue
        for dotted, keys in all_facts(catalog.card(folder, name)):
            if dotted.split(".")[0] in _COMPARED_WITH:
                continue
            if keys.checked and keys.evidence != "assumed":
                continue
            value, unit = _value(keys)
            rows.append(
                {
                    "name": dotted,
                    "value": value,
                    "unit": unit,
                    "evidence": str(keys.evidence),
                    "checked": keys.checked,
                    "because": keys.because or keys.note,
                    "source": keys.source or "",
                    "where": keys.where,
                    "card": f"{folder}/{name}",
                }
            )
    rows += [row for folder, name in cards if folder == "drugs" for row in _left_out(catalog, name)]
    columns = ["name", "value", "unit", "evidence", "checked", "because", "source", "where", "card"]
    return pd.DataFrame(rows, columns=columns)


def _left_out(catalog: Catalog, drug: str) -> Iterator[dict[str, object]]:
    """A row for each target of a drug with kinetics that the immune core does not know yet."""
    found = catalog.drug(drug)
    for target, action in found.targets.items() if found.pk else ():
        if catalog.target(target).hook is None or action.affinity is None:
            yield {
                "name": f"targets.{target}",
                "value": 0.0,
                "unit": "1",
                "evidence": "assumed",
                "checked": False,
                "because": f"{catalog.target(target).title} is not part of the immune core yet: "
                f"what {drug} does there is left out",
                "source": "",
                "where": "",
                "card": f"drugs/{drug}",
            }


def _value(keys: FactKeys) -> tuple[float, str]:
    """Number and unit of anything that has the keys of a fact."""
    if isinstance(keys, FactCard):
        return keys.value, keys.unit
    for attribute in ("effect", "correlation", "minimum", "maximum", "slope"):
        value = getattr(keys, attribute, None)
        if value is not None:
            return float(value), "1"
    return float("nan"), "1"


def source_keys(catalog: Catalog, cards: Sequence[CardName]) -> tuple[str, ...]:
    """Keys of every source that the cards name, sorted."""
    found = {key for folder, name in cards for key in _keys(catalog.document(folder, name).data)}
    return tuple(sorted(found))


def _keys(part: object) -> Iterator[str]:
    """Values of every 'source' and 'citation' in plain data."""
    if isinstance(part, dict):
        for key, child in part.items():
            if key in ("source", "citation") and isinstance(child, str) and child:
                yield child
            else:
                yield from _keys(child)
    elif isinstance(part, list):
        for child in part:
            yield from _keys(child)


def source_records(catalog: Catalog, keys: Sequence[str]) -> list[dict[str, str]]:
    """Each source as a reader wants it: key, one line, BibTeX, address."""
    sources = {key: catalog.source(key) for key in keys}
    return [
        {
            "key": key,
            "text": cite(sources[key]),
            "bibtex": write_bibtex(sources, [key]),
            "url": sources[key].url,
        }
        for key in keys
    ]

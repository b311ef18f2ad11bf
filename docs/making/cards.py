"""What a card says, as parts of a page: equations, numbers with their evidence, sources, limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from immunostat.base.sources import cite
from immunostat.catalog.calibrations import resolved
from immunostat.catalog.cards import FactKeys, all_facts
from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.model_cards import ModelParameterCard
from making.markdown import number, table


def equations(fragment: str) -> str:
    """A fragment without its defaults, which the card's values replace."""
    text, _ = packaged_catalog().text(fragment)
    start = re.search(r"\n  // [-=]{4} Defaults", text)
    assert start, f"{fragment} has no section of defaults"
    text = text[: start.start()].rstrip() + "\nend\n"
    return f"```antimony\n{text}```"


def spread(card: FactKeys) -> str:
    if not isinstance(card, ModelParameterCard) or card.spread is None:
        return ""
    spread = card.spread
    if spread.lognormal_variance is not None:
        return f"log-normal, SD of log {number(spread.lognormal_variance**0.5)}"
    if spread.lognormal_cv is not None:
        return f"log-normal, CV {number(100 * spread.lognormal_cv)} %"
    return f"normal, SD {number(spread.normal_sd or 0.0)}"


def reason(card: FactKeys) -> str:
    source = f"[{card.source}](#sources), {card.where}" if card.source else ""
    return ". ".join(filter(None, [source, card.because or card.note]))


def parameters(cards: Mapping[str, ModelParameterCard]) -> str:
    rows = [
        (
            f"`{name}`",
            f"{number(card.value, 4)} {'' if card.unit == '1' else card.unit}",
            spread(card),
            card.evidence.value,
            "yes" if card.checked else "no",
            reason(card),
        )
        for name, card in cards.items()
    ]
    columns = ("parameter", "value", "between patients", "evidence", "checked", "from, and why")
    return table(columns, rows)


def tally(*cards: object) -> str:
    """How many numbers of cards are measured, fitted, derived, assumed, and checked."""
    facts = [fact for card in cards for _, fact in all_facts(card)]
    count = pd.Series([fact.evidence.value for fact in facts]).value_counts()
    words = ", ".join(f"{n} {name}" for name, n in count.items())
    checked = sum(fact.checked for fact in facts)
    return f"{len(facts)} numbers: {words}. {checked} were read in their source or a stored copy."


def sources(*parts: object) -> str:
    catalog = packaged_catalog()
    text = " ".join(map(str, parts))
    keys = sorted(set(re.findall(r"\[([a-z]\w*)\]\(#sources\)", text)))
    return "## Sources\n\n" + "\n".join(f"- `{key}`: {cite(catalog.source(key))}" for key in keys)


def limits(name: str) -> str:
    """What a model cannot do, written by hand."""
    path = Path(__file__).parent / f"{name}-limits.txt"
    return path.read_text(encoding="utf-8").strip()


def fitted(situation: str) -> str:
    """Arms that trained a situation, and what its calibration searches, as the cards hold it."""
    catalog = packaged_catalog()
    own = [n for n in catalog.calibrations() if catalog.calibration(n).situation == situation]
    if not own:
        return "Nothing was fitted: every number is published, derived or assumed, see below."
    parts = []
    for name in own:
        calibration = resolved(catalog, catalog.calibration(name))
        parts += [f"{calibration.card.summary} `immunostat calibrate {name}` searches again."]
        lines = [
            (arm.trial, arm.arm, ", ".join(dict.fromkeys(r.endpoint for r in arm.results)))
            for arm in calibration.card.arms
        ]
        parts.append(table(("trial", "training arm", "endpoints"), lines))
        found: dict[str, list[str]] = {}
        for search in calibration.fitted:
            moved = search.moved[0]
            same = f", and {len(search.moved) - 1} like it" if len(search.moved) > 1 else ""
            row = found.setdefault(f"`{moved.shown}`{same}", ["", ""])
            row[search.is_spread] = (
                spread(moved.card) if search.is_spread else number(moved.card.value, 4)
            )
        rows = [(name, *row) for name, row in found.items()]
        parts.append(table(("parameter", "value", "between patients"), rows))
    return "\n\n".join(parts)

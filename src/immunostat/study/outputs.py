"""Which outputs a study samples, and what readers call them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from immunostat.base.errors import InputError, near_matches
from immunostat.catalog.model_cards import CoreCard, SituationCard
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.study.assemble import Assembly
from immunostat.study.harm import Harm
from immunostat.therapy.drug import Drug


@dataclass(frozen=True)
class Output:
    """One sampled output.

    Parameters
    ----------
    name
        Name in the joined model.
    title
        What readers call it.
    unit
        Unit for readers.
    kind
        ``concentration``, ``engagement``, ``course`` or ``hazard``.
    factor
        What the model's value is multiplied with to be in `unit`.
    high
        Upper end of the scale that reads the output, in the unit of the model: a scale of 100 mm
        does not show 120, however much worse a patient gets.
    """

    name: str
    title: str
    unit: str
    kind: str
    factor: float = 1.0
    high: float = math.inf


#: What readers call an output that shows in rated items alone.
LATENT = "Disability, latent"


def scale_tops(situation: SituationCard) -> dict[str, float]:
    """Upper end of the scale of every output that a component reads as it is."""
    return {
        component.output: component.high
        for component in situation.components.values()
        if component.factor is None and component.item is None
    }


def outputs_of(
    core: CoreCard,
    situation: SituationCard,
    drugs: Sequence[Drug],
    side_effects: Sequence[Harm],
    assembly: Assembly,
) -> tuple[Output, ...]:
    """Every output of a study, each once."""
    found: dict[str, Output] = {}
    for output in _all(core, situation, drugs, side_effects, assembly):
        found.setdefault(output.name, output)
    return tuple(found.values())


def _all(
    core: CoreCard,
    situation: SituationCard,
    drugs: Sequence[Drug],
    side_effects: Sequence[Harm],
    assembly: Assembly,
) -> Iterator[Output]:
    for drug in drugs:
        if drug.pk is not None:
            # nmol/L to ug/mL: what assays and labels print.
            factor = drug.pk.molar_mass * 1e-6
            name = f"{drug.prefix}_{drug.pk.concentration}"
            yield Output(name, f"{drug.name} concentration", "ug/mL", "concentration", factor)
    used = {hook.target for hook in assembly.hooks}
    for target, engagement in core.engagement.items():
        if target in used:
            yield Output(engagement.output, engagement.title, "1", "engagement")
    tops = scale_tops(situation)
    for component in situation.components.values():
        if component.item is not None:  # ratings of what nobody sees: a number without a scale
            yield Output(component.output, LATENT, "1", "course")
        elif component.factor is None:
            yield Output(
                component.output,
                component.title,
                component.unit,
                "course",
                high=tops[component.output],
            )
    for function in core.functions.values():
        yield Output(function.output, function.title, "relative to health", "course")
    for card in situation.untreated.plausible:
        yield Output(card.output, card.output, "1", "course")
    for event in situation.events.values():
        if event.hazard not in assembly.system.names:
            raise InputError(
                f"event '{event.title}' reads '{event.hazard}', which situation "
                f"'{situation.name}' does not have",
                remedy=near_matches(event.hazard, assembly.system.names),
            )
        title = f"{event.title}: hazard"
        yield Output(event.hazard, title, "1/year", "hazard", DAYS_PER_YEAR)
    for effect in side_effects:
        graded = effect.output if effect.output not in situation.components else ""
        for name in (*effect.states, *([graded] if graded else [])):
            yield Output(name, name, "1", "course")

"""Endpoints, components and concentrations of a study as the outcomes layer reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from immunostat.catalog.model_cards import SituationCard
from immunostat.outcomes.endpoints import KINDS, EndpointSpec
from immunostat.outcomes.event_times import EventKind
from immunostat.outcomes.summary import FRACTIONS

if TYPE_CHECKING:
    from immunostat.study.outputs import Output
    from immunostat.study.plan import Plan


def component_units(situation: SituationCard) -> dict[str, str]:
    """Unit of each component; joints are counted, which scores take as a pure number."""
    return {
        name: "1" if card.unit == "joints" else card.unit
        for name, card in situation.components.items()
    }


def endpoint_spec(name: str, situation: SituationCard) -> EndpointSpec:
    """Endpoint of a situation card as the outcomes layer reads it."""
    card = situation.endpoints[name]
    inputs = dict(card.inputs) or ({"value": card.component} if card.component else {})
    of = endpoint_spec(card.of, situation) if card.of else None
    read = component_units(situation)[card.component] if card.component else "1"
    return EndpointSpec(
        name,
        card.kind,
        inputs,
        score=card.score or "",
        level=card.level,
        unit=unit_of(card.kind, of.unit if of else read),
        statistic="" if KINDS[card.kind].is_binary else card.statistic or "",
        is_inclusive=card.inclusive,
        of=of,
        is_confirmed=card.confirmed,
        detection_limit=card.detection_limit or 0.0,
        events=tuple(event for event in card.events if event in situation.events),
        seen=tuple(
            endpoint_spec(event, situation)
            for event in card.events
            if event not in situation.events
        ),
        steps=dict(card.steps),
        confirm_day=7.0 * (card.confirm_weeks or 0.0),
    )


def unit_of(kind: str, read: str) -> str:
    """Unit of an endpoint of a kind that reads values of some unit."""
    if kind == "area":  # over time
        return "day" if read == "1" else f"{read}*day"
    own = {"event_rate": "1/year", "event_time": "day", "percent_change": "%"}
    if (
        KINDS[kind].is_binary
        or KINDS[kind].statistic in FRACTIONS
        or kind.endswith("imwg_response")
    ):
        return "1"
    return own.get(kind, read)


def endpoint_specs(
    situation: SituationCard,
    names: Sequence[str],
    declared: Mapping[str, EndpointSpec] | None = None,
) -> tuple[EndpointSpec, ...]:
    """Endpoints by name: those of a situation, and those that a study declares itself."""
    return tuple(
        declared[name] if declared and name in declared else endpoint_spec(name, situation)
        for name in names
    )


def event_kinds(situation: SituationCard) -> tuple[EventKind, ...]:
    """Events of a situation, in the order of its card."""
    return tuple(
        EventKind(name, card.recurrent, card.terminal) for name, card in situation.events.items()
    )


def concentration_outputs(plan: Plan, arm: str) -> dict[str, Output]:
    """Outputs that are the concentration of a drug which an arm gives, by drug.

    A rule may start a drug in any arm that has the rule.
    """
    given = {regimen.drug.name for regimen in plan.study.regimens(arm)}
    for rule in plan.study.rules:
        if rule.regimen is not None and (not rule.arms or arm in rule.arms):
            given.add(rule.regimen.drug.name)
    return {
        drug: output
        for output in plan.outputs
        if output.kind == "concentration"
        and (drug := output.title.removesuffix(" concentration")) in given
    }


def specs_of(plan: Plan) -> tuple[EndpointSpec, ...]:
    """Endpoints of a study."""
    return endpoint_specs(plan.situation, plan.study.endpoints, plan.study.declared)


def avoided(plan: Plan) -> list[str]:
    """Yes-or-no endpoints of a study that it is better not to have."""
    cards = plan.situation.endpoints
    return [
        spec.name
        for spec in specs_of(plan)
        if (cards[spec.name].is_avoided if spec.name in cards else spec.kind == "event_share")
    ]

"""Endpoints, components and concentrations of a study as the outcomes layer reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from immunostat.catalog.model_cards import EndpointCard, SituationCard
from immunostat.outcomes.endpoints import KINDS, EndpointSpec

if TYPE_CHECKING:
    from immunostat.study.outputs import Output
    from immunostat.study.plan import Plan


def component_units(situation: SituationCard) -> dict[str, str]:
    """Unit of each component; joints are counted, which scores take as a pure number."""
    return {
        name: "1" if card.unit == "joints" else card.unit
        for name, card in situation.components.items()
    }


def endpoint_spec(name: str, card: EndpointCard, unit: str) -> EndpointSpec:
    """Endpoint of a situation card as the outcomes layer reads it."""
    inputs = dict(card.inputs) or ({"value": card.component} if card.component else {})
    return EndpointSpec(
        name,
        card.kind,
        inputs,
        score=card.score or "",
        level=card.level,
        unit=unit,
        statistic="" if KINDS[card.kind].is_binary else card.statistic,
    )


def endpoint_specs(
    situation: SituationCard,
    names: Sequence[str],
    declared: Mapping[str, EndpointSpec] | None = None,
) -> tuple[EndpointSpec, ...]:
    """Endpoints by name: those of a situation, and those that a study declares itself."""
    units, found = component_units(situation), []
    for name in names:
        if declared and name in declared:
            found.append(declared[name])
            continue
        card = situation.endpoints[name]
        unit = units[card.component] if card.component else "1"
        found.append(endpoint_spec(name, card, unit))
    return tuple(found)


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

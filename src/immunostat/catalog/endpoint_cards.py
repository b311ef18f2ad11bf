"""Cards of what a situation's clinic looks at: components of a visit, events, and endpoints."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from immunostat.base.errors import near_matches
from immunostat.catalog.cards import Card, FactCard, FactKeys, Name, Number, Text
from immunostat.outcomes.endpoints import KINDS
from immunostat.outcomes.items import Item
from immunostat.outcomes.scores import SCORES

#: Kinds that are a yes or no at a visit without being binary endpoints, so may count as events.
_SEEN = frozenset({"time_to_event", "confirmed_worsening"})


#: A number that is a key; the reader of files gives keys as text.
KeyNumber = Annotated[float, Field(allow_inf_nan=False)]


class ItemCard(FactKeys):
    """An item that is rated: graded logistic response to an output of the model."""

    #: Value of the output at which half of the patients are rated at least 1.
    first: Number
    #: From there to half at least 2, from there to 3, and so on.
    increments: tuple[Annotated[Number, Field(gt=0)], ...] = ()
    slope: Annotated[Number, Field(gt=0)]

    @property
    def item(self) -> Item:
        """The item as the outcomes layer reads it."""
        return Item(self.slope, tuple(itertools.accumulate(self.increments, initial=self.first)))


class LatentEntryCard(Card):
    """A parameter that is set so that a patient's score is, on average, a covariate at entry."""

    parameter: Name
    covariate: Name


class ComponentCard(Card):
    """What a visit records: an output with error, a rated item, or a score of items."""

    title: Text
    output: Name
    unit: str
    #: Standard deviation of the logarithm between visits.
    error: FactCard | None = None
    #: Standard deviation between visits, in the unit of the component.
    additive_error: FactCard | None = None
    error_of: Name | None = None
    factor: FactCard | None = None
    item: ItemCard | None = None
    #: A score that the visit makes of its items: role in the score to component.
    score: Name | None = None
    inputs: dict[Name, Name] = Field(default_factory=dict)
    #: Share of the noise of each item of the score that is the patient's own at every visit.
    own_share: FactCard | None = None
    latent_entry: LatentEntryCard | None = None
    low: Number
    high: Number
    step: Number | None = None

    @model_validator(mode="after")
    def _has_one_error(self) -> Self:
        if self.additive_error is None:
            return self
        if self.error is not None or self.error_of is not None:
            raise ValueError("write one of 'error', 'error_of' and 'additive_error'")
        if self.additive_error.unit != self.unit:
            raise ValueError(
                f"'additive_error' is in '{self.additive_error.unit}'; write it in '{self.unit}', "
                "the unit of the component"
            )
        return self

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        keys = ("error", "additive_error", "error_of", "factor")
        measured = [key for key in keys if getattr(self, key)]
        if self.item and self.score:
            raise ValueError("a component is an 'item' or a 'score', not both")
        if measured and (self.item or self.score):
            what = "a rated item" if self.item else "a score of items"
            raise ValueError(f"'{measured[0]}' belongs to a measured value, not to {what}")
        if self.item and (self.low != 0 or self.high < len(self.item.increments) + 1):
            raise ValueError(
                f"an item with {len(self.item.increments) + 1} thresholds is rated from 0 to "
                f"{len(self.item.increments) + 1}; 'low' and 'high' leave some out"
            )
        if not self.score:
            for key in ("inputs", "own_share", "latent_entry"):
                if getattr(self, key):
                    raise ValueError(f"'{key}' belongs to a component with the key 'score'")
            return self
        if self.score not in SCORES:
            raise ValueError(f"no score '{self.score}'; {near_matches(self.score, SCORES)}")
        if self.own_share is None:
            raise ValueError("a score of items needs the key 'own_share'")
        if not 0 <= self.own_share.value <= 1 or self.own_share.unit != "1":
            raise ValueError("'own_share' is a share from 0 to 1, of unit '1'")
        roles = SCORES[self.score].units
        for role in roles:
            if role not in self.inputs:
                raise ValueError(f"inputs: score '{self.score}' needs '{role}'")
        for role in self.inputs:
            if role not in roles:
                raise ValueError(f"inputs: no role '{role}'; {near_matches(role, roles)}")
        return self


class EventCard(Card):
    """An event of the disease that is drawn from a hazard of the model."""

    title: Text
    #: Output of the joined model, 1/day.
    hazard: Name
    recurrent: bool = False
    terminal: bool = False
    source: Name | None = None
    where: str = ""
    note: str = ""

    @model_validator(mode="after")
    def _ends_once(self) -> Self:
        if self.recurrent and self.terminal:
            raise ValueError("an event that ends everything cannot come again: drop 'recurrent'")
        return self


class EndpointCard(Card):
    """An endpoint of a situation: a kind, and what it reads."""

    title: Text
    kind: Name
    component: Name | None = None
    score: Name | None = None
    level: Number | None = None
    inclusive: bool = False
    inputs: dict[Name, Name] = Field(default_factory=dict)
    #: Another endpoint whose values are read.
    of: str | None = None
    #: Events, and yes-or-no endpoints, of which the first counts.
    events: tuple[str, ...] = ()
    confirmed: bool = False
    detection_limit: Annotated[Number, Field(ge=0)] | None = None
    #: Value at baseline from which a step holds, to the step.
    steps: dict[KeyNumber, Annotated[Number, Field(gt=0)]] = Field(default_factory=dict)
    confirm_weeks: Annotated[Number, Field(gt=0)] | None = None
    statistic: Literal["mean", "median"] | None = None
    #: Of a yes-or-no endpoint: whether it is better to have it (higher) or not (lower).
    better: Literal["higher", "lower"] | None = None
    source: Name | None = None

    @property
    def is_avoided(self) -> bool:
        """Whether it is better not to have it; so are events unless the card says otherwise."""
        if self.better is None:
            return self.kind == "event_share"
        return self.better == "lower"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind not in KINDS:
            raise ValueError(f"no kind '{self.kind}'; {near_matches(self.kind, KINDS)}")
        kind = KINDS[self.kind]
        if kind.is_of_events and not self.events:
            raise ValueError(f"kind '{self.kind}' needs the key 'events', such as [relapse]")
        if self.events and not kind.is_of_events:
            known = ", ".join(name for name, own in KINDS.items() if own.is_of_events)
            raise ValueError(f"kind '{self.kind}' reads no events; kinds that do: {known}")
        if self.kind == "confirmed_worsening":
            if self.confirm_weeks is None:
                raise ValueError("kind 'confirmed_worsening' needs the key 'confirm_weeks'")
            if (self.level is None) == (not self.steps):
                raise ValueError("kind 'confirmed_worsening' needs one of 'level' and 'steps'")
        elif self.confirm_weeks is not None or self.steps:
            raise ValueError("'steps' and 'confirm_weeks' belong to kind 'confirmed_worsening'")
        if kind.needs_level and self.level is None:
            raise ValueError(f"kind '{self.kind}' needs the key 'level'")
        if self.of is not None and (self.component or self.score or self.inputs):
            raise ValueError("'of' reads another endpoint; drop 'component', 'score' and 'inputs'")
        return self


def check_components(components: Mapping[str, ComponentCard]) -> None:
    """Refuse components that name others which are not there, or are not what is wanted.

    Raises
    ------
    ValueError
        The message names the component.
    """
    used: dict[str, str] = {}
    for name, card in components.items():
        for other in (card.error_of, *card.inputs.values()):
            if other and other not in components:
                remedy = near_matches(other, components)
                raise ValueError(f"components.{name}: no component '{other}'; {remedy}")
        for other in card.inputs.values():
            if components[other].item is None:
                raise ValueError(f"components.{name}: '{other}' is no rated item")
            if components[other].output != components[next(iter(card.inputs.values()))].output:
                raise ValueError(f"components.{name}: '{other}' shows another output than the rest")
            if other in used:
                raise ValueError(f"components.{name}: '{other}' counts twice")
            used[other] = name
    for name, card in components.items():
        if card.item is not None and name not in used:
            raise ValueError(
                f"components.{name}: no score counts this item, so that nobody says how much of "
                "its noise is the patient's own; name it under 'inputs' of a component with 'score'"
            )


def check_endpoints(
    endpoints: Mapping[str, EndpointCard],
    events: Mapping[str, EventCard],
    components: Mapping[str, ComponentCard],
) -> None:
    """Refuse endpoints that read what a situation does not have, or read one another in a circle.

    Raises
    ------
    ValueError
        The message names the endpoint.
    """
    for name in events:
        if name in endpoints:
            raise ValueError(f"events.{name}: there is an endpoint of that name; rename one")
    for name, card in endpoints.items():
        wanted = [*card.inputs.values(), *([card.component] if card.component else [])]
        for component in wanted:
            if component not in components:
                raise ValueError(
                    f"endpoints.{name}: no component '{component}'; "
                    + near_matches(component, components)
                )
        of = card.of
        if of and of not in endpoints:
            raise ValueError(f"endpoints.{name}: no endpoint '{of}'; {near_matches(of, endpoints)}")
        for event in card.events:
            known = {**events, **endpoints}
            if event not in known:
                remedy = near_matches(event, known)
                raise ValueError(f"endpoints.{name}: no event or endpoint '{event}'; {remedy}")
            if event not in events:
                kind = endpoints[event].kind
                if not (KINDS[kind].is_binary or kind in _SEEN):
                    raise ValueError(
                        f"endpoints.{name}: endpoint '{event}' of kind '{kind}' is no yes or no at "
                        "a visit, so it is no event"
                    )
                if card.kind == "event_rate":
                    raise ValueError(
                        f"endpoints.{name}: a rate counts events that are drawn, and '{event}' is "
                        "an endpoint; use event_share or event_time"
                    )
    for name in endpoints:
        _refuse_circle(endpoints, name, ())


def _refuse_circle(
    endpoints: Mapping[str, EndpointCard], name: str, above: tuple[str, ...]
) -> None:
    if name in above:
        raise ValueError(f"endpoints.{name}: reads itself, by way of {' and '.join(above[1:])}")
    card = endpoints[name]
    for other in (*([card.of] if card.of else []), *card.events):
        if other in endpoints:
            _refuse_circle(endpoints, other, (*above, name))

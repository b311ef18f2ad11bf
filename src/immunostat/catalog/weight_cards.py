"""What a card of weights holds: how much an event counts beside a benefit, as a stated judgment."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from immunostat.catalog.cards import Card, Name, Number, Text

Weight = Annotated[Number, Field(ge=0)]


class WeightsCard(Card):
    """``weights/NAME.yaml``: weights beside a first benefit that counts 1."""

    name: Name
    title: Text
    #: Why these; a judgment has reasons, not sources.
    because: Text
    #: What an event counts by its grade of CTCAE.
    grades: dict[Annotated[int, Field(ge=1, le=5)], Weight]
    #: What a blood count of grade 3 or more counts: a laboratory finds it, nobody feels it.
    count: Weight
    #: What an event of unknown severity counts.
    unknown: Weight

    @model_validator(mode="after")
    def _has_every_grade(self) -> Self:
        if sorted(self.grades) != [1, 2, 3, 4, 5]:
            raise ValueError("grades: give a weight for each of the grades 1 to 5")
        return self

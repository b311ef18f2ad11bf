"""Weights of benefit and harm: from a file, and to begin with.

The weights to begin with are a judgment that shows how weighing works, and no fact: each reader is
to set his own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from immunostat.catalog.lookup import Catalog, packaged_catalog
from immunostat.catalog.reader import read_yaml, validated
from immunostat.catalog.weight_cards import WeightsCard
from immunostat.study.balance import BENEFIT, Outcome, Weight, outcomes
from immunostat.study.result import Result

#: Name of the card of weights to begin with.
ILLUSTRATIVE = "illustrative"

_Number = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
_Name = Annotated[str, Field(max_length=200)]


class WeightPart(BaseModel):
    """A weight that is more than a number: `worst` and `best` make a value count in proportion."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: _Positive
    worst: _Number | None = Field(default=None, description="Value that counts nothing.")
    best: _Number | None = Field(default=None, description="Value that counts all.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.worst is None) != (self.best is None):
            raise ValueError("worst and best belong together")
        if self.worst is not None and self.worst == self.best:
            raise ValueError("worst and best must differ")
        return self


class WeightsFile(BaseModel):
    """A file of weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: _Name = Field(default="", description="Arm that the others are compared with.")
    weights: dict[_Name, WeightPart] = Field(description="By outcome; a number is a weight.")
    doses: dict[_Name, _Positive] = Field(default={}, description="Dose of each arm.")

    @field_validator("weights", mode="before")
    @classmethod
    def _parts(cls, given: Any) -> Any:
        """A number as a weight of its own."""
        if not isinstance(given, dict):
            return given
        return {
            name: {"weight": own} if isinstance(own, int | float) else own
            for name, own in given.items()
        }


@dataclass(frozen=True)
class Weights:
    """What a file of weights says.

    Parameters
    ----------
    weights
        By outcome.
    reference
        An arm, or empty.
    doses
        Dose of arms, any one unit; empty if not said.
    """

    weights: Mapping[str, Weight]
    reference: str = ""
    doses: Mapping[str, float] = field(default_factory=dict)


def read_weights(path: Path | str) -> Weights:
    """Read a file of weights.

    Raises
    ------
    InputError
        The file is no such file; with the line.
    """
    document = read_yaml(path, "weights")
    file = validated(document, WeightsFile)
    found = {name: Weight(own.weight, own.worst, own.best) for name, own in file.weights.items()}
    return Weights(found, file.reference, dict(file.doses))


def illustrative_words(catalog: Catalog | None = None) -> str:
    """What is said wherever weights to begin with are used."""
    card = (catalog or packaged_catalog()).weights(ILLUSTRATIVE)
    grades = ", ".join(f"grade {grade}: {card.grades[grade]:g}" for grade in (3, 4))
    return (
        "Weights are illustrative: the first yes-or-no endpoint counts 1, a side effect by its "
        f"grades ({grades}, death: {card.grades[5]:g}), a count of grade 3 or more "
        f"{card.count:g}. Set your own."
    )


def illustrative(result: Result, catalog: Catalog | None = None) -> dict[str, Weight]:
    """Weights to begin with: the first benefit counts 1, each harm by how bad its events are.

    Parameters
    ----------
    catalog
        Whose card of weights; the packaged one if None.

    Returns
    -------
    By outcome; empty where the result has no yes-or-no benefit or no harm.
    """
    known = outcomes(result)
    first = next((own for own in known if own.kind == BENEFIT), None)
    harms = [own for own in known if not own.is_endpoint]
    if first is None or not harms:
        return {}
    card = (catalog or packaged_catalog()).weights(ILLUSTRATIVE)
    severities = result.run.get("severities") or {}
    return {
        first.name: Weight(1.0),
        **{
            own.name: Weight(_harm_weight(card, own, severities.get(own.name) or {}))
            for own in harms
        },
    }


def _harm_weight(card: WeightsCard, outcome: Outcome, shares: Mapping[str, float]) -> float:
    """Mean weight of the grades that events of a side effect have."""
    if outcome.column.endswith(" grade"):
        return card.count
    total = sum(shares.values())
    if not total:
        return card.unknown
    mean = sum(card.grades[int(grade)] * share for grade, share in shares.items()) / total
    return float(f"{mean:.2g}")

"""Which numbers of a study's model can be varied, by how much, and why that much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from immunostat.base.errors import InputError, Place, UnknownNameError, near_matches
from immunostat.base.facts import Evidence
from immunostat.catalog.cards import FactCard
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import SituationCard
from immunostat.study.assemble import CORE, TYPICAL, name_of_own
from immunostat.study.plan import Plan

#: Factor up and down by which a number is varied when its card states no interval. A convention of
#: this program, not a measurement: the weaker the evidence, the wider.
FACTORS: Mapping[Evidence, float] = {
    Evidence.MEASURED: 1.25,
    Evidence.FITTED: 1.25,
    Evidence.DERIVED: 1.5,
    Evidence.ASSUMED: 2.0,
}

#: Half width of a 95 % interval in standard deviations of a normal distribution.
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Parameter:
    """One number that is varied, as a factor on its typical value.

    Parameters
    ----------
    name
        Name in the joined model.
    low, high
        Factors at the ends of its 95 % range, 0 < low <= 1 <= high, low < high.
    because
        Where the range comes from.
    value, unit
        The number as its card prints it.
    evidence
        How the number came to be known.
    card, dotted
        Card that holds it, such as ``core/immune_core``, and its dotted path inside.
    """

    name: str
    low: float
    high: float
    because: str = ""
    value: float = 1.0
    unit: str = "1"
    evidence: str = ""
    card: str = ""
    dotted: str = ""

    def __post_init__(self) -> None:
        if not (0 < self.low <= 1 <= self.high < math.inf and self.low < self.high):
            raise InputError(
                f"'{self.name}' cannot be varied from {self.low:g} to {self.high:g} times its "
                "value",
                remedy="the factors must be above 0, and 1 must lie between them",
            )

    @property
    def log_center(self) -> float:
        """Logarithm of the median factor: the middle of the range on a logarithmic axis."""
        return 0.5 * (math.log(self.low) + math.log(self.high))

    @property
    def log_sd(self) -> float:
        """Standard deviation of the logarithm, for which `low` to `high` holds 95 %."""
        return (math.log(self.high) - math.log(self.low)) / (2 * Z95)


def varied_parameters(catalog: Catalog, plan: Plan, range_: float | None = None) -> list[Parameter]:
    """Every number of the joined model that analyses of sensitivity and uncertainty can vary.

    Left out are covariates of the patients, what is set from each patient's untreated
    state (a factor on it would be overwritten), and numbers that are zero.

    Parameters
    ----------
    range_
        Factor up and down for all, in place of stated intervals and the defaults by evidence.

    Returns
    -------
    Core, situation, then drugs: kinetics, share absorbed, affinities.

    Raises
    ------
    InputError
        `range_` is not above 1, or a stated interval reaches below zero.
    """
    if range_ is not None and not 1 < range_ <= 100:
        raise InputError(
            f"a range of {range_:g} is not possible",
            Place(f"--range {range_:g}"),
            "it is the factor up and down, such as 1.5",
        )
    found = {}
    for name, card, dotted, fact in _facts(catalog, plan):
        if fact.value != 0:
            low, high, because = _range(catalog, fact, card, dotted, range_)
            found[name] = Parameter(
                name, low, high, because, fact.value, fact.unit, str(fact.evidence), card, dotted
            )
    return list(found.values())


def chosen(parameters: Sequence[Parameter], names: Sequence[str]) -> list[Parameter]:
    """The parameters of these names, in the order of the names.

    Raises
    ------
    UnknownNameError
        A name is not among them; the remedy lists near matches.
    """
    by_name = {parameter.name.lower(): parameter for parameter in parameters}
    found = {}
    for name in names:
        parameter = by_name.get(name.lower())
        if parameter is None:
            raise UnknownNameError(
                f"'{name}' is no number that can be varied",
                Place(f"--parameters {name}"),
                near_matches(name, [parameter.name for parameter in parameters]),
            )
        found[parameter.name] = parameter
    return list(found.values())


def bioavailability_name(prefix: str, route: str) -> str:
    """Name under which the share of a dose that is absorbed is varied."""
    return f"{prefix}_{route}_bioavailability"


def _facts(catalog: Catalog, plan: Plan) -> Iterator[tuple[str, str, str, FactCard]]:
    """Name in the joined model, card, dotted path, and the number itself."""
    fixed = set_by_patient(plan.situation)
    known = set(plan.assembly.system.parameters) | set(plan.assembly.core_system.parameters)
    core, situation = plan.core, plan.situation
    candidates: list[tuple[str, str, str, FactCard]] = []
    for name, card in core.parameters.items():
        candidates.append((f"{CORE}_{name}", f"core/{core.name}", f"parameters.{name}", card))
    for name, card in situation.parameters.items():
        own = name_of_own(name, core, situation)
        candidates.append((own, f"situations/{situation.name}", f"parameters.{name}", card))
    for target in map(catalog.target, catalog.targets()):
        if "tissue_partition" in target.parameters:
            fact = target.parameters["tissue_partition"]
            own = f"{CORE}_{target.hook}_partition"
            candidates.append((own, f"targets/{target.name}", "parameters.tissue_partition", fact))
    yield from (found for found in candidates if found[0] in known and found[0] not in fixed)
    for drug in plan.drugs:
        card_name, own_card = f"drugs/{drug.name}", catalog.drug_card(drug.name)
        if own_card.pk is None:
            continue
        for name, parameter in own_card.pk.parameters.items():
            own = f"{drug.prefix}_{name}"
            own = f"{own}_{TYPICAL}" if f"{own}_{TYPICAL}" in known else own
            if own in known:
                yield own, card_name, f"pk.parameters.{name}", parameter
        for route, way in own_card.pk.routes.items():
            # A share of 1 anchors apparent clearances and volumes, which vary in its place.
            if way.bioavailability is not None and way.bioavailability.value < 1:
                own = bioavailability_name(drug.prefix, route)
                yield own, card_name, f"pk.routes.{route}.bioavailability", way.bioavailability
        for hook in plan.assembly.hooks:
            affinity = own_card.targets[hook.target].affinity if hook.drug == drug.name else None
            if affinity is not None:
                yield hook.dissociation, card_name, f"targets.{hook.target}.affinity", affinity


def set_by_patient(situation: SituationCard) -> set[str]:
    """Parameters that take another value in each patient, whatever their card says."""
    steady = situation.untreated
    scaled = {own.parameter for own in steady.scaled}
    return {
        *situation.from_covariates,
        *steady.anchors,
        *scaled,
        *situation.latent_entries,
        *([situation.trial_switch] if situation.trial_switch else []),
    }


def _range(
    catalog: Catalog, fact: FactCard, card: str, dotted: str, range_: float | None
) -> tuple[float, float, str]:
    """Factors at the ends of the range of a number, and where they come from."""
    if range_ is not None:
        return 1 / range_, range_, f"asked for: factor {range_:g}"
    low, high = getattr(fact, "low", None), getattr(fact, "high", None)
    if low is not None and high is not None:
        ends = sorted((low / fact.value, high / fact.value))
        if ends[0] <= 0:
            raise InputError(
                f"the interval of '{dotted}' includes zero, so that no factor can span it",
                catalog.place(card, dotted),
                "use --range, or leave the number out",
            )
        return ends[0], ends[1], "interval stated in the card"
    factor = FACTORS[fact.evidence]
    return 1 / factor, factor, f"default for {fact.evidence}: factor {factor:g}"

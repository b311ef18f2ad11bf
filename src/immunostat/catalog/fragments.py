"""Kinetic fragments: what each brings, and the model of a drug joined from those it chooses.

The equations of a fragment stand in ``models/pk/fragments/NAME.ant``; what it brings to the joined
model stands in ``models/pk/fragments.yaml``. Every name of a fragment is a port, so that two drugs
with the same fragments differ by the name of the drug alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field, RootModel

from immunostat.base.errors import InputError, Place, near_matches
from immunostat.base.units import INSIDE
from immunostat.catalog.cards import Card, Name, Text
from immunostat.catalog.drug_cards import PkCard
from immunostat.catalog.reader import Document, parse_yaml, validated

if TYPE_CHECKING:
    from immunostat.catalog.lookup import Catalog

ParameterKind = Literal[
    "amount",
    "amount_rate",
    "clearance",
    "concentration",
    "duration",
    "none",
    "rate",
    "signed",
    "volume",
]

#: Where the parts of every drug's balance come from.
FOLDER = "models/pk/fragments"
ROLES = "models/pk/fragments.yaml"


class FragmentCard(Card):
    """What a fragment brings: see the head of ``models/pk/fragments.yaml``."""

    title: Text
    states: tuple[Name, ...] = ()
    parameters: dict[Name, ParameterKind] = Field(default_factory=dict)
    gives: tuple[Name, ...] = ()
    absorption: tuple[Name, ...] = ()
    inflow: tuple[Name, ...] = ()
    outflow: tuple[Name, ...] = ()
    elimination: tuple[Name, ...] = ()
    factor: Name | None = None


class FragmentTable(RootModel[dict[Name, FragmentCard]]):
    """Fragments by name."""

    model_config = ConfigDict(frozen=True)


def read_fragments(catalog: Catalog) -> Mapping[str, FragmentCard]:
    """Every fragment of the catalog by name."""
    document = parse_yaml(*catalog.text(ROLES))
    return validated(document, FragmentTable).root


def chosen(
    names: Sequence[str], fragments: Mapping[str, FragmentCard], place: Place | None = None
) -> dict[str, FragmentCard]:
    """The fragments that a card names, checked to make one model.

    Raises
    ------
    InputError
        A name is unknown, there is no central compartment or no way out of the body, or two
        fragments bring the same name.
    """
    for name in names:
        if name not in fragments:
            raise InputError(
                f"fragment '{name}' is not in the catalog", place, near_matches(name, fragments)
            )
    found = {name: fragments[name] for name in names}
    if "central" not in found:
        raise InputError("the fragments lack the central compartment", place, "add 'central'")
    if not any(card.elimination for card in found.values()):
        ways = ", ".join(name for name, card in fragments.items() if card.elimination)
        raise InputError("the fragments lack an elimination", place, f"add one of: {ways}")
    owner: dict[str, str] = {}
    for name, card in found.items():
        for own in (*card.states, *card.parameters, *card.gives):
            if own in owner:
                raise InputError(
                    f"fragments '{owner[own]}' and '{name}' both bring '{own}'",
                    place,
                    "choose one of them",
                )
            owner[own] = name
    if "auto_induction" in found and not any("clearance" in c.parameters for c in found.values()):
        raise InputError(
            "auto_induction multiplies a linear clearance, and there is none",
            place,
            "add 'linear_elimination'",
        )
    return found


def module_name(names: Sequence[str]) -> str:
    """Name of the joined module of these fragments; their order does not matter."""
    return "kinetics_" + "__".join(sorted(names))


_HEAD = re.compile(r"^\s*model\s+(\w+)\s*\(([^)]*)\)", re.MULTILINE)


def ports_of(name: str, text: str, place: Place) -> tuple[str, ...]:
    """Ports of the module ``NAME_fragment`` in the text of a fragment."""
    for match in _HEAD.finditer(text):
        if match.group(1) == f"{name}_fragment":
            return tuple(port.strip() for port in match.group(2).split(","))
    raise InputError(f"there is no 'model {name}_fragment(...)' in this fragment", place)


def joined_module(catalog: Catalog, names: Sequence[str]) -> str:
    """Antimony of the module that joins fragments; its ports are the `signals`.

    The balance of the central compartment is written here: what is absorbed or converted, less
    what is distributed and eliminated.
    """
    cards = chosen(names, catalog.fragments())
    absorbed = [flow for card in cards.values() for flow in card.absorption]
    eliminated = [flow for card in cards.values() for flow in card.elimination]
    outflow = [flow for card in cards.values() for flow in card.outflow]
    inflow = [flow for card in cards.values() for flow in card.inflow]
    if "prodrug" not in cards:
        inflow = absorbed + inflow
    factors = [card.factor for card in cards.values() if card.factor]
    states = [state for card in cards.values() for state in card.states]
    given = [name for card in cards.values() for name in card.gives]
    flows = [*absorbed, *inflow, *outflow, *eliminated, *signals_of(cards)]

    lines = [f"model {module_name(names)}({', '.join(signals_of(cards))})"]
    lines.append(f"  var {', '.join(dict.fromkeys([*states, *flows]))};")
    if "prodrug" in cards:
        lines.append("  var prodrug_input;")
        lines.append(f"  prodrug_input := {' + '.join(absorbed) or '0'};")
    if any("clearance" in card.parameters for card in cards.values()):
        if factors:
            lines.append("  var clearance_factor;")
            lines.append(f"  clearance_factor := {'*'.join(factors)};")
        else:
            lines.append("  clearance_factor = 1;")
    for name in cards:
        relative = f"{FOLDER}/{name}.ant"
        text, file = catalog.text(relative)
        ports = ports_of(name, text, Place(file))
        lines.append(f"  part_{name}: {name}_fragment({', '.join(ports)});")
    if "concentration" not in given:
        lines.append("  concentration := total_concentration;")
    lines.append(f"  elimination := {' + '.join(eliminated)};")
    taken = "".join(f" - {flow}" for flow in [*outflow, "elimination"])
    lines.append(f"  central' = {' + '.join(inflow)}{taken};")
    return "\n".join([*lines, "end", ""])


def signals_of(cards: Mapping[str, FragmentCard]) -> tuple[str, ...]:
    """What the joined model of fragments lets others read: its concentrations, and elimination."""
    given = [name for card in cards.values() for name in card.gives]
    return tuple(dict.fromkeys(["concentration", *given, "elimination"]))


def parameters_of(cards: Mapping[str, FragmentCard]) -> dict[str, tuple[str, str]]:
    """Parameters that fragments need: name -> (kind, fragment)."""
    return {
        parameter: (kind, name)
        for name, card in cards.items()
        for parameter, kind in card.parameters.items()
    }


def fit_fragments(
    card: PkCard, document: Document, fragments: Mapping[str, FragmentCard]
) -> dict[str, tuple[str, str]]:
    """Kind and fragment of each parameter, after a check that card and fragments fit.

    Raises
    ------
    InputError
        A parameter is missing or has no fragment, a route leads nowhere, or the concentration is
        none that a fragment gives; with file, line and what is allowed.
    """
    cards = chosen(card.fragments, fragments, document.place(("pk", "fragments")))
    wanted = parameters_of(cards)
    for name in card.parameters:
        if name not in wanted:
            owners = [own for own, other in fragments.items() if name in other.parameters]
            remedy = near_matches(name, wanted)
            if owners:
                remedy = f"it belongs to {' and '.join(owners)}; add the fragment or remove it"
            raise InputError(
                f"no chosen fragment has a parameter '{name}'",
                document.place(("pk", "parameters", name)),
                remedy,
            )
    for name, (kind, owner) in wanted.items():
        if name not in card.parameters:
            unit = INSIDE["none" if kind == "signed" else kind][0]
            raise InputError(
                f"fragment '{owner}' needs the parameter '{name}'",
                document.place(("pk", "parameters")),
                f"add '{name}' with a unit like '{unit}'",
            )
    states = [state for own in cards.values() for state in own.states]
    for route, own in card.routes.items():
        if own.into not in states:
            raise InputError(
                f"route '{route}' leads into '{own.into}', which is no state of the fragments",
                document.place(("pk", "routes", route, "into")),
                f"states: {', '.join(states)}",
            )
    known = ["concentration", *(name for own in cards.values() for name in own.gives)]
    if card.concentration not in known:
        raise InputError(
            f"no chosen fragment gives '{card.concentration}'",
            document.place(("pk", "concentration")),
            f"given: {', '.join(dict.fromkeys(known))}",
        )
    return wanted

"""The network of a joined model, read from its equations: what acts on what, and which way.

Nodes are states, ports of the core, concentrations of drugs, and outputs that people read; other
assignments are put into the formulas that use them. An arrow stands where the rate (or value) of a
node uses another. Its sign is that of the difference which a change of the source makes, in the
typical untreated patient, in health, and in patients around these; where those do not agree, or
nothing changes in any, the sign is 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import symengine as se

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import CoreCard, SituationCard
from immunostat.engine.formulas import Formulas
from immunostat.engine.problem import Tolerance
from immunostat.model.influence import cut_at, reads
from immunostat.model.system import FloatArray, OdeSystem
from immunostat.study.assemble import CORE, DISEASE, Assembly, assemble
from immunostat.study.candidates import initial_states, parameter_table
from immunostat.study.outputs import LATENT
from immunostat.study.untreated import untreated_levels
from immunostat.therapy.drug import Drug

#: Kinds of nodes, from the drug to the clinic.
DRUG, HOOK, INPUT, CELL, SIGNAL, SITUATION, READOUT = (
    "drug",
    "target",
    "input",
    "cell or count",
    "signal",
    "situation",
    "readout",
)
KINDS = (DRUG, HOOK, INPUT, CELL, SIGNAL, SITUATION, READOUT)

#: Names of soluble signals, for where a node stands in a picture; the model does not know of it.
_SIGNALS = re.compile(r"(tnf|il\d+|ifn|tgf|g?m?csf|crp|epo|tpo|apo|baff)")

#: Names of engaged targets in the core, which a situation may read.
_ENGAGED = re.compile(r"_(bound|blocked)$")

#: How far a source is changed for the sign, as a share of its value, and for what is about zero.
STEP, STEP_AT_ZERO = 0.05, 0.05

#: Factors on all states at which signs are looked at besides the untreated state itself.
AROUND = (0.8, 1.25)


@dataclass(frozen=True)
class Node:
    """A part of the network: its name in the joined model, its kind, and what readers call it."""

    name: str
    kind: str
    title: str


@dataclass(frozen=True)
class Edge:
    """The source acts on the target; sign is +1, -1, or 0 where it is not clear.

    `acts` is false where the formula names the source and yet nothing changes in any patient that
    was looked at, such as killing by antibody without an antibody.
    """

    source: str
    target: str
    sign: int
    acts: bool = True


@dataclass(frozen=True)
class Network:
    """Nodes and edges of a joined model."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def contracted(self) -> Network:
        """Without states that only pass on: one source and one target, and no readout.

        A chain of such states is one arrow, whose sign is the product of theirs.
        """
        edges = {(e.source, e.target): e.sign for e in self.edges if e.source != e.target}
        kept = {node.name: node for node in self.nodes}
        for node in self.nodes:
            into = [pair for pair in edges if pair[1] == node.name]
            out = [pair for pair in edges if pair[0] == node.name]
            if node.kind not in (CELL, SIGNAL, HOOK) or len(into) != 1 or len(out) != 1:
                continue
            source, target = into[0][0], out[0][1]
            sign = edges[into[0]] * edges[out[0]]
            if source == target or edges.get((source, target), sign) != sign:
                continue
            del edges[into[0]], edges[out[0]], kept[node.name]
            edges[source, target] = sign
        own = tuple(Edge(source, target, sign) for (source, target), sign in edges.items())
        return Network(self.title, tuple(kept.values()), own)


#: What tells parts of one cell or signal apart: compartment, number and activity, receptor's view.
_PART = re.compile(
    r"^(naive|memory|blood)_|_(tissue|blood|number|activation|signal|specific|count|effector|\d+)$"
)


def merged(network: Network) -> Network:
    """Parts of one cell or signal (naive and memory, tissue and blood, made and seen) as one node.

    They are told by their names. An arrow between two such nodes has a sign where all arrows
    between their parts agree.
    """
    owner: dict[str, str] = {}
    parts: dict[tuple[str, str], list[Node]] = {}
    for node in network.nodes:
        stem = node.name
        if node.kind == HOOK:
            stem = port_of(node)
        elif node.kind in (CELL, SIGNAL):
            stem = node.name.removeprefix(f"{CORE}_")
            while _PART.search(stem) and (shorter := _PART.sub("", stem)):
                stem = shorter
        owner[node.name] = stem
        parts.setdefault((node.kind, stem), []).append(node)
    nodes = []
    for (kind, stem), own in parts.items():
        whole = next((n for n in own if n.name in (stem, f"{CORE}_{stem}")), None)
        title = whole.title if whole else own[0].title if len(own) == 1 else _words(stem)
        nodes.append(Node(stem, kind, title))
    signs: dict[tuple[str, str], set[int]] = {}
    for edge in network.edges:
        pair = owner[edge.source], owner[edge.target]
        if pair[0] != pair[1]:
            signs.setdefault(pair, set()).add(edge.sign)
    edges = (Edge(*pair, next(iter(s)) if len(s) == 1 else 0) for pair, s in signs.items())
    return Network(network.title, tuple(nodes), tuple(edges))


def without(network: Network, kind: str = "") -> Network:
    """The network without nodes of a kind, and without arrows that change nothing."""
    nodes = tuple(node for node in network.nodes if node.kind != kind)
    left = {node.name for node in nodes}
    ends = [e for e in network.edges if e.source in left and e.target in left]
    return Network(network.title, nodes, tuple(e for e in ends if e.acts))


def around_situation(network: Network, with_targets: bool = False) -> Network:
    """What the situation reads and drives: arrows that begin or end outside the core.

    What goes on inside the core is the same in every situation and has a picture of its own.

    Parameters
    ----------
    with_targets
        Whether targets stay that act at once on what the situation reads.
    """
    kinds = {node.name: node.kind for node in network.nodes}
    outside = {name for name, kind in kinds.items() if kind in (INPUT, SITUATION, READOUT)}
    edges = [edge for edge in network.edges if edge.source in outside or edge.target in outside]
    if with_targets:
        seen = {edge.source for edge in edges if edge.target in outside} - outside
        edges += [e for e in network.edges if kinds[e.source] == HOOK and e.target in seen]
    ends = {name for edge in edges for name in (edge.source, edge.target)}
    nodes = tuple(node for node in network.nodes if node.name in ends)
    return Network(network.title, nodes, tuple(dict.fromkeys(edges)))


def network_of(
    catalog: Catalog, situation: SituationCard, drugs: Sequence[Drug] | None = None
) -> Network:
    """Network of core, situation and drugs.

    Parameters
    ----------
    drugs
        Drugs in the model; None shows every target that the core has a hook for, without drugs.

    Raises
    ------
    InputError
        The typical untreated patient cannot be solved.
    """
    assembly = assemble(catalog, situation, drugs or ())
    core = catalog.core(situation.core)
    nodes = tuple(_nodes(catalog, core, situation, assembly, drugs))
    names = [node.name for node in nodes]
    cut = cut_at(assembly.system, set(names))
    read = reads(cut)
    pairs = [
        (source, target)
        for target in names
        for source in names
        if source in read.get(target, ()) and source != target
    ]
    signs = _signs(assembly, situation, cut, pairs)
    used = {name for pair in pairs for name in pair}
    return Network(
        situation.title,
        tuple(node for node in nodes if node.name in used),
        tuple(Edge(*pair, *sign) for pair, sign in zip(pairs, signs, strict=True)),
    )


def _nodes(
    catalog: Catalog,
    core: CoreCard,
    situation: SituationCard,
    assembly: Assembly,
    drugs: Sequence[Drug] | None,
) -> Iterator[Node]:
    """Every node once, drugs first."""
    system, seen = assembly.system, set[str]()
    known = set(system.names)

    def fresh(name: str) -> bool:
        is_new = name in known and name not in seen
        seen.add(name)
        return is_new

    for drug in drugs or ():
        if drug.pk is not None and fresh(name := f"{drug.prefix}_{drug.pk.concentration}"):
            yield Node(name, DRUG, drug.name)
    hooked = {hook.target for hook in assembly.hooks}
    of_hook: dict[str, list[str]] = {}
    for target in map(catalog.target, catalog.targets()):
        if target.hook is not None and (drugs is None or target.name in hooked):
            of_hook.setdefault(target.hook, []).append(target.name)
    for port in core.ports:
        if port in of_hook and fresh(port):
            yield Node(port, HOOK, ", ".join(of_hook[port]))
        elif (port in situation.drives or port in situation.parameters) and fresh(port):
            yield Node(port, INPUT, _words(port))
    components = sorted(situation.components.values(), key=lambda own: own.factor is None)
    readouts = {own.output: LATENT if own.item else own.title for own in components}
    titles = {own.output: own.title for own in core.functions.values()} | readouts
    signals = [port.replace(".", "_") for port in situation.ports if port.startswith(f"{CORE}.")]
    for name in (*system.states, *signals, *titles):
        short = name.removeprefix(f"{CORE}_").removeprefix(f"{DISEASE}_")
        title = titles.get(name, _words(short))
        if name.startswith(f"{CORE}_") and _ENGAGED.search(short) and fresh(name):
            yield Node(name, HOOK, titles.get(name, _target_title(catalog, short)))
        elif name.startswith(f"{CORE}_") and fresh(name):
            yield Node(name, SIGNAL if _SIGNALS.match(short) else CELL, title)
        elif name.startswith(f"{DISEASE}_") and fresh(name):
            is_read = name in readouts and name not in system.states
            yield Node(name, READOUT if is_read else SITUATION, title)


def port_of(node: Node) -> str:
    """Port of the core at which drugs act on the target that a node stands for."""
    return _ENGAGED.sub("_binding", node.name.removeprefix(f"{CORE}_"))


def _target_title(catalog: Catalog, short: str) -> str:
    """Names of the targets whose engagement this is."""
    hook = _ENGAGED.sub("_binding", short)
    own = [name for name in catalog.targets() if catalog.target(name).hook == hook]
    return ", ".join(own) or _words(_ENGAGED.sub("", short))


def _words(name: str) -> str:
    """A name of the model as people write it."""
    name = re.sub(r"^il(\d+)", r"IL-\1", name)
    name = re.sub(r"^(tnf|ifn|tgf|gcsf|gmcsf|crp)", lambda found: found[0].upper(), name)
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _signs(
    assembly: Assembly, situation: SituationCard, cut: OdeSystem, pairs: Sequence[tuple[str, str]]
) -> list[tuple[int, bool]]:
    """Sign of each pair of source and target, and whether anything changes."""
    formulas = dict(zip(cut.states, cut.rates, strict=True))
    targets = list(dict.fromkeys(target for _, target in pairs))
    column = {name: i for i, name in enumerate(targets)}
    values = Formulas(cut, [formulas[target] for target in targets])
    index = {name: 1 + i for i, name in enumerate((*cut.states, *cut.parameters))}
    found: list[set[int]] = [set() for _ in pairs]
    sources = list(dict.fromkeys(source for source, _ in pairs))
    for point in _points(assembly, situation, cut):
        base = values(point)
        moved = {}
        for source in sources:
            here = point[index[source]]
            changed = point.copy()
            changed[index[source]] = here + (STEP * abs(here) or STEP_AT_ZERO)
            moved[source] = values(changed) - base
        for own, (source, target) in zip(found, pairs, strict=True):
            change = moved[source][column[target]]
            scale = max(1.0, abs(base[column[target]]))
            if np.isfinite(change) and abs(change) > 1e-10 * scale:
                own.add(int(np.sign(change)))
    return [(next(iter(own)) if len(own) == 1 else 0, bool(own)) for own in found]


def _points(assembly: Assembly, situation: SituationCard, cut: OdeSystem) -> Iterator[FloatArray]:
    """Time, states, cut assignments and parameters of typical patients. Each (name,)."""
    system, untreated = assembly.system, assembly.untreated
    values: dict[str, FloatArray | float] = dict(assembly.defaults)
    table = parameter_table(untreated.system, values, 1)
    rest = untreated_levels(replace(untreated, is_checked=False), table, Tolerance(1e-6, 1e-8), 1)
    if not all(np.isfinite(own).all() for own in rest.values()):
        raise InputError(
            f"the typical untreated patient of {situation.name} cannot be solved",
            remedy="check the numbers of the situation's card",
        )
    for parameter, output in situation.untreated.anchors.items():
        values[parameter] = rest[output]
    if situation.trial_switch:
        values[situation.trial_switch] = 1.0
    parameters = parameter_table(system, values, 1)
    health = initial_states(system, parameters)[0]
    ill = np.array(
        [
            rest[name][0] if name in untreated.taken_over else health[i]
            for i, name in enumerate(system.states)
        ]
    )
    own = [se.Symbol(name) for name in cut.states]
    complete = Formulas(system, own)
    for states in (ill, health, *(ill * factor for factor in AROUND)):
        now = np.concatenate([[0.0], states, parameters[0]])
        yield np.concatenate([[0.0], complete(now), parameters[0]])


def by_kind(network: Network) -> Mapping[str, list[Node]]:
    """Nodes of each kind that there is, in the order of `KINDS`."""
    found = {kind: [n for n in network.nodes if n.kind == kind] for kind in KINDS}
    return {kind: nodes for kind, nodes in found.items() if nodes}

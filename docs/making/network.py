"""Diagram of a joined model: places are chosen by hand, arrows are read from the equations.

An arrow from A to B stands where the rate (or value) of B depends on A when the formulas between
them are put in; its sign is that of a small change in one inflamed, treated patient.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import MappingProxyType

import symengine as se

from immunostat.model.system import OdeSystem

UP, DOWN = "#2b6cb0", "#c2410c"
FILLS = {
    "cell": "#e8f1e4",
    "cytokine": "#e6eef8",
    "drug": "#fdeee3",
    "joint": "#f3eaf6",
    "readout": "#f4f4f1",
}


@dataclass(frozen=True)
class Node:
    """A box: names of the model that it stands for, the one that acts first."""

    title: str
    kind: str
    x: float
    y: float
    members: tuple[str, ...]
    width: float = 132
    height: float = 38


@dataclass(frozen=True)
class Edge:
    """An arrow; sign is +1 or -1."""

    source: str
    target: str
    sign: int


def edges_of(
    system: OdeSystem, nodes: Mapping[str, Node], values: Mapping[str, float]
) -> list[Edge]:
    """Every arrow between nodes.

    Parameters
    ----------
    values
        A number for every state and parameter, at which signs are taken.
    """
    owner = {name: key for key, node in nodes.items() for name in node.members}
    assigned = dict(system.assignments)
    rates = dict(zip(system.states, system.rates, strict=True))
    numbers = {se.Symbol(name): value for name, value in values.items()}
    for name, formula in system.assignments:
        numbers[se.Symbol(name)] = float(se.sympify(formula).subs(numbers).n(real=True))

    def put_in(formula: se.Expr) -> se.Expr:
        """The formula with assignments put in until only members and parameters are left."""
        while True:
            found = {
                symbol: assigned[str(symbol)]
                for symbol in formula.free_symbols
                if str(symbol) in assigned and str(symbol) not in owner
            }
            if not found:
                return formula
            formula = formula.subs(found)

    found: dict[tuple[str, str], int] = {}
    for key, node in nodes.items():
        for member in node.members:
            formula = rates[member] if member in rates else assigned.get(member)
            if formula is None:
                continue
            formula = put_in(se.sympify(formula))
            for symbol in sorted(formula.free_symbols, key=str):
                source = owner.get(str(symbol))
                if source is None or source == key or (source, key) in found:
                    continue
                here = numbers[symbol]
                low, high = (
                    float(formula.subs(numbers | {symbol: value}).n(real=True))
                    for value in (here * 0.999 - 1e-6, here * 1.001 + 1e-6)
                )
                if high != low:
                    found[source, key] = int(math.copysign(1, high - low))
    return [Edge(source, target, sign) for (source, target), sign in found.items()]


def _border(node: Node, toward: tuple[float, float], gap: float) -> tuple[float, float]:
    """Point on the border of a box on the way to another point."""
    dx, dy = toward[0] - node.x, toward[1] - node.y
    w, h = node.width / 2 + gap, node.height / 2 + gap
    scale = min(w / abs(dx) if dx else math.inf, h / abs(dy) if dy else math.inf)
    return node.x + dx * scale, node.y + dy * scale


def _arrow(edge: Edge, nodes: Mapping[str, Node], bend: float) -> str:
    a, b = nodes[edge.source], nodes[edge.target]
    middle = (
        (a.x + b.x) / 2 - (b.y - a.y) * bend,
        (a.y + b.y) / 2 + (b.x - a.x) * bend,
    )
    x1, y1 = _border(a, middle, 1)
    x2, y2 = _border(b, middle, 5)
    color, end = (UP, "up") if edge.sign > 0 else (DOWN, "down")
    return (
        f'<path d="M{x1:.1f} {y1:.1f} Q{middle[0]:.1f} {middle[1]:.1f} {x2:.1f} {y2:.1f}" '
        f'fill="none" stroke="{color}" stroke-width="1.5" stroke-opacity="0.85" '
        f'marker-end="url(#{end})"/>'
    )


def _box(node: Node) -> str:
    x, y = node.x - node.width / 2, node.y - node.height / 2
    lines = node.title.split("\n")
    top = node.y - 7.5 * (len(lines) - 1) + 4.5
    text = "".join(
        f'<text x="{node.x:.1f}" y="{top + 15 * i:.1f}" text-anchor="middle">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{node.width}" height="{node.height}" rx="8" '
        f'fill="{FILLS[node.kind]}" stroke="#55606b" stroke-width="1"/>{text}'
    )


def _marker(name: str, color: str, path: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="{path}" fill="{color}" stroke="{color}" '
        'stroke-width="1.6"/></marker>'
    )


def drawn(
    nodes: Mapping[str, Node],
    edges: Iterable[Edge],
    size: tuple[int, int],
    description: str,
    frames: Sequence[tuple[str, float, float, float, float]] = (),
    bends: Mapping[tuple[str, str], float] = MappingProxyType({}),
    top: int = 0,
) -> str:
    """The diagram as SVG.

    Parameters
    ----------
    frames
        Areas with a title: title, x, y, width, height.
    bends
        How far an arrow leaves the straight line, as a share of its length, where the usual bend
        would lead through a box.
    top
        Where the picture begins; `size` counts from there.
    """
    edges = list(edges)
    pairs = {(edge.source, edge.target) for edge in edges}
    width, height = size
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {top} {width} {height}" '
        f'width="{width}" height="{height}" role="img" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13.5">',
        f"<title>{escape(description)}</title>",
        "<defs>",
        _marker("up", UP, "M1 1.5 L8.5 5 L1 8.5 z"),
        _marker("down", DOWN, "M8 0 L8 10"),
        "</defs>",
        f'<rect y="{top}" width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for title, x, y, w, h in frames:
        body.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="14" fill="#fbfbf9" '
            f'stroke="#c9ced3" stroke-dasharray="5 4"/>'
            f'<text x="{x + 14}" y="{y + h - 12}" fill="#55606b" font-weight="bold">'
            f"{escape(title)}</text>"
        )
    for edge in edges:
        usual = 0.16 if (edge.target, edge.source) in pairs else 0.06
        body.append(_arrow(edge, nodes, bends.get((edge.source, edge.target), usual)))
    body += [_box(node) for node in nodes.values()]
    y = top + height - 14
    body.append(
        f'<line x1="20" y1="{y - 5}" x2="56" y2="{y - 5}" stroke="{UP}" stroke-width="1.5" '
        f'marker-end="url(#up)"/><text x="66" y="{y}" fill="#333">raises</text>'
        f'<line x1="130" y1="{y - 5}" x2="166" y2="{y - 5}" stroke="{DOWN}" stroke-width="1.5" '
        f'marker-end="url(#down)"/><text x="176" y="{y}" fill="#333">lowers</text>'
        "</svg>"
    )
    return "\n".join(body) + "\n"

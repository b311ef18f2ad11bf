"""Picture of a model's network: drugs left, the core in the middle, the disease right.

Columns hold one kind of node each; the order within a column keeps arrows short. It is written as
SVG, without a drawing program.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.report.style import FONT, INK, LINE, MUTED, png
from immunostat.study.network import (
    CELL,
    DRUG,
    HOOK,
    INPUT,
    READOUT,
    SIGNAL,
    SITUATION,
    Edge,
    Network,
    Node,
    by_kind,
    merged,
    without,
)

#: Colour of an arrow by its sign; readers with any colour vision tell them apart, and by the head.
COLORS: Mapping[int, str] = {1: "#0072b2", -1: "#d55e00", 0: "#8a939c"}
FILLS = {
    DRUG: "#fdeee3",
    HOOK: "#fbf6dd",
    INPUT: "#f4f4f1",
    CELL: "#e8f1e4",
    SIGNAL: "#e6eef8",
    SITUATION: "#f3eaf6",
    READOUT: "#ffffff",
}
HEADS = {
    DRUG: "Drugs",
    HOOK: "Targets and inputs",
    CELL: "Cells and counts",
    SIGNAL: "Signals",
    SITUATION: "Situation",
    READOUT: "Clinic",
}

#: Nodes in a column before it is split, and sizes of the picture in pixels.
MOST_ROWS = 14
WIDTH, HEIGHT, GAP, ROW, TOP, MARGIN = 148, 30, 92, 46, 64, 24

#: Small letters that fit into a box.
LONGEST = 23

_SWEEPS = 12

Point = tuple[float, float]


def network_svg(
    network: Network, links: Mapping[str, str] | None = None, has_targets: bool = False
) -> str:
    """The network as SVG text.

    Blue arrows raise, orange ones with a bar lower; grey dots stand for a sign that is not clear.
    Parts of one cell or signal are one box; targets are left out where there is no drug.

    Parameters
    ----------
    links
        Address of a page for nodes that have one, by name of the node.
    has_targets
        Whether targets are shown where there is no drug, too.
    """
    shown = drawn_network(network, has_targets)
    columns = _columns(shown)
    places = _places(columns)
    # Arrows within the last column bow out beside it.
    width = 2 * MARGIN + len(columns) * (WIDTH + GAP)
    rows = max((len(nodes) for _, nodes in columns), default=1)
    height = TOP + rows * ROW + 56
    title = f"What acts on what: {network.title}"
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" font-family="{FONT}" font-size="12">',
        f"<title>{escape(title)}</title>",
        "<defs>",
        *(_marker(sign) for sign in COLORS),
        "</defs>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    before = ""
    for i, (kind, _) in enumerate(columns):
        head = HEADS[kind] if kind != before else ""
        before = kind
        x = MARGIN + i * (WIDTH + GAP) + WIDTH / 2
        body.append(
            f'<text x="{x:.1f}" y="{TOP - 34}" text-anchor="middle" fill="{MUTED}" '
            f'font-weight="600">{escape(head)}</text>'
        )
    body += _arrows(shown.edges, places)
    for _, nodes in columns:
        for node in nodes:
            box, link = _box(node, places[node.name]), (links or {}).get(node.name)
            body.append(f'<a href="{escape(link)}">{box}</a>' if link else box)
    body += [*_legend(height - 18), "</svg>"]
    return "\n".join(body) + "\n"


def drawn_network(network: Network, has_targets: bool = False) -> Network:
    """The part of a network that a picture of it shows."""
    has_targets = has_targets or any(node.kind == DRUG for node in network.nodes)
    network = without(network, "" if has_targets else HOOK)
    whole = merged(network.contracted()).contracted()
    ends = {name for edge in whole.edges for name in (edge.source, edge.target)}
    return Network(whole.title, tuple(n for n in whole.nodes if n.name in ends), whole.edges)


def write_network(network: Network, path: Path | str, has_targets: bool = False) -> Path:
    """Write the picture of a network as SVG or PNG, by the ending of the path.

    Parameters
    ----------
    has_targets
        As in `network_svg`.

    Raises
    ------
    InputError
        The path ends in something else.
    """
    path, drawn = Path(path), network_svg(network, None, has_targets)
    match path.suffix.lower():
        case ".svg":
            path.write_text(drawn, encoding="utf-8", newline="\n")
        case ".png":
            path.write_bytes(png(drawn))
        case ending:
            raise InputError(
                f"a network cannot be drawn as '{ending}'",
                Place(shown_path(path)),
                "use a name that ends in .svg or .png",
            )
    return path


def _columns(network: Network) -> list[tuple[str, list[Node]]]:
    """Kind and nodes of each column, in an order that keeps arrows short."""
    kinds: dict[str, list[Node]] = {}
    for kind, nodes in by_kind(network).items():
        kinds.setdefault(HOOK if kind == INPUT else kind, []).extend(nodes)
    order = list(kinds.items())
    near: dict[str, list[str]] = {node.name: [] for node in network.nodes}
    for edge in network.edges:
        near[edge.source].append(edge.target)
        near[edge.target].append(edge.source)
    for sweep in range(_SWEEPS):
        height = {
            node.name: (i + 0.5) / len(nodes) for _, nodes in order for i, node in enumerate(nodes)
        }
        for column in order if sweep % 2 == 0 else order[::-1]:
            means = {
                node.name: sum(height[n] for n in near[node.name]) / len(near[node.name])
                for node in column[1]
                if near[node.name]
            }
            column[1].sort(key=lambda n: (means.get(n.name, height[n.name]), n.name))
            for i, node in enumerate(column[1]):
                height[node.name] = (i + 0.5) / len(column[1])
    return [(kind, part) for kind, nodes in order for part in _split(nodes)]


def _split(nodes: list[Node]) -> Iterator[list[Node]]:
    """A column as several of almost the same length, each with every n-th node."""
    n = math.ceil(len(nodes) / MOST_ROWS)
    for i in range(n):
        yield nodes[i::n]


def _places(columns: list[tuple[str, list[Node]]]) -> dict[str, Point]:
    """Middle of each node's box."""
    rows = max((len(nodes) for _, nodes in columns), default=1)
    found = {}
    for i, (_, nodes) in enumerate(columns):
        x = MARGIN + i * (WIDTH + GAP) + WIDTH / 2
        step = rows * ROW / len(nodes)
        for j, node in enumerate(nodes):
            found[node.name] = (x, TOP + (j + 0.5) * step - ROW / 2 + HEIGHT / 2)
    return found


def _arrows(edges: tuple[Edge, ...], places: Mapping[str, Point]) -> Iterator[str]:
    """Every arrow; those that meet at one side of a box lie beside each other there."""
    ends: dict[tuple[str, int], list[tuple[float, int, bool]]] = {}
    for k, edge in enumerate(edges):
        (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
        leaves, enters = _sides(places[edge.source], places[edge.target])
        ends.setdefault((edge.source, leaves), []).append((y2 + 1e-3 * x2, k, True))
        ends.setdefault((edge.target, enters), []).append((y1 + 1e-3 * x1, k, False))
    shifts: dict[tuple[int, bool], float] = {}
    for own in ends.values():
        step = min(7.0, (HEIGHT - 6) / len(own))
        for i, (_, k, is_start) in enumerate(sorted(own)):
            shifts[k, is_start] = step * (i - (len(own) - 1) / 2)
    for k, edge in enumerate(edges):
        yield _arrow(edge, places, shifts[k, True], shifts[k, False])


def _sides(source: Point, target: Point) -> tuple[int, int]:
    """Side at which an arrow leaves its source and enters its target: 1 right, -1 left."""
    if source[0] == target[0]:  # beside the column
        side = 1 if target[1] > source[1] else -1
        return side, side
    side = 1 if target[0] > source[0] else -1
    return side, -side


def _arrow(edge: Edge, places: Mapping[str, Point], leaves_at: float, enters_at: float) -> str:
    """One arrow; `leaves_at` and `enters_at` are heights against the middles of the boxes."""
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    leaves, enters = _sides((x1, y1), (x2, y2))
    reach = 0.45 * (abs(x2 - x1) - WIDTH)
    if x1 == x2:  # the farther, the wider
        reach = 24 + min(0.16 * abs(y2 - y1), GAP - 34)
    x1, x2 = x1 + leaves * WIDTH / 2, x2 + enters * (WIDTH / 2 + 5)
    y1, y2 = y1 + leaves_at, y2 + enters_at
    middle = (x1 + leaves * reach, y1, x2 + enters * reach, y2)
    curve = " ".join(f"{number:.1f}" for number in (*middle, x2, y2))
    style = ' stroke-dasharray="3 3"' if edge.sign == 0 else ""
    return (
        f'<path d="M{x1:.1f} {y1:.1f} C{curve}" fill="none" stroke="{COLORS[edge.sign]}" '
        f'stroke-width="1.3" stroke-opacity="0.75"{style} marker-end="url(#m{edge.sign})">'
        f"<title>{escape(f'{edge.source} to {edge.target}')}</title></path>"
    )


def _box(node: Node, place: Point) -> str:
    x, y = place[0] - WIDTH / 2, place[1] - HEIGHT / 2
    title = _shortened(node.title)
    return (
        f"<g><title>{escape(f'{node.title} ({node.name})')}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{WIDTH}" height="{HEIGHT}" rx="6" '
        f'fill="{FILLS[node.kind]}" stroke="{LINE}"/>'
        f'<text x="{place[0]:.1f}" y="{place[1] + 4:.1f}" text-anchor="middle" fill="{INK}">'
        f"{escape(title)}</text></g>"
    )


def _shortened(title: str) -> str:
    """A title that fits into a box; capitals are wider than other letters."""
    sizes = [1.35 if letter.isupper() else 1.0 for letter in title]
    if sum(sizes) <= LONGEST:
        return title
    n = max(n for n in range(len(title)) if sum(sizes[:n]) <= LONGEST - 1)
    return title[:n].rstrip(" ,(") + "\u2026"


def _marker(sign: int) -> str:
    path = {1: "M1 1.5 L8.5 5 L1 8.5 z", -1: "M8 0 L8 10", 0: "M4 5 h4"}[sign]
    return (
        f'<marker id="m{sign}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="6" '
        f'markerHeight="6" orient="auto"><path d="{path}" fill="{COLORS[sign]}" '
        f'stroke="{COLORS[sign]}" stroke-width="1.8"/></marker>'
    )


def _legend(y: float) -> Iterator[str]:
    words = {1: "raises", -1: "lowers", 0: "either, or not clear"}
    for i, (sign, word) in enumerate(words.items()):
        x = MARGIN + 110 * i
        style = ' stroke-dasharray="3 3"' if sign == 0 else ""
        yield (
            f'<line x1="{x}" y1="{y - 4}" x2="{x + 34}" y2="{y - 4}" stroke="{COLORS[sign]}" '
            f'stroke-width="1.5"{style} marker-end="url(#m{sign})"/>'
            f'<text x="{x + 44}" y="{y}" fill="{MUTED}">{word}</text>'
        )

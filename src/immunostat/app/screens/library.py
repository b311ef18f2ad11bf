"""Library: every card as a page with its sources, and the network of the model."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup

from immunostat.app import frame
from immunostat.app.address import Address
from immunostat.app.card_page import KINDS, card_page, link, listing
from immunostat.app.index import Index
from immunostat.app.same_as import SameAs
from immunostat.app.workbench import Workbench
from immunostat.base.errors import UnknownNameError, near_matches
from immunostat.base.sources import cite
from immunostat.report.network_figure import network_svg
from immunostat.report.page import inline
from immunostat.study.network import DRUG, HOOK, around_situation, network_of, port_of

PATH = "/library/"

#: Drugs in one diagram.
MOST_DRUGS = 4

#: Command that browses each kind.
_COMMANDS = {"side_effects": "side-effects", "populations": "check"}


def listed(bench: Workbench, kind: str) -> str:
    """The page that lists the cards of a kind, or the sources.

    Raises
    ------
    UnknownNameError
        There is no such kind.
    """
    if kind == "sources":
        rows = [(s.key, cite(s), s.url) for s in bench.catalog.sources().values()]
        return frame.page(
            "library_sources.html", PATH, "Sources", tabs=_tabs(kind), rows=rows,
            same=SameAs("", "immunostat sources", _python("sources()")),
        )  # fmt: skip
    if kind not in KINDS:
        raise UnknownNameError(f"there is no '{kind}' here", remedy=near_matches(kind, KINDS))
    command = f"immunostat {_COMMANDS.get(kind, kind)}"
    return frame.page(
        "library_list.html",
        PATH,
        KINDS[kind],
        tabs=_tabs(kind),
        kind=kind,
        heading=KINDS[kind],
        items=listing(bench.index, kind),
        same=SameAs("", command, _python(f"names({kind!r})")),
    )


def card(bench: Workbench, kind: str, name: str) -> str:
    """The page of a card.

    Raises
    ------
    UnknownNameError
        There is no such card.
    """
    if kind not in KINDS:
        raise UnknownNameError(f"there is no '{kind}' here", remedy=near_matches(kind, KINDS))
    shown = card_page(bench.index, kind, name)
    command = f"immunostat {_COMMANDS.get(kind, kind)} {shown.name}"
    return frame.page(
        "library_card.html",
        PATH,
        shown.title,
        tabs=_tabs(kind),
        card=shown,
        same=SameAs("", command, _python(f"card({kind!r}, {shown.name!r})")),
    )


def network(bench: Workbench, situation: str, query: str) -> str:
    """The page with the diagram of a situation.

    Raises
    ------
    InputError
        The situation or a drug is unknown, or the model cannot be solved.
    """
    situations = bench.index.situations
    situation = situation or next(iter(situations), "")
    title = bench.catalog.situation(situation).title
    address = Address(query)
    drugs = address.all("drug")[:MOST_DRUGS]
    is_whole = bool(address.one("whole")) or bool(drugs)
    drawn = _diagram(bench.index, situation, drugs, is_whole)
    return frame.page(
        "library_network.html",
        PATH,
        f"Network: {title}",
        tabs=_tabs("network"),
        situation=situation,
        title_of=title,
        situations=list(situations.values()),
        drugs=bench.index.drugs_for(situation),
        chosen=drugs,
        is_whole=is_whole,
        drawn=drawn,
        same=_network_same(situation, is_whole),
    )


def hook(bench: Workbench, port: str) -> str:
    """The page of a hook of the core: its targets and the drugs on them.

    Raises
    ------
    UnknownNameError
        No target has the hook.
    """
    catalog = bench.catalog
    cards = [catalog.target(name) for name in catalog.targets()]
    own = [card for card in cards if card.hook == port]
    if not own:
        hooks = {card.hook for card in cards if card.hook}
        raise UnknownNameError(f"no target has the hook '{port}'", remedy=near_matches(port, hooks))
    rows = [
        (
            link("targets", target.name, target.title),
            target.summary,
            Markup(", ").join(
                link("drugs", drug.name)
                for drug in bench.index.drugs.values()
                if target.name in drug.targets
            ),
        )
        for target in own
    ]
    return frame.page(
        "library_hook.html", PATH, f"Drugs at {port}", tabs=_tabs("network"), port=port, rows=rows,
        same=SameAs("", "immunostat targets", _python("targets()")),
    )  # fmt: skip


@lru_cache(maxsize=32)
def _diagram(index: Index, situation: str, drugs: tuple[str, ...], is_whole: bool) -> Markup:
    """The diagram with links; joining the model takes seconds, so it is kept."""
    catalog = index.catalog
    chosen = [catalog.drug(name) for name in drugs]
    net = network_of(catalog, catalog.situation(situation), chosen or None)
    if not is_whole:
        net = around_situation(net, with_targets=True)
    hooks = {catalog.target(name).hook for name in catalog.targets()}
    links = {}
    for node in net.nodes:
        if node.kind == HOOK and port_of(node) in hooks:
            links[port_of(node)] = f"/library/at/{port_of(node)}"
        elif node.kind == DRUG:
            links[node.name] = f"/library/drugs/{node.title}"
    svg = network_svg(net, links, has_targets=True)
    words = f"What acts on what in {net.title}: {len(net.nodes)} parts, {len(net.edges)} arrows"
    return inline(svg, "network", words)


def _tabs(current: str) -> list[tuple[str, str, bool]]:
    tabs = [*KINDS.items(), ("network", "Network"), ("sources", "Sources")]
    return [(f"/library/{kind}", name, kind == current) for kind, name in tabs]


def _python(call: str) -> str:
    return (
        "from immunostat.catalog.lookup import packaged_catalog\n\n"
        f"print(packaged_catalog().{call})\n"
    )


def _network_same(situation: str, is_whole: bool) -> SameAs:
    own = f"network_of(catalog, catalog.situation({situation!r}))"
    return SameAs(
        "",
        f"immunostat show {situation} --network {'' if is_whole else '--around '}-o network.svg",
        "from immunostat.catalog.lookup import packaged_catalog\n"
        "from immunostat.report.network_figure import write_network\n"
        "from immunostat.study.network import around_situation, network_of\n\n"
        "catalog = packaged_catalog()\n"
        f"network = {own if is_whole else f'around_situation({own}, with_targets=True)'}\n"
        'write_network(network, "network.svg", has_targets=True)\n',
    )

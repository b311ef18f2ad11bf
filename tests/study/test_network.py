"""The network of a model is what its equations say."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

from immunostat.catalog.lookup import packaged_catalog
from immunostat.cli.app import app
from immunostat.model.influence import readers, reads
from immunostat.report.network_figure import drawn_network, network_svg
from immunostat.study.network import (
    Edge,
    Network,
    Node,
    around_situation,
    merged,
    network_of,
)

CATALOG = packaged_catalog()
RA = "rheumatoid-arthritis"


@pytest.fixture(scope="module")
def network():
    drugs = [CATALOG.drug("adalimumab"), CATALOG.drug("tocilizumab")]
    return network_of(CATALOG, CATALOG.situation(RA), drugs)


def test_arrows_run_from_drug_to_clinic_by_way_of_the_core(network) -> None:
    signs = {(edge.source, edge.target): edge.sign for edge in network.edges}
    assert signs["adalimumab_concentration", "tnf_binding"] == 1
    assert signs["tnf_binding", "core_tnf_signal"] == -1
    assert signs["core_tnf_signal", "disease_synovitis"] == 1
    assert signs["disease_synovitis", "disease_pain"] == 1
    kinds = {node.name: node.kind for node in network.nodes}
    drugs = {name for name, kind in kinds.items() if kind == "drug"}
    assert all(kinds[target] == "target" for source, target in signs if source in drugs)


def test_the_core_does_not_read_the_situation_that_drives_nothing(network) -> None:
    for edge in network.edges:
        if edge.source.startswith("disease_"):
            assert edge.target.startswith("disease_")


def test_assignments_are_put_in(network) -> None:
    from immunostat.study.assemble import assemble

    system = assemble(CATALOG, CATALOG.situation(RA), ()).system
    read = reads(system)
    for state in ("core_macrophage", "core_il6", "disease_synovitis"):
        assert not read[state] & {name for name, _ in system.assignments}
    assert "disease_tnf_entry" in read["disease_synovitis"]
    assert "disease_synovitis" in readers("disease_tnf_entry", read)


def test_a_chain_that_only_passes_on_is_one_arrow() -> None:
    nodes = tuple(Node(name, "cell or count", name) for name in "abcd")
    edges = (Edge("a", "b", -1), Edge("b", "c", 1), Edge("c", "d", 1), Edge("a", "d", 1))
    whole = Network("x", nodes, edges[:3])
    assert [(e.source, e.target, e.sign) for e in whole.contracted().edges] == [("a", "d", -1)]
    # Two ways of opposite sign stay two.
    both = Network("x", nodes, edges)
    assert {e.sign for e in both.contracted().edges} == {1, -1}


def test_parts_of_one_cell_are_one_box_whose_arrows_have_a_sign_where_all_agree() -> None:
    names = ("core_naive_X", "core_naive_X_tissue", "core_memory_X", "core_y")
    nodes = tuple(Node(name, "cell or count", name) for name in names)
    edges = (Edge(names[0], names[1], 1), Edge(names[0], "core_y", 1), Edge(names[2], "core_y", 1))
    assert merged(Network("x", nodes, edges)).edges == (Edge("X", "y", 1),)
    other = (*edges, Edge(names[1], "core_y", -1))
    assert merged(Network("x", nodes, other)).edges == (Edge("X", "y", 0),)


def test_around_a_situation_stands_what_it_reads_and_drives_and_no_more() -> None:
    whole = network_of(CATALOG, CATALOG.situation("multiple-myeloma"))
    part = around_situation(whole)
    signs = {(edge.source, edge.target): edge.sign for edge in part.edges}
    assert signs["core_proteasome_bound", "disease_by_proteasome"] == 1
    titles = {node.name: node.title for node in part.nodes}
    assert titles["core_proteasome_bound"] == "proteasome"
    outside = ("disease_", "marrow_crowding", "foreign_antigen")
    assert all(any(end.startswith(outside) for end in pair) for pair in signs)
    assert {(e.source, e.target) for e in whole.edges if e.target.startswith("disease_")} <= set(
        signs
    )


def test_the_picture_holds_every_node(network) -> None:
    root = ET.fromstring(network_svg(network))
    shown = {title.text for title in root.iter("{http://www.w3.org/2000/svg}title")}
    for node in drawn_network(network).nodes:
        assert f"{node.title} ({node.name})" in shown
    assert network_svg(network) == network_svg(network)


def test_the_command_prints_arrows_and_draws(tmp_path) -> None:
    picture = tmp_path / "network.svg"
    done = CliRunner().invoke(app, ["show", RA, "--network", "--csv", "-o", str(picture)])
    assert done.exit_code == 0, done.output
    assert "tnf_binding,lowers,core_tnf_signal" in done.stdout
    assert picture.read_text().startswith("<svg")
    refused = CliRunner().invoke(app, ["show", RA, "--network", "-o", str(tmp_path / "n.gif")])
    assert refused.exit_code == 2
    assert ".svg or .png" in refused.stderr

"""Pictures of the documentation: diagrams of the model, and figures of a real result."""

from __future__ import annotations

from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.simulation import Simulation
from making.network import Edge, Node, drawn, edges_of

CORE_NODES = {
    "antigen": Node("Self-antigen", "readout", 105, 175, ("self_antigen",)),
    "B_cell": Node("B cells", "cell", 330, 175, ("core_B_cell",)),
    "autoantibody": Node("Autoantibody", "cell", 560, 175, ("core_autoantibody",)),
    "regulatory_T": Node("Regulatory T cells", "cell", 330, 490, ("core_regulatory_T",)),
    "effector_T": Node("Effector T cells", "cell", 330, 330, ("core_effector_T",)),
    "macrophage": Node("Macrophages", "cell", 560, 330, ("core_macrophage",)),
    "il10": Node("IL-10", "cytokine", 560, 490, ("core_il10",), 90),
    "tnf": Node("TNF", "cytokine", 760, 175, ("core_tnf_signal", "core_tnf"), 90),
    "il1": Node("IL-1", "cytokine", 880, 330, ("core_il1",), 90),
    "il6": Node(
        "IL-6",
        "cytokine",
        760,
        490,
        ("core_il6_signal", "core_il6_signal_blood", "core_il6r_free_blood", "core_il6"),
        90,
    ),
    "crp": Node("CRP", "readout", 880, 630, ("core_crp",), 90),
    "neutrophils": Node(
        "Neutrophils\nin blood", "readout", 440, 630, ("core_neutrophils", "core_blood_neutrophils")
    ),
}

ARTHRITIS_NODES = {
    **CORE_NODES,
    "adalimumab": Node(
        "Adalimumab", "drug", 760, 45, ("adalimumab_concentration", "adalimumab_central")
    ),
    "tocilizumab": Node(
        "Tocilizumab", "drug", 660, 735, ("tocilizumab_concentration", "tocilizumab_central")
    ),
    "synovitis": Node("Synovitis", "joint", 1085, 250, ("disease_synovitis",)),
    "trial": Node(
        "Course of everybody\nin a trial", "joint", 1085, 130, ("disease_trial_course",), 160
    ),
    "clinic": Node(
        "Joints, pain, globals,\ndisability",
        "joint",
        1085,
        400,
        (
            "disease_tender_joints",
            "disease_swollen_joints",
            "disease_pain",
            "disease_patient_global",
            "disease_physician_global",
            "disease_disability",
        ),
        170,
    ),
    "scores": Node("ACR20/50/70,\nDAS28-CRP", "readout", 1085, 545, ()),
    "infection": Node("Serious infection", "readout", 1085, 705, ()),
}

#: Arrows whose usual bend would lead through a box.
BENDS = {
    ("antigen", "autoantibody"): -0.22,
    ("il6", "B_cell"): -0.25,
    ("il6", "regulatory_T"): 0.17,
    ("effector_T", "synovitis"): -0.14,
    ("tnf", "il6"): 0.0,
    ("crp", "adalimumab"): 0.38,
    ("adalimumab", "tnf"): 0.0,
    ("trial", "clinic"): -0.62,
    ("clinic", "infection"): -0.62,
    ("tnf", "infection"): 0.12,
}


def network(simulation: Simulation) -> tuple[str, str]:
    """Diagrams of the immune core and of arthritis with its drugs, as SVG."""
    system, cohort = simulation.plan.assembly.system, simulation.cohort
    values = dict(zip(system.parameters, map(float, cohort.parameters[0]), strict=True))
    values |= dict(zip(system.states, map(float, cohort.initial_states[0]), strict=True))
    # A treated patient, half-way better: every dependence then has a slope.
    for name in system.states:
        if name.startswith(("adalimumab_", "tocilizumab_")):
            values[name] = 0.2
    values["disease_synovitis"], values["time"] = 0.6, 80.0
    core = edges_of(system, CORE_NODES, values)
    all_edges = edges_of(system, ARTHRITIS_NODES, values) + _read_edges()
    frame = [("Immune core", 235, 95, 715, 580)]
    return (
        drawn(CORE_NODES, core, (970, 645), "Network of the immune core", frame, BENDS, top=75),
        drawn(
            ARTHRITIS_NODES,
            all_edges,
            (1210, 800),
            "Network of rheumatoid arthritis under two antibodies",
            frame,
            BENDS,
        ),
    )


def _read_edges() -> list[Edge]:
    """What scores and side effects read, from the cards."""
    catalog = packaged_catalog()
    card = catalog.side_effect("serious-infection")
    owner = {name: key for key, node in ARTHRITIS_NODES.items() for name in node.members}
    owner |= {"core_tnf_capacity": "tnf", "core_il6_capacity": "il6"}
    found = {
        Edge(owner[driver.state], "infection", -1 if driver.form == "loss" else 1)
        for driver in card.drivers
        if driver.state
    }
    situation = catalog.situation("rheumatoid-arthritis")
    for endpoint in ("ACR20", "DAS28-CRP"):
        for component in situation.endpoints[endpoint].inputs.values():
            found.add(Edge(owner[situation.components[component].output], "scores", 1))
    return sorted(found, key=lambda edge: (edge.source, edge.target))

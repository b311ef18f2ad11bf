"""Generated networks that look like models of quantitative systems pharmacology, of any size.

Each node has a production with two activators and one inhibitor of Hill form and a first-order
loss; every fifth state is a complex that two nodes form and leave. Turnovers span three decades.
All numbers are drawn from a seed.
"""

from __future__ import annotations

import numpy as np

from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem

SAMPLE_DAYS = 7.0 * np.arange(25.0)


def network_text(n_states: int, seed: int = 1) -> str:
    """Antimony text of a network."""
    rng = np.random.default_rng(seed)
    complexes = [i for i in range(n_states) if i % 5 == 4]
    nodes = [i for i in range(n_states) if i % 5 != 4]
    pairs = {c: rng.choice(nodes, 2, replace=False) for c in complexes}
    lines = ["model network()"]
    for i in nodes:
        lines += [
            f"  k{i} = {10 ** rng.uniform(-1.5, 1.5):.5g}; K{i} = {rng.uniform(0.5, 2.0):.4g}",
            f"  n{i} = {rng.uniform(1.1, 3.0):.4g}; x{i} = 1",
            f"  h{i} := x{i}^n{i} / (K{i}^n{i} + x{i}^n{i})",
        ]
    for c in complexes:
        lines.append(f"  on{c} = {10 ** rng.uniform(-1, 1):.4g}; off{c} = 0.5; x{c} = 0")
    binding: dict[int, list[str]] = {i: [] for i in range(n_states)}
    for c, (a, b) in pairs.items():
        flux = f"(on{c} * x{a} * x{b} - off{c} * x{c})"
        binding[c].append(f"{flux} - 0.3 * x{c}")
        for one in (a, b):
            binding[int(one)].append(f"- {flux}")
    for i in nodes:
        # mostly near neighbors, as pathways are; some far ones
        near = [int(j) for j in nodes if 0 < abs(j - i) <= 10] or [i]
        a, b = rng.choice(near), rng.choice(near)
        c = rng.choice(nodes) if rng.random() < 0.1 else rng.choice(near)
        made = f"(0.4 + 0.6 * h{a} + 0.6 * h{b}) * (1.4 - 0.8 * h{c})"
        lines.append(f"  x{i}' = k{i} * ({made} - x{i}) {' '.join(binding[i])}")
    lines += [f"  x{c}' = {binding[c][0]}" for c in complexes]
    return "\n".join([*lines, "end"]) + "\n"


def network(n_states: int, seed: int = 1) -> OdeSystem:
    """A network as the engine sees it."""
    sbml = flatten([Fragment(network_text(n_states, seed), "network.ant")], "network")
    return system_from_sbml(sbml, "network.ant")


def network_problem(system: OdeSystem, n_patients: int, seed: int = 1) -> EnsembleProblem:
    """Patients with 30 % spread in every turnover; a pulse every second week."""
    rng = np.random.default_rng(seed)
    values = np.tile(system.defaults, (n_patients, 1))
    for i, name in enumerate(system.parameters):
        if name.startswith("k"):
            values[:, i] *= np.exp(rng.normal(0.0, 0.3, n_patients))
    pulses = [Event(14.0 * i, Action.ADD, "x0", 2.0) for i in range(12)]
    schedule = Schedule.of_events(system, [pulses] * n_patients)
    outputs = tuple(f"x{i}" for i in range(min(10, system.n_states)))
    return EnsembleProblem(system, values, schedule, SAMPLE_DAYS, outputs)

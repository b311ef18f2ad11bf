"""Time and error of the engine on a population, against CVODE in the same run.

An antibody that binds its target, an immune network of 14 states with Hill terms of non-integer
exponent, and a neutrophil chain of 5: 24 states, 12 doses in 24 weeks, weekly samples. Numbers
are invented. The error is the largest relative error of any sample of any patient against CVODE
at rtol 1e-11 (relative to 1e-6 + |value|). CVODE's rates are symengine's compiled functions
called through Python, so its time contains those calls.

    python benchmarks/engine_population.py [patients]
"""

from __future__ import annotations

import platform
import sys
import time

import numpy as np

from immunostat.engine.kernel import make_kernel
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem

N_IMMUNE = 14
WEEK = 7.0


def model_text() -> str:
    """Antimony text of the model."""
    lines = [
        "model population()",
        "ka = 0.3; CL = 0.25; V1 = 3.2; Q = 0.5; V2 = 2.4; kon = 0.8; koff = 0.4; kint = 0.25",
        "ksyn = 1.2; kdeg = 0.6; circ = 5; slope = 0.17; mtt = 5; emax = 0.8",
        "drug := central / V1; block := complex / (complex + target + 0.01)",
        "depot = 0; depot' = -ka * depot",
        "central = 0; peripheral = 0; target = 2; complex = 0",
        "central' = 0.7 * ka * depot - (CL + Q) * drug + Q * peripheral / V2"
        " - kon * drug * target + koff * complex",
        "peripheral' = Q * drug - Q * peripheral / V2",
        "target' = ksyn * x1 - kdeg * target - kon * drug * target + koff * complex",
        "complex' = kon * drug * target - (koff + kint) * complex",
    ]
    for i in range(1, N_IMMUNE + 1):
        source, inhibitor = (i % N_IMMUNE) + 1, ((i + 4) % N_IMMUNE) + 1
        lines += [
            f"n{i} = {1.3 + 0.11 * i}; K{i} = {0.8 + 0.05 * i}",
            f"k{i} = {0.2 + 0.3 * (i % 5)}; x{i} = 1",
            f"x{i}' = k{i} * (0.2 + 1.6 * x{source}^n{i} / (K{i}^n{i} + x{source}^n{i})"
            f" * (1 - emax * block * {1 if i % 3 == 0 else 0})"
            f" / (1 + 0.3 * x{inhibitor}) - 0.7 * x{i})",
        ]
    lines += [
        "ktr := 4 / mtt; feedback := (circ / blood)^slope",
        "prol = 5; t1 = 5; t2 = 5; t3 = 5; blood = 5",
        "prol' = ktr * prol * (feedback * (0.6 + 0.4 * x3) - 1)",
        "t1' = ktr * (prol - t1); t2' = ktr * (t1 - t2); t3' = ktr * (t2 - t3)",
        "blood' = ktr * t3 - ktr * blood",
        "end",
    ]
    return "\n".join(lines) + "\n"


def population(system: OdeSystem, n_patients: int) -> EnsembleProblem:
    """Patients who differ by 25% in every parameter, with 12 doses each."""
    rng = np.random.default_rng(20240501)
    spread = rng.lognormal(0.0, 0.25, (n_patients, system.n_parameters))
    spread[:, system.parameters.index("emax")] = 1.0  # above 1/0.8 a production would be negative
    doses = [Event(2 * WEEK * i, Action.ADD, "depot", 20.0) for i in range(12)]
    schedule = Schedule.of_events(system, [doses] * n_patients)
    outputs = ("drug", "target", "x1", "x7", "blood")
    return EnsembleProblem(
        system, system.defaults * spread, schedule, WEEK * np.arange(25.0), outputs
    )


def main() -> None:
    """Print the table."""
    n_patients = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    system = system_from_sbml(
        flatten([Fragment(model_text(), "population.ant")], "population"), "p"
    )
    problem = population(system, n_patients)
    began = time.perf_counter()
    kernel = make_kernel(system, problem.outputs)
    print(
        f"{platform.processor() or platform.machine()}, {kernel.width} lanes, {system.n_states} "
        f"states, {n_patients} patients, one thread; kernel in "
        f"{time.perf_counter() - began:.2f} s{' (from disk)' if kernel.is_from_disk else ''}"
    )
    few = population(system, 10)
    reference = solve(few, method="cvode", tolerance=Tolerance(1e-11, 1e-13))
    solve(few, threads=1)  # starts numba
    print(f"{'method':22}{'ms/patient':>12}{'steps':>8}{'refused':>9}{'error':>10}")

    def seconds_of(method: str, task: EnsembleProblem, tolerance: Tolerance) -> float:
        start = time.perf_counter()
        solve(task, method=method, tolerance=tolerance, threads=1)
        return time.perf_counter() - start

    # symengine's set-up, the same for any number of patients, is no part of a patient's time
    loose, one = Tolerance(1e-3, 1e-6), population(system, 1)
    set_up = min(seconds_of("cvode", one, loose) for _ in range(2))

    def row(name: str, method: str, task: EnsembleProblem, tolerance: Tolerance) -> None:
        start = time.perf_counter()
        result = solve(task, method=method, tolerance=tolerance, threads=1)
        seconds = time.perf_counter() - start - (set_up if method == "cvode" else 0.0)
        assert result.is_ok.all()
        difference = np.abs(result.values[:10] - reference.values)
        error = (difference / (1e-6 + np.abs(reference.values))).max()
        print(
            f"{name:22}{1e3 * seconds / task.n_patients:12.4f}{result.accepted.mean():8.0f}"
            f"{result.rejected.mean():9.1f}{error:10.1e}"
        )

    for relative in (1e-3, 1e-4, 1e-5, 1e-6):
        row(f"rodas5p {relative:.0e}", "rodas5p", problem, Tolerance(relative, relative * 1e-3))
    for relative in (1e-5, 1e-6, 1e-7):
        row(f"CVODE {relative:.0e}", "cvode", few, Tolerance(relative, relative * 1e-3))


if __name__ == "__main__":
    main()

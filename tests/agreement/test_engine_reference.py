"""The compiled kernel against its readable reference and against CVODE."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.engine.backends.reference import PlainSystem, rosenbrock_step
from immunostat.engine.kernel import call, make_kernel, new_block
from immunostat.engine.layout import Layout
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem

MODELS = {
    "antibody and target": (
        "kon = 0.8; koff = 0.4; kint = 0.25; ka = 0.3; ke = 0.1; kdeg = 0.6; ksyn = 1.2\n"
        "D = 0; A = 0; T = 2; C = 0; D' = -ka * D\n"
        "A' = ka * D - ke * A - kon * A * T + koff * C\n"
        "T' = ksyn - kdeg * T - kon * A * T + koff * C; C' = kon * A * T - (koff + kint) * C"
    ),
    "everything": (
        "n = 1.7; m = 2; K = 0.6; D = 0.5; A = 1; x = 0.2; y = 2; z = 0.3\n"
        "D' = -0.7 * D; A' = 0.5 * D * (1 + 0.3 * cos(6.28 * time)) - 0.4 * A\n"
        "hill := A^n / (K^n + A^n); deep := exp(-x) * ln(1 + y) + sqrt(z + 0.1) + A^m / 9\n"
        "x' = hill - 0.3 * x + 0.1 * max(A, y) - 0.05 * min(x, z)\n"
        "y' = piecewise(0.4 * A, A < 0.5 && time < 100, 0.2) * deep - 0.4 * y + 0.02 * abs(x - y)\n"
        "z' = 0.1 * tanh(x) - 0.2 * z^0.3 + 0.3 / (1 + x)^2 + 0.1 * sin(y) * 2^(-x)"
        " - 0.01 * z^3.5\n"
        "z2 := floor(x * 3) + ceil(y) + atan(z) + asin(0.1 * x) + cosh(x) + z^(-1) + log10(y + 1)"
    ),
}


def system_of(name: str) -> OdeSystem:
    text = f"model test()\n{MODELS[name]}\nend\n"
    return system_from_sbml(flatten([Fragment(text, "test.ant")], "test"), "test")


@pytest.mark.parametrize("name", MODELS)
def test_one_step_of_the_kernel_is_the_readable_step(name: str) -> None:
    system = system_of(name)
    outputs = system.names
    kernel, plain = make_kernel(system, outputs), PlainSystem(system, outputs)
    layout, block = kernel.layout, new_block(kernel)
    rng = np.random.default_rng(5)
    n, w = system.n_states, kernel.width
    states = rng.uniform(0.2, 2.0, (n, w))
    parameters = system.defaults[:, None] * rng.uniform(0.8, 1.2, (len(system.defaults), w))
    inputs, steps, times = (
        rng.uniform(0, 1, (n, w)),
        rng.uniform(0.05, 0.4, w),
        rng.uniform(0, 5, w),
    )
    block[layout.parameter : layout.parameter + system.n_parameters] = parameters
    block[layout.state : layout.state + n] = states
    block[layout.input : layout.input + n] = inputs
    block[Layout.TIME], block[Layout.STEP], block[Layout.STOP] = times, steps, 1e9
    block[Layout.ACTIVE], block[Layout.ABSOLUTE], block[Layout.RELATIVE] = 1.0, 1e-8, 1e-5
    block[Layout.THETA], block[Layout.SAMPLE_TIME] = 1.0, times + steps
    call(kernel, "prepare", block)
    call(kernel, "advance", block)
    call(kernel, "sample", block)
    for lane in range(w):
        p = parameters[:, lane]
        new, stages = rosenbrock_step(
            plain, times[lane], states[:, lane], p, inputs[:, lane], steps[lane]
        )
        found = block[layout.stages : layout.stages + 8 * n, lane].reshape(8, n)
        # round-off of formulas written differently, through the stages' weights of up to 150
        np.testing.assert_allclose(found, stages, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(
            block[layout.new_state : layout.new_state + n, lane], new, rtol=1e-12, atol=1e-12
        )
        scale = 1e-8 + 1e-5 * np.maximum(abs(states[:, lane]), abs(new))
        # the kernel's reciprocal of the scale is right to 1e-5
        error = np.mean((stages[-1] / scale) ** 2)
        assert block[Layout.ERROR, lane] == pytest.approx(error, rel=1e-4, abs=1e-6)
        values = plain.outputs(times[lane] + steps[lane], new, p)
        np.testing.assert_allclose(
            block[layout.output : layout.output + len(outputs), lane],
            values,
            rtol=1e-11,
            atol=1e-11,
        )


def population(name: str, n_patients: int) -> EnsembleProblem:
    system = system_of(name)
    rng = np.random.default_rng(8)
    parameters = system.defaults * rng.lognormal(0, 0.2, (n_patients, system.n_parameters))
    events = [
        [
            Event(1.0 + 0.01 * i, Action.ADD, "D", 4.0),
            Event(3.0, Action.RATE, "A", 1.5),
            Event(3.5, Action.RATE, "A", -1.5),
            Event(7.0, Action.ADD, "D", 4.0),
        ]
        for i in range(n_patients)
    ]
    return EnsembleProblem(
        system,
        parameters,
        Schedule.of_events(system, events),
        np.arange(0.0, 15.0, 0.5),
        system.states,
    )


@pytest.mark.parametrize("name", MODELS)
def test_population_agrees_with_cvode(name: str) -> None:
    problem = population(name, 5)
    reference = solve(problem, method="cvode", tolerance=Tolerance(1e-10, 1e-12))
    assert reference.is_ok.all()
    fast = solve(problem)
    assert fast.is_ok.all()
    error = np.abs(fast.values - reference.values) / (1e-3 + np.abs(reference.values))
    # the promise of the default tolerance is 1e-4; half of it is margin for other models
    assert error.max() < 5e-5
    tight = solve(problem, tolerance=Tolerance(1e-9, 1e-12))
    error = np.abs(tight.values - reference.values) / (1e-3 + np.abs(reference.values))
    assert error.max() < 3e-7
    final = np.abs(tight.final_states - reference.final_states)
    assert (final / (1e-3 + np.abs(reference.final_states))).max() < 1e-7


def test_a_jump_of_the_rates_costs_little() -> None:
    name = "a jump"
    MODELS[name] = MODELS["everything"].replace("0.4 * A, A < 0.5", "0.6, A < 0.5")
    problem = population(name, 5)
    reference = solve(problem, tolerance=Tolerance(1e-10, 1e-12))
    error = np.abs(solve(problem).values - reference.values) / (1e-3 + np.abs(reference.values))
    # where a rate jumps no method keeps its order: the error is some tens of tolerances
    assert error.max() < 5e-4


def test_error_falls_with_the_tolerance() -> None:
    problem = population("antibody and target", 3)
    reference = solve(problem, tolerance=Tolerance(1e-11, 1e-14))
    errors = [
        np.abs(solve(problem, tolerance=Tolerance(r, r * 1e-3)).values - reference.values).max()
        for r in (1e-4, 1e-6, 1e-8)
    ]
    # proportional to the tolerance would be 100 each; a controlled step gives at least 20
    assert errors[0] / errors[1] > 20
    assert errors[1] / errors[2] > 20

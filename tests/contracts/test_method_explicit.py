"""Every explicit method keeps its order: by its coefficients, and seen on problems."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from math import prod

import numpy as np
import pytest

from immunostat.engine.backends.cpu import solve_on_cpu
from immunostat.engine.backends.reference import PlainSystem, dense_output_explicit, explicit_step
from immunostat.engine.kernel import call, make_kernel, new_block
from immunostat.engine.layout import Layout
from immunostat.engine.methods.explicit_rk import TSIT5, ExplicitRungeKutta
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem

METHODS = [TSIT5]
Tree = tuple  # a rooted tree is the tuple of its subtrees

# the published coefficients have 16 digits and sizes up to 50: residuals of some 1e-14
TOLERANCE = 1e-13


def system_of(lines: str) -> OdeSystem:
    text = f"model m()\n{lines}\nend\n"
    return system_from_sbml(flatten([Fragment(text, "m.ant")], "m"), "m")


def trees(size: int) -> Iterator[Tree]:
    """All rooted trees of a size."""

    def forests(total: int, largest: int) -> Iterator[tuple[Tree, ...]]:
        if total == 0:
            yield ()
            return
        for first in range(min(total, largest), 0, -1):
            for count in range(total // first, 0, -1):
                for chosen in combinations_with_replacement(list(trees(first)), count):
                    for rest in forests(total - count * first, first - 1):
                        yield (*chosen, *rest)

    yield from forests(size - 1, size - 1)


def size_of(tree: Tree) -> int:
    return 1 + sum(size_of(child) for child in tree)


def density(tree: Tree) -> int:
    return size_of(tree) * prod(density(child) for child in tree)


def matrix(method: ExplicitRungeKutta) -> np.ndarray:
    s = method.n_stages
    a = np.zeros((s, s))
    for i, row in enumerate(method.a):
        a[i, : len(row)] = row
    return a


def weight(tree: Tree, a: np.ndarray) -> np.ndarray:
    result = np.ones(len(a))
    for child in tree:
        result = result * (a @ weight(child, a))
    return result


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_coefficients_meet_the_order_conditions(method: ExplicitRungeKutta) -> None:
    a = matrix(method)
    b = a[-1]
    for weights, order in ((b, method.order), (b - method.error, method.error_order)):
        for size in range(1, order + 1):
            for tree in trees(size):
                found = weights @ weight(tree, a)
                assert found == pytest.approx(1 / density(tree), abs=TOLERANCE), tree


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_the_error_estimate_is_no_better_than_it_says(method: ExplicitRungeKutta) -> None:
    a, b = matrix(method), matrix(method)[-1]
    gaps = [
        abs((b - method.error) @ weight(tree, a) - 1 / density(tree))
        for tree in trees(method.error_order + 1)
    ]
    assert max(gaps) > 1e-5


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("theta", [0.25, 0.6, 1.0])
def test_dense_output_meets_its_order_conditions(method: ExplicitRungeKutta, theta: float) -> None:
    a = matrix(method)
    powers = theta ** np.arange(1, len(method.dense[0]) + 1)
    weights = np.asarray(method.dense) @ powers
    for size in range(1, method.dense_order + 1):
        for tree in trees(size):
            found = weights @ weight(tree, a)
            assert found == pytest.approx(theta**size / density(tree), abs=TOLERANCE), tree


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_times_follow_and_the_last_stage_is_the_next_first(method: ExplicitRungeKutta) -> None:
    np.testing.assert_allclose(matrix(method).sum(1), method.c, atol=TOLERANCE)
    assert method.c[-1] == 1.0
    assert len(method.a[-1]) == method.n_stages - 1


SMOOTH = "x = 1; x' = -x^2 * (1 + 0.5 * sin(time)); y = 0; y' = x - y"


def _x(time: float) -> float:
    """Solution of x' = -x**2 (1 + sin(t) / 2), x(0) = 1."""
    return 1.0 / (1.0 + time + 0.5 * (1.0 - np.cos(time)))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_error_of_a_run_falls_with_the_order(method: ExplicitRungeKutta) -> None:
    plain, nothing = PlainSystem(system_of(SMOOTH), ()), np.zeros(2)
    errors = []
    for n in (16, 32, 64):
        states, step = np.array([1.0, 0.0]), 2.0 / n
        for i in range(n):
            states, _ = explicit_step(plain, i * step, states, np.zeros(0), nothing, step, method)
        errors.append(abs(states[0] - _x(2.0)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    # the order is a limit: 0.3 allows for the next term at these steps
    assert (orders > method.order - 0.3).all(), orders


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_error_inside_a_step_falls_with_the_dense_order(method: ExplicitRungeKutta) -> None:
    plain, states = PlainSystem(system_of(SMOOTH), ()), np.array([1.0, 0.0])
    errors = []
    for step in (0.1, 0.05, 0.025):
        _, stages = explicit_step(plain, 0.0, states, np.zeros(0), np.zeros(2), step, method)
        inside = dense_output_explicit(states, stages, step, 0.4, method)
        errors.append(abs(inside[0] - _x(0.4 * step)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    # within one step an interpolant of order 4 has an error of order 5
    assert (orders > method.dense_order + 0.6).all(), orders


EVERYTHING = (
    "n = 1.7; K = 0.6; D = 0.5; A = 1; x = 0.2; y = 2\n"
    "D' = -0.7 * D; A' = 0.5 * D * (1 + 0.3 * cos(6.28 * time)) - 0.4 * A\n"
    "hill := A^n / (K^n + A^n); x' = hill - 0.3 * x + 0.1 * max(A, y)\n"
    "y' = piecewise(0.4 * A, A < 0.5, 0.2) * exp(-x) - 0.4 * y"
)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_one_step_of_the_kernel_is_the_readable_step(method: ExplicitRungeKutta) -> None:
    system = system_of(EVERYTHING)
    outputs = system.names
    kernel, plain = make_kernel(system, outputs, method), PlainSystem(system, outputs)
    layout, block = kernel.layout, new_block(kernel)
    rng = np.random.default_rng(5)
    n, w, s = system.n_states, kernel.width, method.n_stages
    states, inputs = rng.uniform(0.2, 2.0, (n, w)), rng.uniform(0, 1, (n, w))
    parameters = system.defaults[:, None] * rng.uniform(0.8, 1.2, (len(system.defaults), w))
    steps, times, theta = rng.uniform(0.05, 0.4, w), rng.uniform(0, 5, w), 0.3
    block[layout.parameter : layout.parameter + system.n_parameters] = parameters
    block[layout.state : layout.state + n] = states
    block[layout.input : layout.input + n] = inputs
    block[Layout.TIME], block[Layout.STOP] = times, 1e9
    block[Layout.ACTIVE], block[Layout.ABSOLUTE], block[Layout.RELATIVE] = 1.0, 1e-8, 1e-5
    call(kernel, "prepare", block)
    call(kernel, "restart", block)
    block[Layout.STEP] = steps
    block[Layout.THETA], block[Layout.SAMPLE_TIME] = theta, times + theta * steps
    call(kernel, "advance", block)
    call(kernel, "sample", block)
    for lane in range(w):
        p = parameters[:, lane]
        new, stages = explicit_step(
            plain, times[lane], states[:, lane], p, inputs[:, lane], steps[lane], method
        )
        found = block[layout.stages : layout.stages + s * n, lane].reshape(s, n)
        # round-off of formulas written differently
        np.testing.assert_allclose(found, stages, rtol=1e-11, atol=1e-12)
        rows = block[layout.new_state : layout.new_state + n, lane]
        np.testing.assert_allclose(rows, new, rtol=1e-13, atol=1e-13)
        scale = 1e-8 + 1e-5 * np.maximum(abs(states[:, lane]), abs(new))
        error = np.mean((steps[lane] * np.asarray(method.error) @ stages / scale) ** 2)
        # the kernel's reciprocal of the scale is right to 1e-5
        assert block[Layout.ERROR, lane] == pytest.approx(error, rel=1e-3, abs=1e-6)
        inside = dense_output_explicit(states[:, lane], stages, steps[lane], theta, method)
        values = plain.outputs(times[lane] + theta * steps[lane], inside, p)
        rows = block[layout.output : layout.output + len(outputs), lane]
        np.testing.assert_allclose(rows, values, rtol=1e-10, atol=1e-11)


def population(n_patients: int) -> EnsembleProblem:
    system = system_of(EVERYTHING.replace("piecewise(0.4 * A, A < 0.5, 0.2)", "0.4 * A"))
    rng = np.random.default_rng(8)
    parameters = system.defaults * rng.lognormal(0, 0.2, (n_patients, system.n_parameters))
    events = [
        [
            Event(1.0 + 0.01 * i, Action.ADD, "D", 4.0),
            Event(3.0, Action.RATE, "A", 1.5),
            Event(3.5, Action.RATE, "A", -1.5),
            Event(5.0, Action.SET, "n", 2.3),
            Event(7.0, Action.REPLACE, "D", 4.0),
        ]
        for i in range(n_patients)
    ]
    schedule = Schedule.of_events(system, events)
    return EnsembleProblem(system, parameters, schedule, np.arange(0.0, 15.0, 0.5), system.states)


@pytest.mark.parametrize("name", ["tsit5"])
def test_a_population_agrees_with_cvode(name: str) -> None:
    problem = population(5)
    reference = solve(problem, method="cvode", tolerance=Tolerance(1e-10, 1e-12))
    # the error of the reference itself is some 1e-8
    for relative, allowed in ((1e-5, 5e-4), (1e-9, 1e-7)):
        found = solve(problem, method=name, tolerance=Tolerance(relative, relative * 1e-3))
        assert found.is_ok.all()
        error = np.abs(found.values - reference.values) / (1e-3 + np.abs(reference.values))
        assert error.max() < allowed


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_bits_do_not_depend_on_lanes_or_company(method: ExplicitRungeKutta) -> None:
    from immunostat.engine.choice import subset
    from immunostat.engine.kernel import native_width

    problem, tolerance = population(29), Tolerance()
    whole = solve_on_cpu(problem, tolerance, 1, None, 100_000, method)
    assert whole.is_ok.all()
    for threads, width in ((2, None), (1, 2), (1, 4)):
        if width is not None and native_width() == 2:
            continue
        other = solve_on_cpu(problem, tolerance, threads, None, 100_000, method, width)
        assert other.values.tobytes() == whole.values.tobytes()
        assert other.accepted.tobytes() == whole.accepted.tobytes()
    few = solve_on_cpu(subset(problem, [28, 3, 7]), tolerance, 1, None, 100_000, method)
    assert few.values.tobytes() == whole.values[[28, 3, 7]].tobytes()


def test_a_stiff_model_is_possible_but_slow_and_said_so_when_steps_run_out() -> None:
    system = system_of("A = 1; B = 0; A' = -1e5 * A + 1e5 * B; B' = 0.1 * (1 - B)")
    problem = EnsembleProblem(
        system, system.defaults[None, :], Schedule.empty(1), np.array([10.0]), ("B",)
    )
    found = solve(problem, method="tsit5", max_steps=1000)
    assert found.status[0] == 2
    assert 0.0 < found.status_times[0] < 0.1

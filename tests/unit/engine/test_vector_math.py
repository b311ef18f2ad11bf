"""The vector functions against numpy's, in units in the last place."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable

import numpy as np
import pytest

from immunostat.engine import kernel
from immunostat.engine.vector_ir import Function, Module
from immunostat.engine.vector_math import add_vector_math, reciprocal

WIDTH = kernel.native_width()
Unary = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def functions() -> dict[str, Callable[..., np.ndarray]]:
    """Compiled functions of arrays whose length is a multiple of the width."""
    module = Module(WIDTH)
    add_vector_math(module)
    for name in ("exp", "log", "sin", "cos", "tanh"):
        f = Function(module)
        f.store(f.call(name, f.load(0)), 2)
        f.finish(f"do_{name}")
    f = Function(module)
    f.store(f.call("power", f.load(1), f.call("log2p", f.load(0))), 2)
    f.finish("do_power")
    f = Function(module)
    pair = f.call_batch("log2p", [(f.load(0),), (f.load(0),)])
    results = f.call_batch("power", [(f.load(1), pair[0]), (f.load(0), pair[1])])
    f.store(results[0], 2)
    f.finish("do_batch")
    f = Function(module)
    f.store(reciprocal(f, f.load(0), 4), 2)
    f.finish("do_reciprocal")
    text = module.text() + "attributes #0 = { nounwind }\n"
    code = kernel._compile(text)
    names = ["exp", "log", "sin", "cos", "tanh", "power", "batch", "reciprocal"]
    llvm = kernel._binding()
    empty = llvm.parse_assembly("")
    engine = llvm.create_mcjit_compiler(empty, kernel._target_machine(2))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()

    def wrap(name: str) -> Callable[..., np.ndarray]:
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address(f"do_{name}"))

        def run(x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
            raw = np.zeros(3 * WIDTH + 8)
            shift = (-raw.ctypes.data // 8) % 8
            block = raw[shift : shift + 3 * WIDTH].reshape(3, WIDTH)
            result = np.empty_like(x)
            for k in range(0, len(x), WIDTH):
                block[0] = x[k : k + WIDTH]
                block[1] = 0.0 if y is None else y[k : k + WIDTH]
                call(block.ctypes.data)
                result[k : k + WIDTH] = block[2]
            return result

        run.engine = engine  # type: ignore[attr-defined]
        return run

    return {name: wrap(name) for name in names}


def units(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Distance in units in the last place."""
    return np.abs(found - right) / np.spacing(np.abs(right))


RNG = np.random.default_rng(1)
N = 4096


# numpy's own functions are right to about half a unit; the module promises 3
@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("exp", RNG.uniform(-700, 700, N)),
        ("exp", RNG.uniform(-1e-3, 1e-3, N)),
        ("log", np.exp(RNG.uniform(-700, 700, N))),
        ("log", 1.0 + RNG.uniform(-0.2, 0.2, N)),
        ("log", np.exp(RNG.uniform(-740, -710, N))),
    ],
)
def test_exp_and_log_are_right_to_three_units(functions, name: str, x: np.ndarray) -> None:
    assert units(functions[name](x), getattr(np, name)(x)).max() <= 3.0


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sine_and_cosine_are_right(functions, name: str) -> None:
    x = np.concatenate([RNG.uniform(-10, 10, N), RNG.uniform(-1e6, 1e6, N)])
    # near a zero of sin the reduction's absolute error counts: 2 units of 1
    assert np.abs(functions[name](x) - getattr(np, name)(x)).max() < 2 * 2.3e-16


def test_tanh_is_right_near_zero_and_far_away(functions) -> None:
    x = np.concatenate([RNG.uniform(-20, 20, N), RNG.uniform(-0.06, 0.06, N)])
    # the difference 1 - 2 / (e + 1) loses up to log2(1 / 0.05) bits, about 20 units
    assert units(functions["tanh"](x), np.tanh(x)).max() < 40


@pytest.mark.parametrize("name", ["power", "batch"])
def test_power_is_right_to_the_units_that_its_logarithm_allows(functions, name: str) -> None:
    x, n = np.exp(RNG.uniform(-20, 20, N)), RNG.uniform(-6, 6, N)
    allowed = 3.0 + 2.0 * np.abs(n * np.log2(x))
    assert (units(functions[name](x, n), x**n) <= allowed).all()


def test_division_written_out_is_right_to_one_unit(functions) -> None:
    x = np.exp(RNG.uniform(-600, 600, N)) * RNG.choice([-1.0, 1.0], N)
    assert units(functions["reciprocal"](x), 1.0 / x).max() <= 1.0


def test_edge_values(functions) -> None:
    inf, nan = math.inf, math.nan

    def of(name: str, x: float, n: float = 0.0) -> float:
        return float(functions[name](np.full(WIDTH, x), np.full(WIDTH, n))[0])

    assert of("power", 0.0, 1.7) == 0.0
    assert of("power", 0.0, 0.0) == 1.0
    assert of("power", 0.0, -0.5) == inf
    assert of("power", 1e200, 2.0) == inf
    assert of("power", 1e-200, 2.0) == 0.0
    assert of("power", inf, 0.5) == inf
    assert of("power", 1.0, 1e6) == 1.0
    assert math.isnan(of("power", nan, 2.0))
    assert math.isnan(of("power", 2.0, nan))
    assert of("exp", 800.0) == inf
    assert of("exp", -800.0) == 0.0
    assert of("exp", 0.0) == 1.0
    assert of("exp", -inf) == 0.0
    assert math.isnan(of("exp", nan))
    assert of("log", 0.0) == -inf
    assert of("log", 1.0) == 0.0
    assert of("log", inf) == inf
    assert math.isnan(of("log", -1.0))
    assert math.isnan(of("log", nan))
    assert math.isnan(of("sin", 1e12))  # beyond the reduction: said, not wrong

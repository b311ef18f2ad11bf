"""Machine code of a system: compiled by LLVM for this processor, kept in a cache on disk."""

from __future__ import annotations

import ctypes
import hashlib
import json
import sys
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from immunostat.base import shelf
from immunostat.base.errors import ModelError
from immunostat.engine.layout import Layout
from immunostat.engine.methods.rosenbrock import RODAS5P
from immunostat.engine.problem import IntArray
from immunostat.engine.writers import Method, writer_of
from immunostat.model.system import OdeSystem

#: Kernels kept in a process; an old one is let go when more are made.
KERNELS_KEPT = 64

#: Kernels kept on disk, some 0.1 MB each; the oldest are removed.
FILES_KEPT = 512

#: Ending of their files.
KIND = "kernel"

_lock = threading.Lock()
_kernels: OrderedDict[str, Kernel] = OrderedDict()


@dataclass(frozen=True)
class Kernel:
    """Compiled functions of one system and list of outputs.

    Parameters
    ----------
    layout
        Where things stand in a block.
    width
        Lanes of a block.
    addresses
        Of the functions `entry_points`. Shape (function,).
    seconds
        Time that writing and compiling took; 0 from the cache in memory.
    is_from_disk
        Whether the machine code was found in the cache on disk.
    entry_points
        Names of the functions.
    engine
        LLVM's owner of the code; the addresses live as long as it.
    """

    layout: Layout
    width: int
    addresses: IntArray
    seconds: float
    is_from_disk: bool
    entry_points: tuple[str, ...]
    engine: Any = field(repr=False)


@lru_cache(maxsize=1)
def _binding() -> Any:
    """llvmlite's binding, started."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@lru_cache(maxsize=1)
def _host() -> tuple[str, str]:
    """Name and features of the processor."""
    llvm = _binding()
    features = llvm.get_host_cpu_features()
    return llvm.get_host_cpu_name(), features.flatten() if features else ""


def native_width() -> int:
    """Lanes of double that this processor's vectors hold: 8, 4 or 2."""
    features = _host()[1].split(",")
    if "+avx512f" in features and "+avx512dq" in features:
        return 8
    return 4 if "+avx2" in features else 2


@lru_cache(maxsize=1)
def _engine_version() -> str:
    """Hash of the sources that make kernels, so that a change of them empties the cache."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for file in sorted([*here.glob("*.py"), *here.glob("methods/*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _key(system: OdeSystem, outputs: tuple[str, ...], method: Method, width: int) -> str:
    """Hash of all that the machine code depends on."""
    import llvmlite

    parts = [
        _engine_version(), llvmlite.__version__, *_host(), sys.platform, str(width), method.name,
        repr(outputs), repr(system.states), repr(system.parameters),
        repr([(n, _exact_text(e)) for n, e in system.derived_parameters]),
        repr([_exact_text(e) for e in system.initial]),
        repr([(n, _exact_text(e)) for n, e in system.assignments]),
        repr([_exact_text(e) for e in system.rates]), repr(sorted(system.passed_on.items())),
    ]  # fmt: skip
    return shelf.key_of(*parts)


def _exact_text(expression: Any) -> str:
    """Text of a formula and, as symengine shows 15 digits only, its numbers in full."""
    numbers: list[str] = []
    stack = [expression]
    while stack:
        top = stack.pop()
        if type(top).__name__ == "RealDouble":
            numbers.append(float(top).hex())
        else:
            stack.extend(top.args)
    return f"{expression} {' '.join(numbers)}"


def _read_cache(key: str) -> tuple[list[int], bytes] | None:
    """Sizes of the layout and machine code; None if there is none or it is damaged."""
    kept = shelf.read(key, KIND)
    if kept is None:
        return None
    head, _, code = kept.partition(b"\n")
    return [int(size) for size in json.loads(head)], code


def _write_cache(key: str, sizes: list[int], code: bytes) -> None:
    """Keep machine code and the sizes of its layout."""
    shelf.write(key, KIND, json.dumps(sizes).encode() + b"\n" + code, FILES_KEPT)


def _target_machine(level: int) -> Any:
    llvm = _binding()
    name, features = _host()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=name, features=features, opt=level, reloc="pic", codemodel="jitdefault", jit=True
    )


def _compile(text: str) -> bytes:
    """Machine code of LLVM text, as an object file."""
    llvm = _binding()
    module = llvm.parse_assembly(text)
    module.triple = llvm.get_process_triple()
    machine = _target_machine(2)
    module.data_layout = str(machine.target_data)
    # nothing but inlining: the graph has shared what can be, and the rest costs a third of the time
    options = llvm.create_pipeline_tuning_options(speed_level=0)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


def _load(code: bytes, entry_points: tuple[str, ...]) -> tuple[Any, IntArray]:
    """Link an object file into the process."""
    llvm = _binding()
    empty = llvm.parse_assembly("")
    empty.triple = llvm.get_process_triple()
    engine = llvm.create_mcjit_compiler(empty, _target_machine(2))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    addresses = [engine.get_function_address(name) for name in entry_points]
    return engine, np.array(addresses, dtype=np.int64)


def make_kernel(
    system: OdeSystem,
    outputs: tuple[str, ...],
    method: Method = RODAS5P,
    width: int | None = None,
) -> Kernel:
    """Kernel of a system, from memory, from disk, or compiled now.

    Parameters
    ----------
    system
        The model.
    outputs
        Names to sample.
    method
        Coefficients of the step.
    width
        Lanes; None takes what the processor's vectors hold.

    Raises
    ------
    ModelError
        An output is not a name of the system, or a formula has no vector code.
    """
    began = time.perf_counter()
    lanes = width or native_width()
    unknown = [name for name in outputs if name not in set(system.names)]
    if unknown:
        raise ModelError(f"model '{system.name}' has nothing called '{unknown[0]}'")
    key = _key(system, outputs, method, lanes)
    write, entry_points = writer_of(method)
    with _lock:
        if key in _kernels:
            _kernels.move_to_end(key)
            return _kernels[key]
        cached = _read_cache(key)
        if cached is None:
            text = write(system, outputs, method, lanes)
            sizes, code = text.layout.sizes(), _compile(text.text())
            _write_cache(key, sizes, code)
        else:
            sizes, code = cached
        engine, addresses = _load(code, entry_points)
        seconds = time.perf_counter() - began
        is_from_disk = cached is not None
        kernel = Kernel(
            Layout(*sizes), lanes, addresses, seconds, is_from_disk, entry_points, engine
        )
        _kernels[key] = kernel
        while len(_kernels) > KERNELS_KEPT:
            _kernels.popitem(last=False)
        return kernel


def call(kernel: Kernel, name: str, block: np.ndarray[Any, Any]) -> None:
    """Call one function of a kernel on a block of shape (row, lane); for tests and inspection."""
    address = int(kernel.addresses[kernel.entry_points.index(name)])
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)(block.ctypes.data)


def new_block(kernel: Kernel) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Zeroed block, aligned to a cache line. Shape (row, lane)."""
    n = kernel.layout.n_rows * kernel.width
    raw = np.zeros(n + 8)
    shift = (-raw.ctypes.data // 8) % 8
    return raw[shift : shift + n].reshape(kernel.layout.n_rows, kernel.width)


def new_blocks(kernel: Kernel, n_blocks: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Zeroed blocks one after another, each aligned to a vector. Shape (block, row, lane)."""
    shape = (n_blocks, kernel.layout.n_rows, kernel.width)
    n = n_blocks * kernel.layout.n_rows * kernel.width
    raw = np.zeros(n + 8)
    shift = (-raw.ctypes.data // 8) % 8
    return raw[shift : shift + n].reshape(shape)

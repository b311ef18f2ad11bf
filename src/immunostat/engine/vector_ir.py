"""Writing of LLVM text over vectors of doubles, one lane per patient.

Text is written rather than built through llvmlite's builder, as that is several times faster.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

#: Lines of a basic block, and how many an inlined function of vectors counts for.
BLOCK_WEIGHT, CALL_WEIGHT = 200, 60


def literal(value: float) -> str:
    """A double in LLVM's exact notation."""
    return "0x" + struct.pack(">d", value).hex().upper()


class Module:
    """Text of a module: functions, and declarations of what they call.

    Parameters
    ----------
    width
        Lanes in a vector.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.vector = f"<{width} x double>"
        self.bits = f"<{width} x i64>"
        self.mask = f"<{width} x i1>"
        self.parts: list[str] = []
        self.declarations: dict[str, str] = {}

    def splat(self, value: float) -> str:
        """A constant vector of doubles."""
        return "<" + ", ".join([f"double {literal(value)}"] * self.width) + ">"

    def splat_bits(self, value: int) -> str:
        """A constant vector of 64-bit integers."""
        return "<" + ", ".join([f"i64 {value}"] * self.width) + ">"

    def text(self) -> str:
        """The whole module."""
        return "\n".join([*self.declarations.values(), *self.parts]) + "\n"

    def wider(self, factor: int) -> Module:
        """Module of vectors `factor` times as wide that shares this one's text."""
        other = Module(self.width * factor)
        other.parts, other.declarations = self.parts, self.declarations
        return other


class Function:
    """Body of a function under construction; methods append a line and give the value's name."""

    def __init__(self, module: Module, block: str = "%b") -> None:
        self.module, self.block = module, block
        self.lines: list[str] = []
        self._count = 0

    def new(self) -> str:
        """A fresh name."""
        self._count += 1
        return f"%v{self._count}"

    def line(self, text: str) -> str:
        """Append ``name = text``."""
        name = self.new()
        self.lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        """Append a line without a value."""
        self.lines.append(f"  {text}")

    # memory

    def row(self, index: int | str) -> str:
        """Address of a row of the block."""
        return self.line(f"getelementptr {self.module.vector}, ptr {self.block}, i64 {index}")

    def load(self, index: int | str) -> str:
        """Value of a row."""
        m = self.module
        return self.line(f"load {m.vector}, ptr {self.row(index)}, align {8 * m.width}")

    def store(self, value: str, index: int | str) -> None:
        """Set a row."""
        m = self.module
        self.do(f"store {m.vector} {value}, ptr {self.row(index)}, align {8 * m.width}")

    # arithmetic

    def number(self, value: float) -> str:
        """A constant."""
        return self.module.splat(value)

    def binary(self, op: str, a: str, b: str) -> str:
        """fadd, fsub, fmul or fdiv."""
        return self.line(f"{op} {self.module.vector} {a}, {b}")

    def add(self, a: str, b: str) -> str:
        """a + b."""
        return self.binary("fadd", a, b)

    def sub(self, a: str, b: str) -> str:
        """a - b."""
        return self.binary("fsub", a, b)

    def mul(self, a: str, b: str) -> str:
        """a * b."""
        return self.binary("fmul", a, b)

    def div(self, a: str, b: str) -> str:
        """a / b."""
        return self.binary("fdiv", a, b)

    def neg(self, a: str) -> str:
        """-a."""
        return self.line(f"fneg {self.module.vector} {a}")

    def fma(self, a: str, b: str, c: str) -> str:
        """a * b + c, with one rounding where the processor can."""
        return self.intrinsic("fmuladd", a, b, c)

    def intrinsic(self, name: str, *arguments: str) -> str:
        """One of LLVM's own functions of vectors."""
        m = self.module
        full = f"@llvm.{name}.v{m.width}f64"
        types = ", ".join([m.vector] * len(arguments))
        m.declarations[full] = f"declare {m.vector} {full}({types})"
        return self.call(full.removeprefix("@"), *arguments)

    def call(self, name: str, *arguments: str) -> str:
        """A function of vectors that gives a vector."""
        m = self.module
        shown = ", ".join(f"{m.vector} {a}" for a in arguments)
        return self.line(f"call {m.vector} @{name}({shown})")

    def call_batch(self, name: str, calls: list[tuple[str, ...]]) -> list[str]:
        """Several independent calls of a function of vectors as one call of wide vectors.

        Their instructions then stand side by side, so that one's latency hides the others'.
        """
        if len(calls) == 1:
            return [self.call(name, *calls[0])]
        m, n = self.module, len(calls)
        wide = f"<{m.width * n} x double>"
        arguments = [self._joined([own[i] for own in calls]) for i in range(len(calls[0]))]
        shown = ", ".join(f"{wide} {a}" for a in arguments)
        result = self.line(f"call {wide} @{name}_x{n}({shown})")
        return [
            self._shuffle(wide, result, "poison", range(k * m.width, (k + 1) * m.width))
            for k in range(n)
        ]

    def _shuffle(self, kind: str, a: str, b: str, places: Iterable[int]) -> str:
        shown = [f"i32 {place}" for place in places]
        mask = f"<{len(shown)} x i32> <{', '.join(shown)}>"
        return self.line(f"shufflevector {kind} {a}, {kind} {b}, {mask}")

    def _joined(self, values: list[str]) -> str:
        """Two or four vectors as one."""
        width = self.module.width
        while len(values) > 1:
            kind = f"<{width} x double>"
            values = [
                self._shuffle(kind, a, b, range(2 * width))
                for a, b in zip(values[0::2], values[1::2], strict=True)
            ]
            width *= 2
        return values[0]

    def compare(self, relation: str, a: str, b: str) -> str:
        """Mask of a relation of doubles; `relation` as in LLVM: olt, ole, oeq, une, ord, uno."""
        return self.line(f"fcmp {relation} {self.module.vector} {a}, {b}")

    def logic(self, op: str, a: str, b: str) -> str:
        """and, or, xor of masks."""
        return self.line(f"{op} {self.module.mask} {a}, {b}")

    def invert(self, a: str) -> str:
        """Not, of a mask."""
        ones = "<" + ", ".join(["i1 true"] * self.module.width) + ">"
        return self.logic("xor", a, ones)

    def select(self, mask: str, a: str, b: str) -> str:
        """a where the mask is set, else b."""
        v = self.module.vector
        return self.line(f"select {self.module.mask} {mask}, {v} {a}, {v} {b}")

    def select_mask(self, mask: str, a: str, b: str) -> str:
        """Selection among masks."""
        v = self.module.mask
        return self.line(f"select {v} {mask}, {v} {a}, {v} {b}")

    def as_bits(self, a: str) -> str:
        """Bits of doubles as integers."""
        return self.line(f"bitcast {self.module.vector} {a} to {self.module.bits}")

    def from_bits(self, a: str) -> str:
        """Doubles of given bits."""
        return self.line(f"bitcast {self.module.bits} {a} to {self.module.vector}")

    def integer(self, op: str, a: str, b: str) -> str:
        """Operation on vectors of integers: add, sub, and, shl, ashr."""
        return self.line(f"{op} {self.module.bits} {a}, {b}")

    def minimum(self, a: str, b: str) -> str:
        """Lesser of two; b where a is not a number."""
        return self.select(self.compare("olt", a, b), a, b)

    def maximum(self, a: str, b: str) -> str:
        """Greater of two; b where a is not a number."""
        return self.select(self.compare("ogt", a, b), a, b)

    def polynomial(self, x: str, coefficients: list[float]) -> str:
        """Polynomial, lowest coefficient first, as even and odd parts (shorter chains)."""
        square = self.mul(x, x)

        def horner(own: list[float]) -> str:
            value = self.number(own[-1])
            for coefficient in reversed(own[:-1]):
                value = self.fma(value, square, self.number(coefficient))
            return value

        return self.fma(horner(coefficients[1::2]), x, horner(coefficients[0::2]))

    # control

    @contextmanager
    def rows_loop(self, n: int) -> Iterator[Callable[[int], str]]:
        """Loop over n rows; gives a function from an array's first row to the current row."""
        tag = self.new().removeprefix("%v")
        entry, body, end = f"pre{tag}", f"loop{tag}", f"end{tag}"
        self.do(f"br label %{entry}")
        self.lines.append(f"{entry}:")
        self.do(f"br label %{body}")
        self.lines.append(f"{body}:")
        self.do(f"%i{tag} = phi i64 [0, %{entry}], [%n{tag}, %{body}]")
        yield lambda first: self.line(f"add nuw nsw i64 %i{tag}, {first}")
        self.do(f"%n{tag} = add nuw nsw i64 %i{tag}, 1")
        self.do(f"%c{tag} = icmp ult i64 %n{tag}, {n}")
        self.do(f"br i1 %c{tag}, label %{body}, label %{end}")
        self.lines.append(f"{end}:")

    def finish(self, name: str, is_internal: bool = False, extra: str = "") -> None:
        """Close a function of the block, ``void name(block)``, and add it to the module."""
        kind = "internal " if is_internal else ""
        inline = "noinline " if is_internal else ""
        head = f"define {kind}void @{name}(ptr noalias {self.block}{extra}) {inline}#0 {{"
        self.module.parts.append("\n".join([head, *self._in_blocks(), "  ret void", "}"]))

    def _in_blocks(self) -> list[str]:
        """The lines, cut into basic blocks: LLVM's time grows with the square of a block's size.

        The cuts are branches that are always taken; LLVM would join blocks that nothing divides.
        """
        result: list[str] = [f"  %there = icmp ne ptr {self.block}, null"]
        weight, count, is_in_loop = 0, 0, False
        for line in self.lines:
            result.append(line)
            if line.endswith(":"):
                is_in_loop = line.startswith("loop")
                weight = 0
            is_inlined = " call <" in line and "@llvm." not in line
            weight += CALL_WEIGHT if is_inlined else 1
            if weight > BLOCK_WEIGHT and not is_in_loop:
                count += 1
                result += [f"  br i1 %there, label %cut{count}, label %nowhere", f"cut{count}:"]
                weight = 0
        if count:
            result += ["  br label %nowhere", "nowhere:"]
        return result

    def finish_vector(self, name: str, arguments: list[str], result: str) -> None:
        """Close a function of vectors that gives a vector; it is always inlined."""
        v = self.module.vector
        shown = ", ".join(f"{v} {a}" for a in arguments)
        head = f"define internal {v} @{name}({shown}) alwaysinline #0 {{"
        self.module.parts.append("\n".join([head, *self.lines, f"  ret {v} {result}", "}"]))

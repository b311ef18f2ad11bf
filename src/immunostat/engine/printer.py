"""Nodes of a graph written as vector instructions."""

from __future__ import annotations

from collections.abc import Callable

from immunostat.engine.graph import NUMBER, PARAMETER, SCALAR_FUNCTIONS, Graph
from immunostat.engine.vector_ir import Function
from immunostat.engine.vector_math import BATCHES

_LEAVES = frozenset({"number", "parameter", "state", "time", "tolerance", "true", "false"})
_BATCHED = frozenset({"power", "exp", "log"})
_RELATIONS = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}


def is_hoisted(graph: Graph, node: int) -> bool:
    """Whether a node is computed once per patient: it depends on parameters alone."""
    return NUMBER < graph.level[node] <= PARAMETER and graph.ops[node] not in _LEAVES


def hoisted_nodes(graph: Graph, roots: list[int]) -> list[int]:
    """Nodes that are computed once per patient and used by what is computed in every step."""
    order = graph.needed(roots, stop=lambda node: is_hoisted(graph, node))
    return sorted(node for node in order if is_hoisted(graph, node))


class Printer:
    """Writes the instructions of nodes into a function, each once.

    Parameters
    ----------
    function
        Where the instructions go.
    graph
        The nodes.
    leaf
        Gives the value of a leaf: its operation and number.
    hoisted
        Row of the block where a node computed before stands; conditions are 0 or 1 there.
    """

    def __init__(
        self,
        function: Function,
        graph: Graph,
        leaf: Callable[[str, int], str],
        hoisted: dict[int, int],
    ) -> None:
        self.f, self.graph, self.leaf, self.hoisted = function, graph, leaf, hoisted
        self.values: dict[int, str] = {}
        self._logarithms: dict[int, str] = {}
        self._raw: dict[int, str] = {}  # results of batched calls
        self._product: dict[int, int] = {}  # product that each sum takes in

    def print(self, roots: list[int]) -> list[str]:
        """Write what the roots need; names of their values."""
        graph = self.graph
        order = graph.needed(roots, stop=lambda node: node in self.hoisted)
        uses = dict.fromkeys(order, 0)
        for node in order:
            if node not in self.hoisted:
                for argument in graph.arguments[node]:
                    uses[argument] += 1
        for root in roots:
            uses[root] += 1
        for node in order:
            self._choose_product(node, uses)
        taken_in = set(self._product.values())
        self._write_in_batches(order)
        for node in order:
            if node not in self.values and node not in taken_in:
                self.values[node] = self._write(node)
        return [self.values[root] for root in roots]

    def _write_in_batches(self, order: list[int]) -> None:
        """Write powers, exponentials and logarithms that do not need one another side by side.

        Each is a long chain of dependent instructions; alone it would leave the processor waiting.
        """
        graph = self.graph
        depth: dict[int, int] = {}
        rounds: dict[tuple[int, str], list[int]] = {}
        for node in order:
            if node in self.hoisted:
                depth[node] = 0
                continue
            op = graph.ops[node]
            own = max((depth[a] for a in graph.arguments[node]), default=0)
            depth[node] = own + (op in _BATCHED)
            if op in _BATCHED:
                rounds.setdefault((depth[node], op), []).append(node)
        for (_, op), nodes in sorted(rounds.items()):
            size = max(BATCHES)
            for k in range(0, len(nodes), size):
                self._write_batch(op, nodes[k : k + size])

    def _write_batch(self, op: str, nodes: list[int]) -> None:
        if op == "power":
            bases = {self.graph.arguments[node][0]: None for node in nodes}
            self._batch_logarithms([base for base in bases if base not in self._logarithms])
        calls: list[tuple[str, ...]] = []
        for node in nodes:
            first, *others = self.graph.arguments[node]
            if op == "power":
                calls.append((self._value(others[0]), self._logarithm(first)))
            else:
                calls.append((self._value(first),))
        for node, value in zip(nodes, self._calls(op, calls), strict=True):
            self._raw[node] = value

    def _calls(self, name: str, calls: list[tuple[str, ...]]) -> list[str]:
        """Calls in the largest batches there are."""
        results: list[str] = []
        while calls:
            n = max(size for size in BATCHES if size <= len(calls))
            results += self.f.call_batch(name, calls[:n])
            calls = calls[n:]
        return results

    def _batch_logarithms(self, bases: list[int]) -> None:
        values = self._calls("log2p", [(self._value(base),) for base in bases])
        self._logarithms.update(zip(bases, values, strict=True))

    def _choose_product(self, node: int, uses: dict[int, int]) -> None:
        """Let a sum take in a product that nothing else uses, as one fused instruction."""
        graph = self.graph
        if graph.ops[node] not in ("add", "sub") or node in self.hoisted:
            return
        for argument in reversed(graph.arguments[node]):
            is_product = graph.ops[argument] == "mul" and argument not in self.hoisted
            if is_product and uses[argument] == 1:
                self._product[node] = argument
                return

    def _value(self, node: int) -> str:
        if node not in self.values:
            self.values[node] = self._write(node)
        return self.values[node]

    def _write(self, node: int) -> str:
        f, graph = self.f, self.graph
        op = graph.ops[node]
        if node in self.hoisted:
            value = f.load(self.hoisted[node])
            if graph.is_condition[node]:
                return f.compare("une", value, f.number(0.0))
            return value
        if op == "number":
            return f.number(float(graph.payload[node]))
        if op in ("true", "false"):
            return "<" + ", ".join([f"i1 {op}"] * f.module.width) + ">"
        if op in _LEAVES:
            return self.leaf(op, int(graph.payload[node]))
        if op in ("add", "sub"):
            fused = self._fused(node, op)
            if fused is not None:
                return fused
        return self._operation(node, op, [self._value(a) for a in graph.arguments[node]])

    def _fused(self, node: int, op: str) -> str | None:
        product = self._product.get(node)
        if product is None:
            return None
        a, b = (self._value(x) for x in self.graph.arguments[product])
        first, second = self.graph.arguments[node]
        if op == "add":
            other = first if second == product else second
            return self.f.fma(a, b, self._value(other))
        if second == product:
            return self.f.fma(self.f.neg(a), b, self._value(first))
        return self.f.fma(a, b, self.f.neg(self._value(second)))

    def _operation(self, node: int, op: str, values: list[str]) -> str:
        f = self.f
        if op in _BINARY:
            return f.binary(_BINARY[op], *values)
        if op in _RELATIONS:
            return f.compare(_RELATIONS[op], *values)
        if op in ("and", "or", "xor"):
            return f.logic(op, *values)
        if op == "not":
            return f.invert(*values)
        if op == "select":
            choose = f.select_mask if self.graph.is_condition[node] else f.select
            return choose(*values)
        if op == "neg":
            return f.neg(*values)
        if op in ("min", "max"):
            return self._extreme(op, *values)
        if op in ("sqrt", "floor", "ceil"):
            return f.intrinsic(op, *values)
        if op == "abs":
            return f.intrinsic("fabs", *values)
        if op in ("exp", "log"):
            return self._raw[node]
        if op in ("sin", "cos", "tanh"):
            return f.call(op, *values)
        if op == "log2":
            return self._logarithm(self.graph.arguments[node][0])
        if op == "parity":
            return self._parity(*values)
        if op == "power":
            return self._power(node, values)
        if op in SCALAR_FUNCTIONS:
            return self._lane_by_lane(op, values[0])
        raise AssertionError(f"no instruction for '{op}'")

    def _extreme(self, op: str, a: str, b: str) -> str:
        """Lesser or greater of two; NaN if either is."""
        f = self.f
        keeps_first = f.compare("olt" if op == "min" else "ogt", a, b)
        value = f.select(keeps_first, a, b)
        return f.select(f.compare("uno", a, a), a, value)

    def _logarithm(self, base: int) -> str:
        if base not in self._logarithms:
            self._logarithms[base] = self.f.call("log2p", self._value(base))
        return self._logarithms[base]

    def _parity(self, exponent: str) -> str:
        """Sign of a negative base's power: 1 or -1 for whole exponents, 0 for others."""
        f = self.f
        half = f.mul(exponent, f.number(0.5))
        is_even = f.compare("oeq", f.intrinsic("floor", half), half)
        is_whole = f.compare("oeq", f.intrinsic("floor", exponent), exponent)
        sign = f.select(is_even, f.number(1.0), f.number(-1.0))
        return f.select(is_whole, sign, f.number(0.0))

    def _power(self, node: int, values: list[str]) -> str:
        f, graph = self.f, self.graph
        base, _, slack, factor = graph.arguments[node]
        raised = self._raw[node]
        known = graph.value_of(base)
        if known is not None and known > 0.0:
            return raised
        below = f.mul(raised, values[3])
        whole = graph.value_of(factor)
        if whole == 0.0:
            below = f.number(0.0)
        if graph.value_of(slack) != float("inf") and whole not in (1.0, -1.0):
            is_far = f.compare("olt", values[0], f.neg(values[2]))
            if whole is None:
                is_broken = f.compare("oeq", values[3], f.number(0.0))
                is_far = f.logic("and", is_far, is_broken)
            below = f.select(is_far, f.number(float("nan")), below)
        return f.select(f.compare("olt", values[0], f.number(0.0)), below, raised)

    def _lane_by_lane(self, name: str, value: str) -> str:
        m, f = self.f.module, self.f
        m.declarations[f"@{name}"] = f"declare double @{name}(double)"
        result = "poison"
        for lane in range(m.width):
            x = f.line(f"extractelement {m.vector} {value}, i32 {lane}")
            y = f.line(f"call double @{name}(double {x})")
            result = f.line(f"insertelement {m.vector} {result}, double {y}, i32 {lane}")
        return result

"""From a system's formulas to graphs: sharing, Jacobian, sparsity, order of elimination."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from immunostat.base.errors import ModelError
from immunostat.engine.graph import BY_TIME, SCALAR_FUNCTIONS, STATE, Graph
from immunostat.model.system import TIME, OdeSystem

#: Whole exponents up to this become products; beyond it exp2(n log2 x) costs less.
LARGEST_PRODUCT = 16

#: A base of a fractional power that is negative by less than this many tolerances is round-off.
ROUND_OFF_TOLERANCES = 100.0

_SIMPLE = {"sin": "sin", "cos": "cos", "tanh": "tanh", "floor": "floor", "ceiling": "ceil"}
_RECIPROCAL = {"sec": "cos", "csc": "sin", "cot": "tan", "sech": "cosh", "csch": "sinh"}


class FormulaToGraph:
    """Puts formulas into a graph.

    Parameters
    ----------
    graph
        Where nodes go.
    names
        Node of each symbol.
    is_checked
        Whether a fractional power of a base that is negative beyond round-off gives NaN. It does
        at the states that a step starts from; inside a step, where trial states overshoot, the
        base counts as zero.
    """

    def __init__(self, graph: Graph, names: dict[str, int], is_checked: bool) -> None:
        self.graph, self.names, self.is_checked = graph, names, is_checked
        self._memo: dict[Any, int] = {}

    def node(self, expression: Any) -> int:
        """Node of a formula."""
        found = self._memo.get(expression)
        if found is None:
            found = self._convert(expression)
            self._memo[expression] = found
        return found

    def _convert(self, e: Any) -> int:
        g, kind = self.graph, type(e).__name__
        if kind == "Symbol":
            return self.names[str(e)]
        if getattr(e, "is_Number", False):
            return g.number(_float(e))
        if kind == "Add":
            return self._sum(e.args)
        if kind == "Mul":
            return self._product(e.args)
        if kind == "Pow":
            return self._power(*e.args)
        if kind == "Piecewise":
            return self._piecewise(e.args)
        if kind in ("Max", "Min"):
            nodes = [self.node(a) for a in e.args]
            result = nodes[0]
            for other in nodes[1:]:
                result = self._extreme(kind.lower(), result, other)
            return result
        if kind in ("pi", "E") or str(e) in ("pi", "E"):
            return g.number(math.pi if str(e) == "pi" else math.e)
        if kind.startswith("Boolean"):
            return g.truth(bool(e))
        return self._function(kind, e)

    def _extreme(self, kind: str, a: int, b: int) -> int:
        x, y = self.graph.value_of(a), self.graph.value_of(b)
        if x is not None and y is not None:
            return self.graph.number(max(x, y) if kind == "max" else min(x, y))
        return self.graph.node(kind, a, b)

    def _function(self, kind: str, e: Any) -> int:
        g = self.graph
        relations = {"StrictLessThan": "lt", "LessThan": "le", "Equality": "eq", "Unequality": "ne"}
        if kind in relations:
            return g.compare(relations[kind], self.node(e.args[0]), self.node(e.args[1]))
        if kind in ("And", "Or", "Xor"):
            nodes = [self.node(a) for a in e.args]
            result = nodes[0]
            for other in nodes[1:]:
                result = g.logic(kind.lower(), result, other)
            return result
        if kind == "Not":
            return g.invert(self.node(e.args[0]))
        a = self.node(e.args[0]) if e.args else -1
        if kind in ("Abs", "log"):
            return g.node(kind.lower(), a)
        if kind in _SIMPLE or kind in SCALAR_FUNCTIONS:
            return g.node(_SIMPLE.get(kind, kind), a)
        if kind in _RECIPROCAL:
            return g.div(g.number(1.0), g.node(_RECIPROCAL[kind], a))
        raise ModelError(f"the engine has no operation for '{kind}' in '{str(e)[:80]}'")

    def _sum(self, terms: Any) -> int:
        """Constant terms first, so that they are computed once per patient."""
        nodes = [self.node(term) for term in terms]
        nodes.sort(key=lambda n: self.graph.level[n] >= STATE)
        result = nodes[0]
        for other in nodes[1:]:
            result = self.graph.add(result, other)
        return result

    def _product(self, factors: Any) -> int:
        """Constant factors first; one division for all divisors that change."""
        g = self.graph
        above: list[int] = []
        below: list[int] = []
        for factor in factors:
            if type(factor).__name__ == "Pow":
                base, exponent = factor.args
                whole = _whole(exponent)
                if whole is not None and -LARGEST_PRODUCT <= whole < 0:
                    below.append(self._power_node(self.node(base), float(-whole)))
                    continue
            above.append(self.node(factor))
        fixed = [n for n in above if g.level[n] < STATE]
        result = g.number(1.0)
        for n in fixed:
            result = g.mul(result, n)
        for n in below:
            if g.level[n] < STATE:
                result = g.div(result, n)
        for n in above:
            if g.level[n] >= STATE:
                result = g.mul(result, n)
        divisor = g.number(1.0)
        for n in below:
            if g.level[n] >= STATE:
                divisor = g.mul(divisor, n)
        return g.div(result, divisor)

    def _power(self, base: Any, exponent: Any) -> int:
        g = self.graph
        if str(base) == "E":
            return g.node("exp", self.node(exponent))
        whole = _whole(exponent)
        if whole is not None:
            node = self._power_node(self.node(base), float(abs(whole)))
            return node if whole >= 0 else g.div(g.number(1.0), node)
        if getattr(exponent, "is_Number", False):
            value = _float(exponent)
            if abs(value) == 0.5:
                root = g.node("sqrt", self._not_negative(self.node(base)))
                return root if value > 0 else g.div(g.number(1.0), root)
            return self._power_node(self.node(base), value)
        b = self.node(base)
        return g.power(b, self.node(exponent), self._slack(b))

    def _power_node(self, base: int, exponent: float) -> int:
        g = self.graph
        if exponent == math.floor(exponent) and 0 < exponent <= LARGEST_PRODUCT:
            return g.power_of_integer(base, int(exponent))
        return g.power(base, g.number(exponent), self._slack(base))

    def _slack(self, base: int) -> int:
        """How far below zero a base may be and still count as zero."""
        g = self.graph
        if g.level[base] < STATE:
            return g.number(0.0)
        if not self.is_checked:
            return g.number(math.inf)
        total = g.number(0.0)
        for key, slope in sorted(g.gradient(base).items()):
            if key != BY_TIME:
                total = g.add(total, g.mul(g.node("abs", slope), g.tolerance(key)))
        return g.mul(total, g.number(ROUND_OFF_TOLERANCES))

    def _not_negative(self, base: int) -> int:
        g = self.graph
        if g.level[base] < STATE:
            return base
        zero = g.number(0.0)
        is_below = g.compare("lt", base, zero)
        if not self.is_checked:
            return g.select(is_below, zero, base)
        is_far = g.compare("lt", base, g.neg(self._slack(base)))
        return g.select(is_below, g.select(is_far, g.number(math.nan), zero), base)

    def _piecewise(self, arguments: Any) -> int:
        g = self.graph
        pairs = list(zip(arguments[0::2], arguments[1::2], strict=True))
        result = g.number(math.nan)
        for value, condition in reversed(pairs):
            result = g.select(self.node(condition), self.node(value), result)
        return result


def _float(value: Any) -> float:
    name = type(value).__name__
    if name == "NaN" or "zoo" in str(value):
        return math.nan
    if name == "NegativeInfinity":
        return -math.inf
    if "Infinity" in name:
        return math.inf
    return float(value)


def _whole(exponent: Any) -> int | None:
    """The exponent as a whole number of moderate size, if it is one."""
    if not getattr(exponent, "is_Number", False):
        return None
    value = _float(exponent)
    return (
        int(value) if value == value and abs(value) <= LARGEST_PRODUCT and value % 1 == 0 else None
    )


@dataclass
class SystemGraph:
    """A system in a graph.

    Parameters
    ----------
    graph
        All nodes.
    names
        Node of each name, for outputs.
    rates
        Rate of each state at the start of a step, checked (see `FormulaToGraph`).
    trial_rates
        The same inside a step.
    jacobian
        Derivative of a rate by a state, where it is not zero everywhere.
    by_time
        Derivative of a rate by time, where it is not zero everywhere.
    """

    graph: Graph
    names: dict[str, int]
    rates: list[int]
    trial_rates: list[int]
    jacobian: dict[tuple[int, int], int] = field(default_factory=dict)
    by_time: dict[int, int] = field(default_factory=dict)


def system_graph(system: OdeSystem) -> SystemGraph:
    """Graph of the rates, the Jacobian and the derivatives by time."""
    graph = Graph()

    def convert(is_checked: bool) -> tuple[dict[str, int], list[int]]:
        names = {TIME: graph.time()}
        names |= {name: graph.parameter(i) for i, name in enumerate(system.parameters)}
        names |= {name: graph.state(i) for i, name in enumerate(system.states)}
        formulas = FormulaToGraph(graph, names, is_checked)
        for name, expression in system.assignments:
            names[name] = formulas.node(expression)
        return names, [formulas.node(rate) for rate in system.rates]

    names, rates = convert(is_checked=True)
    _, trial_rates = convert(is_checked=False)
    result = SystemGraph(graph, names, rates, trial_rates)
    for i, rate in enumerate(rates):
        for key, node in sorted(graph.gradient(rate).items()):
            if key == BY_TIME:
                result.by_time[i] = node
            else:
                result.jacobian[i, key] = node
    return result


def start_graph(system: OdeSystem) -> tuple[Graph, dict[int, int], list[int]]:
    """Graph of what happens before time zero: derived parameters (by number) and start values."""
    graph = Graph()
    names = {TIME: graph.number(0.0)}
    names |= {name: graph.parameter(i) for i, name in enumerate(system.parameters)}
    index = {name: i for i, name in enumerate(system.parameters)}
    derived: dict[int, int] = {}
    for name, expression in system.derived_parameters:
        node = FormulaToGraph(graph, names, is_checked=True).node(expression)
        derived[index[name]] = node
        names[name] = node
    formulas = FormulaToGraph(graph, names, is_checked=True)
    return graph, derived, [formulas.node(e) for e in system.initial]


@dataclass(frozen=True)
class Elimination:
    """Order and fill of a sparse LU factorization without exchange of rows.

    Parameters
    ----------
    order
        States in order of elimination.
    pattern
        Places (row, column) that are not zero in the factors, in states' numbers.
    """

    order: tuple[int, ...]
    pattern: frozenset[tuple[int, int]]


def eliminate(n: int, entries: Mapping[tuple[int, int], int]) -> Elimination:
    """Markowitz ordering on the diagonal: least (row count - 1) * (column count - 1) first.

    Pivots stay on the diagonal, which ``1 / (h gamma)`` makes large for small steps; a step in
    which a pivot is too small shows in its error estimate and is repeated with a smaller one.

    Parameters
    ----------
    n
        Number of states.
    entries
        Places of the Jacobian that are not zero.
    """
    rows: list[set[int]] = [{i} for i in range(n)]
    columns: list[set[int]] = [{i} for i in range(n)]
    for i, j in entries:
        rows[i].add(j)
        columns[j].add(i)
    left = set(range(n))
    order: list[int] = []
    pattern = {(i, j) for i in range(n) for j in rows[i]}
    while left:
        pivot = min(left, key=lambda k: ((len(rows[k]) - 1) * (len(columns[k]) - 1), k))
        order.append(pivot)
        left.remove(pivot)
        below, right = columns[pivot] - {pivot}, rows[pivot] - {pivot}
        for i in below:
            rows[i].discard(pivot)
            rows[i] |= right
            pattern.update((i, j) for j in right)
        for j in right:
            columns[j].discard(pivot)
            columns[j] |= below
    return Elimination(tuple(order), frozenset(pattern))

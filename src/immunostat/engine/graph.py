"""A graph of vector operations in which equal values are one node.

The graph is what stands between formulas and machine code: a node is an operation on earlier
nodes, and asking for an operation that is already there gives the node that is there. So common
subexpressions, also those of a rate and its derivatives, are computed once.

Levels say what a node depends on: 0 numbers, 1 a patient's parameters, 2 time, 3 states.
Everything of level 1 is computed once per patient and change of parameters, not in every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable

NUMBER, PARAMETER, OF_TIME, STATE = 0, 1, 2, 3

#: Key of the derivative by time among derivatives by state numbers.
BY_TIME = -1

Gradient = dict[int, int]

_FOLDED: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "min": min,
    "max": max,
    "abs": abs,
}

#: Libm functions that are called lane by lane; models use them rarely.
SCALAR_FUNCTIONS = ("tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")


class Graph:
    """Nodes numbered in order of making; a node's arguments have lower numbers."""

    def __init__(self) -> None:
        self.ops: list[str] = []
        self.arguments: list[tuple[int, ...]] = []
        self.payload: list[float | int] = []
        self.level: list[int] = []
        self.is_condition: list[bool] = []
        self._table: dict[tuple[object, ...], int] = {}
        self._gradients: dict[int, Gradient] = {}

    # making nodes

    def node(
        self,
        op: str,
        *arguments: int,
        payload: float | int = 0,
        level: int = 0,
        is_condition: bool = False,
    ) -> int:
        """Number of a node with this operation and arguments, made if there is none."""
        key = (op, arguments, payload if op != "number" else float(payload).hex())
        found = self._table.get(key)
        if found is not None:
            return found
        self.ops.append(op)
        self.arguments.append(arguments)
        self.payload.append(payload)
        self.level.append(max([level, *(self.level[a] for a in arguments)]))
        self.is_condition.append(is_condition)
        self._table[key] = len(self.ops) - 1
        return len(self.ops) - 1

    def number(self, value: float) -> int:
        """A constant."""
        return self.node("number", payload=float(value))

    def state(self, index: int) -> int:
        """Value of a state."""
        return self.node("state", payload=index, level=STATE)

    def parameter(self, index: int) -> int:
        """Value of a parameter."""
        return self.node("parameter", payload=index, level=PARAMETER)

    def time(self) -> int:
        """Time."""
        return self.node("time", level=OF_TIME)

    def tolerance(self, index: int) -> int:
        """Error wanted in a state: absolute + relative * |state|."""
        return self.node("tolerance", payload=index, level=STATE)

    def value_of(self, node: int) -> float | None:
        """Value of a constant node, None of others."""
        return float(self.payload[node]) if self.ops[node] == "number" else None

    def _fold(self, op: str, *arguments: int) -> int | None:
        values = [self.value_of(a) for a in arguments]
        known = [v for v in values if v is not None]
        if len(known) < len(values) or op not in _FOLDED or any(v != v for v in known):
            return None
        return self.number(_FOLDED[op](*known))

    def add(self, a: int, b: int) -> int:
        """a + b."""
        if self.value_of(a) == 0.0:
            return b
        if self.value_of(b) == 0.0:
            return a
        if self.ops[b] == "neg":
            return self.sub(a, self.arguments[b][0])
        if self.ops[a] == "neg":
            return self.sub(b, self.arguments[a][0])
        folded = self._fold("add", a, b)
        return folded if folded is not None else self.node("add", min(a, b), max(a, b))

    def sub(self, a: int, b: int) -> int:
        """a - b."""
        if self.value_of(b) == 0.0:
            return a
        if self.value_of(a) == 0.0:
            return self.neg(b)
        if self.ops[b] == "neg":
            return self.add(a, self.arguments[b][0])
        folded = self._fold("sub", a, b)
        return folded if folded is not None else self.node("sub", a, b)

    def neg(self, a: int) -> int:
        """-a."""
        value = self.value_of(a)
        if value is not None:
            return self.number(-value)
        if self.ops[a] == "neg":
            return self.arguments[a][0]
        if self.ops[a] == "sub":
            return self.node("sub", *reversed(self.arguments[a]))
        return self.node("neg", a)

    def mul(self, a: int, b: int) -> int:
        """a * b; zero times anything is zero, as in symbolic algebra."""
        for x, y in ((a, b), (b, a)):
            value = self.value_of(x)
            if value == 0.0:
                return self.number(0.0)
            if value == 1.0:
                return y
            if value == -1.0:
                return self.neg(y)
            if self.ops[x] == "neg":
                return self.neg(self.mul(self.arguments[x][0], y))
        folded = self._fold("mul", a, b)
        return folded if folded is not None else self.node("mul", min(a, b), max(a, b))

    def div(self, a: int, b: int) -> int:
        """a / b; as a times the reciprocal of b, unless both are constant in a run."""
        x, y = self.value_of(a), self.value_of(b)
        if y == 1.0:
            return a
        if x is not None and y is not None and y != 0.0:
            return self.number(x / y)
        if x == 0.0:
            return a
        if y is not None and y != 0.0 and math.frexp(y)[0] in (0.5, -0.5):
            return self.mul(a, self.number(1.0 / y))
        if self.level[a] <= PARAMETER and self.level[b] <= PARAMETER:
            return self.node("div", a, b)
        # a reciprocal is shared by all that is divided by b, derivatives among them
        return self.mul(a, self.node("div", self.number(1.0), b))

    def power_of_integer(self, a: int, exponent: int) -> int:
        """a to a positive whole number, as products."""
        result: int | None = None
        square = a
        while True:
            if exponent & 1:
                result = square if result is None else self.mul(result, square)
            exponent >>= 1
            if not exponent:
                break
            square = self.mul(square, square)
        assert result is not None
        return result

    def power(self, base: int, exponent: int, slack: int) -> int:
        """`base` to `exponent`, with a stated value for a negative base.

        A whole exponent gives the product. Any other gives 0 while the base is above minus
        `slack` (round-off about zero), and NaN below it.
        """
        value = self.value_of(exponent)
        if value == 1.0:
            return base
        if value == 0.0:
            return self.number(1.0)
        known = self.value_of(base)
        if known is not None and known > 0.0:
            factor = self.number(1.0)  # the base is never negative
        elif value is not None:
            is_whole = value == math.floor(value)
            factor = self.number((-1.0 if value % 2.0 else 1.0) if is_whole else 0.0)
        else:
            factor = self.node("parity", exponent)
        return self.node("power", base, exponent, slack, factor)

    def compare(self, kind: str, a: int, b: int) -> int:
        """Truth value of a relation: 'lt', 'le', 'eq' or 'ne'."""
        return self.node(kind, a, b, is_condition=True)

    def logic(self, kind: str, a: int, b: int) -> int:
        """'and', 'or' or 'xor' of two truth values."""
        return self.node(kind, a, b, is_condition=True)

    def invert(self, a: int) -> int:
        """Not a."""
        return self.node("not", a, is_condition=True)

    def truth(self, value: bool) -> int:
        """A constant truth value."""
        return self.node("true" if value else "false", is_condition=True)

    def select(self, condition: int, a: int, b: int) -> int:
        """a where the condition holds, else b."""
        if a == b or self.ops[condition] == "true":
            return a
        if self.ops[condition] == "false":
            return b
        return self.node("select", condition, a, b, is_condition=self.is_condition[a])

    # derivatives

    def gradient(self, node: int) -> Gradient:
        """Derivatives of a node by the states it depends on, and by time (`BY_TIME`)."""
        known = self._gradients.get(node)
        if known is not None:
            return known
        # arguments first, without recursion: formulas of big models are deep
        stack = [node]
        while stack:
            top = stack[-1]
            missing = [
                a
                for a in self.arguments[top]
                if self.level[a] >= OF_TIME and a not in self._gradients
            ]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            if top not in self._gradients:
                self._gradients[top] = self._own_gradient(top)
        return self._gradients[node]

    def _own_gradient(self, node: int) -> Gradient:
        op, arguments = self.ops[node], self.arguments[node]
        if self.level[node] < OF_TIME or self.is_condition[node]:
            return {}
        if op == "state":
            return {int(self.payload[node]): self.number(1.0)}
        if op == "time":
            return {BY_TIME: self.number(1.0)}
        if op == "select":
            condition, a, b = arguments
            da, db = self._gradients.get(a, {}), self._gradients.get(b, {})
            zero = self.number(0.0)
            keys = sorted(da.keys() | db.keys())
            return {k: self.select(condition, da.get(k, zero), db.get(k, zero)) for k in keys}
        slopes = [
            (a, self._slope(node, op, arguments, i))
            for i, a in enumerate(arguments)
            if self._gradients.get(a)
        ]
        total: Gradient = {}
        for argument, slope in slopes:
            for key, inner in sorted(self._gradients[argument].items()):
                term = self.mul(slope, inner)
                total[key] = self.add(total[key], term) if key in total else term
        return {k: v for k, v in total.items() if self.value_of(v) != 0.0}

    def _slope(self, node: int, op: str, arguments: tuple[int, ...], i: int) -> int:
        """Derivative of an operation by its i-th argument."""
        one = self.number(1.0)
        a = arguments[0]
        b = arguments[1] if len(arguments) > 1 else a
        if op == "add":
            return one
        if op == "sub":
            return one if i == 0 else self.number(-1.0)
        if op == "neg":
            return self.number(-1.0)
        if op == "mul":
            if a == b:
                return a
            return b if i == 0 else a
        if op == "div":
            reciprocal = self.node("div", one, b)
            return reciprocal if i == 0 else self.neg(self.mul(node, reciprocal))
        if op in ("min", "max"):
            is_first = self.compare(
                "le" if op == "min" else "lt", *((a, b) if op == "min" else (b, a))
            )
            zero = self.number(0.0)
            return self.select(is_first, *((one, zero) if i == 0 else (zero, one)))
        if op == "power":
            return self._power_slope(node, arguments, i)
        return self._function_slope(node, op, a)

    def _function_slope(self, node: int, op: str, a: int) -> int:
        one = self.number(1.0)
        if op == "exp":
            return node
        if op == "log":
            return self.div(one, a)
        if op == "sqrt":
            # at zero the slope is infinite; there the step is taken as if it were flat
            positive = self.compare("lt", self.number(0.0), node)
            return self.select(positive, self.div(self.number(0.5), node), self.number(0.0))
        if op == "abs":
            is_negative = self.compare("lt", a, self.number(0.0))
            return self.select(is_negative, self.number(-1.0), one)
        if op in ("floor", "ceil", "parity"):
            return self.number(0.0)
        square = self.mul(a, a)
        if op == "sin":
            return self.node("cos", a)
        if op == "cos":
            return self.neg(self.node("sin", a))
        if op == "tan":
            return self.add(one, self.mul(node, node))
        if op == "tanh":
            return self.sub(one, self.mul(node, node))
        if op == "sinh":
            return self.node("cosh", a)
        if op == "cosh":
            return self.node("sinh", a)
        if op == "atan":
            return self.div(one, self.add(one, square))
        if op == "atanh":
            return self.div(one, self.sub(one, square))
        inside = {
            "asin": self.sub(one, square),
            "acos": self.sub(one, square),
            "asinh": self.add(one, square),
            "acosh": self.sub(square, one),
        }[op]
        slope = self.div(one, self.node("sqrt", inside))
        return self.neg(slope) if op == "acos" else slope

    def _power_slope(self, node: int, arguments: tuple[int, ...], i: int) -> int:
        """Of ``base ** exponent``: by the base, flat at zero where it would be infinite."""
        base, exponent, slack, _ = arguments
        if i >= 2:
            return self.number(0.0)
        if i == 1:
            logarithm = self.mul(self.node("log2", base), self.number(math.log(2.0)))
            return self.mul(node, logarithm)
        lower = self.sub(exponent, self.number(1.0))
        raised = self.power(base, lower, self.number(math.inf))
        value = self.value_of(exponent)
        if value is None or value < 1.0:
            grows = self.compare("le", self.number(1.0), exponent)
            floor = slack if self.value_of(slack) is None else self.number(0.0)
            is_off = self.logic("or", grows, self.compare("lt", floor, base))
            raised = self.select(is_off, raised, self.number(0.0))
        return self.mul(exponent, raised)

    # use

    def needed(
        self, roots: list[int], stop: Callable[[int], bool] = lambda node: False
    ) -> list[int]:
        """Nodes that the roots need, arguments first; what `stop` names is not looked into."""
        seen: set[int] = set()
        order: list[int] = []
        for root in roots:
            stack: list[tuple[int, bool]] = [(root, False)]
            while stack:
                node, is_done = stack.pop()
                if is_done:
                    order.append(node)
                    continue
                if node in seen:
                    continue
                seen.add(node)
                stack.append((node, True))
                if not stop(node):
                    stack.extend((a, False) for a in reversed(self.arguments[node]))
        return order

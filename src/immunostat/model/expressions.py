"""Formulas as symbolic expressions: libsbml's formula trees read into symengine, and small tools.

A number is read as an exact integer where it is one, so that ``x^2.0`` becomes a product.
Nothing here evaluates text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

import symengine as se

from immunostat.base.errors import ModelError, Place

#: Value of SBML's csymbol "avogadro" (SBML Level 3, section 3.4.6), per mole.
AVOGADRO = 6.02214179e23

#: Prefix of the placeholder that `rateOf(x)` becomes; the reader of the model resolves it.
RATE_OF = "rateOf_"

Expression = Any
Resolve = Callable[[str], Expression]


class Unsupported(Exception):
    """A construct that this package does not know; the message names it."""


def _is_number(value: Expression) -> bool:
    return bool(getattr(value, "is_Number", False))


def is_boolean(value: Expression) -> bool:
    """Whether an expression is a truth value (relation, logical operator, true or false)."""
    return isinstance(value, _boolean_classes())


@lru_cache(maxsize=1)
def _boolean_classes() -> tuple[type, ...]:
    x, y = se.symbols("x y")
    samples = [x < y, x <= y, se.Eq(x, y), se.Ne(x, y), se.And(x < y, x < 1), se.Or(x < y, x < 1)]
    samples += [se.Not(se.And(x < y, x < 1)), se.Xor(x < y, x < 1), se.Eq(1, 1), se.Eq(1, 2)]
    return tuple({type(sample) for sample in samples} | {bool})


def as_number(value: Expression) -> Expression:
    """A truth value as 1 or 0, as SBML Level 3 Version 2 reads it; a number unchanged."""
    if not is_boolean(value):
        return value
    return se.Piecewise((se.Integer(1), value), (se.Integer(0), True))


def as_condition(value: Expression) -> Expression:
    """A number as a truth value (not zero); a truth value unchanged."""
    return value if is_boolean(value) else se.Ne(value, 0)


def number(value: float) -> Expression:
    """Exact integer where the value is a whole number, else a double."""
    if math.isfinite(value) and value == int(value) and abs(value) < 2**53:
        return se.Integer(int(value))
    return se.RealDouble(value)


def power(base: Expression, exponent: Expression) -> Expression:
    """`base` to `exponent`; of two numbers at once, in doubles (exact powers could be huge)."""
    if _is_number(base) and _is_number(exponent):
        try:
            return number(math.pow(float(base), float(exponent)))
        except OverflowError:
            return se.RealDouble(math.inf)
        except ValueError:  # zero to a negative power, or negative to a fraction
            infinite = float(base) == 0.0
            return se.RealDouble(math.inf if infinite else math.nan)
    return base**exponent


def _quotient(a: Expression, b: Expression) -> Expression:
    if _is_number(a) and _is_number(b):
        x, y = float(a), float(b)
        if y == 0.0:  # symengine's value would be complex infinity
            return se.RealDouble(math.nan if x == 0.0 or x != x else math.copysign(math.inf, x))
        return number(x / y)
    return a / b


def _truncated_quotient(a: Expression, b: Expression) -> Expression:
    ratio = _quotient(a, b)
    return se.Piecewise((se.ceiling(ratio), ratio < 0), (se.floor(ratio), True))


def _sum(values: Iterable[Expression]) -> Expression:
    return se.Add(*values)


def _product(values: Iterable[Expression]) -> Expression:
    return se.Mul(*values)


def _log_base(base: Expression, x: Expression) -> Expression:
    return se.log(x) / se.log(se.RealDouble(float(base)) if _is_number(base) else base)


def _factorial(x: Expression) -> Expression:
    if not _is_number(x) or float(x) < 0 or float(x) > 170:
        raise Unsupported("factorial of something that is not a number from 0 to 170")
    return number(math.gamma(float(x) + 1.0))


def _relation(kind: str, values: list[Expression]) -> Expression:
    make: dict[str, Callable[[Expression, Expression], Expression]] = {
        "EQ": se.Eq,
        "LT": lambda a, b: a < b,
        "LEQ": lambda a, b: a <= b,
        "GT": lambda a, b: a > b,
        "GEQ": lambda a, b: a >= b,
    }
    pairs = [make[kind](a, b) for a, b in pairwise(values)]
    return pairs[0] if len(pairs) == 1 else se.And(*pairs)


def _parity(conditions: list[Expression]) -> Expression:
    result: Expression = conditions[0] if conditions else False
    for condition in conditions[1:]:
        result = se.Xor(result, condition)
    return result


def _simple_functions() -> dict[str, Callable[..., Expression]]:
    """Functions of numbers with a fixed meaning, by the end of libsbml's constant."""
    return {
        "FUNCTION_ABS": abs,
        "FUNCTION_EXP": se.exp,
        "FUNCTION_LN": se.log,
        "FUNCTION_FLOOR": se.floor,
        "FUNCTION_CEILING": se.ceiling,
        "FUNCTION_FACTORIAL": _factorial,
        "FUNCTION_POWER": power,
        "POWER": power,
        "DIVIDE": _quotient,
        "FUNCTION_QUOTIENT": _truncated_quotient,
        "FUNCTION_REM": lambda a, b: a - b * _truncated_quotient(a, b),
        "FUNCTION_SIN": se.sin,
        "FUNCTION_COS": se.cos,
        "FUNCTION_TAN": se.tan,
        "FUNCTION_SEC": lambda x: 1 / se.cos(x),
        "FUNCTION_CSC": lambda x: 1 / se.sin(x),
        "FUNCTION_COT": lambda x: 1 / se.tan(x),
        "FUNCTION_SINH": se.sinh,
        "FUNCTION_COSH": se.cosh,
        "FUNCTION_TANH": se.tanh,
        "FUNCTION_SECH": lambda x: 1 / se.cosh(x),
        "FUNCTION_CSCH": lambda x: 1 / se.sinh(x),
        "FUNCTION_COTH": lambda x: 1 / se.tanh(x),
        "FUNCTION_ARCSIN": se.asin,
        "FUNCTION_ARCCOS": se.acos,
        "FUNCTION_ARCTAN": se.atan,
        "FUNCTION_ARCSEC": lambda x: se.acos(1 / x),
        "FUNCTION_ARCCSC": lambda x: se.asin(1 / x),
        "FUNCTION_ARCCOT": lambda x: se.atan(1 / x),
        "FUNCTION_ARCSINH": se.asinh,
        "FUNCTION_ARCCOSH": se.acosh,
        "FUNCTION_ARCTANH": se.atanh,
        "FUNCTION_ARCSECH": lambda x: se.acosh(1 / x),
        "FUNCTION_ARCCSCH": lambda x: se.asinh(1 / x),
        "FUNCTION_ARCCOTH": lambda x: se.atanh(1 / x),
    }


@lru_cache(maxsize=1)
def _kinds() -> dict[int, str]:
    """libsbml's node types by number, without the prefix AST_."""
    import libsbml

    names = (name for name in dir(libsbml) if name.startswith("AST_"))
    return {getattr(libsbml, name): name[4:] for name in names if "TYPECODE" not in name}


class FormulaReader:
    """Reads libsbml's formula trees.

    Parameters
    ----------
    resolve
        Gives the expression of an identifier.
    functions
        Function definitions by name: names of the arguments, and the tree of the body.
    place
        File that messages name.
    delayed
        Gives the symbol of a value some time ago; None refuses delays.
    """

    def __init__(
        self,
        resolve: Resolve,
        functions: Mapping[str, tuple[list[str], Any]] | None = None,
        place: Place | None = None,
        delayed: Callable[[Expression, Expression], Expression] | None = None,
    ) -> None:
        self._resolve = resolve
        self._delayed = delayed
        self._functions = functions or {}
        self._place = place
        self._simple = _simple_functions()

    def read(self, tree: Any, what: str, local: Mapping[str, Expression] | None = None) -> Any:
        """Expression of a formula tree; `what` says in messages where the formula stands."""
        return as_number(self._read(tree, what, local))

    def read_condition(self, tree: Any, what: str) -> Any:
        """Truth value of a formula tree."""
        return as_condition(self._read(tree, what, None))

    def _read(self, tree: Any, what: str, local: Mapping[str, Expression] | None) -> Any:
        try:
            return self._node(tree, local or {})
        except Unsupported as problem:
            raise ModelError(
                f"{what} uses {problem}, which is not supported",
                self._place,
                "remove it, or write it with arithmetic, piecewise, min, max, exp, ln or powers",
            ) from None
        except RecursionError:
            raise ModelError(f"{what} is nested too deeply, or calls itself", self._place) from None

    def _numbers(self, tree: Any, local: Mapping[str, Expression]) -> list[Expression]:
        n = tree.getNumChildren()
        return [as_number(self._node(tree.getChild(i), local)) for i in range(n)]

    def _conditions(self, tree: Any, local: Mapping[str, Expression]) -> list[Expression]:
        n = tree.getNumChildren()
        return [as_condition(self._node(tree.getChild(i), local)) for i in range(n)]

    def _node(self, tree: Any, local: Mapping[str, Expression]) -> Expression:
        kind = _kinds().get(tree.getType(), "UNKNOWN")
        if kind in ("INTEGER", "REAL", "REAL_E", "RATIONAL"):
            return number(tree.getValue())
        if kind == "NAME":
            name = tree.getName()
            return local[name] if name in local else self._resolve(name)
        if kind.startswith(("CONSTANT_", "NAME_")):
            return self._constant(kind)
        if kind.startswith(("RELATIONAL_", "LOGICAL_")):
            return self._truth(kind, tree, local)
        if kind == "FUNCTION_PIECEWISE":
            return self._piecewise(tree, local)
        if kind == "FUNCTION":
            return self._call(tree, local)
        if kind == "FUNCTION_RATE_OF":
            return self._rate_of(tree)
        if kind == "FUNCTION_DELAY" and self._delayed is not None:
            return self._delayed(*self._numbers(tree, local))
        return self._arithmetic(kind, tree, self._numbers(tree, local))

    def _constant(self, kind: str) -> Expression:
        constants = {
            "CONSTANT_E": se.RealDouble(math.e),
            "CONSTANT_PI": se.RealDouble(math.pi),
            "CONSTANT_TRUE": se.Eq(1, 1),
            "CONSTANT_FALSE": se.Eq(1, 2),
            "NAME_TIME": se.Symbol("time"),
            "NAME_AVOGADRO": se.RealDouble(AVOGADRO),
        }
        if kind not in constants:
            raise Unsupported(f"the constant {kind.lower()}")
        return constants[kind]

    def _truth(self, kind: str, tree: Any, local: Mapping[str, Expression]) -> Expression:
        if kind == "RELATIONAL_NEQ":
            values = self._numbers(tree, local)
            return se.Ne(values[0], values[1])
        if kind.startswith("RELATIONAL_"):
            return _relation(kind.removeprefix("RELATIONAL_"), self._numbers(tree, local))
        conditions = self._conditions(tree, local)
        if kind == "LOGICAL_AND":
            return se.And(*conditions)
        if kind == "LOGICAL_OR":
            return se.Or(*conditions)
        if kind == "LOGICAL_NOT":
            return se.Not(conditions[0])
        if kind == "LOGICAL_XOR":
            return _parity(conditions)
        if kind == "LOGICAL_IMPLIES":
            return se.Or(se.Not(conditions[0]), conditions[1])
        raise Unsupported(f"the operator {kind.lower()}")

    def _piecewise(self, tree: Any, local: Mapping[str, Expression]) -> Expression:
        children = [tree.getChild(i) for i in range(tree.getNumChildren())]
        pieces = []
        for value, condition in zip(children[0::2], children[1::2], strict=False):
            truth = as_condition(self._node(condition, local))
            pieces.append((as_number(self._node(value, local)), truth))
        odd = len(children) % 2 == 1
        last = as_number(self._node(children[-1], local)) if odd else se.RealDouble(math.nan)
        if not pieces:
            return last
        return se.Piecewise(*pieces, (last, True))

    def _call(self, tree: Any, local: Mapping[str, Expression]) -> Expression:
        name = tree.getName()
        if name not in self._functions:
            raise Unsupported(f"the function '{name}'")
        arguments, body = self._functions[name]
        n = tree.getNumChildren()
        values = [self._node(tree.getChild(i), local) for i in range(n)]
        if len(values) != len(arguments):
            raise Unsupported(f"'{name}' with {len(values)} arguments, not {len(arguments)}")
        return self._node(body, dict(zip(arguments, values, strict=True)))

    def _rate_of(self, tree: Any) -> Expression:
        child = tree.getChild(0)
        if tree.getNumChildren() != 1 or not child.isName():
            raise Unsupported("rateOf of something that is not a name")
        return se.Symbol(RATE_OF + child.getName())

    def _arithmetic(self, kind: str, tree: Any, values: list[Expression]) -> Expression:
        if kind == "PLUS":
            return _sum(values)
        if kind == "TIMES":
            return _product(values)
        if kind == "MINUS":
            return -values[0] if len(values) == 1 else values[0] - values[1]
        if kind == "FUNCTION_MIN":
            return se.Min(*values)
        if kind == "FUNCTION_MAX":
            return se.Max(*values)
        if kind == "FUNCTION_LOG":
            return _log_base(*([se.Integer(10), *values] if len(values) == 1 else values))
        if kind == "FUNCTION_ROOT":
            degree, x = [se.Integer(2), *values] if len(values) == 1 else values
            return power(x, _quotient(se.Integer(1), degree))
        if kind in self._simple:
            return self._simple[kind](*values)
        raise Unsupported(f"'{tree.getName() or kind.lower()}'")


def free_names(expression: Expression) -> set[str]:
    """Names of the symbols that an expression uses."""
    return {str(symbol) for symbol in getattr(expression, "free_symbols", ())}


def substitute(expression: Expression, values: Mapping[str, Expression]) -> Expression:
    """Expression with symbols replaced, all at once."""
    used = free_names(expression) & set(values)
    if not used:
        return expression
    return expression.subs({se.Symbol(name): values[name] for name in used})


def derivative(expression: Expression, name: str) -> Expression:
    """Derivative by a symbol, also of Piecewise, Max, Min, Abs, floor and ceiling.

    At a kink it is the derivative of the piece that is taken there; steps have derivative 0.
    """
    steps: dict[str, Expression] = {}
    smooth = _without_kinks(expression, steps)
    return substitute(smooth.diff(se.Symbol(name)), steps)


def _without_kinks(expression: Expression, steps: dict[str, Expression]) -> Expression:
    """Max, Min and Abs as Piecewise; floor and ceiling as symbols, which `steps` explains."""
    if isinstance(expression, se.Piecewise):
        values = [_without_kinks(value, steps) for value in expression.args[0::2]]
        return se.Piecewise(*zip(values, expression.args[1::2], strict=True))
    kind = type(expression).__name__.lower()
    if kind in ("floor", "ceiling"):
        name = f"_step{len(steps)}"
        steps[name] = expression
        return se.Symbol(name)
    if not expression.args or is_boolean(expression):
        return expression
    parts = [_without_kinks(part, steps) for part in expression.args]
    if kind == "abs":
        return se.Piecewise((-parts[0], parts[0] < 0), (parts[0], True))
    if kind in ("max", "min"):
        chosen = parts[0]
        for part in parts[1:]:
            is_first = chosen >= part if kind == "max" else chosen <= part
            chosen = se.Piecewise((chosen, is_first), (part, True))
        return chosen
    return expression.func(*parts)


def with_slack(condition: Expression, names: set[str], slack: float) -> Expression:
    """A condition whose strict relations of `names` hold only by more than `slack`."""
    join = {"And": se.And, "Or": se.Or, "Xor": se.Xor, "Not": se.Not}.get(type(condition).__name__)
    if join is not None:
        return join(*(with_slack(part, names, slack) for part in condition.args))
    if type(condition).__name__ == "StrictLessThan" and free_names(condition) & names:
        low, high = condition.args
        return low < high - slack
    return condition

"""Elementary functions of vectors, written out so that LLVM can inline them.

Accuracy: `exp2`, `exp`, `log2`, `log`, `sin` and `cos` are right to 3 units in the last place
(absolutely near the zeros of sin and cos); ``x ** n`` to 3 + 2 |n log2 x| units, as its logarithm
is a double (of a denormal x it is that of zero). Results below 2**-1021 are zero. The polynomials
interpolate at Chebyshev's nodes (computed with 60 digits); their own error is below 5e-18, of sin
and cos below 2e-16.

Edge values: exp of an overflow is infinite; log of 0 is -infinite and of a negative number NaN;
``0 ** 0`` is 1; `sin` and `cos` are NaN beyond 1e9, where the reduction would lose digits.
"""

from __future__ import annotations

import math

from immunostat.engine.vector_ir import Function, Module

_EXP2 = [
    1.0, 0.6931471805599453, 0.24022650695910158, 0.055504108664821625, 0.009618129107587256,
    0.001333355814640647, 0.00015403530463724353, 1.5252733841556773e-05, 1.3215432535912375e-06,
    1.0178057087733941e-07, 7.074194297288521e-09, 4.4558179083360645e-10,
]  # fmt: skip
_EXP = [
    1.0, 1.0, 0.5000000000000019, 0.1666666666666668, 0.04166666666648666, 0.00833333333331949,
    0.0013888888952696516, 0.00019841269890340666, 2.4801485074105115e-05, 2.7557240604663896e-06,
    2.763279054211718e-07, 2.511015364692893e-08,
]  # fmt: skip
#: (atanh(s) / s - 1) / s**2 * 2 as a polynomial in s**2.
_ATANH = [
    0.6666666666666666, 0.40000000000000885, 0.28571428570799784, 0.22222222392581045,
    0.18181795547521137, 0.15386244737621665, 0.13268638369266825, 0.13088034850927555,
]  # fmt: skip
#: (sin(s) - s) / s**3 and (cos(s) - 1 + s**2 / 2) / s**4 as polynomials in s**2.
_SIN = [
    -0.16666666666666666, 0.008333333333330925, -0.00019841269836722418, 2.755731608381636e-06,
    -2.5051127944014188e-08, 1.5917848524808262e-10,
]  # fmt: skip
_COS = [
    0.041666666666666664, -0.0013888888888887382, 2.480158729874307e-05, -2.7557317260008837e-07,
    2.0876143827993133e-09, -1.1382456778061306e-11,
]  # fmt: skip
#: 1 / x for x from 1 + sqrt(1/2) to 1 + sqrt(2), right to 1e-04.
_RECIPROCAL = [1.9703428595459958, -1.4485313451183546, 0.47093526896783044, -0.05713304837739166]
# upper parts with zeros at the end, so that a product with a small whole number is exact
_LN2 = (0.6931471804855391, 7.440617110012397e-11)
_LOG2E = (1.4426950408889634, 2.0355273740931033e-17)
_HALF_PI = (1.570796325802803, 9.920935739593517e-10, 5.721188726109832e-18)

#: Adding it rounds to a whole number and leaves that number in the low bits.
_ROUND = 1.5 * 2.0**52
_ROUND_BITS = 0x4338000000000000
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
#: Bits that minus those of x are about those of 1 / x.
_GUESS_BITS = 0x7FDE623822FC16E6
_SMALLEST_NORMAL = 2.0**-1022

#: log2 of zero inside a power: finite, so that 0 * log2(0) is 0.
FAR_BELOW = -1e300
_LARGEST_ARGUMENT = 1e9


#: Calls that are written side by side in one wide call: see `Function.call_batch`.
BATCHES = (1, 2)


def add_vector_math(module: Module) -> None:
    """Write exp, log2p, log, power, sin, cos and tanh into a module, also as batches."""
    for n in BATCHES:
        wide, suffix = (module, "") if n == 1 else (module.wider(n), f"_x{n}")
        _exponential(wide, f"exp{suffix}")
        _power(wide, f"power{suffix}")
        _log2(wide, f"log2p{suffix}")
        _log(wide, f"log{suffix}")
    _sine(module, "sin", 0)
    _sine(module, "cos", 1)
    _tanh(module)


def _scaled(f: Function, p: str, rounded: str) -> str:
    """p * 2**k, k in the low bits of `rounded`, by adding to the exponent's bits."""
    shift = f.integer("shl", f.as_bits(rounded), f.module.splat_bits(52))
    return f.from_bits(f.integer("add", f.as_bits(p), shift))


def _limited(f: Function, p: str, t: str) -> str:
    """The value for arguments t of exp2 outside of the normal range, and for NaN."""
    p = f.select(f.compare("olt", t, f.number(-1021.0)), f.number(0.0), p)
    beyond = f.mul(t, f.number(math.inf))  # infinite, or NaN of NaN
    return f.select(f.compare("olt", t, f.number(1024.0)), p, beyond)


def _exponential(module: Module, name: str) -> None:
    f = Function(module)
    t = f.mul("%x", f.number(_LOG2E[0]))
    rounded = f.add(t, f.number(_ROUND))
    k = f.sub(rounded, f.number(_ROUND))
    r = f.fma(k, f.number(-_LN2[0]), "%x")
    r = f.fma(k, f.number(-_LN2[1]), r)
    p = f.polynomial(r, _EXP)
    f.finish_vector(name, ["%x"], _limited(f, _scaled(f, p, rounded), t))


def _power(module: Module, name: str) -> None:
    """2 ** (n * l), the product's rounding error carried along; l is a log2, finite for zero."""
    f = Function(module)
    t = f.mul("%n", "%l")
    lost = f.fma("%n", "%l", f.neg(t))
    rounded = f.add(t, f.number(_ROUND))
    k = f.sub(rounded, f.number(_ROUND))
    p = f.polynomial(f.add(f.sub(t, k), lost), _EXP2)
    f.finish_vector(name, ["%n", "%l"], _limited(f, _scaled(f, p, rounded), t))


def _split(f: Function, x: str) -> tuple[str, str, str]:
    """Exponent e, and 2 s and the rest of 2 atanh(s), of a normal x = 2**e (1 + s) / (1 - s)."""
    m = f.module
    bits = f.as_bits(x)
    offset = f.integer("sub", bits, m.splat_bits(_SQRT_HALF_BITS))
    k = f.integer("ashr", offset, m.splat_bits(52))
    mantissa = f.from_bits(f.integer("sub", bits, f.integer("shl", k, m.splat_bits(52))))
    e = f.sub(f.from_bits(f.integer("add", k, m.splat_bits(_ROUND_BITS))), f.number(_ROUND))
    above, below = f.sub(mantissa, f.number(1.0)), f.add(mantissa, f.number(1.0))
    # a division written out: the processor's own would take as long as all the rest
    inverse = f.polynomial(below, _RECIPROCAL)
    inverse = f.fma(f.fma(f.neg(below), inverse, f.number(1.0)), inverse, inverse)
    s = f.mul(above, inverse)
    s = f.fma(f.fma(f.neg(s), below, above), inverse, s)
    z = f.mul(s, s)
    rest = f.mul(f.mul(s, z), f.polynomial(z, _ATANH))
    return e, f.add(s, s), rest


def _log2(module: Module, name: str) -> None:
    """log2 of |x| as a factor of a power: far below zero, but finite, for zero."""
    f = Function(module)
    x = f.intrinsic("fabs", "%x")
    e, twice, rest = _split(f, x)
    value = f.fma(rest, f.number(_LOG2E[0]), f.mul(twice, f.number(_LOG2E[1])))
    value = f.add(f.fma(twice, f.number(_LOG2E[0]), value), e)
    is_zero = f.compare("olt", x, f.number(_SMALLEST_NORMAL))
    value = f.select(is_zero, f.number(FAR_BELOW), value)
    value = f.select(f.compare("olt", x, f.number(math.inf)), value, x)
    f.finish_vector(name, ["%x"], value)


def _log(module: Module, name: str) -> None:
    f = Function(module)
    is_tiny = f.compare("olt", "%x", f.number(_SMALLEST_NORMAL))
    e, twice, rest = _split(f, f.select(is_tiny, f.mul("%x", f.number(2.0**54)), "%x"))
    e = f.sub(e, f.select(is_tiny, f.number(54.0), f.number(0.0)))
    value = f.fma(e, f.number(_LN2[0]), f.add(twice, f.fma(e, f.number(_LN2[1]), rest)))
    value = f.select(f.compare("oeq", "%x", f.number(0.0)), f.number(-math.inf), value)
    value = f.select(f.compare("ult", "%x", f.number(0.0)), f.number(math.nan), value)
    value = f.select(f.compare("oeq", "%x", f.number(math.inf)), f.number(math.inf), value)
    f.finish_vector(name, ["%x"], value)


def reciprocal(f: Function, x: str, n_rounds: int) -> str:
    """1 / x of a normal x by Newton's iteration; zero and infinity give NaN or infinity.

    The first guess, from the exponent's bits, is right to 5%; each round squares the error:
    3e-3, 7e-6, 5e-11, exact to 1 unit in the last place after four.
    """
    guess = f.integer("sub", f.module.splat_bits(_GUESS_BITS), f.as_bits(x))
    inverse = f.from_bits(guess)
    negative = f.neg(x)
    for _ in range(n_rounds):
        inverse = f.fma(f.fma(negative, inverse, f.number(1.0)), inverse, inverse)
    return inverse


def _sine(module: Module, name: str, quarter: int) -> None:
    """sin of x + quarter * pi / 2, x reduced by a whole number of quarters."""
    f, m = Function(module), module
    rounded = f.fma("%x", f.number(2.0 / math.pi), f.number(_ROUND))
    k = f.sub(rounded, f.number(_ROUND))
    r = "%x"
    for part in _HALF_PI:
        r = f.fma(k, f.number(-part), r)
    z = f.mul(r, r)
    sine = f.fma(f.mul(f.polynomial(z, _SIN), z), r, r)
    cosine = f.fma(f.polynomial(z, _COS), f.mul(z, z), f.fma(z, f.number(-0.5), f.number(1.0)))
    turns = f.integer("add", f.as_bits(rounded), m.splat_bits(quarter))
    odd = f.integer("and", turns, m.splat_bits(1))
    is_odd = f.line(f"icmp ne {m.bits} {odd}, {m.splat_bits(0)}")
    sign = f.integer("shl", f.integer("and", turns, m.splat_bits(2)), m.splat_bits(62))
    value = f.select(is_odd, cosine, sine)
    value = f.from_bits(f.integer("xor", f.as_bits(value), sign))
    is_small = f.compare("olt", f.intrinsic("fabs", "%x"), f.number(_LARGEST_ARGUMENT))
    f.finish_vector(name, ["%x"], f.select(is_small, value, f.number(math.nan)))


def _tanh(module: Module) -> None:
    """1 - 2 / (exp(2 x) + 1); near zero its series, where the difference would lose digits."""
    f = Function(module)
    e = f.call("exp", f.add("%x", "%x"))
    far = f.sub(f.number(1.0), f.div(f.number(2.0), f.add(e, f.number(1.0))))
    z = f.mul("%x", "%x")
    series = [-1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, 21844 / 6081075]
    near = f.fma(f.mul(f.polynomial(z, series), z), "%x", "%x")
    is_near = f.compare("olt", f.intrinsic("fabs", "%x"), f.number(0.05))
    f.finish_vector("tanh", ["%x"], f.select(is_near, near, far))

"""What SBML's constructs become."""

from __future__ import annotations

import numpy as np
import pytest
import symengine as se

from immunostat.base.errors import ModelError
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.check import check_system
from immunostat.model.expressions import free_names, substitute
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem


def read(lines: str) -> OdeSystem:
    """System of the lines of an Antimony model."""
    text = f"model test()\n{lines}\nend\n"
    system = system_from_sbml(flatten([Fragment(text, "test.ant")], "test"), "test")
    check_system(system)
    return system


def value(expression: object, values: dict[str, float]) -> float:
    """Number of an expression."""
    numbers = {name: se.RealDouble(v) for name, v in values.items()}
    return float(substitute(expression, numbers).n(real=True))


def rate_at(system: OdeSystem, state: str, **values: float) -> float:
    """Rate of a state where names have given values, others their defaults."""
    known = dict(zip(system.parameters, map(float, system.defaults), strict=True)) | values
    for name, expression in system.assignments:
        if free_names(expression) <= known.keys():
            known[name] = value(expression, known)
    return value(system.rates[system.states.index(state)], known)


def test_a_species_is_a_concentration_and_its_rate_is_per_volume() -> None:
    system = read("compartment C = 4; species X in C; X = 10; k = 0.5; R: X -> ; k * X")
    assert system.initial == (10,)
    # the law is amount per time: 0.5 * 10 / 4
    assert rate_at(system, "X", X=10.0) == pytest.approx(-1.25)


def test_a_substance_only_species_is_an_amount() -> None:
    system = read("compartment C = 4; substanceOnly species X in C; X = 10; R: X -> ; 0.5 * X")
    assert rate_at(system, "X", X=10.0) == pytest.approx(-5.0)


def test_initial_values_depend_on_parameters_alone() -> None:
    system = read(
        "k = 2; x = 3 * z; z := a + time; a = k^2; b = x + 1; x' = -b; y = x * b; y' = -y"
    )
    assert set().union(*(free_names(e) for e in system.initial)) <= set(system.parameters)
    values = dict(zip(system.parameters, map(float, system.defaults), strict=True))
    assert values["a"] == 4.0
    assert values["b"] == 13.0
    assert [value(e, values) for e in system.initial] == [12.0, 12.0 * 13.0]
    assert [name for name, _ in system.derived_parameters] == ["a", "b"]


def test_assignments_are_sorted_by_use() -> None:
    system = read("a := b + 1; b := c * 2; c := x; x = 1; x' = -a")
    assert [name for name, _ in system.assignments] == ["c", "b", "a"]


def test_assignments_in_a_circle_are_named() -> None:
    sbml = flatten([Fragment("model test()\na := x; b := x; x = 1; x' = a + b\nend", "t")], "test")
    head, body, end = sbml.partition('<assignmentRule variable="a">')
    circle = head + body + end.replace("<ci> x </ci>", "<ci> b </ci>", 1)
    head, body, end = circle.partition('<assignmentRule variable="b">')
    circle = head + body + end.replace("<ci> x </ci>", "<ci> a </ci>", 1)
    with pytest.raises(ModelError, match="circle"):
        system_from_sbml(circle, "test")


def test_stoichiometry_and_local_parameters() -> None:
    system = read("species X, Y; X = 1; Y = 0; k = 3; R: 2 X -> 3 Y; k * X")
    assert rate_at(system, "X", X=1.0, Y=0.0) == -6.0
    assert rate_at(system, "Y", X=1.0, Y=0.0) == 9.0


def test_boundary_species_do_not_change() -> None:
    system = read("species $X, Y; X = 2; Y = 0; R: X -> Y; X")
    assert system.states == ("Y",)
    assert "X" in system.parameters


def test_reactions_can_be_asked_for() -> None:
    assert "R" in read("species X; X = 2; R: X -> ; 0.1 * X").names


def test_functions_are_written_out() -> None:
    text = "function hill(x, k, n)\n x^n / (k^n + x^n)\nend\n"
    text += "model test()\nx = 1; x' = -hill(x, 2, 3)\nend\n"
    system = system_from_sbml(flatten([Fragment(text, "t")], "test"), "test")
    assert rate_at(system, "x", x=4.0) == pytest.approx(-64 / 72)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("piecewise(1, x > 2, 2, x > 0.5, 3)", 2.0),
        ("max(x, 0.2, 3) - min(x, 0.2)", 2.8),
        ("abs(-x) + floor(1.7) + ceil(1.2)", 4.0),
        ("ln(exp(2)) + log10(100) + sqrt(9) + root(3, 8)", 9.0),
        ("2^3^1 - -x", 9.0),
        ("sin(0) + cos(0) + tan(0) + arctan(0)", 1.0),
        ("piecewise(1, (x > 0 && x < 2) || false, 0)", 1.0),
        ("piecewise(1, !(x > 0), 4)", 4.0),
        ("time * 0 + pi - pi", 0.0),
        ("factorial(4)", 24.0),
    ],
)
def test_formulas(formula: str, expected: float) -> None:
    system = read(f"x = 1; x' = {formula}")
    assert rate_at(system, "x", x=1.0, time=0.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("x = 1; x' = -factorial(x)", "factorial"),
    ],
)
def test_unsupported_constructs_are_refused_by_name(lines: str, what: str) -> None:
    with pytest.raises(ModelError, match=what):
        read(lines)


def test_a_species_without_a_start_value_is_refused() -> None:
    with pytest.raises(ModelError, match="species 'X' has no initial value"):
        read("species X; R: X -> ; 0.1 * X")


def test_an_undefined_name_is_refused() -> None:
    sbml = flatten([Fragment("model test()\nx = 1; k = 2; x' = -k * x\nend", "t")], "test")
    with pytest.raises(ModelError, match="the name 'q' is not defined"):
        system_from_sbml(sbml.replace("<ci> k </ci>", "<ci> q </ci>"), "test")


def test_huge_powers_of_numbers_end_at_once() -> None:
    assert rate_at(read("x = 1; x' = 10^(10^9) * 0 + 10^300"), "x", x=1.0) != 0


def test_units_are_kept() -> None:
    system = read("unit nM = 1e-9 mole / litre; k = 2; k has nM; x = 1; x' = k")
    assert system.units["k"] == "nM"


def test_findings_list_what_is_odd() -> None:
    text = "model test()\nx = 1; x' = 0; k = 2; y = 1; y' = -q * y; var q\nend"
    system = system_from_sbml(flatten([Fragment(text, "t")], "test"), "test")
    findings = check_system(system)
    assert findings.unused_parameters == ("k",)
    assert findings.constant_states == ("x",)
    assert findings.missing_values == ("q",)
    assert len(findings.messages()) == 3
    assert np.isnan(system.defaults[system.parameters.index("q")])

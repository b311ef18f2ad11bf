"""Constructs of SBML beyond rates and reactions: delays, algebraic rules, rateOf, submodels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from immunostat.base.errors import ModelError
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten, load_model
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
MATH = 'xmlns="http://www.w3.org/1998/Math/MathML"'


def model(body: str) -> OdeSystem:
    text = f"model test()\n{body}\nend"
    return system_from_sbml(flatten([Fragment(text, "test.ant")], "test"), "test")


def course(system: OdeSystem, output: str, *times: float) -> list[float]:
    problem = EnsembleProblem(
        system, system.defaults[None, :], Schedule.empty(1), np.array(times), (output,)
    )
    return list(solve(problem, tolerance=Tolerance(1e-9, 1e-12), threads=1)[output][0])


def with_rules(rules: str, parameters: str) -> str:
    return (
        f'{HEAD}<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2">'
        f"<model><listOfParameters>{parameters}</listOfParameters>"
        f"<listOfRules>{rules}</listOfRules></model></sbml>"
    )


def parameter(name: str, value: float = 0.0) -> str:
    return f'<parameter id="{name}" value="{value}" constant="false"/>'


def algebraic(mathml: str) -> str:
    return f"<algebraicRule><math {MATH}>{mathml}</math></algebraicRule>"


def difference(a: str, b: str) -> str:
    return f"<apply><minus/><ci>{a}</ci><ci>{b}</ci></apply>"


GROWTH = f'<rateRule variable="x"><math {MATH}><cn>2</cn></math></rateRule>'


def test_an_algebraic_rule_determines_its_free_variable() -> None:
    text = with_rules(GROWTH + algebraic(difference("x", "y")), parameter("x", 1) + parameter("y"))
    assert course(system_from_sbml(text, "m"), "y", 0, 1) == pytest.approx([1, 3])


def test_coupled_algebraic_rules_are_solved_together() -> None:
    # 0 = y + z - x and 0 = y - z: both are half of x
    total = "<apply><minus/><apply><plus/><ci>y</ci><ci>z</ci></apply><ci>x</ci></apply>"
    names = parameter("x", 4) + parameter("y") + parameter("z")
    text = with_rules(GROWTH + algebraic(total) + algebraic(difference("y", "z")), names)
    assert course(system_from_sbml(text, "m"), "z", 0, 1) == pytest.approx([2, 3])


def test_an_algebraic_rule_that_is_not_linear_is_refused() -> None:
    square = "<apply><minus/><apply><times/><ci>y</ci><ci>y</ci></apply><ci>x</ci></apply>"
    text = with_rules(GROWTH + algebraic(square), parameter("x", 1) + parameter("y"))
    with pytest.raises(ModelError, match=r"algebraic rule .* not linear in y"):
        system_from_sbml(text, "m")


def test_an_algebraic_rule_without_a_free_variable_is_refused() -> None:
    text = with_rules(GROWTH + algebraic(difference("x", "k")), parameter("x") + parameter("k"))
    fixed = text.replace('id="k" value="0.0" constant="false"', 'id="k" value="0" constant="true"')
    with pytest.raises(ModelError, match="determined elsewhere"):
        system_from_sbml(fixed, "m")


def test_rate_of_an_assignment_is_its_total_derivative() -> None:
    # the concentration of a constant amount in a growing volume is 1/(1 + t)
    body = "compartment C; C = 1; C' = 1; species S in C; S = 1; J: S -> ; 0*S; r := rateOf(S);"
    system = model(body)
    right = [-1 / (1 + t) ** 2 for t in (0.0, 1.0, 2.0)]
    assert course(system, "r", 0, 1, 2) == pytest.approx(right, abs=1e-8)


def test_a_delay_gives_the_past_and_before_the_start_the_first_value() -> None:
    system = model("x = 3; x' = 2; y := delay(x, 1.5);")
    assert course(system, "y", 0, 1, 2, 3) == pytest.approx([3, 3, 4, 6], abs=1e-8)


def test_a_delay_differential_equation_meets_its_solution_by_steps() -> None:
    # x' = -x(t - 1), x = 1 before: 1 - t up to 1, then 1 - t + (t - 1)^2/2 up to 2
    system = model("x = 1; x' = -delay(x, 1);")
    assert course(system, "x", 0.5, 1, 1.5, 2) == pytest.approx([0.5, 0, -0.375, -0.5], abs=1e-6)


def test_a_short_pulse_in_time_is_not_stepped_over_where_there_are_events() -> None:
    body = "x = 0; x' = piecewise(1000, time >= 70 && time < 70.001, 0); n = 0;"
    system = model(body + "at x > 0.5: n = 1;")
    assert course(system, "x", 60, 80) == pytest.approx([0, 1], abs=1e-6)
    assert course(system, "n", 60, 80) == [0, 1]


def test_constraints_are_noted_and_not_checked() -> None:
    text = with_rules(GROWTH, parameter("x", 1)).replace(
        "</listOfRules>",
        f"</listOfRules><listOfConstraints><constraint><math {MATH}><apply><lt/><ci>x</ci>"
        "<cn>2</cn></apply></math></constraint></listOfConstraints>",
    )
    system = system_from_sbml(text, "m")
    assert system.notes == ("1 constraint(s) of the file are not checked",)
    assert course(system, "x", 0, 9) == pytest.approx([1, 19])


def test_an_event_on_what_a_rule_determines_is_refused() -> None:
    with pytest.raises(ModelError, match="'y' conflicts"):
        model("x = 1; x' = 1; y := x; at time > 1: y = 3;")


def comp(source: str) -> str:
    return (
        f'{HEAD}<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" '
        'xmlns:comp="http://www.sbml.org/sbml/level3/version1/comp/version1" level="3" version="2" '
        'comp:required="true"><model id="top"><comp:listOfSubmodels><comp:submodel comp:id="A" '
        'comp:modelRef="part"/></comp:listOfSubmodels></model>'
        '<comp:listOfExternalModelDefinitions><comp:externalModelDefinition comp:id="part" '
        f'comp:source="{source}"/></comp:listOfExternalModelDefinitions></sbml>'
    )


@pytest.mark.parametrize(
    "source", ["../secret.xml", "/etc/passwd", "http://example.org/a.xml", "file:///etc/passwd"]
)
def test_a_submodel_from_somewhere_else_is_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not beside it"):
        system_from_sbml(comp(source), "m", None, tmp_path)


def test_a_submodel_from_a_file_beside_the_model_is_joined(tmp_path: Path) -> None:
    part = flatten([Fragment("model part()\nx = 1; x' = 2;\nend", "p.ant")], "part")
    (tmp_path / "part.xml").write_text(part)
    (tmp_path / "top.xml").write_text(comp("part.xml"))
    assert course(load_model(tmp_path / "top.xml"), "A__x", 0, 1) == pytest.approx([1, 3])
    with pytest.raises(ModelError, match=r"'gone\.xml' of a submodel is missing"):
        system_from_sbml(comp("gone.xml"), "m", None, tmp_path)


def test_flux_balance_is_refused_by_name() -> None:
    fbc = (
        f'{HEAD}<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" '
        'xmlns:fbc="http://www.sbml.org/sbml/level3/version1/fbc/version1" level="3" version="1" '
        'fbc:required="false"><model><listOfReactions><reaction id="J" reversible="false" '
        'fast="false"/></listOfReactions><fbc:listOfObjectives fbc:activeObjective="o">'
        '<fbc:objective fbc:id="o" fbc:type="maximize"><fbc:listOfFluxObjectives>'
        '<fbc:fluxObjective fbc:reaction="J" fbc:coefficient="1"/></fbc:listOfFluxObjectives>'
        "</fbc:objective></fbc:listOfObjectives></model></sbml>"
    )
    with pytest.raises(ModelError, match=r"flux balance \(fbc\)"):
        system_from_sbml(fbc, "m")


def test_units_of_the_file_are_kept() -> None:
    body = "unit nM = 1e-9 mole / litre; unit day = 86400 second; unit time_unit = day;"
    body += "compartment C; C = 1; species S in C; S = 1; J: S -> ; k*S; k = 1; k has day;"
    system = model(body)
    assert system.units["k"] == "day"
    assert system.units["time"] == "day"

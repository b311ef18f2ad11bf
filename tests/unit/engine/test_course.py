"""One course of a model: doses in words, settings by name, clear words on failure."""

from __future__ import annotations

import math

import pytest

from immunostat.base.errors import InputError, ModelError, UnknownNameError
from immunostat.engine.course import DoseLine, dose_line, simulate_course
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem


def model(body: str) -> OdeSystem:
    text = f"model test()\n{body}\nend"
    return system_from_sbml(flatten([Fragment(text, "test.ant")], "test"), "test")


DECAY = "x = 1; x' = -k*x; k = 1;"


def last(system: OdeSystem, output: str, **more: object) -> float:
    solution = simulate_course(system, [0.0, 2.0], outputs=[output], **more)  # type: ignore[arg-type]
    return float(solution.trajectories[output][0, -1])


def test_a_dose_in_words_is_read_whole() -> None:
    line = dose_line("100 into central at 2 every 24 times 5 over 1.5")
    assert line == DoseLine(100.0, "central", 2.0, 24.0, 5, 1.5)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("100", "is no dose"),
        ("much central", "is no dose"),
        ("100 central at 1 at 2", "says 'at' twice"),
        ("100 central times 3", "without saying 'every'"),
        ("100 central every 1 times 1.5", "whole number"),
        ("100 central every 1 times 999999", "whole number"),
        ("100 central over -1", "not negative"),
    ],
)
def test_a_dose_that_makes_no_sense_is_refused_with_an_example(text: str, part: str) -> None:
    with pytest.raises(InputError, match=part) as refused:
        dose_line(text)
    assert "for example" in str(refused.value)


def test_a_setting_changes_a_parameter_or_a_start_value() -> None:
    system = model(DECAY)
    assert last(system, "x", settings={"k": 2.0}) == pytest.approx(math.exp(-4), rel=1e-6)
    assert last(system, "x", settings={"x": 3.0}) == pytest.approx(3 * math.exp(-2), rel=1e-6)


def test_a_setting_replaces_an_initial_assignment() -> None:
    system = model("x = 1; x' = -k*x; a = 2; k = a / 2;")
    assert last(system, "x", settings={"k": 0.5}) == pytest.approx(math.exp(-1), rel=1e-6)
    assert last(system, "x", settings={"a": 1.0}) == pytest.approx(math.exp(-1), rel=1e-6)


def test_two_half_doses_equal_one_dose() -> None:
    system = model("x = 0; x' = -x;")
    two = [dose_line("5 x at 0"), dose_line("5 x at 0")]
    assert last(system, "x", doses=two) == pytest.approx(
        last(system, "x", doses=[dose_line("10 x")])
    )


@pytest.mark.parametrize("name", ["kk", "y"])
def test_a_name_that_cannot_be_set_is_refused_with_near_ones(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"'{name}' cannot be set"):
        simulate_course(model(DECAY + "y := x;"), [0, 1], {name: 1.0})


def test_a_blow_up_is_said_with_time_and_state() -> None:
    # x' = x^2 from 1 reaches infinity at 1
    with pytest.raises(ModelError) as failure:
        simulate_course(model("x = 1; x' = x^2; slow = 1; slow' = -0.1*slow;"), [0, 2])
    text = str(failure.value)
    assert "could not be solved past time 1" in text or "past time 0.99" in text
    assert "'x' moved fastest" in text
    assert "look for" in text


def test_a_parameter_without_a_value_is_named() -> None:
    with pytest.raises(ModelError, match="parameter 'k' has no value"):
        simulate_course(model("x = 1; x' = -k*x; k has day; unit day = 86400 second;"), [0, 2])

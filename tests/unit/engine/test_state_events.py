"""Events of a model: when they happen, in what order, and what they set."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solution import Status, Trajectories
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem

#: LSODA at 1e-10 over a few units of time: what is analytic is met to this.
NEAR = 1e-7


def model(body: str) -> OdeSystem:
    text = f"model test()\n{body}\nend"
    return system_from_sbml(flatten([Fragment(text, "test.ant")], "test"), "test")


def run(
    system: OdeSystem,
    times: list[float],
    *outputs: str,
    events: list[Event] | None = None,
    **parameters: list[float],
) -> Trajectories:
    n = max([len(v) for v in parameters.values()], default=1)
    table = np.tile(system.defaults, (n, 1))
    for name, values in parameters.items():
        table[:, system.parameters.index(name)] = values
    schedule = Schedule.of_events(system, [events or []] * n)
    problem = EnsembleProblem(system, table, schedule, np.array(times), outputs)
    return solve(problem, tolerance=Tolerance(1e-8, 1e-12), threads=1)


def test_a_threshold_is_crossed_at_its_analytic_time() -> None:
    system = model("x = 1; x' = -x; seen = -1; at x < 0.5: seen = time;")
    found = run(system, [0, 1, 2], "seen")
    assert found["seen"][0] == pytest.approx([-1, np.log(2), np.log(2)], abs=NEAR)


def test_an_event_at_a_stated_time_happens_at_that_very_time() -> None:
    system = model("x = 0; x' = 1; seen = -1; at time >= 3: seen = time;")
    assert run(system, [2, 3, 4], "seen")["seen"][0].tolist() == [-1, 3, 3]


def test_a_bouncing_ball_keeps_its_period() -> None:
    # from height 1 with gravity 2 it falls for 1 and then bounces every 2 time units
    system = model("h = 1; v = 0; h' = v; v' = -2; n = 0; at h < 0: v = -v, n = n + 1, h = 0;")
    found = run(system, [0.5, 2, 4, 6, 8], "h", "n")
    assert found["h"][0] == pytest.approx([0.75, 1, 1, 1, 1], abs=1e-5)
    assert found["n"][0].tolist() == [0, 1, 2, 3, 4]


def test_a_delayed_event_uses_values_of_its_trigger_or_of_its_time() -> None:
    body = "x = 0; x' = 1; a = 0; b = 0;"
    body += "at 2 after time >= 1: a = x; at 2 after time >= 1, fromTrigger=false: b = x;"
    found = run(model(body), [2.9, 3.1], "a", "b")
    assert found["a"][0] == pytest.approx([0, 1], abs=NEAR)
    assert found["b"][0] == pytest.approx([0, 3], abs=NEAR)


def test_an_event_that_does_not_persist_is_cancelled() -> None:
    pulse = "x := piecewise(1, time < 2, 0); a = 0; b = 0; y = 0; y' = 0;"
    body = pulse + "at 3 after x > 0.5, t0=false, persistent=false: a = 1;"
    body += "at 3 after x > 0.5, t0=false: b = 1;"
    found = run(model(body), [4.0], "a", "b")
    assert (found["a"][0, 0], found["b"][0, 0]) == (0, 1)


def test_a_trigger_that_is_true_at_the_start_fires_only_if_it_counts_as_false_before() -> None:
    system = model("a = 0; b = 0; x = 0; x' = 0; at x < 1: a = 1; at x < 1, t0=false: b = 1;")
    found = run(system, [0.0, 1.0], "a", "b")
    assert found["a"][0].tolist() == [0, 0]
    assert found["b"][0].tolist() == [1, 1]


def test_of_events_at_one_time_the_highest_priority_comes_first() -> None:
    body = "a = 0; x = 0; x' = 0;"
    body += "at time >= 1, priority=1, fromTrigger=false: a = a + 1;"
    body += "at time >= 1, priority=2, fromTrigger=false: a = a * 10 + 5;"
    assert run(model(body), [2.0], "a")["a"][0, 0] == 6


def test_events_of_equal_priority_come_in_an_order_that_repeats_and_varies_by_patient() -> None:
    body = "a = 0; x = 0; x' = 0; k = 1;"
    body += "at time >= 1, priority=1, fromTrigger=false: a = a + k;"
    body += "at time >= 1, priority=1, fromTrigger=false: a = a * 2 + k;"
    system = model(body)
    many = run(system, [2.0], "a", k=[1.0] * 32)["a"][:, 0]
    assert set(many) == {2.0, 3.0}
    assert (run(system, [2.0], "a", k=[1.0] * 8)["a"][:, 0] == many[:8]).all()


def test_a_volume_that_an_event_changes_keeps_amounts() -> None:
    body = "compartment C; species S in C; C = 2; S = 3; J: S -> ; 0*S; at time >= 1: C = 1; var C;"
    found = run(model(body), [0.0, 2.0], "S", "C")
    assert found["S"][0].tolist() == [3, 6]


def test_doses_of_a_schedule_and_events_of_the_model_work_together() -> None:
    system = model("x = 0; x' = 0; n = 0; at x > 5: x = 0, n = n + 1;")
    doses = [Event(float(t), Action.ADD, "x", 4.0) for t in (1, 2, 3, 4)]
    found = run(system, [0.5, 1.5, 2.5, 3.5, 4.5], "x", "n", events=doses)
    assert found["x"][0].tolist() == [0, 4, 0, 4, 0]
    assert found["n"][0].tolist() == [0, 0, 1, 1, 2]


def test_a_sample_at_a_dose_is_taken_before_it_and_one_at_an_event_after_it() -> None:
    system = model("x = 1; x' = 0; y = 0; at time >= 2: y = 7;")
    found = run(system, [2.0], "x", "y", events=[Event(2.0, Action.ADD, "x", 1.0)])
    assert found.values[0, 0].tolist() == [1, 7]


def test_an_infusion_into_a_model_with_events_equals_its_rate() -> None:
    system = model("x = 0; x' = 0; y = 0; at x > 100: y = 1;")
    events = [Event(1.0, Action.RATE, "x", 2.0), Event(3.0, Action.RATE, "x", -2.0)]
    assert run(system, [1, 2, 3, 9], "x", events=events)["x"][0] == pytest.approx([0, 2, 4, 4])


def test_endless_events_cost_only_their_patient() -> None:
    system = model("x = 0; x' = 1; a = 0; k = 0; at a < k * time, t0=false: a = -a - 1;")
    found = run(system, [0.0, 1.0, 2.0], "x", k=[0.0, 1.0, 0.0])
    alone = run(system, [0.0, 1.0, 2.0], "x", k=[0.0])
    assert found.status.tolist()[::2] == [Status.OK, Status.OK]
    assert (found.values[0] == alone.values[0]).all()
    assert (found.values[2] == alone.values[0]).all()


def test_events_that_set_each_other_off_without_end_are_a_status() -> None:
    body = "a = 0; b = 1; x = 0; x' = 0; on = 1;"
    body += "at and(on > 0, a < b), t0=false: a = b + 1;"
    body += "at and(on > 0, b < a), t0=false: b = a + 1;"
    found = run(model(body), [0.0, 1.0], "a", on=[0.0, 1.0])
    assert found.status.tolist() == [Status.OK, Status.EVENT_STORM]
    assert np.isnan(found["a"][1]).all()


def test_a_patient_whose_parameter_is_missing_has_a_status_and_others_do_not() -> None:
    system = model("x = 1; x' = -k*x; k = 1; n = 0; at x < 0.5: n = 1;")
    found = run(system, [0.0, 1.0], "x", "n", k=[1.0, np.nan, 2.0])
    assert found.status.tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]


def test_an_event_that_keeps_a_state_from_negative_round_off_ends() -> None:
    system = model("x = 1; y = 0; x' = -3*x + 2*y; y' = -2*y; n = 0; at x < 0: x = 0, n = n + 1;")
    found = run(system, [0.0, 50.0], "x", "n")
    assert found.is_ok.all()
    assert abs(found["x"][0, -1]) < 1e-12


def test_a_model_without_states_lets_time_pass() -> None:
    system = model("a := time^2; b = 0; at time >= 1.5: b = a;")
    found = run(system, [1.0, 2.0], "a", "b")
    assert found["a"][0].tolist() == [1, 4]
    assert found["b"][0].tolist() == [0, 2.25]

"""Doses, samples, failures and problems with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from immunostat.base.errors import ModelError, RangeError
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solution import Status, Trajectories
from immunostat.engine.solve import solve
from immunostat.model.system import OdeSystem

#: Local errors of 1e-9 add up over some hundred steps: answers are compared at 1e-7.
TIGHT = Tolerance(1e-9, 1e-12)
CLOSE = 1e-7

ONE_COMPARTMENT = "ke = 0.3; A = 0; A' = -ke * A"
TWO_COMPARTMENTS = (
    "ka = 1.1; ke = 0.3; depot = 0; A = 0; gone = 0\n"
    "depot' = -ka * depot; A' = ka * depot - ke * A; gone' = ke * A"
)


def run(
    system: OdeSystem,
    events: list[Event],
    times: list[float],
    outputs: tuple[str, ...],
    tolerance: Tolerance = TIGHT,
    **others: object,
) -> Trajectories:
    """One patient with the defaults."""
    problem = EnsembleProblem(
        system,
        system.defaults[None, :],
        Schedule.of_events(system, [events]),
        np.array(times),
        outputs,
        **others,  # type: ignore[arg-type]
    )
    return solve(problem, tolerance=tolerance)


def test_bolus_falls_exponentially(make_system) -> None:
    times = [0.0, 0.5, 1.0, 2.0, 5.0, 10.0]
    result = run(make_system(ONE_COMPARTMENT), [Event(1.0, Action.ADD, "A", 7.0)], times, ("A",))
    late = np.array(times) > 1.0  # the sample at the dose is before the dose
    expected = np.where(late, 7.0 * np.exp(-0.3 * (np.array(times) - 1.0)), 0.0)
    np.testing.assert_allclose(result["A"][0], expected, rtol=CLOSE, atol=1e-10)


def test_two_half_doses_equal_one_dose(make_system) -> None:
    system, times = make_system(TWO_COMPARTMENTS), [1.0, 2.0, 6.0]
    whole = run(system, [Event(0.5, Action.ADD, "depot", 8.0)], times, ("A",))
    halves = [Event(0.5, Action.ADD, "depot", 4.0)] * 2
    assert (run(system, halves, times, ("A",)).values == whole.values).all()


def test_doses_superpose_in_a_linear_model(make_system) -> None:
    system, times = make_system(TWO_COMPARTMENTS), [1.0, 3.0, 4.0, 9.0]
    first, second = Event(0.0, Action.ADD, "depot", 5.0), Event(2.5, Action.ADD, "A", 3.0)
    both = run(system, [first, second], times, ("A",)).values
    apart = [run(system, [dose], times, ("A",)).values for dose in (first, second)]
    np.testing.assert_allclose(both, apart[0] + apart[1], rtol=CLOSE)


def test_drug_amount_is_conserved(make_system) -> None:
    events = [Event(d, Action.ADD, "depot", 2.0) for d in (0.0, 1.0, 2.0)]
    result = run(make_system(TWO_COMPARTMENTS), events, [0.5, 1.5, 5.0], ("depot", "A", "gone"))
    np.testing.assert_allclose(result.values[0].sum(1), [2.0, 4.0, 6.0], rtol=1e-12)


def test_infusion_equals_a_rate_in_the_model(make_system) -> None:
    infused = run(
        make_system(ONE_COMPARTMENT),
        [Event(1.0, Action.RATE, "A", 2.0), Event(3.0, Action.RATE, "A", -2.0)],
        [0.5, 1.0, 2.0, 3.0, 4.0],
        ("A",),
    )
    written = run(
        make_system("ke = 0.3; R = 0; A = 0; A' = R - ke * A"),
        [Event(1.0, Action.SET, "R", 2.0), Event(3.0, Action.SET, "R", 0.0)],
        [0.5, 1.0, 2.0, 3.0, 4.0],
        ("A",),
    )
    np.testing.assert_allclose(infused.values, written.values, rtol=CLOSE)
    assert infused["A"][0, 3] == pytest.approx(2.0 / 0.3 * (1 - math.exp(-0.6)), rel=CLOSE)


def test_state_is_replaced_and_parameter_set(make_system) -> None:
    events = [Event(1.0, Action.REPLACE, "A", 4.0), Event(2.0, Action.SET, "ke", 1.0)]
    result = run(make_system(ONE_COMPARTMENT), events, [2.0, 3.0], ("A", "ke"))
    expected = [[4 * math.exp(-0.3), 0.3], [4 * math.exp(-1.3), 1.0]]
    np.testing.assert_allclose(result.values[0], expected, rtol=CLOSE)


def test_sample_within_round_off_of_a_dose_is_before_it(make_system) -> None:
    dose = Event(0.3, Action.ADD, "A", 1.0)
    result = run(make_system(ONE_COMPARTMENT), [dose], [0.1 * 3, 0.5], ("A",))
    assert 0.1 * 3 > 0.3  # the reason for the rule
    assert result["A"][0, 0] == 0.0
    assert result["A"][0, 1] > 0.9


def test_events_at_the_last_sample_do_not_count(make_system) -> None:
    result = run(make_system(ONE_COMPARTMENT), [Event(2.0, Action.ADD, "A", 1.0)], [2.0], ("A",))
    assert result.final_states[0, 0] == 0.0


def test_dose_at_the_start_comes_after_the_first_sample(make_system) -> None:
    result = run(make_system(ONE_COMPARTMENT), [Event(0, Action.ADD, "A", 1.0)], [0, 1], ("A",))
    np.testing.assert_allclose(result["A"][0], [0.0, math.exp(-0.3)], rtol=CLOSE)


def test_samples_do_not_change_the_steps(make_system) -> None:
    system = make_system("x = 2; v = 0; x' = v; v' = 5 * (1 - x^2) * v - x")
    few = run(system, [], [20.0], ("x",))
    many = run(system, [], list(np.linspace(0, 20, 2001)), ("x",))
    assert few.accepted == many.accepted
    assert few["x"][0, -1] == many["x"][0, -1]


def test_dense_output_is_as_right_as_the_steps(make_system) -> None:
    times = np.linspace(0, 20, 501)
    result = run(make_system("x = 1; v = 0; x' = v; v' = -x"), [], list(times), ("x",))
    np.testing.assert_allclose(result["x"][0], np.cos(times), atol=2e-7)


def test_given_initial_states_are_used(make_system) -> None:
    result = run(
        make_system(ONE_COMPARTMENT), [], [0.0, 1.0], ("A",), initial_states=np.array([[3.0]])
    )
    np.testing.assert_allclose(result["A"][0], [3.0, 3 * math.exp(-0.3)], rtol=CLOSE)


def test_start_need_not_be_zero(make_system) -> None:
    result = run(
        make_system("x = 0; x' = time"),
        [Event(6.0, Action.ADD, "x", 1)],
        [5.0, 7.0],
        ("x",),
        start=5.0,
    )
    np.testing.assert_allclose(result["x"][0], [0.0, 13.0], rtol=CLOSE)


def test_derived_parameters_follow_the_patient(make_system) -> None:
    system = make_system("CL = 2; V = 4; ke = CL / V; A = 3 * ke; A' = -ke * A")
    parameters = np.array([system.defaults, system.defaults])
    parameters[1, system.parameters.index("CL")] = 4.0
    problem = EnsembleProblem(
        system, parameters, Schedule.empty(2), np.array([0.0, 1.0]), ("A", "ke")
    )
    result = solve(problem, tolerance=TIGHT)
    np.testing.assert_array_equal(result["ke"], [[0.5, 0.5], [1.0, 1.0]])
    np.testing.assert_allclose(
        result["A"][:, 1], [1.5 * math.exp(-0.5), 3 * math.exp(-1)], rtol=CLOSE
    )


def test_robertson_to_a_hundred_billion(make_system) -> None:
    system = make_system(
        "y1 = 1; y2 = 0; y3 = 0; y1' = -0.04 * y1 + 1e4 * y2 * y3\n"
        "y2' = 0.04 * y1 - 1e4 * y2 * y3 - 3e7 * y2^2; y3' = 3e7 * y2^2"
    )
    result = run(system, [], [1e11], ("y1", "y2", "y3"), Tolerance(1e-8, 1e-18))
    # Test Set for IVP Solvers 2.4 (Mazzia, Magherini 2008), problem ROBER
    expected = [0.2083340149701255e-07, 0.8333360770334713e-13, 0.9999999791665050]
    # errors of slow components add up over eleven decades
    np.testing.assert_allclose(result.values[0, 0], expected, rtol=1e-5)


def test_van_der_pol_with_mu_of_a_thousand(make_system) -> None:
    system = make_system("x = 2; v = -0.66; x' = v; v' = ((1 - x^2) * v - x) / 1e-6")
    result = run(system, [], [2.0], ("x", "v"), Tolerance(1e-9, 1e-9))
    # Test Set for IVP Solvers 2.4, problem VDPOL: the form with epsilon = 1 / mu**2
    expected = [0.1706167732170483e1, -0.8928097010247975]
    np.testing.assert_allclose(result.values[0, 0], expected, rtol=1e-6)


def test_linear_stiff_system_reaches_its_smooth_solution(make_system) -> None:
    # Prothero and Robinson: x = cos t whatever the rate of attraction
    system = make_system("L = 1e6; x = 1; x' = -L * (x - cos(time)) - sin(time)")
    result = run(system, [], [1.0, 3.0], ("x",))
    # the sample at the end is a step's; the one inside is interpolated, with lower order when stiff
    assert result["x"][0, 1] == pytest.approx(np.cos(3.0), abs=1e-8)
    assert result["x"][0, 0] == pytest.approx(np.cos(1.0), abs=3e-6)
    assert result.accepted[0] < 2000


def test_round_off_below_zero_under_a_fraction_is_zero(make_system) -> None:
    # a drug that decays through 300 decades, and a Hill exponent that is no whole number
    system = make_system("n = 1.3; A = 1; A' = -40 * A; E = 0; E' = A^n / (0.5^n + A^n) - E")
    result = run(system, [], [50.0], ("A", "E"), Tolerance(1e-4, 1e-6))
    assert result.status[0] == Status.OK
    assert abs(result.values[0, 0]).max() < 1e-5


def test_a_state_that_falls_below_zero_under_a_fraction_fails_by_name(make_system) -> None:
    system = make_system("n = 0.7; x = 1; x' = -1 - 0.1 * x^n")
    result = run(system, [], [0.5, 2.0], ("x",), Tolerance())
    assert result.status[0] == Status.NOT_FINITE
    assert 0.8 < result.status_times[0] < 1.0
    assert np.isfinite(result["x"][0, 0])
    assert np.isnan(result["x"][0, 1])
    assert np.isnan(result.final_states).all()


def test_growth_without_bound_fails_at_its_time(make_system) -> None:
    result = run(make_system("x = 1; x' = x^2"), [], [0.5, 2.0], ("x",))
    assert result.status[0] in (Status.STEP_TOO_SMALL, Status.NOT_FINITE)
    assert result.status_times[0] == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(result["x"][0], [2.0, np.nan], rtol=CLOSE)


def test_too_many_steps_are_said(make_system) -> None:
    system = make_system("x = 1; v = 0; x' = v; v' = -x")
    problem = EnsembleProblem(
        system, np.zeros((1, 0)), Schedule.empty(1), np.array([1.0, 1e4]), ("x",)
    )
    result = solve(problem, max_steps=100)
    assert result.status[0] == Status.TOO_MANY_STEPS
    assert result.accepted[0] + result.rejected[0] == 100


def test_time_alone_can_be_asked_for(make_system) -> None:
    problem = EnsembleProblem(
        make_system(ONE_COMPARTMENT), np.full((3, 1), 0.3), Schedule.empty(3), np.zeros(0), ("A",)
    )
    assert solve(problem).values.shape == (3, 0, 1)


def test_no_patients_give_no_rows(make_system) -> None:
    problem = EnsembleProblem(
        make_system(ONE_COMPARTMENT), np.zeros((0, 1)), Schedule.empty(0), np.arange(3.0), ("A",)
    )
    assert solve(problem).values.shape == (0, 3, 1)


def test_wrong_questions_are_refused(make_system) -> None:
    system = make_system(ONE_COMPARTMENT)
    with pytest.raises(ModelError, match="nothing called 'B'"):
        run(system, [], [1.0], ("B",))
    with pytest.raises(RangeError, match="ascending"):
        run(system, [], [1.0, 0.5], ("A",))
    with pytest.raises(RangeError, match="before the start"):
        run(system, [], [-1.0], ("A",))
    with pytest.raises(RangeError, match="event on day -1"):
        run(system, [Event(-1.0, Action.ADD, "A", 1.0)], [1.0], ("A",))
    with pytest.raises(RangeError, match="unknown method 'euler'"):
        solve(
            EnsembleProblem(system, np.ones((1, 1)), Schedule.empty(1), np.ones(1), ("A",)),
            method="euler",
        )


def test_unsorted_events_are_refused(make_system) -> None:
    system = make_system(ONE_COMPARTMENT)
    schedule = Schedule(
        np.array([0, 0, 2]), np.array([2.0, 1.0]), np.zeros(2, int), np.zeros(2, int), np.ones(2)
    )
    problem = EnsembleProblem(system, np.ones((2, 1)), schedule, np.ones(1), ("A",))
    with pytest.raises(RangeError, match="patient 1 are not sorted"):
        solve(problem)


def test_a_pulse_in_time_is_seen_by_a_system_at_rest(make_system) -> None:
    system = make_system(
        "x = 0; x' = piecewise(sin(time)^2, time < 3.141592653589793, 0) - 0.1 * x"
    )
    result = run(system, [], [50.0], ("x",), Tolerance(1e-6, 1e-9))
    # integral of sin(t)**2 exp(-0.1 (50 - t)) from 0 to pi
    a, end = 0.1, math.pi
    inside = (math.exp(a * end) - 1) / (2 * a) - (math.exp(a * end) - 1) * a / (2 * (a**2 + 4))
    assert result["x"][0, 0] == pytest.approx(math.exp(-5.0) * inside, rel=1e-4)

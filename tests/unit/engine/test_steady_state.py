"""Where patients come to rest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from immunostat.base.errors import ModelError, ShapeError
from immunostat.engine.frames import solve as solve_frames
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.engine.steady_state import SteadyStatus, steady_state

TURNOVER = "ksyn = 2; kdeg = 0.5; T = 0; T' = ksyn - kdeg * T"
FEEDBACK = (
    "k = 1; n = 1.7; K = 0.6; s = 2; A = 0.1; B = 0.1; C = 1\n"
    "hill := C^n / (K^n + C^n); A' = s / (1 + C) - k * A; B' = A * (1 + hill) - 0.3 * B\n"
    "C' = 0.01 * B - 0.02 * C * (1 + A)"
)


def test_turnover_rests_at_synthesis_over_degradation(make_system) -> None:
    system = make_system(TURNOVER)
    rng = np.random.default_rng(0)
    parameters = system.defaults * rng.lognormal(0, 1, (101, 2))
    found = steady_state(system, parameters)
    assert found.is_ok.all()
    ksyn, kdeg = (parameters[:, system.parameters.index(n)] for n in ("ksyn", "kdeg"))
    np.testing.assert_allclose(found.states[:, 0], ksyn / kdeg, rtol=1e-12)
    assert found.steps.max() < 20


def test_an_infusion_that_never_ends_rests_at_rate_over_clearance(make_system) -> None:
    system = make_system("k = 0.2; A = 0; A' = -k * A")
    found = steady_state(system, np.array([[0.2], [0.5]]), inputs=np.array([[3.0], [3.0]]))
    np.testing.assert_allclose(found.states[:, 0], [15.0, 6.0], rtol=1e-12)


def test_it_is_where_a_long_integration_ends(make_system) -> None:
    system = make_system(FEEDBACK)
    rng = np.random.default_rng(1)
    parameters = system.defaults * rng.lognormal(0, 0.4, (50, system.n_parameters))
    found = steady_state(system, parameters)
    assert found.is_ok.all()
    problem = EnsembleProblem(system, parameters, Schedule.empty(50), np.array([5000.0]), ())
    end = solve(problem, tolerance=Tolerance(1e-9, 1e-12)).final_states
    # the integration keeps the error of its last steps, some tolerances
    np.testing.assert_allclose(found.states, end, rtol=1e-7)


def test_a_conserved_total_is_kept(make_system) -> None:
    system = make_system("a = 0.3; b = 0.1; x = 1; y = 4; x' = -a * x + b * y; y' = a * x - b * y")
    found = steady_state(system, system.defaults[None, :])
    # x + y = 5 and a x = b y
    np.testing.assert_allclose(found.states[0], [1.25, 3.75], rtol=1e-7)


def test_of_two_stable_states_it_is_the_one_the_patient_goes_to(make_system) -> None:
    system = make_system("x = 0.4; x' = 0.02 + 1.2 * x^4 / (0.5 + x^4) - 0.7 * x")
    start = np.linspace(0.05, 2.0, 40)[:, None]
    parameters = np.zeros((40, system.n_parameters))
    found = steady_state(system, parameters, start=start)
    problem = EnsembleProblem(
        system, parameters, Schedule.empty(40), np.array([1e4]), (), 0.0, start
    )
    end = solve(problem, tolerance=Tolerance(1e-9, 1e-12)).final_states
    assert found.is_ok.all()
    assert len(np.unique(end.round(3))) == 2
    np.testing.assert_allclose(found.states, end, rtol=1e-6)


def test_a_rest_that_the_least_disturbance_ends_is_called_unstable(make_system) -> None:
    system = make_system("r = 1; x = 0; x' = r * x * (1 - x)")
    found = steady_state(system, np.array([[1.0], [-1.0]]))
    assert found.status.tolist() == [SteadyStatus.UNSTABLE, SteadyStatus.OK]
    unchecked = steady_state(system, np.array([[1.0], [-1.0]]), checks_stability=False)
    assert unchecked.is_ok.all()


def test_what_never_rests_is_said(make_system) -> None:
    system = make_system("a = 1; b = 0; x = 1; x' = a - b * x")
    found = steady_state(system, np.array([[1.0, 0.0], [1.0, 1.0], [np.nan, 1.0]]))
    expected = [SteadyStatus.NOT_SETTLED, SteadyStatus.OK, SteadyStatus.NOT_FINITE]
    assert found.status.tolist() == expected
    assert np.isnan(found.states[[0, 2]]).all()


def test_a_cycle_has_no_stable_rest(make_system) -> None:
    system = make_system("x = 1; y = 1; x' = 1 - 4 * x + x^2 * y; y' = 3 * x - x^2 * y")
    found = steady_state(system, np.zeros((1, 0)))  # the Brusselator beyond its bifurcation
    assert not found.is_ok[0]


def test_a_patient_does_not_depend_on_the_others(make_system) -> None:
    system = make_system(FEEDBACK)
    rng = np.random.default_rng(1)
    parameters = system.defaults * rng.lognormal(0, 0.4, (37, system.n_parameters))
    whole = steady_state(system, parameters)
    broken = parameters.copy()
    broken[3] = np.nan
    again = steady_state(system, broken)
    others = np.setdiff1d(np.arange(37), [3])
    assert again.states[others].tobytes() == whole.states[others].tobytes()
    alone = steady_state(system, parameters[5:6])
    assert alone.states.tobytes() == whole.states[5:6].tobytes()


def test_patients_can_start_at_rest(make_system) -> None:
    system = make_system(TURNOVER)
    patients = pd.DataFrame({"kdeg": [0.5, 0.25, 0.0]})
    doses = pd.DataFrame({"time": [1.0], "state": ["T"], "amount": [1.0]})
    found = solve_frames(
        system, times=[0.0, 1.0, 3.0], patients=patients, doses=doses, starts_at_rest=True
    )
    assert found.status.tolist() == ["ok", "ok", "not finite"]
    values = found.trajectories["T"]
    np.testing.assert_allclose(values[0], [4.0, 4.0, 4 + np.exp(-1.0)], rtol=1e-5)
    np.testing.assert_allclose(values[1], [8.0, 8.0, 8 + np.exp(-0.5)], rtol=1e-5)


def test_wrong_questions_are_refused(make_system) -> None:
    with pytest.raises(ModelError, match="use time"):
        steady_state(make_system("x = 1; x' = sin(time) - x"), np.zeros((1, 0)))
    system = make_system(TURNOVER)
    with pytest.raises(ShapeError, match=r"expected \(patient, 2\)"):
        steady_state(system, np.zeros((1, 3)))
    with pytest.raises(ShapeError, match="start"):
        steady_state(system, np.ones((2, 2)), start=np.ones((1, 1)))

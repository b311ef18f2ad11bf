"""Every corner of NONMEM's dosing vocabulary against solutions on paper.

The right answer of a linear model is a sum over doses of its matrix exponential (`course`), which
knows nothing of the engine; steady state is the same sum over the doses of a very long past. What
each combination means is taken from NONMEM's help on SS, RATE, EVID, ADDL and $PK (ALAG, F, R, D),
as written down in docs/reference/dosing.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import expm

from immunostat.base.errors import InputError
from immunostat.engine.dose_cycle import DoseCycle, cycle_states, settling_part
from immunostat.engine.dosing import expand
from immunostat.engine.frames import solve
from immunostat.engine.nonmem import events_of_frame
from immunostat.engine.problem import Action as Act
from immunostat.engine.problem import EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solve import solve as solve_problem
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem

ONE = "k = 0.2; A = 0; A' = -k * A"
TWO = (
    "ka = 0.9; CL = 0.5; V = 3; Q = 0.7; W = 4; depot = 0; central = 0; peripheral = 0\n"
    "depot' = -ka * depot\n"
    "central' = ka * depot - (CL + Q) / V * central + Q / W * peripheral\n"
    "peripheral' = Q / V * central - Q / W * peripheral"
)
MATRIX = {
    ONE: np.array([[-0.2]]),
    TWO: np.array([[-0.9, 0, 0], [0.9, -1.2 / 3, 0.7 / 4], [0, 0.7 / 3, -0.7 / 4]]),
}
TIMES = np.array([0.0, 0.5, 1.0, 2.0, 3.3, 5.0, 7.9, 8.0, 12.0, 16.0, 20.5, 30.0])

# the run is at 1e-10; the steady state is found to 1e-9 of a state
EXACT = {"rtol": 2e-8, "atol": 1e-9}


@dataclass(frozen=True)
class Dose:
    """On paper: `amount` into compartment `to` from `start` on, over `duration`."""

    start: float
    amount: float
    to: int = 0
    duration: float = 0.0


def course(matrix: np.ndarray, doses: list[Dose], times: np.ndarray) -> np.ndarray:
    """States by superposition; a sample at the time of a dose is before it."""
    rates, vectors = np.linalg.eig(matrix)  # distinct and real for these models
    back = np.linalg.inv(vectors)
    result = np.zeros((len(times), len(matrix)))
    for own in doses:
        past = times > own.start
        since = (times[past] - own.start)[:, None]
        if own.duration == 0:
            shape = np.exp(rates * since)
        else:
            left = np.maximum(since - own.duration, 0.0)
            shape = (np.exp(rates * since) - np.exp(rates * left)) / rates / own.duration
        result[past] += (shape * back[:, own.to] * own.amount) @ vectors.T
    return result


def train(dose: Dose, interval: float, n: int = 300, following: int = 0) -> list[Dose]:
    """A dose, those of a long past, and some that follow."""
    return [
        Dose(dose.start + j * interval, dose.amount, dose.to, dose.duration)
        for j in range(-n, following + 1)
    ]


def system_of(lines: str) -> OdeSystem:
    text = f"model m()\n{lines}\nend\n"
    return system_from_sbml(flatten([Fragment(text, "m.ant")], "m"), "m")


def run(lines: str, rows: list[dict], times: np.ndarray = TIMES, **options) -> np.ndarray:
    """States at the times. Shape (time, state)."""
    system = system_of(lines)
    found = solve(
        system,
        times=times,
        doses=pd.DataFrame(rows),
        outputs=system.states,
        relative_tolerance=1e-10,
        absolute_tolerance=1e-12,
        **options,
    )
    assert (found.status == "ok").all()
    return found.trajectories.values[0]


def dose(time: float, amount: float, **columns) -> dict:
    return {"ID": 1, "TIME": time, "AMT": amount, "EVID": 1, **columns}


# what one dose is


@pytest.mark.parametrize(
    ("columns", "right"),
    [
        ({}, Dose(1.0, 100.0)),
        ({"RATE": 25.0}, Dose(1.0, 100.0, duration=4.0)),
        ({"DUR": 2.5}, Dose(1.0, 100.0, duration=2.5)),
        ({"F1": 0.4}, Dose(1.0, 40.0)),
        # bioavailability shortens an infusion of fixed rate, and thins one of fixed duration
        ({"RATE": 25.0, "F1": 0.4}, Dose(1.0, 40.0, duration=1.6)),
        ({"DUR": 2.5, "F1": 0.4}, Dose(1.0, 40.0, duration=2.5)),
        # modelled rate and duration
        ({"RATE": -1.0, "R1": 20.0}, Dose(1.0, 100.0, duration=5.0)),
        ({"RATE": -1.0, "R1": 20.0, "F1": 0.4}, Dose(1.0, 40.0, duration=2.0)),
        ({"RATE": -2.0, "D1": 3.0}, Dose(1.0, 100.0, duration=3.0)),
        ({"RATE": -2.0, "D1": 3.0, "F1": 0.4}, Dose(1.0, 40.0, duration=3.0)),
        ({"ALAG1": 0.7}, Dose(1.7, 100.0)),
        ({"RATE": 25.0, "ALAG1": 0.7}, Dose(1.7, 100.0, duration=4.0)),
        ({"RATE": -2.0, "D1": 3.0, "ALAG1": 0.7}, Dose(1.7, 100.0, duration=3.0)),
    ],
)
@pytest.mark.parametrize("lines", [ONE, TWO], ids=["one", "two"])
def test_one_dose_is_superposition(lines: str, columns: dict, right: Dose) -> None:
    found = run(lines, [dose(1.0, 100.0, **columns)])
    np.testing.assert_allclose(found, course(MATRIX[lines], [right], TIMES), **EXACT)


def test_additional_doses_follow_at_their_interval_each_with_its_lag() -> None:
    found = run(TWO, [dose(0.0, 50.0, ADDL=3, II=4.0, ALAG1=0.25, DUR=1.0)])
    right = [Dose(0.25 + 4 * j, 50.0, duration=1.0) for j in range(4)]
    np.testing.assert_allclose(found, course(MATRIX[TWO], right, TIMES), **EXACT)


def test_doses_go_to_their_compartments_by_number_or_name() -> None:
    rows = [
        dose(0.0, 50.0, CMT=1, F2=0.5, F=0.9),
        dose(1.0, 30.0, CMT="central", F2=0.5, F=0.9),
        dose(2.0, 20.0, CMT=3, F2=0.5, F=0.9),
    ]
    right = [Dose(0.0, 45.0, 0), Dose(1.0, 15.0, 1), Dose(2.0, 18.0, 2)]
    np.testing.assert_allclose(run(TWO, rows), course(MATRIX[TWO], right, TIMES), **EXACT)
    rows[0]["CMT"], rows[2]["CMT"] = 2, 1
    found = run(TWO, rows, compartments=["peripheral", "depot"])
    # with these numbers F2 counts for the depot
    right = [Dose(0.0, 25.0, 0), Dose(1.0, 27.0, 1), Dose(2.0, 18.0, 2)]
    np.testing.assert_allclose(found, course(MATRIX[TWO], right, TIMES), **EXACT)


def test_an_observation_and_an_other_event_change_nothing() -> None:
    rows = [
        dose(0.0, 50.0),
        {"ID": 1, "TIME": 1.0, "EVID": 2},
        {"ID": 1, "TIME": 3.0, "EVID": 0, "DV": 4.1},
    ]
    right = course(MATRIX[ONE], [Dose(0.0, 50.0)], TIMES)
    np.testing.assert_allclose(run(ONE, rows), right, **EXACT)


# resets


def test_a_reset_stops_an_infusion_and_what_is_pending() -> None:
    rows = [
        dose(0.0, 100.0, CMT=2, RATE=10.0),  # runs until 10
        dose(1.0, 40.0, CMT=1, ADDL=5, II=2.0),
        dose(4.0, 30.0, CMT=1, ALAG1=2.0),  # would come at 6
        {"ID": 1, "TIME": 5.0, "EVID": 3},
        dose(7.9, 20.0, CMT=2),
    ]
    for row in rows:
        row.setdefault("ALAG1", 0.0)
    found = run(TWO, rows)
    early = [Dose(0.0, 100.0, 1, 10.0), *(Dose(1 + 2 * j, 40.0, 0) for j in range(6))]
    right = course(MATRIX[TWO], early, TIMES)
    right[TIMES > 5.0] = course(MATRIX[TWO], [Dose(7.9, 20.0, 1)], TIMES[TIMES > 5.0])
    np.testing.assert_allclose(found, right, **EXACT)


def test_a_reset_with_a_lagged_dose_is_empty_until_the_dose() -> None:
    rows = [dose(0.0, 100.0, ALAG1=0.0), {**dose(2.0, 60.0, ALAG1=1.0), "EVID": 4}]
    found = run(ONE, rows)
    right = course(MATRIX[ONE], [Dose(0.0, 100.0)], TIMES)
    right[TIMES > 2.0] = course(MATRIX[ONE], [Dose(3.0, 60.0)], TIMES[TIMES > 2.0])
    np.testing.assert_allclose(found, right, **EXACT)


def test_a_reset_goes_back_to_the_start_values_of_the_model() -> None:
    lines = "k = 0.2; T = 5; A = 0; A' = -k * A; T' = 1 - 0.2 * T - 0.1 * A"
    rows = [dose(0.0, 10.0, CMT="A"), {"ID": 1, "TIME": 3.0, "EVID": 3}]
    found = run(lines, rows)
    states = system_of(lines).states
    after = found[TIMES > 3.0]
    np.testing.assert_allclose(after[:, states.index("T")], 5.0, **EXACT)
    assert (after[:, states.index("A")] == 0.0).all()
    assert found[TIMES == 2.0, states.index("T")][0] < 4.9


# steady state


@pytest.mark.parametrize("lag", [0.0, 0.6, 3.9999, 4.0, 9.5])
@pytest.mark.parametrize("duration", [0.0, 1.5, 4.0, 6.0, 8.0, 11.0])
@pytest.mark.parametrize("lines", [ONE, TWO], ids=["one", "two"])
def test_steady_state_is_the_sum_over_a_long_past(lines: str, duration: float, lag: float) -> None:
    """Bolus and infusions shorter than, equal to and longer than the interval of 4, each with no
    lag, a short one, one of just less and just the interval, and one of more than two."""
    found = run(lines, [dose(1.0, 50.0, SS=1, II=4.0, DUR=duration, ALAG1=lag)])
    past = train(Dose(1.0 + lag, 50.0, duration=duration), 4.0)
    later = TIMES > 1.0
    right = course(MATRIX[lines], past, TIMES[later])
    np.testing.assert_allclose(found[later], right, **EXACT)
    assert (found[TIMES <= 1.0] == 0.0).all()


def test_steady_bolus_has_the_peak_and_trough_of_the_textbook() -> None:
    """Peak D / (1 - exp(-k tau)), trough that times exp(-k tau) (Rowland & Tozer, any edition)."""
    times = np.array([0.0, 1e-8, 12.0])
    found = run(ONE, [dose(0.0, 100.0, SS=1, II=12.0)], times)[:, 0]
    peak = 100 / (1 - math.exp(-0.2 * 12))
    assert found[0] == 0.0  # a sample at the time of a dose is before it, and before its history
    assert found[1] == pytest.approx(peak, rel=1e-8)
    assert found[2] == pytest.approx(peak * math.exp(-0.2 * 12), rel=1e-8)


def test_additional_doses_after_a_steady_one_keep_it_steady() -> None:
    rows = [dose(0.0, 50.0, SS=1, II=4.0, ADDL=7, DUR=1.0)]
    right = course(MATRIX[TWO], train(Dose(0.0, 50.0, duration=1.0), 4.0, following=7), TIMES[1:])
    np.testing.assert_allclose(run(TWO, rows)[1:], right, **EXACT)


def test_bioavailability_and_modelled_duration_count_in_the_past_too() -> None:
    rows = [dose(0.0, 50.0, SS=1, II=4.0, RATE=-2.0, D1=6.0, F1=0.3)]
    right = course(MATRIX[TWO], train(Dose(0.0, 15.0, duration=6.0), 4.0), TIMES[1:])
    np.testing.assert_allclose(run(TWO, rows)[1:], right, **EXACT)


def test_ss_1_replaces_all_that_was_and_stops_what_is_under_way() -> None:
    rows = [
        dose(0.0, 500.0, CMT=2, RATE=20.0),
        dose(0.5, 70.0, CMT=1, ADDL=9, II=1.0),
        dose(2.0, 33.0, CMT=2),
        {**dose(2.0, 50.0, CMT=1, SS=1), "II": 4.0},
    ]
    found = run(TWO, rows)
    later = TIMES > 2.0
    right = course(MATRIX[TWO], train(Dose(2.0, 50.0), 4.0), TIMES[later])
    np.testing.assert_allclose(found[later], right, **EXACT)


def test_ss_2_adds_to_all_that_is_and_stops_nothing() -> None:
    first = [
        dose(0.0, 500.0, CMT=2, RATE=20.0),
        dose(0.5, 70.0, CMT=1, ADDL=9, II=1.0),
    ]
    second = dose(2.0, 50.0, CMT=1, SS=2, II=4.0, RATE=10.0)
    own = [Dose(0.0, 500.0, 1, 25.0), *(Dose(0.5 + j, 70.0) for j in range(10))]
    right = course(MATRIX[TWO], own, TIMES)
    later = TIMES > 2.0
    right[later] += course(MATRIX[TWO], train(Dose(2.0, 50.0, 0, 5.0), 4.0), TIMES[later])
    np.testing.assert_allclose(run(TWO, [*first, second]), right, **EXACT)


@pytest.mark.parametrize("lag", [0.0, 1.5])
def test_a_steady_infusion_without_end_stops_at_its_record(lag: float) -> None:
    """AMT 0, RATE > 0, II 0: the infusion has run for ever, and until the record's time (+ lag)."""
    rows = [dose(2.0, 0.0, CMT=2, RATE=7.0, SS=1, ALAG2=lag)]
    steady = np.linalg.solve(-MATRIX[TWO], [0.0, 7.0, 0.0])
    right = [
        steady if time <= 2.0 + lag else expm(MATRIX[TWO] * (time - 2.0 - lag)) @ steady
        for time in TIMES[TIMES > 2.0]
    ]
    np.testing.assert_allclose(run(TWO, rows)[TIMES > 2.0], right, **EXACT)


def test_a_steady_state_in_the_course_of_a_nonlinear_model_is_that_of_many_doses() -> None:
    lines = (
        "Vmax = 9; Km = 2; k = 0.05; kon = 0.3; koff = 0.1; A = 0; T = 4; C = 0\n"
        "A' = -Vmax * A / (Km + A) / 10 - k * A - kon * A * T + koff * C\n"
        "T' = 2 - 0.5 * T - kon * A * T + koff * C; C' = kon * A * T - (koff + 0.4) * C"
    )
    system = system_of(lines)
    rows = [dose(0.0, 20.0, CMT="A", SS=1, II=7.0, ADDL=4)]
    found = run(lines, rows)[1:]
    events = [Event(7.0 * j, Act.ADD, "A", 20.0) for j in range(400)]
    problem = EnsembleProblem(
        system,
        system.defaults[None, :],
        Schedule.of_events(system, [events]),
        TIMES[1:] + 7.0 * 300,
        system.states,
    )
    right = solve_problem(problem, tolerance=Tolerance(1e-10, 1e-12)).values[0]
    # the reference was carried over 300 intervals, each with the error of its steps
    np.testing.assert_allclose(found, right, rtol=2e-7)


def test_slow_elimination_needs_no_more_than_a_few_steps() -> None:
    """A half-life of 2000 intervals: some 60,000 doses one after another."""
    system = system_of("k = 0.0003465; A = 0; A' = -k * A")
    cycle = DoseCycle(system.defaults, "A", 1.0, 0.0, 1.0)
    _, states, errors = cycle_states(system, [cycle])
    right = 1.0 / math.expm1(0.0003465)
    # 1 - derivative is 3e-4: the error of the runs, 1e-10, is divided by it
    assert states[0, 0] == pytest.approx(right, rel=1e-5)
    assert errors[0] <= 1.0


def test_a_conserved_total_is_kept_in_steady_state() -> None:
    lines = (
        "A = 0; R = 3; C = 0; A' = -0.3 * A - 0.5 * A * R + C\n"
        "R' = C - 0.5 * A * R; C' = 0.5 * A * R - C"
    )
    system = system_of(lines)
    states, values, _ = cycle_states(system, [DoseCycle(np.zeros(0), "A", 5.0, 0.0, 4.0)])
    own = dict(zip(states, values[0], strict=True))
    assert own["R"] + own["C"] == pytest.approx(3.0, rel=1e-7)


def test_an_area_under_the_curve_is_left_alone() -> None:
    lines = ONE + "; AUC = 0; AUMC = 0; AUC' = A; AUMC' = AUC; c := A / 2; d := AUC / 2"
    part = settling_part(system_of(lines))
    assert part.states == ("A",)
    assert [name for name, _ in part.assignments] == ["c"]
    found = run(lines, [dose(0.0, 100.0, CMT="A", SS=1, II=12.0)])
    index = system_of(lines).states.index("AUC")
    # one interval's area under a steady course is dose / k
    assert found[TIMES == 12.0, index][0] == pytest.approx(100.0 / 0.2, rel=1e-8)


def test_what_has_no_steady_state_is_refused_by_name() -> None:
    lines = "k = 0; A = 0; A' = -k * A"
    with pytest.raises(InputError, match=r"doses:1: .* patient '1' to no steady state"):
        run(lines, [dose(0.0, 100.0, SS=1, II=12.0)])


# covariates


@pytest.mark.parametrize(("rule", "change"), [("nocb", 2.0), ("locf", 5.0)])
def test_a_covariate_changes_when_the_rule_says(rule: str, change: float) -> None:
    """Weight 1 at times 0 and 2, 3 at time 5: exponentials of two rates, joined at `change`."""
    lines = "wt = 1; A = 0; A' = -0.1 * wt * A"
    rows = [dose(0.0, 100.0, wt=1.0)]
    rows += [{"ID": 1, "TIME": t, "EVID": 2, "wt": w} for t, w in ((2.0, 1.0), (5.0, 3.0))]
    found = run(lines, rows, covariates=rule)[1:, 0]
    times = TIMES[1:]
    right = 100 * np.exp(-0.1 * np.minimum(times, change) - 0.3 * np.maximum(times - change, 0))
    np.testing.assert_allclose(found, right, **EXACT)


def test_a_missing_covariate_is_the_one_before_and_the_first_is_known_from_the_start() -> None:
    lines = "wt = 9; A = 0; A' = -0.1 * wt * A"
    rows = [dose(0.0, 100.0), *({"ID": 1, "TIME": t, "EVID": 2} for t in (1.0, 5.0, 8.0))]
    for row, value in zip(rows, (np.nan, 1.0, np.nan, 3.0), strict=True):
        row["wt"] = value
    found = run(lines, rows, covariates="locf")[1:, 0]
    times = TIMES[1:]
    right = 100 * np.exp(-0.1 * np.minimum(times, 8.0) - 0.3 * np.maximum(times - 8.0, 0))
    np.testing.assert_allclose(found, right, **EXACT)


def test_a_steady_state_is_that_of_the_covariates_of_its_record() -> None:
    lines = "wt = 1; A = 0; A' = -0.1 * wt * A"
    rows = [
        {"ID": 1, "TIME": 0.0, "EVID": 2, "wt": 1.0},
        {**dose(2.0, 100.0, SS=1, II=4.0, wt=3.0)},
    ]
    found = run(lines, rows)[TIMES > 2.0, 0]
    peak = 100 / (1 - math.exp(-0.3 * 4))
    right = peak * np.exp(-0.3 * (TIMES[TIMES > 2.0] - 2.0))
    np.testing.assert_allclose(found, right, **EXACT)


# several patients


def test_each_patient_has_his_own_doses_and_parameters() -> None:
    rows = []
    for patient, amount in (("a", 10.0), ("b", 20.0), ("c", 30.0)):
        rows.append({**dose(0.0, amount, SS=1, II=8.0), "ID": patient})
    patients = pd.DataFrame({"k": [0.1, 0.2, 0.3, 0.4]}, index=["c", "x", "a", "b"])
    found = solve(
        system_of(ONE),
        times=[8.0],
        patients=patients,
        doses=pd.DataFrame(rows),
        relative_tolerance=1e-9,
        absolute_tolerance=1e-12,
    )
    amounts = np.array([30.0, 0.0, 10.0, 20.0])
    right = amounts / np.expm1(8.0 * patients["k"].to_numpy())
    np.testing.assert_allclose(found.trajectories["A"][:, 0], right, **EXACT)


def test_a_patient_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(2)
    rows = [
        {**dose(0.0, a, SS=1, II=i, DUR=d, ADDL=3), "ID": n, "CL": c}
        for n, (a, i, d, c) in enumerate(
            zip(
                rng.uniform(5, 50, 20),
                rng.uniform(3, 9, 20),
                rng.uniform(0, 12, 20),
                rng.uniform(0.3, 2, 20),
                strict=True,
            )
        )
    ]
    system = system_of(TWO)
    whole = solve(system, times=TIMES, doses=pd.DataFrame(rows)).trajectories.values
    alone = solve(system, times=TIMES, doses=pd.DataFrame(rows[13:14])).trajectories.values
    assert alone.tobytes() == whole[13:14].tobytes()


def test_times_before_zero_move_the_start() -> None:
    found = run(ONE, [dose(-3.0, 100.0), dose(0.0, 50.0)])
    right = course(MATRIX[ONE], [Dose(-3.0, 100.0), Dose(0.0, 50.0)], TIMES)
    np.testing.assert_allclose(found, right, **EXACT)


def test_columns_that_are_no_parameters_are_named() -> None:
    table = events_of_frame(pd.DataFrame([dose(0.0, 1.0, WT=70.0, k=0.3)]))
    dosing = expand(table, system_of(ONE))
    assert dosing.unused == ("WT",)
    assert dosing.parameters.tolist() == [[0.3]]

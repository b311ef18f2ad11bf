"""Bursts of effector T cells in relapsing multiple sclerosis (Velez de Mendizabal 2011).

Printed numbers stand in the card and are run by the contract of published models. Here are the
independent reference, the authors' own way of solving, and the results that are sentences.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.published import published_course, published_histories, random_pulses
from immunostat.engine.pulses import pulse_times

CATALOG = packaged_catalog()
CARD = CATALOG.published_model("velezdemendizabal2011")
YEAR = 365.0
STEP = CARD.random_input["resting_effector"].step.value
LEVEL = CARD.parameters["damage_threshold"].value

Array = NDArray[np.float64]


def rates(y: Array, **settings: float) -> Array:
    """The publication's eight equations, written down again in NumPy. Shape (state, patient)."""
    p = {name: fact.value for name, fact in CARD.parameters.items()} | settings
    resting_e, resting_r, e, r, damage, _ = y
    hill = p["hill"]
    regulation = r**hill / (p["regulatory_half"] ** hill + r**hill)
    recruitment = e**hill / (p["effector_half"] ** hill + e**hill)
    out = p["activation"] + p["anergy"]
    growth = p["effector_growth"] * (1 - regulation) - p["effector_loss"] * regulation
    return np.array(
        [
            p["memory"] * e - out * resting_e,
            p["memory"] * r - out * resting_r,
            p["activation"] * resting_e + (growth - p["memory"]) * e,
            p["activation"] * resting_r
            + (p["regulatory_growth"] * recruitment - p["regulatory_loss"] - p["memory"]) * r,
            p["damage_rate"] * (e / p["damage_threshold"]) ** p["damage_order"]
            - (p["healing"] + p["scarring"]) * damage,
            p["scarring"] * damage,
        ]
    )


def pulses_by_step(n_patients: int, end: float) -> Array:
    """Pulses of each kind in each step. Shape (kind, step, patient)."""
    n_steps = round(end / STEP)
    found = np.zeros((2, n_steps, n_patients))
    for kind, pulse in enumerate(random_pulses(CARD)):
        for i, times in enumerate(pulse_times(pulse, 1, range(n_patients), end)):
            found[kind, np.rint(times / STEP).astype(int), i] = pulse.amount
    return found


def reference(n_patients: int, end: float, method: str, **settings: float) -> Array:
    """All states after each step, by Euler as the authors do or by Runge-Kutta 4.

    Shape (step + 1, state, patient).
    """
    start = np.array([fact.value for fact in CARD.initial.values()])
    y = np.repeat(start[:, None], n_patients, axis=1)
    states = [y]
    for added in np.moveaxis(pulses_by_step(n_patients, end), 1, 0):
        if method == "euler":
            y = y + STEP * rates(y, **settings)
            y[:2] += added
        else:
            y = y.copy()
            y[:2] += added
            k1 = rates(y, **settings)
            k2 = rates(y + STEP / 2 * k1, **settings)
            k3 = rates(y + STEP / 2 * k2, **settings)
            k4 = rates(y + STEP * k3, **settings)
            y = y + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(y)
    return np.array(states)


def rises(effector: Array) -> Array:
    """How often each history passes the level that damages tissue. Time first."""
    return ((effector[1:] > LEVEL) & (effector[:-1] <= LEVEL)).sum(axis=0)


def histories(n: int, end: float, **settings: float):
    """Effectors and damage of some histories, a quarter of a day apart."""
    times = np.arange(0.0, end + 0.01, 0.25)
    return published_histories(CATALOG, CARD, times, n, settings=settings)


def test_histories_agree_with_a_plain_runge_kutta_solution():
    end = 100.0
    other = reference(5, end, "runge-kutta")
    found = published_histories(CATALOG, CARD, np.linspace(0.0, end, 1001), 5)
    # A sample is taken before a pulse of its time, as the reference's is. Runge-Kutta with steps of
    # 0.1 day and rates of up to 2 per day errs by about 1e-6 a step.
    np.testing.assert_allclose(found["effector"], other[:, 2].T, rtol=1e-3)
    np.testing.assert_allclose(found["regulatory"], other[:, 3].T, rtol=1e-3)


def test_a_history_is_the_same_in_any_company_and_again():
    times = np.arange(0.0, 200.0)
    few, many = (published_histories(CATALOG, CARD, times, n)["effector"] for n in (3, 20))
    np.testing.assert_array_equal(few, many[:3])
    alone = published_course(CATALOG, CARD, times).to_dataset()["effector"].to_numpy()
    # the command shows the first history
    np.testing.assert_array_equal(alone[0], many[0])


def test_solved_as_the_authors_do_there_is_about_one_burst_a_year():
    """Introduction: the clinical relapse rate is around one per year.

    The authors take Euler steps of 0.1 day. 100 histories leave a standard error of 0.05 per year.
    """
    effector = reference(100, 5 * YEAR, "euler")[:, 2]
    assert rises(effector).mean() / 5 == pytest.approx(1.0, abs=0.25)


def test_the_exact_solution_has_fewer_bursts_than_euler_steps():
    """Euler steps of h add h w^2/2 to the growth of an oscillation of angular frequency w.

    Here that is a fifth of its damping; the same pulses then give one and a half times the bursts.
    """
    exact = rises(histories(100, 5 * YEAR)["effector"].T).mean()
    stepped = rises(reference(100, 5 * YEAR, "euler")[:, 2]).mean()
    assert 1.2 < stepped / exact < 1.8


def test_bursts_come_when_regulatory_cells_answer_weakly():
    """Abstract: weak negative feedback alone makes the relapsing course; figure 3: or none."""
    found = [
        rises(histories(40, 5 * YEAR, regulatory_growth=growth)["effector"].T).sum()
        for growth in (0.25, 0.3, 0.5, 1.0, 2.0)
    ]
    assert found[0] > 5 * found[1] > 0
    assert found[2:] == [0, 0, 0]


def test_only_the_autoimmune_case_damages_tissue():
    """Figure 3C and 3D: no significant damage in health, relapsing and lasting damage else."""
    healthy, ill = (histories(40, 5 * YEAR, regulatory_growth=g) for g in (1.0, 0.25))
    for kind in ("reversible_damage", "irreversible_damage"):
        # the drive of damage is 1 where effectors are at the level that damages tissue
        assert healthy[kind].max() < 0.1
        assert np.median(ill[kind].max(axis=1)) > 1.0
    # permanent damage never heals, reversible damage does
    assert (np.diff(ill["irreversible_damage"], axis=1) >= 0).all()
    assert (ill["reversible_damage"].min(axis=1) < 0.1 * ill["reversible_damage"].max(axis=1)).all()


def test_the_timing_of_bursts_is_unpredictable():
    """Abstract: the timing at which relapses appear is highly unpredictable.

    A clock has intervals that vary by 0, events without memory by 1.
    """
    data = histories(100, 5 * YEAR)
    intervals = []
    for row in data["effector"]:
        times = data.times[1:][(row[1:] > LEVEL) & (row[:-1] <= LEVEL)]
        intervals.extend(np.diff(times))
    # about 250 intervals: the ratio is known to 0.1
    assert np.std(intervals) / np.mean(intervals) == pytest.approx(1.0, abs=0.25)


def maxima(course: Array) -> NDArray[np.int64]:
    inside = course[1:-1]
    return np.flatnonzero((inside > course[:-2]) & (inside >= course[2:])) + 1


def loop(times: Array, **settings: float) -> dict[str, Array]:
    """Effectors and regulatory cells without pulses."""
    data = published_course(CATALOG, CARD, times, settings, with_pulses=False).to_dataset()
    return {name: data[name].to_numpy()[0] for name in ("effector", "regulatory")}


@pytest.mark.parametrize("growth", [0.25, 1.0])
def test_without_pulses_the_loop_spirals_towards_its_equilibrium(growth):
    """Figure 6, caption: a spiral trajectory that moves towards the equilibrium point."""
    heights = loop(np.linspace(0.0, 300.0, 6001), regulatory_growth=growth)["effector"]
    peaks = heights[maxima(heights)]
    assert len(peaks) > 4
    assert (np.diff(peaks) < 0).all()


def test_regulatory_cells_given_at_their_peak_make_the_next_wave_of_effectors_higher():
    """Figure 6: the impulse throws the system on a wider spiral, with a higher peak of effectors;
    damage stays almost imperceptible in health and is evident in the autoimmune case."""
    times = np.linspace(0.0, 100.0, 4001)
    drives = {}
    for growth in (1.0, 0.25):
        plain = loop(times, regulatory_growth=growth)
        top = maxima(plain["regulatory"])[0]
        states = published_course(
            CATALOG,
            CARD,
            times[: top + 1],
            {"regulatory_growth": growth},
            outputs=tuple(CARD.initial),
            with_pulses=False,
        ).to_dataset()
        given = {name: float(states[name][0, -1]) for name in CARD.initial}
        given["regulatory"] += 300.0
        after = loop(times, regulatory_growth=growth, **given)
        later = plain["effector"][top:]
        next_wave = later[maxima(later)[0]]
        wave = after["effector"][maxima(after["effector"])[0]]
        assert wave > next_wave
        drives[growth] = (wave / LEVEL) ** 2
    assert drives[1.0] < 0.01
    assert drives[0.25] > 10


def test_table_and_file_differ_only_in_how_much_damage_stays():
    """d2 is 0.02 in Table 1 and 0.002 in the authors' file: T cells and bursts do not notice."""
    times = np.arange(0.0, 2 * YEAR)
    file, table = (
        published_histories(CATALOG, CARD, times, 5, settings={"scarring": d2})
        for d2 in (0.002, 0.02)
    )
    # other damage means other steps of the solver, and errors of 1e-9 grow a little in a burst
    np.testing.assert_allclose(file["effector"], table["effector"], rtol=1e-3)
    # What heals and what stays share the same loss: 0.02/(0.1 + 0.02) against 0.002/(0.1 + 0.002)
    expected = (0.02 / 0.12) / (0.002 / 0.102)
    ratio = table["irreversible_damage"][:, -1] / file["irreversible_damage"][:, -1]
    # damage that has not healed yet at the end is not yet counted in the same shares
    np.testing.assert_allclose(ratio, expected, rtol=0.2)


def test_start_of_table_and_file_have_bursts_equally_often():
    start = {"resting_effector": 0.0, "resting_regulatory": 0.0}
    counts = [
        rises(histories(100, 5 * YEAR, **settings)["effector"].T).mean() for settings in ({}, start)
    ]
    # the same pulses: the difference of 100 pairs has a standard error of 0.16 in five years
    assert counts[0] == pytest.approx(counts[1], abs=0.6)

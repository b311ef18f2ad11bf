"""Laws of a whole run: same bits, same patients, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from immunostat.study.run import run
from immunostat.study.study_reader import read_study

STUDY = Path(__file__).parents[2] / "studies" / "ra-biologics.yaml"
SMALL = ("population.patients=40", "duration=12 weeks")


def small(*settings: str, **options):
    return run(read_study(STUDY, settings=[*SMALL, *settings]), **options)


@pytest.fixture(scope="module")
def result():
    return small(threads=2)


def same(a, b) -> None:
    """Every table and trajectory is equal to the bit."""
    for name in ("endpoints", "side_effects", "patients", "events", "visits", "bands", "profile"):
        pd.testing.assert_frame_equal(getattr(a, name), getattr(b, name), check_exact=True)
    for name in a.trajectories:
        left, right = a.trajectories[name].values, b.trajectories[name].values
        np.testing.assert_array_equal(left.view(np.int64), right.view(np.int64))


def test_two_runs_give_the_same_bits(result) -> None:
    same(result, small(threads=2))


def test_one_thread_gives_the_same_bits_as_two(result) -> None:
    same(result, small(threads=1))


def test_a_larger_trial_holds_the_smaller_one(result) -> None:
    larger = small("population.patients=60").patients
    smaller = result.patients
    for arm in smaller.arm.unique():
        a = smaller[smaller.arm == arm].reset_index(drop=True)
        b = larger[larger.arm == arm].head(len(a)).reset_index(drop=True)
        pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_another_seed_gives_other_patients(result) -> None:
    other = small("population.seed=8").patients
    assert not np.array_equal(other["age"], result.patients["age"])


def test_arms_hold_the_same_patients(result) -> None:
    ages = result.patients.pivot(index="patient", columns="arm", values="age")
    assert (ages.nunique(axis=1) == 1).all()


def test_arms_start_from_the_same_observed_baseline(result) -> None:
    first = result.visits[result.visits.time_day == 0]
    joints = first.pivot(index="patient", columns="arm", values="tender_joints_68")
    assert (joints.nunique(axis=1) == 1).all()


def test_everybody_meets_the_entry_criteria(result) -> None:
    first = result.visits[result.visits.time_day == 0]
    assert (first.tender_joints_68 >= 8).all()
    assert (first.swollen_joints_66 >= 6).all()
    assert (first.crp >= 10).all()


def test_without_a_drug_the_disease_stays_where_it_was(result) -> None:
    # The untreated disease is a steady state of the core: CRP without visit error does not move.
    crp = result.trajectories["core_crp"].sel(arm="placebo")
    drift = np.abs(crp / crp.isel(time=0) - 1).max()
    # 1e-4: the tolerance of the solver, twice (20 years of rest, then the trial).
    assert float(drift) < 1e-4


def test_an_arm_without_the_drug_has_no_drug(result) -> None:
    placebo = result.trajectories.sel(arm="placebo")
    assert float(placebo["adalimumab_concentration"].max()) == 0.0
    assert float(placebo["tocilizumab_concentration"].max()) == 0.0


def test_no_course_leaves_the_scale_that_reads_it(result) -> None:
    # 68 and 66 joints, scales of 100 mm, a disability index of 3: however bad it gets.
    for name, top in (("tender_joints", 68), ("swollen_joints", 66), ("pain", 100)):
        assert float(result.trajectories[f"disease_{name}"].max()) <= top
    assert float(result.trajectories["disease_disability"].max()) <= 3


def test_what_is_assumed_is_what_was_simulated(result) -> None:
    # Methotrexate is in the starting state: its kinetics are no assumption of the result.
    cards = set(result.assumptions.card)
    assert "drugs/adalimumab" in cards
    assert "drugs/methotrexate" not in cards


def test_no_patient_is_lost(result) -> None:
    assert len(result.patients) == 4 * 40
    assert set(result.patients.status) == {"ok"}
    assert result.run["failed"] == {}


def test_one_bad_patient_costs_only_himself(result, monkeypatch) -> None:
    import immunostat.study.chunks as module

    draw = module.intake

    def poisoned(recruitment, numbers):
        block = draw(recruitment, numbers)
        column = recruitment.assembly.system.parameters.index("disease_synovitis_rate")
        block.cohort.parameters[3, column] = np.nan
        return block

    monkeypatch.setattr(module, "intake", poisoned)
    broken = small(threads=2)
    victim = int(broken.patients.patient.iloc[3])
    lost = broken.patients[broken.patients.status != "ok"]
    assert set(lost.patient) == {victim}
    assert broken.run["failed"] == {"not finite": 4}
    assert f"patient {victim} of arm 'placebo'" in broken.run["failures"][0]
    # Everybody else is the same to the bit, and the bad patient is a non-responder, not a gap.
    others = broken.trajectories.patient != victim
    for name in result.trajectories:
        left = result.trajectories[name].values[:, others]
        right = broken.trajectories[name].values[:, others]
        np.testing.assert_array_equal(left.view(np.int64), right.view(np.int64))
    shares = broken.endpoints[broken.endpoints.endpoint == "ACR20"]
    assert set(shares.n) == {40}

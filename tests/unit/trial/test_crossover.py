"""Crossover analyses recover known effects and agree with one another and with other programs."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from immunostat.base.errors import InputError, ShapeError
from immunostat.trial.assign import assign
from immunostat.trial.crossover import many_periods, two_periods, williams_design

N = 40
AB = np.arange(N) % 2 == 0
LEVEL = np.random.default_rng(8).normal(0, 3, N)


def outcome(treatment: float, period: float, carry: float, noise: float) -> np.ndarray:
    """A minus B, second minus first period, carry-over of A; patients differ in level."""
    is_a = np.column_stack([AB, ~AB])
    values = LEVEL[:, None] + treatment * is_a + period * np.array([0, 1])
    values[:, 1] += carry * AB
    return values + noise * np.random.default_rng(9).normal(size=(N, 2))


def test_effects_without_noise_are_exact_and_patients_do_not_matter() -> None:
    found = two_periods(outcome(2.0, -1.0, 0.0, 0.0), AB)
    assert found.treatment.estimate.estimate == pytest.approx(2.0, abs=1e-12)
    assert found.period.estimate.estimate == pytest.approx(-1.0, abs=1e-12)
    assert found.treatment.estimate.high == pytest.approx(2.0, abs=1e-9)


def test_carry_over_biases_the_treatment_by_half_and_is_seen_in_the_sums() -> None:
    with_carry, without = outcome(2.0, 0.5, 1.0, 0.0), outcome(2.0, 0.5, 0.0, 0.0)
    found, clean = two_periods(with_carry, AB), two_periods(without, AB)
    bias = found.treatment.estimate.estimate - clean.treatment.estimate.estimate
    assert bias == pytest.approx(-0.5, abs=1e-12)
    moved = found.carry_over.estimate.estimate - clean.carry_over.estimate.estimate
    assert moved == pytest.approx(1.0, abs=1e-12)
    assert found.first_period == clean.first_period


def test_tests_are_the_t_tests_of_differences_and_sums() -> None:
    y = outcome(1.0, 0.5, 0.3, 1.0)
    found = two_periods(y, AB)
    gain, total = y[:, 0] - y[:, 1], y.sum(axis=1)
    assert found.treatment.p == pytest.approx(stats.ttest_ind(gain[AB], gain[~AB]).pvalue)
    assert found.period.p == pytest.approx(stats.ttest_ind(-gain[AB], gain[~AB]).pvalue)
    assert found.carry_over.p == pytest.approx(stats.ttest_ind(total[AB], total[~AB]).pvalue)


def test_two_periods_by_the_mixed_model_have_the_same_estimate_and_error() -> None:
    y = outcome(1.0, 0.5, 0.0, 1.0)
    short = two_periods(y, AB).treatment.estimate
    given = np.where(np.column_stack([AB, ~AB]), 1, 0)
    long = many_periods(y, given, ["B", "A"])["A"].estimate
    assert long.estimate == pytest.approx(short.estimate, rel=1e-6)
    ratio = stats.t.ppf(0.975, N - 2) / stats.norm.ppf(0.975)
    # the same standard error; one interval is Student's, the other normal
    assert (short.high - short.low) / (long.high - long.low) == pytest.approx(ratio, rel=1e-3)


@pytest.mark.parametrize("t", range(2, 9))
def test_williams_designs_balance_positions_and_neighbors(t: int) -> None:
    design = williams_design(t)
    assert len(design) == (t if t % 2 == 0 else 2 * t)
    for column in design.T:
        assert len(set(np.bincount(column, minlength=t))) == 1
    follows = np.zeros((t, t), dtype=int)
    np.add.at(follows, (design[:, :-1].ravel(), design[:, 1:].ravel()), 1)
    assert np.all(np.diag(follows) == 0)
    assert len(set(follows[~np.eye(t, dtype=bool)])) == 1


def test_three_treatments_equal_least_squares_within_patients() -> None:
    design = williams_design(3)
    sequences = assign(np.arange(36), 1, {f"s{k}": 1 for k in range(6)}, block=6).arm
    given = design[sequences]
    truth = np.array([0.0, 1.5, -1.0])
    rng = np.random.default_rng(10)
    y = rng.normal(0, 2, 36)[:, None] + truth[given] + rng.normal(0, 0.7, (36, 3))
    found = many_periods(y, given, ["placebo", "low", "high"])
    # complete and balanced: patients as fixed effects give the same estimates
    x = np.column_stack(
        [np.kron(np.eye(36), np.ones((3, 1)))]
        + [np.tile(np.arange(3) == k, 36)[:, None] for k in (1, 2)]
        + [(given.ravel() == k)[:, None] for k in (1, 2)]
    ).astype(float)
    fit = sm.OLS(y.ravel(), x).fit()
    for name, index in (("low", -2), ("high", -1)):
        own = found[name].estimate
        assert own.estimate == pytest.approx(fit.params[index], rel=1e-6)
        error = (own.high - own.low) / (2 * stats.norm.ppf(0.975))
        assert error == pytest.approx(fit.bse[index], rel=1e-3)
        assert own.estimate == pytest.approx(truth[index], abs=3.5 * error)


def test_carry_over_is_told_apart_where_the_design_allows_it() -> None:
    given = williams_design(4)[np.arange(80) % 4]
    before = np.concatenate([np.zeros((80, 1), int), given[:, :-1]], axis=1)
    carry = np.array([0.0, 0.0, 0.0, 2.0])
    rng = np.random.default_rng(11)
    y = rng.normal(0, 1, 80)[:, None] + 1.0 * (given == 1) + carry[before]
    y += rng.normal(0, 0.5, y.shape)
    y[3, 2] = np.nan
    found = many_periods(y, given, ["a", "b", "c", "d"], has_carry_over=True)
    assert found["carry-over of d"].estimate.low < 2.0 < found["carry-over of d"].estimate.high
    assert found["b"].estimate.low < 1.0 < found["b"].estimate.high
    with pytest.raises(InputError, match="apart"):
        many_periods(y[:, :2], given[:, :2] * 0, ["a", "b"])


def test_missing_periods_drop_the_patient_and_shapes_are_checked() -> None:
    y = outcome(1.0, 0.0, 0.0, 1.0)
    lost = y.copy()
    lost[0, 1] = np.nan
    assert two_periods(lost, AB).treatment.p == pytest.approx(
        two_periods(y[1:], AB[1:]).treatment.p
    )
    with pytest.raises(ShapeError):
        two_periods(y[:, :1], AB)

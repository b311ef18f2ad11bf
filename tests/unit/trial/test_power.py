"""Power of replicate trials equals theory, and the sample size found is that of statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower

from immunostat.base.errors import RangeError
from immunostat.outcomes import arm_tests
from immunostat.outcomes.comparisons import mean_difference
from immunostat.trial.power import analyzed, assurance, deal, is_successful, performance
from immunostat.trial.sample_size import find_sample_size, pool_successes

N_POOL, N_REPLICATES = 3000, 600
SEEN = np.arange(N_REPLICATES)


def standard_normal(seed: int, shift: float) -> np.ndarray:
    """A pool with mean and variance exactly those of the law, so that theory applies to it."""
    x = np.random.default_rng(seed).normal(size=N_POOL)
    return (x - x.mean()) / x.std() + shift


X, Y = standard_normal(1, 0.5), standard_normal(2, 0.0)
TRUE_POWER = float(TTestIndPower().power(0.5, 50, 0.05))


def replicates(n: int, x: np.ndarray, y: np.ndarray, how: str = "means"):  # type: ignore[no-untyped-def]
    rows, others = deal(len(x), (n, n), 3, SEEN)
    return analyzed(x[rows], y[others], how)


def within_chance(count: int, n: int, probability: float) -> bool:
    """Whether a count is one of the middle 99.9 % of its binomial distribution."""
    low, high = stats.binom.interval(0.999, n, probability)
    return bool(low <= count <= high)


def test_no_patient_is_in_two_arms_and_replicates_do_not_depend_on_their_company() -> None:
    one, two = deal(30, (10, 12), 5, np.arange(40))
    for a, b in zip(one, two, strict=True):
        assert len(set(a) | set(b)) == 22
    few = deal(30, (10, 12), 5, np.array([7, 39]))
    np.testing.assert_array_equal(few[0], one[[7, 39]])
    every = deal(22, (10, 12), 5, np.arange(3))
    assert sorted(np.concatenate([every[0][0], every[1][0]])) == list(range(22))
    with pytest.raises(RangeError, match="pool of 22"):
        deal(21, (10, 12), 5, np.arange(3))


def test_every_patient_is_dealt_as_often_as_any_other() -> None:
    one, two = deal(40, (5, 5), 1, np.arange(4000))
    for rows in (one, two):
        counts = np.bincount(rows.ravel(), minlength=40)
        # without replacement the counts vary a little less than the test allows for
        assert stats.chisquare(counts).pvalue > 1e-3


def test_replicates_are_analyzed_as_single_trials_are() -> None:
    x, y = X[:60].reshape(2, 30).copy(), Y[:50].reshape(2, 25)
    x[0, :4] = np.nan
    found = analyzed(x, y, "means")
    for k in range(2):
        single = mean_difference(x[k], y[k])
        assert found.estimate[k] == pytest.approx(single.estimate, rel=1e-12)
        assert found.low[k] == pytest.approx(single.low, rel=1e-9)
        assert found.p[k] == pytest.approx(arm_tests.welch_p(x[k], y[k]), rel=1e-9)
        assert 2 * stats.norm.sf(abs(found.z[k])) == pytest.approx(found.p[k], rel=1e-9)
    binary = (x > 0.4).astype(float)
    binary[0, :4] = np.nan  # missing is no response
    shares = analyzed(binary, (y > 0.4).astype(float), "proportions")
    hits = [int(np.nansum(binary[0])), int((y[0] > 0.4).sum())]
    assert shares.p[0] == pytest.approx(arm_tests.chi_square_p(hits[0], 30, hits[1], 25), rel=1e-9)


def test_power_of_the_t_test_is_that_of_the_noncentral_t() -> None:
    found = performance(replicates(50, X, Y), truth=0.5)
    assert within_chance(round(found.power.estimate * N_REPLICATES), N_REPLICATES, TRUE_POWER)
    assert within_chance(round(found.coverage.estimate * N_REPLICATES), N_REPLICATES, 0.95)
    assert found.sd == pytest.approx(np.sqrt(2 / 50), rel=4 / np.sqrt(2 * N_REPLICATES))
    assert abs(found.bias) < 4 * found.sd / np.sqrt(N_REPLICATES)


def test_without_a_difference_trials_succeed_at_their_level() -> None:
    found = replicates(50, Y, standard_normal(9, 0.0))
    assert within_chance(int(is_successful(found).sum()), N_REPLICATES, 0.05)
    better = is_successful(found, is_more_better=True)
    worse = is_successful(found, is_more_better=False)
    assert better.sum() + worse.sum() == is_successful(found).sum()


def test_power_of_two_proportions_is_that_of_all_tables_summed() -> None:
    n, p, q = 60, 0.5, 0.3
    x, y = (np.arange(N_POOL) < p * N_POOL) * 1.0, (np.arange(N_POOL)[::-1] < q * N_POOL) * 1.0
    found = performance(replicates(n, x, y, "proportions"))
    counts = np.arange(n + 1)
    mass = np.outer(stats.binom.pmf(counts, n, p), stats.binom.pmf(counts, n, q))
    reject = [[arm_tests.chi_square_p(a, n, b, n) <= 0.05 for b in counts] for a in counts]
    # sampling without replacement from 3000 changes the law far less than chance does
    power = float(mass[np.array(reject)].sum())
    assert within_chance(round(found.power.estimate * N_REPLICATES), N_REPLICATES, power)


def test_assurance_is_the_mean_power_and_its_interval_counts_draws() -> None:
    rng = np.random.default_rng(0)
    powers = rng.uniform(0.2, 0.9, 300)
    found = assurance(rng.random((300, 40)) < powers[:, None])
    assert found.low < powers.mean() < found.high
    naive = 1.96 * np.sqrt(0.25 / (300 * 40))
    assert found.high - found.low > 3 * naive  # draws differ, replicates do not make up for it


def test_sample_size_agrees_with_statsmodels_within_its_interval() -> None:
    found = find_sample_size(pool_successes(X, Y, "means", 3, 300), 0.8, 4, 1000)
    exact = TTestIndPower().solve_power(0.5, power=0.8, alpha=0.05)
    assert found.low <= exact <= found.high
    assert found.n == pytest.approx(exact, rel=0.1)


def test_sample_size_intervals_contain_the_truth_as_often_as_they_say() -> None:
    exact = TTestIndPower().solve_power(0.4, power=0.8, alpha=0.05)
    rng = np.random.default_rng(4)
    at = {n: float(TTestIndPower().power(0.4, n, 0.05)) for n in range(2, 401)}

    def successes(n: int) -> tuple[int, int]:
        return int(rng.binomial(200, at[n])), 200

    hits = 0
    for _ in range(60):
        found = find_sample_size(successes, 0.8, 4, 400)
        hits += found.low <= exact <= found.high
    # the search chooses its sizes by what it saw, which costs a little: of 900 runs 94 % did
    assert stats.binom.cdf(hits, 60, 0.94) > 1e-3


def test_a_power_out_of_reach_or_reached_at_once_is_said() -> None:
    never = find_sample_size(lambda n: (10, 200), 0.8, 4, 500)
    assert never.n is None
    assert "not reached" in never.method
    always = find_sample_size(lambda n: (200, 200), 0.8, 4, 500)
    assert always.n == 4
    assert "smallest" in always.method
    with pytest.raises(RangeError):
        find_sample_size(lambda n: (1, 2), 1.2)

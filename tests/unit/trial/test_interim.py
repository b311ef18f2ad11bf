"""Group sequential looks: printed constants, another program's integrals, simulated trials."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.stats import multivariate_normal

from immunostat.base.errors import InputError, ShapeError
from immunostat.trial.interim import (
    Boundary,
    conditional_power,
    crossing_probabilities,
    expected_size,
    monitored,
    sequential_design,
    stopping_table,
)
from immunostat.trial.power import analyzed, at_looks, deal

LOOKS = np.array([0.25, 0.5, 0.75, 1.0])


def correlation(times: np.ndarray) -> np.ndarray:
    """Of the statistics at the looks: root of the smaller over the larger information."""
    return np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))


def walks(n: int, drift: float, seed: int = 0) -> np.ndarray:
    """Statistics of simulated trials at the looks."""
    rng = np.random.default_rng(seed)
    steps = np.diff(np.concatenate([[0.0], LOOKS]))
    path = np.cumsum(rng.normal(drift * steps, np.sqrt(steps), (n, 4)), axis=1)
    return path / np.sqrt(LOOKS)


def test_pocock_constants_equal_published_ones() -> None:
    # nominal levels as quoted from Pocock 1977: 0.0294 for two looks, 0.0158 for five
    for n_looks, level in ((2, 0.0294), (5, 0.0158)):
        upper = sequential_design(np.arange(1, n_looks + 1) / n_looks, Boundary.POCOCK).upper
        assert np.ptp(upper) == 0
        assert round(float(2 * stats.norm.sf(upper[0])), 4) == level


def test_spending_boundary_equals_another_program() -> None:
    # README of SeqBounds.jl: one-sided 0.05, O'Brien-Fleming spending, four looks; its grid is
    # coarser, with an error below 5e-5
    found = sequential_design(LOOKS, Boundary.OBRIEN_FLEMING_SPENDING, 0.05, sides=1).upper
    np.testing.assert_allclose(found, [3.74955, 2.53993, 2.01604, 1.72014], atol=5e-5)


@pytest.mark.parametrize("drift", [0.0, 1.7])
@pytest.mark.parametrize("times", [np.array([0.2, 0.5, 1.0]), np.array([0.5, 0.52, 1.0])])
def test_chance_to_go_on_equals_the_multivariate_normal_of_scipy(
    drift: float, times: np.ndarray
) -> None:
    upper = np.array([3.0, 2.2, 2.1])
    found = crossing_probabilities(times, upper, -upper, drift)
    inside = multivariate_normal(
        drift * np.sqrt(times), correlation(times), abseps=1e-8, releps=1e-8, maxpts=4_000_000
    ).cdf(upper, lower_limit=-upper)
    # scipy's quasi-random integral is good to about 1e-6
    assert 1 - found.sum() == pytest.approx(inside, abs=3e-6)


@pytest.mark.parametrize("boundary", list(Boundary))
@pytest.mark.parametrize("sides", [1, 2])
def test_boundaries_spend_their_level_and_no_more(boundary: Boundary, sides: int) -> None:
    design = sequential_design([0.3, 0.6, 1.0], boundary, 0.05, sides)
    lower = -design.upper if sides == 2 else None
    total = crossing_probabilities(design.fractions, design.upper, lower).sum()
    # spending is done for one side; both together lose the 1e-6 of trials that would cross both
    assert total == pytest.approx(0.05, abs=2e-5)
    assert sequential_design([1.0], boundary, 0.05, sides).upper[0] == pytest.approx(
        stats.norm.isf(0.05 / sides), abs=1e-6
    )


def test_obrien_fleming_falls_with_the_root_of_the_information() -> None:
    upper = sequential_design(LOOKS, Boundary.OBRIEN_FLEMING).upper
    np.testing.assert_allclose(upper * np.sqrt(LOOKS), upper[-1], rtol=1e-12)


@pytest.mark.parametrize("drift", [0.0, 3.0])
def test_simulated_trials_stop_as_often_as_the_integrals_say(drift: float) -> None:
    n = 40_000
    design = sequential_design(LOOKS, Boundary.POCOCK)
    stops = monitored(design, walks(n, drift))
    expected = crossing_probabilities(LOOKS, design.upper, -design.upper, drift)
    for look, row in enumerate(stopping_table(stops, 4)):
        for reason, column in (("efficacy", 0), ("harm", 1)):
            # four standard errors of a share
            error = 4 * np.sqrt(expected[look, column] / n)
            assert row[reason] == pytest.approx(expected[look, column], abs=error + 1e-9)
    assert sum(sum(row.values()) - row["look"] for row in stopping_table(stops, 4)) == (
        pytest.approx(1.0)
    )
    size = expected_size(stops, 400 * LOOKS)
    go_on = np.concatenate([[1.0], 1 - np.cumsum(expected.sum(axis=1))[:-1]])
    assert size.low - 0.5 < 100 * go_on.sum() < size.high + 0.5


def test_futility_stops_hopeless_trials_and_costs_no_level() -> None:
    z = walks(40_000, 0.0)
    bare = monitored(sequential_design(LOOKS), z)
    futile = monitored(sequential_design(LOOKS, futility=0.2), z)
    assert futile.is_successful.mean() <= bare.is_successful.mean()
    assert expected_size(futile, LOOKS).estimate < 0.6 < expected_size(bare, LOOKS).estimate
    # only early looks stop for futility
    assert stopping_table(futile, 4)[-1]["futility"] == 0


def test_conditional_power_is_the_share_of_trials_that_end_above() -> None:
    rng = np.random.default_rng(3)
    z, t, drift = 1.2, 0.4, 2.5
    end = z * np.sqrt(t) + rng.normal(drift * 0.6, np.sqrt(0.6), 100_000)
    share = float(np.mean(end >= 1.96))
    found = float(conditional_power(z, t, 1.96, drift))
    assert found == pytest.approx(share, abs=4 * np.sqrt(0.25 / 100_000))
    # on its present trend a trial that just sits on the line has an even chance
    assert float(conditional_power(1.96 * np.sqrt(0.4), 0.4, 1.96)) == pytest.approx(0.5)


def test_a_look_that_could_not_be_tested_stops_nothing() -> None:
    design = sequential_design(LOOKS, futility=0.5)
    z = np.array([[np.nan, np.nan, 9.0, 9.0], [np.nan] * 4])
    stops = monitored(design, z)
    assert stops.look.tolist() == [2, 3]
    assert stops.reason.tolist() == ["efficacy", "end"]


def test_looks_at_real_replicates_keep_the_level() -> None:
    pool = np.random.default_rng(6).normal(size=4000)
    rows, others = deal(4000, (100, 100), 4, np.arange(1500))
    z, sizes = at_looks(pool[rows], pool[others], "means", [0.5, 1.0])
    assert sizes.tolist() == [100, 200]
    np.testing.assert_array_equal(z[:, 1], analyzed(pool[rows], pool[others], "means").z)
    stops = monitored(sequential_design([0.5, 1.0], Boundary.POCOCK), z)
    rejected = int(np.isin(stops.reason, ["efficacy", "harm"]).sum())
    low, high = stats.binom.interval(0.999, 1500, 0.05)
    assert low <= rejected <= high


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="ascend to 1"):
        sequential_design([0.5, 0.4, 1.0])
    with pytest.raises(InputError, match="ascend to 1"):
        sequential_design([0.5, 0.9])
    with pytest.raises(ShapeError):
        monitored(sequential_design(LOOKS), np.zeros((3, 2)))

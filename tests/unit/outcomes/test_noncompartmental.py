"""Exposure from concentrations, against curves whose exposure is known."""

import numpy as np
import pytest

from immunostat.base.errors import ShapeError
from immunostat.outcomes import noncompartmental as nca

K = np.array([0.1, 0.5])
TIMES = np.union1d(np.linspace(0, 40, 41), np.geomspace(1e-3, 100, 60))
FALLING = 8.0 * np.exp(-K[:, None] * TIMES)


def test_the_area_of_an_exponential_is_exact_by_the_logarithmic_rule():
    exact = 8.0 / K * (1 - np.exp(-K * TIMES[-1]))
    # 1e-12: the rule is exact for one exponential; rounding is left
    assert nca.area(TIMES, FALLING) == pytest.approx(exact, rel=1e-12)


def test_the_area_beyond_the_last_sample_is_added():
    short = TIMES <= 20
    found = nca.area_to_infinity(TIMES[short], FALLING[:, short])
    assert found == pytest.approx(8.0 / K, rel=1e-9)


def test_a_rising_line_has_the_area_of_a_triangle():
    assert nca.area(np.array([0.0, 1.0, 2.0]), np.array([[0.0, 1.0, 2.0]])) == pytest.approx([2.0])


def test_peak_and_its_time():
    values, times = nca.peak(TIMES, FALLING * TIMES)
    # t exp(-kt) has its peak at 1/k; the samples are half a day apart
    assert times == pytest.approx(1 / K, abs=0.6)
    assert values == pytest.approx(8.0 / K / np.e, rel=0.01)


def test_half_life_of_one_exponential():
    assert nca.half_life(TIMES, FALLING) == pytest.approx(np.log(2) / K, rel=1e-9)


def test_half_life_of_two_exponentials_is_that_of_the_slower():
    curve = (np.exp(-3 * TIMES) + np.exp(-0.1 * TIMES))[None, :]
    # 0.1 %: what is left of the fast part in the second half of the decline
    assert nca.half_life(TIMES, curve) == pytest.approx([np.log(2) / 0.1], rel=1e-3)


def test_what_does_not_decline_has_no_half_life():
    assert np.isnan(nca.half_life(TIMES, np.ones((1, len(TIMES)))))[0]
    assert np.isnan(nca.half_life(TIMES, np.zeros((1, len(TIMES)))))[0]


def test_times_and_concentrations_belong_together():
    with pytest.raises(ShapeError, match="expected"):
        nca.area(TIMES, FALLING[:, :5])

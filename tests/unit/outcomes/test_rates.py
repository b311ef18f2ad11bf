"""Rates of recurrent events: agreement with independent fits, and the truth of simulated counts."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import RangeError
from immunostat.outcomes.rates import event_rates

RNG = np.random.default_rng(7)
N = 3000
ARM = np.arange(N) % 2
YEARS = RNG.uniform(0.3, 2.0, N)
MEAN = YEARS * 0.9 * np.where(ARM == 1, 0.5, 1.0)
#: Poisson counts with gamma spread of variance 0.8 between patients
COUNTS = RNG.poisson(MEAN * RNG.gamma(1 / 0.8, 0.8, N))


def test_rate_ratio_rates_and_dispersion_of_negative_binomial_counts_are_recovered() -> None:
    found = event_rates(COUNTS, YEARS, ARM)
    # the 95 % intervals of one fixed data set contain the truth
    assert found.ratio.low < 0.5 < found.ratio.high
    assert found.rate.low < 0.45 < found.rate.high
    assert found.other_rate.low < 0.9 < found.other_rate.high
    assert found.dispersion == pytest.approx(0.8, abs=0.2)  # about two standard errors
    assert found.ratio.estimate == pytest.approx(
        found.rate.estimate / found.other_rate.estimate, rel=1e-9
    )


def test_fit_satisfies_the_likelihood_equations_and_equals_a_direct_search() -> None:
    from scipy.optimize import minimize
    from scipy.special import gammaln

    count, years, arm = COUNTS[:400], YEARS[:400], ARM[:400]

    def deviance(theta: np.ndarray) -> float:
        size = np.exp(-theta[2])
        mean = years * np.exp(theta[0] + theta[1] * arm)
        terms = gammaln(count + size) - gammaln(size) + size * np.log(size / (size + mean))
        return -float(np.sum(terms + count * np.log(mean / (size + mean))))

    direct = minimize(
        deviance,
        [0.0, 0.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 4000},
    )
    found = event_rates(count, years, arm)
    assert np.log(found.ratio.estimate) == pytest.approx(direct.x[1], abs=1e-4)
    assert np.log(found.dispersion) == pytest.approx(direct.x[2], abs=1e-3)


def test_without_overdispersion_the_ratio_is_that_of_the_crude_rates() -> None:
    counts = np.tile([1, 2, 1, 2], 50)  # less spread than a Poisson count
    years, arm = np.ones(200), np.repeat([1, 0], 100)
    counts[:100] = np.tile([0, 1, 1, 0], 25)
    found = event_rates(counts, years, arm, per_years=100.0)
    assert found.dispersion == 0
    assert "Poisson" in found.ratio.method
    assert found.ratio.estimate == pytest.approx(0.5 / 1.5, rel=1e-6)
    assert found.other_rate.estimate == pytest.approx(150.0, rel=1e-6)
    # Wald error of a log ratio of Poisson rates: sqrt(1/events + 1/events)
    error = np.sqrt(1 / 50 + 1 / 150)
    assert np.log(found.ratio.high / found.ratio.low) == pytest.approx(
        2 * 1.959964 * error, rel=1e-5
    )


def test_the_interval_is_wider_than_poisson_where_patients_differ() -> None:
    found = event_rates(COUNTS, YEARS, ARM)
    a, b = COUNTS[ARM == 1].sum(), COUNTS[ARM == 0].sum()
    poisson = 2 * 1.959964 * np.sqrt(1 / a + 1 / b)
    assert np.log(found.ratio.high / found.ratio.low) > 1.15 * poisson


def test_missing_patients_are_left_out_and_an_arm_without_events_has_no_ratio() -> None:
    counts = COUNTS[:200].astype(float)
    counts[3] = np.nan
    found = event_rates(counts, YEARS[:200], ARM[:200])
    kept = np.arange(200) != 3
    same = event_rates(counts[kept], YEARS[:200][kept], ARM[:200][kept])
    assert found.ratio == same.ratio
    none = event_rates(COUNTS[:200] * ARM[:200], YEARS[:200], ARM[:200])
    assert np.isnan(none.ratio.estimate)
    with pytest.raises(RangeError):
        event_rates([-1.0], [1.0], [1.0])

"""Laws that the cards of published trials and of populations keep."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.populations import population_spec
from immunostat.population.patients import Distribution, MomentsOf
from immunostat.population.sample import sample_covariates

CATALOG = packaged_catalog()
TRIALS = [CATALOG.trial(name) for name in CATALOG.trials()]
N = 4000


def test_at_most_one_arm_of_a_target_trains_the_patients_of_a_situation():
    """The rule of the design; a population with a background (ribavirin) has an arm of its own."""
    trained: Counter[tuple[str, bool, str]] = Counter()
    for trial in TRIALS:
        names = CATALOG.populations()
        has_background = (
            trial.situation != "rheumatoid-arthritis"
            and trial.population in names
            and CATALOG.population(trial.population).background is not None
        )
        for arm in trial.arms:
            if arm.role == "training":
                target = next(iter(CATALOG.drug(arm.drug).targets)) if arm.lines else "none"
                trained[trial.situation, has_background, target] += 1
    twice = {key: n for key, n in trained.items() if n > 1}
    assert not twice


def test_arms_of_a_trial_have_names_of_their_own():
    for trial in TRIALS:
        names = [arm.name for arm in trial.arms]
        assert len(names) == len(set(names)), trial.name


def test_shares_are_percent_and_nothing_is_printed_twice():
    for trial in TRIALS:
        for arm in trial.arms:
            keys = [(result.endpoint, result.week, result.n) for result in arm.results]
            assert len(keys) == len(set(keys)), (trial.name, arm.name)
            for result in arm.results:
                if result.unit == "%":
                    assert -100.0 <= result.value <= 100.0
                if result.low is not None and result.high is not None:
                    assert result.low <= result.value <= result.high


@pytest.mark.parametrize("name", CATALOG.populations())
def test_drawn_covariates_have_the_printed_mean(name: str):
    """Within five standard errors of the mean, which a chance of one in two million exceeds."""
    spec = population_spec(CATALOG.population(name))
    drawn = sample_covariates(spec, 11, np.arange(N))
    for covariate in spec.covariates:
        values = drawn[covariate.name].to_numpy()
        assert np.all(np.isfinite(values)), covariate.name
        if covariate.distribution is Distribution.BERNOULLI and covariate.probability is not None:
            p = covariate.probability
            assert abs(values.mean() - p) <= 5 * np.sqrt(p * (1 - p) / N) + 1e-12, covariate.name
        elif (
            covariate.mean is not None
            and covariate.sd is not None
            and covariate.moments_of is MomentsOf.TRUNCATED
        ):
            error = 5 * covariate.sd / np.sqrt(N)
            assert abs(values.mean() - covariate.mean) <= error, covariate.name
        assert np.all(values >= covariate.low), covariate.name
        assert np.all(values <= covariate.high), covariate.name

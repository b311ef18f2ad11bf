"""How many patients a trial needs: whole trials of any size, dealt from one simulated pool.

The pool is simulated once, every patient under both arms; a trial of n per arm is then n patients
from it for each arm, no patient twice in one trial. Everything else (visits, dropout, rules, the
error of the day) is as the study says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import Catalog
from immunostat.study.answers import values_in_trials
from immunostat.study.chunks import Progress, cut_of, gather
from immunostat.study.plan import prepare
from immunostat.study.store import MemoryStore
from immunostat.study.study import Study
from immunostat.study.trial_parts import Analysis, Design
from immunostat.trial.sample_size import SampleSize, find_sample_size, pool_successes

#: Patients of the pool, if not given.
POOL = 2000
#: Whole trials at each size that is tried.
REPLICATES = 400
#: Fewest patients per arm that are tried.
SMALLEST = 4


@dataclass(frozen=True)
class RequiredSize:
    """Answer of a search.

    Parameters
    ----------
    analysis
        The comparison whose power is meant.
    size
        Patients per arm with their interval, and every size that was tried.
    difference
        What the pool says the difference is, arm minus comparator.
    """

    analysis: Analysis
    size: SampleSize
    difference: float

    @property
    def points(self) -> pd.DataFrame:
        """Sizes that were tried: patients per arm, power and its 95 % interval, trials."""
        rows = [
            {
                "n": point.n,
                "power": point.power.estimate,
                "low": point.power.low,
                "high": point.power.high,
                "trials": point.n_replicates,
            }
            for point in self.size.points
        ]
        return pd.DataFrame(rows, columns=["n", "power", "low", "high", "trials"])


def required_size(
    study: Study,
    catalog: Catalog,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    analysis: int = 0,
    pool: int = POOL,
    replicates: int = REPLICATES,
    threads: int | None = None,
    progress: Progress | None = None,
) -> RequiredSize:
    """Search the patients per arm at which a trial reaches a power.

    Parameters
    ----------
    study
        With at least one of ``analyses``, of a mean or a proportion.
    analysis
        Which of them, from 0.
    pool
        Patients who are simulated; sizes up to half of it can be tried.
    replicates
        Whole trials at each size.

    Raises
    ------
    InputError
        The study has no such analysis, or one that is neither mean nor proportion.
    """
    if not 0 <= analysis < len(study.analyses):
        raise InputError(
            f"the study has {len(study.analyses)} analyses, and no number {analysis}",
            study.place,
            "write analyses: [{endpoint: ACR20, arm: ARM, versus: placebo}]",
        )
    if study.design.crossover is not None:
        raise InputError(
            "the size of a crossover cannot be searched yet",
            study.place,
            "run it with design.replicates and several numbers of patients",
        )
    chosen = study.analyses[analysis]
    population = replace(study.population, n_patients=pool)
    everybody = replace(
        study, population=population, design=Design(), interim=None, dose_response=None
    )
    plan = prepare(everybody, catalog)
    cut = cut_of(plan)
    gathered = gather(plan, MemoryStore(), replace(cut, is_kept=False), threads, progress)
    how, values, other = values_in_trials(gathered, chosen)
    successes = pool_successes(values[0], other[0], how, population.seed, replicates, alpha)
    size = find_sample_size(successes, power, SMALLEST, pool // 2)
    return RequiredSize(chosen, size, float(np.nanmean(values[0]) - np.nanmean(other[0])))

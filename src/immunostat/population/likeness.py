"""People like a given person: what is not said of him is drawn as in those who are like him."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from immunostat.model.system import FloatArray
from immunostat.population.patients import Distribution, PopulationSpec
from immunostat.population.sample import correlation_matrix, covariate_of_scores

#: A score beyond this is that of one person in 10^15; and halvings that find a score.
FARTHEST, HALVINGS = 8.0, 60


def scores_of_likes(
    spec: PopulationSpec,
    random: Sequence[str],
    scores: FloatArray,
    values: Mapping[str, FloatArray],
    person: Mapping[str, float],
    correlations: Sequence[tuple[tuple[str, str], float]],
) -> FloatArray:
    """Normal scores of covariates, given those of the person.

    Parameters
    ----------
    random
        Names of the covariates that are drawn, in the order of the columns.
    scores
        Drawn without knowing the person. Shape (patient, name).
    values
        Covariates of these scores, the person's own put in. Each (patient,).
    person
        Covariates of the person. A yes or no, and a limit of what people may have, tell no score
        and change nothing of the others.
    correlations
        Of the scores.

    Returns
    -------
    Shape (patient, name).

    Source
    ------
    Conditional normal distribution by correction of a draw: z + C_of C_ff^-1 (z_f* - z_f)
    ("definition").
    """
    known = [
        covariate
        for covariate in spec.covariates
        if covariate.name in person
        and covariate.is_random
        and covariate.distribution is not Distribution.BERNOULLI
        and covariate.low < person[covariate.name] < covariate.high
    ]
    if not known:
        return scores
    columns = [random.index(covariate.name) for covariate in known]
    wanted = np.empty((len(scores), len(known)))
    for j, covariate in enumerate(known):
        low, high = np.full(len(scores), -FARTHEST), np.full(len(scores), FARTHEST)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            is_low = covariate_of_scores(covariate, middle, values) < person[covariate.name]
            low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
        wanted[:, j] = 0.5 * (low + high)
    matrix = correlation_matrix(random, correlations)
    weights = matrix[:, columns] @ np.linalg.pinv(matrix[np.ix_(columns, columns)])
    return np.asarray(scores + (wanted - scores[:, columns]) @ weights.T)

"""What an outcome goes with among virtual patients: the numbers in which they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunostat.model.system import FloatArray
from immunostat.study.one_patient import model_parameters, people
from immunostat.study.rank_correlation import tested
from immunostat.study.result import Result

#: Fewest patients in whom drivers are looked for, for each number that may be one.
FEWEST_PER_NUMBER = 4

#: Numbers that are looked at; those with the highest rank correlation of all.
MOST_NUMBERS = 60

#: Drivers with a larger p value are not told.
LARGEST_P = 0.01


@dataclass(frozen=True)
class Driver:
    """A number that an outcome goes with, the others held.

    Parameters
    ----------
    name
        Of a covariate or of a parameter of the joined model.
    correlation
        Partial rank correlation.
    """

    name: str
    correlation: float


#: What the column of an endpoint may be called, after its name: as it is, its last value, how
#: many events, or whether there was one.
_ENDINGS = ("", " at end", " events", " event")


def outcome_column(patients: pd.DataFrame, endpoint: str) -> str | None:
    """The column that says what a patient reached in an endpoint; None if there is none.

    Parameters
    ----------
    patients
        ``result.patients``.
    """
    names = (endpoint + ending for ending in _ENDINGS)
    return next((name for name in names if name in patients), None)


def drivers(result: Result, arm: str, column: str, most: int = 3) -> list[Driver]:
    """The numbers of patients that an outcome under an arm goes with most.

    Parameters
    ----------
    column
        Of ``result.patients``.
    most
        How many.

    Returns
    -------
    The strongest first; none where the outcome is the same in everybody, or too few patients tell.
    """
    table = result.patients
    own = table.loc[table["arm"] == arm, ["patient", column]].dropna()
    numbers = people(result)
    parameters = model_parameters(result)
    if parameters is not None:
        new = [name for name in parameters if name == "patient" or name not in numbers]
        numbers = numbers.merge(parameters[new], on="patient")
    joined = own.merge(numbers.dropna(axis=1), on="patient")
    y = joined[column].to_numpy(np.float64)
    if len(y) < 20 or np.ptp(y) == 0:
        return []
    names = [
        str(name)
        for name in joined.columns
        if name not in ("patient", column) and np.ptp(joined[name].to_numpy(np.float64)) > 0
    ]
    names = _told_apart(joined, names)
    plain = [abs(_spearman(joined[name].to_numpy(np.float64), y)) for name in names]
    fitting = min(MOST_NUMBERS, max(1, len(y) // FEWEST_PER_NUMBER))
    names = [names[i] for i in np.argsort(plain, kind="stable")[::-1][:fitting]]
    found = _partial(joined[names].to_numpy(np.float64), y)
    sure = [
        Driver(name, float(r))
        for name, r in zip(names, found, strict=True)
        if tested(float(r), len(y), len(names))["p"] < LARGEST_P
    ]
    return sorted(sure, key=lambda driver: -abs(driver.correlation))[:most]


def _partial(x: FloatArray, y: FloatArray) -> FloatArray:
    """Partial rank correlation of each column of x with y, the other columns held. (column,).

    From the inverse of the correlations of ranks: the same as `rank_correlation.prcc` of columns
    that do not depend on each other, in one step for all.
    """
    from scipy.stats import rankdata

    ranks = np.column_stack([*(rankdata(column) for column in x.T), rankdata(y)])
    # Columns that say the same leave no inverse, and a pseudo-inverse would turn signs around.
    correlations = np.corrcoef(ranks.T) + 1e-9 * np.eye(x.shape[1] + 1)
    inverse = np.linalg.inv(correlations)
    scale = np.sqrt(np.abs(np.diag(inverse)))
    return np.asarray(np.clip(-inverse[-1, :-1] / (scale[-1] * scale[:-1]), -1.0, 1.0))


def _told_apart(table: pd.DataFrame, names: list[str]) -> list[str]:
    """Names without those that order patients as an earlier one does, such as its logarithm."""
    from scipy.stats import rankdata

    kept: list[str] = []
    seen: set[bytes] = set()
    for name in names:
        ranks = rankdata(table[name].to_numpy(np.float64))
        marks = {ranks.tobytes(), rankdata(-ranks).tobytes()}
        if not marks & seen:
            kept.append(name)
            seen |= marks
    return kept


def _spearman(x: FloatArray, y: FloatArray) -> float:
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])

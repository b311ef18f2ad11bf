"""How well an output is known when numbers of the model are not: uncertainty, not variability.

Each draw multiplies the typical values of the uncertain numbers by random factors, the same for all
patients, and looks at a whole virtual trial of the same patients. What differs between draws is
then what is not known; what differs between patients is the chance of who takes part. The two are
told apart by the law of total variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunostat.base import streams
from immunostat.base.errors import InputError
from immunostat.model.system import FloatArray
from immunostat.study.evaluations import Evaluate, Evaluated, Progress, Store, evaluate_rows
from immunostat.study.varied import Z95, Parameter

#: Fewest draws of which an interval is made.
FEWEST_DRAWS = 10


@dataclass(frozen=True)
class Components:
    """Variance of an output, split; all in the square of its unit.

    Parameters
    ----------
    parameters
        Of the expected output between draws of the parameters: what is not known.
    patients
        Of the mean of `n` new patients within a draw: who takes part.
    interaction
        Of one patient's own response to a draw, beyond the mean response and his own level.
    n
        Patients who have a value in every draw that was used.
    draws
        Draws that were used.
    """

    parameters: float
    patients: float
    interaction: float
    n: int
    draws: int

    @property
    def total(self) -> float:
        """Variance of the mean of new patients under a new draw (law of total variance)."""
        return self.parameters + self.patients

    @property
    def share(self) -> float:
        """Part of the total that is uncertainty of parameters; NaN where nothing varies."""
        return self.parameters / self.total if self.total > 0 else math.nan


@dataclass(frozen=True)
class Uncertainty:
    """The answer.

    Parameters
    ----------
    table
        One row per output: ``estimate`` (unchanged model), ``sampling_low``/``sampling_high``
        (95 %, patients alone), ``parameter_low``/``parameter_high`` (2.5 and 97.5 % of the draws,
        parameters alone), ``total_low``/``total_high`` (both), ``median`` of the draws,
        ``share`` of the variance that is due to parameters, the two standard deviations,
        ``n_patients``, ``n_draws``.
    draws
        One row per draw: a column ``draw``, a column for each output. Draw 0 is the unchanged
        model.
    factors
        Shape (draw + 1, parameter).
    """

    table: pd.DataFrame
    draws: pd.DataFrame
    factors: FloatArray
    evaluated: Evaluated


def uncertainty(
    evaluate: Evaluate,
    parameters: Sequence[Parameter],
    *,
    draws: int = 200,
    seed: int = 1,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Uncertainty:
    """Draw the uncertain numbers and look at whole trials of the same patients.

    Parameters
    ----------
    evaluate
        From factors to outputs, one value per patient (a bare number has no sampling part).
    parameters
        Uncertain numbers; `Parameter.low` to `Parameter.high` holds 95 % of the log-normal from
        which the factor is drawn, independently of the others.
    draws
        Number of draws; draw 17 is the same among 20 and among 2000.
    seed
        Of the draws.

    Raises
    ------
    InputError
        Too few draws.

    Source
    ------
    Law of total variance ("definition"); components as in `variance_components`.
    """
    if draws < FEWEST_DRAWS:
        raise InputError(f"{draws} draws are too few", remedy=f"at least {FEWEST_DRAWS}")
    if not parameters:
        raise InputError("there is no parameter to draw")
    names = [parameter.name for parameter in parameters]
    factors = np.concatenate([np.ones((1, len(names))), draw_factors(parameters, draws, seed)])
    found = evaluate_rows(evaluate, names, factors, store=store, progress=progress, stage="draws")
    means = found.means
    rows = [
        _row(output, float(means[0, o]), means[1:, o], found.values[1:, o], found.values[0, o])
        for o, output in enumerate(found.outputs)
    ]
    table = pd.DataFrame({"draw": np.arange(draws + 1)})
    table = table.assign(**{output: means[:, o] for o, output in enumerate(found.outputs)})
    return Uncertainty(pd.DataFrame(rows), table, factors, found)


def draw_factors(parameters: Sequence[Parameter], draws: int, seed: int) -> FloatArray:
    """Log-normal factors, independent, each keyed by its parameter's name and the draw's number.

    So a draw keeps its factors when draws or parameters are added. Shape (draw, parameter).
    """
    numbers = np.arange(draws, dtype=np.int64)
    columns = [
        np.exp(p.log_center + p.log_sd * streams.normal(seed, f"uncertain {p.name}", numbers)[:, 0])
        for p in parameters
    ]
    return np.column_stack(columns)


def variance_components(values: FloatArray) -> Components:
    """Split the variance of a table of draws by patients.

    A value is modelled as a common level, plus an effect of the draw, plus one of the patient,
    plus their interaction. Mean squares of the two-way table estimate the variances; the mean over
    the few patients of a trial moves a little with the draw by the interaction alone, which is not
    counted as uncertainty of parameters.

    Parameters
    ----------
    values
        NaN where missing: draws in which nobody has a value are left out, then patients who lack
        one. Shape (draw, patient).

    Returns
    -------
    An estimate below zero is given as zero.

    Source
    ------
    Two-way random effects without replication: Searle SR, Casella G, McCulloch CE, Variance
    Components, Wiley 1992, section 4.4.
    """
    values = values[np.isfinite(values).any(axis=1)]
    values = values[:, np.isfinite(values).all(axis=0)]
    m, n = values.shape
    if m < 2 or n < 1:
        return Components(math.nan, math.nan, math.nan, n, m)
    by_draw, by_patient, level = values.mean(axis=1), values.mean(axis=0), float(values.mean())
    of_draws = n * float(np.sum((by_draw - level) ** 2)) / (m - 1)
    if n == 1:
        # Nobody to differ from: all that varies is the draw.
        return Components(of_draws, 0.0, 0.0, n, m)
    of_patients = m * float(np.sum((by_patient - level) ** 2)) / (n - 1)
    left = values - by_draw[:, None] - by_patient[None, :] + level
    interaction = float(np.sum(left**2)) / ((m - 1) * (n - 1))
    between_draws = max((of_draws - interaction) / n, 0.0)
    between_patients = max((of_patients - interaction) / m, 0.0)
    return Components(between_draws, (between_patients + interaction) / n, interaction, n, m)


def _row(
    output: str, estimate: float, means: FloatArray, values: FloatArray, base: FloatArray
) -> dict[str, object]:
    """The line of one output."""
    split = variance_components(values)
    known = means[np.isfinite(means)]
    enough = len(known) >= FEWEST_DRAWS
    low, middle, high = (
        (float(x) for x in np.quantile(known, [0.025, 0.5, 0.975])) if enough else [math.nan] * 3
    )
    own = base[np.isfinite(base)]
    error = float(own.std(ddof=1)) / math.sqrt(len(own)) if len(own) > 1 else 0.0
    # Draws are spread by the parameters, in whatever shape; chance in the patients is added to
    # each side in quadrature, as the two are independent.
    below = math.hypot(middle - low, Z95 * math.sqrt(split.patients))
    above = math.hypot(high - middle, Z95 * math.sqrt(split.patients))
    return {
        "output": output,
        "estimate": estimate,
        "sampling_low": estimate - Z95 * error,
        "sampling_high": estimate + Z95 * error,
        "median": middle,
        "parameter_low": low,
        "parameter_high": high,
        "total_low": middle - below,
        "total_high": middle + above,
        "parameter_sd": math.sqrt(split.parameters),
        "sampling_sd": math.sqrt(split.patients),
        "share": split.share,
        "n_patients": split.n,
        "n_draws": len(known),
    }

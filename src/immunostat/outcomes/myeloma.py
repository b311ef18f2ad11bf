"""Response of multiple myeloma from the serum M-protein, by the criteria of the IMWG.

Only what a serum M-protein can say is said here. Urine protein, free light chains, bone marrow and
new lesions are not looked at, so a complete response means that the M-protein is below the limit
of detection.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import ShapeError
from immunostat.model.system import FloatArray
from immunostat.outcomes.statistics import Estimate, proportion
from immunostat.outcomes.visit_courses import next_observed, previous_observed

#: Least fall from baseline of a minimal, partial and very good partial response.
MINIMAL_FALL, PARTIAL_FALL, VERY_GOOD_FALL = 0.25, 0.50, 0.90
#: Progression: least relative and absolute rise from the lowest value; the absolute one is larger
#: where the lowest value was at least `HIGH_NADIR_G_PER_L`.
PROGRESSION_RISE = 0.25
PROGRESSION_RISE_G_PER_L, HIGH_PROGRESSION_RISE_G_PER_L, HIGH_NADIR_G_PER_L = 5.0, 10.0, 50.0
#: Relative rounding of decimals that is forgiven where a rule says "at least".
_ROUNDING = 1e-9


class Response(IntEnum):
    """Categories, the larger the better."""

    PROGRESSION = -1
    STABLE = 0
    MINIMAL = 1
    PARTIAL = 2
    VERY_GOOD_PARTIAL = 3
    COMPLETE = 4


def imwg_response(
    m_protein_g_per_l: npt.ArrayLike,
    baseline: int = 0,
    detection_limit_g_per_l: float = 0.0,
    is_confirmed: bool = True,
) -> FloatArray:
    """Category of response at each visit.

    Parameters
    ----------
    m_protein_g_per_l
        Serum M-protein, NaN where missing. Shape (patient, visit), g/L.
    baseline
        Index of the visit before treatment.
    detection_limit_g_per_l
        Below it the response is complete; 0 calls no response complete.
    is_confirmed
        Whether a category needs two consecutive assessments. A response at a visit is then the
        better of what it shares with the assessment before and with the one after; progression
        counts from the first of two consecutive progressing assessments.

    Returns
    -------
    Value of `Response`; NaN where missing, before baseline, and without a baseline value. From
    progression on, every visit is progression. Shape (patient, visit), no unit.

    Source
    ------
    imwg_response (imwg): Kumar S et al., Lancet Oncol 2016;17:e328, as adapted in Curr Oncol
    2023;30:2322, Table 1. PR: down 50 % or more; VGPR: down 90 % or more; MR: down 25 to 49 %; PD:
    up 25 % from the lowest value and at least 0.5 g/dL (1 g/dL if the lowest was 5 g/dL or more);
    two consecutive assessments.
    """
    values = np.asarray(m_protein_g_per_l, dtype=np.float64)
    if values.ndim != 2:
        raise ShapeError(f"M-protein has shape {values.shape}; expected (patient, visit)")
    after = np.arange(values.shape[1]) >= baseline
    values = np.where(after[None, :], values, np.nan)
    before = values[:, baseline : baseline + 1]
    values = np.where(np.isnan(before), np.nan, values)
    is_seen = ~np.isnan(values)
    fall = 1.0 - values / np.where(before > 0, before, np.nan)
    depth = np.zeros(values.shape)
    for category, least in (
        (Response.MINIMAL, MINIMAL_FALL),
        (Response.PARTIAL, PARTIAL_FALL),
        (Response.VERY_GOOD_PARTIAL, VERY_GOOD_FALL),
    ):
        depth[fall >= least - _ROUNDING] = category
    depth[is_seen & (values < detection_limit_g_per_l)] = Response.COMPLETE
    depth[:, baseline] = Response.STABLE  # nothing has responded before treatment
    depth = np.where(is_seen, depth, np.nan)
    progressing = np.where(is_seen, _rises(values).astype(np.float64), np.nan)
    if is_confirmed:
        depth = np.fmax(
            np.minimum(depth, previous_observed(depth)), np.minimum(depth, next_observed(depth))
        )
        progressing = np.minimum(progressing, next_observed(progressing))
    # a single assessment confirms nothing: stable until a second one
    depth = np.where(is_seen & np.isnan(depth), Response.STABLE, depth)
    has_progressed = np.logical_or.accumulate(progressing == 1.0, axis=1)
    return np.where(is_seen, np.where(has_progressed, Response.PROGRESSION, depth), np.nan)


def best_response(categories: npt.ArrayLike, baseline: int = 0) -> FloatArray:
    """Best category after baseline so far; progression ends the search.

    Parameters
    ----------
    categories
        From `imwg_response`. Shape (patient, visit).
    baseline
        Index of the visit before treatment, which does not count.

    Returns
    -------
    Value of `Response`, NaN before the first assessment. Shape (patient, visit), no unit.

    Source
    ------
    "definition"
    """
    own = np.array(categories, dtype=np.float64)
    own[:, : baseline + 1] = np.nan
    return np.asarray(np.fmax.accumulate(own, axis=1))


def response_shares(categories: npt.ArrayLike, confidence: float = 0.95) -> dict[str, Estimate]:
    """Share of patients in each category, a missing one counted as not evaluable.

    Parameters
    ----------
    categories
        Of each patient at one visit, or his best response. Shape (patient,).
    confidence
        Coverage of the intervals (Wilson).

    Returns
    -------
    By category in words from the best to ``not evaluable``; and ``partial or better``, the overall
    response rate. Shares of all patients.

    Source
    ------
    "definition"
    """
    own = np.asarray(categories, dtype=np.float64)
    counts = {
        one.name.lower().replace("_", " "): int(np.sum(own == one)) for one in reversed(Response)
    }
    counts["not evaluable"] = int(np.sum(np.isnan(own)))
    counts["partial or better"] = int(np.sum(own >= Response.PARTIAL))
    return {name: proportion(count, len(own), confidence) for name, count in counts.items()}


def _rises(values: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether a value lies above the lowest one before it by the rule of progression."""
    running = np.fmin.accumulate(values, axis=1)
    lowest = np.concatenate([np.full((len(values), 1), np.nan), running[:, :-1]], axis=1)
    absolute = np.where(
        lowest >= HIGH_NADIR_G_PER_L, HIGH_PROGRESSION_RISE_G_PER_L, PROGRESSION_RISE_G_PER_L
    )
    rise = values - lowest
    slack = 1.0 - _ROUNDING
    return np.asarray((rise >= PROGRESSION_RISE * lowest * slack) & (rise >= absolute * slack))

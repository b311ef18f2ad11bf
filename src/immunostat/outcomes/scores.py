"""Clinical scores and grades, each by its published definition.

Scores are definitions: their coefficients stand here with their source, like the tableau of a
method. Every function takes arrays of any one shape and answers NaN where an input is missing.
Sources name an entry of ``scores_and_grades`` and its key in ``sources.bib``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, RangeError
from immunostat.model.system import FloatArray
from immunostat.outcomes.edss import HIGHEST, edss

#: Roles of an ACR response: both joint counts, and five others of which three must improve.
ACR_JOINTS = ("tender_joints", "swollen_joints")
ACR_OTHERS = ("acute_phase", "evaluator_global", "patient_global", "pain", "physical_function")
_ACR_OTHERS_NEEDED = 3

#: Relative rounding of decimals that is forgiven where a rule says "at least".
_ROUNDING = 1e-9


def das28_crp(
    tender_joints: npt.ArrayLike,
    swollen_joints: npt.ArrayLike,
    crp: npt.ArrayLike,
    patient_global: npt.ArrayLike,
) -> FloatArray:
    """DAS28-CRP with four variables.

    Parameters
    ----------
    tender_joints, swollen_joints
        Counts of 28 joints.
    crp
        C-reactive protein, mg/L.
    patient_global
        Patient's global assessment, 0 to 100 mm.

    Returns
    -------
    Score, 0.96 or more, no unit. Same shape as the inputs.

    Source
    ------
    das28_crp4 (dasnl): 0.56 sqrt(t28) + 0.28 sqrt(s28) + 0.36 ln(CRP + 1) + 0.014 GH + 0.96.
    """
    tender, swollen, protein, health = _floats(tender_joints, swollen_joints, crp, patient_global)
    return np.asarray(
        0.56 * np.sqrt(tender)
        + 0.28 * np.sqrt(swollen)
        + 0.36 * np.log(protein + 1.0)
        + 0.014 * health
        + 0.96
    )


def das28_crp3(
    tender_joints: npt.ArrayLike, swollen_joints: npt.ArrayLike, crp: npt.ArrayLike
) -> FloatArray:
    """DAS28-CRP with three variables; inputs as for `das28_crp`.

    Source
    ------
    das28_crp3 (dasnl): (0.56 sqrt(t28) + 0.28 sqrt(s28) + 0.36 ln(CRP + 1)) 1.10 + 1.15.
    """
    tender, swollen, protein = _floats(tender_joints, swollen_joints, crp)
    inner = 0.56 * np.sqrt(tender) + 0.28 * np.sqrt(swollen) + 0.36 * np.log(protein + 1.0)
    return np.asarray(inner * 1.10 + 1.15)


def das28_esr(
    tender_joints: npt.ArrayLike,
    swollen_joints: npt.ArrayLike,
    esr: npt.ArrayLike,
    patient_global: npt.ArrayLike,
) -> FloatArray:
    """DAS28-ESR with four variables; erythrocyte sedimentation rate in mm/h, else as `das28_crp`.

    Source
    ------
    das28_esr4 (dasnl): 0.56 sqrt(t28) + 0.28 sqrt(s28) + 0.70 ln(ESR) + 0.014 GH.
    """
    tender, swollen, rate, health = _floats(tender_joints, swollen_joints, esr, patient_global)
    return np.asarray(
        0.56 * np.sqrt(tender) + 0.28 * np.sqrt(swollen) + 0.70 * np.log(rate) + 0.014 * health
    )


def cdai(
    tender_joints: npt.ArrayLike,
    swollen_joints: npt.ArrayLike,
    patient_global: npt.ArrayLike,
    evaluator_global: npt.ArrayLike,
) -> FloatArray:
    """Clinical disease activity index.

    Parameters
    ----------
    tender_joints, swollen_joints
        Counts of 28 joints.
    patient_global, evaluator_global
        Global assessments, 0 to 10 cm.

    Returns
    -------
    Score, 0 to 76, no unit. Same shape as the inputs.

    Source
    ------
    cdai (pmc2678269): the sum of the four.
    """
    return np.asarray(sum(_floats(tender_joints, swollen_joints, patient_global, evaluator_global)))


def sdai(
    tender_joints: npt.ArrayLike,
    swollen_joints: npt.ArrayLike,
    patient_global: npt.ArrayLike,
    evaluator_global: npt.ArrayLike,
    crp: npt.ArrayLike,
) -> FloatArray:
    """Simplified disease activity index: CDAI plus C-reactive protein in mg/dL.

    Source
    ------
    sdai (pmc2678269): the sum of the five.
    """
    clinical = cdai(tender_joints, swollen_joints, patient_global, evaluator_global)
    return np.asarray(clinical + np.asarray(crp, dtype=np.float64))


def boolean_remission(
    tender_joints: npt.ArrayLike,
    swollen_joints: npt.ArrayLike,
    crp: npt.ArrayLike,
    patient_global: npt.ArrayLike,
) -> FloatArray:
    """ACR/EULAR remission of 2011: 1 in remission, 0 not, NaN missing.

    Joint counts of 28 joints, C-reactive protein in mg/dL, global assessment 0 to 10 cm.

    Source
    ------
    boolean_remission (prince2012): each of the four at most 1.
    """
    all_four = np.stack(
        np.broadcast_arrays(*_floats(tender_joints, swollen_joints, crp, patient_global))
    )
    worst = np.max(all_four, axis=0)
    return np.asarray(np.where(np.isnan(worst), np.nan, worst <= 1.0), dtype=np.float64)


@dataclass(frozen=True)
class ActivityLimits:
    """Limits of disease activity on a score.

    Parameters
    ----------
    remission
        Remission lies below this value, or up to it where `is_remission_inclusive`.
    low, moderate
        Low and moderate activity reach up to these values; above `moderate` it is high.
    """

    remission: float
    low: float
    moderate: float
    is_remission_inclusive: bool


#: Limits by score. Source: das28_limits (dasnl); cdai and sdai (pmc2678269).
ACTIVITY_LIMITS: Mapping[str, ActivityLimits] = {
    "das28_crp": ActivityLimits(2.6, 3.2, 5.1, False),
    "das28_crp3": ActivityLimits(2.6, 3.2, 5.1, False),
    "das28_esr": ActivityLimits(2.6, 3.2, 5.1, False),
    "cdai": ActivityLimits(2.8, 10.0, 22.0, True),
    "sdai": ActivityLimits(3.3, 11.0, 26.0, True),
}
ACTIVITY_NAMES = ("remission", "low", "moderate", "high")


def activity_category(score: str, values: npt.ArrayLike) -> FloatArray:
    """Category of disease activity: index into `ACTIVITY_NAMES`, NaN where missing.

    Parameters
    ----------
    score
        Name of a score in `ACTIVITY_LIMITS`.
    values
        Values of that score, any shape.

    Returns
    -------
    0 remission, 1 low, 2 moderate, 3 high, NaN missing. Same shape as `values`.

    Source
    ------
    das28_limits (dasnl), cdai and sdai (pmc2678269). DAS28-CRP is judged by the limits of
    DAS28-ESR, as trials do, though it reads 0.2 to 0.3 lower.
    """
    limits, x = ACTIVITY_LIMITS[score], np.asarray(values, dtype=np.float64)
    above = x > limits.remission if limits.is_remission_inclusive else x >= limits.remission
    category = above.astype(np.float64) + (x > limits.low) + (x > limits.moderate)
    return np.asarray(np.where(np.isnan(x), np.nan, category))


def acr_response(
    level: float, baseline: Mapping[str, npt.ArrayLike], present: Mapping[str, npt.ArrayLike]
) -> FloatArray:
    """ACR20, ACR50 or ACR70 response.

    Parameters
    ----------
    level
        Wanted improvement, percent, for example 20.
    baseline, present
        Values by role: `ACR_JOINTS` and `ACR_OTHERS`, higher is worse, any one unit per role.
        Shapes that broadcast, for example (patient, 1) and (patient, visit).

    Returns
    -------
    1 response, 0 none, NaN where the missing values would decide. A joint count or assessment that
    is zero at baseline cannot improve and counts as not improved.

    Raises
    ------
    InputError
        A role is missing.

    Source
    ------
    acr (ranganath2007, Table 1): at least X % fall of the tender and of the swollen count, and at
    least X % better in 3 of 5: acute phase reactant, evaluator global, patient global, pain,
    physical function.
    """
    if not 0 < level <= 100:
        raise RangeError(f"ACR response at {level} %: the level lies between 0 and 100")
    missing = [
        role for role in (*ACR_JOINTS, *ACR_OTHERS) if role not in baseline or role not in present
    ]
    if missing:
        raise InputError(f"ACR response lacks {', '.join(missing)}")

    def improved(role: str) -> FloatArray:
        before, after = _floats(baseline[role], present[role])
        # HAQ from 1.5 to 1.2 is 20 %, though binary fractions make it a trace less.
        wanted = level * before * (1.0 - _ROUNDING)
        is_better = (100.0 * (before - after) >= wanted) & (before > 0)
        return np.where(np.isnan(before) | np.isnan(after), np.nan, is_better)

    joints = np.stack(np.broadcast_arrays(*(improved(role) for role in ACR_JOINTS)))
    others = np.stack(np.broadcast_arrays(*(improved(role) for role in ACR_OTHERS)))
    # What is certain, and what the missing values could still make of it.
    is_certain = np.all(joints == 1, axis=0) & (np.sum(others == 1, axis=0) >= _ACR_OTHERS_NEEDED)
    is_possible = np.all(joints != 0, axis=0) & (np.sum(others != 0, axis=0) >= _ACR_OTHERS_NEEDED)
    return np.asarray(np.where(is_certain, 1.0, np.where(is_possible, np.nan, 0.0)))


def eular_response(baseline: npt.ArrayLike, present: npt.ArrayLike) -> FloatArray:
    """EULAR response from DAS28: 0 none, 1 moderate, 2 good, NaN missing.

    Parameters
    ----------
    baseline, present
        DAS28; shapes that broadcast.

    Source
    ------
    eular_response (eular_gen; its entry is not checked, the same table was read at
    mdcalc.com/calc/2193): good is a fall above 1.2 to at most 3.2; none is a fall of at most 0.6,
    or of at most 1.2 that ends above 5.1; the rest is moderate.
    """
    before, now = _floats(baseline, present)
    fall = before - now
    is_good = (fall > 1.2) & (now <= 3.2)
    is_moderate = (fall > 1.2) | ((fall > 0.6) & (now <= 5.1))
    grade = np.where(is_good, 2.0, np.where(is_moderate, 1.0, 0.0))
    return np.asarray(np.where(np.isnan(fall), np.nan, grade))


def ctcae_grade(
    values: npt.ArrayLike, limits: Mapping[int, float], is_low_bad: bool = True
) -> FloatArray:
    """Grade of a laboratory value.

    Parameters
    ----------
    values
        Laboratory values, any shape, in the unit of the limits.
    limits
        Grade to the value that bounds it: the grade holds strictly below it (or strictly above it
        where `is_low_bad` is false). Grades may be left out.
    is_low_bad
        True for counts, false for enzymes.

    Returns
    -------
    0 for no grade, else the worst grade that holds; NaN where missing. Same shape as `values`.

    Raises
    ------
    RangeError
        A worse grade has a milder limit.

    Source
    ------
    ctcae_neutrophil and its kin (ctcae5): the limits come from the card of the side effect.

    Examples
    --------
    >>> ctcae_grade([2.5, 1.5, 1.4, 0.4], {1: 2.0, 2: 1.5, 3: 1.0, 4: 0.5})
    array([0., 1., 2., 4.])
    """
    x, result = np.asarray(values, dtype=np.float64), np.zeros(np.shape(values))
    ordered = sorted(limits.items())
    sign = 1.0 if is_low_bad else -1.0
    for (grade, limit), (worse, next_limit) in itertools.pairwise(ordered):
        if sign * next_limit > sign * limit:
            raise RangeError(
                f"limit {next_limit} of grade {worse} is milder than {limit} of {grade}"
            )
    for grade, limit in ordered:
        result = np.where(sign * x < sign * limit, float(grade), result)
    return np.asarray(np.where(np.isnan(x), np.nan, result))


@dataclass(frozen=True)
class Score:
    """A score that endpoints can name.

    Parameters
    ----------
    function
        Takes the inputs as keyword arguments named as the roles.
    units
        Role to the unit in which the function wants it.
    source
        Entry and key of the definition.
    """

    function: Callable[..., FloatArray]
    units: Mapping[str, str]
    source: str


_JOINTS = {"tender_joints": "1", "swollen_joints": "1"}
_GLOBALS = {"patient_global": "cm", "evaluator_global": "cm"}

#: Scores by name.
SCORES: Mapping[str, Score] = {
    "das28_crp": Score(das28_crp, {**_JOINTS, "crp": "mg/L", "patient_global": "mm"}, "dasnl"),
    "das28_crp3": Score(das28_crp3, {**_JOINTS, "crp": "mg/L"}, "dasnl"),
    "das28_esr": Score(das28_esr, {**_JOINTS, "esr": "mm/h", "patient_global": "mm"}, "dasnl"),
    "cdai": Score(cdai, {**_JOINTS, **_GLOBALS}, "pmc2678269"),
    "sdai": Score(sdai, {**_JOINTS, **_GLOBALS, "crp": "mg/dL"}, "pmc2678269"),
    "boolean_remission": Score(
        boolean_remission, {**_JOINTS, "crp": "mg/dL", "patient_global": "cm"}, "prince2012"
    ),
    "edss": Score(edss, dict.fromkeys(HIGHEST, "1"), "kurtzke1983"),
}

#: Factors between the units in which trials write the inputs of scores.
CONVERSIONS: Mapping[tuple[str, str], float] = {
    ("mg/L", "mg/dL"): 0.1,
    ("mg/dL", "mg/L"): 10.0,
    ("g/dL", "g/L"): 10.0,
    ("mm", "cm"): 0.1,
    ("cm", "mm"): 10.0,
}


def _floats(*values: npt.ArrayLike) -> tuple[FloatArray, ...]:
    """Each input as an array of doubles."""
    return tuple(np.asarray(value, dtype=np.float64) for value in values)

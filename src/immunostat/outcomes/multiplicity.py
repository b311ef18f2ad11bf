"""p values adjusted for the number of hypotheses that a trial tests."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import RangeError, ShapeError
from immunostat.model.system import FloatArray


class Adjustment(StrEnum):
    """Procedures that hold the familywise error rate."""

    NONE = "none"
    BONFERRONI = "bonferroni"
    HOLM = "holm"
    HOCHBERG = "hochberg"  #: needs independent or positively dependent p values
    FIXED_SEQUENCE = "fixed-sequence"  #: in the order given; nothing passes after a failure


def adjusted_p(p_values: npt.ArrayLike, how: Adjustment | str = Adjustment.HOLM) -> FloatArray:
    """Adjusted p values: a hypothesis is rejected at level alpha where its own is at most alpha.

    Parameters
    ----------
    p_values
        One for each hypothesis; NaN where a test gave none, which counts as not rejected and not
        as a member of the family (in a fixed sequence it stops the sequence). Shape (hypothesis,).
    how
        See `Adjustment`.

    Returns
    -------
    Not below the p values; NaN where they are. Shape (hypothesis,).

    Raises
    ------
    RangeError
        A p value is not between 0 and 1.

    Source
    ------
    Holm S, Scand J Stat 1979;6:65-70; Hochberg Y, Biometrika 1988;75:800-802; fixed sequence:
    Maurer W, Hothorn LA, Lehmacher W, in Vollmar J (ed.), Biometrie in der chemisch-
    pharmazeutischen Industrie 6, 1995. Adjusted p values: Wright SP, Biometrics 1992;48:1005-1013.

    Examples
    --------
    >>> adjusted_p([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    >>> adjusted_p([0.01, 0.2, 0.03], "fixed-sequence").tolist()
    [0.01, 0.2, 0.2]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise ShapeError(f"p values have shape {p.shape}; expected one axis")
    is_known = ~np.isnan(p)
    if np.any((p[is_known] < 0) | (p[is_known] > 1)):
        raise RangeError("a p value is not between 0 and 1")
    how, found = Adjustment(how), p.copy()
    if how is Adjustment.FIXED_SEQUENCE:
        worst = np.maximum.accumulate(np.where(is_known, p, 1.0))
        return np.where(is_known, worst, np.nan)
    known = p[is_known]
    order = np.argsort(known, kind="stable")
    m = len(known)
    steps = (m - np.arange(m)) * known[order]
    adjusted = known.copy()
    if how is Adjustment.BONFERRONI:
        adjusted = m * known
    elif how is Adjustment.HOLM:
        adjusted[order] = np.maximum.accumulate(steps)
    elif how is Adjustment.HOCHBERG:
        adjusted[order] = np.minimum.accumulate(steps[::-1])[::-1]
    found[is_known] = np.minimum(adjusted, 1.0)
    return found

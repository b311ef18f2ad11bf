"""EDSS by its published rules: seven functional systems and the range of walking make one step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError
from immunostat.model.system import FloatArray

#: Items of EDSS with their highest ratings; visual and bowel/bladder as they are examined.
HIGHEST: Mapping[str, int] = {
    "visual": 6,
    "brainstem": 5,
    "pyramidal": 6,
    "cerebellar": 5,
    "sensory": 6,
    "bowel_bladder": 6,
    "cerebral": 5,
    "ambulation": 16,
}

#: Functional systems that count; walking is the eighth item.
_N_SYSTEMS = 7

#: Rating of the examination to the one that counts for EDSS (edsscalculators).
_VISUAL = np.array([0, 1, 2, 2, 3, 3, 4])
_BOWEL_BLADDER = np.array([0, 1, 2, 3, 3, 4, 5])

#: Least step of EDSS by the range of walking: 0 unrestricted, 1 restricted but 500 m and more,
#: 2 from 300 m, 3 from 200 m, 4 from 100 m, 5 to 7 and 8 to 9 with less or with help, 10 and more
#: in a wheelchair or in bed, 16 death.
_BY_AMBULATION = np.array(
    [0.0, 2.0, 4.5, 5.0, 5.5, 6.0, 6.0, 6.0, 6.5, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0, 9.5, 10.0]
)

#: Least step of EDSS by the number of functional systems rated at least 1, 2, 3, 4 and 5. Each row
#: is a pattern that suffices; rules read "at least", so that EDSS cannot fall as a system worsens.
_BY_SYSTEMS: tuple[tuple[float, tuple[int, int, int, int, int]], ...] = (
    (1.0, (1, 0, 0, 0, 0)),
    (1.5, (2, 0, 0, 0, 0)),
    (2.0, (1, 1, 0, 0, 0)),
    (2.5, (2, 2, 0, 0, 0)),
    (3.0, (3, 3, 0, 0, 0)),
    (3.0, (1, 1, 1, 0, 0)),
    (3.5, (5, 5, 0, 0, 0)),
    (3.5, (2, 2, 1, 0, 0)),
    (3.5, (2, 2, 2, 0, 0)),
    (4.0, (6, 6, 0, 0, 0)),
    (4.0, (4, 4, 1, 0, 0)),
    (4.0, (3, 3, 2, 0, 0)),
    (4.0, (3, 3, 3, 0, 0)),
    (4.0, (1, 1, 1, 1, 0)),
    (4.5, (5, 5, 5, 0, 0)),
    (4.5, (2, 2, 1, 1, 0)),
    (5.0, (6, 6, 6, 0, 0)),
    (5.0, (4, 4, 4, 1, 0)),
    (5.0, (2, 2, 2, 2, 0)),
    (5.0, (1, 1, 1, 1, 1)),
)


def _by_counts() -> FloatArray:
    """Least step of EDSS for every number of systems rated at least 1, 2, 3, 4 and 5."""
    counts = np.indices((_N_SYSTEMS + 1,) * 5)
    table = np.zeros(counts.shape[1:])
    for step, pattern in _BY_SYSTEMS:
        is_met = np.all(counts >= np.reshape(pattern, (5, 1, 1, 1, 1, 1)), axis=0)
        table[is_met] = np.maximum(table[is_met], step)
    return np.asarray(table)


_BY_COUNTS = _by_counts()


def edss(
    visual: npt.ArrayLike,
    brainstem: npt.ArrayLike,
    pyramidal: npt.ArrayLike,
    cerebellar: npt.ArrayLike,
    sensory: npt.ArrayLike,
    bowel_bladder: npt.ArrayLike,
    cerebral: npt.ArrayLike,
    ambulation: npt.ArrayLike,
) -> FloatArray:
    """Expanded Disability Status Scale from seven functional systems and the range of walking.

    The step is the higher of what the functional systems and what walking ask for. So it cannot
    fall when an item worsens.

    Parameters
    ----------
    visual, brainstem, pyramidal, cerebellar, sensory, bowel_bladder, cerebral
        Ratings as examined, whole numbers from 0 to `HIGHEST`; visual and bowel/bladder are
        converted here.
    ambulation
        Range of walking, 0 (unrestricted) to 16 (death by multiple sclerosis).

    Returns
    -------
    Steps, 0 to 10, NaN where a rating is missing. Same shape as the inputs.

    Raises
    ------
    InputError
        A rating is no whole number of its range.

    Source
    ------
    kurtzke1983; the table of Kappos as edsscalculators encode it (README and tests of
    adobrasinovic/edss and atiweb/edss-in-php, which agree). Another public calculator differs in
    two places: grade 4 beside grade 2 is 4.0 there, and mild fatigue (cerebral 1) does not count.

    Examples
    --------
    >>> float(edss(1, 2, 1, 3, 1, 4, 2, 1))
    4.0
    """
    given = {
        "visual": visual,
        "brainstem": brainstem,
        "pyramidal": pyramidal,
        "cerebellar": cerebellar,
        "sensory": sensory,
        "bowel_bladder": bowel_bladder,
        "cerebral": cerebral,
        "ambulation": ambulation,
    }
    arrays = np.broadcast_arrays(*(np.asarray(own, dtype=np.float64) for own in given.values()))
    ratings = dict(zip(given, arrays, strict=True))
    is_missing = np.isnan(np.stack(list(ratings.values()))).any(axis=0)
    whole = {name: _whole(name, own, is_missing) for name, own in ratings.items()}
    systems = np.stack(
        [
            _VISUAL[whole["visual"]],
            _BOWEL_BLADDER[whole["bowel_bladder"]],
            *(whole[name] for name in ("brainstem", "pyramidal", "cerebellar", "sensory")),
            whole["cerebral"],
        ]
    )
    counts = tuple((systems >= grade).sum(axis=0) for grade in range(1, 6))
    step = np.maximum(_BY_COUNTS[counts], _BY_AMBULATION[whole["ambulation"]])
    return np.asarray(np.where(is_missing, np.nan, step))


def _whole(
    name: str, ratings: FloatArray, is_missing: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Ratings as whole numbers, 0 where missing, after a check of their range."""
    own = np.where(is_missing, 0.0, ratings)
    wrong = (own != np.round(own)) | (own < 0) | (own > HIGHEST[name])
    if np.any(wrong):
        raise InputError(
            f"rating {own[wrong].flat[0]:g} of '{name}' is no whole number from 0 to "
            f"{HIGHEST[name]}"
        )
    return own.astype(np.int64)

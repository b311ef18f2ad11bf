"""How far predictions are off where nothing was aimed at: endpoints and weeks without a goal."""

from __future__ import annotations

import numpy as np
import pandas as pd

from immunostat.study.goals import NO_GOAL

#: Columns of `errors_without_goal`.
COLUMNS = (
    *("endpoint", "measure", "unit", "values", "mean_observed"),
    *("mean_absolute_error", "mean_error", "worst", "inside"),
)


def errors_without_goal(table: pd.DataFrame) -> pd.DataFrame:
    """Errors of held-back values that no goal counts, by endpoint.

    Parameters
    ----------
    table
        `Validation.table`.

    Returns
    -------
    One row per endpoint, measure and unit: number of values that were read in a source, their
    mean, mean absolute error, mean error (predicted minus published), the largest error, and the
    share of predictions within the published 95 % interval. Most values first.

    Source
    ------
    "definition"
    """
    own = table[(table["why_not_judged"] == NO_GOAL) & table["checked"].astype(bool)]
    rows = []
    for (endpoint, measure, unit), part in own.groupby(["endpoint", "measure", "unit"], sort=True):
        off = part["difference"].to_numpy(dtype=np.float64)
        off = off[np.isfinite(off)]
        if not len(off):
            continue
        known = part[part["observed_low"].notna()]
        inside = known["predicted"].between(known["observed_low"], known["observed_high"])
        rows.append(
            {
                "endpoint": endpoint,
                "measure": measure,
                "unit": unit,
                "values": len(off),
                "mean_observed": float(part["observed"].mean()),
                "mean_absolute_error": float(np.mean(np.abs(off))),
                "mean_error": float(np.mean(off)),
                "worst": float(off[np.argmax(np.abs(off))]),
                "inside": float(inside.mean()) if len(known) else np.nan,
            }
        )
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    return found.sort_values(["values", "endpoint"], ascending=[False, True], ignore_index=True)

"""The figure of results side by side."""

from __future__ import annotations

import pandas as pd

from immunostat.report import style, words
from immunostat.report.trial_figures import comparisons

#: Endpoints that one figure shows.
SHOWN = 8


def compared(table: pd.DataFrame, first: str) -> style.Figure:
    """Differences of endpoints from the first result, a panel for each endpoint.

    Parameters
    ----------
    table
        `Compared.endpoints` of one time, with the column ``result``: the name of the other result.
    first
        Name of the first result.
    """
    table = table[~table["endpoint"].astype(str).str.endswith(" concentration")]
    names = list(dict.fromkeys(table["endpoint"]))[:SHOWN]
    table = table[table["endpoint"].isin(names)]
    shares = [
        words.is_fraction(str(unit), str(statistic))
        for unit, statistic in zip(table["unit"], table["statistic"], strict=True)
    ]
    rows = pd.DataFrame(
        {
            "label": table["arm"],
            "panel": [words.label(str(name)) for name in table["endpoint"]],
            "group": table["result"],
            "is_share": shares,
            "estimate": table["difference"].astype(float),
            "low": table["low"].astype(float),
            "high": table["high"].astype(float),
        }
    )
    pairs = sorted(set(table["how"]))
    when = words.when(float(table["time_day"].max())) if len(table) else ""
    others = list(dict.fromkeys(table["result"]))
    title = f"{others[0]} minus {first}" if len(others) == 1 else f"Others minus {first}"
    return comparisons(
        rows, f"{title}, {when}", subtitle=f"difference with 95 % interval; {words.listed(pairs)}"
    )

"""Every figure of a result: each takes a `Result` and returns a Vega-Altair chart.

The same function serves a notebook (the chart shows itself), the report, and a file
(`save(figure, "name.svg")` or ``.png``, which need neither browser nor network).
"""

from immunostat.report.balance_figures import dose_balance, quadrant, value_tree
from immunostat.report.course_figures import course, kind_of, profile
from immunostat.report.efficacy_figures import forest, responders, response
from immunostat.report.harm_figures import balance, grades, side_effects
from immunostat.report.harm_maps import chances as harm_chances
from immunostat.report.harm_maps import rates as harm_rates
from immunostat.report.probability_figure import probability
from immunostat.report.style import Figure, png, save, svg

__all__ = [
    "Figure",
    "balance",
    "course",
    "dose_balance",
    "forest",
    "grades",
    "harm_chances",
    "harm_rates",
    "kind_of",
    "png",
    "probability",
    "profile",
    "quadrant",
    "responders",
    "response",
    "save",
    "side_effects",
    "svg",
    "value_tree",
]

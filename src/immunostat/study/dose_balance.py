"""Benefit and harm by dose on one scale, and the dose that weighs best under stated weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError, UnknownNameError, near_matches
from immunostat.model.system import FloatArray
from immunostat.study.balance import Weighing, resampled, values_of
from immunostat.study.result import Result
from immunostat.trial.dose_ranging import fit_emax

#: Doses at which curves are evaluated.
CURVE_POINTS = 161

#: Doses of half the effect that are tried in each draw.
ED50_POINTS = 241

#: Draws of patients behind intervals; each fits both curves anew.
DOSE_RESAMPLES = 200

#: Least standard error of an arm, as a share of the largest: an arm of which all is certain, such
#: as no reaction to doses without doses, would take the whole weight.
_LEAST_ERROR = 0.05

#: Share of draws from which on an end of the doses is told.
_OFTEN = 0.1

#: The curves are near enough at this difference of the weighted share, so that the lower dose is
#: taken.
_SAME_NET = 1e-9


@dataclass(frozen=True)
class DoseBalance:
    """Benefit and harm by dose.

    Parameters
    ----------
    arms
        ``arm``, ``dose``, and of ``benefit``, ``harm`` and ``net`` against the lowest dose the
        estimate with ``_low`` and ``_high`` (95 %).
    curves
        ``dose`` and ``benefit``, ``harm``, ``net`` of the Emax curves, with ``_low`` and ``_high``.
    best, low, high
        Dose at which the curve of the net benefit is highest, with its 95 % interval.
    net_at_best
        Net benefit there.
    at_highest, at_lowest
        Share of draws in which the best dose is the highest, and the lowest, of those studied: the
        study does not then say where the best one lies.
    """

    arms: pd.DataFrame
    curves: pd.DataFrame
    best: float
    low: float
    high: float
    net_at_best: float
    at_highest: float
    at_lowest: float


def doses_of(result: Result) -> dict[str, float]:
    """Dose of each arm, from the study's ``dose_response``; empty where it has none."""
    plan = result.study.get("dose_response") or {}
    return {str(arm): float(dose) for arm, dose in (plan.get("doses") or {}).items()}


def dose_balance(
    result: Result,
    weights: Weighing,
    doses: Mapping[str, float] | None = None,
    seed: int = 1,
    n_draws: int = DOSE_RESAMPLES,
) -> DoseBalance:
    """Weigh benefit and harm of each dose, and find the dose that weighs best.

    Emax curves go through the weighted benefits and through the weighted harms; the best dose is
    that of the highest difference, between the lowest and the highest dose of the study. Its
    interval comes from drawing patients anew, the same ones in every arm.

    Parameters
    ----------
    weights
        By outcome, see `balance.weighed`.
    doses
        Dose of arms in any one unit; what the study's ``dose_response`` says if None.
    seed, n_draws
        Of the draws of patients.

    Raises
    ------
    InputError
        Fewer than three doses, an unknown arm, or weights that say nothing.
    """
    given = dict(doses or doses_of(result))
    for arm in given:
        if arm not in result.arms:
            raise UnknownNameError(f"no arm '{arm}'", remedy=near_matches(arm, result.arms))
    if len(set(given.values())) < 3:
        raise InputError(
            f"{len(set(given.values()))} doses tell no curve",
            remedy="say the dose of three arms or more, or add 'dose_response' to the study",
        )
    arms = sorted(given, key=lambda arm: given[arm])
    levels = np.array([given[arm] for arm in arms])
    found = values_of(result, weights)
    is_gain = np.array([own.is_endpoint for own in found.outcomes])
    sides = (np.where(is_gain, found.scale, 0.0), np.where(is_gain, 0.0, -found.scale))
    # Weighted benefit and harm of each patient. Each (patient, 2).
    values = [np.column_stack([found.shares[arm] @ side for side in sides]) for arm in arms]
    errors = _errors(values)
    grid = np.linspace(levels[0], levels[-1], CURVE_POINTS)
    means = np.stack([own.mean(axis=0) for own in values])
    curve = _curves(levels, means, errors, grid)
    again = np.empty((n_draws, *means.shape))
    for draw in range(n_draws):
        rows = resampled([len(own) for own in values], seed, draw)
        again[draw] = [own[row].mean(axis=0) for own, row in zip(values, rows, strict=True)]
    drawn_means = _with_net(again - again[:, :1])
    lines = [_drawn_curves(levels, again[..., side], errors[:, side], grid) for side in (0, 1)]
    drawn_curves = _with_net(np.stack(lines, axis=-1))
    best = np.array([_best(one[:, 2], grid) for one in drawn_curves])
    low, high = (float(q) for q in np.quantile(best, [0.025, 0.975]))
    chosen = _best(curve[:, 2], grid)
    return DoseBalance(
        _table({"arm": arms, "dose": levels}, _with_net(means - means[0]), drawn_means),
        _table({"dose": grid}, curve, drawn_curves),
        chosen,
        low,
        high,
        float(np.interp(chosen, grid, curve[:, 2])),
        float((best >= grid[-1]).mean()),
        float((best <= grid[0]).mean()),
    )


def _errors(values: list[FloatArray]) -> FloatArray:
    """Standard errors of benefit and harm in each arm, none of them zero. Shape (arm, 2)."""
    errors = np.stack([own.std(axis=0, ddof=1) / np.sqrt(len(own)) for own in values])
    least = np.maximum(_LEAST_ERROR * errors.max(axis=0), 1e-12)
    return np.asarray(np.maximum(errors, least))


def _curves(
    doses: FloatArray, means: FloatArray, errors: FloatArray, grid: FloatArray
) -> FloatArray:
    """Benefit, harm and net by dose, each against the lowest dose. Shape (grid, 3)."""
    sides = []
    for side in (0, 1):
        if np.ptp(means[:, side]) == 0:
            sides.append(np.zeros(len(grid)))
            continue
        fit = fit_emax(doses, means[:, side], errors[:, side])
        sides.append(fit.effect(grid) - fit.effect(grid[:1]))
    return _with_net(np.column_stack(sides))


def _drawn_curves(
    doses: FloatArray, means: FloatArray, errors: FloatArray, grid: FloatArray
) -> FloatArray:
    """Emax curves through many draws at once, each against the lowest dose. Shape (draw, grid).

    As `fit_emax`, with the dose of half the effect from a fine grid: for a given one the curve is
    linear, and the same matrices serve every draw.
    """
    positive = doses[doses > 0]
    ed50 = np.geomspace(positive.min() / 100, positive.max() * 100, ED50_POINTS)
    rises = doses / (ed50[:, None] + doses)  # (ed50, arm)
    design = np.stack([np.ones_like(rises), rises], axis=-1) / errors[:, None]
    inverse = np.linalg.pinv(design)  # (ed50, 2, arm)
    scaled = means / errors
    found = np.einsum("kpa,da->dkp", inverse, scaled)
    left = scaled[:, None, :] - np.einsum("kap,dkp->dka", design, found)
    best = np.argmin((left**2).sum(axis=-1), axis=1)
    emax = found[np.arange(len(means)), best, 1]
    rise = grid / (ed50[best][:, None] + grid)
    return np.asarray(emax[:, None] * (rise - rise[:, :1]))


def _with_net(sides: FloatArray) -> FloatArray:
    """Benefit, harm and their difference along the last axis. Shape (..., 3)."""
    return np.concatenate([sides, sides[..., :1] - sides[..., 1:]], axis=-1)


def _best(net: FloatArray, grid: FloatArray) -> float:
    """The lowest dose of those that weigh best."""
    return float(grid[np.flatnonzero(net >= net.max() - _SAME_NET)[0]])


def _table(first: Mapping[str, object], found: FloatArray, drawn: FloatArray) -> pd.DataFrame:
    """Benefit, harm and net with their intervals, under each other's names."""
    table = pd.DataFrame(first)
    ends = np.quantile(drawn, [0.025, 0.975], axis=0)
    for j, name in enumerate(("benefit", "harm", "net")):
        table[name] = found[:, j]
        table[f"{name}_low"] = ends[0][:, j]
        table[f"{name}_high"] = ends[1][:, j]
    return table


def best_words(found: DoseBalance) -> str:
    """The best dose in a sentence, with how far the study tells it."""
    text = (
        f"Under these weights the dose of {found.best:.3g} weighs best (95 % interval "
        f"{found.low:.3g} to {found.high:.3g}), with a net benefit of "
        f"{100 * found.net_at_best:+.3g} weighted patients in 100."
    )
    if found.at_highest >= _OFTEN:
        text += (
            f" In {100 * found.at_highest:.0f} % of draws that is the highest dose studied: a "
            "higher one may weigh more."
        )
    if found.at_lowest >= _OFTEN:
        text += f" In {100 * found.at_lowest:.0f} % of draws the lowest dose weighs best."
    return text

"""Who left a published trial before its end, and what was then seen of its patients.

Published shares of responders count whoever left or was rescued as a non-responder, and published
means are those of patients who were still seen, or of everybody with the last value carried
forward. A prediction for such numbers has to be counted alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immunostat.base.errors import InputError, near_matches
from immunostat.catalog.cards import RescueCard, TrialArmCard, TrialCard
from immunostat.catalog.model_cards import SituationCard
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import Observations, evaluate
from immunostat.outcomes.visit_courses import Missing, imputed
from immunostat.study.published_values import factor_to
from immunostat.study.specs import endpoint_spec
from immunostat.trial.conditions import Condition, parse_condition, resolved
from immunostat.trial.dropout import (
    BackgroundDropout,
    LackOfEffectDropout,
    dropout_times,
    observed_until,
)

#: Two visits are the same within this, day.
_SAME_DAY = 0.5


@dataclass(frozen=True)
class Leaving:
    """How patients leave one arm of a published trial.

    Parameters
    ----------
    background
        Leaving for reasons that have nothing to do with the effect; None if nobody does.
    rescue
        Leaving because the treatment does not work; None if there is no such rule.
    last_day
        Last day on which the rule of rescue looks.
    situation
        Whose endpoints the rule reads.
    is_carried_forward
        Whether the last value of who left stands for the later ones.
    followed_on
        Components that are measured in who left as well, such as films.
    """

    background: BackgroundDropout | None
    rescue: LackOfEffectDropout | None
    last_day: float
    situation: SituationCard
    is_carried_forward: bool = False
    followed_on: tuple[str, ...] = ()


def leaving_of(trial: TrialCard, arm: TrialArmCard, situation: SituationCard) -> Leaving | None:
    """How patients leave an arm, as the trial's card says; None if it says nothing.

    Raises
    ------
    InputError
        The rule of rescue is no condition on endpoints of the situation, or the share of patients
        who left has no rate.
    """
    rescue = trial.rescue if trial.rescue is not None and _is_meant(trial.rescue, arm) else None
    if rescue is None and arm.left is None:
        return None
    background = None
    if arm.left is not None:
        factor = factor_to(arm.left.unit, "1")
        if factor is None:
            raise InputError(
                f"{trial.name}: 'left' of arm '{arm.name}' is no share of patients",
                remedy="write it with the unit '%' or '1'",
            )
        background = BackgroundDropout.by(factor * arm.left.value, 7.0 * arm.left.week)
    rule, last = None, 0.0
    if rescue is not None:
        condition = _condition(trial, rescue, situation)
        rule = LackOfEffectDropout(condition, 1.0, 7.0 * rescue.week, "rescue")
        last = 7.0 * max(rescue.last_week or 0.0, rescue.week)
    return Leaving(background, rule, last, situation, trial.carried_forward, trial.followed_on)


def as_published(
    observations: Observations, leaving: Leaving, numbers: IntArray, seed: int
) -> Observations:
    """What a trial would have seen of patients some of whom leave.

    Parameters
    ----------
    observations
        What is seen of patients who all stay.
    numbers
        Number of each patient, for the draws of who leaves. Shape (patient,).
    seed
        Seed of the study.

    Returns
    -------
    The same with visits after leaving missing, or with the last value before it.
    """
    causes = [own for own in (leaving.background, leaving.rescue) if own is not None]
    days = observations.times
    values: dict[str, FloatArray] = {}
    if leaving.rescue is not None:
        is_looked_at = days <= leaving.last_day + _SAME_DAY
        for name in leaving.rescue.condition.names:
            found = evaluate(endpoint_spec(name, leaving.situation), observations)
            values[name] = np.where(is_looked_at, found, np.nan)
    left = dropout_times(causes, numbers, seed, days, values).time_day
    seen = dict(observations.components)
    for name in seen.keys() - set(leaving.followed_on):
        seen[name] = observed_until(seen[name], days, left)
        if leaving.is_carried_forward:
            seen[name] = imputed(seen[name], Missing.LAST)
    return Observations(days, seen, observations.units, observations.course)


def _is_meant(rescue: RescueCard, arm: TrialArmCard) -> bool:
    return not rescue.arms or arm.name in rescue.arms


def _condition(trial: TrialCard, rescue: RescueCard, situation: SituationCard) -> Condition:
    condition = parse_condition(rescue.when)
    for name in condition.names:
        if name not in situation.endpoints:
            raise InputError(
                f"{trial.name}: rescue looks at '{name}', which is no endpoint of {situation.name}",
                remedy=near_matches(name, situation.endpoints),
            )
    units = {name: endpoint_spec(name, situation).unit for name in condition.names}
    return resolved(condition, units)

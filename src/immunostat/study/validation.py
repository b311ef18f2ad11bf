"""Predicted against published: every arm of the published trials of a situation, simulated.

All arms that treat the same patients are simulated in the same virtual patients, and arms with
the same doses once. Rates and shares of events are those that the patients' hazards expect, so that
intervals hold the chance of drawing patients alone. An arm is left out, with the reason, where
nothing can stand for it: its drug acts on no target of the immune core, its patients are not those
of a population, or its card says why. What acts is asked of the model (`assemble.hooks_of`), so
that a target that joins the core brings its drugs along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError
from immunostat.catalog.cards import TrialArmCard, TrialCard
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import SituationCard
from immunostat.outcomes.event_times import EventTimes
from immunostat.outcomes.expected_events import ExpectedEvents
from immunostat.outcomes.summary import SummaryRow
from immunostat.study.cohort import draw_cohort
from immunostat.study.goals import VALUE, Goal, errors, goals_of, why_left_out, why_not_judged
from immunostat.study.published_arms import (
    PLACEBO,
    Group,
    Who,
    drugs_of,
    plan_of,
    predict_arm,
    regimens_of,
    targets_of,
    who_of,
    why_not_simulated,
)
from immunostat.study.published_comparisons import (
    Side,
    comparisons_of,
    predicted_comparison,
    row_at,
)
from immunostat.study.published_values import (
    Value,
    day_of,
    horizon_of,
    is_share_of,
    is_time_of,
    observed_value,
    predicted_value,
)
from immunostat.study.simulation import simulate_cohort

__all__ = [
    "PATIENTS",
    "PLACEBO",
    "Group",
    "Predicted",
    "Progress",
    "Validation",
    "Who",
    "as_data",
    "plan_of",
    "predict_arm",
    "regimens_of",
    "validate",
    "who_of",
    "why_not_simulated",
]

#: Called with how much is done, how much there is, and the name of the stage.
Progress = Callable[[int, int, str], None]

#: Virtual patients in each arm: their chance is small beside that of a published arm.
PATIENTS = 1000

#: Columns of `Validation.table`.
COLUMNS = (
    *("trial", "arm", "drug", "target", "patients", "like", "role"),
    *("endpoint", "measure", "versus", "week", "n"),
    *("observed", "observed_low", "observed_high"),
    *("predicted", "predicted_low", "predicted_high", "difference", "unit"),
    *("checked", "judged", "why_not_judged", "source"),
)

#: Columns of `Validation.skipped`.
SKIPPED = ("trial", "arm", "drug", "target", "endpoint", "reason")


@dataclass(frozen=True)
class Validation:
    """Predicted and published results of a situation.

    Parameters
    ----------
    situation
        Its name.
    table
        One row per published result that is simulated, and per comparison of two arms, whose
        ``measure`` is not `goals.VALUE`; ``versus`` names its other arm; a median that is not
        reached is at least the time that was simulated. ``patients`` says who was treated;
        shares are percent; ``n`` and the published interval are NaN where the number of patients
        was not read; ``like`` is the population of the catalog that the patients are like, their
        own if it is described in full; ``judged`` tells whether the result counts towards a
        goal, and ``why_not_judged`` why not.
    skipped
        What is not simulated, and why: whole arms (``endpoint`` empty) and single results.
    goals
        What is aimed at.
    n_patients, seed
        Virtual patients of each arm, and the seed of all random numbers.
    n_failed
        Patient-arms that could not be computed; they are left out.
    sampling
        How the virtual patients were spread over what they may be.
    """

    situation: str
    table: pd.DataFrame
    skipped: pd.DataFrame
    goals: tuple[Goal, ...]
    n_patients: int
    seed: int
    n_failed: int = 0
    sampling: str = "random"


def validate(
    catalog: Catalog,
    situation: str,
    n_patients: int = PATIENTS,
    seed: int = 1,
    only: Sequence[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
    sampling: str = "random",
) -> Validation:
    """Simulate every published arm of a situation that can be simulated.

    Parameters
    ----------
    situation
        Name of a situation of the catalog.
    n_patients, seed
        Virtual patients of each arm; the same ones in all arms of a population.
    only
        Names of trials; all of the situation if empty.
    threads
        Threads of the solver; the numbers do not depend on it.
    progress
        Told of finished arms.
    sampling
        ``random``, or ``sobol``: patients who fill the space of what they may be more evenly, so
        that fewer of them are needed where a rate differs much between patients.

    Raises
    ------
    InputError
        The catalog has no such situation or trial, or no published trial of the situation.
    """
    card = catalog.situation(situation)
    trials = [t for t in map(catalog.trial, only or catalog.trials()) if t.situation == card.name]
    if not trials:
        raise InputError(
            f"the catalog has no published trial of {card.name}",
            remedy="add one: see docs/reference/cards.md, folder trials/",
        )
    goals = goals_of(card.name)
    groups: dict[tuple[str, str], Group] = {}
    skipped: list[dict[str, Any]] = []
    for trial in trials:
        who = who_of(trial)
        group = groups.setdefault(who.key, Group(who))
        for arm in trial.arms:
            reason = why_not_simulated(catalog, trial, arm)
            compared = [result for result in arm.results if result.endpoint in card.endpoints]
            for result in arm.results:
                if not reason and result not in compared:
                    why = "the model has no such endpoint"
                    skipped.append(_skipped(catalog, trial, arm, why, result.endpoint))
            if reason:
                skipped.append(_skipped(catalog, trial, arm, reason))
            elif compared or arm.name in _named_in_comparisons(trial, card):
                kept = arm.model_copy(update={"results": tuple(compared)})
                regimens = regimens_of(catalog, trial.situation, arm)
                group.add(trial, kept, regimens, last_day_of(trial, kept, card), card)
    rows: list[dict[str, Any]] = []
    n_failed, done = 0, 0
    total = sum(len(group.arms) for group in groups.values())
    for group in groups.values():
        if not group.published:
            continue

        def told(arms: int, before: int = done) -> None:
            if progress:
                progress(before + arms, total, "arms")

        found = _simulated(catalog, card, group, n_patients, seed, threads, told, sampling)
        rows += _rows(catalog, card, group, found, goals, skipped)
        rows += _comparison_rows(catalog, card, group, found, goals, skipped)
        n_failed += found.n_failed
        done += len(group.arms)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    left_out = pd.DataFrame(skipped, columns=list(SKIPPED))
    return Validation(card.name, table, left_out, goals, n_patients, seed, n_failed, sampling)


def last_day_of(trial: TrialCard, arm: TrialArmCard, situation: SituationCard) -> float:
    """Until when the doses of an arm matter to what is printed of it or compared with it, day."""
    compared = [
        day_of(own)
        for own in trial.comparisons
        if own.endpoint in situation.endpoints and arm.name in (own.arm, own.versus)
    ]
    return max([horizon_of(situation, arm), *compared])


def _named_in_comparisons(trial: TrialCard, situation: SituationCard) -> set[str]:
    """Names of arms that a printed comparison needs."""
    own = [one for one in trial.comparisons if one.endpoint in situation.endpoints]
    return {name for one in own for name in (one.arm, one.versus)}


def as_data(found: Validation) -> dict[str, Any]:
    """Everything as plain data for JSON; what is not there is None."""
    return {
        "situation": found.situation,
        "patients": found.n_patients,
        "seed": found.seed,
        "sampling": found.sampling,
        "failed": found.n_failed,
        "errors": _records(errors(found.table, found.goals)),
        "results": _records(found.table),
        "not_simulated": _records(found.skipped),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _skipped(
    catalog: Catalog, trial: TrialCard, arm: TrialArmCard, reason: str, endpoint: str = ""
) -> dict[str, Any]:
    values = (trial.name, arm.name, drugs_of(arm), targets_of(catalog, arm), endpoint, reason)
    return dict(zip(SKIPPED, values, strict=True))


@dataclass
class Predicted:
    """What the model says of the arms of a group.

    Parameters
    ----------
    rows
        By name of the arm and endpoint, then by day.
    events
        Days of events, of endpoints that are made of events or find them at visits.
    expected
        Expected events, of endpoints for which none need be drawn.
    n_failed
        Patient-arms that could not be computed.
    """

    rows: dict[tuple[str, str], dict[float, SummaryRow]] = field(default_factory=dict)
    events: dict[tuple[str, str], EventTimes] = field(default_factory=dict)
    expected: dict[tuple[str, str], ExpectedEvents] = field(default_factory=dict)
    n_failed: int = 0

    def row(self, arm: str, endpoint: str, day: float, is_time: bool = False) -> SummaryRow:
        """The row of a day; of a median time the last one, which knows most."""
        own = self.rows[arm, endpoint]
        return own[max(own)] if is_time else row_at(own, day)

    def side(self, arm: str, endpoint: str, day: float) -> Side:
        """An endpoint of an arm as one side of a comparison."""
        key = arm, endpoint
        return Side(self.row(arm, endpoint, day), self.events.get(key), self.expected.get(key))


def _simulated(
    catalog: Catalog,
    situation: SituationCard,
    group: Group,
    n_patients: int,
    seed: int,
    threads: int | None,
    told: Callable[[int], None],
    sampling: str,
) -> Predicted:
    """What the model predicts of every arm of a group."""
    plan = plan_of(catalog, situation, group, n_patients, seed, sampling=sampling)
    told(0)
    cohort = draw_cohort(plan.recruitment(threads), n_patients)
    found = Predicted()
    # Arm after arm, so that memory is that of one.
    for i, arm in enumerate(plan.study.arms):
        simulation = simulate_cohort(replace(plan, arms=(arm,)), cohort, threads)
        for shown, leaving in group.leaving[arm].items():
            own = predict_arm(simulation, arm, leaving)
            for row in own.rows:
                found.rows.setdefault((shown, row.endpoint), {})[row.time_day] = row
            found.events |= {(shown, name): days for name, days in own.events.items()}
            found.expected |= {(shown, name): events for name, events in own.expected.items()}
        found.n_failed += own.n_failed
        told(i + 1)
    return found


def _rows(
    catalog: Catalog,
    situation: SituationCard,
    group: Group,
    found: Predicted,
    goals: Sequence[Goal],
    skipped: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """One row per published result; what has another unit is skipped."""
    rows = []
    for trial, arm, name in group.published:
        for result in arm.results:
            is_share = is_share_of(situation, result.endpoint)
            is_time = is_time_of(situation, result.endpoint)
            row = found.row(name, result.endpoint, day_of(result), is_time)
            predicted = predicted_value(row, result.unit, is_share)
            if predicted is None:
                why = f"printed in '{result.unit}', predicted in '{row.unit}'"
                skipped.append(_skipped(catalog, trial, arm, why, result.endpoint))
                continue
            observed = Value(*observed_value(result, result.n or arm.n, is_share))
            reason = why_not_judged(trial, arm, result, goals)
            rows.append(
                {
                    **_about(catalog, group, trial, arm),
                    "role": result.role or arm.role,
                    "endpoint": result.endpoint,
                    "measure": VALUE,
                    "versus": "",
                    "week": result.week,
                    "n": result.n or arm.n or np.nan,
                    **_beside(observed, predicted),
                    "unit": "%" if is_share else result.unit,
                    "checked": result.checked,
                    "judged": not reason,
                    "why_not_judged": reason,
                    "source": result.source or "",
                }
            )
    return rows


def _comparison_rows(
    catalog: Catalog,
    situation: SituationCard,
    group: Group,
    found: Predicted,
    goals: Sequence[Goal],
    skipped: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """One row per comparison of two arms that are both simulated."""
    rows = []
    names = {(trial.name, arm.name): name for trial, arm, name in group.published}
    for trial in {trial.name: trial for trial, _, _ in group.published}.values():
        for own in comparisons_of(trial, situation, goals):
            pair = [names.get((trial.name, arm.name)) for arm in (own.arm, own.versus)]
            if pair[0] is None or pair[1] is None:
                if pair[0] is not None:
                    why = f"{own.measure} to '{own.versus.name}', which is not simulated"
                    skipped.append(_skipped(catalog, trial, own.arm, why, own.endpoint))
                continue
            sides = [found.side(name, own.endpoint, own.day) for name in (pair[0], pair[1])]
            predicted = predicted_comparison(own, sides[0], sides[1])
            if predicted is None:
                why = f"the endpoint has no {own.measure}"
                skipped.append(_skipped(catalog, trial, own.arm, why, own.endpoint))
                continue
            week = own.day / 7.0
            reason = why_left_out(
                trial, own.arm, goals, own.endpoint, week, own.checked, own.measure
            )
            rows.append(
                {
                    **_about(catalog, group, trial, own.arm),
                    "endpoint": own.endpoint,
                    "measure": own.measure,
                    "versus": own.versus.name,
                    "week": week,
                    "n": own.n,
                    **_beside(own.observed, predicted),
                    "unit": own.unit,
                    "checked": own.checked,
                    "judged": not reason,
                    "why_not_judged": reason,
                    "source": own.source,
                }
            )
    return rows


def _about(
    catalog: Catalog, group: Group, trial: TrialCard, arm: TrialArmCard
) -> dict[str, object]:
    """Columns that say of which arm a result is."""
    return {
        "trial": trial.name,
        "arm": arm.name,
        "drug": drugs_of(arm),
        "target": targets_of(catalog, arm),
        "patients": group.who.words(catalog),
        "like": group.who.like(catalog),
        "role": arm.role,
    }


def _beside(observed: Value, predicted: Value) -> dict[str, float]:
    """Columns of the two values."""
    return {
        "observed": observed.value,
        "observed_low": observed.low,
        "observed_high": observed.high,
        "predicted": predicted.value,
        "predicted_low": predicted.low,
        "predicted_high": predicted.high,
        "difference": predicted.value - observed.value,
    }

"""A study as a function: from factors on numbers of the model to endpoints, in the same patients.

What is returned is one value per patient, so that a caller can take the mean and also say how much
of it is chance in who the patients are. Random numbers belong to patients, so two calls differ by
the factors alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from immunostat.base.errors import InputError, Place, UnknownNameError, near_matches
from immunostat.base.units import days_of
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import SituationCard
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import KINDS
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.outcomes.summary import FRACTIONS, statistic_of
from immunostat.study.cohort import Cohort, draw_cohort, redraw
from immunostat.study.harvest import observed_endpoints
from immunostat.study.plan import Plan, prepare
from immunostat.study.simulation import simulate_cohort
from immunostat.study.specs import endpoint_spec
from immunostat.study.study import Study
from immunostat.study.varied import bioavailability_name

#: ``same``: the people who entered under the unchanged model, whatever the change does to them.
#: ``again``: the criteria are applied anew, so that others may enter.
Entry = Literal["same", "again"]


@dataclass(frozen=True)
class Output:
    """What is looked at: an endpoint of an arm at a visit, or its difference from another arm."""

    endpoint: str
    arm: str
    versus: str
    time_day: float
    unit: str
    is_share: bool

    def __str__(self) -> str:
        arm = f"{self.arm} minus {self.versus}" if self.versus else self.arm
        return f"{self.endpoint}, {arm}, {shown_time(self.time_day)}"


def outputs_for(
    study: Study,
    situation: SituationCard,
    endpoints: Sequence[str] = (),
    arms: Sequence[str] = (),
    versus: str = "",
    at: str = "",
) -> tuple[Output, ...]:
    """Every combination of endpoints and arms that a person asked for.

    Parameters
    ----------
    endpoints
        Names; the situation's main endpoint if empty.
    arms
        Names; every arm with drugs of its own, except `versus`, if empty.
    versus
        Arm that is subtracted in the same patients; none if empty.
    at
        A visit such as ``week 24``; the last one if empty.

    Raises
    ------
    InputError
        A name is not in the study, or there is no visit at that time.
    """
    names = [_named(name, situation.endpoints, "--endpoint") for name in endpoints]
    names = names or [situation.main_endpoint]
    against = _named(versus, study.arms, "--versus") if versus else ""
    wanted = [_named(name, study.arms, "--arm") for name in arms]
    wanted = wanted or [arm for arm in study.arms if study.arms[arm] and arm != against]
    if against in wanted:
        raise InputError(
            f"arm '{against}' cannot be compared with itself",
            Place(f"--versus {versus}"),
            "name another arm",
        )
    if not wanted:
        raise InputError("no arm of the study has drugs of its own", remedy="name one with --arm")
    day = _visit(study, at)
    found = []
    for name in dict.fromkeys(names):
        spec = endpoint_spec(name, situation)
        statistic = statistic_of(spec)
        # The time to an event is looked at as the share in whom it has happened.
        is_share = statistic in (*FRACTIONS, "median time", "mean time")
        unit = "1" if is_share else spec.unit
        found += [Output(name, arm, against, day, unit, is_share) for arm in dict.fromkeys(wanted)]
    return tuple(found)


@dataclass(frozen=True)
class TrialAnswer:
    """The endpoints of a study as a function of factors on numbers of its model.

    Parameters
    ----------
    plan
        The study, cut down to the arms and endpoints that are looked at.
    outputs
        What a call returns, in this order.
    cohort
        The patients of the unchanged model.
    entry
        See `Entry`.
    threads
        Threads of one call; the answer does not depend on it.
    """

    plan: Plan
    outputs: tuple[Output, ...]
    cohort: Cohort
    entry: Entry = "same"
    threads: int | None = None

    def __call__(self, factors: Mapping[str, float]) -> dict[str, FloatArray]:
        """Values of patients by output, NaN for a patient who could not be solved.

        Yes or no counts as 1 or 0 (a missing yes is a no), so that a mean is a share.

        Returns
        -------
        By name of the output, in the order of `outputs`. Each (patient,).
        """
        absorbed = {
            key: bioavailability_name(drug.prefix, route)
            for drug in self.plan.drugs
            for route in drug.routes
            if bioavailability_name(drug.prefix, route) in factors
            for key in [(drug.name, route)]
        }
        own = {name: f for name, f in factors.items() if name not in absorbed.values()}
        plan = self.plan.with_factors(own)
        cohort = self.cohort
        if self.entry == "again" and own:
            cohort = draw_cohort(plan.recruitment(self.threads), len(self.cohort.numbers))
        elif own:
            cohort = redraw(plan.recruitment(self.threads), self.cohort.numbers)
        if absorbed:
            shares = {
                key: np.minimum(factors[name] * _share(plan, cohort, *key), 1.0)
                for key, name in absorbed.items()
            }
            cohort = replace(cohort, bioavailability={**cohort.bioavailability, **shares})
        return self._read(plan, cohort)

    def _read(self, plan: Plan, cohort: Cohort) -> dict[str, FloatArray]:
        simulation = simulate_cohort(plan, cohort, self.threads)
        arms = {arm for own in self.outputs for arm in (own.arm, own.versus) if arm}
        values = {arm: observed_endpoints(simulation, arm) for arm in sorted(arms)}
        found = {}
        for output in self.outputs:
            visit = int(np.searchsorted(plan.study.visits_day, output.time_day - 1e-6))
            own = self._column(values[output.arm][output.endpoint][:, visit], output)
            if output.versus:
                other = values[output.versus][output.endpoint][:, visit]
                own = own - self._column(other, output)
            found[str(output)] = own
        return found

    def _column(self, values: FloatArray, output: Output) -> FloatArray:
        """Values of patients as they enter the mean."""
        card = self.plan.situation.endpoints[output.endpoint]
        if KINDS[card.kind].is_binary:
            return np.where(np.isnan(values), 0.0, values)
        if card.kind == "event_rate":
            # Of the whole time, so that each patient has the same weight.
            return values * (DAYS_PER_YEAR / output.time_day)
        if card.kind == "event_free":
            return 1.0 - values
        if output.is_share and KINDS[card.kind].statistic == "proportion":
            assert card.level is not None
            return np.where(np.isnan(values), np.nan, values >= card.level)
        return np.asarray(values, dtype=np.float64)


def trial_answer(
    study: Study,
    catalog: Catalog,
    outputs: Sequence[Output],
    patients: int,
    *,
    entry: Entry = "same",
    threads: int | None = None,
) -> TrialAnswer:
    """Join the model once and draw the patients in whom every change is looked at.

    Visits stay as they are, so that the patients' errors of the day are those of ``immunostat
    run``.

    Parameters
    ----------
    outputs
        From `outputs_for`.
    patients
        Number of patients; the first of those who enter the study.

    Raises
    ------
    InputError
        The study asks for what the catalog or the model does not have.
    """
    wanted = {output.arm for output in outputs} | {o.versus for o in outputs if o.versus}
    arms = {name: regimens for name, regimens in study.arms.items() if name in wanted}
    endpoints = tuple(dict.fromkeys(output.endpoint for output in outputs))
    small = replace(
        study,
        arms=MappingProxyType(arms),
        endpoints=endpoints,
        side_effects=(),
        compare_with=(),
        population=replace(study.population, n_patients=patients),
    )
    # The arm without any drug is there for the activity profile, which is not looked at.
    plan = replace(prepare(small, catalog), arms=tuple(arms))
    cohort = draw_cohort(plan.recruitment(threads), patients)
    return TrialAnswer(plan, tuple(outputs), cohort, entry, threads)


def shown_time(day: float) -> str:
    """A time of a visit in words.

    Examples
    --------
    >>> shown_time(168.0), shown_time(10.0)
    ('week 24', 'day 10')
    """
    return f"week {day / 7:g}" if day and day % 7 == 0 else f"day {day:g}"


def _share(plan: Plan, cohort: Cohort, drug: str, route: str) -> FloatArray:
    """Share of a dose that is absorbed, in each patient. Shape (patient,)."""
    if (drug, route) in cohort.bioavailability:
        return cohort.bioavailability[drug, route]
    own = next(found for found in plan.drugs if found.name == drug).routes[route].bioavailability
    return np.full(len(cohort.numbers), 1.0 if own is None else own.value)


def _named(name: str, known: Mapping[str, object], option: str) -> str:
    for own in known:
        if own.lower() == name.lower():
            return own
    raise UnknownNameError(
        f"'{name}' is not known", Place(f"{option} {name}"), near_matches(name, known)
    )


def _visit(study: Study, at: str) -> float:
    """Day of the visit that words such as ``week 24`` or ``24 weeks`` name."""
    if not at.strip():
        return study.visits_day[-1]
    place = Place(f'--at "{at}"')
    words = re.sub(r"^\s*(week|day|month|year)s?\s+(\S+)\s*$", r"\2 \1", at, flags=re.IGNORECASE)
    day = days_of(words, what="visit", example='"week 24"', place=place)
    for visit in study.visits_day:
        if abs(visit - day) < 1e-6:
            return visit
    shown = ", ".join(shown_time(visit) for visit in study.visits_day[:20])
    raise InputError(f"there is no visit at {shown_time(day)}", place, f"visits: {shown}")

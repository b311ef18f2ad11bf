"""Training arms under other numbers of core and situation: what is predicted, and how far off.

Every evaluation is what `validate` would predict with these numbers: the same candidates are drawn
with the same random numbers and meet the same criteria, and all arms of the same patients are
solved together. The untreated steady state is solved again only where a number of the core moves.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from immunostat.base.errors import ImmunostatError, InputError, Place
from immunostat.catalog.calibration_cards import TrainingResultCard
from immunostat.catalog.calibrations import FOLDER, Calibration, Fitted, Moved, TrainingArm
from immunostat.catalog.cards import TrialResultCard
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import ModelParameterCard, ModelSpreadCard, SituationCard
from immunostat.engine.problem import EnsembleProblem
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import KINDS
from immunostat.outcomes.summary import SummaryRow
from immunostat.study.assemble import CORE, DISEASE
from immunostat.study.cohort import Cohort, draw_cohort
from immunostat.study.plan import Plan
from immunostat.study.simulation import Simulation, simulate_cohort
from immunostat.study.validation import (
    Group,
    is_share_of,
    observed_value,
    plan_of,
    predictions,
    regimens_of,
    who_of,
    why_not_simulated,
)
from immunostat.study.varied import set_by_patient

#: Width of a 95 % interval in standard errors.
WIDTH = 2 * 1.959963984540054

#: A result that cannot be predicted counts as this many standard errors off.
NOTHING = 20.0

#: Blocks of untreated patients that are remembered at most.
MOST_KEPT = 64


@dataclass(frozen=True)
class Wanted:
    """A published result that is followed.

    Parameters
    ----------
    trial, arm
        Whose it is.
    group, simulated
        Which group of patients, and which of its simulated arms.
    endpoint, week
        What and when.
    value
        Published, in `unit`.
    unit
        ``%`` for a share of patients.
    is_share
        Whether it is one.
    scale
        Where a miss is measured.
    sd
        Standard error on that scale.
    weight
        Of its squared miss.
    n
        Patients behind it, if known.
    source
        Key of its source.
    """

    trial: str
    arm: str
    group: int
    simulated: str
    endpoint: str
    week: float
    value: float
    unit: str
    is_share: bool
    scale: str
    sd: float
    weight: float
    n: int | None
    source: str

    @property
    def words(self) -> str:
        """For messages and tables."""
        return f"{self.trial}, {self.arm}: {self.endpoint}, week {self.week:g}"

    def on_scale(self, value: float, n: float) -> float:
        """A value in `unit` on the scale of the miss; `n` patients behind it keep it finite."""
        if self.scale == "logit":
            share = (value / 100.0 * n + 0.5) / (n + 1.0)
            return math.log(share / (1.0 - share))
        if self.scale == "log":
            return math.log(max(value, 1e-3 * self.value))
        return value

    def off_by(self, predicted: float, n: float) -> float:
        """Miss in standard errors."""
        if not math.isfinite(predicted):
            return NOTHING
        own = self.on_scale(self.value, float(self.n or n))
        return (self.on_scale(predicted, n) - own) / self.sd


@dataclass(frozen=True)
class Predicted:
    """What the model says of every wanted result under some numbers.

    Parameters
    ----------
    values
        In the unit of each. Shape (result,).
    off_by
        Misses in standard errors. Shape (result,).
    failed_share
        Share of the patient-arms that could not be computed.
    problem
        Why nothing was predicted; empty if something was.
    """

    values: FloatArray
    off_by: FloatArray
    failed_share: float = 0.0
    problem: str = ""


class RestingStates:
    """Solves untreated steady states and remembers the last ones, by what they depend on."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Trajectories] = OrderedDict()

    def __call__(self, problem: EnsembleProblem, **settings: Any) -> Trajectories:
        """As `engine.solve.solve`."""
        digest = hashlib.sha256(np.ascontiguousarray(problem.parameters).tobytes())
        digest.update(f"{problem.parameters.shape} {problem.start!r}".encode())
        key = digest.digest()
        if key not in self._kept:
            self._kept[key] = solve(problem, **settings)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


@dataclass
class TrainingArms:
    """Everything that a calibration follows, ready to be simulated with other numbers.

    Parameters
    ----------
    calibration
        What is followed and what may move.
    n_patients, seed
        Virtual patients of each arm, and the seed of all random numbers.
    threads
        Threads of the solver; the numbers do not depend on it.

    Raises
    ------
    InputError
        An arm cannot be simulated, a result has no standard error, or a number is set by the
        patient and not by its card.
    """

    calibration: Calibration
    catalog: Catalog
    n_patients: int
    seed: int
    threads: int | None = None
    groups: list[Group] = field(init=False)
    plans: list[Plan] = field(init=False)
    wanted: list[Wanted] = field(init=False)
    rests: list[RestingStates] = field(init=False)

    def __post_init__(self) -> None:
        own, catalog = self.calibration, self.catalog
        groups: dict[tuple[str, str], Group] = {}
        self.wanted = []
        for i, training in enumerate(own.arms):
            trial, arm = training.trial, training.arm
            reason = why_not_simulated(catalog, trial, arm)
            if reason:
                raise InputError(
                    f"arm '{arm.name}' of {trial.name} cannot be simulated: {reason}",
                    catalog.document(FOLDER, own.card.name).place(("arms", i)),
                    "take another arm",
                )
            who = who_of(trial)
            group = groups.setdefault(who.key, Group(who))
            kept = arm.model_copy(update={"results": tuple(r for _, r in training.results)})
            group.add(trial, kept, regimens_of(catalog, trial.situation, arm))
            name = group.published[-1][2]
            number = list(groups).index(who.key)
            for j, (wanted, result) in enumerate(training.results):
                place = catalog.document(FOLDER, own.card.name).place(("arms", i, "results", j))
                self.wanted.append(_wanted(own, training, wanted, result, number, name, place))
        self.groups = list(groups.values())
        self.plans = [
            self._only_arms(
                plan_of(
                    catalog,
                    own.situation,
                    group,
                    self.n_patients,
                    self.seed,
                    own.card.relative_tolerance,
                )
            )
            for group in self.groups
        ]
        self.rests = [RestingStates() for _ in self.groups]
        for fitted in own.fitted:
            for moved in fitted.moved:
                self._check(moved, fitted)

    def _only_arms(self, plan: Plan) -> Plan:
        """Without the reference arm, which nobody asks for here."""
        return replace(plan, arms=tuple(plan.study.arms))

    def _check(self, moved: Moved, fitted: Fitted) -> None:
        """Refuse numbers that take another value in each patient, whatever their card says."""
        name = joined_name(self.calibration, moved)
        for plan in self.plans:
            if name in set_by_patient(plan.situation) or name not in plan.assembly.defaults:
                place = self.catalog.document(FOLDER, self.calibration.card.name)
                raise InputError(
                    f"'{moved.shown}' is set from each patient, so that its card's number acts on "
                    "nothing",
                    place.place(("fitted", fitted.name)),
                    "fit another number",
                )

    def with_seed(self, seed: int) -> TrainingArms:
        """The same arms in other virtual patients."""
        other = copy(self)
        other.seed, other.rests = seed, [RestingStates() for _ in self.groups]
        other.plans = [_seeded(plan, seed) for plan in self.plans]
        return other

    @property
    def touches_core(self) -> bool:
        """Whether a fitted number changes the untreated steady state of the core."""
        own = self.calibration
        moved = [moved for fitted in own.fitted for moved in fitted.moved]
        return any(moved.is_core or moved.name in own.core.ports for moved in moved)

    def predict(self, values: Mapping[str, float]) -> Predicted:
        """Simulate every arm with these values of the fitted numbers, by their label."""
        try:
            rows, n_failed, n_all = self._rows(values)
        except ImmunostatError as error:
            nothing = np.full(len(self.wanted), math.nan)
            off = np.full(len(self.wanted), NOTHING)
            return Predicted(nothing, off, 1.0, str(error).splitlines()[0])
        found = [
            rows[own.group, own.simulated, own.endpoint, 7.0 * own.week] for own in self.wanted
        ]
        shown = [
            (100.0 if own.is_share else 1.0) * row.estimate
            for own, row in zip(self.wanted, found, strict=True)
        ]
        misses = [
            own.off_by(value, float(row.n))
            for own, value, row in zip(self.wanted, shown, found, strict=True)
        ]
        return Predicted(np.array(shown), np.array(misses), n_failed / max(n_all, 1))

    def _rows(
        self, values: Mapping[str, float]
    ) -> tuple[dict[tuple[int, str, str, float], SummaryRow], int, int]:
        rows: dict[tuple[int, str, str, float], SummaryRow] = {}
        n_failed, n_all = 0, 0
        for i in range(len(self.groups)):
            simulation = self.simulate(i, values)
            for arm in simulation.plan.arms:
                own, failed = predictions(simulation, arm)
                rows |= {(i, arm, row.endpoint, row.time_day): row for row in own}
                n_failed, n_all = n_failed + failed, n_all + simulation.n_patients
        return rows, n_failed, n_all

    def simulate(self, group: int, values: Mapping[str, float]) -> Simulation:
        """Every arm of one group of patients with these values."""
        plan = self.changed(self.plans[group], values)
        return simulate_cohort(plan, self.cohort(group, plan), self.threads)

    def cohort(self, group: int, plan: Plan) -> Cohort:
        """Who enters under a plan."""
        recruitment = replace(plan.recruitment(self.threads), at_rest=self.rests[group])
        return draw_cohort(recruitment, self.n_patients)

    def changed(self, plan: Plan, values: Mapping[str, float]) -> Plan:
        """A plan as if the cards of core and situation had these values."""
        own = self.calibration
        cards: dict[tuple[bool, str], ModelParameterCard] = {}
        for fitted in own.fitted:
            for moved in fitted.moved:
                card = cards.get((moved.is_core, moved.name), moved.card)
                cards[moved.is_core, moved.name] = changed_card(card, fitted, values[fitted.name])
        parts: dict[bool, dict[str, ModelParameterCard]] = {False: {}, True: {}}
        defaults, varied = dict(plan.assembly.defaults), dict(plan.assembly.varied)
        for (is_core, name), card in cards.items():
            parts[is_core][name] = card
            joined = _joined(own, is_core, name)
            defaults[joined] = card.value
            if joined in varied:
                varied[joined] = card
        core, situation = plan.core, plan.situation
        return replace(
            plan,
            core=core.model_copy(update={"parameters": {**core.parameters, **parts[True]}}),
            situation=situation.model_copy(
                update={"parameters": {**situation.parameters, **parts[False]}}
            ),
            assembly=replace(plan.assembly, defaults=defaults, varied=varied),
        )


def _seeded(plan: Plan, seed: int) -> Plan:
    study = plan.study
    return replace(plan, study=replace(study, population=replace(study.population, seed=seed)))


def changed_card(card: ModelParameterCard, fitted: Fitted, value: float) -> ModelParameterCard:
    """A parameter's card with another value, or another spread of the same kind."""
    if not fitted.is_spread:
        return card.model_copy(update={"value": value})
    assert card.spread is not None
    given = [key for key, own in card.spread.model_dump().items() if own is not None]
    return card.model_copy(update={"spread": ModelSpreadCard.model_validate({given[0]: value})})


def joined_name(calibration: Calibration, moved: Moved) -> str:
    """Name of a parameter in the joined model."""
    return _joined(calibration, moved.is_core, moved.name)


def _joined(calibration: Calibration, is_core: bool, name: str) -> str:
    if is_core:
        return f"{CORE}_{name}"
    return name if name in calibration.core.ports else f"{DISEASE}_{name}"


def _wanted(
    calibration: Calibration,
    training: TrainingArm,
    card: TrainingResultCard,
    result: TrialResultCard,
    group: int,
    simulated: str,
    place: Place,
) -> Wanted:
    """A published result with its scale and standard error."""
    situation = calibration.situation
    is_share = is_share_of(situation, result.endpoint)
    n = result.n or training.arm.n
    value, low, high = observed_value(result, n, is_share)
    scale = card.scale or usual_scale(situation, result.endpoint)
    if scale in ("points", "logit") and not is_share:
        raise InputError(
            f"{result.endpoint} is no share of patients, so that it has no {scale}",
            place,
            "allowed: linear, log",
        )
    if scale == "log" and not value > 0:
        raise InputError(
            f"{result.endpoint} of {training.trial.name} is {value:g}, which has no logarithm",
            place,
            "take scale linear",
        )
    sd = card.sd
    if sd is None:
        sd = standard_error(result, value, (low, high), n, scale, is_share)
    if sd is None:
        raise InputError(
            f"{result.endpoint} of '{training.arm.name}' of {training.trial.name} has neither an "
            "interval nor a number of patients with their spread",
            place,
            "give 'sd' here, its standard error, and 'because'",
        )
    unit = "%" if is_share else result.unit
    return Wanted(
        training.trial.name,
        training.arm.name,
        group,
        simulated,
        result.endpoint,
        result.week,
        value,
        unit,
        is_share,
        scale,
        sd,
        card.weight,
        n,
        result.source or "",
    )


def usual_scale(situation: SituationCard, endpoint: str) -> str:
    """Where a miss of an endpoint is measured if its card does not say.

    Shares: percentage points. Means: their unit. Medians, rates and ratios: the logarithm.
    """
    card = situation.endpoints[endpoint]
    if KINDS[card.kind].is_binary:
        return "points"
    statistic = KINDS[card.kind].statistic
    is_mean = statistic == "mean" and card.statistic == "mean"
    return "linear" if is_mean else "log"


def standard_error(
    result: TrialResultCard,
    value: float,
    ends: tuple[float, float],
    n: int | None,
    scale: str,
    is_share: bool,
) -> float | None:
    """Standard error of a published result on the scale of its miss; None if nothing tells it.

    Of a share: binomial, of its count with half a patient added to either side, so that 0 of n has
    one too. Otherwise a quarter of the printed interval, or the spread over the root of n.

    Source
    ------
    Binomial variance; delta method for the logit: "definition".
    """
    if is_share and n is not None:
        share = (value / 100.0 * n + 0.5) / (n + 1.0)
        if scale == "logit":
            return math.sqrt(1.0 / (n * share * (1.0 - share)))
        if scale == "log":
            return math.sqrt((1.0 - share) / (n * share))
        return 100.0 * math.sqrt(share * (1.0 - share) / n)
    low, high = ends
    if result.low is not None and result.high is not None:
        if scale == "log":
            return (math.log(high) - math.log(low)) / WIDTH if low > 0 else None
        if scale == "logit":
            odds = [math.log(x / (100.0 - x)) for x in (low, high) if 0.0 < x < 100.0]
            return (odds[1] - odds[0]) / WIDTH if len(odds) == 2 else None
        return (high - low) / WIDTH
    if result.sd is not None and n is not None:
        error = result.sd / math.sqrt(n)
        return error / abs(value) if scale == "log" else error
    return None

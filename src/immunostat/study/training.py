"""Training arms under other numbers of core and situation: what is predicted, and how far off.

Every evaluation is what `validate` would predict with these numbers: the same candidates are drawn
with the same random numbers and meet the same criteria, and all arms of the same patients are
solved together. Untreated patients are found again only where a number that they depend on moves.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np

from immunostat.base.errors import ImmunostatError, InputError, Place
from immunostat.catalog.calibrations import FOLDER, Calibration, Fitted, Moved, TrainingArm
from immunostat.catalog.cards import (
    TrialArmCard,
    TrialCard,
    TrialComparisonCard,
    TrialResultCard,
)
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import ModelParameterCard, ModelSpreadCard
from immunostat.engine.problem import Tolerance
from immunostat.model.system import FloatArray
from immunostat.study.assemble import CORE, name_of_own
from immunostat.study.cohort import Cohort, draw_cohort
from immunostat.study.plan import Plan
from immunostat.study.published_values import day_of, horizon_of
from immunostat.study.simulation import Simulation, simulate_cohort
from immunostat.study.training_results import (
    NOTHING,
    Simulated,
    Wanted,
    wanted_comparison,
    wanted_result,
)
from immunostat.study.untreated import Untreated, untreated_levels
from immunostat.study.validation import (
    Group,
    plan_of,
    predict_arm,
    regimens_of,
    who_of,
    why_not_simulated,
)
from immunostat.study.varied import set_by_patient

#: Blocks of untreated patients that are remembered at most.
MOST_KEPT = 64


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
    """Finds untreated patients and remembers the last ones, by what they depend on."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, dict[str, FloatArray]] = OrderedDict()

    def __call__(
        self,
        untreated: Untreated,
        parameters: FloatArray,
        tolerance: Tolerance,
        threads: int | None,
    ) -> dict[str, FloatArray]:
        """As `untreated.untreated_levels`."""
        digest = hashlib.sha256(np.ascontiguousarray(parameters).tobytes())
        digest.update(f"{parameters.shape}".encode())
        key = digest.digest()
        if key not in self._kept:
            self._kept[key] = untreated_levels(untreated, parameters, tolerance, threads)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return dict(self._kept[key])


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
            who = who_of(training.trial)
            group = groups.setdefault(who.key, Group(who))
            number = list(groups).index(who.key)
            place = catalog.document(FOLDER, own.card.name).place
            name = self._add(group, training, place(("arms", i)))
            trial = _trained(training.trial, own)
            for j, (card, printed) in enumerate(training.results):
                here = place(("arms", i, "results", j))
                where = (training.trial.name, training.arm.name, number, name)
                if isinstance(printed, TrialResultCard):
                    n = printed.n or training.arm.n
                    found = wanted_result(own.situation, card, printed, n, where, here)
                else:
                    versus = self._add_versus(group, training, printed, here)
                    found = wanted_comparison(
                        own.situation, card, printed, trial, (*where, versus), here
                    )
                self.wanted.append(found)
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

    def _add(self, group: Group, training: TrainingArm, place: Place) -> str:
        """Put a training arm among the simulated ones; its name there."""
        results = [own for _, own in training.results if isinstance(own, TrialResultCard)]
        others = [own for _, own in training.results if isinstance(own, TrialComparisonCard)]
        kept = training.arm.model_copy(update={"results": tuple(results)})
        last_day = max([horizon_of(self.calibration.situation, kept), *map(day_of, others)])
        return self._simulated(group, training.trial, kept, last_day, place)

    def _add_versus(
        self, group: Group, training: TrainingArm, printed: TrialComparisonCard, place: Place
    ) -> str:
        """Put the other arm of a comparison among the simulated ones; its name there."""
        arm = next(arm for arm in training.trial.arms if arm.name == printed.versus)
        kept = arm.model_copy(update={"results": ()})
        return self._simulated(group, training.trial, kept, day_of(printed), place)

    def _simulated(
        self, group: Group, trial: TrialCard, arm: TrialArmCard, last_day: float, place: Place
    ) -> str:
        reason = why_not_simulated(self.catalog, trial, arm)
        if reason:
            raise InputError(
                f"arm '{arm.name}' of {trial.name} cannot be simulated: {reason}",
                place,
                "take another arm",
            )
        regimens = regimens_of(self.catalog, trial.situation, arm)
        trained = _trained(trial, self.calibration)
        return group.add(trained, arm, regimens, last_day, self.calibration.situation)

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
    def moves_untreated(self) -> bool:
        """Whether a fitted number changes the untreated patients."""
        names = [joined_name(self.calibration, m) for f in self.calibration.fitted for m in f.moved]
        known = {n for plan in self.plans for n in plan.assembly.untreated.system.parameters}
        return any(name in known for name in names)

    def predict(self, values: Mapping[str, float]) -> Predicted:
        """Simulate every arm with these values of the fitted numbers, by their label."""
        try:
            found, n_failed, n_all = self._simulate_all(values)
            shown = [own.shown(found) for own in self.wanted]
        except ImmunostatError as error:
            nothing = np.full(len(self.wanted), math.nan)
            off = np.full(len(self.wanted), NOTHING)
            return Predicted(nothing, off, 1.0, str(error).splitlines()[0])
        misses = [own.off_by(*value) for own, value in zip(self.wanted, shown, strict=True)]
        numbers = np.array([value for value, _ in shown])
        return Predicted(numbers, np.array(misses), n_failed / max(n_all, 1))

    def _simulate_all(self, values: Mapping[str, float]) -> tuple[Simulated, int, int]:
        """Rows of every endpoint, days of events, patient-arms that failed, and all of them."""
        found = Simulated()
        n_failed, n_all = 0, 0
        for i in range(len(self.groups)):
            simulation = self.simulate(i, values)
            for arm in simulation.plan.arms:
                for shown, leaving in self.groups[i].leaving[arm].items():
                    own = predict_arm(simulation, arm, leaving)
                    found.add(i, shown, own)
                    n_failed, n_all = n_failed + own.n_failed, n_all + simulation.n_patients
        return found, n_failed, n_all

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
    return name_of_own(name, calibration.core, calibration.situation)


def _trained(trial: TrialCard, calibration: Calibration) -> TrialCard:
    """A trial with the comparisons alone that are followed, so that no other is simulated."""
    kept = tuple(
        printed
        for training in calibration.arms
        if training.trial.name == trial.name
        for _, printed in training.results
        if isinstance(printed, TrialComparisonCard)
    )
    return trial.model_copy(update={"comparisons": kept})

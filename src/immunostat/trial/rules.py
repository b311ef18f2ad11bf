"""Rules of a trial: what an observation at a visit does to the doses that follow.

A rule has a condition on what the visit recorded (with its error, never the true state) and an
action on a drug. What the rules decide is a function of the visits so far alone; the doses that
follow from it are made elsewhere.

::

    action = "hold" drug | "stop" (drug | "treatment") | "reduce" drug "by" number "%"
           | ("lower" | "raise") drug | "start" regimen | "change" drug "to" regimen
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.therapy.regimen import SAME_TIME_DAY, Regimen
from immunostat.trial.conditions import Condition

BoolArray = npt.NDArray[np.bool_]


class Act(StrEnum):
    """What a rule does to a drug."""

    HOLD = "hold"  #: no dose until the `until` of the rule holds
    STOP = "stop"  #: no dose any more
    REDUCE = "reduce"  #: doses times a factor, once for each time that the rule applies
    LOWER = "lower"  #: one step down the levels of the rule
    RAISE = "raise"  #: one step up the levels of the rule
    START = "start"  #: a regimen begins at this visit
    CHANGE = "change"  #: another regimen of the drug, or of another drug in its place


#: Acts that a patient has once, unless the rule says otherwise.
ONCE = frozenset({Act.STOP, Act.START, Act.CHANGE})


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    text
        What a person wrote, for the log.
    when
        Condition at a visit, resolved.
    act, drug
        What is done to which drug; an empty drug is every drug of the arm.
    until
        Ends a hold; None ends it when `when` does not hold any more.
    factor
        What doses are multiplied with, for ``reduce``.
    levels
        Doses relative to the first, descending, for ``lower``, ``raise`` and a lower restart.
    is_lower_after
        Whether dosing goes on one level lower after a hold.
    regimen
        What ``start`` and ``change`` give; its time 0 is the visit.
    from_day, to_day
        Days between which the rule is looked at.
    arms
        Names of the arms; empty for all.
    is_once
        Whether the rule applies to a patient once only.
    """

    text: str
    when: Condition
    act: Act
    drug: str = ""
    until: Condition | None = None
    factor: float = 1.0
    levels: tuple[float, ...] = ()
    is_lower_after: bool = False
    regimen: Regimen | None = None
    from_day: float = 0.0
    to_day: float = np.inf
    arms: tuple[str, ...] = ()
    is_once: bool = False

    def is_looked_at(self, arm: str, day: float) -> bool:
        """Whether the rule may begin to apply at a visit of an arm."""
        inside = self.from_day - SAME_TIME_DAY <= day <= self.to_day + SAME_TIME_DAY
        return inside and (not self.arms or arm in self.arms)


@dataclass
class Course:
    """How one regimen of an arm stands in every patient.

    Parameters
    ----------
    regimen
        What is given.
    origin_day
        Day of its time 0; infinite where it has not begun. Shape (patient,).
    factor
        What its doses are multiplied with. Shape (patient,).
    level
        Steps down the levels of the rules. Shape (patient,).
    held_by
        Index of the rule that holds it, -1 where none does. Shape (patient,).
    is_stopped
        Shape (patient,).
    """

    regimen: Regimen
    origin_day: FloatArray
    factor: FloatArray
    level: IntArray
    held_by: IntArray
    is_stopped: BoolArray

    @classmethod
    def of(cls, regimen: Regimen, n_patients: int, origin_day: float) -> Course:
        """A regimen that begins on the same day in everybody."""
        return cls(
            regimen,
            np.full(n_patients, origin_day),
            np.ones(n_patients),
            np.zeros(n_patients, dtype=np.int64),
            np.full(n_patients, -1, dtype=np.int64),
            np.zeros(n_patients, dtype=bool),
        )

    @property
    def is_given(self) -> BoolArray:
        """Who gets the doses that come now. Shape (patient,)."""
        begun = np.isfinite(self.origin_day)
        return np.asarray(begun & ~self.is_stopped & (self.held_by < 0), dtype=np.bool_)


@dataclass(frozen=True)
class Entry:
    """One thing that a rule did: rows of the patients, the rule, and a word for what was done."""

    rows: IntArray
    rule: int
    word: str
    drug: str


@dataclass
class Dosing:
    """State of the doses of one arm, and the rules that change it.

    Parameters
    ----------
    arm
        Name of the arm.
    rules
        All rules of the trial, in their order; where several apply at one visit, they do so in
        this order.
    n_patients
        Number of patients.
    courses
        Regimens of the arm, then those that rules may start.
    has_applied
        Which rules have applied to which patient. Shape (rule, patient).
    """

    arm: str
    rules: tuple[Rule, ...]
    n_patients: int
    courses: list[Course]
    started_by: dict[int, int] = field(default_factory=dict)
    has_applied: BoolArray = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))

    @classmethod
    def of(
        cls, arm: str, regimens: Sequence[Regimen], rules: Sequence[Rule], n_patients: int
    ) -> Dosing:
        """Doses as the arm begins them."""
        courses = [Course.of(regimen, n_patients, 0.0) for regimen in regimens]
        started = {}
        for index, rule in enumerate(rules):
            if rule.regimen is not None and (not rule.arms or arm in rule.arms):
                started[index] = len(courses)
                courses.append(Course.of(rule.regimen, n_patients, np.inf))
        has_applied = np.zeros((len(rules), n_patients), dtype=bool)
        return cls(arm, tuple(rules), n_patients, courses, started, has_applied)

    def visit(self, day: float, values: Mapping[str, npt.ArrayLike]) -> list[Entry]:
        """Apply the rules to what one visit recorded.

        Parameters
        ----------
        day
            Day of the visit; doses of that day come after it.
        values
            Observed values by name, NaN where missing. Each of shape (patient,).

        Returns
        -------
        What was done, in order.
        """
        entries: list[Entry] = []
        for index, rule in enumerate(self.rules):
            if rule.act is Act.HOLD:
                entries += self._release(index, rule, values)
            if not rule.is_looked_at(self.arm, day):
                continue
            applies = rule.when.holds(values)
            if rule.is_once:
                applies = applies & ~self.has_applied[index]
            if rule.act is Act.CHANGE:
                # Who has stopped for good takes no other dose in its place.
                applies = applies & self._takes(rule)
            for course in self._targets(rule):
                entries += self._apply(index, rule, course, applies)
            if rule.act in (Act.START, Act.CHANGE):
                entries += self._begin(index, rule, applies, day)
        return entries

    def _targets(self, rule: Rule) -> list[Course]:
        """Courses that a rule acts on, those that it starts excepted."""
        if rule.act is Act.START:
            return []
        return [
            course
            for course in self.courses
            if (not rule.drug or course.regimen.drug.name == rule.drug)
            and course.regimen is not rule.regimen
        ]

    def _takes(self, rule: Rule) -> BoolArray:
        """Who takes what a rule acts on, held or not."""
        found = np.zeros(self.n_patients, dtype=bool)
        for course in self._targets(rule):
            found |= np.isfinite(course.origin_day) & ~course.is_stopped
        return found

    def _apply(self, index: int, rule: Rule, course: Course, applies: BoolArray) -> list[Entry]:
        """Act on one course where the rule applies."""
        begun = np.isfinite(course.origin_day) & ~course.is_stopped
        who = applies & begun
        if rule.act is Act.HOLD:
            who &= course.held_by < 0
            course.held_by[who] = index
        elif rule.act in (Act.STOP, Act.CHANGE):
            course.is_stopped[who] = True
            course.held_by[who] = -1
        elif rule.act is Act.REDUCE:
            course.factor[who] *= rule.factor
        else:
            step = 1 if rule.act is Act.LOWER else -1
            who &= self._steps(course, rule, who, step)
        if rule.act is Act.CHANGE or not who.any():
            return []
        self.has_applied[index] |= who
        rows = np.flatnonzero(who).astype(np.int64)
        return [Entry(rows, index, str(rule.act), course.regimen.drug.name)]

    @staticmethod
    def _steps(course: Course, rule: Rule, who: BoolArray, step: int) -> BoolArray:
        """Move along the levels; who has moved."""
        levels = np.array(rule.levels)
        new = np.clip(course.level + step, 0, len(levels) - 1)
        moved = who & (new != course.level)
        ratio = levels[new] / levels[np.clip(course.level, 0, len(levels) - 1)]
        course.factor[moved] *= ratio[moved]
        course.level[moved] = new[moved]
        return np.asarray(moved, dtype=np.bool_)

    def _begin(self, index: int, rule: Rule, applies: BoolArray, day: float) -> list[Entry]:
        """Start the regimen of a rule."""
        if index not in self.started_by:
            return []
        course = self.courses[self.started_by[index]]
        who = applies & ~np.isfinite(course.origin_day)
        course.origin_day[who] = day
        self.has_applied[index] |= who
        if not who.any():
            return []
        rows = np.flatnonzero(who).astype(np.int64)
        return [Entry(rows, index, str(rule.act), course.regimen.drug.name)]

    def _release(self, index: int, rule: Rule, values: Mapping[str, npt.ArrayLike]) -> list[Entry]:
        """End the holds of a rule where its condition says so."""
        entries = []
        if rule.until is None:
            over = _known(rule.when, values) & ~rule.when.holds(values)
        else:
            over = rule.until.holds(values)
        for course in self.courses:
            who = over & (course.held_by == index)
            if not who.any():
                continue
            course.held_by[who] = -1
            if rule.is_lower_after and rule.levels:
                self._steps(course, rule, who, 1)
            rows = np.flatnonzero(who).astype(np.int64)
            entries.append(Entry(rows, index, "resume", course.regimen.drug.name))
        return entries


def _known(condition: Condition, values: Mapping[str, npt.ArrayLike]) -> BoolArray:
    """Where everything that a condition looks at was seen."""
    seen = [~np.isnan(np.asarray(values[name], dtype=np.float64)) for name in condition.names]
    return np.asarray(np.logical_and.reduce(seen), dtype=np.bool_)

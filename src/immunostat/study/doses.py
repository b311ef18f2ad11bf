"""Which doses the patients of an arm get: as planned, or as the rules of the study have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from immunostat.base.units import convert
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.signals import DoseCourse, lasting_of
from immunostat.study.plan import Plan
from immunostat.study.recruitment import Cohort, columns_of
from immunostat.therapy.regimen import DoseEvent, Regimen

#: Doses by name of the drug.
Doses = Mapping[str, DoseCourse]


@dataclass(frozen=True)
class _Given:
    """Doses that some rows of an arm got: what is planned, and the factor of each row."""

    rows: IntArray | None
    doses: tuple[tuple[float, DoseEvent], ...]
    mg: FloatArray


@dataclass
class DoseBook:
    """Everything that the patients of each arm were given, by arm and drug."""

    plan: Plan
    cohort: Cohort
    entries: dict[tuple[int, str], list[_Given]] = field(default_factory=dict)

    @classmethod
    def planned(cls, plan: Plan, cohort: Cohort) -> DoseBook:
        """The doses of the regimens, for a study without rules."""
        book = cls(plan, cohort)
        for arm, name in enumerate(plan.arms):
            for regimen in plan.regimens(name):
                book.add(arm, regimen, 0.0, (0.0, plan.study.duration_day))
        return book

    def add(
        self,
        arm: int,
        regimen: Regimen,
        origin_day: float,
        window: tuple[float, float],
        rows: IntArray | None = None,
        factor: FloatArray | None = None,
    ) -> None:
        """Note the doses of a regimen that start within a window.

        Parameters
        ----------
        arm
            Index of the arm in the plan.
        origin_day
            Day on which the regimen's time is 0.
        window
            First day, which is inside, and end, which is not.
        rows
            Rows of the patients who get them; None for all.
        factor
            What multiplies each patient's dose; None for none. Shape (row,).
        """
        doses = tuple(
            (dose.time_day + origin_day, dose)
            for dose in regimen.doses(window[1] - origin_day)
            if dose.time_day + origin_day >= window[0] - 1e-9
        )
        if not doses:
            return
        mg = np.stack([self._mg(regimen, dose, rows) for _, dose in doses], axis=1)
        if factor is not None:
            mg = mg * factor[:, None]
        own = self.entries.setdefault((arm, regimen.drug.name), [])
        own.append(_Given(rows, doses, mg))

    def _mg(self, regimen: Regimen, dose: DoseEvent, rows: IntArray | None) -> FloatArray:
        """Amount of a dose, mg; one row where patients do not differ. Shape (row or 1,)."""
        drug = regimen.drug
        if dose.unit.endswith("IU"):
            in_nmol = convert(1.0, dose.unit, "IU", what="dose") / (drug.iu_per_nmol or np.inf)
            per_unit = in_nmol * drug.molar_mass * 1e-6
        else:
            per_unit = convert(1.0, dose.unit, "mg", molar_mass=drug.molar_mass, what="dose")
        amount = np.array([dose.amount])
        if dose.per_kg or dose.per_m2:
            columns = columns_of(self.cohort.covariates)
            size = columns["weight" if dose.per_kg else "bsa"]
            amount = dose.amount * (size if rows is None else size[rows])
        elif rows is not None:
            amount = np.full(len(rows), dose.amount)
        if dose.maximum is not None:
            amount = np.minimum(amount, dose.maximum)
        return np.asarray(amount * per_unit)

    def of(self, arm: int) -> Doses:
        """Doses of every drug of an arm, background drugs included."""
        found = {drug: DoseCourse.background(drug) for drug in sorted(self.plan.in_start)}
        for (own, drug), entries in self.entries.items():
            if own == arm:
                found[drug] = self._course(arm, drug, entries)
        return found

    def _course(self, arm: int, drug: str, entries: Sequence[_Given]) -> DoseCourse:
        """All doses of a drug on one axis of times."""
        n = len(self.cohort.numbers)
        alike = all(given.rows is None and len(given.mg) == 1 for given in entries)
        keys = sorted({(time, dose.route) for given in entries for time, dose in given.doses})
        place = {key: i for i, key in enumerate(keys)}
        mg = np.zeros((1 if alike else n, len(keys)))
        for given in entries:
            columns = np.array([place[time, dose.route] for time, dose in given.doses])
            if given.rows is None:
                mg[:, columns] += given.mg
            else:
                mg[given.rows[:, None], columns[None, :]] += given.mg
        times = np.array([time for time, _ in keys])
        return DoseCourse(
            drug, times, mg, tuple(route for _, route in keys), self._lasting(arm, drug)
        )

    def _lasting(self, arm: int, drug: str) -> float:
        """How long after a dose the drug is in use, from the gaps between its planned doses."""
        regimens = [
            *self.plan.regimens(self.plan.arms[arm]),
            *(rule.regimen for rule in self.plan.study.rules if rule.regimen is not None),
        ]
        gaps: list[float] = []
        for regimen in regimens:
            if regimen.drug.name == drug:
                days = sorted({d.time_day for d in regimen.doses(self.plan.study.duration_day)})
                gaps += list(np.diff(days))
        return lasting_of(gaps)

"""What the app simulates for anybody who points at it; more is for the command line."""

from __future__ import annotations

from dataclasses import dataclass

from immunostat.base.errors import InputError
from immunostat.study.plan import Plan
from immunostat.study.study import Study


@dataclass(frozen=True)
class Limits:
    """Most of everything for one simulation.

    Parameters
    ----------
    patients
        Patients in each arm, all replicates together.
    courses
        Patients times arms.
    arms
        Arms.
    days
        Length of the study, day.
    states
        States of the joined model.
    seconds
        Time that it may take.
    megabytes
        Memory of all courses.
    """

    patients: int
    courses: int
    arms: int
    days: float
    states: int
    seconds: float
    megabytes: float = 512.0

    def check(self, study: Study) -> None:
        """Refuse a study that is too large.

        Raises
        ------
        InputError
            With what is allowed, and where larger studies are run.
        """
        n = study.design.patients_in_trial(study.population.n_patients)
        n *= study.design.n_replicates
        self._most("patients", n, self.patients)
        self._most("arms", len(study.arms), self.arms)
        self._most("patients times arms", n * len(study.arms), self.courses)
        self._most("days", study.duration_day, self.days)

    def check_plan(self, plan: Plan) -> None:
        """Refuse a model that is too large, or courses that take too much memory.

        Raises
        ------
        InputError
            As for `check`.
        """
        self._most("states of the joined model", len(plan.assembly.system.states), self.states)
        n = plan.study.population.n_patients * len(plan.arms)
        size = 8 * n * len(plan.times) * len(plan.outputs) / 2**20
        self._most("megabytes of courses", size, self.megabytes)

    def check_seconds(self, seconds: float) -> None:
        """Refuse to go on for longer."""
        self._most("seconds", seconds, self.seconds)

    @staticmethod
    def _most(what: str, value: float, most: float) -> None:
        if value > most:
            raise InputError(
                f"{value:,.0f} {what}: this screen goes up to {most:,.0f}",
                remedy="copy the study from 'The same as' and run it with 'immunostat run', which "
                "has no such limit",
            )


#: While somebody moves a slider.
EXPLORE = Limits(2000, 10_000, 5, 2000.0, 600, 120.0, 256.0)

#: Twins of one patient.
TWINS = Limits(2000, 14_000, 7, 2000.0, 600, 300.0)

#: A trial in a process of its own.
TRIAL = Limits(200_000, 400_000, 12, 4000.0, 600, 3600.0)

"""A regimen: phases of equal doses that expand to dose events, and back to plain words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil

from immunostat.base.errors import InputError, Place, RangeError
from immunostat.base.units import DAYS
from immunostat.therapy.drug import Drug

#: More dose events than this for one regimen is a slip of the pen.
MAXIMUM_DOSES = 20_000
#: Times closer than this are one time: a tenth of a second.
SAME_TIME_DAY = 1e-6


@dataclass(frozen=True)
class Amount:
    """A quantity of drug as written: ``40 mg``, ``8 mg/kg``, ``1.3 mg/m^2``."""

    value: float
    unit: str
    per_kg: bool = False
    per_m2: bool = False

    def __str__(self) -> str:
        per = "/kg" if self.per_kg else "/m^2" if self.per_m2 else ""
        return f"{self.value:.12g} {self.unit}{per}"


@dataclass(frozen=True)
class Cycle:
    """Days of treatment in a repeating cycle; days count from 1, as clinicians count."""

    days: tuple[int, ...]
    length: int

    def holds(self, day_of_phase: float) -> bool:
        """Whether a dose `day_of_phase` days after the start of the phase is given."""
        return int(day_of_phase + SAME_TIME_DAY) % self.length + 1 in self.days


@dataclass(frozen=True)
class DoseEvent:
    """One dose as it is given.

    Parameters
    ----------
    time_day
        Start of the dose, day from the start of treatment.
    amount
        In `unit`, or in `unit` per kg of body weight if `per_kg`, or per m^2 of body surface if
        `per_m2`.
    infusion_day
        Length of the infusion, day; 0 for a dose given at once.
    maximum
        Largest dose in `unit` whatever the weight; None for no cap.
    """

    time_day: float
    amount: float
    unit: str
    per_kg: bool
    infusion_day: float
    route: str
    drug: str
    maximum: float | None = None
    per_m2: bool = False


@dataclass(frozen=True)
class Phase:
    """Equal doses at listed times, or at an interval from a start until a stop.

    Parameters
    ----------
    dose, route, infusion_day
        What is given and how; `infusion_day` 0 for at once.
    at_day
        Listed times, day; empty if the doses repeat.
    start_day, interval_day, stop_day
        Repeating doses: first dose, distance, and the time from which none is given (None for
        the end of the study).
    cycle
        Days of the cycle on which repeating doses are given; None for all.
    """

    dose: Amount
    route: str
    infusion_day: float = 0.0
    at_day: tuple[float, ...] = ()
    start_day: float = 0.0
    interval_day: float = 0.0
    stop_day: float | None = None
    cycle: Cycle | None = None

    def times(self, duration_day: float) -> list[float]:
        """Times of its doses before `duration_day`, ascending, day.

        Raises
        ------
        RangeError
            There would be more than `MAXIMUM_DOSES`.
        """
        if self.at_day:
            return [time for time in self.at_day if time < duration_day - SAME_TIME_DAY]
        stop = duration_day if self.stop_day is None else min(self.stop_day, duration_day)
        n = max(0, ceil((stop - self.start_day - SAME_TIME_DAY) / self.interval_day))
        if n > MAXIMUM_DOSES:
            raise RangeError(
                f"'{self.words()}' gives {n} doses in {duration_day:g} days; "
                f"at most {MAXIMUM_DOSES} are allowed"
            )
        since = (i * self.interval_day for i in range(n))
        return [self.start_day + t for t in since if self.cycle is None or self.cycle.holds(t)]

    def within(self, start_day: float, stop_day: float) -> Phase | None:
        """The phase with its time 0 at `start_day`, and no dose from `stop_day` on.

        None if no dose is left.
        """
        if self.at_day:
            times = tuple(start_day + time for time in self.at_day)
            kept = tuple(time for time in times if time < stop_day - SAME_TIME_DAY)
            return replace(self, at_day=kept) if kept else None
        first = self.start_day + start_day
        last = stop_day if self.stop_day is None else min(self.stop_day + start_day, stop_day)
        if first >= last - SAME_TIME_DAY:
            return None
        return replace(self, start_day=first, stop_day=last)

    def words(self) -> str:
        """The phase in the words of a study file, every time written out."""
        parts = [str(self.dose), self.route]
        if self.infusion_day:
            parts.append(f"over {duration_words(self.infusion_day)}")
        if self.at_day:
            parts.append("at " + ", ".join(duration_words(time) for time in self.at_day))
            return " ".join(parts)
        parts.append(f"every {duration_words(self.interval_day)}")
        if self.cycle:
            days = ", ".join(str(day) for day in self.cycle.days)
            parts.append(f"on days {days} of {self.cycle.length}")
        if self.start_day:
            parts.append(f"from {duration_words(self.start_day)}")
        if self.stop_day is not None:
            parts.append(f"until {duration_words(self.stop_day)}")
        return " ".join(parts)


@dataclass(frozen=True)
class Regimen:
    """How one drug is given.

    Parameters
    ----------
    drug
        The drug.
    phases
        In order of time.
    maximum
        Largest single dose whatever the weight.
    text
        What a person wrote.
    place
        Where it was written.
    """

    drug: Drug
    phases: tuple[Phase, ...]
    maximum: Amount | None = None
    text: str = field(default="", compare=False)
    place: Place | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.text or self.words()

    def words(self) -> str:
        """The regimen in plain words with every time written out; reads back as the same."""
        cap = f" maximum {self.maximum}" if self.maximum else ""
        return f"{self.drug.name} " + " then ".join(phase.words() for phase in self.phases) + cap

    def within(self, start_day: float, stop_day: float) -> Regimen:
        """The regimen begun on `start_day` and ended before `stop_day`, as in a period of a trial.

        Raises
        ------
        InputError
            No dose falls into that time.
        """
        moved = (phase.within(start_day, stop_day) for phase in self.phases)
        phases = tuple(phase for phase in moved if phase is not None)
        if not phases:
            raise InputError(
                f"'{self}' gives no dose within {duration_words(stop_day - start_day)}",
                self.place,
                "write a longer period",
            )
        return replace(self, phases=phases, text="")

    def followed_by(self, other: Regimen) -> Regimen:
        """Both regimens of one drug as one."""
        return replace(
            self,
            phases=(*self.phases, *other.phases),
            maximum=self.maximum or other.maximum,
            text="",
        )

    def doses(self, duration_day: float) -> tuple[DoseEvent, ...]:
        """Doses that start before `duration_day`, ascending in time.

        Raises
        ------
        InputError
            There are more than `MAXIMUM_DOSES`.

        Examples
        --------
        ``[d.time_day for d in regimen.doses(28)]`` of a dose every two weeks is ``[0.0, 14.0]``.
        """
        maximum = self.maximum.value if self.maximum else None
        try:
            found = [
                DoseEvent(
                    time,
                    phase.dose.value,
                    phase.dose.unit,
                    phase.dose.per_kg,
                    phase.infusion_day,
                    phase.route,
                    self.drug.name,
                    maximum,
                    phase.dose.per_m2,
                )
                for phase in self.phases
                for time in phase.times(duration_day)
            ]
        except RangeError as error:
            raise InputError(str(error), self.place, "write a longer interval") from None
        return tuple(sorted(found, key=lambda dose: dose.time_day))


def duration_words(days: float) -> str:
    """Days in the largest unit that gives a whole number.

    Examples
    --------
    >>> duration_words(14), duration_words(0.5), duration_words(0)
    ('2 weeks', '12 hours', '0 days')
    """
    for unit in ("week", "day", "hour", "minute"):
        number = days / DAYS[unit]
        if abs(number - round(number)) < 1e-9 and (days or unit == "day"):
            return f"{round(number)} {unit}{'' if round(number) == 1 else 's'}"
    return f"{days:.12g} days"

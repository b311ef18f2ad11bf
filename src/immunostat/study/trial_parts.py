"""Parts of a study file that make a trial of it: design, dropout, rules, analyses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from immunostat.base.errors import InputError, Place, UnknownNameError, near_matches
from immunostat.base.units import AMOUNTS
from immunostat.outcomes.endpoints import KINDS, EndpointSpec
from immunostat.study.file import (
    AnalysisPart,
    CrossoverPart,
    DesignPart,
    DoseResponsePart,
    DropoutPart,
    EndpointPart,
    InterimPart,
    RulePart,
)
from immunostat.study.specs import unit_of
from immunostat.therapy.regimen import Regimen
from immunostat.trial.assign import block_size
from immunostat.trial.conditions import Condition, parse_condition, resolved
from immunostat.trial.dropout import (
    STOPPING,
    BackgroundDropout,
    Cause,
    LackOfEffectDropout,
    SideEffectDropout,
)
from immunostat.trial.interim import Boundary
from immunostat.trial.rules import ONCE, Act, Rule

Path = tuple[str | int, ...]

#: Grade from which a graded side effect may make a patient leave.
SEVERE_GRADE = 3.0


@dataclass(frozen=True)
class Crossover:
    """Treatments that follow each other.

    Parameters
    ----------
    sequences
        Name of the sequence, which is an arm of the study, to its treatments in order.
    starts_day
        Start of each period, day.
    period_day
        Length of each period, day.
    """

    sequences: Mapping[str, tuple[str, ...]]
    starts_day: tuple[float, ...]
    period_day: float


@dataclass(frozen=True)
class Design:
    """Who gets what.

    Parameters
    ----------
    is_parallel
        Whether each patient is randomized to one arm; if not, everybody is seen in every arm.
    method, block, strata, ratio
        See `trial.assign.assign`.
    n_replicates
        How many whole trials are simulated, each of other patients.
    """

    is_parallel: bool = False
    method: str = "blocks"
    block: int | None = None
    strata: tuple[Condition, ...] = ()
    ratio: Mapping[str, int] = field(default_factory=dict)
    crossover: Crossover | None = None
    n_replicates: int = 1

    def patients_in_trial(self, n_per_arm: int) -> int:
        """Patients of one trial when the arm of share 1 has `n_per_arm`."""
        return n_per_arm * (sum(self.ratio.values()) if self.is_parallel else 1)


@dataclass(frozen=True)
class Analysis:
    """A comparison of two arms that was asked for; see `trial.compare`."""

    endpoint: str
    arm: str
    versus: str
    time_day: float
    measure: str = ""


@dataclass(frozen=True)
class DoseResponse:
    """How an endpoint follows the dose: dose of each arm, and a wanted difference from dose 0."""

    endpoint: str
    doses: Mapping[str, float]
    target: float | None = None


@dataclass(frozen=True)
class Interim:
    """Looks before the end; see `trial.interim.sequential_design`."""

    looks: tuple[float, ...]
    boundary: str
    alpha: float
    futility: float
    is_less_better: bool = False


@dataclass(frozen=True)
class Names:
    """What conditions of a study can look at: units by name; which side effects have grades."""

    visits: Mapping[str, str]
    covariates: Mapping[str, str]
    side_effects: tuple[str, ...]
    graded: frozenset[str] = frozenset()
    components: Mapping[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()

    @property
    def at_visits(self) -> dict[str, str]:
        """Units of everything that is known at a visit; a side effect is yes or no."""
        return {**dict.fromkeys(self.side_effects, "1"), **self.covariates, **self.visits}

    @property
    def at_doses(self) -> dict[str, str]:
        """Units of everything that a rule for doses may look at: also events that stop a drug."""
        happen = (STOPPING,) if set(self.side_effects) - self.graded else ()
        return {**dict.fromkeys(happen, "1"), **self.at_visits}


class PartReader:
    """Reads the parts of one file.

    Parameters
    ----------
    place
        File and line of a path of keys.
    days
        Days that a value says: value, path, what it is, example.
    regimen
        Regimen that a line or structure says.
    names
        What conditions can look at.
    arms
        Names of the arms.
    """

    def __init__(
        self,
        place: Callable[[Sequence[str | int]], Place],
        days: Callable[[object, Sequence[str | int], str, str], float],
        regimen: Callable[[str, Sequence[str | int]], Regimen],
        names: Names,
        arms: Sequence[str],
        drugs: Sequence[str],
    ) -> None:
        self.place, self.days, self.regimen = place, days, regimen
        self.names, self.arms, self.drugs = names, tuple(arms), tuple(drugs)

    def named(self, name: str, known: Sequence[str], path: Path, noun: str) -> str:
        """A name as it is spelled among the known ones."""
        for own in known:
            if own.lower() == name.strip().lower():
                return own
        raise UnknownNameError(
            f"{noun} '{name}' is not known", self.place(path), near_matches(name, known)
        )

    def condition(self, words: str, units: Mapping[str, str], path: Path) -> Condition:
        """A condition with its names and units settled."""
        place = self.place(path)
        return resolved(parse_condition(words, place), units, place)

    def design(self, part: DesignPart, crossover: Crossover | None) -> Design:
        """Key ``design``."""
        ratio = dict.fromkeys(self.arms, 1)
        given = part.randomization
        for name, share in given.ratio.items():
            ratio[self.named(name, self.arms, ("design", "randomization", "ratio"), "arm")] = share
        is_parallel = part.arms == "parallel" or crossover is not None
        path: Path = ("design", "randomization", "strata")
        strata = tuple(
            self.condition(words, self.names.covariates, (*path, i))
            for i, words in enumerate(given.strata)
        )
        if part.replicates > 1 and not is_parallel:
            raise InputError(
                "replicates are whole trials, in which each patient is in one arm",
                self.place(("design", "replicates")),
                "write arms: parallel in the design",
            )
        if is_parallel and given.method == "blocks":
            try:
                block_size(list(ratio.values()), given.block)
            except InputError as error:
                where = self.place(("design", "randomization", "block"))
                raise InputError(error.message, where, error.remedy) from None
        return Design(
            is_parallel, given.method, given.block, strata, ratio, crossover, part.replicates
        )

    def crossover(
        self, part: CrossoverPart, arms: Mapping[str, tuple[Regimen, ...]]
    ) -> tuple[Crossover, dict[str, tuple[Regimen, ...]]]:
        """Key ``design.crossover``: its record, and the arms that its sequences are."""
        path: Path = ("design", "crossover")
        period = self.days(part.period, (*path, "period"), "period", "12 weeks")
        washout = self.days(part.washout, (*path, "washout"), "washout", "4 weeks")
        lengths = {len(treatments) for treatments in part.sequences.values()}
        if period <= 0 or len(lengths) != 1 or lengths == {0} or len(part.sequences) < 2:
            raise InputError(
                "a crossover needs two or more sequences of equal length and a period above 0",
                self.place(path),
                "for example sequences: {AB: [drug, placebo], BA: [placebo, drug]}",
            )
        starts = tuple(i * (period + washout) for i in range(lengths.pop()))
        sequences: dict[str, tuple[str, ...]] = {}
        expanded: dict[str, tuple[Regimen, ...]] = {}
        is_expanded = set(part.sequences) == set(arms)
        for name, treatments in part.sequences.items():
            if is_expanded:
                sequences[name], expanded[name] = tuple(treatments), arms[name]
                continue
            own = tuple(
                self.named(one, list(arms), (*path, "sequences", name, i), "arm")
                for i, one in enumerate(treatments)
            )
            sequences[name] = own
            expanded[name] = _one_after_another([arms[one] for one in own], starts, period)
        return Crossover(sequences, starts, period), expanded

    def dropout(self, part: DropoutPart) -> tuple[Cause, ...]:
        """Key ``dropout``."""
        causes: list[Cause] = []
        if part.background is not None:
            causes.append(self._background(part.background))
        lack = part.lack_of_effect
        if lack is not None:
            path: Path = ("dropout", "lack_of_effect")
            units = {**self.names.covariates, **self.names.visits}
            condition = self.condition(lack.when, units, (*path, "when"))
            start = self.days(lack.start, (*path, "from"), "from", "12 weeks")
            causes.append(LackOfEffectDropout(condition, lack.probability, start))
        for name, probability in part.side_effects.items():
            known = self.names.side_effects
            own = self.named(name, known, ("dropout", "side_effects", name), "side effect")
            grade = SEVERE_GRADE if own in self.names.graded else 0.0
            causes.append(SideEffectDropout(own, probability, grade))
        if part.stopping:
            causes.append(SideEffectDropout(STOPPING, 1.0, name="side effect that stops the drug"))
        return tuple(causes)

    def _background(self, words: str) -> BackgroundDropout:
        """``10 % by week 24`` or ``20 per 100 patient-years``."""
        place = self.place(("dropout", "background"))
        number = r"(\d+(?:\.\d+)?)"
        by = re.fullmatch(rf"\s*{number}\s*%\s+by\s+(.+)", words)
        if by is not None:
            when = re.sub(r"^(week|day|month)\s+(\S+)$", r"\2 \1s", by[2].strip())
            day = self.days(when, ("dropout", "background"), "by", "'10 % by week 24'")
            return BackgroundDropout.by(float(by[1]) / 100, day)
        rate = re.fullmatch(rf"\s*{number}\s+per\s+{number}\s+patient.years\s*", words)
        if rate is not None and float(rate[2]) > 0:
            return BackgroundDropout(float(rate[1]) / float(rate[2]))
        raise InputError(
            f"dropout '{words}' is not understood",
            place,
            "write '10 % by week 24' or '20 per 100 patient-years'",
        )

    def rule(self, part: RulePart, index: int) -> Rule:
        """One of the rules."""
        path: Path = ("rules", index)
        units = self.names.at_doses
        act, drug, factor, regimen = self._action(part.do, (*path, "do"))
        levels = self._levels(part.levels, (*path, "levels"))
        is_stepped = act in (Act.LOWER, Act.RAISE) or part.after == "one level lower"
        if is_stepped and len(levels) < 2:
            raise InputError(
                f"'{part.do}' needs the doses between which it steps",
                self.place(path),
                "for example levels: [8 mg/kg, 4 mg/kg]",
            )
        if part.until is not None and act is not Act.HOLD:
            raise InputError(
                "only a hold has an 'until'", self.place((*path, "until")), "remove it"
            )
        end = np.inf if part.end is None else self.days(part.end, (*path, "to"), "to", "24 weeks")
        return Rule(
            f"when {part.when}: {part.do}",
            self.condition(part.when, units, (*path, "when")),
            act,
            drug,
            None if part.until is None else self.condition(part.until, units, (*path, "until")),
            factor,
            levels,
            part.after == "one level lower",
            regimen,
            self.days(part.start, (*path, "from"), "from", "12 weeks"),
            end,
            tuple(self.named(name, self.arms, (*path, "arms"), "arm") for name in part.arms),
            act in ONCE if part.once is None else part.once,
        )

    def _action(self, words: str, path: Path) -> tuple[Act, str, float, Regimen | None]:
        """What ``do`` says: act, drug, factor, regimen."""
        place = self.place(path)
        verb, _, rest = words.strip().partition(" ")
        rest = rest.strip()
        if verb == "reduce":
            by = re.fullmatch(r"(\S+)\s+by\s+(\d+(?:\.\d+)?)\s*%", rest)
            if by is not None and 0 < float(by[2]) < 100:
                drug = self.named(by[1], self.drugs, path, "drug of the study")
                return Act.REDUCE, drug, 1 - float(by[2]) / 100, None
        elif verb in ("hold", "lower", "raise", "stop") and rest:
            is_all = verb in ("stop", "hold") and rest in ("treatment", "all")
            drug = "" if is_all else self.named(rest, self.drugs, path, "drug of the study")
            return Act(verb), drug, 1.0, None
        elif verb in ("start", "rescue") and rest:
            return Act.START, "", 1.0, self.regimen(rest.removeprefix("with "), path)
        elif verb in ("change", "switch", "escalate"):
            drug, to, line = rest.partition(" to ")
            if to:
                own = self.named(drug, self.drugs, path, "drug of the study")
                return Act.CHANGE, own, 1.0, self.regimen(line, path)
        raise InputError(
            f"'{words}' is no action",
            place,
            "write 'hold DRUG', 'stop DRUG', 'stop treatment', 'reduce DRUG by 50 %', 'lower "
            "DRUG', 'raise DRUG', 'start REGIMEN' or 'change DRUG to REGIMEN'",
        )

    def _levels(self, given: Sequence[str], path: Path) -> tuple[float, ...]:
        """Doses relative to the first."""
        amounts, units = [], set()
        for words in given:
            match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(\S+(?:\s*/\s*\S+)?)\s*", words)
            unit = match[2].replace(" ", "") if match else ""
            if match is None or float(match[1]) <= 0 or unit.partition("/")[0] not in AMOUNTS:
                raise InputError(
                    f"level '{words}' is no dose", self.place(path), "for example [25 mg, 20 mg]"
                )
            amounts.append(float(match[1]))
            units.add(unit)
        if len(units) > 1 or sorted(amounts, reverse=True) != amounts:
            raise InputError(
                "levels are doses in one unit, the highest first",
                self.place(path),
                "for example [25 mg, 20 mg, 15 mg]",
            )
        return tuple(amount / amounts[0] for amount in amounts)

    def analysis(
        self,
        part: AnalysisPart,
        index: int,
        endpoints: Sequence[str],
        visits: Sequence[float],
        crossover: Crossover | None = None,
    ) -> Analysis:
        """One of the analyses."""
        path: Path = ("analyses", index)
        arms = self.arms
        if crossover is not None:
            arms = tuple(dict.fromkeys(t for own in crossover.sequences.values() for t in own))
        day = visits[-1]
        if part.at is not None:
            words = part.at
            if isinstance(words, str):
                words = re.sub(r"^\s*(week|day|month)\s+(\S+)\s*$", r"\2 \1s", words)
            day = self.days(words, (*path, "at"), "at", "week 24")
            near = [visit for visit in visits if abs(visit - day) < 1e-6]
            if not near:
                raise InputError(
                    f"there is no visit on day {day:g}", self.place((*path, "at")), "add a visit"
                )
            day = near[0]
        arm = self.named(part.arm, arms, (*path, "arm"), "arm")
        versus = self.named(part.versus, arms, (*path, "versus"), "arm")
        if arm == versus:
            raise InputError("an arm is compared with itself", self.place(path), "name another")
        known = [*endpoints, *(name for name in self.names.side_effects)]
        return Analysis(
            self.named(part.endpoint, known, (*path, "endpoint"), "endpoint of the study"),
            arm,
            versus,
            day,
            part.measure,
        )

    def endpoint(
        self, part: EndpointPart, index: int, known: Mapping[str, EndpointSpec]
    ) -> EndpointSpec:
        """An endpoint that the study declares."""
        path: Path = ("endpoints", index)
        if part.events and (part.of or part.component):
            raise InputError(
                f"endpoint '{part.name}' reads events and something else",
                self.place(path),
                "write events alone, or of, or component",
            )
        if not part.events and (part.of is None) == (part.component is None):
            raise InputError(
                f"endpoint '{part.name}' reads neither or both of 'of' and 'component'",
                self.place(path),
                "write of: ACR20, or component: crp",
            )
        of, unit, inputs = None, "1", {}
        drawn, seen = [], []
        for i, event in enumerate(part.events):
            names = [*self.names.events, *known]
            name = self.named(event, names, (*path, "events", i), "event or endpoint")
            if name in self.names.events:
                drawn.append(name)
            else:
                seen.append(known[name])
        if part.of is not None:
            of = known[self.named(part.of, list(known), (*path, "of"), "endpoint")]
            unit = of.unit
        elif part.component is not None:
            where = (*path, "component")
            name = self.named(part.component, list(self.names.components), where, "component")
            inputs, unit = {"value": name}, self.names.components[name]
        kind = self.named(part.kind, list(KINDS), (*path, "kind"), "kind of endpoint")
        try:
            return EndpointSpec(
                part.name,
                kind,
                inputs,
                level=part.level,
                unit=unit_of(kind, unit),
                of=of,
                is_inclusive=part.inclusive,
                is_confirmed=part.confirmed,
                events=tuple(drawn),
                seen=tuple(seen),
                confirm_day=7.0 * (part.confirm_weeks or 0.0),
            )
        except InputError as error:
            raise InputError(error.message, self.place(path), error.remedy) from None

    def interim(self, part: InterimPart | None, n_replicates: int) -> Interim | None:
        """Key ``interim``."""
        if part is None:
            return None
        place = self.place(("interim",))
        looks = tuple(part.looks)
        if sorted(set(looks)) != list(looks) or looks[-1] != 1:
            raise InputError("looks rise to 1", place, "for example looks: [0.5, 1]")
        if n_replicates < 2:
            raise InputError(
                "what looks do shows over whole trials, and there is only one",
                place,
                "add design.replicates, for example 200",
            )
        boundary = self.named(
            part.boundary, [str(own) for own in Boundary], ("interim", "boundary"), "boundary"
        )
        return Interim(looks, boundary, part.alpha, part.futility, part.better == "lower")

    def dose_response(
        self, part: DoseResponsePart | None, endpoints: Sequence[str]
    ) -> DoseResponse | None:
        """Key ``dose_response``."""
        if part is None:
            return None
        path: Path = ("dose_response",)
        doses = {
            self.named(name, self.arms, (*path, "doses", name), "arm"): dose
            for name, dose in part.doses.items()
        }
        if 0.0 not in doses.values() or len(set(doses.values())) < 3:
            raise InputError(
                "a dose response needs dose 0 and two others",
                self.place((*path, "doses")),
                "for example doses: {placebo: 0, low: 4, high: 8}",
            )
        endpoint = self.named(part.endpoint, endpoints, (*path, "endpoint"), "endpoint")
        return DoseResponse(endpoint, doses, part.target)


def _one_after_another(
    treatments: Sequence[tuple[Regimen, ...]], starts: Sequence[float], period: float
) -> tuple[Regimen, ...]:
    """Regimens of the treatments, each within its period; one regimen for each drug."""
    found: dict[str, Regimen] = {}
    for regimens, start in zip(treatments, starts, strict=True):
        for regimen in regimens:
            own = regimen.within(start, start + period)
            before = found.get(own.drug.name)
            found[own.drug.name] = own if before is None else before.followed_by(own)
    return tuple(found.values())

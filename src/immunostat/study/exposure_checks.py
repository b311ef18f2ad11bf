"""Published exposures beside predicted ones: a number for every check of a drug's card."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunostat.base.errors import ImmunostatError, InputError, UnitError
from immunostat.base.units import DAYS, convert
from immunostat.catalog.drug_cards import ExposureCheckCard
from immunostat.catalog.lookup import Catalog
from immunostat.model.system import FloatArray
from immunostat.outcomes import noncompartmental as nca
from immunostat.study.exposure import POPULATION, Exposure, expose, metrics
from immunostat.study.kinetic_people import kinetics_of, lowest_share, single_dose
from immunostat.therapy.drug import Drug
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.regimen import Regimen

#: The geometric mean of a drug's ratios should lie in the first range, and must in the second.
GOOD, ACCEPTABLE = (0.8, 1.25), (0.5, 2.0)

#: How a printed statistic is computed from patients.
STATISTICS: dict[str, Callable[[FloatArray], float]] = {
    "mean": lambda values: float(np.nanmean(values)),
    "median": lambda values: float(np.nanmedian(values)),
    "geometric mean": lambda values: float(np.exp(np.nanmean(np.log(values[values > 0])))),
}
#: Printed ranges whose middle the card holds.
_MIDDLES = {
    "range": "median",
    "range of means": "mean",
    "range of medians": "median",
    "range of geometric means": "geometric mean",
}

_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6}
_QUANTITY = re.compile(
    r"(?P<name>trough|maximum|minimum|mean concentration|area under the curve|half-life|"
    r"accumulation ratio|time of maximum|(?:apparent )?clearance)"
    r"(?: at (?P<at>week|day) (?P<number>\d+)| at steady state| to infinity"
    r"| over (?P<span>[\d.]+) (?P<unit>\w+)| of the (?P<of>maximum|area under the curve))?"
)
_DOSE = re.compile(
    r"(?:after (?:the )?)?(?:(?P<number>\d+)(?:st|nd|rd|th)|(?P<word>" + "|".join(_ORDINALS) + r"))"
    r" (?:dose|infusion|injection)"
)
_AGAINST = re.compile(r"(\d+)(?:st|nd|rd|th) over (\d+)(?:st|nd|rd|th) dose")


class NotComparable(Exception):
    """A check that cannot be computed; the message says why."""


@dataclass(frozen=True)
class _Wanted:
    """What a check asks for: the quantity, and when."""

    name: str
    is_single: bool
    at_day: float | None = None
    window_day: float = 0.0
    dose_number: int | None = None
    against_number: int | None = None
    of: str = ""
    is_course: bool = False


def wanted(check: ExposureCheckCard) -> _Wanted:
    """What a check asks for.

    Raises
    ------
    NotComparable
        Its words ask for something that is not computed.
    """
    if not check.comparable:
        raise NotComparable(check.note or "the card says that it is not comparable")
    if check.statistic not in STATISTICS and check.statistic not in _MIDDLES:
        raise NotComparable(f"no such statistic is computed: {check.statistic}")
    found = _QUANTITY.fullmatch(check.quantity.strip())
    if not found:
        raise NotComparable(f"no such quantity is computed: {check.quantity}")
    condition = check.condition.strip().lower()
    name = found["name"].removeprefix("apparent ")
    dose, pair = _DOSE.fullmatch(condition), _AGAINST.fullmatch(condition)
    number = against = None
    if pair and name == "accumulation ratio":
        number, against = int(pair[1]), int(pair[2])
    elif dose:
        number = int(dose["number"]) if dose["number"] else _ORDINALS[dose["word"]]
    elif condition.startswith("cycle 1"):
        number = 1
    elif condition and not condition.startswith(("single", "steady state")):
        raise NotComparable(f"no such condition is computed: {check.condition}")
    at_day = None
    if found["at"]:
        at_day = float(found["number"]) * DAYS[found["at"]]
    window = 0.0
    if found["span"]:
        if found["unit"] not in DAYS:
            raise NotComparable(f"'{found['unit']}' is no unit of time")
        window = float(found["span"]) * DAYS[found["unit"]]
    is_single = condition.startswith("single dose")
    is_course = condition.startswith("single course") or "to infinity" in check.quantity
    of = found["of"] or ""
    return _Wanted(name, is_single, at_day, window, number, against, of, is_course)


class Predictions:
    """Exposures of one drug, each simulated once."""

    def __init__(self, catalog: Catalog, drug: Drug, n_patients: int, seed: int) -> None:
        self.catalog, self.drug = catalog, drug
        self.n_patients, self.seed = n_patients, seed
        self._kept: dict[tuple[object, ...], Exposure] = {}

    def exposure(self, check: ExposureCheckCard, asked: _Wanted) -> Exposure:
        """The simulation that a check is read from."""
        line = f"{self.drug.name} {check.regimen}"
        regimen = parse_regimen(line, lambda _: self.drug)
        if asked.is_single:
            regimen = single_dose(regimen)
        weeks = None if asked.at_day is None else asked.at_day / 7.0
        against = None
        if asked.dose_number is not None:
            weeks = (_dose_day(regimen, asked.dose_number) + 1e-3) / 7.0
        if asked.against_number is not None:
            against = _dose_day(regimen, asked.against_number)
        population = check.population or POPULATION
        key = (regimen.words(), weeks, asked.window_day, against, population)
        if key not in self._kept:
            self._kept[key] = expose(
                self.catalog,
                regimen,
                weeks=weeks,
                window=asked.window_day,
                against=against,
                n_patients=self.n_patients,
                seed=self.seed,
                population=population,
            )
        return self._kept[key]

    def values(self, check: ExposureCheckCard) -> FloatArray:
        """The quantity of a check in every patient, in the unit of the check. Shape (patient,)."""
        asked = wanted(check)
        exposure = self.exposure(check, asked)
        if asked.against_number is not None:
            against = _dose_day(exposure.regimen, asked.against_number)
            return _accumulated(exposure, asked.of, against)
        return _in_unit(_read(exposure, asked), asked.name, check.unit, exposure)


def _dose_day(regimen: Regimen, number: int) -> float:
    """When a dose is given, counted from 1, day."""
    times = sorted({dose.time_day for dose in regimen.doses(3652.5)})
    if len(times) < number:
        raise NotComparable(f"the regimen has no dose number {number}")
    return times[number - 1]


def _accumulated(exposure: Exposure, of: str, against: float) -> FloatArray:
    """Area (or maximum) after the dose at the end over that after the dose at a time, day."""
    course = exposure.course
    late, early = (
        exposure.between(begin, begin + course.interval) for begin in (course.last, against)
    )
    if of == "maximum":
        return nca.peak(*late)[0] / nca.peak(*early)[0]
    return nca.area(*late) / nca.area(*early)


def _read(exposure: Exposure, asked: _Wanted) -> FloatArray:
    """The quantity in every patient, inside units."""
    course, found = exposure.course, metrics(exposure)
    if asked.at_day is not None:
        if asked.name != "trough":
            raise NotComparable(f"{asked.name} at a day is not computed")
        return np.array([np.interp(asked.at_day, course.times, c) for c in exposure.concentration])
    if asked.name == "area under the curve":
        if asked.window_day:
            begin = float(course.doses[0]) if course.is_single else course.last
            return nca.area(*exposure.between(begin, begin + asked.window_day))
        if asked.is_course:
            share = lowest_share(exposure.drug)
            return nca.area_to_infinity(course.times, exposure.concentration, share)
        return found["area to infinity"] if course.is_single else found["area"]
    name = asked.name
    if name == "accumulation ratio" and asked.of == "maximum" and not course.is_single:
        return found["maximum"] / found["first maximum"]
    if name not in found:
        raise NotComparable(f"{name} has no meaning after {len(course.doses)} dose(s)")
    return found[name]


def _in_unit(values: FloatArray, name: str, unit: str, exposure: Exposure) -> FloatArray:
    """Inside values in the unit of the check."""
    inside = {
        "area under the curve": "nmol*day/L",
        "half-life": "day",
        "time of maximum": "day",
        "accumulation ratio": "1",
        "clearance": "L/day",
    }.get(name, "nmol/L")
    if name == "clearance" and unit.replace(" ", "").endswith("/kg"):
        values, inside = values / exposure.covariates["weight"].to_numpy(), "L/day/kg"
    molar_mass = kinetics_of(exposure.drug).molar_mass
    return values / convert(1.0, unit, inside, molar_mass=molar_mass, what=name)


def compared(
    catalog: Catalog,
    drugs: Sequence[str],
    n_patients: int = 500,
    seed: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """Every exposure check of drugs, predicted and published.

    Parameters
    ----------
    drugs
        Names; drugs without kinetics are left out.
    n_patients, seed
        People simulated for each regimen.
    progress
        Told of finished drugs.

    Returns
    -------
    One row per check: drug, class, regimen, quantity, condition, statistic, published, predicted,
    ratio, unit, independent, checked, source, note, and why not where it is not compared.
    """
    rows = []
    for i, name in enumerate(drugs):
        card = catalog.drug_card(name)
        if card.pk is None:
            continue
        predictions = Predictions(catalog, catalog.drug(name), n_patients, seed)
        for check in card.exposure_checks:
            predicted, why_not = np.nan, ""
            try:
                values = predictions.values(check)
                statistic = _MIDDLES.get(check.statistic, check.statistic)
                predicted = STATISTICS[statistic](values)
            except NotComparable as reason:
                why_not = str(reason)
            except (InputError, UnitError, ImmunostatError) as error:
                why_not = str(error)
            if not why_not and not (np.isfinite(predicted) and check.value > 0):
                why_not, predicted = "the quantity is zero or cannot be read", np.nan
            rows.append(
                {
                    "drug": card.name,
                    "class": card.drug_class,
                    "regimen": check.regimen,
                    "quantity": check.quantity,
                    "condition": check.condition,
                    "statistic": check.statistic,
                    "published": check.value,
                    "predicted": predicted,
                    "ratio": predicted / check.value if not why_not else np.nan,
                    "unit": check.unit,
                    "independent": check.independent,
                    "checked": check.checked,
                    "source": check.source or "",
                    "note": check.note,
                    "why_not": why_not,
                }
            )
        if progress:
            progress(i + 1, len(drugs), name)
    return pd.DataFrame(rows, columns=list(rows[0]) if rows else COLUMNS)


COLUMNS = [
    *("drug", "class", "regimen", "quantity", "condition", "statistic", "published", "predicted"),
    *("ratio", "unit", "independent", "checked", "source", "note", "why_not"),
]


def by_drug(table: pd.DataFrame) -> pd.DataFrame:
    """Geometric mean of the ratios of each drug: drug, checks, ratio, lowest, highest, verdict.

    The time of the maximum is no amount of exposure and is left out here.
    """
    rows = []
    done = table[(table["why_not"] == "") & (table["quantity"] != "time of maximum")]
    for name, own in done.groupby("drug", sort=True):
        ratio = float(np.exp(np.log(own["ratio"].to_numpy(np.float64)).mean()))
        rows.append(
            {
                "drug": name,
                "checks": len(own),
                "independent": int(own["independent"].eq(True).sum()),
                "ratio": ratio,
                "lowest": float(own["ratio"].min()),
                "highest": float(own["ratio"].max()),
                "verdict": verdict(ratio),
            }
        )
    columns = ["drug", "checks", "independent", "ratio", "lowest", "highest", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def verdict(ratio: float) -> str:
    """Where a ratio lies: ``good``, ``acceptable`` or ``outside``."""
    if GOOD[0] <= ratio <= GOOD[1]:
        return "good"
    return "acceptable" if ACCEPTABLE[0] <= ratio <= ACCEPTABLE[1] else "outside"


def summary(drugs: pd.DataFrame) -> dict[str, float]:
    """Number of drugs that are compared, and the shares of them that are good and acceptable."""
    n = len(drugs)
    verdicts = drugs["verdict"].tolist()
    good = verdicts.count("good")
    return {
        "drugs": n,
        "good": good,
        "share_good": good / n if n else 0.0,
        "outside": verdicts.count("outside"),
    }


def outside(table: pd.DataFrame, drugs: pd.DataFrame) -> list[tuple[str, str]]:
    """Drugs whose ratio is not good: name, and the notes of their worst checks as the reason."""
    found = []
    for row in drugs[drugs["verdict"] != "good"].itertuples(index=False):
        own = table[(table["drug"] == row.drug) & (table["why_not"] == "")]
        off = own[np.abs(np.log(own["ratio"])) > np.log(GOOD[1])]
        notes = list(dict.fromkeys(note for note in off["note"] if note))
        reason = "; ".join(notes) or "the card gives no reason"
        found.append((str(row.drug), f"{row.ratio:.2f}; {reason}"))
    return found

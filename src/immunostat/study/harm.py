"""Side effects of a study: from a card and the courses of patients to the events that are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from immunostat.base.errors import InputError
from immunostat.base.units import convert
from immunostat.catalog.cards import MeasureCard
from immunostat.catalog.side_effect_cards import DriverCard, SideEffectCard
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes import signals as of_drugs
from immunostat.outcomes.dose_events import (
    DoseRisk,
    dose_events,
    with_dose_events,
    without_overlap,
)
from immunostat.outcomes.drivers import (
    BackgroundTable,
    CovariateDriver,
    DriverForm,
    SignalDriver,
    StateDriver,
    late,
)
from immunostat.outcomes.events import Events, draw_events, expected_until
from immunostat.outcomes.hazards import Hazard, HazardParts, hazard_parts
from immunostat.outcomes.severity import Graded, Severity, grade_events
from immunostat.outcomes.signals import DoseCourse
from immunostat.therapy.drug import Drug

#: Unit in which hazards are given.
RATE = "1/(100 year)"

#: Time over which a concentration is averaged if the card does not say, day.
WINDOW_DAY = 28.0


@dataclass(frozen=True)
class DrugDriver:
    """A driver by a drug, a class or a target, and the drugs of the study that it means."""

    name: str
    card: DriverCard
    drugs: tuple[Drug, ...]


@dataclass(frozen=True)
class Harm:
    """A side effect in one study: its card, with what the study knows of it.

    Parameters
    ----------
    hazard
        Of an event or symptom; None for a graded count.
    signals
        Drivers by drugs, in the order of `hazard.signals`.
    dose_drivers
        Drivers by single doses.
    severity
        How bad events are.
    output
        Component or output of the model that is graded; empty for events.
    unknown
        Covariates and states that the study does not have: these drivers take their reference.
    """

    card: SideEffectCard
    hazard: Hazard | None = None
    signals: tuple[DrugDriver, ...] = ()
    dose_drivers: tuple[DrugDriver, ...] = ()
    severity: Severity = field(default_factory=Severity)
    output: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the card."""
        return self.card.name

    @property
    def is_drawn(self) -> bool:
        """Whether it happens at a hazard."""
        return self.hazard is not None

    @property
    def states(self) -> tuple[str, ...]:
        """Outputs of the joined model that it reads."""
        found = [driver.state for driver in self.hazard.states] if self.hazard else []
        for driver in self.signals:
            if driver.card.by == "concentration":
                found += [_concentration(drug) for drug in driver.drugs if drug.pk is not None]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Surroundings:
    """What a study has: what drivers may read.

    Parameters
    ----------
    situation
        Its name.
    covariates
        Names of the covariates of the population.
    outputs
        Names in the joined model.
    components
        Names of what visits record.
    drugs
        Drugs of any arm and of the background.
    in_start
        Names of drugs that are in use before the study and throughout.
    """

    situation: str
    covariates: frozenset[str]
    outputs: frozenset[str]
    components: frozenset[str]
    drugs: tuple[Drug, ...]
    in_start: frozenset[str] = frozenset()


def harm_of(card: SideEffectCard, around: Surroundings) -> Harm:
    """A side effect as a study sees it.

    Raises
    ------
    InputError
        The output that the card grades is not in the model.
    """
    if not card.is_drawn:
        return Harm(card, output=_graded_output(card, around))
    covariates: list[CovariateDriver] = []
    states: list[StateDriver] = []
    signals, doses, unknown = list[DrugDriver](), list[DrugDriver](), list[str]()
    background, unit = _background(card)
    for i, driver in enumerate(card.drivers):
        if driver.covariate is not None:
            found = _covariate(card, driver)
            if driver.covariate not in around.covariates:
                unknown.append(driver.covariate)
                if found.share is None:
                    continue
            covariates.append(found)
        elif driver.state is not None:
            if driver.state in around.outputs:
                states.append(_state(card, driver, unit))
            else:
                unknown.append(driver.state)
        elif driver.situation is not None:
            if driver.situation == around.situation:
                background *= driver.effect
        else:
            drugs = tuple(
                drug
                for drug in around.drugs
                if is_meant(driver, drug)
                and not (_reads_doses(driver) and drug.name in around.in_start)
            )
            if drugs:
                own = DrugDriver(f"{card.name}.{i}", driver, drugs)
                (doses if driver.by == "doses" else signals).append(own)
    hazard = Hazard(
        card.name,
        background,
        tuple(covariates),
        tuple(states),
        tuple(_signal(own, unit) for own in signals),
        _table(card),
    )
    return Harm(
        card, hazard, tuple(signals), tuple(doses), severity_of(card), unknown=tuple(unknown)
    )


def is_meant(driver: DriverCard, drug: Drug) -> bool:
    """Whether a driver means a drug: by its name, its class or a target that it acts on."""
    return (
        driver.drug == drug.name
        or driver.drug_class == drug.drug_class
        or driver.target in drug.targets
    )


def _reads_doses(driver: DriverCard) -> bool:
    """Whether a driver needs to know each dose, which a drug taken since before the study hides."""
    return driver.route is not None or driver.by in ("dose", "doses", "total dose", "concentration")


def is_relevant(harm: Harm, around: Surroundings) -> bool:
    """Whether anything in a study moves a side effect, or is graded: else nobody needs it."""
    if harm.hazard is None:
        return bool(harm.output)
    given = {drug.name for own in (*harm.signals, *harm.dose_drivers) for drug in own.drugs}
    return bool(given - around.in_start or harm.hazard.states)


def severity_of(card: SideEffectCard) -> Severity:
    """Severity of the events of a card."""
    return Severity(
        dict(card.severity.shares) if card.severity else {},
        card.serious.value if card.serious else None,
        card.stops.value if card.stops else None,
        convert(card.duration.value, card.duration.unit, "day") if card.duration else 0.0,
    )


@dataclass(frozen=True)
class Drawn:
    """Events of one side effect in one arm, their severity, and where their number comes from.

    Parameters
    ----------
    by_background, by_mechanism
        Expected number of events of each patient by background and covariates alone, and with the
        mechanisms of the model too. Shape (patient,).
    chance
        Probability of at least one event. Shape (patient,).
    """

    events: Events
    graded: Graded
    by_background: FloatArray
    by_mechanism: FloatArray
    chance: FloatArray


def events_of(
    harm: Harm,
    numbers: IntArray,
    covariates: Mapping[str, FloatArray],
    treated: Mapping[str, FloatArray],
    untreated: Mapping[str, FloatArray],
    doses: Mapping[str, DoseCourse],
    times: FloatArray,
    seed: int,
    end_day: FloatArray | None = None,
) -> Drawn:
    """Events of one side effect in one arm.

    Parameters
    ----------
    numbers, covariates
        Of the patients.
    treated, untreated
        Outputs by name, under the arm and in the same patients without treatment. Each (patient,
        time).
    doses
        Doses of the arm by drug; a drug that it does not give may be missing.
    times
        Shape (time,), day.
    end_day
        Day on which each patient leaves; None follows everybody to the end. Shape (patient,).
    """
    parts = _parts(harm, len(numbers), covariates, treated, untreated, doses, times)
    drawn = draw_events(harm.name, parts.rate, times, seed, numbers, end_day)
    last = drawn.start + drawn.follow_up
    more, own = [], np.zeros(len(numbers))
    hazard = drawn.expected
    for driver in harm.dose_drivers:
        for course in _courses(driver, doses):
            risk = _dose_risk(driver.card)
            found = dose_events(harm.name, course, risk, parts.factor, times, seed, numbers, last)
            more.append(found)
            hazard = hazard + found.hazard
            if driver.card.target is not None:
                own = own + found.expected
    if more:
        drawn = with_dose_events(drawn, more)
    graded = grade_events(drawn, harm.severity, seed)
    if harm.card.kind == "symptom":
        drawn, kept = without_overlap(drawn, graded.end_day)
        graded = Graded(
            graded.grade[kept], graded.is_serious[kept], graded.stops[kept], graded.end_day[kept]
        )
    by_background = expected_until(parts.background, times, drawn.follow_up)
    by_mechanism = expected_until(parts.mechanism, times, drawn.follow_up) + own
    return Drawn(drawn, graded, by_background, by_mechanism, -np.expm1(-hazard))


def _parts(
    harm: Harm,
    n: int,
    covariates: Mapping[str, FloatArray],
    treated: Mapping[str, FloatArray],
    untreated: Mapping[str, FloatArray],
    doses: Mapping[str, DoseCourse],
    times: FloatArray,
) -> HazardParts:
    """Hazard of a side effect in one arm."""
    assert harm.hazard is not None
    found = {driver.name: _of_drugs(driver, treated, doses, times) for driver in harm.signals}
    return hazard_parts(harm.hazard, covariates, treated, untreated, (n, len(times)), found, times)


def _courses(driver: DrugDriver, doses: Mapping[str, DoseCourse]) -> list[DoseCourse]:
    """Doses of the drugs of a driver that the arm gives, by the route that it names."""
    found = [doses[drug.name] for drug in driver.drugs if drug.name in doses]
    if driver.card.route is not None:
        found = [course.by_route(driver.card.route) for course in found]
    return found


def _of_drugs(
    driver: DrugDriver,
    treated: Mapping[str, FloatArray],
    doses: Mapping[str, DoseCourse],
    times: FloatArray,
) -> FloatArray:
    """Signal of a driver by drugs: the largest of any in use, or the sum of amounts."""
    card, total = driver.card, np.zeros((1, len(times)))
    lasting = _days(card.lasting) if card.lasting else None
    for course in _courses(driver, doses):
        use = of_drugs.in_use(course, times, lasting)
        if card.by == "use":
            if card.tolerance is not None:
                half_life = _days(card.tolerance.half_life)
                use = of_drugs.tolerated(use, times, half_life, card.tolerance.left)
            total = np.maximum(total, use)
        elif card.by == "time":
            total = np.maximum(total, of_drugs.time_in_use(use, times))
        elif card.by == "dose":
            total = total + of_drugs.dose_rate(course, times)
        elif card.by == "total dose":
            total = total + of_drugs.total_dose(course, times)
    if card.by == "concentration":
        window = _days(card.window) if card.window else WINDOW_DAY
        for drug in driver.drugs:
            if drug.name in doses and drug.pk is not None and _concentration(drug) in treated:
                in_nmol = treated[_concentration(drug)]
                mean = of_drugs.running_mean(in_nmol, times, window)
                total = total + np.maximum(mean, 0.0) * drug.pk.molar_mass * 1e-6
    lag = _days(card.lag) if card.lag else 0.0
    delay = _days(card.delay) if card.delay else 0.0
    return late(total, times, lag, delay) if lag or delay else total


def _concentration(drug: Drug) -> str:
    assert drug.pk is not None
    return f"{drug.prefix}_{drug.pk.concentration}"


def _days(measure: MeasureCard) -> float:
    return convert(measure.value, measure.unit, "day")


#: Unit in which each signal of a drug is.
_SIGNAL_UNIT = {"dose": "mg/day", "concentration": "ug/mL", "total dose": "mg", "time": "year"}


def _amount(card: DriverCard, measure: MeasureCard | None) -> float:
    """`per` or `half` of a driver in the unit of its signal; 1 if it has none."""
    if measure is None:
        return 1.0
    unit = _SIGNAL_UNIT.get(card.by)
    return convert(measure.value, measure.unit, unit) if unit else measure.value


def _signal(own: DrugDriver, unit: str) -> SignalDriver:
    card, form = own.card, DriverForm(own.card.form)
    effect = convert(card.effect, unit, RATE) if form is DriverForm.ADDED else card.effect
    return SignalDriver(
        own.name,
        form,
        effect,
        _amount(card, card.per),
        _amount(card, card.half),
        card.hill,
        tuple(sorted(card.points.items())),
        is_own=card.target is None,
    )


def _covariate(card: SideEffectCard, driver: DriverCard) -> CovariateDriver:
    assert driver.covariate is not None
    return CovariateDriver(
        driver.covariate,
        DriverForm(driver.form),
        driver.effect,
        float(card.reference.get(driver.covariate, 0.0)),
        driver.per.value if driver.per else 1.0,
        tuple(sorted(driver.points.items())),
        driver.prevalence.value if driver.prevalence else None,
        driver.background_share.value if driver.background_share else 0.0,
    )


def _state(card: SideEffectCard, driver: DriverCard, unit: str) -> StateDriver:
    assert driver.state is not None
    reference = card.reference.get(driver.state)
    if driver.reference is not None:
        reference = driver.reference.value
    form = DriverForm(driver.form)
    return StateDriver(
        driver.state,
        form,
        convert(driver.effect, unit, RATE) if form is DriverForm.ADDED else driver.effect,
        driver.per.value if driver.per else 1.0,
        reference,
        driver.half.value if driver.half else 1.0,
        driver.hill,
        tuple(sorted(driver.points.items())),
        _days(driver.lag) if driver.lag else 0.0,
        _days(driver.delay) if driver.delay else 0.0,
    )


def _background(card: SideEffectCard) -> tuple[float, str]:
    """Background in events per 100 patient-years, or factor of the table; and the unit of rates."""
    if card.background_by_age is not None:
        factor = card.background.value if card.background else 1.0
        return factor, card.background_by_age.unit
    assert card.background is not None
    unit = card.background.unit
    return convert(card.background.value, unit, RATE), unit


def _table(card: SideEffectCard) -> BackgroundTable | None:
    by_age = card.background_by_age
    if by_age is None:
        return None
    men, women = (
        tuple(convert(rate, by_age.unit, RATE) for rate in rates.values())
        for rates in (by_age.men, by_age.women)
    )
    return BackgroundTable(
        tuple(by_age.men),
        men,
        women,
        float(card.reference.get("age", 50.0)),
        float(card.reference.get("female", 0.5)),
    )


def _dose_risk(card: DriverCard) -> DoseRisk:
    assert card.within is not None
    return DoseRisk(card.chances, _days(card.within), _days(card.courses) if card.courses else None)


def _graded_output(card: SideEffectCard, around: Surroundings) -> str:
    """What is graded: a component that visits record, or an output of the model."""
    if card.output is None:
        return ""
    if card.output in around.components:
        return card.output
    for name in (card.output, f"core_{card.output}"):
        if name in around.outputs:
            return name
    raise InputError(
        f"side effect '{card.name}' grades '{card.output}', which situation "
        f"'{around.situation}' does not have",
        remedy="name the side effects of the study under 'side_effects'",
    )


def harms_of(
    cards: Sequence[SideEffectCard], around: Surroundings, named: Iterable[str]
) -> tuple[Harm, ...]:
    """The side effects of a study, without those that nothing in it moves unless it names them.

    Raises
    ------
    InputError
        A side effect that the study names grades an output that the model does not have.
    """
    found, wanted = [], set(named)
    for card in cards:
        try:
            harm = harm_of(card, around)
        except InputError:
            if card.name in wanted:
                raise
            continue
        if card.kind != "warning" and (card.name in wanted or is_relevant(harm, around)):
            found.append(harm)
    return tuple(found)


def warnings_of(
    cards: Sequence[SideEffectCard], drugs: Sequence[Drug]
) -> tuple[tuple[str, str, str], ...]:
    """What is known of the drugs of a study without a rate: drug, side effect, and the text."""
    return tuple(
        (drug.name, card.name, warning.text)
        for card in cards
        for drug in drugs
        for warning in card.warnings
        if warning.drug == drug.name or warning.drug_class == drug.drug_class
    )


def graded_values(harm: Harm, values: FloatArray) -> FloatArray:
    """What limits are compared with: the value, or its multiple of the first visit's.

    Parameters
    ----------
    values
        Shape (patient, visit).
    """
    if harm.card.relative_to == "baseline":
        return np.asarray(values / values[:, :1])
    return values

"""Endpoints: from what was observed at visits to one value per patient and visit.

A kind of endpoint is one function, registered in `KINDS`; a new kind is one function and one line.
A missing value is NaN. Binary endpoints count a patient with a missing value, or whose integration
failed, as a non-responder; continuous and graded ones use the observed cases; a time to event is
censored at the last visit. All say so in `summary.SummaryRow.method` and count the missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from immunostat.base.errors import (
    InputError,
    RangeError,
    ShapeError,
    UnitError,
    UnknownNameError,
    near_matches,
)
from immunostat.model.system import FloatArray
from immunostat.outcomes import event_times, myeloma, scores, visit_courses
from immunostat.outcomes.event_times import DiseaseCourse, EventTimes, Hazards

#: Names of the statistics by which an endpoint can be summarized (`summary` makes them).
STATISTICS = (
    *("proportion", "mean", "median", "geometric_mean", "incidence"),
    *("event-free", "rate", "median time", "mean time"),
)

#: Two times of visits are the same within this, day (rounding of weeks to days).
_SAME_DAY = 1e-6


@dataclass(frozen=True)
class Observations:
    """What was observed in one arm.

    Parameters
    ----------
    times
        Times of the visits, ascending, day. Shape (visit,).
    components
        Observed values by name, NaN where missing. Each of shape (patient, visit).
    units
        Unit of each component; a score checks and converts where one is given.
    course
        Events of the disease, where the situation has any.
    hazards
        What the events were drawn from, where expected ones are wanted beside them
        (`expected_events.expected_of`).
    """

    times: FloatArray
    components: Mapping[str, FloatArray]
    units: Mapping[str, str] = field(default_factory=dict)
    course: DiseaseCourse | None = None
    hazards: Hazards | None = None

    def __post_init__(self) -> None:
        shapes = {name: np.shape(values) for name, values in self.components.items()}
        first = next(iter(shapes.values()), None)
        for name, shape in shapes.items():
            if len(shape) != 2 or shape[1] != len(self.times) or shape != first:
                raise ShapeError(
                    f"component '{name}' has shape {shape}; expected (patient, visit) = "
                    f"({first[0] if first else '?'}, {len(self.times)})"
                )

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        if not self.components and self.course is not None:
            return len(self.course.end_day)
        return len(next(iter(self.components.values()))) if self.components else 0

    def __getitem__(self, name: str) -> FloatArray:
        """Values of a component. Shape (patient, visit)."""
        if name not in self.components:
            raise UnknownNameError(
                f"no component '{name}' was observed", remedy=near_matches(name, self.components)
            )
        return self.components[name]


@dataclass(frozen=True)
class EndpointSpec:
    """One endpoint of a disease.

    Parameters
    ----------
    name
        Name in tables, for example ``ACR20``.
    kind
        Key of `KINDS`.
    inputs
        Role to name of the component. Without a score the role is ``value``; a score or an ACR
        response has its own roles (`scores.SCORES`, `scores.ACR_JOINTS`, `scores.ACR_OTHERS`).
    score
        Name of a score in `scores.SCORES` from which the endpoint is made; empty for none.
    level
        Threshold, in the unit of the value; percent for an ACR response; grade for a graded count.
    unit
        Unit of the value of the endpoint.
    time_day
        Visit at which to summarize, day; None for every visit.
    statistic
        One of `STATISTICS`; empty takes the kind's own.
    is_inclusive
        Whether ``below`` and ``above`` hold at the level itself.
    grades
        For a graded count: grade to limit (see `scores.ctcae_grade`).
    is_low_bad
        For a graded count: whether low values are graded (counts) or high ones (enzymes).
    baseline_day
        Time of the visit with which later ones are compared, day.
    of
        Another endpoint whose values are read instead of a component: the time to ACR20, the area
        under a change, the share whose best response is partial or better.
    is_confirmed
        Whether an event or a response must be seen at two consecutive visits.
    detection_limit
        For an IMWG response: M-protein below which the response is complete, g/L.
    events
        Events of the disease that count, the first of them.
    seen
        Yes-or-no endpoints that count as events when a visit first finds them.
    steps
        For a confirmed worsening: value at baseline from which a step holds, to the step; empty
        takes `level` for everybody.
    confirm_day
        For a confirmed worsening: how long it must last, day.
    """

    name: str
    kind: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    score: str = ""
    level: float | None = None
    unit: str = "1"
    time_day: float | None = None
    statistic: str = ""
    is_inclusive: bool = False
    grades: Mapping[int, float] = field(default_factory=dict)
    is_low_bad: bool = True
    baseline_day: float = 0.0
    of: EndpointSpec | None = None
    is_confirmed: bool = False
    detection_limit: float = 0.0
    events: tuple[str, ...] = ()
    seen: tuple[EndpointSpec, ...] = ()
    steps: Mapping[float, float] = field(default_factory=dict)
    confirm_day: float = 0.0

    def __post_init__(self) -> None:
        for value, table, what in (
            (self.kind, KINDS, "kind"),
            (self.statistic, STATISTICS, "statistic"),
            (self.score, scores.SCORES, "score"),
        ):
            if (value or what == "kind") and value not in table:
                raise UnknownNameError(
                    f"endpoint '{self.name}': unknown {what} '{value}'",
                    remedy=near_matches(value, table),
                )
        if self.statistic == "incidence" and KINDS[self.kind].statistic != "incidence":
            raise InputError(
                f"endpoint '{self.name}' of kind '{self.kind}' has no incidence",
                remedy="use an endpoint of kind 'time_to_event' of it",
            )
        if KINDS[self.kind].needs_level and self.level is None:
            raise InputError(f"endpoint '{self.name}' of kind '{self.kind}' needs a level")
        if KINDS[self.kind].is_of_events != bool(self.events or self.seen):
            raise InputError(
                f"endpoint '{self.name}' of kind '{self.kind}' "
                + ("names no event" if KINDS[self.kind].is_of_events else "reads no events"),
                remedy="write events: [...] with a kind of "
                + ", ".join(name for name, own in KINDS.items() if own.is_of_events),
            )
        if self.kind == "event_rate" and self.seen:
            raise InputError(
                f"endpoint '{self.name}': a rate counts events that are drawn, and "
                f"'{self.seen[0].name}' is found at visits",
                remedy="use kind event_share or event_time",
            )
        for own in self.seen:
            if not (KINDS[own.kind].is_binary or own.kind in ("time_to_event", _CONFIRMED)):
                raise InputError(
                    f"endpoint '{self.name}': '{own.name}' of kind '{own.kind}' is no yes or no "
                    "at a visit, so it is no event",
                    remedy="name an event, or an endpoint such as one of kind 'below'",
                )
        if self.kind == _CONFIRMED and (self.level is None) == (not self.steps):
            raise InputError(
                f"endpoint '{self.name}' needs one of 'level' and 'steps', the least worsening"
            )


@dataclass(frozen=True)
class Kind:
    """A kind of endpoint.

    Parameters
    ----------
    function
        Specification and observations to values of shape (patient, visit).
    is_binary
        Whether values are 0 or 1 and missing ones count as 0 in a summary.
    statistic
        Statistic where the endpoint names none.
    needs_level
        Whether the endpoint must give a level.
    is_of_events
        Whether it is made of events in time; see `times_of`.
    """

    function: Callable[[EndpointSpec, Observations], FloatArray]
    is_binary: bool
    statistic: str
    needs_level: bool = False
    is_of_events: bool = False


def evaluate(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Value of an endpoint for every patient at every visit.

    Parameters
    ----------
    spec
        The endpoint.
    observations
        What was observed in one arm.

    Returns
    -------
    Values, NaN where missing; 0 or 1 for binary kinds. Shape (patient, visit), unit of the spec.

    Raises
    ------
    InputError, UnknownNameError, UnitError
        A role, component or visit is missing, or a component has a unit that the score cannot use.

    Source
    ------
    "definition"; scores state theirs.
    """
    return KINDS[spec.kind].function(spec, observations)


def is_made_of_events(spec: EndpointSpec) -> bool:
    """Whether an endpoint, or one that it reads, needs the events of the disease.

    Parameters
    ----------
    spec
        The endpoint.

    Returns
    -------
    True for kinds of events and what is read from them.

    Source
    ------
    "definition"
    """
    parts = [*spec.seen, *([spec.of] if spec.of else [])]
    return KINDS[spec.kind].is_of_events or any(map(is_made_of_events, parts))


def times_of(spec: EndpointSpec, observations: Observations) -> EventTimes | None:
    """Days of the first event of each patient, for an endpoint that is made of events.

    Parameters
    ----------
    spec
        The endpoint.
    observations
        What was observed in one arm.

    Returns
    -------
    See `event_times.event_times`; None for other endpoints.

    Raises
    ------
    InputError
        An event was not drawn.

    Source
    ------
    "definition"
    """
    if not KINDS[spec.kind].is_of_events:
        return None
    return event_times.event_times(
        observations.course,
        spec.events,
        [evaluate(own, observations) for own in spec.seen],
        observations.times,
        observations.n_patients,
        spec.baseline_day,
    )


def _value(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """The component, the score made of components, or the values of another endpoint."""
    if spec.of is not None:
        return evaluate(spec.of, observations)
    if not spec.score:
        return np.asarray(observations[_component(spec, "value")], dtype=np.float64)
    score = scores.SCORES[spec.score]
    arguments = {}
    for role, unit in score.units.items():
        name = _component(spec, role)
        arguments[role] = observations[name] * _factor(spec, name, observations, unit)
    return score.function(**arguments)


def _change(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Value minus the value at baseline."""
    values = _value(spec, observations)
    return values - _baseline(spec, values, observations)


def _percent_change(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Change from baseline in percent of it; missing where the baseline is zero."""
    values = _value(spec, observations)
    before = _baseline(spec, values, observations)
    return np.asarray(100.0 * (values - before) / np.where(before == 0, np.nan, before))


def _responder(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """ACR response at the level of the endpoint."""
    present = {
        role: observations[_component(spec, role)]
        for role in (*scores.ACR_JOINTS, *scores.ACR_OTHERS)
    }
    before = {role: _baseline(spec, values, observations) for role, values in present.items()}
    return scores.acr_response(level_of(spec), before, present)


def _improved(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Whether the value fell by at least the level since baseline."""
    fall = -_change(spec, observations)
    return _binary(fall >= level_of(spec), fall)


def _below(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Whether the value lies below the level (or at it, where inclusive)."""
    values, level = _value(spec, observations), level_of(spec)
    return _binary(values <= level if spec.is_inclusive else values < level, values)


def _above(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Whether the value lies above the level (or at it, where inclusive)."""
    values, level = _value(spec, observations), level_of(spec)
    return _binary(values >= level if spec.is_inclusive else values > level, values)


def _remission(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Remission by the score's own limit, or by the level of the endpoint."""
    if spec.score == "boolean_remission":
        return _value(spec, observations)
    if spec.level is not None:
        return _below(spec, observations)
    return _category_up_to(0.0, spec, observations)


def _low_activity(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Remission or low disease activity by the score's own limits."""
    return _category_up_to(1.0, spec, observations)


def _eular(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """EULAR response of at least the level: 1 moderate, 2 good."""
    values = _value(spec, observations)
    grade = scores.eular_response(_baseline(spec, values, observations), values)
    return _binary(grade >= level_of(spec), grade)


def _graded_count(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Grade at each visit."""
    if not spec.grades:
        raise InputError(f"endpoint '{spec.name}' of kind '{spec.kind}' needs grades")
    return scores.ctcae_grade(_value(spec, observations), spec.grades, spec.is_low_bad)


def _worst_grade(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Worst grade since baseline up to each visit, baseline left out; missing before any value."""
    grades = _graded_count(spec, observations).copy()
    grades[:, observations.times <= spec.baseline_day + _SAME_DAY] = np.nan
    return np.asarray(np.fmax.accumulate(grades, axis=1))


def _time_to_event(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Whether the value has been 1 at a visit after baseline, up to each visit."""
    values = _value(spec, observations).copy()
    before = observations.times <= spec.baseline_day + _SAME_DAY
    values[:, before] = np.where(np.isnan(values[:, before]), np.nan, 0.0)
    return visit_courses.has_happened(values, spec.is_confirmed)


def _area(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Area under the value from baseline to each visit."""
    return visit_courses.area(_value(spec, observations), observations.times, spec.baseline_day)


def _average(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Average of the value over the time from baseline to each visit."""
    return visit_courses.average(_value(spec, observations), observations.times, spec.baseline_day)


def _lowest(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Lowest value after baseline, up to each visit."""
    values = _value(spec, observations)
    return visit_courses.extreme(values, observations.times, np.fmin, spec.baseline_day)


def _highest(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Highest value after baseline, up to each visit."""
    values = _value(spec, observations)
    return visit_courses.extreme(values, observations.times, np.fmax, spec.baseline_day)


def _imwg(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Category of response of myeloma at each visit; see `myeloma.Response`."""
    values = _value(spec, observations)
    if spec.of is None:
        name = _component(spec, "value")
        values = values * _factor(spec, name, observations, "g/L")
    baseline = visit_at(spec, spec.baseline_day, observations.times)
    return myeloma.imwg_response(values, baseline, spec.detection_limit, spec.is_confirmed)


def _best_imwg(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Best category of response of myeloma up to each visit."""
    baseline = visit_at(spec, spec.baseline_day, observations.times)
    return myeloma.best_response(_imwg(spec, observations), baseline)


def _event_count(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Number of events so far at each visit."""
    if observations.course is None:
        raise InputError(f"endpoint '{spec.name}': no events were drawn")
    return event_times.counts_at(observations.course, spec.events, observations.times)


def _event_share(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Whether an event has happened by each visit."""
    times = times_of(spec, observations)
    assert times is not None
    return event_times.happened_at(times, observations.times)


def _confirmed_worsening(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Whether the value has risen by a step that lasts, from the onset on."""
    values = _value(spec, observations)
    before = _baseline(spec, values, observations)
    step = np.full(before.shape, np.nan if spec.steps else level_of(spec))
    for least, own in sorted(spec.steps.items()):
        step = np.where(before >= least, own, step)
    return visit_courses.confirmed_rise(
        values - before, step, observations.times, spec.confirm_day, spec.baseline_day
    )


_CONFIRMED = "confirmed_worsening"

#: Kinds of endpoints by name.
KINDS: Mapping[str, Kind] = {
    "value": Kind(_value, False, "mean"),
    "change": Kind(_change, False, "mean"),
    "percent_change": Kind(_percent_change, False, "mean"),
    "responder": Kind(_responder, True, "proportion", needs_level=True),
    "improved": Kind(_improved, True, "proportion", needs_level=True),
    "below": Kind(_below, True, "proportion", needs_level=True),
    "above": Kind(_above, True, "proportion", needs_level=True),
    "remission": Kind(_remission, True, "proportion"),
    "low_activity": Kind(_low_activity, True, "proportion"),
    "eular_response": Kind(_eular, True, "proportion", needs_level=True),
    "graded_count": Kind(_graded_count, False, "proportion", needs_level=True),
    "worst_grade": Kind(_worst_grade, False, "proportion", needs_level=True),
    "time_to_event": Kind(_time_to_event, False, "incidence"),
    "area": Kind(_area, False, "mean"),
    "average": Kind(_average, False, "mean"),
    "lowest": Kind(_lowest, False, "mean"),
    "highest": Kind(_highest, False, "mean"),
    "imwg_response": Kind(_imwg, False, "median"),
    "best_imwg_response": Kind(_best_imwg, False, "median"),
    _CONFIRMED: Kind(_confirmed_worsening, False, "incidence"),
    "event_rate": Kind(_event_count, False, "rate", is_of_events=True),
    "event_share": Kind(_event_share, False, "incidence", is_of_events=True),
    "event_free": Kind(_event_share, False, "event-free", is_of_events=True),
    "event_time": Kind(_event_share, False, "median time", is_of_events=True),
}


def _component(spec: EndpointSpec, role: str) -> str:
    """Name of the component that plays a role."""
    if role not in spec.inputs:
        raise InputError(
            f"endpoint '{spec.name}' has no input for '{role}'",
            remedy=f"inputs given: {', '.join(spec.inputs) or 'none'}",
        )
    return spec.inputs[role]


def _factor(spec: EndpointSpec, name: str, observations: Observations, wanted: str) -> float:
    """Factor from the unit of a component to the one that a score wants; 1 where none is given."""
    given = observations.units.get(name, wanted)
    if given == wanted:
        return 1.0
    if (given, wanted) not in scores.CONVERSIONS:
        raise UnitError(
            f"endpoint '{spec.name}': component '{name}' has unit '{given}'; "
            f"{spec.score or spec.kind} needs '{wanted}'"
        )
    return scores.CONVERSIONS[given, wanted]


def _baseline(spec: EndpointSpec, values: FloatArray, observations: Observations) -> FloatArray:
    """Values at the baseline visit. Shape (patient, 1)."""
    visit = visit_at(spec, spec.baseline_day, observations.times)
    return values[:, visit : visit + 1]


def baseline_values(spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Value that an endpoint reads (not its change), at baseline: what ANCOVA adjusts for.

    Parameters
    ----------
    spec
        The endpoint; one of another endpoint reads that endpoint's own baseline.
    observations
        What was observed in one arm.

    Returns
    -------
    In the unit of the component or score. Shape (patient,).

    Raises
    ------
    RangeError
        There is no visit at baseline.

    Source
    ------
    "definition"
    """
    while spec.of is not None:
        spec = spec.of
    return _baseline(spec, _value(spec, observations), observations)[:, 0]


def visit_at(spec: EndpointSpec, day: float, times: FloatArray) -> int:
    """Index of the visit at a time."""
    found = np.flatnonzero(np.abs(times - day) <= _SAME_DAY)
    if not len(found):
        raise RangeError(f"endpoint '{spec.name}' needs a visit at day {day:g}; there is none")
    return int(found[0])


def level_of(spec: EndpointSpec) -> float:
    """The level, which must be given."""
    if spec.level is None:
        raise InputError(f"endpoint '{spec.name}' of kind '{spec.kind}' needs a level")
    return spec.level


def _category_up_to(most: float, spec: EndpointSpec, observations: Observations) -> FloatArray:
    """Whether the category of activity is at most `most`."""
    if spec.score not in scores.ACTIVITY_LIMITS:
        raise InputError(
            f"endpoint '{spec.name}' of kind '{spec.kind}' needs a level or a score with limits",
            remedy=near_matches(spec.score, scores.ACTIVITY_LIMITS),
        )
    category = scores.activity_category(spec.score, _value(spec, observations))
    return _binary(category <= most, category)


def _binary(is_met: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], of: FloatArray) -> FloatArray:
    """1 where met, 0 where not, NaN where the value is missing."""
    return np.where(np.isnan(of), np.nan, np.asarray(is_met, dtype=np.float64))

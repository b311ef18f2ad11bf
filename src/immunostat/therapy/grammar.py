"""The words of a regimen: ``tocilizumab 8 mg/kg intravenous over 1 hour every 4 weeks``.

::

    regimen  = drug ("label" | phase {"then" phase}) ["maximum" dose]
    phase    = [dose] {route | "over" duration | timing | "for" length | "from" time | "until" time}
    timing   = "once" | "daily" | "twice daily" | "weekly" | "every" duration | "at" times
             | "on days" days "of" number
    length   = duration | number ("cycles" | "doses") | number "of" number "days"

A phase after ``then`` takes what it does not say from the phase before. Times count from the start
of treatment: week 0 is the first dose. Days of a cycle count from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NoReturn

from immunostat.base.errors import Place, UnknownNameError, near_matches
from immunostat.base.units import DAYS, convert
from immunostat.therapy.drug import Drug
from immunostat.therapy.regimen import SAME_TIME_DAY, Amount, Cycle, Phase, Regimen
from immunostat.therapy.tokens import EXAMPLE, KEYWORDS, SHORT_ROUTES, Reader

_PER_DAY = {"daily": 1.0, "weekly": 7.0, "monthly": DAYS["month"]}
_TIMES = {"once": 1, "twice": 2, "thrice": 3, "two": 2, "three": 3, "four": 4}


@dataclass
class _Clauses:
    """What one phase says, before it is placed in time."""

    dose: Amount | None = None
    route: str | None = None
    infusion_day: float | None = None
    interval_day: float | None = None
    at_day: tuple[float, ...] = ()
    once: bool = False
    cycle: Cycle | None = None
    start_day: float | None = None
    stop_day: float | None = None
    length_day: float | None = None
    n_doses: int | None = None
    n_cycles: int | None = None

    @property
    def has_timing(self) -> bool:
        return bool(self.interval_day or self.at_day or self.once or self.cycle)


def parse_regimen(
    line: str,
    find_drug: Callable[[str], Drug],
    situation: str = "",
    place: Place | None = None,
    default_route: str | None = None,
) -> Regimen:
    """The regimen that a line of plain words says.

    Parameters
    ----------
    line
        For example ``adalimumab 40 mg subcutaneous every 2 weeks`` or ``adalimumab label``.
    find_drug
        Gives the drug of a name or raises `UnknownNameError`; such as ``catalog.drug``.
    situation
        Whose labelled regimen the word ``label`` means.
    place
        File and line for errors.
    default_route
        Taken where the line names no route; None refuses such a line.

    Raises
    ------
    InputError
        The line cannot be understood; the message names the place in the line and an example.
    """
    reader = Reader(line, place)
    drug = _drug(reader, find_drug)
    if reader.word() == "label":
        return _label(reader, drug, find_drug, situation)
    phases: list[Phase] = []
    maximum: Amount | None = None
    before = _Clauses(route=default_route)
    while True:
        clauses, cap = _clauses(reader, drug)
        maximum = cap or maximum
        before = _place(reader, drug, clauses, before, phases)
        if not reader.takes("then", "followed"):
            break
        reader.takes("by")
    if reader.peek().kind != "end":
        _unknown(reader, drug)
    if maximum and any(phase.dose.unit != maximum.unit for phase in phases):
        maximum = _in_unit_of(reader, maximum, phases)
    return Regimen(drug, tuple(phases), maximum, reader.line, place)


def _drug(reader: Reader, find_drug: Callable[[str], Drug]) -> Drug:
    """The drug that the line begins with; its name may be of several words."""
    names: list[str] = []
    first = reader.peek()
    while reader.word() and reader.word() != "label":
        names.append(reader.next().text)
    if not names:
        reader.fail("it does not begin with the name of a drug", f"for example '{EXAMPLE}'", first)
    error: UnknownNameError | None = None
    for n in range(len(names), 0, -1):
        try:
            drug = find_drug("-".join(names[:n]).lower())
        except UnknownNameError as unknown:
            error = unknown if error is None or n == 1 else error
            continue
        reader.at -= len(names) - n
        return drug
    assert error is not None
    raise UnknownNameError(error.message, reader.place, error.remedy) from None


def _label(reader: Reader, drug: Drug, find_drug: Callable[[str], Drug], situation: str) -> Regimen:
    token = reader.next()
    if reader.peek().kind != "end":
        reader.fail("nothing follows the word 'label'", f"write '{drug.name} label'", reader.peek())
    label = drug.regimens.get(situation)
    if label is None:
        known = ", ".join(drug.regimens) or "none"
        reader.fail(
            f"the catalog has no labelled regimen of {drug.name} for '{situation}'",
            f"situations with one: {known}; or write the dose, for example '{EXAMPLE}'",
            token,
        )
    if label.label.split()[:1] == ["label"]:
        reader.fail("the labelled regimen of the card is no regimen", "mend the card", token)
    regimen = parse_regimen(f"{drug.name} {label.label}", find_drug, "", reader.place)
    if label.maximum and not regimen.maximum:
        cap = Amount(label.maximum.value, label.maximum.unit)
        regimen = replace(regimen, maximum=_in_unit_of(reader, cap, regimen.phases))
    return replace(regimen, text=regimen.words())


def _in_unit_of(reader: Reader, maximum: Amount, phases: Iterable[Phase]) -> Amount:
    """The cap in the unit of the doses."""
    units = {phase.dose.unit for phase in phases}
    if len(units) > 1:
        reader.fail("doses with a maximum are to have one unit", "write all of them in mg")
    unit = units.pop()
    value = convert(
        maximum.value, maximum.unit, unit, what="maximum", place=reader.place, example="800 mg"
    )
    return Amount(value, unit)


def _clauses(reader: Reader, drug: Drug) -> tuple[_Clauses, Amount | None]:
    """What one phase says, up to ``then`` or the end."""
    said, maximum = _Clauses(), None
    token = reader.peek()
    if (token.kind == "number" and reader.word(1) != "times") or (
        token.kind == "sign" and token.text in "-–"
    ):
        said.dose = reader.dose()
    while reader.peek().kind != "end" and reader.word() not in ("then", "followed"):
        if reader.takes(",", "and") or reader.takes_sign(",", ";"):
            continue
        if reader.takes("maximum", "max"):
            maximum = reader.dose()
            if maximum.per_kg or maximum.per_m2:
                reader.fail("a maximum is not per kg or per m2", "for example 'maximum 800 mg'")
        elif not (_route(reader, drug, said) or _timing(reader, said) or _span(reader, said)):
            _unknown(reader, drug)
    return said, maximum


def _route(reader: Reader, drug: Drug, said: _Clauses) -> bool:
    word = SHORT_ROUTES.get(reader.word(), reader.word())
    if word in drug.routes:
        said.route = word
    elif word in SHORT_ROUTES.values():
        reader.fail(
            f"{drug.name} has no route '{word}'",
            f"routes of {drug.name}: {', '.join(drug.routes)}",
            reader.peek(),
        )
    else:
        return False
    reader.at += 1
    return True


def _timing(reader: Reader, said: _Clauses) -> bool:
    """``once``, ``daily``, ``twice daily``, ``every 2 weeks``, ``at weeks 0, 2``, ``on days``."""
    word, start = reader.word(), reader.peek()
    if said.has_timing and (word in ("every", "at", "loading") or word in _PER_DAY):
        reader.fail("this phase has two timings", "separate phases by 'then'", start)
    if word == "every":
        reader.at += 1
        other = 2.0 if reader.takes("other") else 1.0
        said.interval_day = other * reader.duration("the interval", "every 2 weeks")
    elif word == "at":
        reader.at += 1
        said.at_day = reader.times()
        if any(b <= a for a, b in zip(said.at_day, said.at_day[1:], strict=False)):
            reader.fail("the times do not ascend", "for example 'at weeks 0, 2, 6'", start)
    elif word in _PER_DAY:
        said.interval_day = _PER_DAY[reader.next().text.lower()]
    elif word in _TIMES or (start.kind == "number" and reader.word(1) == "times"):
        n = _TIMES[word] if word in _TIMES else reader.whole("the frequency", "2 times daily")
        reader.at += word in _TIMES
        reader.takes("times")
        reader.takes("a", "per")
        period = {**_PER_DAY, "day": 1.0, "week": 7.0}.get(reader.word())
        if period is not None:
            reader.at += 1
            said.interval_day = period / n
        elif word == "once":
            said.once = True
        else:
            reader.fail("per day or per week?", "for example 'twice daily'", reader.peek())
    elif word == "loading":
        reader.at += 1
        reader.takes("dose")
        said.once = True
    elif word == "on":
        reader.at += 1
        said.cycle = _cycle(reader)
    else:
        return False
    return True


def _cycle(reader: Reader) -> Cycle:
    example = "on days 1-21 of 28"
    if not reader.takes("days", "day"):
        reader.fail("'days' is missing after 'on'", f"for example '{example}'", reader.peek())
    days: list[int] = []
    start = reader.peek()
    while True:
        first = reader.whole("a day", example)
        last = reader.whole("a day", example) if reader.takes_sign("-", "–") else first
        days.extend(range(first, last + 1))
        comma = reader.takes_sign(",")
        if not (reader.takes("and") or comma):
            break
    if not reader.takes("of"):
        reader.fail("the length of the cycle is missing", f"for example '{example}'", reader.peek())
    length = reader.whole("the length of the cycle", example)
    reader.takes("days", "day")
    if not days or sorted(set(days)) != days or days[-1] > length:
        reader.fail("the days do not ascend within the cycle", f"for example '{example}'", start)
    return Cycle(tuple(days), length)


def _span(reader: Reader, said: _Clauses) -> bool:
    """``over 1 hour``, ``for 7 days``, ``for 12 cycles``, ``from week 4``, ``until week 12``."""
    if reader.takes("over"):
        said.infusion_day = reader.duration("the infusion", "over 1 hour")
    elif reader.takes("for"):
        if reader.peek().kind == "number" and reader.word(1) in ("cycle", "cycles"):
            said.n_cycles = reader.whole("the number of cycles", "for 12 cycles")
            reader.at += 1
        elif reader.peek().kind == "number" and reader.word(1) in ("dose", "doses"):
            said.n_doses = reader.whole("the number of doses", "for 5 doses")
            reader.at += 1
        elif reader.peek().kind == "number" and reader.word(1) == "of":
            n = reader.whole("the number of days", "for 21 of 28 days")
            reader.at += 1
            length = reader.whole("the length of the cycle", "for 21 of 28 days")
            if not reader.takes("days", "day") or n > length:
                reader.fail("these are no days of a cycle", "for example 'for 21 of 28 days'")
            said.cycle = Cycle(tuple(range(1, n + 1)), length)
        else:
            said.length_day = reader.duration("the length", "for 7 days")
    elif reader.takes("from", "starting", "start"):
        reader.takes("at", "from")
        said.start_day = reader.times()[0]
    elif reader.takes("until", "stop"):
        reader.takes("at")
        said.stop_day = reader.times()[0]
    else:
        return False
    return True


def _unknown(reader: Reader, drug: Drug) -> NoReturn:
    token = reader.peek()
    if token.kind == "number":
        reader.fail("a second dose in one phase", "separate phases by 'then'", token)
    near = near_matches(token.text, [*KEYWORDS, *drug.routes])
    reader.fail(f"this is not understood; {near}", f"for example '{EXAMPLE}'", token)


def _place(
    reader: Reader, drug: Drug, said: _Clauses, before: _Clauses, phases: list[Phase]
) -> _Clauses:
    """Append the phase, placed in time after those before; returns it with all that it took."""
    said.dose = said.dose or before.dose
    said.route = said.route or before.route
    if said.infusion_day is None and said.route == before.route:
        said.infusion_day = before.infusion_day
    if not said.has_timing:
        said.interval_day, said.cycle = before.interval_day, before.cycle
    elif said.cycle and not said.interval_day:
        said.interval_day = 1.0
    if said.dose is None:
        reader.fail("it has no dose", f"for example '{drug.name} 40 mg ...'", reader.peek())
    if said.route is None:
        routes = ", ".join(drug.routes)
        reader.fail(
            "the dose has no route",
            f"routes of {drug.name}: {routes}; for example "
            f"'{drug.name} {said.dose} {next(iter(drug.routes), 'oral')} ...'",
        )
    if not said.interval_day and not said.at_day and not said.once:
        reader.fail("it does not say when", "for example 'every 2 weeks', 'daily' or 'once'")
    phase = Phase(said.dose, said.route, said.infusion_day or 0.0)
    if said.interval_day and not said.at_day:
        phases.append(_repeating(reader, said, phase, phases))
        if phases[-1].infusion_day > said.interval_day:
            reader.fail("the infusion is longer than the interval", "for example 'over 1 hour'")
        return said
    if said.stop_day is not None or said.length_day or said.n_doses or said.n_cycles:
        reader.fail("'for' and 'until' need doses that repeat", "for example 'daily for 7 days'")
    start = said.start_day if said.start_day is not None else 0.0
    times = said.at_day or (start,)
    if phases:
        if said.once and said.start_day is None:
            start = _next_start(reader, phases, None)
            times = (start,)
        _close(reader, phases, times[0])
    phases.append(replace(phase, at_day=times))
    return said


def _next_start(reader: Reader, phases: list[Phase], interval: float | None) -> float:
    """When a phase that does not say so begins."""
    last = phases[-1]
    if last.at_day:
        if interval is None:
            reader.fail("it does not say when the next dose is", "for example 'at week 2'")
        return last.at_day[-1] + interval
    if last.stop_day is None:
        reader.fail(
            "a phase before 'then' does not say how long it lasts",
            "for example 'daily for 7 days then ...' or '... then 20 mg daily from week 4'",
        )
    return last.stop_day


def _close(reader: Reader, phases: list[Phase], start: float) -> None:
    """End an open phase where the next begins; refuse phases that overlap."""
    last = phases[-1]
    if not last.at_day and last.stop_day is None:
        phases[-1] = last = replace(last, stop_day=start)
    end = last.at_day[-1] + SAME_TIME_DAY if last.at_day else last.stop_day
    first = last.at_day[0] if last.at_day else last.start_day
    if (end is not None and start < end - SAME_TIME_DAY / 2) or start <= first:
        reader.fail(
            f"a phase begins on day {start:g}, before the one before it ends",
            "write the phases in order of time, for example 'for 7 days then ... for 7 days'",
        )


def _repeating(reader: Reader, said: _Clauses, phase: Phase, phases: list[Phase]) -> Phase:
    interval = said.interval_day or 1.0
    start = said.start_day
    if start is None:
        start = _next_start(reader, phases, interval) if phases else 0.0
    if phases:
        _close(reader, phases, start)
    stop = said.stop_day
    if said.n_cycles:
        if not said.cycle:
            reader.fail("'cycles' need days", "for example 'daily on days 1-21 of 28 for 2 cycles'")
        stop = start + said.n_cycles * said.cycle.length
    elif said.n_doses:
        if said.cycle:
            reader.fail("doses of a cycle are not counted", "write 'for 12 cycles'")
        stop = start + said.n_doses * interval
    elif said.length_day:
        stop = start + said.length_day
    if stop is not None and stop <= start:
        reader.fail("it stops before it starts", "for example 'from week 4 until week 12'")
    return replace(phase, start_day=start, interval_day=interval, stop_day=stop, cycle=said.cycle)

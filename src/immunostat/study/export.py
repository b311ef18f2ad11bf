"""A study's joined model as SBML: one virtual patient, one arm, every number with its source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from immunostat.base.errors import InputError, UnknownNameError, near_matches
from immunostat.base.facts import Fact
from immunostat.base.sources import cite
from immunostat.catalog.cards import FactKeys
from immunostat.catalog.lookup import Catalog
from immunostat.engine.problem import Action, Event
from immunostat.model.sbml_writer import INPUT, Change, Remark, write_sbml
from immunostat.study.assemble import CORE, TYPICAL, Assembly, name_of_own
from immunostat.study.cohort import Cohort, columns_of, draw_cohort
from immunostat.study.plan import prepare
from immunostat.study.study import Study
from immunostat.therapy.drug import Drug
from immunostat.therapy.schedule import events

#: Patients among whom the most typical one is looked for.
LOOKED_AT = 101


@dataclass(frozen=True)
class Export:
    """What was written, and for whom.

    Parameters
    ----------
    sbml
        The text.
    arm, patient
        Name of the arm; number of the patient among the cohort, from 0.
    parameters, initial_states
        His parameters and states at time zero, in the order of `assembly.system`.
    events
        His doses.
    """

    sbml: str
    arm: str
    patient: int
    assembly: Assembly
    parameters: np.ndarray[tuple[int], np.dtype[np.float64]]
    initial_states: np.ndarray[tuple[int], np.dtype[np.float64]]
    events: tuple[Event, ...]


def export_sbml(
    study: Study,
    catalog: Catalog,
    arm: str | None = None,
    patient: int | None = None,
    with_doses: bool = True,
) -> Export:
    """Write the model of one patient of one arm.

    Parameters
    ----------
    study
        From `read_study`.
    catalog
        Where cards are.
    arm
        Its doses become events; None takes the first arm that has doses.
    patient
        Number in the cohort, from 0; None takes the most typical of the first `LOOKED_AT`: he
        whose parameters lie nearest the medians.
    with_doses
        Whether doses are written.

    Raises
    ------
    UnknownNameError
        The study has no such arm.
    InputError
        The study has no such patient.
    """
    chosen = _arm(study, arm)
    plan = prepare(study, catalog)
    assembly = plan.assembly
    if patient is not None and not 0 <= patient < study.population.n_patients:
        raise InputError(
            f"the study has patients 0 to {study.population.n_patients - 1}, not {patient}"
        )
    n_wanted = LOOKED_AT if patient is None else patient + 1
    cohort = draw_cohort(plan.recruitment(), min(n_wanted, study.population.n_patients))
    own = _most_typical(cohort) if patient is None else patient
    regimens = plan.regimens(chosen)
    covariates = columns_of(cohort.covariates)
    doses = events(
        regimens,
        study.duration_day,
        float(covariates["weight"][own]),
        {key: float(values[own]) for key, values in cohort.bioavailability.items()},
        float(covariates["bsa"][own]) if "bsa" in covariates else None,
    )
    system = assembly.system
    derived = {name for name, _ in system.derived_parameters}
    values = {
        name: float(value)
        for name, value in zip(system.parameters, cohort.parameters[own], strict=True)
        if name not in derived
    }
    values |= dict(zip(system.states, map(float, cohort.initial_states[own]), strict=True))
    sbml = write_sbml(
        assembly.sbml,
        values,
        _changes(doses) if with_doses else (),
        dict(_remarks(catalog, study, assembly, plan.drugs)),
        study.title or study.situation,
        _notes(study, chosen, own, with_doses),
    )
    parameters, initial = cohort.parameters[own], cohort.initial_states[own]
    return Export(sbml, chosen, own, assembly, parameters, initial, tuple(doses))


def _arm(study: Study, arm: str | None) -> str:
    if arm is None:
        treated = [name for name, regimens in study.arms.items() if regimens]
        return treated[0] if treated else next(iter(study.arms))
    if arm not in study.arms:
        raise UnknownNameError(
            f"the study has no arm '{arm}'", study.place, near_matches(arm, study.arms)
        )
    return arm


def _most_typical(cohort: Cohort) -> int:
    """Patient whose parameters lie nearest the medians, each in its own spread."""
    table = cohort.parameters
    spread = table.std(axis=0)
    differs = np.isfinite(spread) & (spread > 1e-12 * np.abs(table).max(axis=0))
    middle = np.median(table[:, differs], axis=0)
    distance = (((table[:, differs] - middle) / spread[differs]) ** 2).sum(axis=1)
    return int(np.argmin(distance))


def _changes(doses: list[Event]) -> list[Change]:
    """Doses at the same time joined into one event."""
    table: dict[float, dict[str, float]] = {}
    for dose in doses:
        if dose.action not in (Action.ADD, Action.RATE):
            raise InputError(f"a dose of kind '{dose.action.name.lower()}' cannot be exported")
        target = dose.target + (INPUT if dose.action is Action.RATE else "")
        own = table.setdefault(dose.time, {})
        own[target] = own.get(target, 0.0) + dose.value
    return [Change(time, tuple(sorted(own.items()))) for time, own in sorted(table.items())]


def _remarks(
    catalog: Catalog, study: Study, assembly: Assembly, drugs: tuple[Drug, ...]
) -> Iterator[tuple[str, Remark]]:
    """What is known of each parameter, by its name in the joined model."""
    situation = catalog.situation(study.situation)
    core = catalog.core(situation.core)
    for name, card in core.parameters.items():
        yield f"{CORE}_{name}", _remark_of_card(catalog, card, card.value, card.unit)
    for name, card in situation.parameters.items():
        own = name_of_own(name, core, situation)
        yield own, _remark_of_card(catalog, card, card.value, card.unit)
    for drug in drugs:
        for name, parameter in drug.pk.parameters.items() if drug.pk else ():
            remark = _remark_of_fact(catalog, parameter.fact, parameter.unit)
            yield f"{drug.prefix}_{name}", remark
            yield f"{drug.prefix}_{name}_{TYPICAL}", remark
    for hook in assembly.hooks:
        yield hook.dissociation, _remark_of_fact(catalog, hook.fact, "nmol/L")


def _remark_of_fact(catalog: Catalog, fact: Fact, unit: str) -> Remark:
    words = f"typical value {fact.value:g} {fact.unit}"
    return _remark(catalog, unit, words, fact.evidence.value, fact.source, fact.where, fact.because)


def _remark_of_card(catalog: Catalog, card: FactKeys, value: float, unit: str) -> Remark:
    words = f"typical value {value:g} {unit}"
    evidence, source = str(card.evidence), card.source or ""
    return _remark(catalog, unit, words, evidence, source, card.where, card.because)


def _remark(
    catalog: Catalog, unit: str, words: str, evidence: str, source: str, where: str, because: str
) -> Remark:
    parts = [f"{words}; {evidence}"]
    url = ""
    if source:
        found = catalog.source(source)
        parts.append(f"source: {cite(found)}" + (f", {where}" if where else ""))
        url = found.url
    if because:
        parts.append(f"because: {because}")
    return Remark(unit, ". ".join(parts), url)


def _notes(study: Study, arm: str, patient: int, with_doses: bool) -> list[str]:
    doses = "with its doses as events" if with_doses else "without its doses"
    return [
        "A research and teaching model. It gives no medical advice.",
        f"Written by immunostat from the study '{study.title or study.situation}': virtual patient "
        f"{patient} (from 0) of population '{study.population.name}', seed "
        f"{study.population.seed}, arm '{arm}' {doses}.",
        "Time in days, amounts in nmol, concentrations in nmol/L, cells relative to health unless "
        "a unit says otherwise. Start values are the patient's untreated steady state.",
    ]

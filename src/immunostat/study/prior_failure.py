"""The run-in of patients who must have failed a treatment: taken, judged, and carried over.

The treatment begins at the untreated steady state, `Prior.duration_day` + `Prior.washout_day`
before randomization. Its start and end are visits with errors of their own. It is a treatment
period like a trial's: expectation, attention and the drift of the disease act in it too, so that a
drug without any effect fails as often as placebo does. What belongs to one trial is drawn for the
run-in by itself (`SituationCard.trial_parameters`) and begins anew at randomization
(`SituationCard.trial_states`), since a new trial raises expectations anew; all other states, what
is left of the drug among them, go on from where they are. The levels at which a
patient's untreated disease rests stay what they are: the new trial meets the same disease, partly
treated. An infusion that is still running at randomization ends there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from immunostat.base import streams
from immunostat.base.errors import InputError
from immunostat.engine.problem import EnsembleProblem, Schedule
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import Observations, evaluate
from immunostat.study.assemble import DISEASE
from immunostat.study.candidates import individual_parameter
from immunostat.study.recruitment import Cohort, Prior, Recruitment, columns_of
from immunostat.study.screening import PRIOR, Findings, entry, observe
from immunostat.study.specs import endpoint_spec
from immunostat.therapy.schedule import schedule_for

METHOD = "rodas5p"

#: What the errors of the run-in's visits are for.
PURPOSE = "run-in visit error"


def run_in(recruitment: Recruitment, prior: Prior, candidates: Cohort) -> tuple[Cohort, Findings]:
    """Treat candidates, judge their response, and carry their state over.

    Returns
    -------
    The candidates with the state at randomization, and what was found: who was not ill enough to
    begin, who responded, and whose run-in was not solved.

    Raises
    ------
    InputError
        The joined model lacks a drug of the treatment, or the endpoint does not answer yes or no.
    """
    situation, n = recruitment.situation, len(candidates.numbers)
    prior.check(situation)
    missing = sorted({d.name for d in prior.drugs} - {d.name for d in recruitment.drugs})
    if missing:
        raise InputError(
            f"the prior treatment gives {', '.join(missing)}, which the joined model lacks",
            remedy="a drug that the population takes all along cannot be the one that failed",
        )
    start = -(prior.duration_day + prior.washout_day)
    times = np.unique([start, -prior.washout_day, 0.0])
    problem = EnsembleProblem(
        recruitment.assembly.system,
        run_in_parameters(recruitment, candidates),
        _shifted(_schedule(recruitment, prior, candidates), start),
        times,
        recruitment.outputs,
        start=start,
        initial_states=candidates.initial_states,
    )
    treated = solve(
        problem, method=METHOD, tolerance=recruitment.tolerance, threads=recruitment.threads
    )
    true = {name: treated[name][:, :2] for name in recruitment.outputs}
    observed = observe(
        situation.components, true, candidates.numbers, recruitment.seed, purpose=PURPOSE
    )
    units = {
        name: "1" if card.unit == "joints" else card.unit
        for name, card in situation.components.items()
    }
    visits = np.array([0.0, prior.duration_day])
    spec = endpoint_spec(prior.endpoint, situation)
    responded = evaluate(spec, Observations(visits, observed, units))[:, 1] == 1.0

    findings = Findings(n)
    solved = treated.is_ok & np.isfinite(treated.final_states).all(axis=1)
    findings.add(f"treatment with {prior.name} not solved", PRIOR, ~solved)
    entry(recruitment, observed, findings, solved, f" before {prior.name}")
    findings.add(f"responded to {prior.name}", PRIOR, solved & responded)
    states = carried_over(recruitment, treated.final_states)
    return replace(candidates, initial_states=states), findings


def run_in_parameters(recruitment: Recruitment, candidates: Cohort) -> FloatArray:
    """Parameters of candidates during the run-in: those of a trial are drawn for it by itself."""
    situation, system = recruitment.situation, recruitment.assembly.system
    columns = columns_of(candidates.covariates)
    table = candidates.parameters.copy()
    for name in situation.trial_parameters:
        own = f"{DISEASE}_{name}"
        scores = streams.normal(recruitment.seed, f"run-in parameter {name}", candidates.numbers)
        card = situation.parameters[name]
        values = individual_parameter(card, columns, scores[:, 0], len(table))
        table[:, system.parameters.index(own)] = values * recruitment.factors.get(own, 1.0)
    return table


def carried_over(recruitment: Recruitment, states: FloatArray) -> FloatArray:
    """States at randomization after a run-in: those that belong to a trial begin anew."""
    system = recruitment.assembly.system
    own = states.copy()
    for name in recruitment.situation.trial_states:
        if name not in system.states:
            raise InputError(
                f"situation '{recruitment.situation.name}': '{name}' under 'trial_states' is no "
                "state of the model"
            )
        own[:, system.states.index(name)] = system.initial[system.states.index(name)]
    return own


def _schedule(recruitment: Recruitment, prior: Prior, candidates: Cohort) -> Schedule:
    """Doses of the treatment, from its start."""
    columns = columns_of(candidates.covariates)
    return schedule_for(
        recruitment.assembly.system,
        prior.regimens,
        prior.duration_day,
        columns["weight"],
        candidates.bioavailability,
        columns.get("bsa"),
    )


def _shifted(schedule: Schedule, days: float) -> Schedule:
    """The same events, so many days later."""
    return replace(schedule, times=schedule.times + days)

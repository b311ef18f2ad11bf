"""Fit the joint of rheumatoid arthritis to its training arms.

    python calibration/rheumatoid_arthritis.py --patients 1000 --evaluations 600

Training arms, and nothing else: placebo + methotrexate (OPTION), adalimumab 40 mg every 2 weeks
(DE019), tocilizumab 8 mg/kg every 4 weeks (OPTION); ACR20, ACR50 and ACR70 at week 24. Kinetics,
affinities and the immune core are not touched; what is fitted is how much of synovitis each signal
drives (median and spread between patients) and the course of everybody in a trial. The same virtual
patients and random numbers serve every evaluation, so the objective is smooth but for counting.

The values that it prints go into ``catalog/data/situations/rheumatoid-arthritis.yaml``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.model_cards import ModelSpreadCard
from immunostat.engine.problem import EnsembleProblem, Tolerance
from immunostat.engine.solve import solve
from immunostat.outcomes.endpoints import Observations, evaluate
from immunostat.study.assemble import DISEASE
from immunostat.study.cohort import draw_parameter, observe
from immunostat.study.outputs import scale_tops
from immunostat.study.run import simulate
from immunostat.study.simulation import joined
from immunostat.study.specs import endpoint_spec
from immunostat.study.study import read_study
from immunostat.therapy.schedule import schedule_for

STUDY = Path(__file__).parents[1] / "studies" / "ra-biologics.yaml"
TRAINING = {"placebo": "OPTION", "adalimumab": "DE019", "tocilizumab-8": "OPTION"}
ENDPOINTS = ("ACR20", "ACR50", "ACR70")

#: What is fitted: name, start, and whether it is searched on the log scale.
FITTED = (
    ("driver_tnf", 0.4, True),
    ("driver_tnf spread", 1.0, True),
    ("driver_il6", 0.5, True),
    ("driver_il6 spread", 1.4, True),
    ("driver_other spread", 1.6, True),
    ("trial_course_final", -0.1, False),
    ("trial_course_final spread", 0.8, True),
    ("sensitivity spread", 0.06, True),
)

#: Components that share the fitted "sensitivity spread": how unlike they follow synovitis.
SENSITIVITIES = (
    "tender_joints_sensitivity",
    "swollen_joints_sensitivity",
    "pain_sensitivity",
    "patient_global_sensitivity",
    "physician_global_sensitivity",
    "disability_sensitivity",
)


def targets() -> np.ndarray:
    """Published responses of the training arms, in percent. Shape (arm, endpoint)."""
    catalog = packaged_catalog()
    rows = []
    for arm, trial in TRAINING.items():
        drug = arm.split("-")[0]
        published = [
            a for a in catalog.trial(trial).arms if a.role == "training" and a.drug == drug
        ]
        values = {r.endpoint: r.value for r in published[0].results if r.week == 24}
        rows.append([values[name] for name in ENDPOINTS])
    return np.array(rows)


class Trial:
    """The training arms, ready to be solved again with other numbers of the joint."""

    def __init__(self, patients: int, seed: int) -> None:
        study = read_study(STUDY)
        population = replace(study.population, n_patients=patients, seed=seed)
        arms = {name: study.arms[name] for name in TRAINING}
        self.study = replace(study, population=population, arms=arms, side_effects=())
        self.start = simulate(self.study, packaged_catalog())
        weight = self.start.cohort.covariates["weight"].to_numpy(float)
        self.schedule = joined(
            [
                schedule_for(
                    self.start.plan.assembly.system,
                    self.study.arms[arm],
                    self.study.duration_day,
                    weight,
                )
                for arm in TRAINING
            ]
        )

    def responses(self, values: dict[str, float]) -> np.ndarray:
        """Responses in percent with these numbers of the joint. Shape (arm, endpoint)."""
        shared = values.get("sensitivity spread")
        values = {key: value for key, value in values.items() if key != "sensitivity spread"}
        if shared is not None:
            values.update({f"{name} spread": shared for name in SENSITIVITIES})
        start, cohort = self.start, self.start.cohort
        system, situation = start.plan.assembly.system, start.plan.situation
        parameters = cohort.parameters.copy()
        columns = {name: cohort.covariates[name].to_numpy(float) for name in cohort.covariates}
        for name in {key.split()[0] for key in values}:
            card = situation.parameters[name]
            spread = values.get(f"{name} spread")
            changes: dict[str, object] = {"value": values.get(name, card.value)}
            if spread is not None:
                key = "normal_sd" if card.spread and card.spread.normal_sd is not None else ""
                key = key or "lognormal_variance"
                changes["spread"] = ModelSpreadCard.model_validate({key: spread})
            own = card.model_copy(update=changes)
            drawn = draw_parameter(
                f"{DISEASE}_{name}", own, columns, cohort.numbers, self.study.population.seed
            )
            parameters[:, system.parameters.index(f"{DISEASE}_{name}")] = drawn
        outputs = tuple(sorted({card.output for card in situation.components.values()}))
        visits = np.array(self.study.visits_day)
        solved = solve(
            EnsembleProblem(
                system,
                np.tile(parameters, (len(TRAINING), 1)),
                self.schedule,
                visits,
                outputs,
                initial_states=np.tile(cohort.initial_states, (len(TRAINING), 1)),
            ),
            tolerance=Tolerance(1e-4),
        )
        n, rows = len(cohort.numbers), []
        tops = scale_tops(situation)
        for i in range(len(TRAINING)):
            rows_of_arm = slice(i * n, (i + 1) * n)
            true = {name: np.minimum(solved[name][rows_of_arm], tops[name]) for name in outputs}
            seed = self.study.population.seed
            observed = observe(situation.components, true, cohort.numbers, seed)
            found = Observations(visits, observed)
            rows.append(
                [
                    100 * np.nanmean(evaluate(endpoint_spec(name, situation), found)[:, -1])
                    for name in ENDPOINTS
                ]
            )
        return np.array(rows)


def main() -> None:
    """Search, and print the fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7, help="that of the study")
    parser.add_argument("--evaluations", type=int, default=600)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    trial, wanted = Trial(options.patients, options.seed), targets()
    start = np.array([np.log(value) if log else value for _, value, log in FITTED])

    def unpack(x: np.ndarray) -> dict[str, float]:
        return {
            name: float(np.exp(value) if log else value)
            for (name, _, log), value in zip(FITTED, x, strict=True)
        }

    best = np.inf

    def objective(x: np.ndarray) -> float:
        nonlocal best
        miss = trial.responses(unpack(x)) - wanted
        # A weak pull to the start keeps numbers that the data say little about where they were.
        # The fourth power keeps one response from being given up for the others.
        loss = float(np.sum(miss**2 + 0.05 * miss**4) + 2.0 * np.sum((x - start) ** 2))
        if loss < best:
            best = loss
            print(f"{loss:9.2f}  largest miss {np.abs(miss).max():5.2f} points", flush=True)
        return loss

    simplex = np.vstack([start, start + 0.3 * np.eye(len(start))])
    found = minimize(
        objective,
        start,
        method="Nelder-Mead",
        options={"maxfev": options.evaluations, "initial_simplex": simplex, "adaptive": True},
    )
    values = unpack(found.x)
    responses = trial.responses(values)
    for arm, got, want in zip(TRAINING, responses, wanted, strict=True):
        print(f"{arm:15s} {np.round(got, 1)}  published {want}")
    text = json.dumps({name: float(f"{value:.4g}") for name, value in values.items()}, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()

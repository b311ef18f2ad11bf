"""Screening: what is found in each candidate that speaks against him, all of it, and in what order.

Findings are a table of yes or no, candidate by reason, so that a report can say both why each was
left out first and how many each reason concerned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from immunostat.base import streams
from immunostat.catalog.endpoint_cards import ComponentCard
from immunostat.engine.problem import EnsembleProblem, IntArray, Schedule
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray
from immunostat.study.rated_items import own_shares, rated, score_of
from immunostat.study.recruitment import Cohort, Recruitment, columns_of
from immunostat.trial.conditions import Condition

BoolArray = npt.NDArray[np.bool_]

#: Kinds of reasons: no virtual patient at all; one whom the trial does not want; one whose earlier
#: treatment helped.
PLAUSIBILITY, ENTRY, PRIOR = "plausibility", "entry", "prior treatment"

UNSOLVED = "untreated disease not solved"
UNSOLVED_OR_MOVING = "untreated disease not solved, or not at rest"


@dataclass
class Findings:
    """What speaks against candidates.

    Parameters
    ----------
    n_candidates
        How many were looked at.
    kinds
        Kind of each reason, by reason, in the order in which reasons were looked at.
    found
        Whom each reason concerns. Each (candidate,).
    """

    n_candidates: int
    kinds: dict[str, str] = field(default_factory=dict)
    found: dict[str, BoolArray] = field(default_factory=dict)

    def add(self, reason: str, kind: str, concerned: npt.ArrayLike) -> None:
        """Note a reason, also where it concerns nobody; noted twice, it concerns both."""
        own = np.asarray(concerned, dtype=np.bool_)
        self.kinds.setdefault(reason, kind)
        self.found[reason] = self.found[reason] | own if reason in self.found else own

    def add_range(
        self,
        name: str,
        kind: str,
        values: FloatArray,
        minimum: float | None,
        maximum: float | None,
        suffix: str = "",
        among: BoolArray | None = None,
    ) -> None:
        """Note who lies outside a range, or has no value."""
        everybody = np.ones(self.n_candidates, dtype=np.bool_) if among is None else among
        if minimum is not None:
            self.add(f"{name} below {minimum:g}{suffix}", kind, everybody & ~(values >= minimum))
        if maximum is not None:
            self.add(f"{name} above {maximum:g}{suffix}", kind, everybody & ~(values <= maximum))

    def is_free_of(self, *kinds: str) -> BoolArray:
        """Against whom no reason of these kinds speaks; of any kind if none is given."""
        free = np.ones(self.n_candidates, dtype=np.bool_)
        for reason, concerned in self.found.items():
            if not kinds or self.kinds[reason] in kinds:
                free &= ~concerned
        return free

    @property
    def first(self) -> npt.NDArray[np.str_]:
        """First reason of each candidate; empty if there is none. Shape (candidate,)."""
        reasons = np.full(self.n_candidates, "", dtype="<U160")
        for reason, concerned in self.found.items():
            reasons[(reasons == "") & concerned] = reason
        return reasons

    def up_to(self, n_candidates: int) -> Findings:
        """The first candidates alone."""
        return Findings(
            n_candidates,
            dict(self.kinds),
            {reason: own[:n_candidates] for reason, own in self.found.items()},
        )

    def placed(self, rows: IntArray, n_candidates: int) -> Findings:
        """The same for candidates `rows` of `n_candidates`."""
        found = {}
        for reason, own in self.found.items():
            found[reason] = np.zeros(n_candidates, dtype=np.bool_)
            found[reason][rows] = own
        return Findings(n_candidates, dict(self.kinds), found)

    def counts(self) -> dict[str, tuple[str, int, int]]:
        """Kind, number as first reason, number in all, by reason that concerns anybody."""
        first = self.first
        return {
            reason: (self.kinds[reason], int(np.sum(first == reason)), int(own.sum()))
            for reason, own in self.found.items()
            if own.any()
        }


#: Columns of a rejection report.
REPORT_COLUMNS = ("reason", "kind", "first", "all")


def rejection_table(findings: list[Findings]) -> pd.DataFrame:
    """Why candidates were left out, over all blocks.

    Returns
    -------
    One row per reason: ``reason``, ``kind``, ``first`` (candidates with this as their first reason:
    these add up to all who were left out) and ``all`` (candidates it speaks against). The most
    frequent first reason comes first.
    """
    total: dict[str, list[Any]] = {}
    for block in findings:
        for reason, (kind, first, everybody) in block.counts().items():
            row = total.setdefault(reason, [kind, 0, 0])
            row[1] += first
            row[2] += everybody
    rows = [(reason, *row) for reason, row in total.items()]
    rows.sort(key=lambda row: (-row[2], -row[3], row[0]))
    return pd.DataFrame(rows, columns=list(REPORT_COLUMNS))


def observe(
    components: Mapping[str, ComponentCard],
    true: Mapping[str, FloatArray],
    numbers: IntArray,
    seed: int,
    purpose: str = "visit error",
) -> dict[str, FloatArray]:
    """What visits record: true values with the error of the day, ratings, and scores of ratings.

    Parameters
    ----------
    components
        By name.
    true
        Values without error, by name of the output. Shape (patient, visit).
    numbers
        Patients' numbers, which the errors belong to: a patient's visit has the same error in
        every arm. Shape (patient,).
    seed
        Seed of the study.
    purpose
        What the errors are for: visits of the study, or others, which have errors of their own.

    Returns
    -------
    Observed values by component. Shape (patient, visit).
    """
    observed: dict[str, FloatArray] = {}
    shares = own_shares(components)
    for name, card in components.items():
        if card.item is not None:
            latent = true[card.output]
            observed[name] = rated(name, card.item, latent, shares[name], numbers, seed, purpose)
        if card.item is not None or card.score:
            continue
        origin = card.error_of or name
        error, additive = components[origin].error, card.additive_error
        values = true[card.output] * (card.factor.value if card.factor else 1.0)
        if error is not None or additive is not None:
            n_visits = values.shape[1]
            scores = streams.normal(seed, f"{purpose} {origin}", numbers, n_visits)
            if error is not None:
                values = values * np.exp(error.value * scores)
            if additive is not None:
                values = values + additive.value * scores
        if card.step:
            values = np.round(values / card.step) * card.step
        observed[name] = np.clip(values, card.low, card.high)
    for name, card in components.items():
        if card.score:
            observed[name] = score_of(card, observed)
    return {name: observed[name] for name in components}


def baseline_values(recruitment: Recruitment, candidates: Cohort) -> dict[str, FloatArray]:
    """Outputs of the model at the start of candidates, without error. Each (patient, 1)."""
    problem = EnsembleProblem(
        recruitment.assembly.system,
        candidates.parameters,
        Schedule.empty(len(candidates.numbers)),
        np.array([0.0]),
        recruitment.outputs,
        initial_states=candidates.initial_states,
    )
    baseline = solve(problem, threads=recruitment.threads)
    return {name: baseline[name] for name in recruitment.outputs}


def plausibility(
    recruitment: Recruitment, candidates: Cohort, true: Mapping[str, FloatArray]
) -> Findings:
    """Which candidates are no virtual patients: a readout lies outside what patients have.

    The untreated state at entry is looked at. Background therapy that everybody keeps is part of
    that state, so that it is the state on background therapy too.
    """
    situation = recruitment.situation
    solved = np.asarray(np.isfinite(candidates.initial_states).all(axis=1))
    findings = Findings(len(candidates.numbers))
    must_rest = recruitment.assembly.untreated.is_checked
    findings.add(UNSOLVED_OR_MOVING if must_rest else UNSOLVED, PLAUSIBILITY, ~solved)
    for range_ in situation.untreated.plausible:
        readout = true[range_.output][:, 0]
        findings.add_range(
            range_.output, PLAUSIBILITY, readout, range_.minimum, range_.maximum, among=solved
        )
    for own in situation.untreated.readouts:
        card = situation.components[own.component]
        readout = true[card.output][:, 0] * (card.factor.value if card.factor else 1.0)
        findings.add_range(
            f"true {own.component}", PLAUSIBILITY, readout, own.minimum, own.maximum, among=solved
        )
    return findings


def entry(
    recruitment: Recruitment,
    observed: Mapping[str, FloatArray],
    findings: Findings,
    among: BoolArray | None = None,
    suffix: str = "",
) -> None:
    """Note whom the entry criteria keep out by what the baseline visit records."""
    for own in recruitment.population.entry:
        values = observed[own.component][:, 0]
        findings.add_range(own.component, ENTRY, values, own.minimum, own.maximum, suffix, among)


def eligible_covariates(recruitment: Recruitment, covariates: pd.DataFrame) -> Findings:
    """Note whom the eligibility keeps out by covariates alone, before anything is solved."""
    findings = Findings(len(covariates))
    columns = columns_of(covariates)
    for own in recruitment.eligibility.comparisons if recruitment.eligibility else ():
        if own.name in columns and own.name not in recruitment.situation.components:
            findings.add(f"does not meet {own}", ENTRY, ~Condition((own,)).holds(columns))
    return findings


def eligible_readouts(
    recruitment: Recruitment,
    observed: Mapping[str, FloatArray],
    findings: Findings,
    among: BoolArray,
) -> None:
    """Note whom the eligibility keeps out by what the baseline visit records."""
    first = {name: values[:, 0] for name, values in observed.items()}
    for own in recruitment.eligibility.comparisons if recruitment.eligibility else ():
        if own.name in first:
            findings.add(f"does not meet {own}", ENTRY, among & ~Condition((own,)).holds(first))

"""The patients who enter: drawn, brought to their untreated steady state, examined, and selected.

Candidates are drawn in order of their number. One who is not plausible (a readout of his untreated
disease lies outside its range), not eligible (by a criterion on his covariates or on what the
baseline visit observes) or helped by the treatment that he should have failed is left out and
counted; the first n who remain are the cohort. A candidate depends on the seed and his number
alone, so a larger trial holds the smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError
from immunostat.engine.problem import IntArray
from immunostat.study.candidates import (
    candidate_covariates,
    candidates_with,
    draw_bioavailability,
    draw_kinetics,
    draw_parameter,
    initial_states,
    parameter_table,
)
from immunostat.study.prior_failure import run_in
from immunostat.study.recruitment import Cohort, Prior, Recruitment, columns_of, take
from immunostat.study.screening import (
    Findings,
    baseline_values,
    eligible_covariates,
    eligible_readouts,
    entry,
    observe,
    plausibility,
    rejection_table,
)

__all__ = [
    "MOST_CANDIDATES",
    "Cohort",
    "Intake",
    "Prior",
    "Recruitment",
    "cohort_of",
    "columns_of",
    "draw_bioavailability",
    "draw_cohort",
    "draw_kinetics",
    "draw_parameter",
    "examine",
    "initial_states",
    "intake",
    "joined_counts",
    "observe",
    "parameter_table",
    "redraw",
    "refuse_criteria",
    "rejections",
    "take",
]

#: Candidates drawn for each patient wanted, at most; more means that the criteria fit nobody.
MOST_CANDIDATES = 50


@dataclass(frozen=True)
class Intake:
    """A block of candidates after examination.

    Parameters
    ----------
    cohort
        Those who may enter, in order of their number.
    findings
        What speaks against each candidate.
    first
        Number of the first candidate of the block.
    """

    cohort: Cohort
    findings: Findings
    first: int

    @property
    def reasons(self) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        """First reason for which each candidate may not enter; empty if he may. (candidate,)."""
        return self.findings.first

    def up_to(self, n_patients: int) -> Intake:
        """The block as if it ended with the `n_patients`-th patient who entered."""
        if n_patients >= len(self.cohort.numbers):
            return self
        end = int(self.cohort.numbers[n_patients - 1]) + 1 - self.first if n_patients else 0
        kept = take(self.cohort, np.arange(n_patients, dtype=np.int64))
        return Intake(kept, self.findings.up_to(end), self.first)

    @property
    def rejected(self) -> dict[str, int]:
        """How many candidates were left out for each reason."""
        reasons, counts = np.unique(self.reasons[self.reasons != ""], return_counts=True)
        return {str(reason): int(n) for reason, n in zip(reasons, counts, strict=True)}


def intake(recruitment: Recruitment, numbers: IntArray) -> Intake:
    """Draw and examine candidates; the answer for each depends on the seed and his number alone.

    Parameters
    ----------
    numbers
        Consecutive numbers of candidates. Shape (candidate,).
    """
    candidates, findings, solved = examine(recruitment, numbers)
    is_free = findings.is_free_of()[solved]
    return Intake(take(candidates, np.flatnonzero(is_free)), findings, int(numbers[0]))


def examine(recruitment: Recruitment, numbers: IntArray) -> tuple[Cohort, Findings, IntArray]:
    """Draw candidates and find what speaks against them.

    Whom the eligibility keeps out by his covariates is not looked at further: nothing is solved for
    him and no other reason counted.

    Returns
    -------
    The candidates who were looked at further, whatever was found; the findings of all; and at which
    places in `numbers` the former stand.
    """
    covariates, stored = candidate_covariates(recruitment, numbers)
    findings = eligible_covariates(recruitment, covariates)
    rows = np.flatnonzero(findings.is_free_of()).astype(np.int64)
    is_anybody = len(rows) > 0
    if not is_anybody:
        rows = np.zeros(1, dtype=np.int64)  # so that every block has candidates of one shape
    candidates = candidates_with(
        recruitment,
        covariates.iloc[rows],
        None if stored is None else stored[rows],
        np.asarray(numbers)[rows],
    )
    true = baseline_values(recruitment, candidates)
    further = plausibility(recruitment, candidates, true)
    if recruitment.prior is not None:
        candidates, after = run_in(recruitment, recruitment.prior, candidates)
        for reason, kind in after.kinds.items():
            further.add(reason, kind, after.found[reason] & further.is_free_of("plausibility"))
        true = baseline_values(recruitment, candidates)
    plausible = further.is_free_of("plausibility")
    components = recruitment.situation.components
    observed = observe(components, true, candidates.numbers, recruitment.seed)
    entry(recruitment, observed, further, plausible)
    eligible_readouts(recruitment, observed, further, plausible)
    placed = further.placed(rows, len(numbers))
    for reason, kind in placed.kinds.items() if is_anybody else ():
        findings.add(reason, kind, placed.found[reason])
    return candidates, findings, rows


def redraw(recruitment: Recruitment, numbers: IntArray) -> Cohort:
    """Patients of these numbers, whether or not the criteria would let them enter.

    With other `Recruitment.factors` these are the same people under changed numbers of the model.

    Parameters
    ----------
    numbers
        In any order. Shape (patient,).
    """
    covariates, stored = candidate_covariates(recruitment, numbers)
    candidates = candidates_with(recruitment, covariates, stored, np.asarray(numbers, np.int64))
    if recruitment.prior is not None:
        candidates, _ = run_in(recruitment, recruitment.prior, candidates)
    return candidates


def draw_cohort(recruitment: Recruitment, n_patients: int) -> Cohort:
    """Draw candidates until `n_patients` have entered.

    Raises
    ------
    InputError
        So few candidates are eligible that the criteria must be a mistake.
    """
    kept: list[Intake] = []
    found, examined, batch = 0, 0, max(2 * n_patients, 64)
    while found < n_patients:
        if examined >= MOST_CANDIDATES * n_patients + 1000:
            refuse_criteria(recruitment.population.name, found, examined, joined_counts(kept))
        numbers = np.arange(examined, examined + batch, dtype=np.int64)
        block = intake(recruitment, numbers).up_to(n_patients - found)
        kept.append(block)
        found += len(block.cohort.numbers)
        examined += block.findings.n_candidates
    return cohort_of(kept)


def refuse_criteria(
    population: str, found: int, examined: int, rejected: Mapping[str, int]
) -> NoReturn:
    """So few candidates may enter that the criteria must be a mistake."""
    worst = max(rejected, key=lambda reason: rejected[reason])
    raise InputError(
        f"population '{population}': only {found} of {examined} candidates may enter",
        remedy=f"most were left out for '{worst}' ({rejected[worst]} of them)",
    )


def joined_counts(blocks: Sequence[Intake]) -> dict[str, int]:
    """Reasons of all blocks with their counts, the most frequent first."""
    total: dict[str, int] = {}
    for block in blocks:
        for reason, n in block.rejected.items():
            total[reason] = total.get(reason, 0) + n
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def cohort_of(blocks: Sequence[Intake]) -> Cohort:
    """Everybody who entered from some blocks."""
    parts = [block.cohort for block in blocks]
    stored = [part.stored_numbers for part in parts if part.stored_numbers is not None]
    return Cohort(
        np.concatenate([part.numbers for part in parts]),
        pd.concat([part.covariates for part in parts], ignore_index=True),
        np.concatenate([part.parameters for part in parts]),
        np.concatenate([part.initial_states for part in parts]),
        sum(block.findings.n_candidates for block in blocks),
        joined_counts(blocks),
        {
            key: np.concatenate([part.bioavailability[key] for part in parts])
            for key in parts[0].bioavailability
        },
        np.concatenate(stored) if stored else None,
    )


def rejections(blocks: Sequence[Intake]) -> pd.DataFrame:
    """Why candidates of some blocks were left out; see `screening.rejection_table`."""
    return rejection_table([block.findings for block in blocks])

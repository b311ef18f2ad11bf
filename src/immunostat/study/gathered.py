"""Every patient of a study, read from the chunks of its run column by column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from immunostat.base import streams
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.event_times import EventTimes
from immunostat.study.plan import Plan
from immunostat.study.store import AnyArray, Chunk, Store, chunks_of
from immunostat.trial.assign import assign, strata_of

#: Size of the columns that are kept at hand.
RECENT_BYTES = 128 * 2**20


@dataclass(frozen=True, eq=False)
class Gathered:
    """The finished chunks of a run.

    Parameters
    ----------
    plan
        What was simulated.
    store
        Where the chunks are.
    n_chunks
        Number of chunks.
    """

    plan: Plan
    store: Store
    n_chunks: int

    def chunks(self) -> Iterator[Chunk]:
        """Chunks in order."""
        return chunks_of(self.store, self.n_chunks)

    def column(self, name: str) -> AnyArray:
        """One column of all patients. First axis (patient,)."""
        recent = self._recent
        if name not in recent:
            while sum(own.nbytes for own in recent.values()) > RECENT_BYTES:
                del recent[next(iter(recent))]
            found = np.concatenate([chunk.columns[name] for chunk in self.chunks()])
            found.flags.writeable = False
            recent[name] = found
        return recent[name]

    @cached_property
    def _recent(self) -> dict[str, AnyArray]:
        """Columns read lately, for analyses that ask for the same one again and again."""
        return {}

    def log(self, name: str) -> AnyArray:
        """One log of all patients; a ``row`` counts over all of them. Shape (entry,)."""
        parts, before = [], 0
        for chunk in self.chunks():
            shift = before if name.endswith("row") else 0
            parts.append(chunk.logs[name] + shift if shift else chunk.logs[name])
            before += chunk.n_patients
        return np.concatenate(parts)

    @cached_property
    def numbers(self) -> IntArray:
        """Number of each patient among the candidates. Shape (patient,)."""
        return np.asarray(self.column("number"), dtype=np.int64)

    @property
    def n_patients(self) -> int:
        """Number of patients of all replicates."""
        return len(self.numbers)

    @cached_property
    def n_in_trial(self) -> int:
        """Number of patients of one replicate."""
        study = self.plan.study
        return study.design.patients_in_trial(study.population.n_patients)

    @cached_property
    def replicate(self) -> IntArray:
        """Which whole trial each patient belongs to, from 0. Shape (patient,)."""
        return np.arange(self.n_patients, dtype=np.int64) // self.n_in_trial

    @cached_property
    def assigned(self) -> IntArray | None:
        """Index of the arm to which each patient was randomized; None if all are in all arms."""
        study = self.plan.study
        design = study.design
        if not design.is_parallel:
            return None
        names = [name for condition in design.strata for name in condition.names]
        covariates = {name: self.column(f"covariate/{name}") for name in names}
        found = np.empty(self.n_patients, dtype=np.int64)
        for replicate in range(int(self.replicate.max(initial=-1)) + 1):
            own = self.replicate == replicate
            strata = None
            if design.strata:
                strata, _ = strata_of(design.strata, {k: v[own] for k, v in covariates.items()})
            # Another seed for each trial, or all of them would have the same sequence of arms.
            one = np.array([replicate])
            seed = int(streams.words(study.population.seed, "seed of a whole trial", one)[0, 0])
            found[own] = assign(
                self.numbers[own], seed, design.ratio, design.method, design.block, strata
            ).arm
        return found

    def is_in(self, arm: int) -> npt.NDArray[np.bool_]:
        """Which patients the trial sees in an arm. Shape (patient,)."""
        if self.assigned is None:
            return np.ones(self.n_patients, dtype=bool)
        return np.asarray(self.assigned == arm)

    def exact(self, arm: int, endpoint: str) -> EventTimes | None:
        """Days of events of all patients, for an endpoint that is made of events."""
        try:
            return EventTimes.of(
                np.asarray(self.column(f"event_time/{arm}/{endpoint}"), np.float64)
            )
        except KeyError:
            return None

    def gone(self, arm: int) -> FloatArray:
        """Day on which each patient of an arm left or died, infinite without. Shape (patient,)."""
        found = np.full(int(self.is_in(arm).sum()), np.inf)
        if self.plan.study.dropout:
            found = self.values(f"left/{arm}", arm)
        if self.plan.situation.events:
            found = np.fmin(found, self.values(f"died/{arm}", arm))
        return found

    def values(self, name: str, arm: int) -> FloatArray:
        """A column of the patients of an arm."""
        return np.asarray(self.column(name)[self.is_in(arm)], dtype=np.float64)

"""Points of a calibration: their numbers, their objective, and the best one so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from immunostat.model.system import FloatArray
from immunostat.study.calibration_log import Entry, Log
from immunostat.study.training import TrainingArms

#: Called with how much is done, how much there is, and the name of the stage.
Progress = Callable[[int, int, str], None]

#: Objective where nothing could be computed.
WORST = 1e6

START, EXPLORE, POLISH, SLOPES, PROFILE = "start", "explore", "polish", "slopes", "profile"


class Points:
    """Evaluates points, keeps the log, and tells how far it is."""

    def __init__(self, arms: TrainingArms, log: Log, total: int, progress: Progress | None) -> None:
        self.arms, self.log, self.total = arms, log, total
        self.progress = progress or (lambda done, of, stage: None)
        self.fitted = arms.calibration.fitted
        ends = np.array([own.ends for own in self.fitted])
        self.low, self.widths = ends[:, 0], ends[:, 1] - ends[:, 0]
        self.start = (self._on_scale({f.name: f.start for f in self.fitted}) - self.low) / (
            self.widths
        )
        self.roots = np.sqrt([own.weight for own in arms.wanted])
        self._best: Entry | None = None

    @property
    def best(self) -> Entry:
        """The best evaluation so far."""
        assert self._best is not None
        return self._best

    @property
    def best_point(self) -> FloatArray:
        """Where it is, in the box. Shape (number,)."""
        return np.array(self.best.point)

    def _on_scale(self, values: Mapping[str, float]) -> FloatArray:
        return np.array([own.to_search(values[own.name]) for own in self.fitted])

    def values(self, point: FloatArray) -> dict[str, float]:
        """Numbers at a point, by label; the start has them as its card does."""
        if np.array_equal(point, self.start):
            return {own.name: own.start for own in self.fitted}
        scale = self.low + self.widths * point
        return {
            own.name: min(max(own.from_search(float(at)), own.card.low), own.card.high)
            for own, at in zip(self.fitted, scale, strict=True)
        }

    def pulled(self, point: FloatArray) -> float:
        """Squared distance from the start, in standard deviations of the pulls."""
        moved = (point - self.start) * self.widths
        pulls = [own.card.pull for own in self.fitted]
        return sum(float(m / pull) ** 2 for m, pull in zip(moved, pulls, strict=True) if pull)

    def at(self, point: FloatArray, stage: str) -> Entry:
        """Evaluate a point, or take it from the log."""
        key = tuple(float(x) for x in point)
        entry = self.log.evaluation(key, lambda: self._evaluate(key, stage))
        if self._best is None or entry.objective < self._best.objective:
            self._best = entry
        worst = max((abs(x) for x in self.best.off_by), default=0.0)
        self.progress(
            self.log.n_done,
            max(self.total, self.log.n_done),
            f"evaluations (best {self.best.objective:.4g}, largest miss {worst:.1f} SE)",
        )
        return entry

    def _evaluate(self, key: tuple[float, ...], stage: str) -> Entry:
        point = np.array(key)
        found = self.arms.predict(self.values(point))
        off = found.off_by
        fourth = self.arms.calibration.card.fourth_power
        misses = float(np.sum(self.roots**2 * (off**2 + fourth * off**4)))
        objective = misses + self.pulled(point) + (100.0 * found.failed_share) ** 2
        if found.problem or not math.isfinite(objective):
            objective = WORST
        return Entry(
            stage,
            key,
            objective,
            tuple(float(x) for x in found.values),
            tuple(float(x) for x in off),
            found.failed_share,
            found.problem,
        )

    def misses(self, point: FloatArray) -> FloatArray:
        """Misses in standard errors times the root of their weights. Shape (result,)."""
        return np.asarray(self.roots * np.array(self.at(point, SLOPES).off_by))

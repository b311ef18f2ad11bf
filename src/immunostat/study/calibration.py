"""Calibrate a situation: search, look at how well the numbers are told, and weigh the patients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError
from immunostat.catalog.calibrations import Calibration
from immunostat.catalog.lookup import Catalog
from immunostat.model.system import FloatArray
from immunostat.population.weight import Target, weight
from immunostat.study.calibration_log import Entry, Log
from immunostat.study.calibration_points import (
    EXPLORE,
    POLISH,
    PROFILE,
    START,
    Points,
    Progress,
)
from immunostat.study.calibration_search import explore, polish
from immunostat.study.calibration_tables import evaluations_table, numbers_table, training_table
from immunostat.study.identifiability import (
    Information,
    ProfilePoint,
    information,
    profile_points,
    slopes_at,
)
from immunostat.study.population_build import response_chances
from immunostat.study.population_targets import Wanted as Share
from immunostat.study.training import TrainingArms
from immunostat.study.versions import own_version

#: Downhill searches at most; another one begins where a better point is met afterwards.
ROUNDS = 3

#: So much smaller must the objective of a better point be.
BETTER = 0.01


@dataclass(frozen=True)
class Weighing:
    """Prevalence weights of the patients of one group.

    Parameters
    ----------
    patients
        Who they are.
    n_patients, effective_size, largest
        How many, for how many they stand, and the largest weight as a multiple of the average.
    problem
        Why there are none; empty if there are.
    """

    patients: str
    n_patients: int
    effective_size: float
    largest: float
    problem: str = ""


@dataclass(frozen=True)
class Calibrated:
    """What a calibration found.

    Parameters
    ----------
    calibration
        What was asked.
    n_patients, seed
        Virtual patients of each arm, and the seed.
    point
        The best point, in the box. Shape (number,).
    values
        The same in the unit of each number, by label.
    training
        A row for each result that was followed.
    numbers
        A row for each number that was sought.
    evaluations
        A row for each evaluation: stage, objective, largest miss, and the numbers.
    information, profile
        How well the numbers are told; and the objective at `profile` points, above its smallest.
    weighings
        By group of patients; empty if none were asked for.
    objective
        At the start and at the best point.
    better
        Objective of a better point that was met after the search; None if none was.
    n_failed
        Patient-arms that could not be computed at the best point, in percent.
    """

    calibration: Calibration
    n_patients: int
    seed: int
    point: FloatArray
    values: Mapping[str, float]
    training: pd.DataFrame
    numbers: pd.DataFrame
    evaluations: pd.DataFrame
    information: Information
    profile: tuple[tuple[ProfilePoint, float], ...]
    weighings: tuple[Weighing, ...]
    objective: tuple[float, float]
    better: float | None
    failed_percent: float


@dataclass(frozen=True)
class Options:
    """How a calibration is run; what is None is as its card says.

    Parameters
    ----------
    patients, seed
        Virtual patients of each arm, and the seed of all random numbers.
    explore, polish
        Evaluations of the two searches.
    weights
        Whether weights are sought.
    threads
        Of the solver; numbers do not depend on it.
    """

    patients: int | None = None
    seed: int | None = None
    explore: int | None = None
    polish: int | None = None
    weights: bool | None = None
    threads: int | None = None

    def settled(self, calibration: Calibration) -> dict[str, Any]:
        """With what the card says filled in."""
        card = calibration.card
        return {
            "patients": card.patients if self.patients is None else self.patients,
            "seed": card.seed if self.seed is None else self.seed,
            "explore": card.search.explore if self.explore is None else self.explore,
            "polish": card.search.polish if self.polish is None else self.polish,
            "weights": card.weights if self.weights is None else self.weights,
        }


def calibrate(
    catalog: Catalog,
    calibration: Calibration,
    options: Options | None = None,
    folder: Path | None = None,
    is_resumed: bool = False,
    is_forced: bool = False,
    progress: Progress | None = None,
) -> Calibrated:
    """Fit the numbers of a calibration to its training arms.

    Parameters
    ----------
    calibration
        From `catalog.calibrations.resolved`.
    options
        How it is run.
    folder
        Where evaluations are kept; a cut-off search goes on from there. Nowhere if None.
    is_resumed, is_forced
        Whether to go on with what is in the folder, or to remove it.
    progress
        Told of finished evaluations.

    Returns
    -------
    The fit. The same seed gives the same bits, on any number of threads, cut off or not.

    Raises
    ------
    InputError
        The folder holds another calibration, an arm cannot be simulated, or nothing can be computed
        at the start.
    """
    options = options or Options()
    asked = options.settled(calibration)
    arms = TrainingArms(calibration, catalog, asked["patients"], asked["seed"], options.threads)
    mark = {
        "calibration": calibration.card.name,
        "version": own_version(),
        "catalog": catalog.hash(),
        # Weights are sought after the search, which does not depend on them.
        **{key: value for key, value in asked.items() if key != "weights"},
    }
    log = Log(folder, mark, is_resumed, is_forced)
    n = len(calibration.fitted)
    total = 1 + asked["explore"] + asked["polish"] + 2 * n + 4 * n
    search = Points(arms, log, total, progress)
    first = search.at(search.start, START)
    if first.problem:
        raise InputError(f"nothing can be computed at the start: {first.problem}")
    width = calibration.card.search.width
    explore(
        lambda p: search.at(p, EXPLORE).objective,
        search.start,
        width,
        asked["explore"],
        asked["seed"],
    )
    for _ in range(ROUNDS):
        # What is looked at around the optimum may be better than it: then the search goes on there.
        polish(lambda p: search.at(p, POLISH).objective, search.best_point, asked["polish"])
        best = search.best
        told, profile = _surroundings(search, best)
        if search.best.objective > best.objective - BETTER:
            break
    point = np.array(best.point)
    values = search.values(point)
    fresh = arms.with_seed(asked["seed"] + 1).predict(values)
    weighings = _weighings(arms, values) if asked["weights"] else ()
    later = search.best.objective if search.best.objective < best.objective else None
    search.progress(total, total, "evaluations")
    return Calibrated(
        calibration,
        asked["patients"],
        asked["seed"],
        point,
        values,
        training_table(arms, first, best, fresh.values),
        numbers_table(arms, search, point, values, told),
        evaluations_table(search),
        told,
        profile,
        weighings,
        (first.objective, best.objective),
        later,
        100.0 * best.failed_share,
    )


def _surroundings(
    search: Points, best: Entry
) -> tuple[Information, tuple[tuple[ProfilePoint, float], ...]]:
    """What the data say near a point, and profiles of the objective through it."""
    point = np.array(best.point)
    slopes = slopes_at(search.misses, point, search.widths)
    pulls = [own.card.pull for own in search.fitted]
    squares = float(np.sum((search.roots * np.array(best.off_by)) ** 2)) + search.pulled(point)
    told = information(slopes, pulls, search.widths, squares)
    profile = tuple(
        (own, search.at(own.point, PROFILE).objective - best.objective)
        for own in profile_points(point, told, search.widths)
    )
    return told, profile


def _weighings(arms: TrainingArms, values: Mapping[str, float]) -> tuple[Weighing, ...]:
    """Prevalence weights that bring the responses of the training arms to what was published."""
    found = []
    for i, group in enumerate(arms.groups):
        shares = [own for own in arms.wanted if own.group == i and own.is_binary]
        words = group.who.words(arms.catalog)
        if not shares:
            found.append(Weighing(words, arms.n_patients, math.nan, math.nan, "no share to meet"))
            continue
        simulation = arms.simulate(i, values)
        wanted = [
            Share(
                Target(own.words, own.value / 100.0),
                own.endpoint,
                own.simulated,
                7.0 * own.week,
                own.n,
            )
            for own in shares
        ]
        chances = response_chances(simulation, wanted)
        days = np.asarray(simulation.plan.study.visits_day)
        columns = [
            chances[own.arm, own.column][:, int(np.argmin(np.abs(days - own.day)))]
            for own in wanted
        ]
        try:
            weights = weight(np.column_stack(columns), [own.target for own in wanted])
        except InputError as error:
            found.append(Weighing(words, arms.n_patients, math.nan, math.nan, error.message))
            continue
        n = len(weights.values)
        found.append(Weighing(words, n, weights.effective_size, float(weights.values.max() * n)))
    return tuple(found)

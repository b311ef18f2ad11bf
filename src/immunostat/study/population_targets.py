"""What a weighted population should be like: published baseline tables and training arms.

Only arms whose card says ``role: training`` are used, and of those only results that were read in
their source; held-back arms stay what predictions are judged by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from immunostat.base.errors import InputError, near_matches
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import PopulationCard, SituationCard
from immunostat.outcomes.endpoints import KINDS
from immunostat.population.weight import SHARE_TOLERANCE, Target
from immunostat.study.study import Study
from immunostat.study.study_reader import make_study

#: The arm of those who take what the population takes all along.
BACKGROUND_ARM = "background"


@dataclass(frozen=True)
class Wanted:
    """One published number of patients who entered.

    Parameters
    ----------
    target
        What it should be.
    column
        Covariate or component at baseline; or endpoint of an arm.
    arm
        Name of the arm in the study that simulates it; empty for a baseline.
    day
        Time of the visit, day.
    n
        Number of patients behind the number; None if it is not known.
    source, where
        Where it is printed.
    """

    target: Target
    column: str
    arm: str = ""
    day: float = 0.0
    n: int | None = None
    source: str = ""
    where: str = ""


def baseline_wanted(population: PopulationCard, situation: SituationCard) -> list[Wanted]:
    """Baseline tables of a population.

    Raises
    ------
    InputError
        A table names neither a covariate nor a component.
    """
    found = []
    known = {**population.covariates, **situation.components}
    for own in population.baseline:
        if own.of not in known:
            raise InputError(
                f"population '{population.name}': baseline of '{own.of}', which is neither a "
                "covariate nor a component",
                remedy=near_matches(own.of, known),
            )
        target = Target(own.of, own.mean, own.sd)
        found.append(Wanted(target, own.of, n=own.n, source=own.source or "", where=own.where))
    return found


def responses_wanted(
    catalog: Catalog, situation: SituationCard, population: PopulationCard
) -> tuple[list[Wanted], dict[str, list[str]]]:
    """Response rates of the training arms of a population, and the arms that give them.

    Returns
    -------
    What is wanted, and regimen lines by arm of a study. Of an arm's visits, the first with a
    printed response is used. Arms with the same regimen are one arm.
    """
    found: list[Wanted] = []
    arms: dict[str, list[str]] = {}
    for name in catalog.trials():
        trial = catalog.trial(name)
        if (trial.situation, trial.population) != (situation.name, population.name):
            continue
        for arm in trial.arms:
            if arm.role != "training":
                continue
            lines = list(arm.lines)
            own = " + ".join(lines) or BACKGROUND_ARM
            usable = [
                result
                for result in arm.results
                if result.checked
                and result.endpoint in situation.endpoints
                and KINDS[situation.endpoints[result.endpoint].kind].is_binary
            ]
            for result in usable:
                # Later visits count as non-responders those who have left by then: weights of
                # patients who all stay would have to find patients who relapse instead.
                if result.week > min(other.week for other in usable):
                    continue
                share = result.value / 100.0 if result.unit == "%" else result.value
                label = f"{result.endpoint} of {trial.name} {arm.name}, week {result.week:g}"
                found.append(
                    Wanted(
                        Target(label, share, tolerance=_tolerance(share, result.n or arm.n)),
                        result.endpoint,
                        own,
                        result.week * 7.0,
                        result.n or arm.n,
                        result.source or "",
                        result.where,
                    )
                )
                arms[own] = lines
    return found, arms


def _tolerance(share: float, n: int | None) -> float | None:
    """Half of the 95 % interval of a published share: that of a trial is known no better.

    With one arm for each target, exact shares would contradict each other by chance alone.
    """
    if n is None:
        return None
    return max(SHARE_TOLERANCE, 1.96 * float(np.sqrt(share * (1.0 - share) / n)))


def training_study(
    catalog: Catalog,
    situation: SituationCard,
    population: PopulationCard,
    wanted: list[Wanted],
    arms: Mapping[str, list[str]],
    seed: int,
) -> Study:
    """One study with every training arm; with no arm, one day of nobody's treatment."""
    days = sorted({own.day for own in wanted if own.arm})
    return make_study(
        {
            "title": f"Training arms of {population.name}",
            "situation": situation.name,
            "population": {"name": population.name, "seed": seed},
            "arms": dict(arms) or {BACKGROUND_ARM: []},
            "duration": f"{days[-1] if days else 1.0:g} days",
            "visits": [f"{day:g} days" for day in [0.0, *days]],
            "endpoints": list(dict.fromkeys(own.column for own in wanted if own.arm)),
            "side_effects": "none",
        },
        catalog,
    )


def standard_error(wanted: Wanted) -> float:
    """Standard error of a published number; NaN where the number of patients is not known."""
    if wanted.n is None:
        return float(np.nan)
    mean, sd = wanted.target.mean, wanted.target.sd
    spread = float(np.sqrt(mean * (1.0 - mean))) if sd is None else sd
    return spread / float(np.sqrt(wanted.n))

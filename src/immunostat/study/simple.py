"""The shortest way in: a situation, regimens in plain words, a result."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import Catalog, packaged_catalog
from immunostat.study.chunks import Progress
from immunostat.study.result import Result
from immunostat.study.run import run
from immunostat.study.study import Study, StudyPopulation
from immunostat.therapy.grammar import parse_regimen

#: Names of the two arms that `simulate` makes.
WITHOUT, WITH = "background", "treatment"


def simulate(
    situation: str,
    regimens: Sequence[str],
    *,
    patients: int = 500,
    weeks: float = 24,
    population: str | None = None,
    seed: int = 1,
    threads: int | None = None,
    progress: Progress | None = None,
    catalog: Catalog | None = None,
) -> Result:
    """Simulate one treatment beside background therapy alone, in the same virtual patients.

    Parameters
    ----------
    situation
        For example ``rheumatoid-arthritis``.
    regimens
        For example ``["adalimumab 40 mg subcutaneous every 2 weeks"]``.
    patients
        Number of patients in each arm.
    weeks
        Length of the study; visits are every 4 weeks and at the end.
    population
        Name of the population; the first of the situation if None.
    seed, threads, progress, catalog
        As for `run`.

    Returns
    -------
    Result with the arms ``background`` and ``treatment``.

    Raises
    ------
    InputError
        A name or a regimen is not understood; the message says what is.

    Examples
    --------
    >>> import immunostat as im
    >>> words = ["adalimumab 40 mg subcutaneous every 2 weeks"]
    >>> result = im.simulate("rheumatoid-arthritis", words, patients=50, weeks=12)
    >>> sorted(set(result.endpoints["arm"]))
    ['background', 'treatment']
    """
    catalog = catalog or packaged_catalog()
    card = catalog.situation(situation)
    if weeks <= 0 or patients <= 0:
        raise InputError("weeks and patients must be above 0")
    name = population or next(iter(catalog.populations(card.name)), None)
    if name is None:
        raise InputError(f"situation '{card.name}' has no population")
    days = 7.0 * weeks
    visits = sorted({*np.arange(0.0, days, 28.0).tolist(), days})
    parsed = tuple(parse_regimen(words, catalog.drug, card.name) for words in regimens)
    study = Study(
        title=f"{card.title}: " + " and ".join(str(regimen) for regimen in parsed),
        situation=card.name,
        population=StudyPopulation(name, patients, seed, catalog.population(name).title),
        arms=MappingProxyType({WITHOUT: (), WITH: parsed}),
        duration_day=days,
        visits_day=tuple(visits),
        endpoints=tuple(card.endpoints),
        side_effects=catalog.side_effects(),
        has_all_side_effects=True,
    )
    return run(study, threads=threads, progress=progress, catalog=catalog)

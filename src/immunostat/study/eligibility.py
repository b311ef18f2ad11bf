"""Who may enter besides what the population's card says: conditions in words, special populations.

Nothing is known here of pregnancy: no population has it, most of the drugs harm the unborn child or
were never given to pregnant women in a trial, and a program for research and teaching is not to
suggest otherwise. A condition that asks for it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from immunostat.base.errors import InputError, Place
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import PopulationCard, SituationCard
from immunostat.trial.conditions import Comparison, Condition, parse_condition, resolved

_PREGNANT = re.compile(r"pregnan|gravid|gestation|breast.?feeding|lactat", re.IGNORECASE)


def eligibility(
    words: str | Sequence[str],
    catalog: Catalog,
    situation: SituationCard,
    population: PopulationCard,
    place: Place | None = None,
) -> Condition:
    """The condition that names of special populations and conditions in words say together.

    Parameters
    ----------
    words
        One or several of: the name of a special population (``elderly``), a condition
        (``weight < 60 kg and CRP >= 10``). All must hold.
    catalog
        Where special populations are.
    situation, population
        Cards that say what can be compared, and in what unit: components of the situation (what the
        baseline visit records) and covariates of the population. Of two that share a name, the
        component is looked at.
    place
        File and line for errors.

    Returns
    -------
    Names and values as `Recruitment.eligibility` wants them.

    Raises
    ------
    InputError
        Words are neither a name nor a condition, a name is unknown or a unit does not convert; or
        pregnant patients are asked for.
    """
    units = {
        **{name: own.unit for name, own in population.covariates.items()},
        **{name: own.unit for name, own in situation.components.items()},
    }
    given = [words] if isinstance(words, str) else list(words)
    comparisons: list[Comparison] = []
    known = {name.lower(): name for name in catalog.special_populations()}
    for text in given:
        name = known.get(re.sub(r"[ _]+", "-", text.strip()).lower())
        said = catalog.special_population(name).condition if name else text
        if _PREGNANT.search(said):
            if not _excludes_pregnancy(said, place):
                refuse_pregnancy(said, place)
            continue
        try:
            condition = parse_condition(said, place)
        except InputError as error:
            names = ", ".join(known.values())
            raise InputError(
                error.message, place, f"{error.remedy}; or a special population: {names}"
            ) from None
        comparisons += resolved(condition, units, place).comparisons
    return Condition(tuple(dict.fromkeys(comparisons)))


def refuse_pregnancy(said: str, place: Place | None = None) -> NoReturn:
    """Pregnant patients are not simulated."""
    raise InputError(
        f"'{said}': pregnant or breast-feeding patients are not simulated",
        place,
        "many of these drugs harm the unborn child, trials exclude pregnancy, and there is nothing "
        "that a simulation could be checked against; this is a research tool and gives no medical "
        "advice. Remove the condition",
    )


def _excludes_pregnancy(said: str, place: Place | None) -> bool:
    """Whether words keep pregnant patients out, which is so in any case."""
    try:
        own = parse_condition(said, place).comparisons
    except InputError:
        return False
    return len(own) == 1 and (own[0].sign, own[0].value) in {("=", 0.0), ("is not", 1.0)}

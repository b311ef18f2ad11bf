"""Side effects: from a card and the courses of patients to the events that are drawn."""

from __future__ import annotations

from collections.abc import Mapping

from immunostat.base.errors import InputError
from immunostat.base.units import convert
from immunostat.catalog.cards import SideEffectCard
from immunostat.model.system import FloatArray
from immunostat.outcomes.events import Events, draw_events
from immunostat.outcomes.hazards import (
    CovariateDriver,
    DriverForm,
    Hazard,
    StateDriver,
    hazard_rate,
)
from immunostat.study.recruitment import Cohort, columns_of


def hazard_of(card: SideEffectCard) -> Hazard:
    """Hazard of a side-effect card."""
    assert card.background is not None
    background = convert(card.background.value, card.background.unit, "1/(100 year)")
    covariates, states = [], []
    for driver in card.drivers:
        form, per = DriverForm(driver.form), driver.per.value if driver.per else 1.0
        if driver.covariate is not None:
            reference = float(card.reference.get(driver.covariate, 0.0))
            covariates.append(
                CovariateDriver(driver.covariate, form, driver.effect, reference, per)
            )
        elif driver.drug is not None:
            raise InputError(
                f"side effect '{card.name}': a driver by drug ({driver.drug}) is not supported yet",
                remedy="drive the hazard by a state that the drug changes",
            )
        elif driver.state is not None:
            states.append(
                StateDriver(
                    driver.state, form, driver.effect, per, card.reference.get(driver.state)
                )
            )
    return Hazard(card.name, background, tuple(covariates), tuple(states))


def events_of(
    card: SideEffectCard,
    cohort: Cohort,
    treated: Mapping[str, FloatArray],
    untreated: Mapping[str, FloatArray],
    times: FloatArray,
    seed: int,
    end_day: FloatArray | None = None,
) -> Events:
    """Events of one side effect.

    Parameters
    ----------
    treated, untreated
        States by name, under an arm and in the same patients without treatment. Each (patient,
        time).
    times
        Shape (time,), day.
    end_day
        Day on which each patient leaves; None follows everybody to the end. Shape (patient,).
    """
    hazard = hazard_of(card)
    names = [driver.state for driver in hazard.states]
    rate = hazard_rate(
        hazard,
        columns_of(cohort.covariates),
        {name: treated[name] for name in names},
        {name: untreated[name] for name in names},
        (len(cohort.numbers), len(times)),
    )
    return draw_events(card.name, rate, times, seed, cohort.numbers, end_day)

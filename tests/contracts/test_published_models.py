"""Laws that the card of every published model keeps: numbers, course, printed results."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.catalog.cards import all_facts
from immunostat.catalog.check import check_card
from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.published import published_course, published_system, reproduced

CATALOG = packaged_catalog()
NAMES = CATALOG.published_models()


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_sound(name):
    """Units and sources exist, and every name of the card is in the equations."""
    assert [str(problem) for problem in check_card(CATALOG, "published", name)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_number_says_how_it_is_known(name):
    for path, fact in all_facts(CATALOG.published_model(name)):
        assert fact.evidence, path
        assert (fact.source and fact.where) or fact.because, path


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_the_equations_stands_in_the_card(name):
    card = CATALOG.published_model(name)
    text, _ = CATALOG.text(card.fragment)
    system = published_system(CATALOG, card)
    derived = {own for own, _ in system.derived_parameters}
    assert set(system.parameters) - derived == set(card.parameters)
    # the fragment itself gives no parameter a number
    for parameter in card.parameters:
        assert f"\n  {parameter} = " not in text


@pytest.mark.parametrize("name", NAMES)
def test_states_that_are_amounts_stay_positive(name):
    card = CATALOG.published_model(name)
    times = np.linspace(0.0, card.until, 401)
    data = published_course(CATALOG, card, times).to_dataset()
    for output in card.outputs:
        course = data[output].to_numpy()[0]
        assert np.isfinite(course).all()
        if output not in card.signed:
            # 1e-9 of the largest value: what the solver's tolerance leaves below zero
            assert course.min() >= -1e-9 * max(course.max(), 1.0)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_publication_prints_comes_out_again(name):
    for result in reproduced(CATALOG, CATALOG.published_model(name)):
        assert result.agrees, f"{result.card.what}: {result.card.value} and {result.value}"

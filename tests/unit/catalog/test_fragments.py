"""Kinetic fragments: what fits together, and what a card is told where it does not."""

import pytest

from immunostat.base.errors import InputError
from immunostat.catalog.check import check_document
from immunostat.catalog.fragments import chosen, joined_module
from immunostat.catalog.lookup import data_folder, packaged_catalog
from immunostat.catalog.reader import parse_yaml

CATALOG = packaged_catalog()
ADALIMUMAB = (data_folder() / "drugs" / "adalimumab.yaml").read_text(encoding="utf-8")
CHOSEN = "[first_order_absorption, central, peripheral, linear_elimination]"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["peripheral", "linear_elimination"], "lack the central compartment"),
        (["central", "peripheral"], "lack an elimination"),
        (["central", "linear_elimination", "time_varying_elimination"], "both bring 'clearance'"),
        (["central", "saturable_elimination", "auto_induction"], "there is none"),
        (["central", "linear_eliminaton"], "not in the catalog"),
    ],
)
def test_fragments_that_make_no_model_are_refused(names, message):
    with pytest.raises(InputError, match=message):
        chosen(names, CATALOG.fragments())


def test_the_balance_holds_every_flow_once():
    names = [
        *("first_order_absorption", "central", "peripheral", "second_peripheral"),
        *("linear_elimination", "saturable_elimination"),
    ]
    text = joined_module(CATALOG, names)
    assert "central' = absorption - distribution - second_distribution - elimination;" in text
    assert "elimination := linear_flow + saturable_flow;" in text


@pytest.mark.parametrize(
    ("old", "new", "message", "remedy"),
    [
        (
            CHOSEN,
            "[first_order_absorption, central, linear_elimination]",
            "no chosen fragment has a parameter 'intercompartmental_clearance'",
            "belongs to peripheral",
        ),
        (
            CHOSEN,
            "[first_order_absorption, central, peripheral, linear_elimination, "
            "saturable_elimination]",
            "fragment 'saturable_elimination' needs the parameter 'maximum_elimination'",
            "nmol/day",
        ),
        ("into: depot", "into: stomach", "no state of the fragments", "states: depot, central"),
        ("  concentration: concentration", "  concentration: level", "gives 'level'", "given:"),
        ("value: 0.0244", "value: -0.0244", "below zero", "0 or above"),
        ("fragments: " + CHOSEN, "fragments: " + CHOSEN + "\n  model: own", "one of", ""),
    ],
)
def test_a_card_that_does_not_fit_its_fragments_names_line_and_remedy(old, new, message, remedy):
    assert old in ADALIMUMAB
    document = parse_yaml(ADALIMUMAB.replace(old, new, 1), "drugs/adalimumab.yaml")
    problems = [str(problem) for problem in check_document(CATALOG, "drugs", document)]
    assert len(problems) == 1
    assert problems[0].startswith("drugs/adalimumab.yaml:")
    assert message in problems[0]
    assert remedy in problems[0]

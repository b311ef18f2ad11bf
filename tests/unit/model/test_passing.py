"""Which states only hand on what they hold."""

from __future__ import annotations

from immunostat.model.antimony import Fragment, flatten
from immunostat.model.passing import passed_on
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem


def system(text: str) -> OdeSystem:
    return system_from_sbml(flatten([Fragment(f"model m()\n{text}\nend", "m.ant")], "m"), "m")


CHAIN = """
depot = 1; transit = 0; central = 0; peripheral = 0; effect = 0
ka = 2; ke = 1; q = 1; v = 3; share = 0.8
absorbed := ka*transit; c := central/v
depot' = -ka*depot
transit' = ka*depot - absorbed
central' = share*absorbed - ke*central - q*(central - peripheral)
peripheral' = q*(central - peripheral)
effect' = c - effect
"""
AMOUNTS = ("depot", "transit", "central", "peripheral")


def test_depots_lead_to_the_circulation_and_what_is_seen_stays_exact() -> None:
    assert passed_on(system(CHAIN), AMOUNTS, ["c"]) == {
        "depot": "central",
        "transit": "central",
        "peripheral": "central",
    }


def test_two_that_exchange_have_no_end() -> None:
    own = passed_on(system(CHAIN.replace("effect' = c - effect", "effect' = 0")), AMOUNTS)
    assert "central" not in own
    assert "peripheral" not in own


def test_what_grows_on_the_way_is_not_handed_on() -> None:
    assert "transit" not in passed_on(
        system(CHAIN.replace("share*absorbed", "3*absorbed")), AMOUNTS
    )
    # what inhibits the taker takes nothing up
    assert "transit" not in passed_on(system(CHAIN.replace("share*absorbed", "-absorbed")), AMOUNTS)

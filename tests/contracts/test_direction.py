"""The direction that a card states, against the simulator's own immune activity profile."""

from __future__ import annotations

import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.simple import simulate

pytestmark = pytest.mark.slow

SITUATION = "rheumatoid-arthritis"


def acting_drugs() -> list[str]:
    """Drugs with a label in arthritis that act on a target of the immune core."""
    catalog = packaged_catalog()
    found = []
    for name in catalog.drugs():
        drug = catalog.drug(name)
        acts = any(
            catalog.target(target).hook is not None and action.affinity is not None
            for target, action in drug.targets.items()
        )
        if acts and drug.pk is not None and SITUATION in drug.regimens:
            found.append(name)
    return found


def test_there_are_drugs_to_check() -> None:
    assert {"adalimumab", "tocilizumab"} <= set(acting_drugs())


@pytest.mark.parametrize("name", acting_drugs())
def test_profile_goes_the_way_that_the_card_says(name) -> None:
    profile = simulate(SITUATION, [f"{name} label"], patients=30, weeks=12).profile
    words = profile.set_index("function").direction
    wanted = {"suppressant": "suppressed", "stimulant": "stimulated"}
    direction = packaged_catalog().drug(name).direction
    if direction in wanted:
        moved = words[words != "unchanged"]
        assert len(moved) > 0, "a drug that acts must move something"
        # Most of what moves goes the stated way; a part may rise when its brake falls.
        assert (moved == wanted[direction]).mean() >= 0.75, moved.to_dict()

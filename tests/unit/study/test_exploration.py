from __future__ import annotations

import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.exploration import Explorer, Kept
from immunostat.study.run import run
from immunostat.study.study import Study
from immunostat.study.study_reader import make_study


def study(dose: float) -> Study:
    return make_study(
        {
            "situation": "rheumatoid-arthritis",
            "population": {"name": "methotrexate-inadequate-response", "patients": 12},
            "arms": {
                "background": [],
                "drug": f"adalimumab {dose:g} mg subcutaneous every 2 weeks",
            },
            "duration": "4 weeks",
        }
    )


@pytest.mark.slow
def test_a_kept_model_and_cohort_give_the_bits_of_a_run_of_their_own() -> None:
    explorer = Explorer(packaged_catalog())
    explorer.run(study(40))
    found, alone = explorer.run(study(80)).result, run(study(80))
    assert found.trajectories.equals(alone.trajectories)
    assert found.endpoints.equals(alone.endpoints)
    assert found.side_effects.equals(alone.side_effects)
    assert explorer.plan(study(20)).assembly is explorer.plan(study(60)).assembly


def test_the_values_asked_for_last_are_kept() -> None:
    kept: Kept[int] = Kept(2)
    for key in ("a", "b", "a", "c"):
        kept.get(key, lambda key=key: ord(key))  # type: ignore[misc]
    assert "a" in kept
    assert "b" not in kept
    assert kept.get("a", lambda: -1) == ord("a")

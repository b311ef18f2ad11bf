"""One drug alone: exposure, and published beside predicted."""

import numpy as np
import pytest

from immunostat.base.errors import InputError
from immunostat.catalog.drug_cards import ExposureCheckCard
from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.assemble import assemble, hooks_of
from immunostat.study.exposure import expose, metrics
from immunostat.study.exposure_checks import (
    NotComparable,
    Predictions,
    by_drug,
    compared,
    verdict,
    wanted,
)
from immunostat.study.exposure_tables import band, metric_table
from immunostat.study.kinetic_people import single_dose
from immunostat.therapy.grammar import parse_regimen

CATALOG = packaged_catalog()


def regimen(words):
    return parse_regimen(words, CATALOG.drug)


def asked(**keys):
    known = {
        "regimen": "40 mg subcutaneous once",
        "quantity": "trough",
        "statistic": "mean",
        "value": 1.0,
        "unit": "ug/mL",
        "evidence": "assumed",
        "because": "a test",
    }
    return wanted(ExposureCheckCard(**{**known, **keys}))


def test_at_steady_state_one_interval_holds_the_area_of_one_dose():
    """Linear kinetics: the area over an interval is that to infinity after a single dose."""
    words = regimen("adalimumab 40 mg subcutaneous every 2 weeks")
    steady = metrics(expose(CATALOG, words, weeks=300, n_patients=20))
    single = metrics(expose(CATALOG, single_dose(words), n_patients=20))
    # 1 %: samples of a curve, and those whose half-life is longest
    assert np.median(steady["area"] / single["area to infinity"]) == pytest.approx(1, rel=0.01)


def test_more_people_hold_the_fewer():
    words = regimen("tocilizumab 8 mg/kg intravenous over 1 hour once")
    few, more = (metrics(expose(CATALOG, words, n_patients=n))["maximum"] for n in (5, 9))
    assert more[:5] == pytest.approx(few, rel=1e-6)


def test_a_cap_on_the_dose_limits_the_peak():
    capped = regimen("tocilizumab 8 mg/kg intravenous over 1 hour once maximum 100 mg")
    free = regimen("tocilizumab 8 mg/kg intravenous over 1 hour once")
    low, high = (
        metrics(expose(CATALOG, words, n_patients=8))["maximum"] for words in (capped, free)
    )
    assert (low < high / 3).all()


def test_the_table_has_units_and_an_order():
    table = metric_table(
        expose(CATALOG, regimen("adalimumab 40 mg subcutaneous once"), n_patients=9)
    )
    assert list(table["metric"][:2]) == ["Cmax", "tmax"]
    assert (table["low"] <= table["median"]).all()
    assert (table["median"] <= table["high"]).all()
    assert table.set_index("metric").loc["Cmax", "unit"] == "ug/mL"


def test_a_picture_has_few_points_that_keep_the_peak():
    found = expose(CATALOG, regimen("adalimumab 40 mg subcutaneous every 2 weeks"), n_patients=9)
    few, all_ = band(found, 100), band(found)
    assert len(few) <= 100 < len(all_)
    assert few["q50"].max() == all_["q50"].max()


def test_words_of_a_check_become_a_question():
    question = asked(quantity="area under the curve over 4 weeks", condition="steady state")
    assert question.window_day == 28.0
    assert not question.is_single
    assert asked(condition="single dose").is_single
    assert asked(quantity="trough at week 28").at_day == 196.0
    assert asked(condition="after the second infusion").dose_number == 2
    pair = asked(quantity="accumulation ratio of the maximum", condition="9th over 3rd dose")
    assert (pair.dose_number, pair.against_number, pair.of) == (9, 3, "maximum")


def test_doses_before_the_first_full_one_lower_the_accumulation():
    """The dose that is divided by is named, so that smaller ones may come before it."""

    def ratio(words, condition):
        keys = {"quantity": "accumulation ratio", "condition": condition, "regimen": words}
        keys |= {"statistic": "mean", "value": 1.0, "unit": "1", "evidence": "assumed"}
        drug = CATALOG.drug("teclistamab")
        return Predictions(CATALOG, drug, 8, 1).values(ExposureCheckCard(**keys, because="test"))

    weekly = "1.5 mg/kg subcutaneous every week"
    steps = "0.06 mg/kg subcutaneous once then 0.3 mg/kg once from day 3 then 1.5 mg/kg every week"
    plain, named = ratio(weekly, "7th dose"), ratio(weekly, "7th over 1st dose")
    # 1e-3: the interval of the first dose has more samples in one than in the other
    assert np.allclose(plain, named, rtol=1e-3)
    assert (ratio(f"{steps} from day 6", "9th over 3rd dose") < named).all()


@pytest.mark.parametrize(
    "keys",
    [
        {"quantity": "trough without methotrexate"},
        {"statistic": "upper bound"},
        {"condition": "in children"},
        {"comparable": False},
    ],
)
def test_what_cannot_be_compared_says_why(keys):
    with pytest.raises(NotComparable, match=r"\w+"):
        asked(**keys)


def test_the_comparison_has_a_row_for_every_check():
    table = compared(CATALOG, ["tocilizumab"], 60)
    assert len(table) == len(CATALOG.drug_card("tocilizumab").exposure_checks)
    done = table[table["why_not"] == ""]
    assert np.allclose(done["ratio"], done["predicted"] / done["published"])
    drugs = by_drug(table)
    assert drugs["drug"].tolist() == ["tocilizumab"]
    assert verdict(1.0) == "good"
    assert verdict(1.5) == "acceptable"
    assert verdict(3.0) == "outside"


def test_a_drug_without_a_hook_is_refused_in_a_situation():
    names = [name for name in CATALOG.drugs() if CATALOG.drug(name).pk]
    drug = next(
        d
        for d in map(CATALOG.drug, names)
        if d.targets and all(CATALOG.target(t).hook is None for t in d.targets)
    )
    with pytest.raises(InputError, match="not part of the immune core yet"):
        assemble(CATALOG, CATALOG.situation("rheumatoid-arthritis"), [drug])


def test_drugs_with_hooks_have_them():
    drugs = [CATALOG.drug("adalimumab"), CATALOG.drug("tocilizumab")]
    targets = {name: CATALOG.target(name) for name in ("TNF", "IL6R")}
    assert [hook.target for hook in hooks_of(drugs, targets)] == ["TNF", "IL6R"]

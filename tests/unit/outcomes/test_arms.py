"""One door for comparisons: each equals an independent program, missing values are as stated."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from immunostat.base.errors import InputError
from immunostat.outcomes import arm_tests
from immunostat.outcomes.arms import ArmValues, compare_arms, compare_rates, with_adjusted_p
from immunostat.outcomes.endpoints import EndpointSpec, Observations, baseline_values, evaluate
from immunostat.outcomes.multiplicity import adjusted_p
from immunostat.outcomes.visit_courses import Missing

DAYS = np.array([0.0, 28.0, 56.0])
RNG = np.random.default_rng(2)
X, Y = RNG.normal(50, 9, (40, 3)), RNG.normal(46, 9, (35, 3))
CHANGE = EndpointSpec("change", "change", {"value": "x"}, unit="mg/L")
BELOW = EndpointSpec("low", "below", {"value": "x"}, level=47.0, time_day=56.0)


def arm(name: str, spec: EndpointSpec, x: np.ndarray) -> ArmValues:
    seen = Observations(DAYS, {"x": x})
    return ArmValues(name, evaluate(spec, seen), baseline_values(spec, seen))


@pytest.mark.parametrize("counts", [(30, 60, 20, 65), (12, 40, 12, 40), (90, 100, 60, 100)])
def test_chi_square_equals_statsmodels_and_scipy(counts: tuple[int, int, int, int]) -> None:
    a, n, b, m = counts
    p = arm_tests.chi_square_p(*counts)
    assert p == pytest.approx(proportions_ztest([a, b], [n, m])[1], rel=1e-9)
    table = [[a, n - a], [b, m - b]]
    assert p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9)


def test_small_counts_are_tested_exactly() -> None:
    # Fisher's tea: 3 of 4 against 1 of 4 has the two-sided p value 34/70
    assert arm_tests.proportion_p(3, 4, 1, 4) == (pytest.approx(34 / 70), "Fisher's exact test")
    assert arm_tests.proportion_p(30, 60, 20, 65)[1] == "chi-square test"
    assert arm_tests.chi_square_p(0, 9, 0, 8) == 1.0
    assert math.isnan(arm_tests.proportion_p(0, 0, 1, 4)[0])


def test_means_equal_scipy_and_statsmodels() -> None:
    rows = compare_arms(CHANGE, arm("a", CHANGE, X), arm("b", CHANGE, Y), DAYS)
    assert [(row.measure, row.time_day) for row in rows] == [
        ("mean difference", 28), ("mean difference", 56),
        ("adjusted difference", 28), ("adjusted difference", 56),
    ]  # fmt: skip
    test = stats.ttest_ind(X[:, 2] - X[:, 0], Y[:, 2] - Y[:, 0], equal_var=False)
    assert rows[1].p == pytest.approx(test.pvalue, rel=1e-9)
    design = np.column_stack([np.ones(75), np.repeat([1, 0], [40, 35]), np.r_[X[:, 0], Y[:, 0]]])
    fit = sm.OLS(np.r_[X[:, 2] - X[:, 0], Y[:, 2] - Y[:, 0]], design).fit()
    assert rows[3].estimate == pytest.approx(fit.params[1], rel=1e-9)
    assert rows[3].p == pytest.approx(fit.pvalues[1], rel=1e-9)
    assert rows[3].low == pytest.approx(fit.conf_int()[1][0], rel=1e-9)
    assert {row.unit for row in rows} == {"mg/L"}


def test_change_and_value_have_the_same_adjusted_difference() -> None:
    value = EndpointSpec("value", "value", {"value": "x"})
    found = [
        compare_arms(s, arm("a", s, X), arm("b", s, Y), DAYS, ["adjusted difference"])[-1].estimate
        for s in (CHANGE, value)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-10)


def test_mmrm_is_offered_for_all_visits_at_once() -> None:
    rows = compare_arms(CHANGE, arm("a", CHANGE, X), arm("b", CHANGE, Y), DAYS, ["MMRM difference"])
    plain = compare_arms(
        CHANGE, arm("a", CHANGE, X), arm("b", CHANGE, Y), DAYS, ["adjusted difference"]
    )
    for one, other in zip(rows, plain, strict=True):  # complete data: the same
        assert one.estimate == pytest.approx(other.estimate, rel=1e-8)


def test_data_that_say_nothing_give_no_number_and_no_crash() -> None:
    constant, empty = np.zeros((20, 3)), np.full((20, 3), np.nan)
    partly = X.copy()
    partly[:, 1] = np.nan  # an arm that nobody saw at one visit
    for x, y in ((constant, constant), (constant, empty), (empty, empty)):
        rows = compare_arms(
            CHANGE, arm("a", CHANGE, x), arm("b", CHANGE, y), DAYS, ["MMRM difference"]
        )
        assert [math.isnan(row.estimate) for row in rows] == [True, True]
    rows = compare_arms(
        CHANGE, arm("a", CHANGE, partly), arm("b", CHANGE, Y), DAYS, ["MMRM difference"]
    )
    assert [math.isnan(row.estimate) for row in rows] == [True, False]
    assert "too few values" in rows[0].method
    spec = EndpointSpec("event", "time_to_event", {"value": "x"})
    lost = arm("a", spec, np.array([[0.0, 0.0, np.nan]] * 9))
    row = compare_arms(spec, lost, arm("b", spec, np.zeros((9, 3))), DAYS)[-1]
    assert math.isnan(row.estimate)  # nobody of an arm was followed so long


def test_binary_endpoints_count_the_missing_as_failures_unless_told_otherwise() -> None:
    x = X.copy()
    x[:10, 2] = np.nan
    one, two = arm("a", BELOW, x), arm("b", BELOW, Y)
    responders = float(np.sum(x[:, 2] < 47))
    for missing, n, hits in (
        (None, 40, responders),
        (Missing.OBSERVED, 30, responders),
        (Missing.LAST, 40, responders + np.sum(x[:10, 1] < 47)),
    ):
        row = compare_arms(BELOW, one, two, DAYS, ["risk difference"], missing)[0]
        assert row.estimate == pytest.approx(hits / n - np.mean(Y[:, 2] < 47))
        assert row.n == n + 35
    with pytest.raises(InputError, match="not binary"):
        compare_arms(CHANGE, one, two, DAYS, missing=Missing.NON_RESPONSE)


def test_ratios_of_proportions_equal_statsmodels() -> None:
    rows = compare_arms(BELOW, arm("a", BELOW, X), arm("b", BELOW, Y), DAYS)
    a, b = int(np.sum(X[:, 2] < 47)), int(np.sum(Y[:, 2] < 47))
    table = sm.stats.Table2x2(np.array([[a, 40 - a], [b, 35 - b]]))
    by = {row.measure: row for row in rows}
    assert by["risk ratio"].estimate == pytest.approx(table.riskratio)
    np.testing.assert_allclose(
        (by["odds ratio"].low, by["odds ratio"].high), table.oddsratio_confint(), rtol=1e-9
    )
    assert by["risk difference"].p == by["odds ratio"].p


def test_time_to_event_gives_cox_and_log_rank() -> None:
    import pandas as pd
    from lifelines import CoxPHFitter
    from lifelines.statistics import logrank_test

    spec = EndpointSpec("event", "time_to_event", {"value": "x"})
    held = [(RNG.random((n, 3)) < p).astype(float) for n, p in ((80, 0.4), (90, 0.2))]
    for own in held:
        own[:, 0] = 0
    one, two = (arm(name, spec, own) for name, own in zip("ab", held, strict=True))
    rows = {row.measure: row for row in compare_arms(spec, one, two, DAYS)}
    day = [np.where(v[:, 1] == 1, 28.0, 56.0) for v in (one.values, two.values)]
    event = [v[:, 2] == 1 for v in (one.values, two.values)]
    table = pd.DataFrame(
        {
            "t": np.concatenate(day),
            "e": np.concatenate(event),
            "arm": np.repeat([1.0, 0.0], [80, 90]),
        }
    )
    cox = CoxPHFitter().fit(table, "t", "e")
    assert rows["hazard ratio"].estimate == pytest.approx(
        float(cox.hazard_ratios_["arm"]), rel=1e-6
    )
    assert rows["hazard ratio"].p == pytest.approx(logrank_test(*day, *event).p_value, rel=1e-9)


def test_shift_is_the_median_difference_and_moves_with_the_data() -> None:
    found = arm_tests.hodges_lehmann(X[:, 0], Y[:, 0])
    moved = arm_tests.hodges_lehmann(X[:, 0] + 3, Y[:, 0])
    assert moved.estimate.estimate == pytest.approx(found.estimate.estimate + 3)
    assert moved.estimate.low == pytest.approx(found.estimate.low + 3)
    # the interval excludes zero just when the test rejects; here both are clear
    far = arm_tests.hodges_lehmann(X[:, 0] + 9, Y[:, 0])
    assert far.p < 0.001 < 0.05
    assert far.estimate.low > 0


def test_shift_interval_covers_as_stated() -> None:
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(400):
        e = arm_tests.hodges_lehmann(
            rng.exponential(size=25) + 1, rng.exponential(size=30)
        ).estimate
        hits += e.low <= 1.0 <= e.high
    assert stats.binom.cdf(hits, 400, 0.95) > 1e-3  # a fixed seed; one in 1000 seeds fails


def test_rate_ratio_falls_back_on_the_exact_one_without_events() -> None:
    counts = [np.array([[2.0], [0], [1], [3]] * 10), np.zeros((40, 1))]
    row = compare_rates(
        "relapse",
        ArmValues("a", counts[1]),
        ArmValues("b", counts[0]),
        np.ones(40),
        np.ones(40),
        365.0,
    )
    assert row.estimate == 0.0
    assert row.low == 0.0 < row.high < 0.2
    assert math.isnan(row.p)
    plain = compare_rates(
        "relapse",
        ArmValues("a", counts[0]),
        ArmValues("b", counts[0] + 1),
        np.ones(40),
        np.ones(40),
        365.0,
    )
    assert plain.estimate == pytest.approx(1.5 / 2.5, rel=1e-4)
    assert plain.p < 0.05


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("holm", "holm"), ("hochberg", "simes-hochberg"), ("bonferroni", "bonferroni")],
)
def test_adjusted_p_values_equal_statsmodels(ours: str, theirs: str) -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.2])
    np.testing.assert_allclose(adjusted_p(p, ours), multipletests(p, method=theirs)[1], rtol=1e-12)
    with_gap = adjusted_p(np.r_[p, np.nan], ours)
    np.testing.assert_allclose(with_gap[:5], adjusted_p(p, ours))
    assert np.isnan(with_gap[5])


def test_nothing_passes_a_fixed_sequence_after_a_failure() -> None:
    np.testing.assert_array_equal(
        adjusted_p([0.01, 0.04, 0.2, 0.001, np.nan, 0.01], "fixed-sequence"),
        [0.01, 0.04, 0.2, 0.2, np.nan, 1.0],
    )
    rows = compare_arms(CHANGE, arm("a", CHANGE, X), arm("b", CHANGE, Y), DAYS)
    adjusted = with_adjusted_p(rows, "fixed-sequence")
    assert [row.p_adjusted for row in adjusted] == np.maximum.accumulate(
        [r.p for r in rows]
    ).tolist()


def test_measures_that_do_not_suit_are_refused() -> None:
    with pytest.raises(InputError, match="no 'hazard ratio'"):
        compare_arms(CHANGE, arm("a", CHANGE, X), arm("b", CHANGE, Y), DAYS, ["hazard ratio"])
    bare = ArmValues("a", X), ArmValues("b", Y)
    with pytest.raises(InputError, match="needs covariates"):
        compare_arms(CHANGE, *bare, DAYS, ["adjusted difference"])

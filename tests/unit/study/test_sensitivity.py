"""Sensitivity of functions whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from immunostat.base.errors import InputError
from immunostat.study.designs import latin_hypercube
from immunostat.study.evaluations import Store, evaluate_rows
from immunostat.study.rank_correlation import prcc
from immunostat.study.sensitivity import (
    local_sensitivity,
    morris_sensitivity,
    prcc_sensitivity,
    sobol_sensitivity,
    with_sensitivity,
)
from immunostat.study.varied import Parameter

A, B, C, D = (Parameter(name, 0.5, 2.0) for name in "abcd")


def ishigami(factors):
    """Ishigami's function with its usual constants 7 and 0.1; the cube goes to (-pi, pi)."""
    x = [math.pi * math.log2(factors.get(name, 1.0)) for name in "abc"]
    return {"y": math.sin(x[0]) + 7 * math.sin(x[1]) ** 2 + 0.1 * x[2] ** 4 * math.sin(x[0])}


def linear(factors):
    weights = {"a": 3.0, "b": -2.0, "c": 0.5, "d": 0.0}
    return {"y": 1 + sum(w * math.log2(factors.get(n, 1.0)) for n, w in weights.items())}


def power_law(factors):
    return {"y": 4 * factors.get("a", 1.0) ** -2.5 * factors.get("b", 1.0) ** 0.75}


def columns(found, name):
    return found.table.set_index("parameter")[name]


def test_sobol_indices_of_ishigami_are_the_published_ones():
    found = sobol_sensitivity(ishigami, [A, B, C], samples=1024)
    # Ishigami and Homma 1990; Saltelli 2000: 0.3139, 0.4424, 0; total 0.5576, 0.4424, 0.2437.
    # 0.05: about two standard errors of 1024 points for the largest index.
    first, total = columns(found, "first"), columns(found, "total")
    assert [first[n] for n in "abc"] == pytest.approx([0.3139, 0.4424, 0.0], abs=0.05)
    assert [total[n] for n in "abc"] == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.05)


def test_an_elasticity_of_a_power_law_is_its_exponent():
    found = local_sensitivity(power_law, [A, B])
    # Exact up to rounding of the powers.
    assert columns(found, "elasticity")["a"] == pytest.approx(-2.5, rel=1e-12)
    assert columns(found, "elasticity")["b"] == pytest.approx(0.75, rel=1e-12)
    assert columns(found, "at_low")["a"] == pytest.approx(4 * 2**2.5)
    assert list(found.table["parameter"]) == ["a", "b"]


def test_the_slope_of_a_negative_output_keeps_its_sign():
    found = local_sensitivity(lambda f: {"y": -2 - math.log2(f.get("a", 1.0))}, [A])
    assert columns(found, "slope")["a"] == pytest.approx(-1.0)


def test_the_error_of_a_slope_is_of_patients_alone():
    own = np.array([1.0, 2.0, 3.0, 6.0])
    found = local_sensitivity(lambda f: {"y": 5 + own * math.log2(f.get("a", 1.0))}, [A])
    assert columns(found, "slope")["a"] == pytest.approx(own.mean())
    # "definition" of the standard error of a mean.
    assert columns(found, "slope_error")["a"] == pytest.approx(own.std(ddof=1) / 2)


def test_elementary_effects_of_a_linear_function_are_its_weights():
    found = morris_sensitivity(linear, [A, B, C, D], samples=4)
    # The whole range is two doublings.
    assert [columns(found, "mu")[n] for n in "abcd"] == pytest.approx([6, -4, 1, 0])
    assert columns(found, "sigma").max() == pytest.approx(0, abs=1e-9)


def test_a_monotone_function_without_noise_has_rank_correlations_of_nearly_one():
    found = prcc_sensitivity(lambda f: {"y": f.get("a", 1.0) ** 3}, [A, B], samples=50)
    assert columns(found, "prcc")["a"] == pytest.approx(1.0)
    assert found.table["parameter"].iloc[0] == "a"


def test_the_signs_of_rank_correlations_are_those_of_the_weights():
    found = prcc_sensitivity(linear, [A, B, C, D], samples=200)
    r = columns(found, "prcc")
    assert r["a"] > 0.9 > 0 > -0.9 > r["b"]
    # Nothing depends on d: its interval holds zero.
    assert columns(found, "low")["d"] < 0 < columns(found, "high")["d"]


def test_a_partial_rank_correlation_of_three_agrees_with_the_textbook_formula():
    from scipy.stats import spearmanr

    x = latin_hypercube(60, 2, 5)
    y = x[:, 0] + 2 * x[:, 1] ** 2 + latin_hypercube(60, 1, 6)[:, 0]
    ab, ay, by = (
        spearmanr(*pair).statistic for pair in ((x[:, 0], x[:, 1]), (x[:, 0], y), (x[:, 1], y))
    )
    wanted = (ay - ab * by) / math.sqrt((1 - ab**2) * (1 - by**2))
    assert prcc(x, y)[0] == pytest.approx(wanted, rel=1e-9)


def test_a_latin_hypercube_has_one_point_in_each_cell():
    points = latin_hypercube(20, 3, 1)
    for column in points.T:
        assert sorted((column * 20).astype(int)) == list(range(20))


@pytest.mark.parametrize("ask", [morris_sensitivity, sobol_sensitivity, prcc_sensitivity])
def test_a_seed_gives_the_same_answer_and_another_seed_another(ask):
    one, two, other = (ask(ishigami, [A, B, C], samples=16, seed=seed).table for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert not one["influence"].equals(other["influence"])


@pytest.mark.parametrize("ask", [morris_sensitivity, sobol_sensitivity, prcc_sensitivity])
def test_failed_evaluations_are_counted_and_harm_no_other(ask):
    def brittle(factors):
        if factors.get("a", 1.0) > 1.9:
            raise InputError("too high")
        return linear(factors)

    found = ask(brittle, [A, B, C], samples=32)
    assert found.n_failed > 0
    assert np.isfinite(found.table["influence"]).all()
    assert set(found.evaluated.failures.values()) == {"too high"}


@pytest.mark.parametrize("ask", [morris_sensitivity, sobol_sensitivity, prcc_sensitivity])
def test_an_output_that_nothing_moves_has_no_influence(ask):
    found = ask(lambda factors: {"y": 2.0}, [A, B], samples=16)
    assert (found.table["influence"] == 0).all()


def test_a_patient_without_a_value_is_left_out_of_the_mean_alone():
    found = local_sensitivity(lambda f: {"y": np.array([1.0, np.nan, 3.0]) * f.get("a", 1.0)}, [A])
    assert found.base["y"] == pytest.approx(2.0)
    assert columns(found, "elasticity")["a"] == pytest.approx(1.0)


def test_a_cut_off_run_goes_on_with_the_same_bits(tmp_path):
    factors = np.exp(latin_hypercube(50, 2, 1))
    store = Store(tmp_path / "kept", {"study": "x"})
    calls = []

    def counted(changed):
        calls.append(changed)
        if len(calls) == 40:
            raise KeyboardInterrupt
        return {"y": np.array([sum(changed.values()), 1 / 3])}

    with pytest.raises(KeyboardInterrupt):
        evaluate_rows(counted, ["a", "b"], factors, store=store)
    calls[:] = [{}] * 100
    again = Store(store.folder, store.key, resume=True)
    resumed = evaluate_rows(counted, ["a", "b"], factors, store=again)
    # 32 rows of two whole files were kept.
    assert len(calls) == 100 + 50 - 32
    whole = evaluate_rows(counted, ["a", "b"], factors)
    np.testing.assert_array_equal(resumed.values.view(np.int64), whole.values.view(np.int64))


def test_a_damaged_piece_is_computed_again(tmp_path):
    store = Store(tmp_path / "kept", {})
    factors = np.ones((20, 1))
    first = evaluate_rows(power_law, ["a"], factors, store=store)
    (store.folder / "00000016.npy").write_bytes(b"nothing")
    again = evaluate_rows(power_law, ["a"], factors, store=Store(store.folder, {}, resume=True))
    np.testing.assert_array_equal(first.values, again.values)


def test_a_run_does_not_go_on_with_what_was_not_asked(tmp_path):
    store = Store(tmp_path / "kept", {"seed": 1})
    evaluate_rows(power_law, ["a"], np.ones((2, 1)), store=store)
    other = Store(store.folder, {"seed": 2}, resume=True)
    with pytest.raises(InputError, match="seed differ"):
        evaluate_rows(power_law, ["a"], np.ones((2, 1)), store=other)


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="no evaluations"):
        evaluate_rows(power_law, ["a"], np.ones((2, 1)), store=Store(tmp_path, {}))
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_samples_of_sobol_are_a_power_of_two():
    with pytest.raises(InputError, match=r"power of two(.|\n)*64"):
        sobol_sensitivity(linear, [A], samples=60)


def test_a_range_must_hold_one():
    with pytest.raises(InputError, match=r"1\.5 to 2 times"):
        Parameter("a", 1.5, 2.0)


def test_assumptions_get_the_sensitivity_of_their_number():
    known = Parameter("core_rate", 0.5, 2.0, card="core/x", dotted="parameters.rate")
    table = local_sensitivity(lambda f: {"y": f.get("core_rate", 1.0)}, [known]).table
    assumptions = pd.DataFrame(
        {"name": ["parameters.other", "parameters.rate"], "card": ["core/x", "core/x"]}
    )
    merged = with_sensitivity(assumptions, table)
    assert list(merged["name"]) == ["parameters.rate", "parameters.other"]
    assert merged["sensitivity"][0] == pytest.approx(1.0)
    assert "0.5 to 2 times" in merged["sensitivity_of"][0]
    assert math.isnan(merged["sensitivity"][1])

"""What a population may say, and the formulas of derived covariates."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.base.errors import InputError, UnknownNameError
from immunostat.population.patients import (
    FORMULAS,
    Correlation,
    CovariateSpec,
    Distribution,
    Moments,
    PopulationSpec,
)

AGE = CovariateSpec("age", Distribution.NORMAL, 50, 10)
FEMALE = CovariateSpec("female", Distribution.BERNOULLI, probability=0.8)


def one(*values: float) -> list[np.ndarray]:
    return [np.array([value]) for value in values]


def test_body_surface_by_mosteller() -> None:
    # sqrt(180 x 80 / 3600) = 2 exactly.
    assert FORMULAS["body_surface_area"].function(*one(80, 180))[0] == 2.0


def test_creatinine_clearance_by_cockcroft_and_gault() -> None:
    # (140 - 60) x 72 / (72 x 1) = 80 mL/min in a man, 85 % of it in a woman.
    formula = FORMULAS["creatinine_clearance"].function
    assert formula(*one(60, 72, 1.0, 0))[0] == 80.0
    assert formula(*one(60, 72, 1.0, 1))[0] == pytest.approx(68.0)


def test_fat_free_mass_is_below_weight_and_lower_in_women() -> None:
    formula = FORMULAS["fat_free_mass"].function
    man, woman = formula(*one(80, 180, 0))[0], formula(*one(80, 180, 1))[0]
    assert 0 < woman < man < 80
    assert man == pytest.approx(9270 * 80 / (6680 + 216 * 80 / 1.8**2))


def test_every_formula_names_a_unit_for_every_input_and_a_source() -> None:
    for name, formula in FORMULAS.items():
        assert len(formula.inputs) == len(formula.input_units), name
        assert formula.source, name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CovariateSpec("age", Distribution.NORMAL, 50), "standard deviation"),
        (lambda: CovariateSpec("age", Distribution.NORMAL, 50, 10, low=60, high=80), "outside"),
        (lambda: CovariateSpec("age", Distribution.NORMAL, 50, 10, low=80, high=60), "not below"),
        (lambda: CovariateSpec("crp", Distribution.LOGNORMAL, -1, 10), "positive mean"),
        (lambda: CovariateSpec("female", Distribution.BERNOULLI, probability=80), "between 0"),
        (lambda: CovariateSpec("k", Distribution.CONSTANT), "its value"),
        (lambda: CovariateSpec("u", Distribution.UNIFORM, low=0), "low and high"),
        (lambda: CovariateSpec("w", Distribution.NORMAL, 1, 1, by="female"), "only one of"),
        (lambda: PopulationSpec((AGE, AGE)), "twice"),
        (
            lambda: PopulationSpec(
                (
                    AGE,
                    CovariateSpec("w", Distribution.NORMAL, by="age", groups=(Moments(1, 1),) * 2),
                )
            ),
            "not binary",
        ),
        (
            lambda: PopulationSpec(
                (AGE, CovariateSpec("k", Distribution.CONSTANT, 1)),
                (Correlation(("age", "k"), 0.3),),
            ),
            "not drawn",
        ),
        (lambda: PopulationSpec((AGE, FEMALE), (Correlation(("age", "female"), 2),)), "possible"),
    ],
)
def test_an_impossible_population_is_refused_with_its_reason(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        make()


def test_unknown_names_come_with_near_matches() -> None:
    with pytest.raises(UnknownNameError, match="body_surface_area"):
        CovariateSpec("body_surface", Distribution.DERIVED)
    with pytest.raises(UnknownNameError, match="does not stand before"):
        PopulationSpec((AGE, CovariateSpec("body_surface_area", Distribution.DERIVED)))
    with pytest.raises(UnknownNameError, match="did you mean 'age'"):
        PopulationSpec((AGE, FEMALE), (Correlation(("agee", "female"), 0.1),))

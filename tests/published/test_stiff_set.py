"""Stiff problems with known answers.

Problems and end values: F. Mazzia and C. Magherini, Test Set for Initial Value Problem Solvers,
release 2.4 (2008), University of Bari, https://archimede.uniba.it/~testset; after Hairer & Wanner,
Solving Ordinary Differential Equations II. The end values were computed there in quadruple or
double precision with tolerances down to 1e-18; they were read in the copy of the set in the R
package deTestSet (reference.R) and agree with copies in four other public repositories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem


@dataclass(frozen=True)
class Problem:
    """Antimony lines, end time, states and their end values, the size below which a state's
    relative error does not count, and the error of the published values themselves."""

    lines: str
    end: float
    values: dict[str, float]
    small: float
    published_error: float = 0.0


PROBLEMS = {
    "Robertson": Problem(
        "a = 1; b = 0; c = 0\n"
        "a' = -0.04 * a + 1e4 * b * c; b' = 0.04 * a - 1e4 * b * c - 3e7 * b^2; c' = 3e7 * b^2",
        1e11,
        {"a": 0.2083340149701255e-7, "b": 0.8333360770334713e-13, "c": 0.9999999791665050},
        1e-16,
    ),
    "van der Pol": Problem(
        "y = 2; z = 0; y' = z; z' = 1000 * (1 - y^2) * z - y",
        2000.0,
        {"y": 0.1706167732170469e1, "z": -0.8928097010248125e-3},
        1e-6,
    ),
    "HIRES": Problem(
        "a = 1; b = 0; c = 0; d = 0; e = 0; f = 0; g = 0; h = 0.0057\n"
        "a' = -1.71 * a + 0.43 * b + 8.32 * c + 0.0007; b' = 1.71 * a - 8.75 * b\n"
        "c' = -10.03 * c + 0.43 * d + 0.035 * e; d' = 8.32 * b + 1.71 * c - 1.12 * d\n"
        "e' = -1.745 * e + 0.43 * f + 0.43 * g\n"
        "f' = -280 * f * h + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g\n"
        "g' = 280 * f * h - 1.81 * g; h' = -280 * f * h + 1.81 * g",
        321.8122,
        {
            "a": 0.7371312573325668e-3, "b": 0.1442485726316185e-3, "c": 0.5888729740967575e-4,
            "d": 0.1175651343283149e-2, "e": 0.2386356198831331e-2, "f": 0.6238968252742796e-2,
            "g": 0.2849998395185769e-2, "h": 0.2850001604814231e-2,
        },
        1e-8,
    ),
    "Oregonator": Problem(
        "a = 1; b = 2; c = 3; a' = 77.27 * (b + a * (1 - 8.375e-6 * a - b))\n"
        "b' = (c - (1 + a) * b) / 77.27; c' = 0.161 * (a - c)",
        360.0,
        {"a": 0.1000814870318523e1, "b": 0.1228178521549917e4, "c": 0.1320554942846706e3},
        1e-4,
    ),
    "E5": Problem(
        "A = 7.89e-10; B = 1.1e7; M = 1e6; C = 1.13e3; a = 1.76e-3; c = 0; d = 0; b := c + d\n"
        # b' = c' + d' is not integrated: the end is 1e-13 of the way, and the round-off of a
        # difference between b and c + d, in which nothing but it would act, would be all of it
        "a' = -A * a - B * a * c; d' = B * a * c - C * d\n"
        "c' = A * a - M * C * b * c - B * a * c + C * d",
        1e13,
        # the set's first value, 1e-291, is a zero of double precision here: see SMALLEST_STATE
        # b - c - d is conserved and d is gone by then: b and c are equal, and what the set's values
        # differ by is round-off of the run that made them
        {"b": 0.8867655517642120e-22, "c": 0.8854814626268838e-22},
        1e-26,
        published_error=1e-3,
    ),
}  # fmt: skip

#: Relative tolerance of a run and the largest error allowed, relative to the value. Error
#: accumulates: through the two relaxations of van der Pol's oscillator by a factor of some 30.
LEVELS = [(1e-4, 2e-2), (1e-6, 1e-4), (1e-8, 2e-6)]


def system_of(lines: str) -> OdeSystem:
    text = f"model m()\n{lines}\nend\n"
    return system_from_sbml(flatten([Fragment(text, "m.ant")], "m"), "m")


def run(name: str, relative: float, method: str) -> tuple[Trajectories, float]:
    """The run and its largest relative error at the end."""
    own = PROBLEMS[name]
    system = system_of(own.lines)
    problem = EnsembleProblem(
        system,
        system.defaults[None, :],
        Schedule.empty(1),
        np.array([own.end]),
        tuple(own.values),
    )
    tolerance = Tolerance(relative, min(own.small, 1e-2 * relative * own.small / 1e-6))
    found = solve(problem, method=method, tolerance=tolerance)
    right = np.array(list(own.values.values()))
    error = np.abs(found.values[0, 0] - right) / (own.small + np.abs(right))
    return found, float(error.max())


@pytest.mark.parametrize(("relative", "allowed"), LEVELS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_rodas5p_reaches_the_published_end(name: str, relative: float, allowed: float) -> None:
    found, error = run(name, relative, "rodas5p")
    assert found.is_ok.all()
    assert error < allowed + PROBLEMS[name].published_error
    # a stiff problem solved by a method that is not for it would take millions
    assert found.accepted[0] + found.rejected[0] < 5000


@pytest.mark.parametrize("name", ["HIRES", "Oregonator", "van der Pol"])
def test_the_reference_reaches_the_published_end(name: str) -> None:
    found, error = run(name, 1e-8, "cvode")
    assert found.is_ok.all()
    assert error < 1e-4  # CVODE controls the error of a step only, less closely


@pytest.mark.parametrize("name", PROBLEMS)
def test_auto_takes_the_stiff_method(name: str) -> None:
    found, _ = run(name, 1e-6, "auto")
    same, _ = run(name, 1e-6, "rodas5p")
    assert found.is_ok.all()
    assert found.values.tobytes() == same.values.tobytes()

"""Doses as NONMEM 7.4.4 itself carries them out.

Source: Metrum Research Group, mrgsolve/nmtests, nmtest7 of 4 August 2021 (commit 22b89e6): 21
scenarios of a one-compartment model with absorption, run by NONMEM and by mrgsolve; the report
says that all of their values are equal, and data/1001.csv holds them to five digits. Here are some
values of each scenario but 4 and 5, at times that are not the time of a dose (there NONMEM's
value is after it, this engine's before it).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from immunostat.engine.frames import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml

MODEL = (
    "CL = 1.1; V = 20; KA = 1.5; depot = 0; central = 0; CP := 1000 * central / V\n"
    "depot' = -KA * depot; central' = KA * depot - CL / V * central"
)

Rows = list[dict[str, float]]


def one(amount: float = 100.0, cmt: int = 2, **columns: float) -> Rows:
    return [{"TIME": 0.0, "EVID": 1, "AMT": amount, "CMT": cmt, **columns}]


#: Records and values by time. In the model of the source F and ALAG are of compartment 2 alone.
SCENARIOS: dict[str, tuple[Rows, dict[float, float]]] = {
    "1 bolus with additional": (
        one(cmt=1, II=24, ADDL=3),
        {1: 3754.4, 12: 2682.6, 49: 5417.3, 130: 290.1},
    ),
    "2 bolus, lag, F": (
        one(II=24, ADDL=3, ALAG2=12.13, F2=2.23),
        {12: 0.0, 13: 10629, 37: 13468, 61: 14227, 100: 6323.5},
    ),
    "3 infusion": (one(II=24, ADDL=3, RATE=10), {10: 3845.9, 34: 4873.3, 77: 3996.1}),
    "6 infusion, lag, F": (
        one(II=24, ADDL=3, RATE=10, ALAG2=3.25, F2=0.412),
        {55: 2331.0, 76: 1160.7, 120: 267.83},
    ),
    "7 infusion, lag, F, steady": (
        one(II=24, ADDL=3, RATE=10, ALAG2=3.16, F2=0.412, SS=1),
        {1: 949.08, 3: 850.22, 5: 1636.6, 80: 2417.5, 104: 645.8},
    ),
    "8 infusion of 40.6 every 12, steady": (
        one(II=12, ADDL=4, RATE=2, F2=0.812, SS=1),
        {1: 6081.8, 5: 6277.4, 61: 5984.5, 77: 4735.9, 100: 1794.8},
    ),
    "9 infusion of 50 every 12, steady": (
        one(II=12, ADDL=3, RATE=2, SS=1),
        {1: 7584.1, 3: 7643.7, 63: 6345.8, 87: 3334.1},
    ),
    "10 infusion of 12 every 6, steady": (
        one(II=6, ADDL=12, RATE=8.3333, SS=1),
        {5: 15152, 79: 14746, 85: 12325},
    ),
    "11 infusion as long as its interval, F": (
        one(II=10, ADDL=8, RATE=4.12, F2=0.412, SS=1),
        {5: 3745.5, 85: 3745.5},
    ),
    "12 infusion as long as its interval": (
        one(II=10, ADDL=8, RATE=10, SS=1),
        {7: 9090.9, 95: 6905.2},
    ),
    "13 bolus, lag, F, steady": (
        one(II=24, ADDL=3, ALAG2=4, F2=0.412, SS=1),
        {3: 793.34, 5: 2660.5, 51: 793.34, 100: 750.89},
    ),
    "14 bolus, lag, F": (
        one(II=24, ADDL=3, ALAG2=5, F2=0.412),
        {4: 0.0, 6: 1949.8, 30: 2470.6, 90: 1368.1},
    ),
    "15 bolus, then infusion": (one(ALAG2=1), {3: 4479.2, 8: 3402.3}),
    "16 modelled duration, lag, F": (
        one(RATE=-2, D2=9, II=24, ADDL=3, ALAG2=5, F2=0.61),
        {63: 3047.7, 78: 1665.3, 86: 3265.8, 110: 872.42},
    ),
    "17 modelled duration, F, steady": (
        one(RATE=-2, D2=9, II=24, ADDL=3, F2=0.61, SS=1),
        {1: 1691.3, 9: 3282.6, 23: 1519.9, 110: 666.06},
    ),
    "18 reset and dose": (
        [
            *one(cmt=1, II=12, ADDL=2, RATE=50),
            {"TIME": 50.0, "EVID": 4, "AMT": 120.0, "CMT": 1, "II": 12, "ADDL": 3, "RATE": 0},
        ],
        {3: 4285.2, 15: 6689.6, 49: 2474.8, 52: 5269.5, 64: 8153.3, 110: 3198.0},
    ),
    "19 reset": (
        [
            *one(cmt=1, II=12, ADDL=3, RATE=50),
            {"TIME": 50.0, "EVID": 3, "AMT": 0.0, "CMT": 2, "II": 0, "ADDL": 0, "RATE": 0},
            {"TIME": 54.0, "EVID": 1, "AMT": 120.0, "CMT": 1, "II": 16, "ADDL": 2, "RATE": 0},
        ],
        {40: 8381.1, 53: 0.0, 56: 5269.5, 72: 7583.8, 110: 2640.2},
    ),
    "20 steady 1 and 2": (
        [
            *one(cmt=1, II=24, ADDL=3, SS=1),
            {"TIME": 12.0, "EVID": 1, "AMT": 50.0, "CMT": 1, "II": 24, "ADDL": 3, "SS": 2},
        ],
        {3: 5947.3, 11: 3867.4, 13: 6237.1, 25: 7277.4, 100: 2987.1},
    ),
    "21 steady infusion": (
        one(0.0, cmt=1, RATE=100, SS=1),
        {1: 88547, 10: 54446, 100: 385.67},
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_concentrations_are_those_of_nonmem(name: str) -> None:
    text = f"model m()\n{MODEL}\nend\n"
    system = system_from_sbml(flatten([Fragment(text, "m.ant")], "m"), "m")
    rows, values = SCENARIOS[name]
    found = solve(
        system,
        times=list(values),
        doses=pd.DataFrame(rows),
        outputs=["CP"],
        relative_tolerance=1e-9,
        absolute_tolerance=1e-10,
    )
    # the source gives five digits
    np.testing.assert_allclose(
        found.trajectories["CP"][0], list(values.values()), rtol=6e-5, atol=1e-6
    )

"""Drugs that are invented, for tests of regimens and schedules."""

from types import MappingProxyType

import numpy as np

from immunostat.base.errors import UnknownNameError, near_matches
from immunostat.base.facts import Fact
from immunostat.base.units import Measure
from immunostat.therapy.drug import Drug, LabelRegimen, Pk, PkParameter, Route

MOLAR_MASS = 100_000.0  # g/mol, so that 1 mg is 10 nmol


def invented(name, routes, regimens=None, has_pk=True):
    """A drug with these routes."""
    fact = Fact("molar_mass", 100, "kg/mol")
    return Drug(
        name=name,
        title=name,
        drug_class="invented",
        modality="antibody",
        direction="suppressant",
        molar_mass=MOLAR_MASS,
        molar_mass_fact=fact,
        pk=Pk("invented", MappingProxyType({}), np.zeros((0, 0))) if has_pk else None,
        routes=MappingProxyType({route.name: route for route in routes}),
        regimens=MappingProxyType(regimens or {}),
    )


HALF = PkParameter("bioavailability", 0.5, "1", Fact("bioavailability", 0.5, "1"))

DRUGS = {
    drug.name: drug
    for drug in (
        invented(
            "examplumab",
            [Route("subcutaneous", "depot", 0.25, HALF), Route("intravenous", "central")],
            {"psoriasis": LabelRegimen("psoriasis", "80 mg subcutaneous every 2 weeks")},
        ),
        invented(
            "samplizumab",
            [Route("intravenous", "central")],
            {
                "psoriasis": LabelRegimen(
                    "psoriasis",
                    "8 mg/kg intravenous over 1 hour every 4 weeks",
                    Measure(0.8, "g"),
                )
            },
        ),
        invented("exampleferon-beta-1a", [Route("subcutaneous", "depot")]),
        invented("exampledrug", [Route("oral", "depot")]),
        invented("unknownkinetics", [Route("oral", "")], has_pk=False),
    )
}


def find(name):
    """The drug of a name."""
    if name not in DRUGS:
        raise UnknownNameError(f"drug '{name}' is not known", remedy=near_matches(name, DRUGS))
    return DRUGS[name]

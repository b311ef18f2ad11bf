"""Reader and engine against the SBML Test Suite, where its folder is at hand.

The folder is named by IMMUNOSTAT_SBML_SUITE, or lies beside the repository in
shared/sbml-test-suite. Cases that use what the reader refuses are left out by its own refusal,
of which only listed reasons count.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from immunostat.base.errors import ModelError
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.sbml import system_from_sbml

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "sbml-test-suite"
SUITE = Path(os.environ.get("IMMUNOSTAT_SBML_SUITE", BESIDE))

#: Refusals that are right: the construct is not supported, and said to be.
REFUSALS = (
    "events", "submodels", "algebraic rules", "fast reactions", "constraints", "'delay'",
    "has no rate", "rateOf",
)  # fmt: skip

pytestmark = pytest.mark.skipif(not SUITE.is_dir(), reason="the SBML Test Suite is not here")


def settings_of(folder: Path) -> dict[str, str]:
    text = (folder / f"{folder.name}-settings.txt").read_text(encoding="utf-8")
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def names_in(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def model_of(folder: Path) -> str | None:
    """Text of the newest form of a case."""
    files = sorted(folder.glob(f"{folder.name}-sbml-l*v*.xml"))
    return files[-1].read_text(encoding="utf-8") if files else None


def is_right(folder: Path, text: str) -> bool:
    """Solve a case and compare as its settings say; raises ModelError where refused."""
    import libsbml

    settings = settings_of(folder)
    system = system_from_sbml(text, folder.name)
    variables = names_in(settings["variables"])
    table = np.genfromtxt(folder / f"{folder.name}-results.csv", delimiter=",", names=True)
    lines = (folder / f"{folder.name}-results.csv").read_text(encoding="utf-8").splitlines()
    header = names_in(lines[0].replace('"', ""))
    expected = np.array([list(row) for row in np.atleast_1d(table)], dtype=float)
    document = libsbml.readSBMLFromString(text)
    model = document.getModel()
    amounts, concentrations = (
        set(names_in(settings.get(k, ""))) for k in ("amount", "concentration")
    )
    volumes = []
    for name in variables:
        species = model.getSpecies(name)
        is_amount = species is not None and species.getHasOnlySubstanceUnits()
        points = (
            species is not None
            and model.getCompartment(species.getCompartment()).getSpatialDimensionsAsDouble() == 0
        )
        if species is not None and name in amounts and not is_amount and not points:
            volumes.append((species.getCompartment(), 1))
        elif species is not None and name in concentrations and is_amount:
            volumes.append((species.getCompartment(), -1))
        else:
            volumes.append(("", 0))
    asked = [*variables, *(c for c, _ in volumes if c)]
    known = [name for name in dict.fromkeys(asked) if name in system.names]
    times = expected[:, 0]
    if system.n_states == 0:
        pytest.skip("nothing to integrate")
    problem = EnsembleProblem(
        system, system.defaults[None, :], Schedule.empty(1), times, tuple(known), start=times[0]
    )
    result = solve(problem, tolerance=Tolerance(1e-8, 1e-14), threads=1)
    if not result.is_ok.all():
        return False
    for name, (compartment, sign) in zip(variables, volumes, strict=True):
        if name not in known:
            return False
        found = result[name][0]
        if sign:
            found = found * result[compartment][0] ** sign
        right = expected[:, header.index(name)]
        allowed = float(settings["absolute"]) + float(settings["relative"]) * np.abs(right)
        is_same = (found == right) | (np.isnan(found) & np.isnan(right))
        with np.errstate(invalid="ignore"):
            if not (is_same | (np.abs(found - right) <= allowed)).all():
                return False
    return True


def cases() -> list[Path]:
    if not SUITE.is_dir():
        return []
    return sorted(p for p in SUITE.iterdir() if (p / f"{p.name}-settings.txt").is_file())


def reader_cases() -> list[Path]:
    """Cases of time courses whose tags do not name what is refused."""
    skipped = ("Event", "AlgebraicRule", "comp:", "FastReaction", "CSymbolDelay", "fbc:")
    chosen = []
    for folder in cases():
        tags = (folder / "tags.txt").read_text(encoding="utf-8")
        if "TimeCourse" in tags and not any(tag in tags for tag in skipped):
            chosen.append(folder)
    return chosen


# compiling takes some 0.2 s a case; a sample of every tenth keeps `make check` short
@pytest.mark.parametrize("folder", reader_cases()[::10], ids=lambda p: p.name)
def test_case_of_the_suite(folder: Path) -> None:
    check(folder)


@pytest.mark.slow
@pytest.mark.parametrize("folder", reader_cases(), ids=lambda p: p.name)
def test_every_case_of_the_suite(folder: Path) -> None:
    check(folder)


def check(folder: Path) -> None:
    text = model_of(folder)
    if text is None:
        pytest.skip("no model file")
    try:
        result = is_right(folder, text)
    except ModelError as refusal:
        if any(reason in refusal.message for reason in REFUSALS):
            pytest.skip(refusal.message)
        raise
    assert result

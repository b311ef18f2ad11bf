"""Published models against the values of another simulator, where their folder is at hand."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = Path(os.environ.get("IMMUNOSTAT_BIOMODELS", ROOT.parent / "shared" / "biomodels"))

pytestmark = pytest.mark.skipif(
    not (MODELS / "reference_t100.yaml").is_file(), reason="the published models are not here"
)


def benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


biomodels = benchmark("biomodels")
REFERENCE = biomodels.read_reference(MODELS) if MODELS.is_dir() else {}


def check(name: str) -> None:
    row = biomodels.compare(MODELS / f"{name}.xml", REFERENCE[name])
    assert row.agrees or name in biomodels.REASONS, row.where or row.problem


@pytest.mark.parametrize("name", sorted(REFERENCE)[::10])
def test_a_published_model_agrees(name: str) -> None:
    check(name)


def test_a_model_with_an_event_that_keeps_a_state_positive_is_solved() -> None:
    check("BIOMD0000000711")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_every_published_model_agrees(name: str) -> None:
    check(name)

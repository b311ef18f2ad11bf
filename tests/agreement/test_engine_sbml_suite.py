"""Reader and engine against the SBML Test Suite, where its folder is at hand.

The folder is named by IMMUNOSTAT_SBML_SUITE, or lies beside the repository in
shared/sbml-test-suite; `make conformance` prints the same by tag. A refusal must be one of those
listed; a wrong number is never accepted.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
BESIDE = ROOT.parent / "shared" / "sbml-test-suite"
SUITE = Path(os.environ.get("IMMUNOSTAT_SBML_SUITE", BESIDE))

#: Refusals that are right: the construct is not supported, and said to be.
REFUSALS = ("fast reactions", "flux balance (fbc)")

pytestmark = pytest.mark.skipif(not SUITE.is_dir(), reason="the SBML Test Suite is not here")


def benchmark(name: str) -> ModuleType:
    """A module of the folder of benchmarks."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


conformance = benchmark("conformance")
FOLDERS = conformance.cases(SUITE)

#: Cases of thousands of events in random order take half a minute each.
QUICK = [f for f in FOLDERS if "RandomEventExecution" not in conformance.tags_of(f)]


def check(folder: Path) -> None:
    verdict = conformance.judge(folder)
    assert verdict.outcome != "failed", verdict.reason
    if verdict.outcome == "refused":
        assert any(reason in verdict.reason for reason in REFUSALS), verdict.reason
        pytest.skip(verdict.reason)


# compiling takes some 0.2 s a case; a sample of every fifteenth keeps `make check` short
@pytest.mark.parametrize("folder", QUICK[::15], ids=lambda p: p.name)
def test_case_of_the_suite(folder: Path) -> None:
    check(folder)


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_every_case_of_the_suite(folder: Path) -> None:
    check(folder)


def test_without_the_suite_the_command_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert conformance.main(["--suite", str(tmp_path / "nowhere")]) == 2
    assert "SUITE=path/to/cases/semantic" in capsys.readouterr().out

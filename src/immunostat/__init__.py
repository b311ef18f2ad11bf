"""An open laboratory for immunomodulatory therapy. Research and teaching; no medical advice."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from immunostat.engine.frames import Solution, solve
    from immunostat.engine.nonmem import read_events
    from immunostat.model.antimony import load_model
    from immunostat.report import figures
    from immunostat.study.compare import compare_results
    from immunostat.study.population_build import build_population
    from immunostat.study.required_size import required_size
    from immunostat.study.result import Result, open_result
    from immunostat.study.result import write as write_result
    from immunostat.study.run import Running, run
    from immunostat.study.simple import simulate
    from immunostat.study.stored_population import (
        StoredPopulation,
        open_population,
        write_population,
    )
    from immunostat.study.study import Study
    from immunostat.study.study_reader import make_study, read_study

#: Public names and where they live; each is imported when first used, so that a command line that
#: prints a version does not wait for a compiler.
_PLACES = {
    "Solution": "immunostat.engine.frames",
    "solve": "immunostat.engine.frames",
    "read_events": "immunostat.engine.nonmem",
    "load_model": "immunostat.model.antimony",
    "figures": "immunostat.report",
    "Result": "immunostat.study.result",
    "open_result": "immunostat.study.result",
    "write_result": "immunostat.study.result",
    "run": "immunostat.study.run",
    "simulate": "immunostat.study.simple",
    "StoredPopulation": "immunostat.study.stored_population",
    "build_population": "immunostat.study.population_build",
    "open_population": "immunostat.study.stored_population",
    "write_population": "immunostat.study.stored_population",
    "Study": "immunostat.study.study",
    "make_study": "immunostat.study.study_reader",
    "read_study": "immunostat.study.study_reader",
    "Running": "immunostat.study.run",
    "compare_results": "immunostat.study.compare",
    "required_size": "immunostat.study.required_size",
}

__all__ = [
    "Result",
    "Running",
    "Solution",
    "StoredPopulation",
    "Study",
    "build_population",
    "compare_results",
    "figures",
    "load_model",
    "make_study",
    "open_population",
    "open_result",
    "read_events",
    "read_study",
    "required_size",
    "run",
    "simulate",
    "solve",
    "write_population",
    "write_result",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'immunostat' has no attribute '{name}'")
    module = import_module(_PLACES[name])
    if name == "figures":
        return import_module("immunostat.report.figures")
    value = getattr(module, "write" if name == "write_result" else name)
    globals()[name] = value
    return value

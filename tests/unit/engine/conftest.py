"""Shared by the engine's tests: small systems from Antimony text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem


@pytest.fixture(scope="session")
def make_system() -> Callable[[str], OdeSystem]:
    """A system from the lines of an Antimony model."""

    def make(lines: str) -> OdeSystem:
        text = f"model test()\n{lines}\nend\n"
        return system_from_sbml(flatten([Fragment(text, "test.ant")], "test"), "test")

    return make

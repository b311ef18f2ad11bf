"""Antimony text: joined, flattened, and refused with file and line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from immunostat.base.errors import ModelError
from immunostat.model import antimony
from immunostat.model.antimony import Fragment, flatten, load_model, read_model
from immunostat.model.sbml import system_from_sbml

DECAY = "model decay()\n  var x; k = 0.5; x = 3; x' = -k * x\nend\n"
JOINED = "model both()\n  A: decay(); B: decay(); B.k = 2\nend\n"


def test_submodels_are_flattened_with_one_underscore() -> None:
    fragments = [Fragment(DECAY, "decay.ant"), Fragment(JOINED, "both.ant")]
    system = system_from_sbml(flatten(fragments, "both"), "both")
    assert set(system.states) == {"A_x", "B_x"}
    values = dict(zip(system.parameters, system.defaults, strict=True))
    assert values == {"A_k": 0.5, "B_k": 2.0}


def test_syntax_error_names_the_file_and_line_of_its_fragment() -> None:
    wrong = "model other()\n  x = 1\n  y = (\nend\n"
    with pytest.raises(ModelError, match=r"other\.ant:3: not valid Antimony") as caught:
        flatten([Fragment(DECAY, "decay.ant"), Fragment(wrong, "other.ant")], "decay")
    assert "y = (" in str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_lines_are_counted_whether_or_not_a_fragment_ends_with_one(end: str) -> None:
    first = Fragment(DECAY.rstrip("\n") + end, "decay.ant")
    with pytest.raises(ModelError, match=r"other\.ant:2:"):
        flatten([first, Fragment("model other()\n x = = 2\nend", "other.ant")], "decay")


def test_unknown_module_is_answered_with_near_ones() -> None:
    with pytest.raises(ModelError, match="did you mean 'decay'"):
        flatten([Fragment(DECAY, "decay.ant")], "decoy")


def test_an_error_leaves_nothing_behind() -> None:
    with pytest.raises(ModelError):
        flatten([Fragment("model broken(\n", "broken.ant")], "broken")
    assert "decay" in flatten([Fragment(DECAY, "decay.ant")], "decay")


def test_threads_do_not_mix_models() -> None:
    def states(i: int) -> tuple[str, ...]:
        text = f"model m()\n x{i} = 1; x{i}' = -x{i}\nend\n"
        return system_from_sbml(flatten([Fragment(text, "m.ant")], "m"), "m").states

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(states, range(20))) == [(f"x{i}",) for i in range(20)]


def test_antimony_and_sbml_files_give_the_same_system(tmp_path: Path) -> None:
    ant, xml = tmp_path / "decay.ant", tmp_path / "decay.xml"
    ant.write_text(DECAY, encoding="utf-8")
    xml.write_text(read_model(ant), encoding="utf-8")
    a, b = load_model(ant), load_model(xml)
    assert (a.name, a.states, a.rates, a.parameters) == (b.name, b.states, b.rates, b.parameters)
    np.testing.assert_array_equal(a.defaults, b.defaults)


def test_unreadable_files_are_refused_by_name(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(ModelError, match=r"missing\.ant: cannot read the model file"):
        load_model(tmp_path / "missing.ant")
    latin = tmp_path / "latin.ant"
    latin.write_bytes("model caf\xe9()".encode("latin-1"))
    with pytest.raises(ModelError, match="not UTF-8"):
        load_model(latin)
    other = tmp_path / "model.txt.zip"
    other.write_text("x", encoding="utf-8")
    with pytest.raises(ModelError, match=r"unknown kind of model file '\.zip'"):
        load_model(other)
    monkeypatch.setattr(antimony, "LARGEST_FILE", 10)
    big = tmp_path / "big.ant"
    big.write_text(DECAY, encoding="utf-8")
    with pytest.raises(ModelError, match="models of up to"):
        load_model(big)


def test_broken_sbml_is_refused_with_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.xml"
    broken.write_text("<sbml>\n<model>\n</sbml>", encoding="utf-8")
    with pytest.raises(ModelError, match=r"broken\.xml:\d+: not valid SBML"):
        load_model(broken)

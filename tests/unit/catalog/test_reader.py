"""The YAML reader: one meaning for each text, lines for each part, and nothing that can harm."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from immunostat.base.errors import InputError, Place
from immunostat.catalog.reader import (
    MAXIMUM_BYTES,
    MAXIMUM_DEPTH,
    parse_yaml,
    read_text,
    read_yaml,
    validated,
)


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: float
    unit: str


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    parts: dict[str, Part] = {}
    size: Part | str = ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1e-5", 1e-5),
        (".5", 0.5),
        ("1.0", 1.0),
        ("true", True),
        ("null", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("'1'", "1"),
        ("0x10", "0x10"),
        ("24 weeks", "24 weeks"),
    ],
)
def test_a_scalar_has_one_meaning(text, value):
    found = parse_yaml(f"a: {text}", "x.yaml").data["a"]
    assert found == value
    assert type(found) is type(value)


def test_every_key_knows_its_line():
    document = parse_yaml("a:\n  b: 1\n  c:\n    - x\n    - y\n", "x.yaml")
    assert document.place(("a", "b")) == Place("x.yaml", 2)
    assert document.place(("a", "c", 1)) == Place("x.yaml", 5)
    assert document.place(("a", "nothing", "below")) == Place("x.yaml", 1)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        (BOMB, 2, "alias"),
        ("a: 1\nb: 2\na: 3", 3, "stands twice"),
        ("a: !!python/object/apply:os.system [echo]", 1, "tag"),
        ("a:\n  <<: {b: 1}", 2, "merge key"),
        ("a: 1\n b: 2", 2, "broken YAML"),
        ("a: [1, 2", 1, "broken YAML"),
        ("a: 'x", 1, "broken YAML"),
        ("\ta: 1", 1, "broken YAML"),
        ("a: 1\n---\nb: 1", 2, "second document"),
        ("? [a]\n: 1", 1, "not plain text"),
        ("a: .inf", 1, "not a finite number"),
        ("a: 1e999", 1, "too large"),
        ("a: \x07", 1, "broken YAML"),
        ("[" * 5000, 1, "levels of nesting"),
        ("- " * 5000, 1, "levels of nesting"),
    ],
)
def test_what_is_broken_or_can_harm_is_refused_with_its_line(text, line, cause):
    with pytest.raises(InputError, match=cause) as caught:
        parse_yaml(text, "x.yaml")
    assert caught.value.place is not None
    # libyaml tells some faults at the end of the text, one line later
    assert caught.value.place.line in (line, line + 1)
    assert caught.value.remedy


@given(st.text(max_size=200))
def test_any_text_gives_data_or_an_input_error(text):
    with contextlib.suppress(InputError):
        parse_yaml(text, "x.yaml")


def test_nesting_up_to_the_limit_is_read():
    text = "[" * MAXIMUM_DEPTH + "]" * MAXIMUM_DEPTH
    assert parse_yaml(text, "x.yaml").data


def test_an_unknown_key_is_answered_with_near_matches():
    document = parse_yaml("name: x\nparts:\n  a: {value: 1, unti: L}", "x.yaml")
    with pytest.raises(InputError, match=r"x\.yaml:3: unknown key 'parts.a.unti'") as caught:
        validated(document, Whole)
    assert "'unit'" in str(caught.value)


def test_a_part_of_a_union_is_named_without_the_union():
    document = parse_yaml("name: x\nsize:\n  value: no\n  unit: L", "x.yaml")
    with pytest.raises(InputError, match=r"x\.yaml:3: size.value: 'no' does not fit"):
        validated(document, Whole)


def test_a_missing_key_is_named_where_it_belongs():
    document = parse_yaml("name: x\nparts:\n  a: {value: 1}", "x.yaml")
    with pytest.raises(InputError, match=r"x\.yaml:3: 'parts.a.unit' is missing"):
        validated(document, Whole)


def test_a_missing_file_offers_its_neighbors(tmp_path):
    (tmp_path / "study.yaml").write_text("a: 1")
    with pytest.raises(InputError, match=r"no such study") as caught:
        read_yaml(tmp_path / "studdy.yaml", "study")
    assert "study.yaml" in caught.value.remedy


def test_folders_other_encodings_and_large_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_text(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(InputError, match="not UTF-8") as caught:
        read_text(latin)
    assert caught.value.place.line == 2
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAXIMUM_BYTES + 1))
    with pytest.raises(InputError, match="larger than 2 MB"):
        read_text(large)


def test_a_setting_takes_the_place_of_what_it_changes():
    document = parse_yaml("a:\n  b: 1\n", "x.yaml")
    document.put("a.c.d", 5, Place("--set a.c.d=5"))
    assert document.data == {"a": {"b": 1, "c": {"d": 5}}}
    assert document.place(("a", "c", "d")) == Place("--set a.c.d=5")
    with pytest.raises(InputError, match="holds no keys"):
        document.put("a.b.c", 1, Place("--set a.b.c=1"))

"""What the documentation shows, runs: Python, commands, files that a page writes, and links.

In a page, a block that starts with a comment ``file: NAME`` is written to that file; a ``python``
block is run, with what blocks above it in the page left behind; of a ``console`` block every line
that starts with ``immunostat`` is run. The comment ``<!-- not run -->`` above a block leaves it
out. Each page has a folder of its own with the repository's studies and examples in it.
"""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

import immunostat
from immunostat.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
#: A real run draws every figure, which takes seconds; one is enough, others check their study.
RUN_IN_FULL = "docs/start.md"

_BLOCK = re.compile(
    r"(?P<skip><!-- not run -->\s*\n)?^```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^```\s*$", re.M | re.S
)
_FILE = re.compile(r"\A(?:#|//|%) file: (?P<name>\S+)\s*\n")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """Blocks of a page that are to be written or run."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        if not found["skip"]:
            line = text.count("\n", 0, found.start("text"))
            yield Block(found["kind"], found["text"], line)


def commands(block: Block) -> list[str]:
    """Commands of this program in a console block."""
    lines = block.text.replace("\\\n", " ").splitlines()
    lines = [line.removeprefix("$ ").strip() for line in lines]
    return [line for line in lines if line.startswith("immunostat ")]


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def has_work(page: Path) -> bool:
    return any(b.kind in ("python", "console") or _FILE.match(b.text) for b in blocks(page))


@pytest.mark.parametrize("page", [p for p in PAGES if has_work(p)], ids=page_name)
def test_what_a_page_shows_runs(page: Path, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(ROOT / "studies", tmp_path / "studies")
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if file := _FILE.match(block.text):
            path = tmp_path / file["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            where = f"{page_name(page)}:{block.line}"
            # The code is the repository's own documentation.
            exec(compile("\n" * block.line + block.text, where, "exec"), names)  # noqa: S102
        elif block.kind == "console":
            for command in commands(block):
                run_command(command, is_full=page_name(page) == RUN_IN_FULL)


def run_command(command: str, is_full: bool) -> None:
    """Run one command line and want the exit code that its comment says (``# exit code 2``)."""
    shown, _, comment = command.partition("  #")
    wanted = re.search(r"exit code (\d+)", comment)
    words = shlex.split(shown.split(" > ")[0].split(" | ")[0])[1:]
    if "run" in words:
        words += ["--patients", "20"] if is_full else ["--dry-run"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == (int(wanted[1]) if wanted else 0), f"{command}\n{done.output}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```\s*$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page_name(page)} links to '{target}'"
        assert path.is_relative_to(ROOT), f"{page_name(page)} links out of the repository"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{page_name(page)} links to '{target}'"


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as code hosts make them."""
    headings = re.findall(r"^#+ +(.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in headings}


def test_every_page_is_linked_from_another() -> None:
    linked = set()
    for page in PAGES:
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            linked.add((page.parent / target.partition("#")[0]).resolve())
    lost = [page_name(page) for page in PAGES if page.name != "README.md" and page not in linked]
    assert not lost, f"no page links to {lost}"


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for page in PAGES:
        for block in blocks(page):
            if block.kind == "console":
                for target in re.findall(r"^\$? ?make ([a-z]+)", block.text, re.M):
                    assert target in targets, f"{page_name(page)} says 'make {target}'"


def modules_with_examples() -> list[str]:
    found = []
    for module in pkgutil.walk_packages(immunostat.__path__, "immunostat."):
        path = ROOT / "src" / Path(*module.name.split("."))
        file = path / "__init__.py" if module.ispkg else path.with_suffix(".py")
        if file.is_file() and ">>> " in file.read_text(encoding="utf-8"):
            found.append(module.name)
    return found


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_of_docstrings_are_right(name: str) -> None:
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        module = importlib.import_module(name)
        import numpy as np

        found = doctest.testmod(module, extraglobs={"np": np})
    finally:
        os.chdir(before)
    assert found.attempted > 0
    assert found.failed == 0

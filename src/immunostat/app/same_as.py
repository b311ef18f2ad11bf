"""What is on screen as a study file, a command line and Python that do exactly the same."""

from __future__ import annotations

import pprint
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class SameAs:
    """Three ways to do what a screen shows.

    Parameters
    ----------
    study
        Text of a study file; empty where no study is run.
    command
        For a shell.
    python
        A script.
    """

    study: str
    command: str
    python: str


def of_study(data: Mapping[str, Any], name: str = "study") -> SameAs:
    """The same as running a study.

    Parameters
    ----------
    data
        What a study file holds.
    name
        Of the file, without ending.
    """
    text = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=100)
    literal = pprint.pformat(dict(data), sort_dicts=False, width=92)
    return SameAs(
        text,
        f"immunostat run {name}.yaml -o results/{name}",
        "import immunostat as im\n\n"
        f"study = im.make_study(\n{_indented(literal)}\n)\n"
        "result = im.run(study)\n"
        "print(result.endpoints)\n",
    )


def of_text(text: str, name: str = "study") -> SameAs:
    """The same as running the text of a study file."""
    return SameAs(
        text,
        f"immunostat run {name}.yaml -o results/{name}",
        "import immunostat as im\n\n"
        f'study = im.read_study("{name}.yaml")\n'
        "result = im.run(study)\n"
        f'im.write_result(result, "results/{name}")\n',
    )


def of_folder(folder: str) -> SameAs:
    """The same as opening a result folder."""
    return SameAs(
        "",
        f"immunostat report {folder}",
        "import immunostat as im\n\n"
        f"result = im.open_result({folder!r})\n"
        "print(result.endpoints)\n",
    )


def of_folders(first: str, other: str) -> SameAs:
    """The same as comparing two result folders."""
    return SameAs(
        "",
        f"immunostat compare {first} {other}",
        "import immunostat as im\n\n"
        f"first, other = im.open_result({first!r}), im.open_result({other!r})\n"
        "print(im.compare_results(first, other).endpoints)\n",
    )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())

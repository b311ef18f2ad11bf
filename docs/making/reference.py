"""Reference pages: from the pydantic models, the command line's help, tables and docstrings."""

from __future__ import annotations

import inspect
import os
import re
from typing import Any

from typer.testing import CliRunner

import immunostat
from immunostat.catalog.lookup import KINDS, card_class
from immunostat.cli.app import app
from immunostat.report import figures
from immunostat.study.file import StudyFile
from immunostat.study.result_tables import TABLES
from making.markdown import page, table
from making.meanings import meaning

CARD_NOTES = {
    "drugs": ("Add a drug", "../how-to/add-a-drug.md"),
    "situations": ("Add a disease", "../how-to/add-a-disease.md"),
    "populations": ("Add a disease", "../how-to/add-a-disease.md#the-population-card"),
    "special_populations": ("Build a population", "../how-to/build-a-population.md"),
    "calibrations": ("Calibrate a situation", "../how-to/calibrate-a-situation.md"),
    "side_effects": ("Add a side effect", "../how-to/add-a-side-effect.md"),
}


def _first_line(text: str | None) -> str:
    return inspect.cleandoc(text or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")


def _type(schema: dict[str, Any]) -> str:
    """Words for a JSON Schema."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        kinds = [_type(option) for option in schema["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "allOf" in schema:
        return _type(schema["allOf"][0])
    kind = schema.get("type", "anything")
    if kind == "array":
        if "prefixItems" in schema:
            return "list of " + ", ".join(_type(item) for item in schema["prefixItems"])
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    if kind == "object":
        inner = schema.get("additionalProperties")
        if not isinstance(inner, dict):
            inner = next(iter(schema.get("patternProperties", {}).values()), None)
        return f"names, each with {_type(inner)}" if isinstance(inner, dict) and inner else "keys"
    return {"string": "text", "boolean": "true or false", "integer": "whole number"}.get(kind, kind)


def _limits(schema: dict[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
    options = [schema, *schema.get("anyOf", [])]
    found = [f"{word} {o[key]:g}" for o in options for key, word in words.items() if key in o]
    return ", ".join(found)


def _keys(schema: dict[str, Any]) -> str:
    """Table of the keys of one object."""
    required = set(schema.get("required", []))
    rows = []
    for key, own in schema.get("properties", {}).items():
        default = own.get("default")
        shown = "required" if key in required else "" if default in (None, "", [], {}) else default
        if isinstance(shown, dict):
            # Parts of a part have their own table.
            said = {
                k: v
                for k, v in shown.items()
                if v not in (None, "", [], {}) and type(v) is not dict
            }
            shown = ", ".join(f"{name}: {value}" for name, value in said.items())
        shown = str(shown).lower() if isinstance(shown, bool) else shown
        words = own.get("description") or meaning(schema.get("title", ""), key)
        words = "; ".join(filter(None, [re.sub(r"(?<!\.)\.$", "", words), _limits(own)]))
        rows.append((f"`{key}`", _type(own), shown, words))
    return table(("key", "holds", "default", "meaning"), rows)


def _objects(schema: dict[str, Any], seen: set[str]) -> list[str]:
    """A section for every object that a schema refers to, each once."""
    parts = []
    for name, own in schema.get("$defs", {}).items():
        if name in seen or "enum" in own:
            continue
        seen.add(name)
        parts.append(f"### {name}\n\n{_first_line(own.get('description'))}")
        parts.append(_keys(own) if own.get("properties") else _type(own))
    return parts


def study_file() -> str:
    """Keys of a study file."""
    schema = StudyFile.model_json_schema()
    return page(
        "# Study file",
        "What each key of a study file holds. By example: "
        "[Write a study file](../how-to/write-a-study.md). For editors and programs: "
        "`immunostat schema study`.",
        _keys(schema),
        "By example: [Design a trial](../how-to/design-a-trial.md), [Change doses by rules]"
        "(../how-to/change-doses-by-rules.md). `duration_day`, `visit_days` and `cohort` are "
        "written into the resolved study of a result, so that it can be read and run again.",
        "## Parts",
        *_objects(schema, set()),
    )


def cards() -> str:
    """Keys of every kind of card."""
    parts: list[str] = []
    seen: set[str] = set()
    shared: list[str] = []
    for kind in KINDS:
        schema = card_class(kind.folder).model_json_schema(by_alias=True)
        title = kind.noun.capitalize()
        parts.append(f"## {title}\n\nFolder `{kind.folder}/`. {_first_line(schema['description'])}")
        if kind.folder in CARD_NOTES:
            text, link = CARD_NOTES[kind.folder]
            parts.append(f"By example: [{text}]({link}).")
        parts.append(_keys(schema))
        shared += _objects(schema, seen)
    shared += [
        "### Evidence\n\n`measured`, `fitted`, `derived` or `assumed`; see "
        "[Facts and cards](../concepts/facts-and-cards.md)."
    ]
    return page(
        "# Cards",
        "What each kind of card holds. An unknown key is an error. `immunostat schema KIND` prints "
        "the JSON Schema, `immunostat check FILE` checks a card.",
        *parts,
        "## Parts of cards",
        *shared,
    )


def command_line() -> str:
    """Help of every command."""
    os.environ["COLUMNS"] = "100"
    os.environ["TERMINAL_WIDTH"] = "100"

    def shown(*words: str) -> str:
        text = CliRunner().invoke(app, [*words, "--help"], prog_name="immunostat").output
        return f"```text\n{text.strip()}\n```"

    names = [info.name for info in app.registered_commands if not info.hidden and info.name]
    groups = [
        (str(group.name), str(info.name))
        for group in app.registered_groups
        if group.name and group.typer_instance
        for info in group.typer_instance.registered_commands
    ]
    return page(
        "# Command line",
        "Exit codes stand in [Start](../start.md#exit-codes).",
        shown(),
        *(f"## {name}\n\n{shown(name)}" for name in names),
        *(f"## {group} {name}\n\n{shown(group, name)}" for group, name in groups),
    )


def result_folder() -> str:
    """Files of a result, and columns of its tables."""
    files = [
        ("`study.yaml`", "the study with every default written out, and how the cohort came about"),
        ("`run.json`", "version, seed, method, tolerance, machine, timings, failures by cause, "
         "hash of the cards; written last, so a folder that has it is complete"),
        ("`report.html`", "everything for a reader, in one file that needs no network"),
        ("`figures/`", "each figure as SVG and PNG"),
        ("`trajectories.zarr`", "courses of all patients: (arm, patient, time), 32 bits"),
        ("`sources.bib`, `sources.csv`", "the sources of the cards that were used"),
        *((f"`{t.file}`", f"table, see [{name}](#{name})") for name, t in TABLES.items()),
    ]  # fmt: skip
    parts = []
    for name, one in TABLES.items():
        rows = [(f"`{column}`", kind, text) for column, (kind, text) in one.columns.items()]
        parts.append(
            f"## {name}\n\nFile `{one.file}`.\n\n{table(('column', 'kind', 'meaning'), rows)}"
        )
    return page(
        "# Result folder",
        "`im.open_result(FOLDER)` opens it again without solving: "
        "[how](../how-to/open-a-result.md).",
        table(("file", "holds"), files),
        "Columns below are always there; others may follow (for example a covariate or a component "
        "for each column of `patients` and `visits`).",
        *parts,
    )


_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.M)


def _docstring(text: str) -> str:
    """A NumPy docstring as Markdown."""
    pieces = _SECTION.split(inspect.cleandoc(text))
    parts = [pieces[0].strip().replace("``", "`")]
    for head, body in zip(pieces[1::2], pieces[2::2], strict=True):
        body = body.strip()
        if head in ("Parameters", "Raises"):
            rows, own = [], []
            for line in body.splitlines():
                if line and not line.startswith(" "):
                    own = [line.strip(), []]
                    rows.append(own)
                elif line.strip() and rows:
                    own[1].append(line.strip())
            named = [
                (", ".join(f"`{n.strip()}`" for n in name.split(",")), " ".join(text))
                for name, text in rows
            ]
            parts.append(f"*{head}*\n\n" + table(("name", "meaning"), named).replace("``", "`"))
        elif head == "Examples":
            parts.append(f"```pycon\n{body}\n```")
        else:
            parts.append(f"*{head}*: {' '.join(body.split())}".replace("``", "`"))
    return "\n\n".join(parts)


def _signature(name: str, thing: Any) -> str:
    """Signature, a line for each argument where it is long."""
    found = inspect.signature(thing)
    parts = []
    is_starred = False
    for key, own in found.parameters.items():
        if own.kind is own.KEYWORD_ONLY and not is_starred:
            parts.append("*")
            is_starred = True
        text = f"{key}: {_annotation(own.annotation)}"
        if own.default is not own.empty:
            shown = repr(own.default)
            text += " = ..." if "factory" in shown else f" = {shown}"
        parts.append(text)
    answer = "" if inspect.isclass(thing) else f" -> {_annotation(found.return_annotation)}"
    line = f"{name}({', '.join(parts)}){answer}"
    if len(line) > 88:
        line = f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){answer}"
    return f"```text\n{line}\n```"


def _annotation(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text.replace("npt.", "").replace("pd.", "").replace("xr.", "")


def python_api() -> str:
    """Public names with their docstrings."""
    parts = []
    for name in immunostat.__all__:
        if name == "figures":
            continue
        thing = getattr(immunostat, name)
        parts.append(f"## {name}\n\n{_signature(name, thing)}\n\n{_docstring(thing.__doc__ or '')}")
        if inspect.isclass(thing):
            rows = []
            for key, member in vars(thing).items():
                inside = member.fget if isinstance(member, property) else member
                if key.startswith("_") or not inspect.isfunction(inside):
                    continue
                shown = f"`.{key}`" if isinstance(member, property) else f"`.{key}(...)`"
                rows.append((shown, _first_line(inside.__doc__)))
            parts.append(table(("member", "is"), rows))
    drawn = []
    for name in figures.__all__:
        thing = getattr(figures, name)
        if inspect.isfunction(thing):
            names = ", ".join(inspect.signature(thing).parameters)
            drawn.append((f"`{name}({names})`", _first_line(thing.__doc__)))
    return page(
        "# Python",
        "`import immunostat as im`: these names are public and stay; everything else may change.",
        *parts,
        "## figures\n\nEach takes a result and returns a Vega-Altair chart.\n\n"
        + table(("function", "draws"), drawn),
    )


PAGES = {
    "reference/study-file.md": study_file,
    "reference/cards.md": cards,
    "reference/command-line.md": command_line,
    "reference/result-folder.md": result_folder,
    "reference/python.md": python_api,
}

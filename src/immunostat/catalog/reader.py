"""YAML files to plain data that remembers the line of every key, and errors that show it.

The YAML accepted is the part that is safe and has one meaning: mappings with unique text keys,
lists, text, numbers, true, false and null. Aliases and tags are refused, so a small file cannot
grow large, and ``no`` or ``1:30`` stay the text that the writer sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

import yaml

from immunostat.base.errors import InputError, Place, near_matches, shown_path

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    ModelT = TypeVar("ModelT", bound=BaseModel)

MAXIMUM_BYTES = 2_000_000
MAXIMUM_DEPTH = 40

Data: TypeAlias = Any  # what YAML holds: dict, list, str, int, float, bool or None
Path_: TypeAlias = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,3})?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Document:
    """Data of one file and the place of each part of it."""

    data: Data
    file: str
    places: dict[Path_, Place] = field(default_factory=dict)

    def place(self, path: Iterable[str | int]) -> Place:
        """Place of the part at `path`, or of the nearest part around it that is in the file."""
        parts = tuple(path)
        while parts not in self.places and parts:
            parts = parts[:-1]
        return self.places.get(parts, Place(self.file))

    def put(self, key: str, value: Data, place: Place) -> None:
        """Set the part at the dotted `key`, making mappings on the way."""
        parts = key.split(".")
        if not all(parts) or len(parts) > MAXIMUM_DEPTH:
            raise InputError(f"'{key}' is not a key", place, "write population.patients=100")
        target = self.data
        for i, part in enumerate(parts[:-1]):
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise InputError(
                    f"'{'.'.join(parts[: i + 1])}' holds no keys of its own, so '{key}' cannot be "
                    "set",
                    place,
                    "set the whole value instead",
                )
        target[parts[-1]] = value
        for old in [path for path in self.places if path[: len(parts)] == tuple(parts)]:
            del self.places[old]
        self.places[tuple(parts)] = place


class _Builder:
    """Turns parser events into data; never recurses deeper than `MAXIMUM_DEPTH`."""

    def __init__(self, events: Iterable[Any], file: str) -> None:
        self.events, self.file = iter(events), file
        self.places: dict[Path_, Place] = {}

    def fail(self, event: Any, message: str, remedy: str) -> NoReturn:
        raise InputError(message, Place(self.file, event.start_mark.line + 1), remedy)

    def document(self) -> Data:
        data: Data = None
        n_documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                n_documents += 1
                if n_documents > 1:
                    self.fail(event, "a second document begins ('---')", "keep one document a file")
            elif isinstance(event, yaml.NodeEvent):
                data = self.node(event, ())
        return data

    def node(self, event: Any, path: Path_) -> Data:
        self.places.setdefault(path, Place(self.file, event.start_mark.line + 1))
        if isinstance(event, yaml.AliasEvent):
            self.fail(
                event, f"'*{event.anchor}' is an alias, which is not supported", "write the value"
            )
        if getattr(event, "tag", None) not in (None, "!"):
            self.fail(event, f"the tag '{event.tag}' is not supported", "remove the tag")
        if len(path) > MAXIMUM_DEPTH:
            self.fail(
                event, f"more than {MAXIMUM_DEPTH} levels of nesting", "no file needs that many"
            )
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        return self.mapping(path)

    def sequence(self, path: Path_) -> list[Data]:
        items: list[Data] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, (*path, len(items))))
        return items

    def mapping(self, path: Path_) -> dict[str, Data]:
        data: dict[str, Data] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if isinstance(event, yaml.AliasEvent):
                self.node(event, path)
            if not isinstance(event, yaml.ScalarEvent):
                self.fail(event, "a key is not plain text", "write key: value")
            key = event.value
            if key == "<<":
                self.fail(event, "the merge key '<<' is not supported", "write the values")
            if key in data:
                first = self.places[(*path, key)]
                self.fail(event, f"the key '{key}' stands twice", f"it stands first at {first}")
            mark: Any = event.start_mark
            self.places[(*path, key)] = Place(self.file, mark.line + 1)
            data[key] = self.node(next(self.events), (*path, key))
        return data

    def scalar(self, event: Any) -> Data:
        text: str = event.value
        if not event.implicit[0]:
            return text
        if text in ("", "~", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        if _NOT_A_NUMBER.fullmatch(text):
            self.fail(event, f"'{text}' is not a finite number", "write a finite number")
        if _INTEGER.fullmatch(text):
            return int(text)
        if _NUMBER.fullmatch(text):
            number = float(text)
            if abs(number) == float("inf"):
                self.fail(event, f"'{text}' is too large", "write a finite number")
            return number
        return text


def read_text(path: Path | str, what: str = "file") -> str:
    """Text of a small UTF-8 file.

    Raises
    ------
    InputError
        There is no such file, it is a folder, it cannot be read, it is larger than
        `MAXIMUM_BYTES`, or it is not UTF-8.
    """
    path = Path(path)
    place = Place(shown_path(path))
    if path.is_dir():
        raise InputError(f"this is a folder, not a {what}", place, f"name a {what} in it")
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAXIMUM_BYTES + 1)
    except FileNotFoundError:
        folder = path.parent if path.parent.is_dir() else Path()
        names = [p.name for p in folder.iterdir() if p.suffix == path.suffix][:200]
        hint = near_matches(path.name, names) if names else "check the name and the folder"
        raise InputError(f"there is no such {what}", place, hint) from None
    except (OSError, ValueError) as error:
        raise InputError(f"the {what} cannot be read: {error}", place) from None
    if len(raw) > MAXIMUM_BYTES:
        raise InputError(
            f"the {what} is larger than {MAXIMUM_BYTES // 1_000_000} MB",
            place,
            f"is this really a {what}?",
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            "the text is not UTF-8", Place(place.file, line), "save the file as UTF-8"
        ) from None


def parse_yaml(text: str, file: str) -> Document:
    """Data and places of a YAML text.

    Raises
    ------
    InputError
        The text is broken, or uses an alias, a tag, a double key or deep nesting.

    Examples
    --------
    >>> parse_yaml("a: {b: 1e-5}", "x.yaml").data
    {'a': {'b': 1e-05}}
    """
    builder = _Builder((), file)
    try:
        builder.events = iter(yaml.parse(text, Loader=_LOADER))
        data = builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(filter(None, (error.context, error.problem)))
        if mark and error.context_mark and error.context_mark.line != mark.line:
            problem += f"; it begins on line {error.context_mark.line + 1}"
        raise InputError(
            f"broken YAML: {problem}",
            Place(file, mark.line + 1 if mark else None),
            "check the indentation, quotes, brackets and the space after ':' on and above "
            "this line",
        ) from None
    except yaml.YAMLError as error:  # characters that YAML forbids; no mark
        position = getattr(error, "position", 0)
        raise InputError(
            f"broken YAML: {getattr(error, 'reason', error)}",
            Place(file, text.count("\n", 0, position) + 1),
            "remove the control characters",
        ) from None
    return Document(data, file, builder.places)


def read_yaml(path: Path | str, what: str = "file") -> Document:
    """Data and places of a YAML file that holds a mapping.

    Raises
    ------
    InputError
        See `read_text` and `parse_yaml`; or the file does not hold a mapping.
    """
    document = parse_yaml(read_text(path, what), shown_path(path))
    if not isinstance(document.data, dict):
        raise InputError(
            f"this {what} holds no keys", Place(document.file, 1), "write 'key: value' lines"
        )
    return document


def parse_value(text: str, place: Place) -> Data:
    """One value as YAML reads it, for ``--set KEY=VALUE``."""
    try:
        return parse_yaml(text, str(place)).data
    except InputError as error:
        raise InputError(error.message, place, error.remedy) from None


def _known_keys(model: Any, path: Sequence[str | int]) -> list[str]:
    """Keys that the pydantic model allows where the unknown key of `path` stands."""
    from typing import get_args

    from pydantic import BaseModel

    def models(annotation: Any) -> list[Any]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return [annotation]
        return [found for part in get_args(annotation) for found in models(part)]

    here = [model]
    for part in path[:-1]:
        fields = [m.model_fields[part].annotation for m in here if part in m.model_fields]
        here = [found for annotation in fields for found in models(annotation)] or here
    return [info.alias or name for m in here for name, info in m.model_fields.items()]


def _path_in(data: Data, location: Sequence[str | int], keep_last: bool) -> Path_:
    """Where pydantic's `location` is in the data, without the names of union members in it."""
    path: list[str | int] = []
    for i, part in enumerate(location):
        inside = (isinstance(data, dict) and str(part) in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if inside:
            path.append(part if isinstance(data, list) else str(part))
            data = data[path[-1]]
        elif keep_last and i == len(location) - 1:
            path.append(part)
    return tuple(path)


def _explained(error: Mapping[str, Any], path: Path_, document: Document, model: Any) -> InputError:
    """One pydantic error as one sentence with its place."""
    place, kind = document.place(path), error["type"]
    name = ".".join(str(part) for part in path) or "the file"
    context = error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(model, path)
        return InputError(f"unknown key '{name}'", place, near_matches(str(path[-1]), known))
    if kind == "missing":
        return InputError(f"'{name}' is missing", place, f"add '{path[-1]}: ...' here")
    if kind == "value_error":
        cause = context.get("error")
        if isinstance(cause, InputError):
            return InputError(f"{name}: {cause.message}", cause.place or place, cause.remedy)
        return InputError(f"{name}: {cause}", place)
    if kind in ("enum", "literal_error"):
        allowed = str(context.get("expected", ""))
        return InputError(
            f"{name}: {error['input']!r} is not allowed", place, f"allowed: {allowed}"
        )
    shown = repr(error["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    wanted = error["msg"].replace("Input should", "it should")
    if kind == "string_type" and _follows_a_text(document.data, path):
        wanted = f"a comma inside [ ] begins a new entry; put the text before {shown} in quotes"
    return InputError(f"{name}: {shown} does not fit", place, wanted)


def _follows_a_text(data: Data, path: Path_) -> bool:
    """Whether the item before this one of a list is a text, which a comma may have cut off."""
    for part in path[:-1]:
        data = data[part]
    last = path[-1] if path else None
    if not (isinstance(data, list) and isinstance(last, int) and last > 0):
        return False
    return isinstance(data[last - 1], str)


def explain(error: ValidationError, document: Document, model: Any) -> InputError:
    """The first of pydantic's complaints, in our words with file and line; tells how many more.

    A complaint about a whole is left out where there is one about a part of it: pydantic gives
    both when a value may be of several kinds.
    """
    details = error.errors(include_url=False)
    found: dict[Path_, Mapping[str, Any]] = {}
    for detail in details:
        path = _path_in(document.data, detail["loc"], detail["type"] == "missing")
        found.setdefault(path, detail)
    deep = {
        path: detail
        for path, detail in found.items()
        if not any(other != path and other[: len(path)] == path for other in found)
    }
    unknown = [path for path, detail in deep.items() if detail["type"] == "extra_forbidden"]
    path = (unknown or list(deep))[0]
    first = _explained(deep[path], path, document, model)
    if len(deep) > 1:
        more = f"({len(deep) - 1} more problem{'s' if len(deep) > 2 else ''} in this file)"
        remedy = f"{first.remedy}\n  {more}" if first.remedy else more
        return InputError(first.message, first.place, remedy)
    return first


def validated(document: Document, model: type[ModelT]) -> ModelT:
    """The data of a document as a pydantic `model`.

    Raises
    ------
    InputError
        The data does not fit; the message has file, line, path and what is allowed.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise explain(error, document, model) from None

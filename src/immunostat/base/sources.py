"""The list of sources: a small strict reader of BibTeX, readable citations, and writing a part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from immunostat.base.errors import InputError, Place, UnknownNameError, near_matches

_ENTRY = re.compile(r"@([A-Za-z]+)\s*\{\s*([A-Za-z0-9_:.+-]+)\s*,")
_FIELD = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)\s*=\s*")
_BARE = re.compile(r"[0-9]+|[A-Za-z]+")
_BETWEEN = re.compile(r"(?:\s+|%[^\n]*)*")


@dataclass(frozen=True)
class Source:
    """One entry of a bibliography: its key, its kind (article, book, misc) and its fields."""

    key: str
    kind: str
    fields: Mapping[str, str]
    place: Place | None = None

    @property
    def url(self) -> str:
        """Address of the source: its DOI where it has one, else its url, else empty."""
        doi = self.fields.get("doi", "")
        return f"https://doi.org/{doi}" if doi else self.fields.get("url", "")


class _Text:
    """A text and how far it is read."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file, self.at = text, file, 0

    def place(self) -> Place:
        return Place(self.file, self.text.count("\n", 0, self.at) + 1)

    def fail(self, message: str) -> InputError:
        example = "@article{frey2010, author = {Frey, Nicolas}, year = {2010}}"
        return InputError(message, self.place(), f"an entry looks like {example}")

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def enclosed(self) -> str:
        """Value of a field: braces that balance, a quoted text, or a bare word or number."""
        opening = self.text[self.at : self.at + 1]
        if opening not in ("{", '"'):
            bare = self.take(_BARE)
            if not bare:
                raise self.fail("a field has no value")
            return bare.group()
        start, depth = self.at + 1, 0
        for i in range(start, len(self.text)):
            letter = self.text[i]
            if depth == 0 and letter == ("}" if opening == "{" else '"'):
                self.at = i + 1
                return " ".join(self.text[start:i].split())
            depth += (letter == "{") - (letter == "}")
            if depth < 0:
                break
        raise self.fail("braces or quotes of a field do not balance")


def _read_entry(text: _Text) -> Source:
    place = text.place()
    head = text.take(_ENTRY)
    if not head:
        raise text.fail("this is not the head of an entry")
    fields: dict[str, str] = {}
    while True:
        field = text.take(_FIELD)
        if not field:
            break
        name = field.group(1).lower()
        if name in fields:
            raise text.fail(f"entry '{head.group(2)}' has the field '{name}' twice")
        fields[name] = text.enclosed()
        if not text.take(re.compile(r"\s*,")):
            break
    if not text.take(re.compile(r"\s*\}")):
        raise text.fail(f"entry '{head.group(2)}' is not closed; a comma may be missing")
    return Source(head.group(2), head.group(1).lower(), MappingProxyType(fields), place)


def read_sources(text: str, file: str = "sources.bib") -> dict[str, Source]:
    """All entries of a BibTeX text by key.

    Only entries, blank lines and lines that start with ``%`` are allowed; keys are unique.

    Raises
    ------
    InputError
        The text is not of this form; the message has the file and line.

    Examples
    --------
    >>> read_sources("@misc{a2020, author = {A, B}, year = 2020}")["a2020"].fields["year"]
    '2020'
    """
    reader = _Text(text, file)
    sources: dict[str, Source] = {}
    while True:
        reader.take(_BETWEEN)
        if reader.at >= len(text):
            return sources
        source = _read_entry(reader)
        if source.key in sources:
            first = sources[source.key].place
            raise InputError(
                f"source '{source.key}' stands twice", source.place, f"it stands first at {first}"
            )
        sources[source.key] = source


def _plain(text: str) -> str:
    return re.sub(r"\\([&_%#$])", r"\1", text).replace("{", "").replace("}", "").replace("--", "–")


def cite(source: Source) -> str:
    """One line for people: authors, year, title, journal, volume, pages, address.

    Examples
    --------
    >>> cite(Source("a2020", "article", {"author": "A, B and C, D", "year": "2020"}))
    'A, B; C, D (2020) [a2020]'
    """
    fields = {name: _plain(value) for name, value in source.fields.items()}
    authors = fields.get("author") or fields.get("organization") or fields.get("publisher", "")
    names = [name.strip() for name in authors.split(" and ") if name.strip()]
    is_short = len(names) > 3 or "others" in names
    shown = "; ".join(name for name in names[:3] if name != "others")
    year = f"({fields['year']})" if "year" in fields else ""
    title = fields.get("title", "")
    head = " ".join(filter(None, (shown, "et al." if is_short else "", year)))
    if not names:
        head, title = " ".join(filter(None, (title, year))), ""
    journal = fields.get("journal") or fields.get("booktitle") or fields.get("howpublished", "")
    issue = fields.get("volume", "") + (f"({fields['number']})" if "number" in fields else "")
    if "pages" in fields:
        issue += f":{fields['pages']}"
    parts = [head, title, " ".join(filter(None, (journal, issue))), source.url]
    return ". ".join(part.rstrip(".") for part in parts if part) + f" [{source.key}]"


def write_bibtex(sources: Mapping[str, Source], keys: Iterable[str]) -> str:
    """BibTeX text of the sources of `keys`, each once, sorted by key.

    Raises
    ------
    UnknownNameError
        A key is not among the sources.
    """
    entries = []
    for key in sorted(set(keys)):
        if key not in sources:
            raise UnknownNameError(
                f"source '{key}' is not in the bibliography", remedy=near_matches(key, sources)
            )
        source = sources[key]
        lines = [f"  {name} = {{{value}}}," for name, value in source.fields.items()]
        entries.append("\n".join([f"@{source.kind}{{{source.key},", *lines, "}"]))
    return "\n\n".join(entries) + ("\n" if entries else "")

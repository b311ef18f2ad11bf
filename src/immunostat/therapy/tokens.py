"""The words of one line of a regimen, and how far they are read.

Numbers, times and doses are read here; what they mean together stands in `grammar.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from immunostat.base.errors import InputError, Place, UnitError, near_matches
from immunostat.base.units import AMOUNTS, DAYS
from immunostat.therapy.regimen import Amount

EXAMPLE = "adalimumab 40 mg subcutaneous every 2 weeks"
MAXIMUM_LENGTH = 1000
MAXIMUM_NUMBER = 1e9

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,2})?|\.[0-9]+)"
    r"|(?P<word>[^\W\d_][\w^]*(?:-[\w^]+)*)|(?P<sign>[-–,;/%+]))"
)
SHORT_ROUTES = {
    "sc": "subcutaneous",
    "subcutaneously": "subcutaneous",
    "iv": "intravenous",
    "intravenously": "intravenous",
    "orally": "oral",
    "po": "oral",
    "im": "intramuscular",
    "intramuscularly": "intramuscular",
}
KEYWORDS = (
    *("over", "every", "at", "on", "for", "from", "starting", "until", "maximum", "then"),
    *("label", "once", "twice", "daily", "weekly", "loading"),
)


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    column: int


class Reader:
    """Tokens of one line and how far they are read; each method takes what it names."""

    def __init__(self, line: str, place: Place | None) -> None:
        self.line, self.place, self.at = " ".join(line.split()), place, 0
        if len(line) > MAXIMUM_LENGTH:
            raise InputError(
                f"a regimen of {len(line)} characters is too long", place, f"for example {EXAMPLE}"
            )
        self.tokens: list[Token] = []
        position = 0
        while position < len(self.line):
            match = _TOKEN.match(self.line, position)
            if not match or match.lastgroup is None:
                token = Token("sign", self.line[position].strip() or "?", position + 1)
                self.fail("this character has no meaning here", f"for example {EXAMPLE}", token)
            text = match.group(match.lastgroup)
            self.tokens.append(Token(match.lastgroup, text, match.end() - len(text) + 1))
            position = match.end()

    def fail(
        self,
        message: str,
        remedy: str,
        token: Token | None = None,
        kind: type[InputError] = InputError,
    ) -> NoReturn:
        where = f", character {token.column} '{token.text}'" if token else ""
        raise kind(f"regimen '{self.line}'{where}: {message}", self.place, remedy)

    def peek(self, ahead: int = 0) -> Token:
        i = self.at + ahead
        if i < len(self.tokens):
            return self.tokens[i]
        return Token("end", "end of line", len(self.line) + 1)

    def next(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def word(self, ahead: int = 0) -> str:
        """The word that comes, lower case; empty if something else comes."""
        token = self.peek(ahead)
        return token.text.lower() if token.kind == "word" else ""

    def takes(self, *words: str) -> bool:
        if self.word() in words:
            self.at += 1
            return True
        return False

    def takes_sign(self, *signs: str) -> bool:
        if self.peek().kind == "sign" and self.peek().text in signs:
            self.at += 1
            return True
        return False

    def number(self, what: str, example: str) -> float:
        if self.peek().text in ("-", "–") and self.peek(1).kind == "number":
            self.fail(f"{what} is negative", f"for example '{example}'", self.peek())
        token = self.next()
        if token.kind != "number":
            self.fail(f"{what} should be a number", f"for example '{example}'", token)
        value = float(token.text)
        if value > MAXIMUM_NUMBER:
            self.fail(f"{what} is too large", f"for example '{example}'", token)
        return value

    def whole(self, what: str, example: str) -> int:
        token = self.peek()
        number = self.number(what, example)
        if number != int(number) or not 0 < number <= 10_000:
            self.fail(f"{what} should be a whole number above 0", f"for example '{example}'", token)
        return int(number)

    def duration(self, what: str, example: str) -> float:
        """``4 weeks`` in days; ``week`` alone is one of it."""
        if self.word() in DAYS:
            return DAYS[self.next().text.lower()]
        start = self.peek()
        value = self.number(what, example)
        days = value * self.time_unit(what, example)
        if days <= 0:
            self.fail(f"{what} should be above 0", f"for example '{example}'", start)
        return days

    def time_unit(self, what: str, example: str) -> float:
        token = self.peek()
        word = self.word()
        if word in DAYS:
            self.at += 1
            return DAYS[word]
        remedy = f"for example '{example}'"
        if token.kind == "word" and word not in KEYWORDS:
            self.fail(
                f"'{token.text}' is not a unit of time; {near_matches(word, DAYS)}",
                remedy,
                token,
                UnitError,
            )
        return self.fail(f"{what} has no unit", remedy, token, UnitError)

    def times(self) -> tuple[float, ...]:
        """``weeks 0, 2, 6`` or ``0, 2, 6 weeks`` or ``0 days, 2 weeks``, in days."""
        example = "at weeks 0, 2, 6"
        leading = DAYS[self.next().text.lower()] if self.word() in DAYS else None
        found: list[float] = []
        waiting: list[float] = []
        while True:
            waiting.append(self.number("a time", example))
            if leading is not None:
                found.append(waiting.pop() * leading)
            elif self.peek().kind == "word" and self.word() != "and":
                unit = self.time_unit("a time", example)
                found.extend(time * unit for time in waiting)
                waiting = []
            comma = self.takes_sign(",")
            if not (self.takes("and") or comma):
                break
        if waiting:
            self.fail("a time has no unit", f"for example '{example}'", self.peek(), UnitError)
        return tuple(found)

    def dose(self) -> Amount:
        """``40 mg``, ``8 mg/kg``, ``8 mg per kg``, ``1.3 mg/m2``."""
        example = "40 mg"
        start = self.peek()
        value = self.number("the dose", example)
        token = self.peek()
        if token.kind != "word" or token.text not in AMOUNTS:
            remedy = f"for example '{value:g} mg' or '{value:g} mg/kg'"
            if token.kind != "word" or token.text.lower() in (*KEYWORDS, *SHORT_ROUTES.values()):
                self.fail(f"the dose {value:g} has no unit", remedy, start, UnitError)
            near = near_matches(token.text, AMOUNTS)
            self.fail(f"'{token.text}' is not a unit of dose; {near}", remedy, token, UnitError)
        self.at += 1
        per_kg, per_m2 = False, False
        if self.takes_sign("/") or self.takes("per"):
            per = self.peek()
            per_kg = self.takes("kg")
            per_m2 = not per_kg and self.takes("m2", "m^2", "m²")
            if not (per_kg or per_m2):
                self.fail(
                    "doses are given in total, per kg of body weight or per m2 of body surface",
                    "for example '8 mg/kg' or '1.3 mg/m2'",
                    per,
                    UnitError,
                )
        if value <= 0:
            self.fail("the dose should be above 0", f"for example '{example}'", start)
        return Amount(value, AMOUNTS[token.text], per_kg, per_m2)

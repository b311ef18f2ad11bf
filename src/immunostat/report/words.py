"""Numbers and names as a reader meets them in figures, tables and sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

MINUS = "\u2212"
NO_VALUE = "\u2013"
THIN = "\u202f"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits and no needless zeros or exponents.

    Examples
    --------
    >>> number(1234.5), number(0.012345), number(3.0), number(2.5e-07)
    ('1,234', '0.0123', '3', '2.5×10⁻⁷')
    """
    if not math.isfinite(value):
        return NO_VALUE
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size < -4 or size > 6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}×10".replace("-", MINUS) + str(int(exponent)).translate(RAISED)
    text = f"{value:,.{max(0, digits - 1 - size)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", MINUS)


def ratio(value: float) -> str:
    """How many times as much, with about two significant digits.

    Examples
    --------
    >>> ratio(0.7), ratio(0.062), ratio(1.0), ratio(7.94), ratio(31.4)
    ('0.70', '0.062', '1.0', '7.9', '31')
    """
    if not math.isfinite(value) or abs(value) < 0.1:
        return number(value, 2)
    return f"{value:.{2 if value < 0.995 else 1 if value < 9.95 else 0}f}"


def percent(value: float, digits: int = 0) -> str:
    """A fraction in percent, with a thin space before the sign; small ones keep a digit.

    Examples
    --------
    >>> percent(0.583), percent(0.004)
    ('58\u202f%', '0.4\u202f%')
    """
    if not math.isfinite(value):
        return NO_VALUE
    places = max(digits, 1) if 0 < abs(value) < 0.0995 and digits == 0 else digits
    return f"{100 * value:.{places}f}{THIN}%".replace("-", MINUS)


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign, `digits` decimal places.

    Examples
    --------
    >>> signed(3.14), signed(-0.04), signed(-2.0)
    ('+3.1', '0.0', '−2.0')
    """
    if not math.isfinite(value):
        return NO_VALUE
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def amount(value: float, unit: str) -> str:
    """A value with its unit; a pure number stands bare."""
    text = number(value)
    return text if unit in ("", "1") else f"{text} {shown_unit(unit)}"


def estimate(
    value: float, low: float, high: float, share: bool = False, digits: int = 3
) -> tuple[str, str]:
    """A value and its interval, with as many decimals as suit both; the interval may be empty.

    Parameters
    ----------
    value, low, high
        The estimate and the ends of its interval, NaN where unknown.
    share
        Whether to write a fraction in percent.
    digits
        Significant digits of the value.

    Examples
    --------
    >>> estimate(5.61, 5.5, 5.72), estimate(0.095, 0.052, 0.143, share=True)
    (('5.61', '5.50 to 5.72'), ('9.5\u202f%', '5.2 to 14.3\u202f%'))
    """
    if not math.isfinite(value):
        return NO_VALUE, ""
    ends = [abs(end) for end in (value, low, high) if math.isfinite(end)]
    factor, sign = (100.0, f"{THIN}%") if share else (1.0, "")
    places = (1 if value < 0.0995 else 0) if share else _places(abs(value) or max(ends), digits)

    def text(one: float) -> str:
        if one == 0:
            return "0"
        return f"{factor * one:,.{places}f}".replace("-", MINUS)

    known = math.isfinite(low) and math.isfinite(high)
    return f"{text(value)}{sign}", f"{text(low)} to {text(high)}{sign}" if known else ""


def _places(size: float, digits: int) -> int:
    """Decimal places that show `digits` significant digits of a number of that size."""
    return max(0, digits - 1 - math.floor(math.log10(size))) if size > 0 else 0


def is_fraction(unit: str, statistic: str) -> bool:
    """Whether a value is a share of patients, 0 to 1, which people read in percent."""
    return unit in ("", "1") and (
        "proportion" in statistic or statistic in ("incidence", "event-free")
    )


def inner(text: str) -> str:
    """Words within a sentence: a first capital goes, but for abbreviations.

    Examples
    --------
    >>> inner("Rate ratio"), inner("ARR")
    ('rate ratio', 'ARR')
    """
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def shown_unit(unit: str) -> str:
    """A unit as readers of the field write it.

    Examples
    --------
    >>> shown_unit("1/(100 year)"), shown_unit("ug/mL"), shown_unit("10**9/L")
    ('per 100 patient-years', 'µg/mL', '10^9/L')
    """
    if unit in ("1/(100 year)", "events per 100 patient-years", "1/(100*year)"):
        return "per 100 patient-years"
    return re.sub(r"\bu(?=g\b|mol\b|L\b)", "µ", unit.replace("**", "^"))


def label(name: str) -> str:
    """A name from a file as a reader would write it; the field's own symbols stay.

    Examples
    --------
    >>> label("serious-infection"), label("step_too_small"), label("DAS28-CRP")
    ('serious infection', 'step too small', 'DAS28-CRP')
    """
    return re.sub(r"(?<=[a-z])-(?=[a-z])", " ", name.replace("_", " ")).strip()


def when(day: float) -> str:
    """A point in time: in weeks where it is a whole number of them.

    Examples
    --------
    >>> when(168), when(10), when(1)
    ('week 24', 'day 10', 'day 1')
    """
    return f"week {day / 7:.0f}" if day >= 7 and day % 7 == 0 else f"day {number(day)}"


def span(days: float) -> str:
    """A length of time in the largest unit that it fills evenly.

    Examples
    --------
    >>> span(168), span(730.5), span(10)
    ('24 weeks', '2 years', '10 days')
    """
    for unit, size in (("year", 365.25), ("year", 365.0), ("week", 7.0), ("day", 1.0)):
        count = days / size
        if count >= 1 and abs(count - round(count)) < 1e-9:
            return f"{count:.0f} {unit}{'s' if round(count) != 1 else ''}"
    return f"{number(days)} days"


def listed(words: Sequence[str]) -> str:
    """Words in a row, the last after 'and'.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *head, last = words or [""]
    return f"{', '.join(head)} and {last}" if head else last

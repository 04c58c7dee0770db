"""Numbers in text with their units: what an answer claims, and what the tools' results hold, in the same measure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["ms", "bytes", "ratio", "plain"]

_TIME = {"ms": 1.0, "millisecond": 1.0, "s": 1e3, "sec": 1e3, "second": 1e3, "m": 6e4, "min": 6e4, "minute": 6e4, "h": 3.6e6, "hr": 3.6e6, "hour": 3.6e6, "d": 8.64e7, "day": 8.64e7}  # fmt: skip
_PREFIX = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_UNIT = r"(?:milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|ms|[smhd]|bytes?|[KMGTPkmgtp]i?[Bb]|[KMGTPkgtp]|B|%|percent|percentage points?|times|x|×)"
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_SPAN = re.compile(
    r"(?<![\w.,])(?:(?P<d>\d+)\s?d(?:ays?)?\s)?(?:(?P<h>\d+)\s?h(?:ours?|rs?)?\s?(?:and\s)?)?(?P<m>\d+)\s?m(?:in(?:ute)?s?)?\s?(?:and\s)?(?P<s>\d+(?:\.\d+)?)\s?s(?:ec(?:ond)?s?)?\b"
    r"|(?<![\w.,])(?P<h2>\d+)\s?h(?:ours?|rs?)?\s?(?:and\s)?(?P<m2>\d+)\s?m(?:in(?:ute)?s?)?\b",
    re.IGNORECASE,
)
_QUANTITY = re.compile(rf"(?<![\w.,])(?P<number>{_NUMBER})(?:(?P<exp>[eE][-+]?\d{{1,3}})|(?:\s?(?P<unit>{_UNIT}))?(?![A-Za-z]))?")
_DOTTED = re.compile(r"(?<![\w.])v?\d+(?:\.\d+){2,}(?:[-.]?[\w]+)*|\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?")
_ABOUT = re.compile(r"(?:about|around|roughly|approximately|approx\.?|nearly|almost|over|under|some|~|≈)\s*$", re.IGNORECASE)
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_SMALL = {word: value for value, word in enumerate(_ONES)}
_TENS = {word: 20 + 10 * n for n, word in enumerate(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"))}
_LARGE = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "dozen": 12}
_WORD = "|".join([*_SMALL, *_TENS, *_LARGE])
_IN_WORDS = re.compile(rf"\b(?:{_WORD})(?:[\s-]+(?:and[\s-]+)?(?:{_WORD}))*\b", re.IGNORECASE)
FREE_WORDS = 12
"""Numbers in words up to this are manner of speaking ("one of them") and are not held against the results."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in a text: its place, its value in milliseconds, bytes, shares or as it stands, and how finely it was given (in the same measure)."""

    start: int
    end: int
    value: float
    kind: Kind
    step: float
    literal: str | None = None
    """A version or a date: it must stand in the results as it is."""


def quantities(text: str) -> Iterator[Quantity]:
    """Every number of a text, spans of time as one, in order."""
    taken: list[tuple[int, int]] = []
    found: list[Quantity] = []
    for match in _DOTTED.finditer(text):
        taken.append(match.span())
        found.append(Quantity(*match.span(), 0.0, "plain", 0.0, match[0]))
    for match in _SPAN.finditer(text):
        if not _overlaps(match.span(), taken):
            taken.append(match.span())
            found.append(_span(match))
    for match in _QUANTITY.finditer(text):
        if not _overlaps(match.span(), taken):
            taken.append(match.span())
            found.append(_quantity(match, text))
    for match in _IN_WORDS.finditer(text):
        value = _in_words(match[0])
        if value > FREE_WORDS and not _overlaps(match.span(), taken):
            found.append(Quantity(*match.span(), float(value), "plain", 0.0))
    yield from sorted(found, key=lambda q: q.start)


def _overlaps(span: tuple[int, int], taken: list[tuple[int, int]]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in taken)


def _span(match: re.Match[str]) -> Quantity:
    part = {name: float(value) for name, value in match.groupdict().items() if value is not None}
    seconds = (
        part.get("d", 0) * 86_400
        + (part.get("h", 0) + part.get("h2", 0)) * 3_600
        + (part.get("m", 0) + part.get("m2", 0)) * 60
        + part.get("s", 0)
    )
    return Quantity(*match.span(), seconds * 1e3, "ms", 1e3 if match["s"] is not None else 6e4)


def _quantity(match: re.Match[str], text: str) -> Quantity:
    digits = match["number"].replace(",", "")
    value = float(digits + (match["exp"] or ""))
    step = 10.0 ** -len(digits.partition(".")[2])
    if _ABOUT.search(text[: match.start()]) and "." not in digits:
        step = max(step, 10.0 ** max(len(digits.rstrip("0")) and len(digits) - len(digits.rstrip("0")), 0))
    unit = match["unit"] or ""
    if unit in ("k", "K", "M", "G", "T", "P", "g", "t", "p"):
        factor = 1024.0 ** _PREFIX[unit.lower()]
        return Quantity(*match.span(), value * factor, "bytes", step * factor)
    low = unit.lower()
    if len(low) >= 2 and low[0] in _PREFIX and low.endswith("b"):
        factor = 1024.0 ** _PREFIX[low[0]]
        return Quantity(*match.span(), value * factor, "bytes", step * factor)
    if low in ("b", "byte", "bytes"):
        return Quantity(*match.span(), value, "bytes", step)
    if low in ("%", "percent") or low.startswith("percentage"):
        return Quantity(*match.span(), value / 100, "ratio", step / 100)
    if low in ("x", "×", "times"):
        return Quantity(*match.span(), value, "ratio", step)
    time = _TIME.get(low) or _TIME.get(low.removesuffix("s"))
    if time is not None:
        return Quantity(*match.span(), value * time, "ms", step * time)
    return Quantity(*match.span(), value, "plain", step)


def _in_words(text: str) -> int:
    total = current = 0
    for word in re.split(r"[\s-]+", text.lower()):
        if word in _SMALL or word in _TENS:
            current += _SMALL.get(word, 0) + _TENS.get(word, 0)
        elif word in ("hundred", "dozen"):
            current = max(current, 1) * _LARGE[word]
        elif word in _LARGE:
            total += max(current, 1) * _LARGE[word]
            current = 0
    return total + current

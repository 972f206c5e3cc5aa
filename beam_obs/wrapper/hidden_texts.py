"""Values that must not be seen, in the forms in which a text may hold them.

A value is looked for as it is, in lower and upper case, and as Python, JSON or bytes would write it. What
only a person would know again, a part of a value or an encoding of it, is not found.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable

REDACTED = "[redacted]"
"""Stands where a value was."""

_SHORTEST_ANYWHERE = 3
"""Shorter values are hidden as whole words only: hiding each ``a`` would leave nothing to read."""

_LONG = 32
"""Of a value this long the beginning or end is found too: messages shorten what they show."""

_PART = 16
_CUT = "..."
"""Stands where a message was shortened: what is before it may be the beginning of a value."""

_STAND_IN = "\0"
"""For `REDACTED` until all is hidden, so that no value is found in it."""


class HiddenTexts:
    """Values to be left out of texts.

    Args:
      values: their texts.

    >>> hidden = HiddenTexts(["Ada", "7"])
    >>> hidden.scrub("no user ADA, nor 'ada', at 7 but 17")
    "no user [redacted], nor '[redacted]', at [redacted] but 17"
    """

    def __init__(self, values: Iterable[str]) -> None:
        given = {part for value in values for part in (value, value.strip()) if part.strip()}
        self._values = {value.casefold() for value in given}
        anywhere = {value for value in given if len(value) >= _SHORTEST_ANYWHERE}
        forms = {form for value in anywhere for case in _cases(value) for form in _written(case)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._folded = {form.casefold() for form in forms}
        self._long = {form.lower() for value in anywhere for form in _written(value) if len(value) >= _LONG}
        words = "|".join(re.escape(value) for value in sorted(given - anywhere, key=len, reverse=True))
        self._words = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if words else None

    def scrub(self, text: str) -> str:
        """Returns a text without the values; `REDACTED` alone where one is found but not where it ends."""
        found = text
        for form in self._forms:
            if form in found:
                found = found.replace(form, _STAND_IN)
        for form in self._long:
            found = _without_beginnings(found, form)
            found = _without_beginnings(found[::-1], form[::-1])[::-1]
        if self._words is not None:
            found = self._words.sub(_STAND_IN, found)
        found = self._before_cuts(found)
        folded = found.casefold()
        if any(form in folded for form in self._folded):
            return REDACTED
        return text if found == text else found.replace(_STAND_IN, REDACTED)

    def has(self, text: str) -> bool:
        """Returns whether a text is one of the values."""
        return text.casefold() in self._values

    def is_in(self, text: str) -> bool:
        """Returns whether a text holds any of the values."""
        return self.scrub(text) != text

    @functools.cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(form[:end] for form in self._forms for end in range(1, min(len(form), _LONG)))

    def _before_cuts(self, text: str) -> str:
        """Returns a text without the beginnings of values that stand before a cut."""
        pieces: list[str] = []
        done, cut = 0, text.find(_CUT)
        while cut >= 0:
            lengths = range(min(cut - done, _LONG - 1), 0, -1)
            length = next((one for one in lengths if text[cut - one : cut] in self._beginnings), 0)
            pieces += (text[done : cut - length], _STAND_IN if length else "", _CUT)
            done = cut + len(_CUT)
            cut = text.find(_CUT, done)
        return "".join(pieces) + text[done:]


def _cases(value: str) -> Iterable[str]:
    return {value, value.lower(), value.upper(), value.casefold()}


def _written(value: str) -> Iterable[str]:
    """Gives a text as it is and as it stands between quotes in Python, JSON and bytes."""
    if value.isascii() and value.isprintable() and not any(mark in value for mark in "'\"\\"):
        return (value,)
    escaped = value.encode("utf-8", "backslashreplace")
    return (
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        ascii(value)[1:-1],
        repr(escaped)[2:-1],
        escaped.decode("latin-1"),
        escaped.decode(),
    )


def _without_beginnings(text: str, value: str) -> str:
    """Returns a text without beginnings of a long value in lower case, each at least `_PART` characters."""
    lower = text.lower() if len(text.lower()) == len(text) else text
    begin = value[:_PART]
    pieces: list[str] = []
    done, at = 0, lower.find(begin)
    while at >= 0:
        pieces += (text[done:at], _STAND_IN)
        done = at + _common(lower[at : at + len(value)], value)
        at = lower.find(begin, done)
    return "".join(pieces) + text[done:]


def _common(first: str, second: str) -> int:
    """Returns how many characters two texts have in common at their beginning."""
    for at, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return at
    return min(len(first), len(second))

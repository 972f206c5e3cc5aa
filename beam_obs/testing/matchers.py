"""Matchers: what a dead letter, or one field of it, is expected to be, and how that reads in a difference.

dead_letter(stage="parse", error_type=ValueError, message=contains("'x'"), payload="x")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.payload import decode_payload, payload_text
from beam_obs.records.public_names import public_type
from beam_obs.testing.expected_and_found import cut
from beam_obs.wrapper.failure import class_name

_SHORT_NAMES = {"message": "error_message"}
_NO_VALUE = object()
_SHOWN_FIELD = 200


class Matcher:
    """A condition on one value.

    Args:
      text: how it reads, e.g. ``contains 'x'``.
      matches: takes a value, and says whether it meets it.

    >>> late = Matcher("after 22:00", lambda element: element["dep_time"] > 2200)
    >>> late, late.matches({"dep_time": 2215})
    (after 22:00, True)
    """

    def __init__(self, text: str, matches: Callable[[Any], Any]) -> None:
        self._text = text
        self._matches = matches

    def __repr__(self) -> str:
        return self._text

    def matches(self, value: Any) -> bool:
        """Returns whether a value meets the condition; one that cannot be looked at does not."""
        try:
            return bool(self._matches(value))
        except Exception:
            return False


def contains(*parts: Any) -> Matcher:
    """Returns a matcher for texts, or collections, that contain all of `parts`.

    Args:
      parts: of a text texts, of a collection elements.

    >>> contains("dep_time", "2460").matches("dep_time is 2460")
    True
    """
    return Matcher(
        f"contains {' and '.join(map(repr, parts))}", lambda value: all(part in value for part in parts)
    )


def like(pattern: str) -> Matcher:
    """Returns a matcher for texts in which a regular expression is found.

    Args:
      pattern: the expression, as `re.search` takes it.

    Raises:
      re.error: it is none.

    >>> like(r"is \\d+$").matches("dep_time is 2460")
    True
    """
    compiled = re.compile(pattern)
    return Matcher(f"like {pattern!r}", compiled.search)


def meets(description: str, predicate: Callable[[Any], Any]) -> Matcher:
    """Returns a matcher for what `predicate` is true of.

    Args:
      description: how it reads in a difference.
      predicate: takes a value; one on which it raises is not meant.

    >>> meets("a late departure", lambda element: element["dep_time"] > 2200)
    a late departure
    """
    return Matcher(description, predicate)


class DeadLetterMatcher:
    """What one dead letter, or several, are expected to be. Made by `dead_letter`.

    Args:
      times: how many are expected.
      fields: what is expected of each field.
      trust_pickles: whether payloads may be unpickled.
    """

    def __init__(self, times: int, fields: Mapping[str, Any], trust_pickles: bool = False) -> None:
        self.times = times
        self.fields = dict(fields)
        self._trust_pickles = trust_pickles

    def trusting(self, trust_pickles: bool) -> DeadLetterMatcher:
        """Returns the same matcher, that unpickles payloads or not."""
        return DeadLetterMatcher(self.times, self.fields, trust_pickles)

    def __repr__(self) -> str:
        fields = "  ".join(f"{name} {_expected_text(name, value)}" for name, value in self.fields.items())
        return f"{self.times} x {fields or 'any'}" if self.times != 1 else fields or "any"

    def matches(self, letter: DeadLetter) -> bool:
        """Returns whether a dead letter is as expected."""
        return all(
            _field_matches(name, expected, letter, self._trust_pickles)
            for name, expected in self.fields.items()
        )

    def rows(self, letter: DeadLetter) -> list[tuple[str, str, str, bool]]:
        """Returns name, expected, found and whether that fits, of each field that matters."""
        return [
            (
                name,
                _expected_text(name, expected),
                found_text(name, letter, self._trust_pickles),
                _field_matches(name, expected, letter, self._trust_pickles),
            )
            for name, expected in self.fields.items()
        ]


def dead_letter(
    *,
    stage: Any = _NO_VALUE,
    error_type: Any = _NO_VALUE,
    message: Any = _NO_VALUE,
    payload: Any = _NO_VALUE,
    times: int = 1,
    **others: Any,
) -> DeadLetterMatcher:
    """Returns what a dead letter is expected to be; a field not given may be anything.

    Every field takes a value or a `Matcher`.

    Args:
      stage: full label of the stage.
      error_type: an exception's class or its name, with or without its module.
      message: the exception's text.
      payload: the element that was refused, decoded; where that takes the coder of the run, its text is
        compared.
      times: how many of them are expected.
      others: any other field of `DeadLetter`, e.g. ``position`` or ``source_uri``.

    Raises:
      TypeError: a dead letter has no such field.

    >>> dead_letter(stage="parse", error_type=ValueError, message=contains("'x'"), payload="x")
    stage 'parse'  error_type ValueError  message contains "'x'"  payload 'x'
    """
    unknown = sorted(set(others) - set(DeadLetter._fields))
    if unknown:
        raise TypeError(
            f"a dead letter has no field {unknown[0]!r}; it has payload, message, "
            f"{', '.join(name for name in DeadLetter._fields if name != 'payload')}"
        )
    if times < 1:
        raise TypeError(f"dead_letter(times={times}): give 1 or more, or no matcher where none is expected")
    named = {"stage": stage, "error_type": error_type, "message": message, "payload": payload}
    given = {name: value for name, value in named.items() if value is not _NO_VALUE}
    return DeadLetterMatcher(times, {**given, **others})


def letter_line(letter: DeadLetter) -> str:
    """Returns a dead letter in one line."""
    return "  ".join(
        f"{name} {cut(found_text(name, letter), _SHOWN_FIELD)}"
        for name in ("stage", "error_type", "message", "payload")
    )


def found_text(name: str, letter: DeadLetter, trust_pickles: bool = False) -> str:
    """Returns how a field of a dead letter reads in a difference."""
    if name == "error_type":
        return letter.error_type
    if name == "payload":
        element = element_of(letter, trust_pickles)
        return repr(letter.payload_text if element is _NO_VALUE else element)
    return repr(getattr(letter, _SHORT_NAMES.get(name, name)))


def element_of(letter: DeadLetter, trust_pickles: bool = False) -> Any:
    """Returns the refused element, or a stand-in where it cannot be decoded without the run's coder."""
    try:
        return decode_payload(letter.payload, letter.payload_coder, trust_pickles=trust_pickles)
    except Exception:
        return _NO_VALUE


def _field_matches(name: str, expected: Any, letter: DeadLetter, trust_pickles: bool) -> bool:
    if name == "error_type":
        return _type_matches(expected, letter.error_type)
    if name == "payload":
        element = element_of(letter, trust_pickles)
        if element is not _NO_VALUE:
            return _value_matches(expected, element)
        if isinstance(expected, Matcher):
            return expected.matches(letter.payload_text)
        return letter.payload_text in (expected, payload_text(expected))
    return _value_matches(expected, getattr(letter, _SHORT_NAMES.get(name, name)))


def _value_matches(expected: Any, found: Any) -> bool:
    if isinstance(expected, Matcher):
        return expected.matches(found)
    try:
        return bool(expected == found)
    except Exception:
        return False


def _type_matches(expected: Any, found: str) -> bool:
    if isinstance(expected, Matcher):
        return expected.matches(found)
    if isinstance(expected, type):
        return found == class_name(expected)
    return found == public_type(str(expected)) or found.endswith(f".{expected}")


def _expected_text(name: str, expected: Any) -> str:
    if name == "error_type" and isinstance(expected, (str, type)):
        return expected if isinstance(expected, str) else expected.__qualname__
    return repr(expected)

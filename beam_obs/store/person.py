"""A person whose evidence is to be erased: told by a field of records, by origins, or by dead letters."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.origin import parse_origin

_LONGEST_MATCHED = 1 << 22


@dataclasses.dataclass(frozen=True)
class Person:
    """Whose evidence is meant.

    Args:
      field: name of a field of records, at any depth; empty where only origins are given.
      value: that it has, as text.
      origins: of source records, or of aggregates.
      letters: ids of dead letters that were found.
    """

    field: str = ""
    value: str = ""
    origins: frozenset[bytes] = frozenset()
    letters: frozenset[str] = frozenset()

    def has_refused(self, letter: DeadLetter) -> bool:
        """Returns whether a dead letter is of the person."""
        if letter.id in self.letters:
            return True
        if origin_of(letter) in self.origins:
            return True
        return bool(self.field) and self._is_of(letter)

    def _is_of(self, letter: DeadLetter) -> bool:
        try:
            record = json.loads(letter.payload_text)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, (dict, list)):
            return has_field(record, self.field, self.value)
        payload = letter.payload[:_LONGEST_MATCHED].decode("utf-8", "replace")
        return any(map(self.is_named, (letter.payload_text, payload, letter.error_message, letter.traceback)))

    def is_named(self, text: str) -> bool:
        """Returns whether a text has the value as a word of its own, or one of the origins."""
        if self.value and re.search(rf"(?<!\w){re.escape(self.value)}(?!\w)", text):
            return True
        return any(origin.hex() in text for origin in self.origins)

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON-able values."""
        origins = sorted(origin.hex() for origin in self.origins)
        return {
            "field": self.field,
            "value": self.value,
            "origins": origins,
            "letters": sorted(self.letters),
        }


def has_field(value: Any, field: str, wanted: str) -> bool:
    """Returns whether a value has a field of that text, at any depth; ``a.b`` is b in a.

    >>> has_field([{"user": {"email": "a@b.c"}}], "email", "a@b.c"), has_field({"a": {"b": 1}}, "a.b", "1")
    (True, True)
    """
    if isinstance(value, list):
        return any(has_field(one, field, wanted) for one in value)
    if not isinstance(value, dict):
        return False
    if field in value and str(value[field]) == wanted:
        return True
    first, _, rest = field.partition(".")
    if rest and has_field(value.get(first), rest, wanted):
        return True
    return any(has_field(one, field, wanted) for one in value.values())


def origin_of(letter: DeadLetter) -> bytes | None:
    """Returns the origin of the record that a dead letter keeps; None where none is known."""
    try:
        return parse_origin(letter.origin or "")
    except ValueError:
        return None

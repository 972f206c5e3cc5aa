"""A refused element looked through for named fields: their values, and the element without them.

Records become dicts, since a class of the user's may not take what stands in the place of its values. What
is neither a record, a container nor a plain value is left out: nobody can tell what it holds.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from beam_obs.wrapper.hidden_texts import REDACTED, HiddenTexts

_NUMBERS = (int, float, complex, decimal.Decimal, fractions.Fraction)
_WORDED = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    enum.Enum,
    uuid.UUID,
)
_BYTES = (bytes, bytearray, memoryview)
_BEAM_TIMES = ("Timestamp", "Duration")


def named_values(value: Any, names: frozenset[str]) -> tuple[list[Any], bool]:
    """Returns the values of named fields at any depth, and whether a record has any of them.

    Args:
      value: an element or a part of one.
      names: names of fields.

    >>> named_values(("k", [{"email": "a@b.c", "id": 1}]), frozenset({"email"}))
    (['a@b.c'], True)
    """
    fields = _fields_of(value)
    if fields is not None:
        found = [part for name, part in fields if name in names]
        inner = [named_values(part, names) for name, part in fields if name not in names]
        inner += [named_values(name, names) for name, _ in fields if not isinstance(name, str)]
        return found + [one for values, _ in inner for one in values], bool(found) or any(
            is_found for _, is_found in inner
        )
    parts = _parts_of(value)
    if parts is not None:
        of_parts = [named_values(part, names) for part in parts]
        return [one for values, _ in of_parts for one in values], any(found for _, found in of_parts)
    if _is_plain(value):
        return [], False
    # It is left out itself, but others may show what it holds.
    return [getattr(value, name) for name in names if hasattr(value, name)], False


def without(value: Any, names: frozenset[str], hidden: HiddenTexts) -> Any:
    """Returns an element without the values of named fields, wherever in it they stand again.

    Args:
      value: an element or a part of one.
      names: names of fields.
      hidden: their values.
    """
    fields = _fields_of(value)
    if fields is not None:
        kept: dict[Any, Any] = {}
        for name, part in fields:
            key = name if name in names else _hashable(without(name, names, hidden))
            while key in kept:
                key = f"{key}*"
            kept[key] = REDACTED if name in names else without(part, names, hidden)
        return kept
    parts = _parts_of(value)
    if parts is not None:
        return _rebuilt(value, [without(part, names, hidden) for part in parts])
    if isinstance(value, str):
        scrubbed = hidden.scrub(str(value))
        return value if scrubbed == value else scrubbed
    return value if _is_plain(value) and not _tells(value, hidden) else REDACTED


def masked(value: Any) -> Any:
    """Returns the structure of an element without its values.

    >>> masked({"name": "Ada", "emails": ["a@b.c"]})
    {'name': '[redacted]', 'emails': ['[redacted]']}
    """
    fields = _fields_of(value)
    if fields is not None:
        return {name if isinstance(name, str) else REDACTED: masked(part) for name, part in fields}
    parts = _parts_of(value)
    return REDACTED if parts is None else [masked(part) for part in parts]


def texts_of(value: Any) -> list[str]:
    """Returns the texts in which a value, or the values inside it, may appear in a message.

    >>> texts_of({"ada": 36})
    ['ada', '36']
    """
    fields = _fields_of(value)
    if fields is not None:
        names = [name for name, _ in fields] if isinstance(value, Mapping) else []
        return [text for part in (*names, *(part for _, part in fields)) for text in texts_of(part)]
    parts = _parts_of(value)
    if parts is not None:
        return [text for part in parts for text in texts_of(part)]
    if value is None or isinstance(value, bool):
        return []
    if isinstance(value, _BYTES):
        content = bytes(value)
        return [content.decode("utf-8", "replace"), content.decode("latin-1"), repr(content)[2:-1]]
    text, shown = str(value), repr(value)
    return [text] if shown in (text, f"'{text}'") else [text, shown]


def _fields_of(value: Any) -> list[tuple[Any, Any]] | None:
    """The named parts of a value; None where it has none."""
    if isinstance(value, Mapping):
        return list(value.items())
    names = getattr(value, "_fields", None) if isinstance(value, tuple) else None
    if names is not None:
        return list(zip(names, value, strict=False))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    if type(value).__module__ == "apache_beam.pvalue" and hasattr(value, "as_dict"):
        return list(value.as_dict().items())
    return None


def _parts_of(value: Any) -> Iterable[Any] | None:
    """The parts of a container without names; None where it is none, or can be read only once."""
    if isinstance(value, (str, *_BYTES, type, Iterator)):
        return None
    return value if isinstance(value, Iterable) else None


def _rebuilt(value: Any, parts: list[Any]) -> Any:
    kind = type(value)
    if kind is tuple:
        return tuple(parts)
    if kind in (set, frozenset):
        return kind(map(_hashable, parts))
    return parts


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def _is_plain(value: Any) -> bool:
    """Returns whether all that a value holds is in its text."""
    if value is None or isinstance(value, (str, *_BYTES, *_NUMBERS, *_WORDED)):
        return True
    kind = type(value)
    return kind.__module__ == "apache_beam.utils.timestamp" and kind.__name__ in _BEAM_TIMES


def _tells(value: Any, hidden: HiddenTexts) -> bool:
    if value is None or isinstance(value, bool):
        return False
    if isinstance(value, _NUMBERS):
        return hidden.has(str(value)) or hidden.has(repr(value))
    return any(hidden.is_in(text) for text in texts_of(value))

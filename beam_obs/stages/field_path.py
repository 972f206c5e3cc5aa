"""Fields of a record, named the way people write them: ``"dep_time"``, ``"address.city"``, ``"1.name"``."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Any

from beam_obs.records.errors import UsageError

MISSING: Any = object()
"""What a record without the field gives."""


class FieldPath:
    """A field of a record, or the whole record.

    A part of the path is a key of a mapping, an attribute (of a named tuple, dataclass, Row or any
    object), or a position in a tuple or list. Where a part on the way is None, so is the field.

    Args:
      field: parts joined by dots, or a tuple of parts where a name has a dot of its own; an empty tuple
        is the whole record.

    Raises:
      UsageError: it is neither.

    >>> FieldPath("address.city").of({"address": {"city": "Turku"}})
    'Turku'
    >>> FieldPath("1.name").of(("key", {"name": "Ada"}))
    'Ada'
    """

    def __init__(self, field: str | tuple[str, ...]) -> None:
        parts = tuple(field.split(".")) if isinstance(field, str) else field
        if not isinstance(parts, tuple) or not all(isinstance(part, str) and part for part in parts):
            raise UsageError(
                f'{field!r} names no field: give its name, "a.b" for b inside a, or a tuple of names'
            )
        self.parts: tuple[str, ...] = parts

    def __str__(self) -> str:
        return ".".join(self.parts) if self.parts else "the record"

    def __repr__(self) -> str:
        return f"FieldPath({str(self)!r})"

    def of(self, record: Any) -> Any:
        """Returns the field's value, None where a part on the way is None, or `MISSING`."""
        value = record
        for part in self.parts:
            if value is None:
                return None
            if isinstance(value, Mapping):
                if part not in value:
                    return MISSING
                value = value[part]
            elif part.isdecimal():
                if not isinstance(value, (tuple, list)) or int(part) >= len(value):
                    return MISSING
                value = value[int(part)]
            else:
                value = getattr(value, part, MISSING)
                if value is MISSING:
                    return MISSING
        return value

    def expression(self, record: str, is_dict: bool, may_miss: bool) -> str:
        """Returns Python source that gives the value, for records like most: it may raise for others.

        Args:
          record: name of the variable with the record.
          is_dict: whether the record is a dict.
          may_miss: whether a record without the field gives ``MISSING``; for a path of one part only.
        """
        source = record
        for depth, part in enumerate(self.parts):
            if depth == 0:
                miss = may_miss and len(self.parts) == 1
                source = _of_dict(source, part, miss) if is_dict else _of_object(source, part, miss)
            else:
                inner = f"inner{depth}"
                source = (
                    f"({_of_dict(inner, part)} if ({inner} := {source}).__class__ is dict "
                    f"else {_of_object(inner, part)})"
                )
        return source


def _of_dict(source: str, part: str, may_miss: bool = False) -> str:
    return f"{source}.get({part!r}, MISSING)" if may_miss else f"{source}[{part!r}]"


def _of_object(source: str, part: str, may_miss: bool = False) -> str:
    if part.isdecimal():
        return f"{source}[{int(part)}]"
    if may_miss:
        return f"getattr({source}, {part!r}, MISSING)"
    if part.isidentifier() and not keyword.iskeyword(part):
        return f"{source}.{part}"
    return f"getattr({source}, {part!r})"

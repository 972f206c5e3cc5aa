"""Fields of a record, named the way people write them: ``"dep_time"``, ``"address.city"``, ``"1.name"``."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Any

from beam_obs.records.errors import UsageError

Field = str | tuple[str, ...]
"""A field's name, ``"a.b"`` for b inside a, or a tuple of names where a name has a dot of its own."""

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
            else:
                try:
                    value = at(value, int(part)) if part.isdecimal() else getattr(value, part)
                except (AttributeError, LookupError):
                    return MISSING
        return value

    def expression(self, record: str, is_dict: bool, may_miss: bool) -> str:
        """Returns Python source that gives what `of` gives, for records like most: it raises for others.

        The source uses the names of `NAMES`.

        Args:
          record: name of the variable with the record.
          is_dict: whether the record is a dict, or else no mapping at all.
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
                    f"else {_of_object(inner, part, is_mapping_possible=True)})"
                )
        return source


def at(value: Any, position: int) -> Any:
    """Returns what is at a position of a tuple or list; raises LookupError where nothing is."""
    if isinstance(value, (tuple, list)):
        return value[position]
    raise LookupError(f"a {type(value).__name__} has no positions")


def attribute(value: Any, name: str) -> Any:
    """Returns an attribute; raises AttributeError where there is none, and of a mapping, which has keys."""
    if isinstance(value, Mapping):
        raise AttributeError(name)
    return getattr(value, name)


NAMES: dict[str, Any] = {"MISSING": MISSING, "at": at, "attribute": attribute}
"""What the source that `FieldPath.expression` gives takes from its globals."""


def _of_dict(source: str, part: str, may_miss: bool = False) -> str:
    return f"{source}.get({part!r}, MISSING)" if may_miss else f"{source}[{part!r}]"


def _of_object(source: str, part: str, may_miss: bool = False, is_mapping_possible: bool = False) -> str:
    if part.isdecimal():
        return f"at({source}, {int(part)})"
    if is_mapping_possible:
        return f"attribute({source}, {part!r})"
    if may_miss:
        return f"getattr({source}, {part!r}, MISSING)"
    if part.isidentifier() and not keyword.iskeyword(part):
        return f"{source}.{part}"
    return f"getattr({source}, {part!r})"

"""Where a value that was read back from Avro is another than the one that was written.

What a type rounds to is no difference: the 32 bits of a float, the milliseconds of a time, the day of a date.
Numbers and bytes may be given as Avro stores a logical type, and a UUID or a day as text.
"""

from __future__ import annotations

import datetime
import decimal
import numbers
import struct
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_TEXT_OR_BYTES = (str, bytes, bytearray, memoryview)
_UNITS = {"millis": datetime.timedelta(milliseconds=1), "micros": datetime.timedelta(microseconds=1)}


class Difference(NamedTuple):
    """Where two records differ.

    Args:
      path: names of fields with dots between; empty for the whole.
      given: what was written.
      back: what was read.
    """

    path: str
    given: Any
    back: Any


def kind_of(schema: Any) -> tuple[str, str]:
    """Returns a schema's type and logical type, which may be empty.

    >>> kind_of({"type": "int", "logicalType": "date"})
    ('int', 'date')
    """
    if isinstance(schema, list):
        return "union", ""
    if not isinstance(schema, dict):
        return str(schema), ""
    if not isinstance(schema["type"], str):
        return kind_of(schema["type"])
    return schema["type"], str(schema.get("logicalType", ""))


def named_types(schema: Any) -> dict[str, Any]:
    """Returns the schemas inside a parsed schema that have a name, by it."""
    found: dict[str, Any] = {}
    if isinstance(schema, list):
        for part in schema:
            found |= named_types(part)
    elif isinstance(schema, dict):
        if "name" in schema and schema.get("type") in ("record", "error", "enum", "fixed"):
            found[schema["name"]] = schema
        for inside in (schema.get("type"), schema.get("items"), schema.get("values")):
            found |= named_types(inside)
        for field in schema.get("fields", ()):
            found |= named_types(field["type"])
    return found


def place_of_difference(
    schema: Any, given: Any, back: Any, names: Mapping[str, Any], path: str = ""
) -> Difference | None:
    """Returns the first place at which a value differs from the one that was written; None for none.

    Args:
      schema: a parsed schema.
      given: what was written. Keys that the schema does not have are left out.
      back: what was read.
      names: the schemas that have a name.
      path: of the value.
    """
    if isinstance(schema, str) and schema in names:
        schema = names[schema]
    kind, logical = kind_of(schema)
    if kind == "union":
        if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str):
            given = given[1]  # the branch's name before its value, as fastavro takes it
        found = [place_of_difference(part, given, back, names, path) for part in schema]
        return None if None in found else Difference(path, given, back)
    pairs: list[tuple[Any, Any, Any, str]] = []
    if kind in ("record", "error"):
        if not isinstance(given, Mapping) or not isinstance(back, Mapping):
            return Difference(path, given, back)
        pairs = [
            (field["type"], given[field["name"]], back[field["name"]], field["name"])
            for field in schema["fields"]
            if field["name"] in given
        ]
    elif kind == "array":
        if isinstance(given, (*_TEXT_OR_BYTES, Mapping)) or not isinstance(back, list):
            return Difference(path, given, back)
        items = list(given)
        if len(items) != len(back):
            return Difference(path, given, back)
        pairs = [(schema["items"], item, back[number], str(number)) for number, item in enumerate(items)]
    elif kind == "map":
        if not isinstance(given, Mapping) or not isinstance(back, Mapping) or given.keys() != back.keys():
            return Difference(path, given, back)
        pairs = [(schema["values"], given[key], back[key], key) for key in given]
    elif not _is_same(kind, logical, given, back):
        return Difference(path, given, back)
    for inside, one, other, name in pairs:
        place = place_of_difference(inside, one, other, names, f"{path}.{name}" if path else name)
        if place is not None:
            return place
    return None


def _is_same(kind: str, logical: str, given: Any, back: Any) -> bool:
    try:
        if given == back:
            return kind != "int" or logical != "" or -(2**31) <= back < 2**31
        if isinstance(back, uuid.UUID):
            return bool(uuid.UUID(given) == back)
        if isinstance(back, decimal.Decimal):
            return _is_same_decimal(given, back)
        if isinstance(back, datetime.datetime):
            return _is_same_time(logical, given, back)
        if isinstance(back, datetime.date):
            return _is_same_day(given, back)
        if isinstance(back, datetime.time):
            return _is_same_time_of_day(logical, given, back)
        return kind in ("float", "double") and _is_same_number(kind, given, back)
    except Exception:  # of a value that cannot be held against another
        return False


def _is_same_number(kind: str, given: Any, back: float) -> bool:
    if not isinstance(given, (numbers.Real, decimal.Decimal)):
        return False
    if given != given or back != back:
        return bool(given != given and back != back)
    return kind == "float" and bool(struct.unpack("<f", struct.pack("<f", given))[0] == back)


def _is_same_decimal(given: Any, back: decimal.Decimal) -> bool:
    _, digits, _ = back.as_tuple()
    unscaled = int("".join(map(str, digits)) or "0")
    return abs(int.from_bytes(given, "big", signed=True)) == unscaled


def _is_same_time(logical: str, given: Any, back: datetime.datetime) -> bool:
    unit = _UNITS.get(logical.rpartition("-")[2], _UNITS["micros"])
    epoch = _EPOCH if back.tzinfo is not None else _EPOCH.replace(tzinfo=None)
    if isinstance(given, int):
        return (back - epoch) // unit == given
    if back.tzinfo is None:
        given = given.replace(tzinfo=None)
    elif given.tzinfo is None:
        given = given.astimezone(datetime.timezone.utc)  # fastavro takes it for this machine's time
    return bool(abs(given - back) < unit)


def _is_same_day(given: Any, back: datetime.date) -> bool:
    if isinstance(given, datetime.datetime):
        given = given.date()
    elif isinstance(given, str):
        given = datetime.date.fromisoformat(given)
    elif isinstance(given, int):
        given = _EPOCH.date() + datetime.timedelta(days=given)
    return bool(given == back)


def _is_same_time_of_day(logical: str, given: Any, back: datetime.time) -> bool:
    unit = _UNITS.get(logical.rpartition("-")[2], _UNITS["micros"])
    if isinstance(given, int):
        return _since_midnight(back) // unit == given
    return bool(given.tzinfo is None and abs(_since_midnight(given) - _since_midnight(back)) < unit)


def _since_midnight(time: datetime.time) -> datetime.timedelta:
    return datetime.timedelta(
        hours=time.hour, minutes=time.minute, seconds=time.second, microseconds=time.microsecond
    )

"""The portable form of a coder, as a run keeps it once per stage, read without Apache Beam.

It is a `MessageWithComponents` of Beam's ``beam_runner_api.proto``, in the wire format of protocol buffers;
of a row's coder the payload is a `Schema` of ``schema.proto``. Only what is needed to decode is read.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import Any

_MOST_NESTED = 32
_ATOMIC = ("", "byte", "int16", "int32", "int64", "float", "double", "string", "boolean", "bytes")
_NAME, _VALUE = 1, 2
"""Fields of an entry of a map."""


@dataclasses.dataclass(frozen=True)
class SchemaType:
    """A type of a schema.

    Args:
      kind: name of an atomic type in small letters, ``array``, ``map``, ``row``, or empty for all others.
      is_nullable: whether its values may be null.
      inner: types of elements, or of keys and values.
      schema: of a row.
    """

    kind: str
    is_nullable: bool
    inner: tuple[SchemaType, ...] = ()
    schema: Schema | None = None


@dataclasses.dataclass(frozen=True)
class Schema:
    """The schema of a row.

    Args:
      name: what Beam calls the class of such rows.
      fields: their names.
      types: one for each field.
      is_in_order: whether the values are encoded in the order of the fields.
    """

    name: str
    fields: tuple[str, ...]
    types: tuple[SchemaType, ...]
    is_in_order: bool


@dataclasses.dataclass(frozen=True)
class PortableCoder:
    """A coder.

    Args:
      urn: what kind it is.
      parts: what it is made of.
      schema: of a row.
    """

    urn: str
    parts: tuple[PortableCoder, ...] = ()
    schema: Schema | None = None


def parse_portable(serialized: bytes, row_urn: str) -> PortableCoder:
    """Returns a portable coder.

    Args:
      serialized: a ``MessageWithComponents`` that has a coder.
      row_urn: URN of the coder whose payload is a schema.

    Raises:
      ValueError: it is none, or nested too deep.
    """
    message = _fields(serialized)
    components = _merged(message[1])
    kept = {_text(entry, _NAME): _last(entry, _VALUE) for entry in map(_fields, components[4])}

    def parse(coder: bytes, depth: int) -> PortableCoder:
        if depth > _MOST_NESTED:
            raise ValueError("a coder is nested too deep")
        fields = _fields(coder)
        spec = _merged(fields[1])
        names = [one.decode("utf-8") for one in fields[2]]
        if not all(name in kept for name in names):
            raise ValueError("a coder has parts that are not there")
        urn = _text(spec, 1)
        schema = _schema(_last(spec, 3), 0) if urn == row_urn else None
        return PortableCoder(urn, tuple(parse(kept[name], depth + 1) for name in names), schema)

    return parse(_last(message, 2), 0)


def _schema(content: bytes, depth: int) -> Schema:
    message = _fields(content)
    fields = [_fields(one) for one in message[1]]
    positions = [_number(field, 5) for field in fields]
    return Schema(
        f"BeamSchema_{_text(message, 2).replace('-', '_')}",
        tuple(_text(field, 1) for field in fields),
        tuple(_type(_last(field, 3), depth + 1) for field in fields),
        not _number(message, 4) or positions == [*range(len(fields))],
    )


def _type(content: bytes, depth: int) -> SchemaType:
    if depth > _MOST_NESTED:
        raise ValueError("a schema is nested too deep")
    message = _fields(content)
    is_nullable = bool(_number(message, 1))
    found = [number for number in range(2, 8) if message[number]]
    if found == [2]:
        atomic = _number(message, 2)
        return SchemaType(_ATOMIC[atomic] if atomic < len(_ATOMIC) else "", is_nullable)
    if found in ([3], [4]):
        inner = _type(_last(_fields(_last(message, found[0])), 1), depth + 1)
        return SchemaType("array", is_nullable, (inner,))
    if found == [5]:
        of_map = _fields(_last(message, 5))
        return SchemaType("map", is_nullable, tuple(_type(_last(of_map, at), depth + 1) for at in (1, 2)))
    if found == [6]:
        schema = _schema(_last(_fields(_last(message, 6)), 1), depth + 1)
        return SchemaType("row", is_nullable, schema=schema)
    return SchemaType("", is_nullable)


def _fields(content: bytes) -> defaultdict[int, list[Any]]:
    """Returns the fields of a message by their numbers, each as bytes or as a number.

    >>> dict(_fields(bytes([8, 5, 18, 1, 97])))
    {1: [5], 2: [b'a']}
    """
    found: defaultdict[int, list[Any]] = defaultdict(list)
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(content, at)
            found[tag >> 3].append(value)
            continue
        size, at = _varint(content, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), at)
        if not 0 <= size <= len(content) - at:
            raise ValueError("no message of protocol buffers")
        if kind == 2:
            found[tag >> 3].append(content[at : at + size])
        at += size
    return found


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("no message of protocol buffers")


def _merged(parts: list[Any]) -> defaultdict[int, list[Any]]:
    """Returns the fields of a message that came in parts."""
    return _fields(b"".join(_checked(parts, bytes)))


def _last(message: defaultdict[int, list[Any]], number: int) -> bytes:
    found: bytes = (_checked(message[number], bytes) or [b""])[-1]
    return found


def _text(message: defaultdict[int, list[Any]], number: int) -> str:
    return _last(message, number).decode("utf-8")


def _number(message: defaultdict[int, list[Any]], number: int) -> int:
    found: int = (_checked(message[number], int) or [0])[-1]
    return found


def _checked(values: list[Any], kind: type) -> list[Any]:
    if not all(type(value) is kind for value in values):
        raise ValueError("no message of protocol buffers")
    return values

"""Payloads of Beam's standard coders decoded without Apache Beam, so that a command answers at once.

The formats are those of ``apache_beam/coders/coder_impl.py``. A decoder only reads bytes and makes plain
values. A payload that is cut or damaged is a ValueError; Beam's compiled coders read on behind the end of it,
so that they are asked only for coders which are not known here (`NeedsBeam`).
"""

from __future__ import annotations

import collections
import decimal
import functools
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from beam_obs.records.data_coders import ROW, STANDARD, TUPLES, MayRunCode, primitive
from beam_obs.records.portable_coder import PortableCoder, Schema, SchemaType


class NeedsBeam(Exception):
    """A coder is not known here."""


class Damaged(ValueError):
    """A payload is not what its coder writes."""

    def __init__(self) -> None:
        super().__init__("these bytes are not what the coder writes: the payload is cut or damaged")


class Stream:
    """Bytes that are read one after the other, as Beam's stream reads them.

    Args:
      content: all of them.

    >>> Stream(bytes([0xac, 2])).read_var_int64()
    300
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self._content) - self._at

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise Damaged
        self._at += size
        return self._content[self._at - size : self._at]

    def read_all(self, nested: bool) -> bytes:
        return self.read(self.read_var_int64() if nested else self.left)

    def read_byte(self) -> int:
        return self.read(1)[0]

    def read_var_int64(self) -> int:
        result = 0
        for shift in range(0, 70, 7):
            byte = self.read_byte()
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        if byte >= 0x80 or result >= 1 << 64:
            raise Damaged
        return result - (1 << 64) if result >= 1 << 63 else result

    def read_bigendian_double(self) -> float:
        return float(self.unpack(">d", 8))

    def unpack(self, form: str, size: int) -> Any:
        return struct.unpack(form, self.read(size))[0]


Decoder: TypeAlias = Callable[[Stream, bool], Any]
"""Reads a value from a stream; whether its length is there before it, as where more follows."""


def decode_plainly(payload: bytes, decoder: Decoder) -> Any:
    """Returns the value that a payload holds.

    Args:
      payload: the bytes.
      decoder: of `decoder_by_name` or `decoder_of_portable`.

    Raises:
      MayRunCode: it has a pickle in it.
      ValueError: it is not what the coder writes.

    >>> decode_plainly(b"ab", decoder_by_name("beam:coder:string_utf8:v1", []))
    'ab'
    """
    stream = Stream(payload)
    try:
        value = decoder(stream, False)
    except (Damaged, MayRunCode):
        raise
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise Damaged from error
    if stream.left:
        raise Damaged
    return value


def decoder_by_name(name: str, parts: list[Decoder]) -> Decoder:
    """Returns the decoder of a coder.

    Args:
      name: its URN, or ``python:Name``.
      parts: decoders of what it is made of.

    Raises:
      NeedsBeam: there is none.
    """
    if name in TUPLES and parts:
        return functools.partial(_tuple, parts)
    if not parts and name in _LEAVES:
        return _LEAVES[name]
    number, make = _COMPOSITES.get(name, (None, None))
    if make is None or number != len(parts):
        raise NeedsBeam
    return functools.partial(make, *parts)


def decoder_of_portable(coder: PortableCoder) -> Decoder:
    """Returns the decoder of a portable coder.

    Raises:
      MayRunCode: it is none of those that give data only.
      NeedsBeam: there is none.
    """
    if coder.urn not in (ROW, *TUPLES, *STANDARD):
        raise MayRunCode(coder.urn)
    if coder.urn == ROW and coder.schema is not None:
        return _row_decoder(coder.schema)
    return decoder_by_name(coder.urn, [decoder_of_portable(part) for part in coder.parts])


def _row_decoder(schema: Schema) -> Decoder:
    if not schema.is_in_order:
        raise NeedsBeam
    try:
        # As Beam names it where it does not know the class; equal to any tuple of the same values.
        row: Any = collections.namedtuple(schema.name, schema.fields)  # type: ignore[misc] # it is data
    except ValueError:
        raise NeedsBeam from None
    decoders = [_type_decoder(each) for each in schema.types]
    return functools.partial(_row, row, decoders)


def _type_decoder(of: SchemaType) -> Decoder:
    """Returns the decoder of a type's values that are not null."""
    if of.kind == "row" and of.schema is not None:
        return _row_decoder(of.schema)
    inner = [
        functools.partial(_nullable, _type_decoder(each)) if each.is_nullable else _type_decoder(each)
        for each in of.inner
    ]
    name = _OF_SCHEMAS.get(of.kind)
    if name is None:
        raise NeedsBeam
    return decoder_by_name(name, inner)


def _row(row: Any, decoders: list[Decoder], stream: Stream, nested: bool) -> Any:
    number, nulls = stream.read_var_int64(), stream.read_all(True)
    if number != len(decoders):
        raise Damaged
    return row(
        *(
            None if at >> 3 < len(nulls) and nulls[at >> 3] & 1 << (at & 7) else decoder(stream, True)
            for at, decoder in enumerate(decoders)
        )
    )


def _tuple(parts: list[Decoder], stream: Stream, nested: bool) -> tuple[Any, ...]:
    last = len(parts) - 1
    return tuple(part(stream, nested or at < last) for at, part in enumerate(parts))


def _list(part: Decoder, stream: Stream, nested: bool) -> list[Any]:
    size = stream.unpack(">i", 4)
    if size >= 0:
        return [part(stream, True) for _ in range(size)]
    found: list[Any] = []  # in portions, the last of which is empty: how many there are was not known
    while (portion := stream.read_var_int64()) > 0:
        found.extend(part(stream, True) for _ in range(portion))
    if portion < 0:
        raise Damaged
    return found


def _dict(key: Decoder, value: Decoder, stream: Stream, nested: bool) -> dict[Any, Any]:
    size = stream.unpack(">i", 4)
    if size < 0:
        raise Damaged
    return {key(stream, True): value(stream, True) for _ in range(size)}


def _nullable(part: Decoder, stream: Stream, nested: bool) -> Any:
    return part(stream, nested) if _bool(stream, nested) else None


def _length_prefix(part: Decoder, stream: Stream, nested: bool) -> Any:
    inner = Stream(stream.read_all(True))
    value = part(inner, False)
    if inner.left:
        raise Damaged
    return value


def _bool(stream: Stream, nested: bool) -> bool:
    byte = stream.read_byte()
    if byte > 1:
        raise Damaged
    return byte == 1


def _integer(stream: Stream, nested: bool) -> int:
    return int.from_bytes(stream.read_all(nested), "big", signed=True)


def _decimal(stream: Stream, nested: bool) -> decimal.Decimal:
    scale = stream.read_var_int64()
    return decimal.Decimal(_integer(stream, nested)).scaleb(-scale)


def _int32(stream: Stream, nested: bool) -> int:
    value: int = struct.unpack("<i", struct.pack("<Q", stream.read_var_int64() & 0xFFFFFFFFFFFFFFFF)[:4])[0]
    return value


_LEAVES: dict[str, Decoder] = {
    "beam:coder:bool:v1": _bool,
    "beam:coder:bytes:v1": lambda stream, nested: stream.read_all(nested),
    "beam:coder:double:v1": lambda stream, nested: stream.read_bigendian_double(),
    "beam:coder:string_utf8:v1": lambda stream, nested: stream.read_all(nested).decode("utf-8"),
    "beam:coder:varint:v1": lambda stream, nested: stream.read_var_int64(),
    "python:BigEndianShortCoder": lambda stream, nested: stream.unpack(">h", 2),
    "python:BigIntegerCoder": _integer,
    "python:DecimalCoder": _decimal,
    "python:FakeDeterministicFastPrimitivesCoder": lambda stream, nested: primitive(stream, nested, 0),
    "python:FastPrimitivesCoder": lambda stream, nested: primitive(stream, nested, 0),
    "python:SinglePrecisionFloatCoder": lambda stream, nested: stream.unpack(">f", 4),
    "python:VarInt32Coder": _int32,
}
_COMPOSITES: dict[str, tuple[int, Callable[..., Any]]] = {
    "beam:coder:iterable:v1": (1, _list),
    "beam:coder:length_prefix:v1": (1, _length_prefix),
    "beam:coder:nullable:v1": (1, _nullable),
    "python:DeterministicMapCoder": (2, _dict),
    "python:ListCoder": (1, _list),
    "python:MapCoder": (2, _dict),
    "python:TupleSequenceCoder": (1, lambda part, stream, nested: tuple(_list(part, stream, nested))),
}
_OF_SCHEMAS = {
    "int16": "python:BigEndianShortCoder",
    "int32": "python:VarInt32Coder",
    "int64": "beam:coder:varint:v1",
    "float": "python:SinglePrecisionFloatCoder",
    "double": "beam:coder:double:v1",
    "string": "beam:coder:string_utf8:v1",
    "boolean": "beam:coder:bool:v1",
    "bytes": "beam:coder:bytes:v1",
    "array": "beam:coder:iterable:v1",
    "map": "python:MapCoder",
}
"""Kind of a schema's type -> the coder that Beam has for it."""

"""Coders that only make data: what a store holds is decoded by these, and never by one that can run code.

A coder is allowed by its name, not refused by it: pickles have many names, and schemas can name code too.
"""

from __future__ import annotations

import enum
import functools
from typing import TYPE_CHECKING, Any

from beam_obs.records.errors import BeamObsError

if TYPE_CHECKING:
    from apache_beam.coders import Coder

STANDARD = {
    "beam:coder:bool:v1": 0,
    "beam:coder:bytes:v1": 0,
    "beam:coder:double:v1": 0,
    "beam:coder:interval_window:v1": 0,
    "beam:coder:iterable:v1": 1,
    "beam:coder:length_prefix:v1": 1,
    "beam:coder:nullable:v1": 1,
    "beam:coder:string_utf8:v1": 0,
    "beam:coder:varint:v1": 0,
}
"""Coders of Beam's model that give data, with how many parts they have: none gives a value of no bytes."""

TUPLES = ("beam:coder:kv:v1", "beam:coder:tuple:v1")
"""Coders of Beam's that give tuples, of any number of parts."""

ROW = "beam:coder:row:v1"

_ARBITRARY_LENGTH = ("BigIntegerCoder", "DecimalCoder")
PYTHON = {
    "BigEndianShortCoder": 0,
    "BigIntegerCoder": 0,
    "ByteCoder": 0,
    "DecimalCoder": 0,
    "DeterministicMapCoder": 2,
    "FakeDeterministicFastPrimitivesCoder": 0,
    "FastPrimitivesCoder": 0,
    "ListCoder": 1,
    "MapCoder": 2,
    "SinglePrecisionFloatCoder": 0,
    "TimestampCoder": 0,
    "TupleSequenceCoder": 1,
    "VarInt32Coder": 0,
}
"""Coders of Beam's Python SDK that give data; of the ones for any value, plain values only are decoded."""

_LOGICAL = frozenset(
    f"beam:logical_type:{name}:v1"
    for name in (
        "date",
        "decimal",
        "fixed_bytes",
        "fixed_char",
        "fixed_decimal",
        "micros_instant",
        "millis_instant",
        "timestamp",
        "var_bytes",
        "var_char",
    )
)
_MOST_NESTED = 32
_LONGEST_NUMBER = 4096


class _Tag(enum.IntEnum):
    """What says which type a value has, as `FastPrimitivesCoderImpl` of Beam writes it."""

    NONE = 0
    INT = 1
    FLOAT = 2
    BYTES = 3
    UNICODE = 4
    LIST = 5
    TUPLE = 6
    DICT = 7
    SET = 8
    BOOL = 9


class MayRunCode(BeamObsError, ValueError):
    """A payload cannot be decoded without running code that whoever wrote it has chosen.

    Args:
      coder: its name.
    """

    def __init__(self, coder: str) -> None:
        super().__init__(f"the coder {coder[:200]!r} may run code as it decodes")
        self.coder = coder


def check_length(name: str, payload: bytes) -> None:
    """Raises a ValueError where numbers may be so long that showing them takes forever."""
    if len(payload) > _LONGEST_NUMBER and any(kind in name for kind in _ARBITRARY_LENGTH):
        raise ValueError(f"numbers of {len(payload):,} bytes are not decoded")


@functools.lru_cache(maxsize=1)
def primitives_coder() -> Coder:
    """Returns a coder of what Beam's coder of any value writes; what is not plain raises `MayRunCode`."""
    from apache_beam.coders import coder_impl
    from apache_beam.coders.coders import FastCoder

    class Primitives(coder_impl.StreamCoderImpl):
        def decode_from_stream(self, stream: Any, nested: bool) -> Any:
            return primitive(stream, nested, 0)

    class PrimitivesCoder(FastCoder):
        def _create_impl(self) -> Any:
            return Primitives()

        def is_deterministic(self) -> bool:
            return False

    coder: Coder = PrimitivesCoder()
    return coder


def primitive(stream: Any, nested: bool, depth: int) -> Any:
    """Returns a plain value as Beam's coder of any value writes it: by its tag.

    Args:
      stream: of Beam, or one that reads alike.
      nested: whether more follows, so that its length is there before it.
      depth: how deep it is nested.

    Raises:
      MayRunCode: it is not plain.
    """
    if depth > _MOST_NESTED:
        raise ValueError("it is nested too deep")
    tag = stream.read_byte()
    if tag == _Tag.NONE:
        return None
    if tag == _Tag.INT:
        return stream.read_var_int64()
    if tag == _Tag.FLOAT:
        return stream.read_bigendian_double()
    if tag == _Tag.BYTES:
        return stream.read_all(nested)
    if tag == _Tag.UNICODE:
        return stream.read_all(nested).decode("utf-8")
    if tag == _Tag.BOOL:
        return bool(stream.read_byte())
    if tag in (_Tag.LIST, _Tag.TUPLE, _Tag.SET):
        values = [primitive(stream, True, depth + 1) for _ in range(stream.read_var_int64())]
        return {_Tag.LIST: list, _Tag.TUPLE: tuple, _Tag.SET: set}[tag](values)
    if tag == _Tag.DICT:
        pairs = range(stream.read_var_int64())
        return {primitive(stream, True, depth + 1): primitive(stream, True, depth + 1) for _ in pairs}
    raise MayRunCode("python:FastPrimitivesCoder")


def is_data_only(message: Any) -> bool:
    """Returns whether a portable coder, with all that it is made of, gives data only.

    Args:
      message: a ``MessageWithComponents`` of Beam's runner API.
    """

    def allowed(coder: Any, depth: int) -> bool:
        urn = coder.spec.urn
        if depth > _MOST_NESTED:
            return False
        if urn == ROW:
            return _row_is_data_only(coder.spec.payload)
        inner = [message.components.coders[name] for name in coder.component_coder_ids]
        fits = bool(inner) if urn in TUPLES else STANDARD.get(urn) == len(inner)
        return fits and all(allowed(one, depth + 1) for one in inner)

    return allowed(message.coder, 0)


def _row_is_data_only(payload: bytes) -> bool:
    from apache_beam.portability.api import schema_pb2

    def allowed(kind: Any, depth: int) -> bool:
        if depth > _MOST_NESTED:
            return False
        form = kind.WhichOneof("type_info")
        if form == "atomic_type":
            return True
        if form in ("array_type", "iterable_type"):
            return allowed(getattr(kind, form).element_type, depth + 1)
        if form == "map_type":
            return allowed(kind.map_type.key_type, depth + 1) and allowed(kind.map_type.value_type, depth + 1)
        if form == "row_type":
            return schema_allowed(kind.row_type.schema, depth + 1)
        return form == "logical_type" and kind.logical_type.urn in _LOGICAL

    def schema_allowed(schema: Any, depth: int) -> bool:
        options = [*schema.options, *(option for field in schema.fields for option in field.options)]
        plain = all(option.type.WhichOneof("type_info") in (None, "atomic_type") for option in options)
        return plain and all(allowed(field.type, depth) for field in schema.fields)

    return schema_allowed(schema_pb2.Schema.FromString(payload), 0)

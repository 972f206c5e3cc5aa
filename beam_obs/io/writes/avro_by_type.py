"""Encodes records as Avro where the types of their values say that they come back as they are.

A function is written out for the schema, since it is called for each record: of a record with unions it takes
a fifth of the time of fastavro, which tries one branch after the other. The bytes are the same.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import re
import struct
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastavro.logical_readers import LOGICAL_READERS
from fastavro.logical_writers import LOGICAL_WRITERS

from beam_obs.io.writes.avro_same import kind_of
from beam_obs.records.avro_number import avro_long

Encode = Callable[[Any], "bytes | None"]

_NUMBERS_KEPT = 8_192


class _Numbers(dict[int, bytes]):
    """Numbers as Avro has them, kept as they come.

    Args:
      bits: of a number, without its sign.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self._bits = bits

    def __missing__(self, number: int) -> bytes:
        if number.bit_length() > self._bits and number != -(1 << self._bits):
            raise OverflowError(f"{number} has more than {self._bits} bits")
        made = avro_long(number)
        if len(self) < _NUMBERS_KEPT:
            self[number] = made
        return made


_SHARED: dict[str, Any] = {
    "ints": _Numbers(31),
    "longs": _Numbers(63),
    "pack_float": struct.Struct("<f").pack,
    "pack_double": struct.Struct("<d").pack,
    "UUID": uuid.UUID,
    "is_uuid": re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch,
    "Decimal": decimal.Decimal,
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "utc": datetime.timezone.utc,
}
"""What the names in the texts below stand for."""

_TESTS = {
    "null": "{0} is None",
    "boolean": "type({0}) is bool",
    "int": "type({0}) is int",
    "long": "type({0}) is int",
    "float": "type({0}) is float and -3e38 <= {0} <= 3e38",
    "double": "type({0}) is float",
    "string": "type({0}) is str",
    "bytes": "type({0}) is bytes",
    "string-uuid": "type({0}) is UUID or type({0}) is str and is_uuid({0})",
    "bytes-decimal": "type({0}) is Decimal",
    "int-date": "type({0}) is date",
    "int-time-millis": "type({0}) is time and {0}.tzinfo is None",
    "long-time-micros": "type({0}) is time and {0}.tzinfo is None",
    "long-timestamp-millis": "type({0}) is datetime and {0}.tzinfo is utc",
    "long-timestamp-micros": "type({0}) is datetime and {0}.tzinfo is utc",
    "long-local-timestamp-millis": "type({0}) is datetime and {0}.tzinfo is None",
    "long-local-timestamp-micros": "type({0}) is datetime and {0}.tzinfo is None",
}
"""Tests of values that come back as they are, where they can be encoded."""

_ENCODED = {
    "null": 'b""',
    "boolean": r'(b"\1" if {0} else b"\0")',
    "int": "ints[{0}]",
    "long": "longs[{0}]",
    "float": "pack_float({0})",
    "double": "pack_double({0})",
    "string": "(longs[len(made := {0}.encode())] + made)",
    "bytes": "(longs[len(made := {0})] + made)",
}

_RECORD = """
def {name}(value):
    if type(value) is not dict or len(value) != {number} and not takes(value):
        return None
    try:
        {fields}
    except KeyError:
        if not takes(value) or {defaults}.keys() <= value.keys():
            return None
        return {name}({{**{defaults}, **value}})
    if not ({test}):
        return None
    return b"".join(({encoded}))
"""

_ARRAY = r"""
def {name}(value):
    if type(value) is not list:
        return None
    parts = [longs[len(value)]]
    for item in value:
        if not ({test}):
            return None
        parts.append({encoded})
    if value:
        parts.append(b"\0")
    return b"".join(parts)
"""

_MAP = r"""
def {name}(value):
    if type(value) is not dict:
        return None
    parts = [longs[len(value)]]
    for key, item in value.items():
        if not ({test}):
            return None
        parts.append(longs[len(made := key.encode())] + made + {encoded})
    if value:
        parts.append(b"\0")
    return b"".join(parts)
"""

_ANY = """
def encode(value):
    return {encoded} if {test} else None
"""


class _Part(NamedTuple):
    """How a value is encoded.

    Args:
      test: an expression that is true where the value's type says that it comes back as it is.
      encoded: an expression of its bytes, once the test was true.
    """

    test: str
    encoded: str


_UNKNOWN = _Part("False", "None")


def encoder_by_type(schema: Any, names: Mapping[str, Any]) -> Encode:
    """Returns a function that gives the bytes of a value; None where its types do not say that it comes back.

    Args:
      schema: a parsed schema.
      names: the schemas in it that have a name.

    >>> encode = encoder_by_type(["null", "string"], {})
    >>> encode("a"), encode(1)
    (b'\\x02\\x02a', None)
    """
    text = _Text(names)
    part = text.part_of(schema, "value")
    code = "\n".join([*text.functions, _ANY.format(test=part.test, encoded=part.encoded)])
    namespace = {**_SHARED, **text.values, "takes": _has_only_fields}
    exec(code, namespace)
    encode: Encode = namespace["encode"]

    def by_type(value: Any) -> bytes | None:
        try:
            return encode(value)
        except Exception as error:  # It is for fastavro to say what is wrong.
            if isinstance(error, MemoryError):
                raise
            return None

    return by_type


def _has_only_fields(value: dict[Any, Any]) -> bool:
    """Returns whether what a dict has beside the fields of a record is left out."""
    return all(type(key) is str for key in value) and "-type" not in value


class _Text:
    """The functions for a schema as Python's text.

    Args:
      names: schemas by name.

    Attributes:
      functions: the texts.
      values: what their names stand for.
    """

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names
        self._records: dict[str, str] = {}
        self._number = itertools.count()
        self.functions: list[str] = []
        self.values: dict[str, Any] = {}

    def part_of(self, schema: Any, value: str) -> _Part:
        """Returns how a value is encoded.

        Args:
          schema: of the value.
          value: the variable that has it.
        """
        if isinstance(schema, str) and schema in self._names:
            schema = self._names[schema]
        while isinstance(schema, dict) and not isinstance(schema["type"], str):
            schema = schema["type"]
        if isinstance(schema, list):
            return self._union(schema, value)
        kind, logical = kind_of(schema)
        converted = f"{kind}-{logical}"
        if logical and (converted in LOGICAL_WRITERS or converted in LOGICAL_READERS):
            return self._logical(schema, kind, converted, value)
        if kind in _TESTS:
            return _Part(f"({_TESTS[kind].format(value)})", _ENCODED[kind].format(value))
        if kind == "enum":
            symbols = self._named({symbol: avro_long(at) for at, symbol in enumerate(schema["symbols"])})
            return _Part(f"(type({value}) is str and {value} in {symbols})", f"{symbols}[{value}]")
        if kind == "fixed":
            return _Part(f"(type({value}) is bytes and len({value}) == {schema['size']})", value)
        if kind in ("array", "map"):
            return self._many(kind, schema, value)
        return self._record(schema, value) if kind == "record" else _UNKNOWN

    def _union(self, schema: list[Any], value: str) -> _Part:
        kinds = [kind_of(branch)[0] for branch in schema]
        others = [at for at, kind in enumerate(kinds) if kind != "null"]
        if len(others) != 1:
            return _UNKNOWN
        (at,) = others
        part = self.part_of(schema[at], value)
        encoded = f"{avro_long(at)!r} + {part.encoded}"
        if "null" not in kinds:
            return part._replace(encoded=encoded)
        nothing = repr(avro_long(kinds.index("null")))
        return _Part(f"({value} is None or {part.test})", f"({nothing} if {value} is None else {encoded})")

    def _logical(self, schema: Any, kind: str, converted: str, value: str) -> _Part:
        if converted not in _TESTS:
            return _UNKNOWN
        prepare = LOGICAL_WRITERS.get(converted)
        stored = value if prepare is None else f"{self._named(prepare)}({value}, {self._named(schema)})"
        return _Part(f"({_TESTS[converted].format(value)})", _ENCODED[kind].format(stored))

    def _many(self, kind: str, schema: Any, value: str) -> _Part:
        name = f"many_{next(self._number)}"
        item = self.part_of(schema["items" if kind == "array" else "values"], "item")
        text = _ARRAY if kind == "array" else _MAP
        self.functions.append(text.format(name=name, test=item.test, encoded=item.encoded))
        return _made_by(name, value)

    def _record(self, schema: Any, value: str) -> _Part:
        name = self._records.get(schema["name"])
        if name is None:  # A record may be inside itself, so that its name comes first.
            name = self._records[schema["name"]] = f"record_{next(self._number)}"
            self.functions.append(self._record_text(schema["fields"], name))
        return _made_by(name, value)

    def _record_text(self, fields: list[Any], name: str) -> str:
        parts = [self.part_of(field["type"], f"v{at}") for at, field in enumerate(fields)]
        defaults = {field["name"]: field["default"] for field in fields if "default" in field}
        taken = [f"v{at} = value[{field['name']!r}]" for at, field in enumerate(fields)]
        return _RECORD.format(
            name=name,
            number=len(fields),
            fields="\n        ".join(taken or ["pass"]),
            defaults=self._named(defaults),
            test=" and ".join(part.test for part in parts) or "True",
            encoded="".join(f"{part.encoded}, " for part in parts),
        )

    def _named(self, value: Any) -> str:
        name = f"value_{next(self._number)}"
        self.values[name] = value
        return name


def _made_by(name: str, value: str) -> _Part:
    """Returns how a value is encoded by one of the functions."""
    return _Part(f"((made_{value} := {name}({value})) is not None)", f"made_{value}")

"""Whether Avro records come back from their files as they were given.

fastavro writes what it cannot read (a text that is no UUID), and another value than it is given (1 for 1.5).
So each record is read back from its bytes, unless the types of its values say that it comes back as it is.
"""

from __future__ import annotations

import datetime
import decimal
import io
import re
import uuid
from collections.abc import Callable
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.logical_readers import LOGICAL_READERS
from fastavro.logical_writers import LOGICAL_WRITERS

from beam_obs.io.writes.avro_same import Difference, kind_of, named_types, place_of_difference
from beam_obs.records.bad_input import NotReadBack

_BY_TYPE = {
    "null": "{0} is None",
    "boolean": "type({0}) is bool",
    "int": "type({0}) is int and -2147483648 <= {0} <= 2147483647",
    "long": "type({0}) is int",
    "float": "type({0}) is float and -3e38 <= {0} <= 3e38",
    "double": "type({0}) is float",
    "string": "type({0}) is str",
    "enum": "type({0}) is str",
    "bytes": "type({0}) is bytes",
    "fixed": "type({0}) is bytes",
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
"""Tests of values that come back as they are, given that fastavro encodes them."""

_UNKNOWN = "False"


class Faithful:
    """Encodes records as Avro, and refuses those that would not come back.

    Args:
      schema: of the records, as fastavro's `parse_schema` gives it.
    """

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._names = named_types(schema)
        self._is_faithful = _by_type(schema, self._names)

    def encode(self, record: Any) -> bytes:
        """Returns a record's bytes, without the schema.

        Raises:
          NotReadBack: it cannot be read back from them, or is another then.
          Exception: of fastavro's: it does not fit the schema.
        """
        buffer = io.BytesIO()
        schemaless_writer(buffer, self._schema, record)
        if not self._is_faithful(record):
            self._check(record, buffer)
        return buffer.getvalue()

    def _check(self, record: Any, written: io.BytesIO) -> None:
        written.seek(0)
        try:
            back = schemaless_reader(written, self._schema)
        except Exception as error:
            if isinstance(error, MemoryError):
                raise
            name = self._unreadable_field(record)
            what = "the record" if name is None else f"field {name!r} is {_shown(record[name])}, which"
            kind = type(error).__name__
            raise NotReadBack(
                f"{what} cannot be read back from Avro: {kind}: {error}", name or kind
            ) from None
        place = place_of_difference(self._schema, record, back, self._names)
        if place is not None:
            raise NotReadBack(_difference(place), place.path)

    def _unreadable_field(self, record: Any) -> str | None:
        """Returns the first field of a record that cannot be read back; None where that cannot be told."""
        if kind_of(self._schema)[0] != "record":
            return None
        fields = self._schema["fields"]
        for number, field in enumerate(fields):
            alone = {**self._schema, "fields": fields[: number + 1]}
            for added in ("__fastavro_parsed_schema", "__fastavro_parsed", "__named_schemas"):
                alone.pop(added, None)
            buffer = io.BytesIO()
            try:
                parsed = parse_schema(alone)
                schemaless_writer(buffer, parsed, record)
                buffer.seek(0)
                schemaless_reader(buffer, parsed)
            except Exception:
                return str(field["name"]) if field["name"] in record else None
        return None


def _by_type(schema: Any, names: dict[str, Any]) -> Callable[[Any], bool]:
    """Returns a function that says of a record whether the types of its values do: written out for the
    schema, since it is called for each record."""
    functions: dict[str, str] = {}
    test = _test_of(schema, "value", names, functions)
    code = "\n".join([*functions.values(), f"def is_faithful(value):\n    return {test}\n"])
    namespace: dict[str, Any] = {
        "UUID": uuid.UUID,
        "is_uuid": re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch,
        "Decimal": decimal.Decimal,
        "date": datetime.date,
        "datetime": datetime.datetime,
        "time": datetime.time,
        "utc": datetime.timezone.utc,
    }
    exec(code, namespace)
    function: Callable[[Any], bool] = namespace["is_faithful"]
    return function


def _test_of(schema: Any, value: str, names: dict[str, Any], functions: dict[str, str]) -> str:
    """Returns the test of a value as Python's text.

    Args:
      schema: of the value.
      value: what stands for it.
      names: schemas by name.
      functions: of records, by their names; more are added.
    """
    if isinstance(schema, list):
        others = [part for part in schema if kind_of(part)[0] != "null"]
        tests = [f"{value} is None"] if len(others) < len(schema) else []
        if len(others) == 1:
            tests.append(_test_of(others[0], value, names, functions))
        return f"({' or '.join(tests) or _UNKNOWN})"
    if isinstance(schema, str) and schema in names:
        schema = names[schema]
    kind, logical = kind_of(schema)
    converted = f"{kind}-{logical}"
    if logical and (converted in LOGICAL_WRITERS or converted in LOGICAL_READERS):
        return f"({_BY_TYPE.get(converted, _UNKNOWN).format(value)})"
    if kind in _BY_TYPE:
        return f"({_BY_TYPE[kind].format(value)})"
    if kind == "array":
        item = _test_of(schema["items"], f"{value}_", names, functions)
        return f"(type({value}) is list and all([{item} for {value}_ in {value}]))"
    if kind == "map":
        item = _test_of(schema["values"], f"{value}_", names, functions)
        return f"(type({value}) is dict and all([{item} for {value}_ in {value}.values()]))"
    if kind == "record":
        return _call_of(schema, value, names, functions)
    return _UNKNOWN


def _call_of(schema: Any, value: str, names: dict[str, Any], functions: dict[str, str]) -> str:
    name = schema["name"]
    called = f"record_{list(functions).index(name) if name in functions else len(functions)}"
    if name not in functions:
        functions[name] = ""  # a record may be inside itself
        tests = [
            _test_of(field["type"], f"v{number}", names, functions)
            for number, field in enumerate(schema["fields"])
        ]
        lines = [f"    v{number} = get({field['name']!r})" for number, field in enumerate(schema["fields"])]
        if _UNKNOWN in tests:
            lines, tests = [], [_UNKNOWN]
        functions[name] = "\n".join(
            [
                f"def {called}(value):",
                "    if type(value) is not dict:",
                "        return False",
                "    get = value.get",
                *lines,
                f"    return {' and '.join(tests) or True}",
            ]
        )
    return f"{called}({value})"


def _difference(place: Difference) -> str:
    return (
        f"field {place.path!r} is {_shown(place.given)}, which would come back from Avro as "
        f"{_shown(place.back)}"
        if place.path
        else f"{_shown(place.given)} would come back from Avro as {_shown(place.back)}"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."

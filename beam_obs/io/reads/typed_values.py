"""Typed records made of named values, as JSON, Avro and Parquet have them: values keep their types, and a
value of another type than its field's is refused."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from beam_obs.io.lines.typed_records import annotated_fields, has_lineage_field, is_named_tuple, quoted
from beam_obs.records.bad_input import ConversionError
from beam_obs.records.errors import UsageError
from beam_obs.records.lineage_attributes import LINEAGE_FIELD, LineageAttributes

Convert = Callable[[Any], Any]
_ABSENT = object()


class Conversion(NamedTuple):
    """How values become those of a type.

    Args:
      convert: gives a value of the type, or raises; None for values as they are.
      expected: the type's values in words.
    """

    convert: Convert | None
    expected: str


class ValueMaker:
    """Makes records of dicts.

    Keys without a field are left out; a field with a default may be absent.

    Args:
      record: a NamedTuple class or dataclass. Its fields are str, int, float, bool, bytes, Decimal, date,
        datetime, time, an Enum, Any, list, dict, another such record, or Optional of these.

    Raises:
      UsageError: `record` is something else.

    >>> class Flight(NamedTuple):
    ...     carrier: str
    ...     delay: float | None = None
    >>> ValueMaker(Flight).make({"carrier": "UA", "delay": 11, "gate": "B4"})
    Flight(carrier='UA', delay=11.0)
    >>> ValueMaker(Flight).make({"carrier": "UA", "delay": "late"})
    Traceback (most recent call last):
    ...
    beam_obs.ConversionError: field 'delay' is 'late', expected a number or nothing
    """

    def __init__(self, record: type) -> None:
        self._record = record
        self._fields = _fields(record)
        self._stamps = has_lineage_field(record)

    def __reduce__(self) -> tuple[type[ValueMaker], tuple[type]]:
        return (ValueMaker, (self._record,))

    def make(self, values: Mapping[str, Any], lineage: LineageAttributes | None = None) -> Any:
        """Returns the record of `values`.

        Raises:
          ConversionError: a value does not fit, or one is absent.
        """
        arguments: dict[str, Any] = {}
        name, value = "", None
        try:
            for name, conversion, required in self._fields:
                value = values.get(name, _ABSENT)
                if value is _ABSENT:
                    if required:
                        raise ConversionError(f"field {name!r} is absent", name)
                elif conversion.convert is None:
                    arguments[name] = value
                else:
                    arguments[name] = conversion.convert(value)
        except ConversionError as error:
            if error.detail == name:
                raise
            raise ConversionError(f"field {name!r}: {error}", name) from None
        except Exception as error:
            if isinstance(error, MemoryError):
                raise
            raise ConversionError(
                f"field {name!r} is {quoted(value) if isinstance(value, str) else _shown(value)}, "
                f"expected {conversion.expected}",
                name,
            ) from None
        if self._stamps and lineage is not None:
            arguments[LINEAGE_FIELD] = lineage
        try:
            return self._record(**arguments)
        except Exception as error:
            if isinstance(error, MemoryError):
                raise
            kind = type(error).__name__
            raise ConversionError(
                f"{self._record.__qualname__} refused the record: {kind}: {error}", kind
            ) from None


def stamped(values: dict[str, Any], lineage: LineageAttributes | None) -> dict[str, Any]:
    """Returns a record that is a dict, with its attributes."""
    if lineage is not None:
        values[LINEAGE_FIELD] = lineage
    return values


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _fields(record: type) -> list[tuple[str, Conversion, bool]]:
    found = []
    for name, annotation, required in annotated_fields(record):
        conversion = _conversion(annotation)
        if conversion is None:
            raise UsageError(
                f"record={record.__qualname__}: field {name!r} is {annotation}; values are converted to "
                "str, int, float, bool, bytes, Decimal, date, datetime, time, an Enum, Any, list, dict, a "
                "NamedTuple, a dataclass, or Optional of these"
            )
        found.append((name, conversion, required))
    return found


def _conversion(annotation: Any) -> Conversion | None:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        others = [part for part in parts if part is not type(None)]
        inner = _conversion(others[0]) if len(others) == 1 and len(parts) == 2 else None
        return None if inner is None else _optional(inner)
    if annotation in (Any, object):
        return Conversion(None, "anything")
    if annotation in _CONVERSIONS:
        return _CONVERSIONS[annotation]
    if annotation is list or (origin in (list, Sequence, typing.Sequence) and len(parts) == 1):
        return _list_of(Conversion(None, "values") if annotation is list else _conversion(parts[0]))
    if annotation is dict or (origin in (dict, Mapping) and parts[0] is str):
        return _dict_of(Conversion(None, "values") if annotation is dict else _conversion(parts[1]))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return Conversion(annotation, f"one of {', '.join(str(one.value) for one in annotation)}")
    if is_named_tuple(annotation) or (isinstance(annotation, type) and dataclasses.is_dataclass(annotation)):
        maker = ValueMaker(annotation)
        return Conversion(lambda value: maker.make(_dict(value)), f"an object for {annotation.__qualname__}")
    return None


def _optional(inner: Conversion) -> Conversion:
    convert = inner.convert
    if convert is None:
        return inner
    return Conversion(
        lambda value: None if value is None else convert(value),
        inner.expected if inner.expected.endswith("or nothing") else f"{inner.expected} or nothing",
    )


def _list_of(inner: Conversion | None) -> Conversion | None:
    if inner is None:
        return None
    convert = inner.convert

    def converted(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError
        return value if convert is None else [convert(item) for item in value]

    return Conversion(converted, f"a list of {inner.expected}")


def _dict_of(inner: Conversion | None) -> Conversion | None:
    if inner is None:
        return None
    convert = inner.convert

    def converted(value: Any) -> dict[str, Any]:
        values = _dict(value)
        return values if convert is None else {key: convert(item) for key, item in values.items()}

    return Conversion(converted, f"an object of {inner.expected}")


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _exactly(kind: type) -> Convert:
    def converted(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError
        return value

    return converted


def _float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is not int:
        raise TypeError
    return float(value)


def _decimal(value: Any) -> decimal.Decimal:
    if isinstance(value, (decimal.Decimal, str)) or type(value) is int:
        return decimal.Decimal(value)
    if type(value) is not float:
        raise TypeError
    return decimal.Decimal(repr(value))


def _date(value: Any) -> datetime.date:
    return value if type(value) is datetime.date else datetime.date.fromisoformat(value)


def _datetime(value: Any) -> datetime.datetime:
    if isinstance(value, datetime.datetime):
        return value
    # Python 3.10 does not know the letter.
    return datetime.datetime.fromisoformat(value[:-1] + "+00:00" if value.endswith("Z") else value)


def _time(value: Any) -> datetime.time:
    return value if type(value) is datetime.time else datetime.time.fromisoformat(value)


_CONVERSIONS: dict[Any, Conversion] = {
    str: Conversion(_exactly(str), "text"),
    int: Conversion(_exactly(int), "a whole number"),
    float: Conversion(_float, "a number"),
    bool: Conversion(_exactly(bool), "true or false"),
    bytes: Conversion(_exactly(bytes), "bytes"),
    decimal.Decimal: Conversion(_decimal, "a decimal number"),
    datetime.date: Conversion(_date, "a date as 2013-01-31"),
    datetime.datetime: Conversion(_datetime, "a time as 2013-01-31T10:00:00"),
    datetime.time: Conversion(_time, "a time of day as 10:00:00"),
}

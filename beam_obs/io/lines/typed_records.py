"""Rows of text as records: dicts, or a NamedTuple or dataclass whose annotations say how to convert.

The converting function is written out for each header, since a loop over fields costs twice as much.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from beam_obs.records.bad_input import ConversionError
from beam_obs.records.errors import UsageError
from beam_obs.records.lineage_attributes import LINEAGE_FIELD

_TRUTHS = {"true": True, "t": True, "yes": True, "y": True, "1": True}
_TRUTHS |= {"false": False, "f": False, "no": False, "n": False, "0": False}


def _bool(text: str) -> bool:
    truth = _TRUTHS.get(text.strip().lower())
    if truth is None:
        raise ValueError
    return truth


_CONVERTERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: (_bool, "true or false"),
    decimal.Decimal: (decimal.Decimal, "a decimal number"),
    datetime.date: (datetime.date.fromisoformat, "a date as 2013-01-31"),
    datetime.datetime: (
        lambda text: datetime.datetime.fromisoformat(_offset(text)),
        "a time as 2013-01-31T10:00:00",
    ),
    datetime.time: (datetime.time.fromisoformat, "a time of day as 10:00:00"),
}


def _offset(text: str) -> str:
    # Python 3.10 does not know the letter.
    return text[:-1] + "+00:00" if text.endswith("Z") else text


class RecordField(NamedTuple):
    """A field of a record that is made of a column.

    Args:
      name: of field and column.
      convert: makes its value of the column's text; None for text as it is.
      expected: the converter's values in words.
      is_optional: whether the value may be None.
      is_required: whether a file without the column is refused.
    """

    name: str
    convert: Callable[[str], Any] | None
    expected: str
    is_optional: bool
    is_required: bool


def record_fields(record: type) -> list[RecordField]:
    """Returns the fields of a NamedTuple or dataclass in order, without `_lineage`.

    Raises:
      UsageError: it is neither, or a field has a type that text cannot be converted to.

    >>> class Flight(NamedTuple):
    ...     carrier: str
    ...     delay: int | None = None
    >>> [(field.name, field.is_optional, field.is_required) for field in record_fields(Flight)]
    [('carrier', False, True), ('delay', True, False)]
    """
    return [_field(record, *field) for field in annotated_fields(record)]


def annotated_fields(record: type) -> list[tuple[str, Any, bool]]:
    """Returns name, type, and whether it has no default, of each field of a record, without `_lineage`.

    Raises:
      UsageError: it is neither, or its annotations cannot be resolved.
    """
    if is_named_tuple(record):
        names = [(name, name not in record._field_defaults) for name in record._fields]  # type: ignore[attr-defined]
    elif isinstance(record, type) and dataclasses.is_dataclass(record):
        missing = dataclasses.MISSING
        names = [
            (field.name, field.default is missing and field.default_factory is missing)
            for field in dataclasses.fields(record)
            if field.init and field.name != LINEAGE_FIELD
        ]
    else:
        raise UsageError(
            f"record={record!r} is not dict, a NamedTuple class or a dataclass; "
            "read dicts and convert them with beam.Map where something else is needed"
        )
    try:
        annotations = typing.get_type_hints(record)
    except NameError as error:
        raise UsageError(
            f"record={record.__qualname__}: its annotations cannot be resolved: {error}"
        ) from None
    return [(name, annotations[name], required) for name, required in names]


def is_named_tuple(record: Any) -> bool:
    """Returns whether `record` is a NamedTuple class."""
    return isinstance(record, type) and issubclass(record, tuple) and hasattr(record, "_fields")


def has_lineage_field(record: type) -> bool:
    """Returns whether a dataclass has a field for lineage attributes."""
    return dataclasses.is_dataclass(record) and any(
        field.name == LINEAGE_FIELD and field.init for field in dataclasses.fields(record)
    )


def check_room(record: type, columns: Sequence[str] | None = None) -> None:
    """Refuses to stamp lineage attributes on records that have no room for them.

    Args:
      record: ``dict``, a NamedTuple class or a dataclass.
      columns: names that dicts have, where known.
    """
    if record is dict:
        if columns is not None and LINEAGE_FIELD in columns:
            raise UsageError(f"stamp=True: the files have a column {LINEAGE_FIELD!r} of their own")
        return
    if is_named_tuple(record):
        raise UsageError(
            f"stamp=True: {record.__qualname__} has no room for lineage attributes, since fields of a "
            "NamedTuple cannot begin with an underscore: read dicts, or a dataclass with a field "
            f"'{LINEAGE_FIELD}: dict | None = None'"
        )
    if not has_lineage_field(record):
        raise UsageError(
            f"stamp=True: {record.__qualname__} has no room for lineage attributes: "
            f"give it a field '{LINEAGE_FIELD}: dict | None = None'"
        )


def _field(record: type, name: str, annotation: Any, required: bool) -> RecordField:
    kind, optional = annotation, False
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        others = [part for part in typing.get_args(annotation) if part is not type(None)]
        if len(others) == 1:
            kind, optional = others[0], len(typing.get_args(annotation)) == 2
    if kind is str or kind is Any:
        return RecordField(name, None, "text", optional, required)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return RecordField(
            name, kind, f"one of {', '.join(str(one.value) for one in kind)}", optional, required
        )
    if kind not in _CONVERTERS:
        raise UsageError(
            f"record={record.__qualname__}: field {name!r} is {annotation}; text is converted to str, int, "
            "float, bool, Decimal, date, datetime, time, an Enum, or Optional of these"
        )
    return RecordField(name, *_CONVERTERS[kind], optional, required)


def dicts_of(columns: Sequence[str]) -> Callable[[Iterable[Sequence[Any]]], list[dict[str, Any]]]:
    """Returns a function that makes dicts of rows of exactly as many values as there are columns.

    >>> dicts_of(["a", "b"])([["1", "2"]])
    [{'a': '1', 'b': '2'}]
    """
    values = [f"v{at}" for at in range(len(columns))]
    items = ", ".join(f"{column!r}: {value}" for column, value in zip(columns, values, strict=True))
    code = f"def dicts(rows):\n    return [{{{items}}} for {', '.join(values)}, in rows]\n"
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    made: Callable[[Iterable[Sequence[Any]]], list[dict[str, Any]]] = namespace["dicts"]
    return made


class RecordMaker:
    """Makes records of rows.

    Args:
      record: a NamedTuple class or dataclass.
      columns: names of the row's columns.
      null_values: texts that stand for nothing where a field is optional.
    """

    def __init__(self, record: type, columns: Sequence[str], null_values: Sequence[str]) -> None:
        self._record = record
        self._nulls = frozenset(null_values)
        self._fields = [
            (field, columns.index(field.name)) for field in record_fields(record) if field.name in columns
        ]
        namespace: dict[str, Any] = {"record": record, "nulls": self._nulls}
        arguments = []
        for number, (field, place) in enumerate(self._fields):
            value = f"row[{place}]"
            if field.convert is not None:
                namespace[f"convert_{number}"] = field.convert
                value = f"convert_{number}({value})"
            if field.is_optional:
                value = f"(None if row[{place}] in nulls else {value})"
            arguments.append(f"{field.name}={value}")
        if has_lineage_field(record):
            arguments.append(f"{LINEAGE_FIELD}=lineage")
        exec(f"def make(row, lineage=None):\n    return record({', '.join(arguments)})\n", namespace)
        self.make: Callable[..., Any] = namespace["make"]
        """Makes the record of a row; raises what the converters raise."""

    def explain(self, row: Sequence[str], error: Exception) -> ConversionError:
        """Returns why `row` could not be converted: which column, its text, what was expected."""
        for field, place in self._fields:
            text = row[place]
            if field.convert is None or (field.is_optional and text in self._nulls):
                continue
            try:
                field.convert(text)
            except Exception:
                nothing = " or nothing" if field.is_optional else ""
                return ConversionError(
                    f"column {field.name!r} is {quoted(text)}, expected {field.expected}{nothing}",
                    field.name,
                )
        kind = type(error).__name__
        return ConversionError(f"{self._record.__qualname__} refused the row: {kind}: {error}", kind)


def quoted(text: str) -> str:
    """Returns a text in quotes, for a message."""
    return repr(text) if len(text) <= 200 else f"{text[:200]!r}..."

"""What becomes of values that files of blocks hold: dicts as they are, typed records, or rows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from beam_obs.io.containers.read_containers import MakeRecords
from beam_obs.io.lines.typed_records import check_room
from beam_obs.io.reads.typed_values import ValueMaker
from beam_obs.records.bad_input import BadInput, ConversionError
from beam_obs.records.errors import UsageError
from beam_obs.records.lineage_attributes import LINEAGE_FIELD, LineageAttributes

Made = tuple[list[Any], list[tuple[int, BadInput]]]


def record_maker(record: type, stamp: bool, as_rows: bool) -> MakeRecords:
    """Returns what makes records of a read's values.

    Args:
      record: ``dict``, a NamedTuple class, or a dataclass.
      stamp: whether they are to have lineage attributes.
      as_rows: whether they are Beam rows instead, see `row_maker`.

    Raises:
      UsageError: these do not fit together.
    """
    if as_rows and record is not dict:
        raise UsageError(f"as_rows=True and record={record.__qualname__}: give one of them")
    if as_rows and stamp:
        raise UsageError("as_rows=True and stamp=True: rows have no room for lineage attributes; read dicts")
    if stamp:
        check_room(record)
    return _as_they_are if record is dict else functools.partial(_typed, ValueMaker(record))


def row_maker(convert: Callable[[Any], Any]) -> MakeRecords:
    """Returns what makes rows of values.

    Args:
      convert: makes a row of one value.
    """
    return functools.partial(_rows, convert)


def _as_they_are(values: Sequence[Any], lineage: Sequence[LineageAttributes] | None) -> Made:
    if lineage is None:
        return list(values), []
    made = []
    for value, attributes in zip(values, lineage, strict=True):
        stamped = value if isinstance(value, dict) else {"record": value}
        stamped[LINEAGE_FIELD] = attributes
        made.append(stamped)
    return made, []


def _typed(maker: ValueMaker, values: Sequence[Any], lineage: Sequence[LineageAttributes] | None) -> Made:
    made: list[Any] = []
    refused: list[tuple[int, BadInput]] = []
    for number, value in enumerate(values):
        try:
            if not isinstance(value, dict):
                raise ConversionError(
                    f"the file holds a {type(value).__name__}, expected records", "no record"
                )
            made.append(maker.make(value, None if lineage is None else lineage[number]))
        except BadInput as error:  # noqa: PERF203 - bad records are refused one by one
            refused.append((number, error))
    return made, refused


def _rows(
    convert: Callable[[Any], Any], values: Sequence[Any], lineage: Sequence[LineageAttributes] | None
) -> Made:
    made: list[Any] = []
    refused: list[tuple[int, BadInput]] = []
    for number, value in enumerate(values):
        try:
            made.append(convert(value))
        except Exception as error:  # noqa: PERF203 - bad records are refused one by one
            if isinstance(error, MemoryError):
                raise
            kind = type(error).__name__
            refused.append((number, ConversionError(f"no row can be made of it: {kind}: {error}", kind)))
    return made, refused

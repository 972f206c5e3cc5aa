"""The footer of a Parquet file, as far as it must be known before pyarrow is asked about its columns.

pyarrow aborts the process where a column's metadata is encrypted, or is not what it expects. So what says
where row groups lie is read here: Thrift's compact protocol, where a struct is some fields, each with an id.
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from typing import Any, NamedTuple

from beam_obs.records.avro_number import read_avro_long

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = (4, 5, 6)
# Ids of fields: of FileMetaData,
_ROW_GROUPS, _ENCRYPTION_ALGORITHM = 4, 8
# of RowGroup,
_COLUMNS, _ROWS = 1, 3
# of ColumnChunk,
_COLUMN_METADATA, _COLUMN_CRYPTO = 3, 8
# and of ColumnMetaData.
_COMPRESSED_SIZE, _DATA_PAGE, _DICTIONARY_PAGE = 7, 9, 11

_Fields = dict[int, Any]


class RowGroup(NamedTuple):
    """Where the rows of a group lie.

    Args:
      offset: of its first byte; None where no column says.
      size: bytes.
      rows: how many.
      columns: how many.
    """

    offset: int | None
    size: int
    rows: int
    columns: int


class Footer(NamedTuple):
    """What a footer says.

    Args:
      groups: the row groups.
      is_encrypted: whether columns are encrypted.
    """

    groups: tuple[RowGroup, ...]
    is_encrypted: bool


def read_footer(data: bytes) -> Footer:
    """Returns what a footer says.

    Args:
      data: its bytes, without its length and the format's name.

    Raises:
      ValueError, IndexError, RecursionError: it is no such footer.
    """
    metadata, _ = _struct(data, 0)
    groups, is_encrypted = [], _ENCRYPTION_ALGORITHM in metadata
    for group in metadata.get(_ROW_GROUPS, ()):
        columns = group.get(_COLUMNS, ())
        described = [column.get(_COLUMN_METADATA, {}) for column in columns]
        offsets = [
            offset
            for column in described
            for offset in (column.get(_DICTIONARY_PAGE), column.get(_DATA_PAGE))
            if offset is not None and offset > 0
        ]
        size = sum(column.get(_COMPRESSED_SIZE, 0) for column in described)
        groups.append(RowGroup(min(offsets, default=None), size, group.get(_ROWS, 0), len(columns)))
        is_encrypted = is_encrypted or any(_COLUMN_CRYPTO in column for column in columns)
    return Footer(tuple(groups), is_encrypted)


def _struct(data: bytes, at: int) -> tuple[_Fields, int]:
    """Returns the fields of the struct at `at` by their ids, and where it ends."""
    fields: _Fields = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        kind = head & 0x0F
        if kind == _STOP:
            return fields, at
        step = head >> 4
        if step:
            number += step
        else:
            number, at = read_avro_long(data, at)
        if kind <= _FALSE:
            fields[number] = kind == _TRUE
        else:
            fields[number], at = _value(data, at, kind)


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        return read_avro_long(data, at)
    if kind == _BINARY:
        size, at = _number(data, at)
        return data[at : at + size], at + size
    if kind == _STRUCT:
        return _struct(data, at)
    if kind in (_LIST, _SET):
        return _list(data, at)
    if kind in (_TRUE, _FALSE, _BYTE):
        return data[at], at + 1
    if kind == _DOUBLE:
        return data[at : at + 8], at + 8
    if kind == _MAP:
        return _map(data, at)
    raise ValueError(f"no field of a footer is of kind {kind}")


def _list(data: bytes, at: int) -> tuple[list[Any], int]:
    head = data[at]
    at += 1
    size, kind = head >> 4, head & 0x0F
    if size == 15:
        size, at = _number(data, at)
    values = []
    for _ in range(size):
        value, at = _value(data, at, kind)
        values.append(value)
    return values, at


def _map(data: bytes, at: int) -> tuple[dict[Any, Any], int]:
    size, at = _number(data, at)
    if size:
        kinds = data[at]
        at += 1
        for _ in range(size):
            _, at = _value(data, at, kinds >> 4)
            _, at = _value(data, at, kinds & 0x0F)
    return {}, at


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Returns a number that has no sign, and where it ends."""
    number, at = read_avro_long(data, at)
    return number << 1 if number >= 0 else ~(number << 1), at

"""Records of an Avro block that cannot be read as it stands, one by one.

Where a value is none of its logical type (a text that is no UUID, a date beyond the year 9999), or no text in
UTF-8, its bytes still say where the record ends. So that record is refused, and those behind it are read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from fastavro import block_reader, parse_schema, schemaless_reader

from beam_obs.io.containers.read_containers import BlockValues
from beam_obs.records.bad_input import BadInput, ConversionError, CorruptBlock

_RECORDS_AT_A_TIME = 1000
_HOLD_A_SCHEMA = frozenset({"type", "items", "values", "fields"})


def one_by_one(file: bytes, count: int, schema: Any, start: int) -> Iterator[BlockValues]:
    """Gives the records of a block, and which of them cannot be had: of those, what their bytes hold.

    Args:
      file: a file of this block alone.
      count: how many records it has.
      schema: of the records.
      start: how many of them to leave out: the next one cannot be read.

    Raises:
      CorruptBlock: the rest of the block cannot be told apart.
    """
    stored = parse_schema(_without_logical_types(schema))
    try:
        block: Any = next(iter(block_reader(io.BytesIO(file))))
        data = block.bytes_.read()
        ends = _ends(data, count, stored)
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        kind = type(error).__name__
        raise CorruptBlock(
            f"record {start} of the {count} in the block cannot be read, nor those behind it: "
            f"{kind}: {error}"[:1000],
            kind,
        ) from None
    for first in range(start, count, _RECORDS_AT_A_TIME):
        values: list[Any] = []
        refused: list[tuple[int, BadInput]] = []
        for place in range(first, min(count, first + _RECORDS_AT_A_TIME)):
            record = data[ends[place] : ends[place + 1]]
            try:
                values.append(schemaless_reader(io.BytesIO(record), schema))
            except Exception as error:
                refused.append((len(values), _refusal(error)))
                values.append(_as_stored(io.BytesIO(record), stored))
        yield BlockValues(values, refused)


def _ends(data: bytes, count: int, stored: Any) -> list[int]:
    """Returns where records end, from 0 on. A length that is damaged shows at the end, if not before."""
    stream = io.BytesIO(data)
    ends = [0]
    for _ in range(count):
        _as_stored(stream, stored)
        ends.append(stream.tell())
    if ends[-1] != len(data):
        raise ValueError(f"its records end after {ends[-1]} of its {len(data)} bytes")
    return ends


def _as_stored(stream: io.BytesIO, stored: Any) -> Any:
    return schemaless_reader(stream, stored, handle_unicode_errors="replace")


def _refusal(error: Exception) -> ConversionError:
    if isinstance(error, MemoryError):
        raise error
    kind = type(error).__name__
    return ConversionError(f"the record has a value that is none of its type: {kind}: {error}"[:1000], kind)


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_logical_types(value) if key in _HOLD_A_SCHEMA else value
        for key, value in schema.items()
        if key not in ("logicalType", "__fastavro_parsed_schema", "__named_schemas")
    }

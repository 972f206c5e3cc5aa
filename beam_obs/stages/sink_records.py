"""Records tried before a file sink of Beam's writes them.

A sink that fails in the middle of a record leaves half of it in the file, so a bad record has to be
found before. This is known for sinks that encode each record on its own: text, Avro, TFRecord.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_writer

from beam_obs.beam_private import FastAvroSink, TextSink, TFRecordSink
from beam_obs.wrapper.untyped import untyped


def record_check(sink: Any) -> Callable[[Any], Any] | None:
    """Returns a function that gives back a record the sink can write and raises on any other.

    Args:
      sink: a sink of Beam's.

    Returns:
      None where the sink's records cannot be tried.
    """
    if isinstance(sink, TextSink):
        return untyped(functools.partial(_encodes, sink.coder))
    if isinstance(sink, FastAvroSink):
        return untyped(functools.partial(_fits_schema, sink._schema))
    if isinstance(sink, TFRecordSink):
        return untyped(functools.partial(_encodes, sink.coder))
    return None


def _encodes(coder: Any, record: Any) -> Any:
    encoded = coder.encode(record)
    if not isinstance(encoded, bytes):
        raise TypeError(f"the sink's coder made a {type(encoded).__name__} of the record, not bytes")
    return record


def _fits_schema(schema: Any, record: Any) -> Any:
    schemaless_writer(BytesIO(), _parsed(str(schema), schema), record)
    return record


_parsed_schemas: dict[str, Any] = {}


def _parsed(key: str, schema: Any) -> Any:
    found = _parsed_schemas.get(key)
    if found is None:
        found = _parsed_schemas[key] = parse_schema(schema)
    return found

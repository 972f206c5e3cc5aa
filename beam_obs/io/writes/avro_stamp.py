"""Lineage attributes in Avro records: whether a schema has room for them, and records without them."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable
from typing import Any

from fastavro import parse_schema, schemaless_writer

from beam_obs.records.avro_number import avro_long, read_avro_long
from beam_obs.records.lineage_attributes import LINEAGE_AVRO_FIELD, LINEAGE_FIELD, LineageAttributes
from beam_obs.records.run_context import RunContext


def avro_takes_attributes(schema: Any) -> bool:
    """Returns whether records of an Avro schema have a field that takes lineage attributes.

    >>> avro_takes_attributes({"type": "record", "name": "Day", "fields": [LINEAGE_AVRO_FIELD]})
    True
    """
    if not isinstance(schema, dict) or schema.get("type") != "record":
        return False
    fields = [field for field in schema["fields"] if field["name"] == LINEAGE_FIELD]
    if not fields:
        return False
    nothing = dict.fromkeys(LineageAttributes.__annotations__)
    nothing |= dict.fromkeys(("run", "pipeline", "code", "stamped_at"), "text")
    full = {name: 7 if name == "position" else "text" for name in nothing}
    try:
        alone = parse_schema({"type": "record", "name": "Alone", "fields": fields})
        for attributes in (nothing, full):
            buffer = io.BytesIO()
            schemaless_writer(buffer, alone, {LINEAGE_FIELD: attributes}, strict=True)
    except Exception:  # fastavro raises many kinds for what does not fit
        return False
    return True


def encoded_attributes(attributes: LineageAttributes) -> bytes:
    """Returns lineage attributes as Avro has them in a field that is `LINEAGE_AVRO_FIELD`."""
    origin, uri, version = attributes["origin"], attributes["source_uri"], attributes["source_version"]
    position = attributes["position"]
    return b"".join(
        (
            b"\2",
            b"\0" if origin is None else b"\2" + _text(origin),
            _kept_text(attributes["run"]),
            _kept_text(attributes["pipeline"]),
            _kept_text(attributes["code"]),
            b"\0" if uri is None else b"\2" + _kept_text(uri),
            b"\0" if version is None else b"\2" + _kept_text(version),
            b"\0" if position is None else b"\2" + avro_long(position),
            _text(attributes["stamped_at"]),
        )
    )


def _text(text: str) -> bytes:
    encoded = text.encode()
    return avro_long(len(encoded)) + encoded


_kept_text = functools.lru_cache(maxsize=4096)(_text)


class WithoutStamp:
    """Gives the encoding of a stamped record as it is with null for its attributes, so that digests hold for
    any run.

    The attributes are found by the run that they name.

    Args:
      context: the run.
      is_known: whether the field is `LINEAGE_AVRO_FIELD`; any other is left as it is.
    """

    def __init__(self, context: RunContext, is_known: bool = True) -> None:
        self._given = (context, is_known)
        self._find: Callable[[bytes], re.Match[bytes] | None] | None = None

    @classmethod
    def of(cls, schema: Any, context: RunContext) -> WithoutStamp:
        """Returns it for the records of a schema."""
        (field,) = (field for field in schema["fields"] if field["name"] == LINEAGE_FIELD)
        return cls(context, field["type"] == LINEAGE_AVRO_FIELD["type"])

    def __reduce__(self) -> tuple[Any, ...]:
        return (WithoutStamp, self._given)

    def __call__(self, encoded: bytes) -> bytes:
        """Returns a record's bytes with null for its attributes."""
        context, is_known = self._given
        if not is_known:
            return encoded
        if self._find is None:
            self._find = re.compile(_attributes_pattern(context), re.DOTALL).search
        found = self._find(encoded)
        if found is None:
            return encoded
        end = found.end()
        for _ in range(2):  # uri and version
            end = _behind_text(encoded, end + 1) if encoded[end] else end + 1
        end = _behind_number(encoded, end + 1) if encoded[end] else end + 1
        return encoded[: found.start()] + b"\0" + encoded[_behind_text(encoded, end) :]


def _attributes_pattern(context: RunContext) -> bytes:
    """Returns what a record's attributes begin with: from the branch of the field's union to the code."""
    begins = b"".join(map(_text, (context.run, context.pipeline, context.code)))
    return rb"\x02(?:\x00|\x02\x40[0-9a-f]{32})" + re.escape(begins)


def _behind_number(encoded: bytes, at: int) -> int:
    while encoded[at] >= 0x80:
        at += 1
    return at + 1


def _behind_text(encoded: bytes, at: int) -> int:
    """Returns where an Avro text ends: its length, and as many bytes."""
    length, at = read_avro_long(encoded, at)
    return at + length

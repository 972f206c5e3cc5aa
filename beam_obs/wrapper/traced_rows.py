"""What lineage leaves behind: derivations of aggregates, and the index of outputs; rows of bytes.

A row leaves the step that makes it as bytes, in Avro's binary form without a schema, through an output
of its own; the writer behind it only puts rows into blocks.
"""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import fastavro

from beam_obs.wrapper.traced_contributors import Contributors

KEY_TEXT_BYTES = 256

AGGREGATE = "aggregate"
BATCH = "batch"
STATE = "state"
BUNDLE = "bundle"

DERIVATION_SCHEMA: Any = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Derivation",
        "namespace": "beam_obs",
        "doc": "One aggregate and what it was made of.",
        "fields": [
            {"name": "child", "type": {"type": "fixed", "name": "Origin", "size": 16}},
            {"name": "step", "type": "string"},
            {
                "name": "kind",
                "type": "string",
                "doc": "aggregate and batch are exact; state and bundle are supersets of what contributed.",
            },
            {"name": "key_text", "type": "string"},
            {"name": "window", "type": "string"},
            {"name": "pane", "type": "long"},
            {"name": "count", "type": "long", "doc": "Elements."},
            {"name": "unknown", "type": "long", "doc": "Elements whose origin is not known."},
            {
                "name": "sources",
                "type": {"type": "array", "items": "long"},
                "doc": "Partition codes, 0 derived.",
            },
            {"name": "more_sources", "type": "boolean"},
            {"name": "complete", "type": "boolean", "doc": "Whether contributors is all of them."},
            {"name": "contributors", "type": "bytes", "doc": "Origins of 16 bytes, sorted."},
        ],
    }
)

OUTPUT_SCHEMA: Any = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Output",
        "namespace": "beam_obs",
        "doc": "One record as it entered a sink, and where it came from.",
        "fields": [
            {"name": "step", "type": "string"},
            {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 8}},
            {"name": "origin", "type": "bytes", "doc": "16 bytes, or none where it is not known."},
        ],
    }
)


FILTERED_SCHEMA: Any = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Filtered",
        "namespace": "beam_obs",
        "doc": "An element of which a step gave nothing.",
        "fields": [
            {"name": "step", "type": "string"},
            {"name": "origin", "type": {"type": "fixed", "name": "Origin", "size": 16}},
        ],
    }
)


class Derivation(NamedTuple):
    """One aggregate and what it was made of.

    Args:
      child: origin of the aggregate.
      step: label of the step that made it.
      kind: one of the names above.
      key_text: the key, for people.
      window: the window, for people.
      pane: index of the pane.
      count: elements it was made of.
      unknown: those of them whose origin is not known.
      sources: partition codes.
      more_sources: whether there were more than are named.
      complete: whether `contributors` is all of them.
      contributors: their origins.
    """

    child: bytes
    step: str
    kind: str
    key_text: str
    window: str
    pane: int
    count: int  # type: ignore[assignment]
    unknown: int
    sources: tuple[int, ...]
    more_sources: bool
    complete: bool
    contributors: tuple[bytes, ...]


class Output(NamedTuple):
    """One record as it entered a sink."""

    step: str
    digest: bytes
    origin: bytes


class Filtered(NamedTuple):
    """An element of which a step gave nothing."""

    step: str
    origin: bytes


def derivation_row(
    child: bytes,
    step: str,
    kind: str,
    found: Contributors,
    key_text: str = "",
    window: str = "",
    pane: int = 0,
) -> bytes:
    """Returns the row of an aggregate."""
    out = io.BytesIO()
    fastavro.schemaless_writer(
        out,
        DERIVATION_SCHEMA,
        {
            "child": child,
            "step": step,
            "kind": kind,
            "key_text": key_text[:KEY_TEXT_BYTES],
            "window": window,
            "pane": pane,
            "count": found.count,
            "unknown": found.unknown,
            "sources": found.codes,
            "more_sources": found.more_codes,
            "complete": found.complete,
            "contributors": b"".join(found.origins),
        },
    )
    return out.getvalue()


def read_derivation(row: bytes) -> Derivation:
    """Returns what `derivation_row` wrote."""
    fields: Any = fastavro.schemaless_reader(io.BytesIO(row), DERIVATION_SCHEMA, None)
    packed = fields.pop("contributors")
    origins = tuple(packed[at : at + 16] for at in range(0, len(packed), 16))
    return Derivation(**{**fields, "sources": tuple(fields["sources"])}, contributors=origins)


def output_row(step: str, digest: bytes, origin: bytes) -> bytes:
    """Returns the row of a record that enters a sink."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, OUTPUT_SCHEMA, {"step": step, "digest": digest, "origin": origin})
    return out.getvalue()


def read_output(row: bytes) -> Output:
    """Returns what `output_row` wrote.

    >>> read_output(output_row("write", b"12345678", b"")).step
    'write'
    """
    fields: Any = fastavro.schemaless_reader(io.BytesIO(row), OUTPUT_SCHEMA, None)
    return Output(**fields)


def filtered_row(step: str, origin: bytes) -> bytes:
    """Returns the row of an element of this origin, of which a step gave nothing."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, FILTERED_SCHEMA, {"step": step, "origin": origin})
    return out.getvalue()


def read_filtered(row: bytes) -> Filtered:
    """Returns what `filtered_row` wrote.

    >>> read_filtered(filtered_row("keep", b"0123456789abcdef")).step
    'keep'
    """
    fields: Any = fastavro.schemaless_reader(io.BytesIO(row), FILTERED_SCHEMA, None)
    return Filtered(**fields)

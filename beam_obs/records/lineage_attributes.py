"""The `_lineage` attributes of a record that leaves: where it came from, and which run and code made it.

A plain dict, so that JSON, Avro and BigQuery take it as a nested record without any code of ours.
"""

from __future__ import annotations

import datetime
from typing import Any, TypedDict

LINEAGE_FIELD = "_lineage"
"""Key or field of a record that holds its attributes."""


class LineageAttributes(TypedDict):
    """What is stamped on a record.

    Args:
      origin: 32 hex digits, or None where it is not known.
      run: id of the run.
      pipeline: name of the pipeline.
      code: version of its code.
      source_uri: file or topic, or None where the process that stamped did not read it.
      source_version: version of that file, likewise.
      position: byte offset or index in the source, or None where records have none.
      stamped_at: time of day in UTC, ISO 8601.
    """

    origin: str | None
    run: str
    pipeline: str
    code: str
    source_uri: str | None
    source_version: str | None
    position: int | None
    stamped_at: str


def utc_now() -> str:
    """Returns the time of day in UTC, e.g. ``2026-11-22T16:18:15.123456Z``."""
    return (
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )


LINEAGE_AVRO_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Lineage",
    "namespace": "beam_obs",
    "fields": [
        {"name": "origin", "type": ["null", "string"], "default": None},
        {"name": "run", "type": "string"},
        {"name": "pipeline", "type": "string"},
        {"name": "code", "type": "string"},
        {"name": "source_uri", "type": ["null", "string"], "default": None},
        {"name": "source_version", "type": ["null", "string"], "default": None},
        {"name": "position", "type": ["null", "long"], "default": None},
        {"name": "stamped_at", "type": "string"},
    ],
}
"""Avro schema of the attributes."""

LINEAGE_AVRO_FIELD: dict[str, Any] = {
    "name": LINEAGE_FIELD,
    "type": ["null", LINEAGE_AVRO_SCHEMA],
    "default": None,
}
"""Field to put into the Avro schema of records that keep their attributes."""

"""The `_lineage` attributes of a record that leaves: where it came from, and which run and code made it.

A plain dict, so that JSON, Avro and BigQuery take it as a nested record without any code of ours.
"""

from __future__ import annotations

import datetime
import json
import time
from typing import Any, TypedDict

from beam_obs.records.known_partitions import place_of
from beam_obs.records.origin import ORIGIN_BYTES
from beam_obs.records.run_context import RunContext

ATTRIBUTE_PREFIX = "beam_obs-"
"""Before the names of attributes of messages that hold them."""

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
      stamped_at: time of day in UTC, ISO 8601, to a tenth of a second.
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

LINEAGE_BIGQUERY_FIELD: dict[str, Any] = {
    "name": LINEAGE_FIELD,
    "type": "RECORD",
    "mode": "NULLABLE",
    "fields": [
        {"name": name, "type": "INTEGER" if name == "position" else "STRING", "mode": "NULLABLE"}
        for name in LineageAttributes.__annotations__
    ],
}
"""Field to put into the BigQuery schema of rows that keep their attributes."""


_encode = json.JSONEncoder(ensure_ascii=False).encode


class Attributes:
    """Makes the attributes of the records that leave a run; pickled with the steps that stamp.

    Args:
      context: the run.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._run_text = ""
        self._source_texts: dict[tuple[str | None, str | None], str] = {}
        self._now = ""
        self._now_until = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return (Attributes, (self._context,))

    def of(self, provenance: bytes | None, carried: Any = None) -> LineageAttributes:
        """Returns the attributes of a record.

        Args:
          provenance: its origin; anything else than 16 bytes stands for none.
          carried: the attributes that the record brings. Where they are of this run, as those that a read
            with ``stamp=True`` gives, they say better than the origin where the record came from, and are
            kept. Those of an earlier run tell of its sources, not of this one's, and are replaced.
        """
        context = self._context
        if isinstance(carried, dict) and carried.get("run") == context.run and carried.get("origin"):
            origin, uri = carried["origin"], carried.get("source_uri")
            version, position = carried.get("source_version"), carried.get("position")
        elif provenance is not None and len(provenance) == ORIGIN_BYTES:
            origin = provenance.hex()
            uri, version, position = place_of(provenance, context.run)
        else:
            origin = uri = version = position = None
        return {
            "origin": origin,
            "run": context.run,
            "pipeline": context.pipeline,
            "code": context.code,
            "source_uri": uri,
            "source_version": version,
            "position": position,
            "stamped_at": self._time(),
        }

    def json_of(self, provenance: bytes | None, carried: Any = None) -> str:
        """Returns the attributes of a record as JSON, in half the time that encoding them takes.

        >>> Attributes(RunContext("p", "r", "c")).json_of(b"")[:40]
        '{"origin": null, "run": "r", "pipeline":'
        """
        if carried is not None or provenance is None or len(provenance) != ORIGIN_BYTES:
            return _encode(self.of(provenance, carried))
        uri, version, position = place_of(provenance, self._context.run)
        if not self._run_text:
            self._run_text = _encode(
                {name: getattr(self._context, name) for name in ("run", "pipeline", "code")}
            )[1:-1]
        source = self._source_texts.get((uri, version))
        if source is None:
            if len(self._source_texts) > 1000:
                self._source_texts.clear()
            source = _encode({"source_uri": uri, "source_version": version})[1:-1]
            self._source_texts[uri, version] = source
        place = "null" if position is None else position
        return (
            f'{{"origin": "{provenance.hex()}", {self._run_text}, {source}, "position": {place}, '
            f'"stamped_at": "{self._time()}"}}'
        )

    def _time(self) -> str:
        """The time of day, to a tenth of a second: asking for it costs more than all the rest."""
        now = time.monotonic()
        if now >= self._now_until:
            self._now, self._now_until = utc_now(), now + 0.1
        return self._now

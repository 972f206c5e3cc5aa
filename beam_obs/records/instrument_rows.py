"""Rows of evidence that carry gauges and summaries: one for each series, step and bundle.

Neither a float with its time nor a sketch is in any metric of Beam's that every runner merges.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import fastavro

GAUGE, SUMMARY = "gauge", "summary"

INSTRUMENTS = "instruments"
"""Kind of the manifest of such rows."""

INSTRUMENT_SCHEMA: Any = fastavro.parse_schema(
    {
        "type": "record",
        "name": "InstrumentValue",
        "namespace": "beam_obs",
        "doc": "What a bundle of a step said of one series of a gauge or a summary.",
        "fields": [
            {"name": "kind", "type": "string", "doc": "gauge or summary."},
            {"name": "series", "type": "string", "doc": "The name, with labels as Prometheus writes them."},
            {"name": "step", "type": "string"},
            {"name": "at", "type": "long", "doc": "Microseconds since 1970: when set, or the slice's start."},
            {"name": "value", "type": "double", "doc": "Of a gauge; of a summary the sum of the values."},
            {"name": "count", "type": "long", "doc": "Values of a summary."},
            {"name": "sketch", "type": "bytes", "doc": "Of a summary: values with weights."},
            {"name": "options", "type": "string", "doc": "JSON: quantiles, and seconds of the window."},
        ],
    }
)


class InstrumentRow(NamedTuple):
    """What a bundle of a step said of one series.

    Args:
      kind: `GAUGE` or `SUMMARY`.
      series: name and labels.
      step: label of the step.
      at: microseconds since 1970: when the gauge was set, or where the slice of time begins.
      value: of the gauge, or the sum of a summary's values.
      count: values of a summary.
      sketch: of a summary, as `pack_weighted` writes it.
      options: of a summary: `quantiles`, and `window` in seconds or None.
    """

    kind: str
    series: str
    step: str
    at: int
    value: float
    count: int = 0  # type: ignore[assignment]
    sketch: bytes = b""
    options: Mapping[str, Any] = {}

    def to_bytes(self) -> bytes:
        """Returns the row in Avro's binary form."""
        out = io.BytesIO()
        fields = {**self._asdict(), "options": json.dumps(dict(self.options), sort_keys=True)}
        fastavro.schemaless_writer(out, INSTRUMENT_SCHEMA, fields)
        return out.getvalue()


def read_instrument_rows(data: bytes, count: int) -> list[InstrumentRow]:
    """Returns rows that stand one behind the other.

    Args:
      data: their bytes.
      count: how many they are.

    Raises:
      Exception: whatever fastavro raises of bytes that are no such rows.

    >>> row = InstrumentRow(GAUGE, "x", "step", 1, 2.5)
    >>> read_instrument_rows(row.to_bytes() * 2, 2) == [row, row]
    True
    """
    file = io.BytesIO(data)
    rows = []
    for _ in range(count):
        fields: Any = fastavro.schemaless_reader(file, INSTRUMENT_SCHEMA, None)
        options = json.loads(fields["options"])
        rows.append(InstrumentRow(**{**fields, "options": options if isinstance(options, dict) else {}}))
    return rows

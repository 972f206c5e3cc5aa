"""Units of metrics by the ends of their names, in the code of OpenTelemetry and Google Cloud (UCUM)."""

from __future__ import annotations

_UNITS = {"seconds": "s", "bytes": "By", "celsius": "Cel", "ratio": "1"}


def unit_of(name: str) -> str:
    """Returns the unit of a metric, or of a sum of it; empty where its name tells none.

    >>> unit_of("beam_obs_latency_seconds"), unit_of("size_bytes_sum"), unit_of("rows_total")
    ('s', 'By', '')
    """
    return _UNITS.get(name.removesuffix("_total").removesuffix("_sum").rpartition("_")[2], "")

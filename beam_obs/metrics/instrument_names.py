"""Names of users' instruments as Prometheus writes them, and of the Beam counters that carry them.

A series is one Beam counter, or a few, whose name holds its labels: ``rows_total{carrier="UA"}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from beam_obs.records.errors import UsageError

USERS_NAMESPACE = "instruments"
"""Namespace of the Beam counters of users' instruments."""

TOTAL, BUCKET, SUM, SUM_MICROS = "_total", "_bucket", "_sum", "_sum_micros"
"""Ends of their names: what a counter counts; of a histogram its buckets, its sum, and millionths of it."""

BOUND_LABEL = "le"
"""Label of a bucket: its upper bound."""

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_OURS = "beam_obs_"
_RESERVED_ENDS = ("_total", "_bucket", "_sum", "_count", "_created", "_info", "_micros")
_RESERVED_LABELS = frozenset({BOUND_LABEL, "quantile", "step", "stage", "pipeline", "run"})
_BASE_UNITS = {
    "ns": "seconds",
    "us": "seconds",
    "ms": "seconds",
    "nanoseconds": "seconds",
    "microseconds": "seconds",
    "milliseconds": "seconds",
    "minutes": "seconds",
    "hours": "seconds",
    "days": "seconds",
    "kb": "bytes",
    "mb": "bytes",
    "gb": "bytes",
    "kilobytes": "bytes",
    "megabytes": "bytes",
    "gigabytes": "bytes",
    "bits": "bytes",
    "percent": "ratio",
    "fahrenheit": "celsius",
}
"""What a name must not end in, and the base unit to write instead."""

_SERIES = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)(?:\{(.*)\})?", re.DOTALL)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)', re.DOTALL)
_UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def checked_name(name: str, kind: str) -> str:
    """Returns the name of an instrument; that of a counter with its end.

    Args:
      name: as the user gives it.
      kind: ``counter``, ``gauge``, ``histogram`` or ``summary``.

    Raises:
      UsageError: it is no name of Prometheus', or breaks one of its rules; says what to write.

    >>> checked_name("rows", "counter"), checked_name("rows_total", "counter"), checked_name("rows", "gauge")
    ('rows_total', 'rows_total', 'rows')
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise UsageError(
            f"a {kind} cannot be named {name!r}: a name is a letter, and then letters, digits and '_'"
        )
    stem = name.removesuffix(TOTAL) if kind == "counter" else name
    if stem.startswith(_OURS):
        raise UsageError(f"a {kind} cannot be named {name!r}: {_OURS}* are names of beam_obs itself")
    for end in _RESERVED_ENDS:
        if stem.endswith(end) or stem == end[1:]:
            raise UsageError(
                f"a {kind} cannot be named {name!r}: Prometheus keeps the end {end!r} for "
                + ("counters, use obs.counter" if end == TOTAL else "parts of other metrics, leave it out")
            )
    unit = stem.rpartition("_")[2]
    if unit in _BASE_UNITS and "_" in stem:
        raise UsageError(
            f"a {kind} cannot be named {name!r}: Prometheus takes base units, use {_BASE_UNITS[unit]!r}, "
            f"e.g. {stem.removesuffix(unit)}{_BASE_UNITS[unit]}"
        )
    return stem + TOTAL if kind == "counter" else stem


def checked_labels(labels: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Returns the names of an instrument's labels.

    Raises:
      UsageError: one of them cannot be one.
    """
    for label in labels:
        if not isinstance(label, str) or _NAME.fullmatch(label) is None:
            raise UsageError(f"{name!r} cannot have a label {label!r}: use letters, digits and '_'")
        if label in _RESERVED_LABELS:
            raise UsageError(f"{name!r} cannot have a label {label!r}: it is told by beam_obs or Prometheus")
    if len(set(labels)) < len(labels):
        raise UsageError(f"{name!r} has a label twice: {', '.join(labels)}")
    return labels


def series_name(name: str, labels: Mapping[str, str]) -> str:
    """Returns a name with labels, as Prometheus writes it.

    >>> series_name("rows_total", {"carrier": 'U"A'})
    'rows_total{carrier="U\\\\"A"}'
    """
    if not labels:
        return name
    inside = ",".join([f'{label}="{_escaped(value)}"' for label, value in labels.items()])
    return f"{name}{{{inside}}}"


def parse_series(text: str) -> tuple[str, dict[str, str]] | None:
    """Returns the name and the labels that `series_name` wrote; None of what it did not write.

    >>> parse_series(series_name("rows_total", {"a": 'x"', "b": ""}))
    ('rows_total', {'a': 'x"', 'b': ''})
    >>> parse_series("rows"), parse_series("not one")
    (('rows', {}), None)
    """
    found = _SERIES.fullmatch(text)
    if found is None:
        return None
    labels: dict[str, str] = {}
    inside, at = found[2] or "", 0
    while at < len(inside):
        label = _LABEL.match(inside, at)
        if label is None:
            return None
        labels[label[1]] = re.sub(r'\\[\\"n]', lambda escape: _UNESCAPED[escape[0]], label[2])
        at = label.end()
    return found[1], labels


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

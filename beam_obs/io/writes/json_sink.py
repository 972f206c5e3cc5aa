"""WriteToJson: records as JSON lines, each file with its account."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import os
import uuid
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.utils.timestamp import Timestamp

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.files.decompression import check_compression
from beam_obs.io.writes.file_write import FileWrite
from beam_obs.io.writes.text_sink import CountedTextSink
from beam_obs.records.lineage_attributes import LINEAGE_FIELD, Attributes
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.untyped import untyped


class WriteToJson(FileWrite):
    """Writes each record as one line of JSON.

    Dicts are written with their keys in their order; NamedTuples, dataclasses and `beam.Row` as objects
    of their fields. A record that JSON has no form for, NaN, infinities and two keys of one text (`1`
    and `"1"`) among them, becomes a dead letter; where dead letters have no home it fails the job.

    Args:
      default: gives a JSON value for one that JSON does not have, e.g. ``str`` for dates, as
        `json.dumps` takes it.
      file_path_prefix: as of `beam.io.WriteToText`, as are file_name_suffix, num_shards,
        shard_name_template, compression_type, max_records_per_shard, max_bytes_per_shard, skip_if_empty and
        triggering_frequency.
      stamp: whether objects get their lineage attributes as their last key, ``_lineage``; by default in
        an observed pipeline that is woven. Values that are no objects have no room: with True they are dead
        letters.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: what stays out of the dead letters, as for a `Stage`.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: an argument is wrong.

    >>> import apache_beam as beam, glob
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     _ = p | beam.Create([{"carrier": "UA", "flights": 3}]) | obs.WriteToJson("out")
    >>> [open(name).read() for name in glob.glob("out*.jsonl")]
    ['{"carrier": "UA", "flights": 3}\\n']
    """

    def __init__(
        self,
        file_path_prefix: str | os.PathLike[str],
        file_name_suffix: str = ".jsonl",
        num_shards: int = 0,
        shard_name_template: str | None = None,
        compression_type: str = CompressionTypes.AUTO,
        *,
        default: Callable[[Any], Any] | None = None,
        max_records_per_shard: int | None = None,
        max_bytes_per_shard: int | None = None,
        skip_if_empty: bool = False,
        triggering_frequency: int | None = None,
        stamp: bool | None = None,
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        super().__init__(
            file_path_prefix,
            dead_letters,
            redact,
            stamp,
            max_dead_rate,
            max_dead_minimum,
            num_shards=num_shards,
            max_records_per_shard=max_records_per_shard,
            max_bytes_per_shard=max_bytes_per_shard,
            triggering_frequency=triggering_frequency,
        )
        check_compression(compression_type, file_name_suffix)
        self._default = default
        self._make_sink: Callable[[], Any] = lambda: CountedTextSink(
            self._prefix,
            file_name_suffix,
            True,
            num_shards,
            shard_name_template,
            coders.BytesCoder(),
            compression_type,
            max_records_per_shard=max_records_per_shard,
            max_bytes_per_shard=max_bytes_per_shard,
            skip_if_empty=skip_if_empty,
            triggering_frequency=triggering_frequency,
        )
        self._make_sink()

    def _has_room(self) -> bool:
        return True

    def _encoder(self, pcoll: Any, attributes: Attributes | None) -> Callable[[Any], bytes]:
        if attributes is None:
            return JsonEncoder(self._default)
        return StampingJsonEncoder(self._default, attributes, bool(self._stamp))

    def _sink(self, pcoll: Any, attributes: Attributes | None) -> Any:
        sink = self._make_sink()
        sink.without_stamp = None if attributes is None else without_stamp
        return sink


@untyped
class JsonEncoder:
    """Encodes a record as JSON in UTF-8.

    Args:
      default: gives a JSON value for one that JSON does not have.
    """

    def __init__(self, default: Callable[[Any], Any] | None = None) -> None:
        self._default = default
        self._encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=default).encode

    def __reduce__(self) -> tuple[Any, ...]:
        return (JsonEncoder, (self._default,))

    def __call__(self, record: Any) -> bytes:
        """Returns one record's line, without a newline."""
        return self._encode(plain(record)).encode()


@untyped
class StampingJsonEncoder:
    """Encodes a record as JSON in UTF-8, with its lineage attributes.

    Args:
      default: gives a JSON value for one that JSON does not have.
      attributes: makes the attributes.
      is_strict: whether a value that is no object is refused, not written as it is.
    """

    def __init__(
        self, default: Callable[[Any], Any] | None, attributes: Attributes, is_strict: bool = False
    ) -> None:
        self._given = (default, attributes, is_strict)
        self._attributes = attributes
        self._is_strict = is_strict
        self._encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=default).encode

    def __reduce__(self) -> tuple[Any, ...]:
        return (StampingJsonEncoder, self._given)

    def __call__(self, record: Any) -> bytes:
        """Returns one record's line, without a newline."""
        return self.with_origin(record, current_origin() or b"")

    def with_origin(self, record: Any, provenance: bytes) -> bytes:
        """Returns one record's line; woven steps call this.

        Args:
          record: any.
          provenance: its origin, if it is of 16 bytes.
        """
        made = plain(record)
        if not isinstance(made, dict):
            if self._is_strict:
                kind = type(record).__qualname__
                raise TypeError(f"a {kind} is no JSON object, so it has no room for lineage attributes")
            return self._encode(made).encode()
        carried = made.get(LINEAGE_FIELD)
        if LINEAGE_FIELD in made:
            made = {key: value for key, value in made.items() if key != LINEAGE_FIELD}
        line = self._encode(made)
        comma = ", " if len(made) else ""
        return (
            f'{line[:-1]}{comma}"{LINEAGE_FIELD}": {self._attributes.json_of(provenance, carried)}}}'.encode()
        )


def without_stamp(line: bytes) -> bytes:
    """Returns a line that `StampingJsonEncoder` made, as it is without attributes.

    >>> without_stamp(b'{"a": 1, "_lineage": {"origin": null}}')
    b'{"a": 1}'
    """
    # Within a text a quote has a backslash before it, so this is no part of one.
    start = line.rfind(_STAMP) if line.endswith(b"}}") else -1
    return line if start < 0 else line[:start].removesuffix(b", ") + b"}"


_STAMP = f'"{LINEAGE_FIELD}": {{'.encode()
_PLAIN = frozenset(
    {str, int, float, bool, type(None), bytes}
    | {datetime.datetime, datetime.date, datetime.time, decimal.Decimal, uuid.UUID, Timestamp}
)
"""Kinds of values with nothing inside."""
_TEXT = frozenset({str})


def plain(value: Any) -> Any:
    """Returns a record with its NamedTuples, dataclasses and rows as dicts, at every depth.

    Raises:
      ValueError: two keys of a dict are the same as text.

    >>> plain(beam.Row(carrier="UA", days=[beam.Row(flights=3)]))
    {'carrier': 'UA', 'days': [{'flights': 3}]}
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        if not _TEXT.issuperset(map(type, value)):
            _refuse_doubled_keys(value)
        # Most records are flat: this costs a tenth of making them anew.
        return (
            value
            if _PLAIN.issuperset(map(type, value.values()))
            else {key: plain(item) for key, item in value.items()}
        )
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: plain(item) for key, item in value._asdict().items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, beam.Row):
        return {key: plain(item) for key, item in value.as_dict().items()}
    return value


def _refuse_doubled_keys(value: dict[Any, Any]) -> None:
    texts: dict[str, Any] = {}
    for key in value:
        text = json.dumps({key: None})[1:-7]
        if text in texts:
            raise ValueError(
                f"the keys {texts[text]!r} and {key!r} are both {text} as text: rename one of them"
            )
        texts[text] = key

"""WriteToJson: records as JSON lines, each file with its account."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.io.filesystem import CompressionTypes

from beam_obs.io.file_write import FileWrite
from beam_obs.io.text_sink import CountedTextSink
from beam_obs.stages.dead_letters import DeadLetters


class WriteToJson(FileWrite):
    """Writes each record as one line of JSON.

    Dicts are written with their keys in their order; NamedTuples, dataclasses and `beam.Row` as objects
    of their fields. A record that JSON has no form for, NaN and infinities among them, becomes a dead
    letter; where dead letters have no home it fails the job.

    Args:
      default: gives a JSON value for one that JSON does not have, e.g. ``str`` for dates, as
        `json.dumps` takes it.
      file_path_prefix, file_name_suffix, num_shards, shard_name_template, compression_type,
        max_records_per_shard, max_bytes_per_shard, skip_if_empty, triggering_frequency: as of
        `beam.io.WriteToText`.
      dead_letters: a home for the dead letters.

    >>> import apache_beam as beam, glob
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     _ = p | beam.Create([{"carrier": "UA", "flights": 3}]) | obs.WriteToJson("out")
    >>> [open(name).read() for name in glob.glob("out*.jsonl")]
    ['{"carrier": "UA", "flights": 3}\\n']
    """

    def __init__(
        self,
        file_path_prefix: str,
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
        dead_letters: DeadLetters | None = None,
    ) -> None:
        super().__init__(file_path_prefix, dead_letters)
        self._default = default
        self._make_sink: Callable[[], Any] = lambda: CountedTextSink(
            file_path_prefix,
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

    def _encoder(self, pcoll: Any) -> Callable[[Any], bytes]:
        return JsonEncoder(self._default)

    def _sink(self, pcoll: Any) -> Any:
        return self._make_sink()


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


_PLAIN = frozenset({str, int, float, bool, type(None), bytes})


def plain(value: Any) -> Any:
    """Returns a record with its NamedTuples, dataclasses and rows as dicts, at every depth.

    >>> plain(beam.Row(carrier="UA", days=[beam.Row(flights=3)]))
    {'carrier': 'UA', 'days': [{'flights': 3}]}
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
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

"""WriteToText: elements as lines of text files, each file with its account."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from apache_beam.coders import coders
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.beam_private import TextSink
from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.files.decompression import check_compression
from beam_obs.io.writes.counted_files import CountedSink
from beam_obs.io.writes.file_write import FileWrite
from beam_obs.records.errors import UsageError
from beam_obs.wrapper.redaction import Redact


class CountedTextSink(CountedSink, TextSink):
    """Beam's text sink, given bytes."""


class WriteToText(FileWrite):
    """Writes one line for each element, as `beam.io.WriteToText` does, and takes its arguments.

    An element that the coder cannot encode becomes a dead letter; where dead letters have no home it
    fails the job.

    Args:
      file_path_prefix: as of `beam.io.WriteToText`, as are file_name_suffix, append_trailing_newlines,
        num_shards, shard_name_template, coder, compression_type, header, footer, max_records_per_shard,
        max_bytes_per_shard, skip_if_empty and triggering_frequency.
      stamp: not supported, since lines have no room for lineage attributes: the output index of a woven run
        leads a line back to its source.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: what stays out of the dead letters, as for a `Stage`.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: an argument is wrong, or ``stamp=True``.

    >>> import apache_beam as beam, glob
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     _ = p | beam.Create(["hello"]) | obs.WriteToText("out", ".txt")
    >>> [open(name).read() for name in glob.glob("out*.txt")]
    ['hello\\n']
    """

    def __init__(
        self,
        file_path_prefix: str | os.PathLike[str],
        file_name_suffix: str = "",
        append_trailing_newlines: bool = True,
        num_shards: int = 0,
        shard_name_template: str | None = None,
        coder: Any = None,
        compression_type: str = CompressionTypes.AUTO,
        header: str | None = None,
        footer: str | None = None,
        *,
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
        if stamp:
            raise UsageError(
                "obs.WriteToText(stamp=True): a line has no room for lineage attributes. Leave stamp= out: "
                "the output index of the run leads each line back to its source. Or write records with "
                "obs.WriteToJson"
            )
        self._coder = coders.ToBytesCoder() if coder is None else coder
        self._make_sink: Callable[[], Any] = lambda: CountedTextSink(
            self._prefix,
            file_name_suffix,
            append_trailing_newlines,
            num_shards,
            shard_name_template,
            coders.BytesCoder(),
            compression_type,
            header,
            footer,
            max_records_per_shard=max_records_per_shard,
            max_bytes_per_shard=max_bytes_per_shard,
            skip_if_empty=skip_if_empty,
            triggering_frequency=triggering_frequency,
        )
        self._make_sink()

    def _encoder(self, pcoll: Any, attributes: Any) -> Callable[[Any], bytes]:
        encode: Callable[[Any], bytes] = self._coder.encode
        return encode

    def _sink(self, pcoll: Any, attributes: Any) -> Any:
        return self._make_sink()

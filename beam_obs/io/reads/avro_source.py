"""ReadFromAvro: records of Avro files, each with its block and its place in the block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.io import avroio
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.typehints import schemas

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.files.decompression import open_stream
from beam_obs.files.found_files import find_files
from beam_obs.io.containers.avro_blocks import AvroFormat, read_head
from beam_obs.io.containers.named_values import record_maker, row_maker
from beam_obs.io.containers.read_containers import ReadContainers
from beam_obs.io.reads.file_read import FileRead
from beam_obs.io.reads.read_ranges import ReadSettings
from beam_obs.records.bad_input import BadFile
from beam_obs.records.errors import UsageError
from beam_obs.wrapper.redaction import Redact


class ReadFromAvro(FileRead):
    """Reads Avro files, as `beam.io.ReadFromAvro` does.

    A damaged block becomes a dead letter with its first MiB, file and position, and reading goes on behind
    the next sync marker; of a block that can be read in part, the records before the damage are read. A
    record that does not fit `record` becomes a dead letter, and so does a file that has no Avro header.
    Where dead letters have no home, the first of them fails the job.

    A position is the byte offset of a record's block and its place in the block as one number, which
    `beam_obs.records.block_position` takes apart.

    Args:
      file_pattern: path or pattern on any Beam filesystem.
      min_bundle_size: bytes; no range to begin with is smaller.
      validate: whether a pattern that finds nothing is an error when the pipeline is built.
      use_fastavro: taken as Beam does, without effect.
      as_rows: whether records become Beam rows, by the schema of the first file that is found when the
        pipeline is built.
      record: what records become: ``dict``, a NamedTuple class, or a dataclass, as of `ReadFromJson`.
      compression_type: one of Beam's `CompressionTypes`, for files that were compressed as a whole; by the
        file's extension by default. Those are not split.
      desired_bundle_size: bytes of the ranges to begin with; a runner may split them further.
      stamp: whether each record gets its lineage attributes: key ``_lineage`` of a dict, in place of one
        that is there, or field ``_lineage`` of a dataclass. Values that are no records become
        ``{"record": value, "_lineage": {...}}``.
      on_bad_file: ``"dead_letter"``, or ``"fail"`` to fail the job on a file that is refused as a whole.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: names of fields whose values stay out of the dead letters, or a function that gives a
        record's redacted form; of a damaged block nothing is kept then.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: arguments do not fit together.
      NoFilesFound: the pattern finds nothing.
      MissingExtra: when it runs: the codec of a file needs the ``avro`` extra.

    >>> import apache_beam as beam, fastavro
    >>> import beam_obs as obs
    >>> schema = {"type": "record", "name": "Delay", "fields": [{"name": "minutes", "type": "int"}]}
    >>> with open("delays.avro", "wb") as file:
    ...     fastavro.writer(file, schema, [{"minutes": 11}, {"minutes": -4}])
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     _ = p | obs.ReadFromAvro("delays.avro") | beam.Map(print)
    {'minutes': 11}
    {'minutes': -4}
    """

    def __init__(
        self,
        file_pattern: Any,
        min_bundle_size: int = 0,
        validate: bool = True,
        use_fastavro: bool = True,
        as_rows: bool = False,
        *,
        record: type = dict,
        compression_type: str = CompressionTypes.AUTO,
        desired_bundle_size: int = 1 << 26,
        stamp: bool = False,
        on_bad_file: str = "dead_letter",
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        super().__init__(
            file_pattern,
            min_bundle_size=min_bundle_size,
            desired_bundle_size=desired_bundle_size,
            compression_type=compression_type,
            validate=validate,
            stamp=stamp,
            on_bad_file=on_bad_file,
            dead_letters=dead_letters,
            redact=redact,
            max_dead_rate=max_dead_rate,
            max_dead_minimum=max_dead_minimum,
        )
        self._record: Any = record
        self._make = record_maker(record, stamp, as_rows)
        if as_rows:
            convert, self._record = self._row_type()
            self._make = row_maker(convert)

    def _reader(self, settings: ReadSettings) -> beam.DoFn:
        return ReadContainers(AvroFormat(), self._make, settings)

    def _can_split(self) -> bool:
        return True

    def _element_type(self) -> Any:
        # Avro files may hold anything, and most hold records.
        return Any if self._record is dict else self._record

    def _row_type(self) -> tuple[Callable[[Any], Any], Any]:
        if not isinstance(self._pattern, str):
            raise UsageError("as_rows=True needs a pattern that is known when the pipeline is built")
        refused: Exception | None = None
        for file in find_files(self._pattern, type(self).__name__, self._compression_type):
            stream = open_stream(file.location, file.compression)
            try:
                schema = read_head(stream, file.path).schema
            except BadFile as error:
                refused = error
                continue
            finally:
                stream.close()
            beam_schema = avroio.avro_schema_to_beam_schema(schema)
            return avroio.avro_dict_to_beam_row(schema, beam_schema), schemas.named_tuple_from_schema(
                beam_schema
            )
        raise UsageError(f"as_rows=True needs a file with a schema: {refused}")

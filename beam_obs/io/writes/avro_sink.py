"""WriteToAvro: records as Avro files, each file with its account."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

from apache_beam.io import avroio
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.typehints import schemas
from fastavro import parse_schema
from fastavro.write import Writer

from beam_obs.beam_private import BaseAvroSink
from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.io.containers.avro_blocks import knows_codec
from beam_obs.io.writes.avro_faithful import Faithful
from beam_obs.io.writes.avro_stamp import WithoutStamp, avro_takes_attributes, encoded_attributes
from beam_obs.io.writes.counted_files import CountedSink
from beam_obs.io.writes.file_write import FileWrite
from beam_obs.io.writes.json_sink import plain
from beam_obs.records.errors import UsageError
from beam_obs.records.lineage_attributes import LINEAGE_AVRO_FIELD, LINEAGE_FIELD, Attributes
from beam_obs.records.run_context import observation_of
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.untyped import untyped

_BLOCK_BYTES = 16_000


class WriteToAvro(FileWrite):
    """Writes records to Avro files, as `beam.io.WriteToAvro` does, and takes its arguments.

    Records are dicts, NamedTuples, dataclasses or `beam.Row`. Keys that the schema does not have are
    left out, the lineage attributes too unless it has a field for them (`LINEAGE_AVRO_FIELD`). A record
    that does not fit the schema becomes a dead letter, and so does one that would not come back from the file
    as it is; where dead letters have no home it fails the job.

    Args:
      file_path_prefix: as of `beam.io.WriteToAvro`, as are codec, file_name_suffix, num_shards,
        shard_name_template, mime_type, use_fastavro and triggering_frequency.
      schema: the Avro schema as a dict; None takes it from the PCollection's Beam schema.
      stamp: whether records get their lineage attributes; by default in an observed pipeline that is woven
        and where ``schema`` has a field for them. With True and no schema the field is added to the schema
        that is made.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: what stays out of the dead letters, as for a `Stage`.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      MissingExtra: the codec needs the extra ``avro``.
      UsageError: the schema or the codec is none, or ``stamp=True`` and it has no field for the attributes.

    >>> import apache_beam as beam, fastavro, glob
    >>> import beam_obs as obs
    >>> schema = {"type": "record", "name": "Day", "fields": [{"name": "flights", "type": "int"}]}
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     _ = p | beam.Create([{"flights": 3}]) | obs.WriteToAvro("out", schema, file_name_suffix=".avro")
    >>> [list(fastavro.reader(open(name, "rb"))) for name in glob.glob("out*.avro")]
    [[{'flights': 3}]]
    """

    def __init__(
        self,
        file_path_prefix: str | os.PathLike[str],
        schema: Any = None,
        codec: str = "deflate",
        file_name_suffix: str = "",
        num_shards: int = 0,
        shard_name_template: str | None = None,
        mime_type: str = "application/x-avro",
        use_fastavro: bool = True,
        triggering_frequency: int | None = None,
        *,
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
            triggering_frequency=triggering_frequency,
        )
        if not isinstance(codec, str) or not knows_codec(codec):
            raise UsageError(
                f"codec={codec!r} is not one of Avro's: give 'deflate', 'null', 'bzip2', 'xz', 'snappy', "
                "'zstandard' or 'lz4'"
            )
        if schema is not None:
            try:
                parse_schema(schema)
            except Exception as error:
                raise UsageError(
                    f"schema={schema!r} is not an Avro schema ({error}): give a dict, as "
                    "json.load makes of a file"
                ) from error
        self._schema = schema
        if stamp and schema is not None and not self._has_room():
            raise UsageError(
                f"obs.WriteToAvro(stamp=True): the schema has no field {LINEAGE_FIELD!r} that takes lineage "
                "attributes: add obs.LINEAGE_AVRO_FIELD to its fields. Or leave stamp= out: the output "
                "index of the run leads each record back to its source"
            )
        self._make_sink: Callable[[Any], Any] = lambda of_schema: _CountedAvroSink(
            self._prefix,
            of_schema,
            codec,
            file_name_suffix,
            num_shards,
            shard_name_template,
            mime_type,
            triggering_frequency,
        )
        self._make_sink(schema)

    def _has_room(self) -> bool:
        return self._schema is not None and avro_takes_attributes(self._schema)

    def _encoder(self, pcoll: Any, attributes: Attributes | None) -> Callable[[Any], bytes]:
        if self._schema is not None:
            schema, convert = self._schema, None
        else:
            beam_schema, schema = self._schemas(pcoll)
            convert = avroio.beam_row_to_avro_dict(schema, beam_schema)
        if attributes is None:
            return AvroEncoder(schema, convert)
        return StampingAvroEncoder(self._stamped(schema), convert, attributes)

    def _sink(self, pcoll: Any, attributes: Attributes | None) -> Any:
        schema = self._schema if self._schema is not None else self._schemas(pcoll)[1]
        if attributes is None:
            return self._make_sink(schema)
        sink = self._make_sink(self._stamped(schema))
        sink.without_stamp = WithoutStamp.of(self._stamped(schema), observation_of(pcoll.pipeline).context)
        return sink

    def _stamped(self, schema: Any) -> Any:
        if self._schema is not None:
            return schema
        return {**schema, "fields": [*schema["fields"], LINEAGE_AVRO_FIELD]}

    def _schemas(self, pcoll: Any) -> tuple[Any, Any]:
        """Returns the PCollection's Beam schema, and the Avro schema made of it."""
        try:
            beam_schema = schemas.schema_from_element_type(pcoll.element_type)
            return beam_schema, avroio.beam_schema_to_avro_schema(beam_schema)
        except (TypeError, ValueError):
            raise UsageError(
                f"{self.label!r} (made at {self._made_at}): records of {pcoll.element_type} have no Beam "
                "schema that Avro has types for: give schema="
            ) from None


@untyped
class AvroEncoder:
    """Encodes a record as Avro, without the schema.

    Args:
      schema: the Avro schema.
      convert: makes a dict of a record first; by default only what is no dict is converted.
    """

    def __init__(self, schema: Any, convert: Callable[[Any], Any] | None = None) -> None:
        self._schema = schema
        self._convert = convert
        faithful = Faithful(parse_schema(schema))
        self._by_type, self._encode = faithful.by_type, faithful.encode

    def __reduce__(self) -> tuple[Any, ...]:
        return (AvroEncoder, (self._schema, self._convert))

    def __call__(self, record: Any) -> bytes:
        """Returns one record's bytes."""
        encoded = self._by_type(record) if self._convert is None else None
        if encoded is not None:
            return encoded
        return self._encode(plain(record) if self._convert is None else self._convert(record))


class StampingAvroEncoder(AvroEncoder):
    """Encodes a record with its lineage attributes as Avro, without the schema.

    Args:
      schema: the Avro schema, with a field for the attributes.
      convert: makes a dict of a record first.
      attributes: makes the attributes.
    """

    def __init__(self, schema: Any, convert: Callable[[Any], Any] | None, attributes: Attributes) -> None:
        super().__init__(schema, convert)
        self._attributes = attributes
        self._is_last = schema["fields"][-1] == LINEAGE_AVRO_FIELD

    def __reduce__(self) -> tuple[Any, ...]:
        return (StampingAvroEncoder, (self._schema, self._convert, self._attributes))

    def __call__(self, record: Any) -> bytes:
        """Returns one record's bytes."""
        return self.with_origin(record, current_origin() or b"")

    def with_origin(self, record: Any, provenance: bytes) -> bytes:
        """Returns one record's bytes; woven steps call this.

        Args:
          record: any.
          provenance: its origin, if it is of 16 bytes.
        """
        made = plain(record) if self._convert is None else self._convert(record)
        attributes = self._attributes.of(provenance, made.get(LINEAGE_FIELD))
        if not self._is_last:
            return self._encode({**made, LINEAGE_FIELD: attributes})
        # fastavro takes 8 us for what a union holds: it looks for the branch by trying.
        return self._encode({**made, LINEAGE_FIELD: None})[:-1] + encoded_attributes(attributes)


class _CountedAvroSink(CountedSink, BaseAvroSink):
    """Beam's Avro sink, given records that are encoded already."""

    def open(self, temp_path: str) -> _AvroBlocks:
        return _AvroBlocks(super().open(temp_path), self._schema, self._codec)

    def write_record(self, blocks: _AvroBlocks, value: bytes) -> None:
        blocks.write(value)

    def close(self, blocks: _AvroBlocks) -> None:
        blocks.close()


class _AvroBlocks:
    """An Avro container file written from encoded records; to fastavro it is the block being written."""

    def __init__(self, file: Any, schema: Any, codec: str) -> None:
        self._file = file
        self._writer = Writer(file, schema, codec)
        self._records: list[bytes] = []
        self._bytes = 0

    def write(self, encoded: bytes) -> None:
        self._records.append(encoded)
        self._bytes += len(encoded)
        if self._bytes >= _BLOCK_BYTES:
            self._end_block()

    def close(self) -> None:
        self._end_block()
        self._writer.flush()
        self._file.close()

    @property
    def num_records(self) -> int:
        return len(self._records)

    @property
    def bytes_(self) -> io.BytesIO:
        return io.BytesIO(b"".join(self._records))

    def _end_block(self) -> None:
        if self._records:
            self._writer.write_block(self)
            self._records = []
            self._bytes = 0

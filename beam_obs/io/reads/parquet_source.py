"""ReadFromParquet: rows of Parquet files, each with its row group and its place in the group."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.portability.api import schema_pb2
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.typehints import schemas

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.files.decompression import open_stream
from beam_obs.files.found_files import FoundFile, find_files
from beam_obs.io.containers.named_values import record_maker, row_maker
from beam_obs.io.containers.parquet_groups import ParquetFormat, parquet
from beam_obs.io.containers.read_containers import ReadContainers
from beam_obs.io.reads.file_read import FileRead
from beam_obs.io.reads.read_ranges import ReadSettings
from beam_obs.records.bad_input import BadFile
from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_names
from beam_obs.wrapper.redaction import Redact


class ReadFromParquet(FileRead):
    """Reads Parquet files row by row, as `beam.io.ReadFromParquet` does.

    A damaged row group becomes a dead letter with its first MiB, file and position; rows before the damage
    and the other groups are read. A row that does not fit `record` becomes a dead letter, and so does a
    file whose footer cannot be read or that lacks one of `columns`. Where dead letters have no home, the
    first of them fails the job.

    A position is the byte offset of a row's group and its place in the group as one number, which
    `beam_obs.records.block_position` takes apart. Needs pyarrow, the extra ``parquet``.

    Args:
      file_pattern: path or pattern on any Beam filesystem.
      min_bundle_size: bytes; no range to begin with is smaller.
      validate: whether a pattern that finds nothing is an error when the pipeline is built.
      columns: names of columns to be read, ``a`` for all of ``a.b`` and ``a.c`` too; all by default.
      as_rows: whether rows become Beam rows, by the schema of the first file that is found when the
        pipeline is built.
      record: what rows become: ``dict``, a NamedTuple class, or a dataclass, as of `ReadFromJson`.
      desired_bundle_size: bytes of the ranges to begin with; a runner may split them further.
      stamp: whether each row gets its lineage attributes: key ``_lineage`` of a dict, in place of one that
        is there, or field ``_lineage`` of a dataclass.
      on_bad_file: ``"dead_letter"``, or ``"fail"`` to fail the job on a file that is refused as a whole.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: names of columns whose values stay out of the dead letters, or a function that gives a row's
        redacted form; of a damaged row group nothing is kept then.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: arguments do not fit together.
      NoFilesFound: the pattern finds nothing.
      MissingExtra: pyarrow is not installed.

    >>> import apache_beam as beam, pyarrow, pyarrow.parquet
    >>> import beam_obs as obs
    >>> delays = pyarrow.table({"carrier": ["UA", "AA"], "delay": [11, None]})
    >>> pyarrow.parquet.write_table(delays, "d.parquet")
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     _ = p | obs.ReadFromParquet("d.parquet") | beam.Map(print)
    {'carrier': 'UA', 'delay': 11}
    {'carrier': 'AA', 'delay': None}
    """

    def __init__(
        self,
        file_pattern: Any,
        min_bundle_size: int = 0,
        validate: bool = True,
        columns: Sequence[str] | None = None,
        as_rows: bool = False,
        *,
        record: type = dict,
        desired_bundle_size: int = 1 << 26,
        stamp: bool = False,
        on_bad_file: str = "dead_letter",
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        parquet()
        super().__init__(
            file_pattern,
            min_bundle_size=min_bundle_size,
            desired_bundle_size=desired_bundle_size,
            compression_type=CompressionTypes.AUTO,
            validate=validate,
            stamp=stamp,
            on_bad_file=on_bad_file,
            dead_letters=dead_letters,
            redact=redact,
            max_dead_rate=max_dead_rate,
            max_dead_minimum=max_dead_minimum,
        )
        self._columns = None if columns is None else given_names(columns, "columns")
        self._record: Any = record
        self._make = record_maker(record, stamp, as_rows)
        if as_rows:
            convert, self._record = self._row_type()
            self._make = row_maker(convert)

    def _reader(self, settings: ReadSettings) -> beam.DoFn:
        return ReadContainers(ParquetFormat(self._columns), self._make, settings)

    _without_doubled = "columns=[...] reads others and leaves these out"

    def _check_columns(self, file: FoundFile) -> None:
        with contextlib.closing(open_stream(file.location, file.compression)) as stream:
            ParquetFormat(self._columns).head(stream, file)

    def _can_split(self) -> bool:
        return True

    def _element_type(self) -> Any:
        return dict[str, Any] if self._record is dict else self._record

    def _row_type(self) -> tuple[Callable[[Any], Any], Any]:
        from apache_beam.typehints.arrow_type_compatibility import beam_schema_from_arrow_schema

        if not isinstance(self._pattern, str):
            raise UsageError("as_rows=True needs a pattern that is known when the pipeline is built")
        refused: Exception | None = None
        for file in find_files(self._pattern, type(self).__name__):
            try:
                with contextlib.closing(open_stream(file.location, file.compression)) as stream:
                    arrow_schema = ParquetFormat(self._columns).arrow_schema(stream, file)
            except BadFile as error:
                refused = error
                continue
            try:
                written = beam_schema_from_arrow_schema(arrow_schema).SerializeToString()
                return functools.partial(_row, written), _row_class(written)
            except ValueError as error:
                raise UsageError(
                    f"as_rows=True: {file.path} has a column that Beam rows cannot have: {error}"
                ) from None
        raise UsageError(f"as_rows=True needs a file with a schema: {refused}")


def _row(schema: bytes, values: dict[str, Any]) -> Any:
    return _converter(schema)(values)


@functools.lru_cache(maxsize=100)
def _converter(schema: bytes) -> Callable[[dict[str, Any]], Any]:
    return _row_maker(schema_pb2.Schema.FromString(schema), _row_class(schema))


@functools.lru_cache(maxsize=100)
def _row_class(schema: bytes) -> Any:
    return schemas.named_tuple_from_schema(schema_pb2.Schema.FromString(schema))


def _row_maker(schema: schema_pb2.Schema, row_class: Any) -> Callable[[dict[str, Any]], Any]:
    """Returns what makes a row of a dict, with the dicts inside as rows too."""
    inside = {field.name: make for field in schema.fields if (make := _value_maker(field.type)) is not None}
    if not inside:
        return lambda values: row_class(**values)

    def made(values: dict[str, Any]) -> Any:
        changed = {
            name: None if values[name] is None else make(values[name]) for name, make in inside.items()
        }
        return row_class(**{**values, **changed})

    return made


def _value_maker(kind: schema_pb2.FieldType) -> Callable[[Any], Any] | None:
    """Returns what makes a value of a row of what pyarrow gives; None for values as they are."""
    what = kind.WhichOneof("type_info")
    if what == "row_type":
        return _row_maker(kind.row_type.schema, schemas.named_tuple_from_schema(kind.row_type.schema))
    if what == "map_type":
        value = _value_maker(kind.map_type.value_type)
        return lambda pairs: {key: one if value is None or one is None else value(one) for key, one in pairs}
    if what not in ("array_type", "iterable_type"):
        return None
    item = _value_maker(getattr(kind, what).element_type)
    if item is None:
        return None
    return lambda items: [None if one is None else item(one) for one in items]

"""ReadFromCsv: rows of CSV files as dicts or typed records, each with its place in its file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.files.found_files import FoundFile
from beam_obs.io.lines.csv_rows import CsvDialect, CsvParser
from beam_obs.io.lines.file_head import CsvHeadReader, FileHead, HeadReader, first_header
from beam_obs.io.lines.line_encoding import line_encoding
from beam_obs.io.lines.parsed_lines import LineParser, MadeRecords
from beam_obs.io.lines.read_lines import RecordFormat
from beam_obs.io.lines.typed_records import RecordMaker, check_room, dicts_of, record_fields
from beam_obs.io.reads.file_read import FileRead
from beam_obs.records.bad_input import BadInput, DuplicateColumns
from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_names
from beam_obs.records.lineage_attributes import LINEAGE_FIELD, LineageAttributes
from beam_obs.wrapper.redaction import Redact

UNNAMED_COLUMNS = ("number", "refuse")


class ReadFromCsv(FileRead):
    """Reads CSV files row by row.

    A row with too few or too many columns, a quote that is not closed, bytes that are not text, NUL
    bytes, or a value that does not fit its field's type becomes a dead letter with its bytes, file and
    offset; the rows around it are read. A file with another header than expected, or with none,
    becomes one dead letter. Where dead letters have no home, the first of them fails the job.

    Args:
      file_pattern: path or pattern on any Beam filesystem.
      columns: names that each file's header must have, in any order; with ``header=False`` the names
        of the columns in their order. By default each file is compared with the first that has a header.
      record: what rows become: ``dict`` (column name to text), a NamedTuple class, or a dataclass. A
        field is converted to its annotated type (str, int, float, bool, Decimal, date, datetime, time,
        an Enum, or Optional of these); columns without a field are left out, and a file without the
        column of a field that has no default is refused.
      header: whether files begin with a header line.
      skip_lines: lines to leave out at the start of each file, before the header if there is one. They are
        lines as an editor shows them: quotes in them mean nothing, and they may hold anything.
      unnamed_columns: ``"number"`` names a column that the header gives no name by its place, from 1: the
        third ``_3``; ``"refuse"`` refuses its file.
      multiline: whether a quoted field may hold a newline; such files are not split.
      null_values: texts that an Optional field of a typed record takes for None.
      encoding: any text encoding of Python's in which lines can be found. A byte order mark is left
        out; UTF-16 and UTF-32 are not split.
      delimiter, quotechar, escapechar, doublequote, skipinitialspace, quoting, strict: as `csv.reader`
        takes them.
      compression_type: one of Beam's `CompressionTypes`; by the file's extension by default.
        Compressed files are not split.
      min_bundle_size: bytes; no range to begin with is smaller.
      desired_bundle_size: bytes of the ranges to begin with; a runner may split them further.
      validate: whether a pattern that finds nothing is an error when the pipeline is built.
      stamp: whether each record gets its lineage attributes: key ``_lineage`` of a dict, or field
        ``_lineage`` of a dataclass.
      on_bad_file: ``"dead_letter"``, or ``"fail"`` to fail the job on a file that is refused as a whole.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: names of columns whose values stay out of the dead letters, or a function that gives the
        redacted form of a row as a dict; a row that cannot be taken apart is left out whole.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: arguments do not fit together.
      NoFilesFound: the pattern finds nothing.

    >>> import apache_beam as beam, pathlib
    >>> import beam_obs as obs
    >>> _ = pathlib.Path("delays.csv").write_text('carrier,delay\\nUA,11\\nAA\\nB6,-4\\n')
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     rows, dead = p | obs.ReadFromCsv("delays.csv").with_dead_letters()
    ...     _ = rows | "rows" >> beam.Map(print)
    ...     _ = dead | "dead" >> beam.Map(lambda letter: print(letter.position, letter.error_message))
    {'carrier': 'UA', 'delay': '11'}
    {'carrier': 'B6', 'delay': '-4'}
    20 too few columns: row has 1, header has 2
    """

    def __init__(
        self,
        file_pattern: Any,
        columns: Sequence[str] | None = None,
        record: type = dict,
        *,
        header: bool = True,
        skip_lines: int = 0,
        unnamed_columns: str = "number",
        multiline: bool = False,
        null_values: Sequence[str] = ("",),
        encoding: str = "utf-8",
        delimiter: str = ",",
        quotechar: str | None = '"',
        escapechar: str | None = None,
        doublequote: bool = True,
        skipinitialspace: bool = False,
        quoting: int = csv.QUOTE_MINIMAL,
        strict: bool = False,
        compression_type: str = CompressionTypes.AUTO,
        min_bundle_size: int = 0,
        desired_bundle_size: int = 1 << 26,
        validate: bool = True,
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
        names = None if columns is None else given_names(columns, "columns")
        if names is None and not header:
            raise UsageError("header=False: give the names of the columns as columns=")
        if names is not None and len(set(names)) < len(names):
            raise UsageError(f"columns={list(names)!r}: a name is given twice")
        if names is not None and "" in names:
            place = names.index("") + 1
            raise UsageError(f"columns={list(names)!r}: name {place} is empty; write e.g. '_{place}'")
        if not isinstance(skip_lines, int) or skip_lines < 0:
            raise UsageError(f"skip_lines={skip_lines!r}: give a number of lines, 0 or more")
        if unnamed_columns not in UNNAMED_COLUMNS:
            raise UsageError(
                f"unnamed_columns={unnamed_columns!r}: give one of {', '.join(map(repr, UNNAMED_COLUMNS))}"
            )
        dialect = CsvDialect(delimiter, quotechar, escapechar, doublequote, skipinitialspace, quoting, strict)
        needed: tuple[str, ...] = ()
        if record is not dict:
            needed = tuple(field.name for field in record_fields(record) if field.is_required)
            absent = [name for name in needed if names is not None and name not in names]
            if absent:
                raise UsageError(f"record={record.__qualname__} needs {absent}, which columns= does not have")
        if stamp:
            check_room(record, names)
        self._splittable = not multiline and line_encoding(encoding)[0].splittable
        self._record = record
        self._has_header = header
        self._csv = _CsvFormat(
            CsvHeadReader(
                encoding,
                dialect,
                header,
                names,
                needed,
                multiline,
                skip_lines,
                unnamed_columns == "number",
            ),
            dialect,
            record,
            given_names(null_values, "null_values", "['', 'NA']", "texts"),
            multiline,
        )

    def _format(self) -> RecordFormat:
        return self._csv

    _without_doubled = "name the columns yourself: columns=[...], header=False, skip_lines= for the header"

    def _check_columns(self, file: FoundFile) -> None:
        problem = self._csv.heads.read(file).problem if self._has_header else None
        if isinstance(problem, DuplicateColumns):
            raise problem

    def _can_split(self) -> bool:
        return self._splittable

    def _element_type(self) -> Any:
        if self._record is not dict:
            return self._record
        return dict[str, Any] if self.stamps_lineage else dict[str, str]


class _CsvFormat(RecordFormat):
    def __init__(
        self,
        heads: CsvHeadReader,
        dialect: CsvDialect,
        record: type,
        null_values: tuple[str, ...],
        multiline: bool,
    ) -> None:
        self._heads = heads
        self._dialect = dialect
        self._record = record
        self._null_values = null_values
        self.multiline = multiline
        self._makers: dict[tuple[str, ...], Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_makers": {}}

    @property
    def heads(self) -> HeadReader:
        return self._heads

    def parser(self, head: FileHead) -> LineParser:
        return CsvParser(head.encoding, self._dialect, len(head.columns), self.multiline)

    def common_columns(self, files: list[FoundFile]) -> tuple[str, ...] | None:
        """Returns the columns of the first file that has a header, for dicts with no names given."""
        if self._record is not dict or self._heads.columns is not None or len(files) < 2:
            return None
        return first_header(files, self._heads.read)

    def records(
        self, rows: list[Any], head: FileHead, lineage: Sequence[LineageAttributes] | None
    ) -> MadeRecords:
        maker = self._makers.get(head.columns)
        if maker is None:
            maker = self._makers[head.columns] = self._maker(head.columns)
        if isinstance(maker, RecordMaker):
            return _made(maker, rows, lineage)
        records = maker(rows)
        if lineage is not None:
            for record, attributes in zip(records, lineage, strict=True):
                record[LINEAGE_FIELD] = attributes
        return MadeRecords(records)

    def taken_apart(self, row: Any, head: FileHead) -> dict[str, Any] | None:
        return dict(zip(head.columns, row, strict=True))

    def _maker(
        self, columns: tuple[str, ...]
    ) -> RecordMaker | Callable[[list[list[str]]], list[dict[str, Any]]]:
        if self._record is dict:
            return dicts_of(columns)
        return RecordMaker(self._record, columns, self._null_values)


def _made(
    maker: RecordMaker, rows: list[list[str]], lineage: Sequence[LineageAttributes] | None
) -> MadeRecords:
    make = maker.make
    records: list[Any] = []
    refused: list[tuple[int, BadInput]] = []
    add = records.append
    for number, row in enumerate(rows):
        try:
            add(make(row) if lineage is None else make(row, lineage[number]))
        except Exception as error:  # noqa: PERF203 - bad rows are refused one by one
            if isinstance(error, MemoryError):
                raise
            refused.append((number, maker.explain(row, error)))
    return MadeRecords(records, refused)

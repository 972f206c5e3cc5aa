"""ReadFromText: lines of text files, each with its place in its file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.io.lines.file_head import FileHead, HeadReader
from beam_obs.io.lines.line_encoding import line_encoding
from beam_obs.io.lines.parsed_lines import LineParser, MadeRecords
from beam_obs.io.lines.read_lines import RecordFormat
from beam_obs.io.lines.text_lines import TextParser
from beam_obs.io.reads.file_read import FileRead
from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_number
from beam_obs.records.lineage_attributes import LINEAGE_FIELD, LineageAttributes
from beam_obs.wrapper.redaction import Redact


class ReadFromText(FileRead):
    """Reads text files line by line, as `beam.io.ReadFromText` does.

    A line that is not text in the encoding becomes a dead letter with its bytes, file and offset;
    where dead letters have no home it fails the job.

    Args:
      file_pattern: path or pattern on any Beam filesystem.
      min_bundle_size: bytes; no range to begin with is smaller.
      compression_type: one of Beam's `CompressionTypes`; by the file's extension by default.
        Compressed files are not split.
      strip_trailing_newlines: whether lines leave without their newlines.
      coder: not supported, give `encoding`.
      validate: whether a pattern that finds nothing is an error when the pipeline is built.
      skip_header_lines: lines to leave out at the start of each file.
      delimiter: bytes between lines instead of newlines; must not overlap with itself.
      escapechar: not supported.
      encoding: any text encoding of Python's in which lines can be found. A byte order mark is left
        out; UTF-16 and UTF-32 are not split.
      desired_bundle_size: bytes of the ranges to begin with; a runner may split them further.
      stamp: whether each line becomes ``{"line": str, "_lineage": {...}}``.
      on_bad_file: ``"dead_letter"`` or ``"fail"``, for compressed files that are damaged: what stood
        before the damage is read in either case.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: if given, refused lines are left out of the dead letters: they have no fields.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: an argument is not supported.
      NoFilesFound: the pattern finds nothing.

    >>> import apache_beam as beam, pathlib
    >>> import beam_obs as obs
    >>> _ = pathlib.Path("greetings.txt").write_bytes(b"hello\\n\\xff\\xfe\\n")
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     lines, dead = p | obs.ReadFromText("greetings.txt").with_dead_letters()
    ...     _ = lines | "lines" >> beam.Map(print)
    ...     _ = dead | "dead" >> beam.Map(lambda letter: print(letter.position, letter.payload))
    hello
    6 b'\\xff\\xfe'
    """

    def __init__(
        self,
        file_pattern: Any,
        min_bundle_size: int = 0,
        compression_type: str = CompressionTypes.AUTO,
        strip_trailing_newlines: bool = True,
        coder: Any = None,
        validate: bool = True,
        skip_header_lines: int = 0,
        delimiter: bytes | None = None,
        escapechar: bytes | None = None,
        *,
        encoding: str = "utf-8",
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
        if coder is not None:
            raise UsageError("obs.ReadFromText has no coder=: give encoding= for another encoding than UTF-8")
        if escapechar is not None:
            raise UsageError(
                "obs.ReadFromText has no escapechar=; use beam.io.ReadFromText where delimiters are escaped"
            )
        given_number(skip_header_lines, "skip_header_lines")
        if delimiter is not None:
            if not isinstance(delimiter, bytes) or not delimiter:
                raise UsageError(f"delimiter={delimiter!r}: give bytes, at least one")
            if any(delimiter.startswith(delimiter[cut:]) for cut in range(1, len(delimiter))):
                raise UsageError(
                    f"delimiter={delimiter!r} overlaps with itself, so lines cannot be told apart"
                )
        self._splittable = line_encoding(encoding, delimiter=delimiter)[0].splittable
        self._text = _TextFormat(encoding, delimiter, skip_header_lines, strip_trailing_newlines)

    def _format(self) -> RecordFormat:
        return self._text

    def _can_split(self) -> bool:
        return self._splittable

    def _element_type(self) -> Any:
        return dict[str, Any] if self.stamps_lineage else str


class _TextFormat(RecordFormat):
    def __init__(self, encoding: str, delimiter: bytes | None, skip_lines: int, strips: bool) -> None:
        self._heads = HeadReader(encoding, delimiter, skip_lines)
        self._strips = strips

    @property
    def heads(self) -> HeadReader:
        return self._heads

    def parser(self, head: FileHead) -> LineParser:
        return TextParser(head.encoding, self._strips)

    def records(
        self, rows: list[Any], head: FileHead, lineage: Sequence[LineageAttributes] | None
    ) -> MadeRecords:
        if lineage is None:
            return MadeRecords(rows)
        return MadeRecords(
            [
                {"line": line, LINEAGE_FIELD: attributes}
                for line, attributes in zip(rows, lineage, strict=True)
            ]
        )

"""The start of a file: byte order mark, lines to skip, header; and where its records begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from apache_beam.io.filesystem import CompressionTypes

from beam_obs.files.decompression import open_stream
from beam_obs.files.found_files import FoundFile
from beam_obs.io.lines.csv_rows import CsvDialect, parse_header
from beam_obs.io.lines.line_encoding import LineEncoding, line_encoding, other_encoding
from beam_obs.io.lines.other_formats import HEAD_BYTES, other_format
from beam_obs.records.bad_input import (
    BadFile,
    DamagedCompression,
    DuplicateColumns,
    EmptyFile,
    NotText,
    WrongHeader,
)

_HEAD_BYTES = 1 << 14
_LONGEST_HEADER = 1 << 24
_LOOKED_AT = 64
_SHOWN = 20


class FileHead(NamedTuple):
    """What the start of a file says.

    Args:
      encoding: how its lines lie.
      start: byte offset of the first record, of compressed files in what they hold.
      columns: names in the header, or those given for files without one; empty for a text.
      problem: why the file is refused, or None.
      raw: the header line's bytes, for the dead letter of a refused file.
      header: byte offset of the header line; None where there is none.
    """

    encoding: LineEncoding
    start: int
    columns: tuple[str, ...] = ()
    problem: BadFile | None = None
    raw: bytes = b""
    header: int | None = None

    @property
    def places(self) -> dict[str, int | None]:
        """What a manifest tells of it: where the header begins, and the first record."""
        return {"header": self.header, "first": self.start}


class HeadReader:
    """Reads the starts of text files.

    Args:
      encoding: name of the encoding.
      delimiter: bytes between lines, or None for newlines.
      skip_lines: lines to leave out.
    """

    def __init__(self, encoding: str, delimiter: bytes | None = None, skip_lines: int = 0) -> None:
        self._encoding = encoding
        self._delimiter = delimiter
        self._skip_lines = skip_lines

    def read(self, file: FoundFile) -> FileHead:
        """Returns the head of `file`."""
        stream = open_stream(file.location, file.compression)
        try:
            return self._read(_Growing(stream), file)
        finally:
            stream.close()

    def _read(self, data: _Growing, file: FoundFile) -> FileHead:
        encoding, start = line_encoding(self._encoding, data.at_least(4), self._delimiter)
        if self._delimiter is None:
            problem = _no_such_text(encoding, data, file)
            if problem is not None:
                return FileHead(encoding, start, (), problem, data.bytes[:_HEAD_BYTES])
        return FileHead(encoding, self._behind_skipped_lines(data, encoding, start))

    def _behind_skipped_lines(self, data: _Growing, encoding: LineEncoding, start: int) -> int:
        """Returns where the lines end that are left out; they may hold anything."""
        for _ in range(self._skip_lines):
            start = data.end_of_any_line(encoding, start)
        return start


class CsvHeadReader(HeadReader):
    """Reads the headers of CSV files.

    Args:
      encoding: name of the encoding.
      dialect: how fields are set apart.
      has_header: whether files have a header line.
      columns: names that a header must have, or the names for files without one; None for any.
      needed: columns that a header must have among others.
      multiline: whether a quoted name may hold a newline.
      skip_lines: lines to leave out before the header, or before the first row.
      numbers_unnamed: whether columns without a name are named by their places, not refused.
    """

    def __init__(
        self,
        encoding: str,
        dialect: CsvDialect,
        has_header: bool,
        columns: tuple[str, ...] | None,
        needed: tuple[str, ...] = (),
        multiline: bool = False,
        skip_lines: int = 0,
        numbers_unnamed: bool = True,
    ) -> None:
        super().__init__(encoding, skip_lines=skip_lines)
        self._numbers_unnamed = numbers_unnamed
        self._multiline = multiline
        self._dialect = dialect
        self._has_header = has_header
        self.columns = columns
        self._needed = needed

    def _read(self, data: _Growing, file: FoundFile) -> FileHead:
        encoding, start = line_encoding(self._encoding, data.at_least(4))
        problem = _no_such_text(encoding, data, file)
        if problem is not None:
            return FileHead(encoding, start, (), problem, data.bytes[:_HEAD_BYTES])
        raw = b""
        try:
            begin = end = start = self._behind_skipped_lines(data, encoding, start)
            if not self._has_header:
                return FileHead(encoding, start, self.columns or ())
            while not raw:
                begin, end = end, data.end_of_line(encoding, end)
                if end == begin:
                    return FileHead(encoding, start, (), self._without_header(file))
                raw = _without_end(data.bytes[begin:end], encoding)
        except DamagedCompression as error:
            return FileHead(encoding, start, (), error, data.bytes[start : start + _HEAD_BYTES])
        try:
            lines = [self._line(data.bytes[begin:end], encoding, file)]
            columns = self._parsed(lines, file)
            while columns is None and self._multiline:
                line_start, end = end, data.end_of_line(encoding, end)
                if end == line_start or end - begin > _LONGEST_HEADER:
                    break
                lines.append(self._line(data.bytes[line_start:end], encoding, file))
                if self._dialect.may_close_quotes(lines[-1]):
                    columns = self._parsed(lines, file)
            raw = _without_end(data.bytes[begin:end], encoding)
            if columns is None:
                hint = (
                    "" if self._multiline else ", or it goes on in the next line, as multiline=True reads it"
                )
                raise WrongHeader(f"{file.path}: a quote in the header is not closed{hint}")
            columns = self._named(columns, file)
            self._check(columns, file)
        except BadFile as error:
            return FileHead(encoding, end, (), error, raw[:_LONGEST_HEADER], begin)
        return FileHead(encoding, end, columns, None, raw, begin)

    def _without_header(self, file: FoundFile) -> EmptyFile:
        if not self._skip_lines:
            return EmptyFile(f"{file.path} is empty: it has no header")
        lines = "line" if self._skip_lines == 1 else f"{self._skip_lines:,} lines"
        return EmptyFile(f"{file.path} has no header behind the {lines} that skip_lines= leaves out")

    def _named(self, columns: tuple[str, ...], file: FoundFile) -> tuple[str, ...]:
        """Returns the columns with names for those that have none."""
        unnamed = [number for number, name in enumerate(columns, 1) if not name]
        if not unnamed:
            return columns
        if not self._numbers_unnamed:
            what = "column" if len(unnamed) == 1 else "columns"
            shown = ", ".join(map(str, unnamed[:_SHOWN])) + (" ..." if len(unnamed) > _SHOWN else "")
            raise WrongHeader(
                f"{file.path}: the header has no name for {what} {shown} of {len(columns)}; "
                'unnamed_columns="number" names them by their places'
            )
        return tuple(name or f"_{number}" for number, name in enumerate(columns, 1))

    def _parsed(self, lines: list[str], file: FoundFile) -> tuple[str, ...] | None:
        """Returns the columns in the lines of a header; None where it goes on."""
        try:
            return parse_header(lines, self._dialect)
        except Exception as error:
            raise WrongHeader(f"{file.path}: the header is not CSV: {error}") from None

    def _line(self, whole: bytes, encoding: LineEncoding, file: FoundFile) -> str:
        """Returns a line of a header as text, with its end."""
        raw = _without_end(whole, encoding)
        if b"\r" not in raw and len(raw) > _LONGEST_HEADER:
            raise WrongHeader(f"{file.path} does not begin with a header: its first line is too long for one")
        if b"\0" in raw and encoding.width == 1:
            raise WrongHeader(f"{file.path} does not begin with a header: its first line holds NUL bytes")
        try:
            line = raw.decode(encoding.codec)
        except UnicodeDecodeError as error:
            raise WrongHeader(f"{file.path}: the header is not {encoding.codec}: {error.reason}") from None
        if "\r" in line:
            raise WrongHeader(
                f"{file.path}: lines end with a carriage return alone, which is not supported; "
                "end them with a newline"
            )
        return whole.decode(encoding.codec)

    def _check(self, columns: tuple[str, ...], file: FoundFile) -> None:
        DuplicateColumns.check(file.path, columns, "in its header")
        expected = self.columns if self.columns is not None else file.expected_columns
        if expected is not None:
            check_columns(file.path, columns, expected)
        else:
            check_columns(
                file.path, columns, (*self._needed, *(name for name in columns if name not in self._needed))
            )


def check_columns(path: str, found: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """Raises `WrongHeader` where the names differ; their order may.

    >>> check_columns("a.csv", ("x", "z"), ("x", "y"))
    Traceback (most recent call last):
    ...
    beam_obs.WrongHeader: a.csv has another header than expected: missing 'y'; not expected 'z'
    """
    missing = tuple(name for name in expected if name not in found)
    extra = tuple(name for name in found if name not in expected)
    if missing or extra:
        parts = [
            f"{what} {', '.join(map(repr, names[:_SHOWN]))}{' ...' if len(names) > _SHOWN else ''}"
            for what, names in (("missing", missing), ("not expected", extra))
            if names
        ]
        raise WrongHeader(f"{path} has another header than expected: {'; '.join(parts)}", missing, extra)


def first_header(files: list[FoundFile], read: Callable[[FoundFile], FileHead]) -> tuple[str, ...] | None:
    """Returns the columns of the first file that has a header, or None."""
    for file in files:
        try:
            columns = read(file).columns
        except BadFile:
            continue
        if columns:
            return columns
    return None


def _without_end(line: bytes, encoding: LineEncoding) -> bytes:
    return encoding.without_line_end(line.removesuffix(encoding.delimiter))


def _no_such_text(encoding: LineEncoding, data: _Growing, file: FoundFile) -> BadFile | None:
    """Returns what is wrong with a file whose first bytes are no text, or of another encoding."""
    if encoding.width == 1:
        is_unpacked = file.compression != CompressionTypes.UNCOMPRESSED
        found = other_format(data.bytes[:HEAD_BYTES], is_unpacked)
        if found is not None:
            return NotText(f"{file.path} is no text but {found}", found)
    other = other_encoding(encoding.codec, data.bytes[:_LOOKED_AT])
    if other is None:
        return None
    return WrongHeader(
        f'{file.path} is not {encoding.codec}, its first bytes are those of {other}: give encoding="{other}"'
    )


class _Growing:
    """The first bytes of a stream, more of them as they are asked for."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._ended = False
        self.bytes = b""

    def at_least(self, size: int) -> bytes:
        while len(self.bytes) < size and self._grow():
            pass
        return self.bytes

    def end_of_line(self, encoding: LineEncoding, start: int) -> int:
        """Returns where the line at `start` ends, or where it is long enough to tell that it is no header:
        behind a carriage return within it."""
        looked_at = start
        while True:
            end = encoding.end_of_line(self.bytes, looked_at)
            is_torn = not end and encoding.width == 1 and self.bytes.find(b"\r", looked_at, -1) >= 0
            if end or is_torn or len(self.bytes) - start > _LONGEST_HEADER:
                return end or len(self.bytes)
            looked_at = max(start, len(self.bytes) - len(encoding.delimiter))
            if not self._grow():
                return len(self.bytes)

    def end_of_any_line(self, encoding: LineEncoding, start: int) -> int:
        """Returns where the line at `start` ends, whatever it holds; the file's end where nothing ends it."""
        looked_at = start
        while not (end := encoding.end_of_line(self.bytes, looked_at)):
            looked_at = max(start, len(self.bytes) - len(encoding.delimiter))
            if not self._grow():
                return len(self.bytes)
        return end

    def _grow(self) -> bool:
        try:
            part = b"" if self._ended else self._stream.read(max(_HEAD_BYTES, len(self.bytes)))
        except DamagedCompression:
            if not self.bytes:
                raise
            part = b""
        self._ended = not part
        self.bytes += part
        return not self._ended

"""The start of a file: byte order mark, lines to skip, header; and where its records begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from beam_obs.io.bad_input import BadFile, DamagedCompression, EmptyFile, WrongHeader
from beam_obs.io.csv_rows import CsvDialect, parse_header
from beam_obs.io.decompression import open_stream
from beam_obs.io.found_files import FoundFile
from beam_obs.io.line_encoding import LineEncoding, line_encoding, other_encoding

_HEAD_BYTES = 1 << 14
_LONGEST_HEADER = 1 << 24
_LOOKED_AT = 64


class FileHead(NamedTuple):
    """What the start of a file says.

    Args:
      encoding: how its lines lie.
      start: byte offset of the first record, of compressed files in what they hold.
      columns: names in the header, or those given for files without one; empty for a text.
      problem: why the file is refused, or None.
      raw: the header line's bytes, for the dead letter of a refused file.
    """

    encoding: LineEncoding
    start: int
    columns: tuple[str, ...] = ()
    problem: BadFile | None = None
    raw: bytes = b""


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
            problem = _of_other_encoding(encoding, data, file)
            if problem is not None:
                return FileHead(encoding, start, (), problem, data.bytes[:_HEAD_BYTES])
        for _ in range(self._skip_lines):
            start = data.end_of_line(encoding, start)
        return FileHead(encoding, start)


class CsvHeadReader(HeadReader):
    """Reads the headers of CSV files.

    Args:
      encoding: name of the encoding.
      dialect: how fields are set apart.
      has_header: whether files have a header line.
      columns: names that a header must have, or the names for files without one; None for any.
      needed: columns that a header must have among others.
      multiline: whether a quoted name may hold a newline.
    """

    def __init__(
        self,
        encoding: str,
        dialect: CsvDialect,
        has_header: bool,
        columns: tuple[str, ...] | None,
        needed: tuple[str, ...] = (),
        multiline: bool = False,
    ) -> None:
        super().__init__(encoding)
        self._multiline = multiline
        self._dialect = dialect
        self._has_header = has_header
        self.columns = columns
        self._needed = needed

    def _read(self, data: _Growing, file: FoundFile) -> FileHead:
        encoding, start = line_encoding(self._encoding, data.at_least(4))
        problem: BadFile | None = _of_other_encoding(encoding, data, file)
        if problem is not None:
            return FileHead(encoding, start, (), problem, data.bytes[:_HEAD_BYTES])
        if not self._has_header:
            return FileHead(encoding, start, self.columns or ())
        raw = b""
        begin = end = start
        try:
            while not raw:
                begin, end = end, data.end_of_line(encoding, end)
                if end == begin:
                    return FileHead(encoding, start, (), EmptyFile(f"{file.path} is empty: it has no header"))
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
            self._check(columns, file)
        except BadFile as error:
            return FileHead(encoding, end, (), error, raw[:_LONGEST_HEADER])
        return FileHead(encoding, end, columns, None, raw)

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
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise WrongHeader(f"{file.path}: the header names {', '.join(map(repr, twice))} more than once")
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
    beam_obs.io.bad_input.WrongHeader: a.csv has another header than expected: missing 'y'; not expected 'z'
    """
    missing = tuple(name for name in expected if name not in found)
    extra = tuple(name for name in found if name not in expected)
    if missing or extra:
        parts = [
            f"{what} {', '.join(map(repr, names[:20]))}{' ...' if len(names) > 20 else ''}"
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


def _of_other_encoding(encoding: LineEncoding, data: _Growing, file: FoundFile) -> WrongHeader | None:
    """Returns what is wrong with a file whose first bytes are of another encoding than it is read in."""
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

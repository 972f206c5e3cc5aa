"""Rows of CSV in bulk, without losing good rows behind a bad one.

`csv.reader` over many lines is fast, but a quote that is never closed makes it take all that follows
for one field. So its rows are counted: as many rows as lines means that no row ran on. Where that does
not hold, or bytes are damaged, the block is read again line by line, and only bad rows are refused.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import operator
from typing import Any

from beam_obs.io.lines.line_encoding import LineEncoding
from beam_obs.io.lines.parsed_lines import BadLines, ParsedLines
from beam_obs.records.bad_input import BadInput, TornRow, UndecodableBytes
from beam_obs.records.errors import UsageError


@dataclasses.dataclass(frozen=True)
class CsvDialect:
    """How fields are set apart; the names are those of `csv.Dialect`."""

    delimiter: str = ","
    quotechar: str | None = '"'
    escapechar: str | None = None
    doublequote: bool = True
    skipinitialspace: bool = False
    quoting: int = csv.QUOTE_MINIMAL
    strict: bool = False

    def __post_init__(self) -> None:
        if self.quoting not in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE):
            raise UsageError(
                "quoting= is one of csv.QUOTE_MINIMAL, QUOTE_ALL and QUOTE_NONE when reading; "
                "give a typed record= to have values converted"
            )
        try:
            csv.reader((), **self.arguments)
        except (TypeError, ValueError, csv.Error) as error:
            raise UsageError(f"not a CSV dialect: {error}") from None

    @property
    def arguments(self) -> dict[str, Any]:
        """The dialect as arguments of `csv.reader`."""
        return dataclasses.asdict(self)

    @property
    def special(self) -> str:
        """Characters that make a line more than its text cut at each delimiter."""
        quote = "" if self.quoting == csv.QUOTE_NONE else self.quotechar or ""
        return quote + (self.escapechar or "") + "\r"

    def may_close_quotes(self, line: str) -> bool:
        """Returns whether a quoted field that goes on in a line may end in it."""
        return any(character in line for character in self.special.removesuffix("\r"))


class CsvParser:
    """Makes rows of blocks of lines.

    Args:
      encoding: how the lines lie.
      dialect: how fields are set apart.
      width: number of columns, or 0 to take rows of any width.
      multiline: whether a quoted field may hold a newline.
    """

    def __init__(
        self, encoding: LineEncoding, dialect: CsvDialect, width: int, multiline: bool = False
    ) -> None:
        self._encoding = encoding
        self._arguments = dialect.arguments
        self._delimiter = dialect.delimiter
        self._special = dialect.special
        # Where there is no quote, NUL stands for it: it makes a line suspicious as well.
        self._quote = "\0" if dialect.quoting == csv.QUOTE_NONE else dialect.quotechar or "\0"
        self._cuts_only = not dialect.skipinitialspace
        self._width = width
        self._multiline = multiline

    def parse(self, data: bytes, final: bool) -> ParsedLines:
        """Returns the rows of a block of whole lines."""
        try:
            text = data.decode(self._encoding.codec)
        except UnicodeDecodeError:
            text = None
        if text is None or "\0" in text:
            return self._rows_over_lines(data, final) if self._multiline else self._line_by_line(data)
        rows, lines = self._in_bulk(text)
        if rows is None:
            return self._rows_over_lines(data, final) if self._multiline else self._line_by_line(data)
        width = self._width
        if (width > 1 or "" not in lines) and not (set(map(len, rows)) - {width}):
            return ParsedLines(rows, None, [])
        return self._good_rows(rows, lines)

    def _in_bulk(self, text: str) -> tuple[list[list[str]] | None, list[str]]:
        """Returns one row for each line, or None where a row runs on; and the lines."""
        if "\r" in text:
            text = text.replace("\r\n", "\n").removesuffix("\r")
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        if self._cuts_only and not any(character in text for character in self._special):
            delimiter = self._delimiter
            rows = [line.split(delimiter) for line in lines]
            return None if _is_beyond_limit(text, rows) else rows, lines
        try:
            rows = list(csv.reader(itertools.chain(lines, ("",)), **self._arguments))
        except csv.Error:
            return None, lines
        if len(rows) != len(lines) + 1:
            return None, lines
        rows.pop()
        return rows, lines

    def _good_rows(self, rows: list[list[str]], lines: list[str]) -> ParsedLines:
        good, numbers, refused = [], [], []
        width = self._width
        for number, row in enumerate(rows):
            if not lines[number]:
                continue
            if len(row) == width or not width:
                good.append(row)
                numbers.append(number)
            else:
                refused.append(BadLines(number, 1, _wrong_width(row, width)))
        return ParsedLines(good, numbers, refused)

    def _line_by_line(self, data: bytes) -> ParsedLines:
        """Finds rows in a damaged block: lines that look sound in bulk, the others one by one."""
        raw_lines = _lines(self._encoding, data)
        sound, numbers, suspects = self._sorted_out(raw_lines)
        parsed = ParsedLines([], [], [])
        if sound:
            rows, lines = self._in_bulk("\n".join(sound) + "\n")
            if rows is None:
                numbers, suspects = [], list(range(len(raw_lines)))
            else:
                parsed = self._good_rows(rows, lines)
        good = [(numbers[at], row) for at, row in zip(parsed.line_numbers or (), parsed.records, strict=True)]
        refused = [bad._replace(line=numbers[bad.line]) for bad in parsed.refused]
        for number in suspects:
            row = self._row_of(raw_lines[number])
            if isinstance(row, BadInput):
                refused.append(BadLines(number, 1, row))
            elif row is not None:
                good.append((number, row))
        good.sort(key=operator.itemgetter(0))
        refused.sort(key=operator.itemgetter(0))
        return ParsedLines([row for _, row in good], [number for number, _ in good], refused)

    def _sorted_out(self, raw_lines: list[bytes]) -> tuple[list[str], list[int], list[int]]:
        """Returns the lines that look sound, their numbers, and the numbers of the others."""
        codec, quote = self._encoding.codec, self._quote
        sound, numbers, suspects = [], [], []
        for number, raw in enumerate(raw_lines):
            try:
                line = raw.decode(codec)
            except UnicodeDecodeError:
                suspects.append(number)
                continue
            if "\0" in line or (quote in line and line.count(quote) % 2):
                suspects.append(number)
            else:
                sound.append(line)
                numbers.append(number)
        return sound, numbers, suspects

    def _row_of(self, raw: bytes) -> list[str] | BadInput | None:
        try:
            line = self._encoding.without_line_end(raw).decode(self._encoding.codec)
        except UnicodeDecodeError as error:
            return undecodable(error, self._encoding)
        if not line:
            return None
        if "\0" in line:
            return _NUL
        try:
            rows = list(csv.reader((line, ""), **self._arguments))
        except csv.Error as error:
            return TornRow(f"not CSV: {error}", str(error))
        if len(rows) != 2:
            return _UNTERMINATED
        if self._width and len(rows[0]) != self._width:
            return _wrong_width(rows[0], self._width)
        return rows[0]

    def _rows_over_lines(self, data: bytes, final: bool) -> ParsedLines:
        """Finds rows of one or more lines. Of a row that is bad only the first line is refused, and the
        next line is tried as a row of its own: so a quote that was never closed costs one row. A row of
        several lines is read strictly, or such a quote would pair with the first of another row."""
        raw_lines = _lines(self._encoding, data)
        lines, damage = self._decoded(raw_lines)
        good: list[list[str]] = []
        numbers: list[int] = []
        refused: list[BadLines] = []
        at = 0
        reader, first = csv.reader(itertools.chain(lines, ("",)), **self._arguments), 0
        while at < len(lines):
            error: BadInput | None = None
            row: list[str] = []
            try:
                row = next(reader)
            except csv.Error as failure:
                error = TornRow(f"not CSV: {failure}", str(failure))
            end = first + reader.line_num
            if error is None and end > len(lines):
                if not final:
                    return ParsedLines(good, numbers, refused, len(raw_lines) - at)
                error = _UNTERMINATED
            if error is None and end > at + 1:
                error = self._loose_quote(lines[at:end])
            if error is None:
                damaged = next((damage[line] for line in range(at, end) if line in damage), None)
                error = damaged or (
                    _wrong_width(row, self._width)
                    if self._width and row and len(row) != self._width
                    else None
                )
            if error is None:
                if row:
                    good.append(row)
                    numbers.append(at)
                at = end
                continue
            refused.append(BadLines(at, 1, error))
            at += 1
            if at < end or isinstance(error, TornRow):
                reader, first = csv.reader(itertools.chain(lines[at:], ("",)), **self._arguments), at
        return ParsedLines(good, numbers, refused)

    def _loose_quote(self, lines: list[str]) -> BadInput | None:
        try:
            next(csv.reader(lines, **{**self._arguments, "strict": True}))
        except csv.Error as failure:
            return TornRow(f"a quote is not closed, or text follows it: {failure}", "quote not closed")
        return None

    def _decoded(self, raw_lines: list[bytes]) -> tuple[list[str], dict[int, BadInput]]:
        lines: list[str] = []
        damage: dict[int, BadInput] = {}
        for number, raw in enumerate(raw_lines):
            try:
                line = raw.decode(self._encoding.codec)
            except UnicodeDecodeError as error:
                damage[number] = undecodable(error, self._encoding)
                line = raw.decode(self._encoding.codec, "replace")
            if "\0" in line:
                damage[number] = _NUL
                line = line.replace("\0", " ")
            lines.append(line + "\n")
        return lines, damage


def parse_header(lines: list[str], dialect: CsvDialect) -> tuple[str, ...] | None:
    """Returns the column names in the lines of a header; None where a quote is not closed at their end.

    Args:
      lines: each with its end.
      dialect: how names are set apart. A header of several lines is read strictly, as a row of several is.

    Raises:
      csv.Error: they are no header.

    >>> parse_header(['id,"name\\n', 'or alias"\\n'], CsvDialect())
    ('id', 'name\\nor alias')
    """
    strict = dialect.strict or len(lines) > 1
    reader = csv.reader(itertools.chain(lines, ("",)), **{**dialect.arguments, "strict": strict})
    try:
        columns = next(reader)
    except csv.Error:
        if reader.line_num > len(lines):
            return None
        raise
    return tuple(columns) if reader.line_num <= len(lines) else None


def undecodable(error: UnicodeDecodeError, encoding: LineEncoding) -> UndecodableBytes:
    """Returns the error of a line whose bytes are not text."""
    found = error.object[error.start : error.start + 4].hex(" ")
    return UndecodableBytes(
        f"byte {error.start} of the line is not {encoding.codec}: {found} ({error.reason}); "
        "encoding= reads a file of another",
        error.reason,
    )


def _lines(encoding: LineEncoding, data: bytes) -> list[bytes]:
    lines = encoding.split(data)
    if not lines[-1]:
        lines.pop()
    return lines


def _is_beyond_limit(text: str, rows: list[list[str]]) -> bool:
    """Returns whether a field is longer than `csv.reader` takes it: such a row is refused whatever stands
    beside it."""
    limit = csv.field_size_limit()
    return len(text) > limit and any(len(field) > limit for row in rows for field in row)


def _wrong_width(row: list[str], width: int) -> TornRow:
    kind = "too few columns" if len(row) < width else "too many columns"
    return TornRow(f"{kind}: row has {len(row)}, header has {width}", kind)


_NUL = TornRow("row has NUL bytes", "NUL bytes")
_UNTERMINATED = TornRow("a quote is not closed on its line", "quote not closed")

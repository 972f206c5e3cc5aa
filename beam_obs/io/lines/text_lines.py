"""Lines of text in bulk; lines that are not text in the file's encoding are refused one by one."""

from __future__ import annotations

from beam_obs.io.lines.csv_rows import undecodable
from beam_obs.io.lines.line_encoding import LineEncoding
from beam_obs.io.lines.parsed_lines import BadLines, ParsedLines


class TextParser:
    """Makes texts of blocks of lines.

    Args:
      encoding: how the lines lie.
      strips: whether lines leave without their delimiters.
    """

    def __init__(self, encoding: LineEncoding, strips: bool = True) -> None:
        self._encoding = encoding
        self._delimiter = encoding.delimiter.decode(encoding.codec)
        self._strips = strips

    def parse(self, data: bytes, final: bool) -> ParsedLines:
        """Returns the lines of a block of whole lines."""
        try:
            text = data.decode(self._encoding.codec)
        except UnicodeDecodeError:
            return self._line_by_line(data)
        ends_whole = text.endswith(self._delimiter)
        if self._strips and self._encoding.strips_carriage_return and "\r" in text:
            text = text.replace("\r\n", "\n")
        lines = text.split(self._delimiter)
        last = lines.pop()
        if not self._strips:
            lines = [line + self._delimiter for line in lines]
        if not ends_whole:
            lines.append(last)
        return ParsedLines(lines, None, [])

    def _line_by_line(self, data: bytes) -> ParsedLines:
        encoding = self._encoding
        lines, numbers, refused = [], [], []
        raw_lines = encoding.split(data)
        last = len(raw_lines) - 1
        for number, raw in enumerate(raw_lines):
            if number == last and not raw:
                break
            whole = number < last
            kept = (
                (encoding.without_line_end(raw) if whole else raw)
                if self._strips
                else (raw + encoding.delimiter if whole else raw)
            )
            try:
                lines.append(kept.decode(encoding.codec))
            except UnicodeDecodeError as error:
                refused.append(BadLines(number, 1, undecodable(error, encoding)))
            else:
                numbers.append(number)
        return ParsedLines(lines, numbers, refused)

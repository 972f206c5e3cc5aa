"""Lines of text in blocks, as Beam's own source of text gives them one by one, and where each starts.

To find, claim and decode lines one by one is most of what a read costs. A block is claimed by the start of
its last line: a runner may split off what lies behind it, and no line is read twice or by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy
from apache_beam.coders import StrUtf8Coder

from beam_obs.beam_private import TextSource
from beam_obs.io.lines.line_reader import BLOCK_BYTES

_END = b"\n"


class TextBlock(NamedTuple):
    """Lines that lie one behind the other.

    Args:
      starts: where each of them starts, shape (n,).
      lines: as the source's coder decodes them.
    """

    starts: numpy.ndarray
    lines: list[Any]


def reads_in_blocks(source: Any) -> bool:
    """Returns whether a source is Beam's own of text, whose lines end as lines do."""
    return type(source) is TextSource and source._delimiter is None and source._escapechar is None


def text_blocks(source: Any, path: str, ranges: Any) -> Iterator[TextBlock]:
    """Gives the lines of a range of a file, those that Beam's `read_records` gives.

    Args:
      source: one that `reads_in_blocks`.
      path: of the file.
      ranges: the range tracker.
    """
    with source.open_file(path) as file:
        head = source.ReadBuffer(b"", 0)
        first = source._process_header(file, head)
        start = max(ranges.start_position(), first)
        held = head.data[head.position :]
        if start > first:
            # The line that a range starts in is of the range before, unless it starts just there.
            file.seek(start - 1)
            found = _behind_an_end(file)
            if found is None:
                return
            skipped, held = found
            start += skipped - 1
        for data in _whole_lines(file, held):
            starts = start + _starts(data)
            start += len(data)
            kept = _claimed(ranges, starts)
            if kept < len(starts):
                data = data[: starts[kept] - starts[0]]
            if kept:
                yield from _decoded(source, starts[:kept], data)
            if kept < len(starts):
                return


def _behind_an_end(file: Any) -> tuple[int, bytes] | None:
    """Returns how many bytes the rest of a line takes and what was read behind it; None if it is the last."""
    skipped = 0
    while part := file.read(BLOCK_BYTES):
        end = part.find(_END) + 1
        if end:
            return skipped + end, part[end:]
        skipped += len(part)
    return None


def _whole_lines(file: Any, held: bytes) -> Iterator[bytes]:
    """Gives the rest of a file in parts that end where lines do; the last line may have no end."""
    parts = [held]
    while part := file.read(BLOCK_BYTES):
        end = part.rfind(_END) + 1
        if end:
            yield b"".join((*parts, part[:end]))
            parts.clear()
        parts.append(part[end:])
    if rest := b"".join(parts):
        yield rest


def _starts(data: bytes) -> numpy.ndarray:
    """Returns where lines start in what holds some, shape (n,)."""
    (ends,) = numpy.nonzero(numpy.frombuffer(data, dtype=numpy.uint8) == _END[0])
    starts = numpy.zeros(len(ends) + 1, dtype=numpy.int64)
    numpy.add(ends, 1, out=starts[1:])
    return starts[:-1] if data.endswith(_END) else starts


def _claimed(ranges: Any, starts: numpy.ndarray) -> int:
    """Claims lines, and returns how many of them are of the range: those that start before it stops."""
    kept = int(numpy.searchsorted(starts, ranges.stop_position()))
    if kept == 0 or ranges.try_claim(int(starts[kept - 1])):
        return kept
    # A split came in between. What the range has now is kept from further ones; one that came before that is
    # seen in where it stops, and none comes later: a split lies behind what is kept and before the stop.
    kept = int(numpy.searchsorted(starts, ranges.stop_position()))
    if kept:
        ranges.set_current_position(int(starts[kept - 1]))
    return int(numpy.searchsorted(starts, ranges.stop_position()))


def _decoded(source: Any, starts: numpy.ndarray, data: bytes) -> Iterator[TextBlock]:
    """Gives the lines of some data; where one cannot be decoded those before it, and then the error."""
    strips = source._strip_trailing_newlines
    if type(source._coder) is StrUtf8Coder:
        try:
            yield TextBlock(starts, _lines(data.decode(), "\n", "\r", strips))
            return
        except UnicodeDecodeError:
            pass
    lines: list[Any] = []
    try:
        lines.extend(map(source._coder.decode, _lines(data, b"\n", b"\r", strips)))
    finally:
        yield TextBlock(starts[: len(lines)], lines)


def _lines(data: Any, end: Any, before_end: Any, strips: bool) -> list[Any]:
    """Returns the lines of some text or bytes.

    Args:
      data: the lines, the last with or without its end.
      end: what ends a line.
      before_end: what may stand before it, and is part of it.
      strips: whether lines are without their ends.

    >>> _lines("a\\r\\nb\\n\\rc\\r", "\\n", "\\r", True)
    ['a', 'b', '\\rc\\r']
    >>> _lines("a\\r\\nb", "\\n", "\\r", False)
    ['a\\r\\n', 'b']
    """
    lines: list[Any] = data.split(end)
    last = lines.pop()
    if not strips:
        lines = [line + end for line in lines]
    elif before_end in data:
        lines = [line.removesuffix(before_end) for line in lines]
    if last:
        lines.append(last)
    return lines

"""Whole lines of a range of a file, in large blocks.

A line belongs to the range in which its first byte lies, so any cut of a file into ranges gives each
line exactly once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from beam_obs.io.lines.line_encoding import LineEncoding
from beam_obs.records.bad_input import DamagedCompression, FileChanged

BLOCK_BYTES = 1 << 15
"""Read at a time: large enough that the work per block does not show, small enough that its objects stay
in the processor's cache and out of the garbage collector's older generations, which doubles the speed."""

_OVERRUN_BYTES = 1 << 13


class LineBlock(NamedTuple):
    """Some lines that lie one after another.

    Args:
      offset: of the first byte, in the file or in what a compressed file holds.
      data: the lines with their delimiters; only the last line of a file may lack it.
      final: whether nothing follows in the file.
    """

    offset: int
    data: bytes
    final: bool

    @property
    def end(self) -> int:
        """Offset of the first byte behind the block."""
        return self.offset + len(self.data)


class LineReader:
    """Reads the lines that start in [start, stop).

    Args:
      stream: an open file, at `start`'s first line if `start` is one (see `seek_first_line`).
      encoding: how its lines lie.
      start: offset of the first line.
      stop: where lines no longer belong to the range, or None for all.
      size: length of the file where known: what was added since is left alone.
      block_bytes: how much is read at a time.
    """

    def __init__(
        self,
        stream: Any,
        encoding: LineEncoding,
        start: int,
        stop: int | None = None,
        size: int | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._stream = stream
        self._encoding = encoding
        self._offset = start
        self._stop = stop
        self._size = size
        self._block_bytes = block_bytes
        self._pending = b""
        self._must_grow = False
        self._ended = False
        self.failure: DamagedCompression | None = None
        """What stopped the reading before the end; `rest` is then the line it cut."""

    @property
    def offset(self) -> int:
        """Offset of what was not given out yet."""
        return self._offset

    @property
    def rest(self) -> bytes:
        """The bytes of the line that was cut off."""
        return self._pending

    def skip(self, length: int) -> None:
        """Leaves out the first bytes; for streams that cannot seek, before the first block."""
        self._pending = self._read(b"", length)[length:] if length else b""
        self._offset += length

    def next_block(self) -> LineBlock | None:
        """Returns the next lines, or None at the end of the range."""
        if self._stop is not None and self._offset >= self._stop:
            return None
        if self._ended and self._must_grow:
            return None
        data = self._pending
        while True:
            goal = self._stop_of_reading(len(data))
            if not self._ended and (goal > len(data) or self._must_grow):
                data = self._read(data, goal)
            end = self._whole_lines(data)
            self._must_grow = False
            if end or self._ended:
                break
            self._must_grow = True
        self._pending = data[end:]
        if end == 0:
            return None
        block = LineBlock(
            self._offset, data[:end], self._ended and self.failure is None and not self._pending
        )
        self._offset += end
        return block

    def give_back(self, data: bytes) -> None:
        """Takes back the last bytes of the last block: the next block starts with them and goes further."""
        self._pending = data + self._pending
        self._offset -= len(data)
        self._must_grow = True

    def _stop_of_reading(self, held: int) -> int:
        if self._stop is None:
            return max(self._block_bytes, held)
        return min(self._block_bytes, self._stop - self._offset)

    def _read(self, data: bytes, goal: int) -> bytes:
        parts = [data]
        length = len(data)
        if goal <= length:
            passed = self._stop is not None and self._offset + length >= self._stop
            goal = length + max(_OVERRUN_BYTES if passed else self._block_bytes, length // 8)
        while length < goal and not self._ended:
            wanted = goal - length
            if self._size is not None:
                wanted = min(wanted, self._size - self._offset - length)
            part = b""
            if wanted > 0:
                try:
                    part = self._stream.read(wanted)
                except DamagedCompression as failure:
                    self.failure = failure
            if not part:
                self._ended = True
                if self._size is not None and self._offset + length < self._size:
                    raise FileChanged(
                        f"file ends at byte {self._offset + length}, but had {self._size} when it was found"
                    )
            parts.append(part)
            length += len(part)
        if self._size is not None and self._offset + length >= self._size:
            self._ended = True
        return b"".join(parts)

    def _whole_lines(self, data: bytes) -> int:
        """Returns the length of the lines in `data` that can be given out, 0 where more must be read."""
        all_there = self._ended and self.failure is None
        if self._stop is not None and self._offset + len(data) >= self._stop:
            return cut_at(self._encoding, data, self._stop - self._offset) or (len(data) if all_there else 0)
        return len(data) if all_there else self._encoding.end_of_last_line(data)


def cut_at(encoding: LineEncoding, data: bytes, stop: int) -> int:
    """Returns where the lines that start before `stop` end in `data`; 0 where they go on behind it."""
    if stop <= 0:
        return 0
    return encoding.end_of_line(data, max(0, stop - len(encoding.delimiter)))


def seek_first_line(stream: Any, encoding: LineEncoding, start: int, stop: int, size: int) -> int:
    """Moves an open file to the first line that starts in [start, stop).

    Args:
      stream: an open file that can seek.
      encoding: how its lines lie; a splittable one.
      start: not the start of the file.
      stop: where the search ends.
      size: length of the file.

    Returns:
      the offset of that line, or `stop` where none starts in the range.
    """
    position = max(0, start - len(encoding.delimiter))
    stream.seek(position)
    data = b""
    while position < stop and position + len(data) < size:
        part = stream.read(_OVERRUN_BYTES)
        if not part:
            break
        data += part
        end = encoding.end_of_line(data)
        if end:
            if position + end >= min(stop, size):
                break
            stream.seek(position + end)
            return position + end
        kept = len(encoding.delimiter) - 1
        position += len(data) - kept
        data = data[len(data) - kept :] if kept else b""
    return stop

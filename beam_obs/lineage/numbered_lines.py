"""Lines of a file by their number, without a look at each of those before."""

from __future__ import annotations

import bisect
import itertools

_STEP_BYTES = 1 << 16


class Lines:
    """The lines of what a file holds.

    Args:
      content: what it holds.

    >>> lines = Lines(b"a\\nbc\\nd")
    >>> lines.number_at(2), lines.line_at(2), lines.begins_at(3)
    (2, b'bc\\n', False)
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        starts = range(0, len(content), _STEP_BYTES)
        counts = (content.count(b"\n", at, at + _STEP_BYTES) for at in starts)
        self._before = [0, *itertools.accumulate(counts)]

    def number_at(self, position: int) -> int:
        """Returns the number, from 1, of the line that a byte is in."""
        step = min(position, len(self.content)) // _STEP_BYTES
        return 1 + self._before[step] + self.content.count(b"\n", step * _STEP_BYTES, position)

    def start_of(self, number: int) -> int | None:
        """Returns where a line begins; None where there are not so many."""
        step = max(0, bisect.bisect_left(self._before, number - 1) - 1)
        at = step * _STEP_BYTES
        for _ in range(number - 1 - self._before[step]):
            found = self.content.find(b"\n", at)
            if found < 0:
                return None
            at = found + 1
        return at if at < len(self.content) else None

    def line_at(self, position: int) -> bytes:
        """Returns what is from a byte to the end of its line."""
        end = self.content.find(b"\n", position)
        return self.content[position : len(self.content) if end < 0 else end + 1]

    def begins_at(self, position: int) -> bool:
        """Returns whether a line begins at a byte."""
        if position == 0 or (position == 3 and self.content.startswith(b"\xef\xbb\xbf")):
            return bool(self.content)
        return position < len(self.content) and self.content[position - 1 : position] == b"\n"


def count_lines(content: bytes) -> int:
    """Returns the number of lines; the last may lack its end.

    >>> count_lines(b"a\\nb"), count_lines(b"a\\n"), count_lines(b"")
    (2, 1, 0)
    """
    return content.count(b"\n") + (0 if content.endswith(b"\n") or not content else 1)


def start_of_line(content: bytes, number: int) -> int | None:
    """Returns where a line begins; None where there are not so many.

    >>> start_of_line(b"a\\nbc\\nd\\n", 3), start_of_line(b"a\\n", 2)
    (5, None)
    """
    at, left = 0, number - 1
    while left > 0:
        stop = at + _STEP_BYTES
        inside = content.count(b"\n", at, stop)
        if inside >= left:
            for _ in range(left):
                at = content.index(b"\n", at) + 1
            break
        left -= inside
        at = stop
        if at >= len(content):
            return None
    return at if at < len(content) else None

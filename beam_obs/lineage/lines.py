"""Lines of a file by their number, without a look at each of those before."""

from __future__ import annotations

_STEP_BYTES = 1 << 16


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

"""Sums of what passed a place in each window of event time.

Of a window there is the total alone, without cells: 40 bytes, which show a loss, a doubling and an exchange,
and name the record that differs where it is one. What is in no window that is known is not among them: sums
by window that come to less than those of the place do not say all.

Encoded, for each window: its start and its end, microseconds since 1970, how many elements, and the sums of
the halves of their origins (8 bytes each, big endian).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from beam_obs.records.origin import ORIGIN_BYTES
from beam_obs.records.origin_sums import (
    FEW,
    NOT_KNOWN,
    Total,
    negated,
    sum_of_totals,
    total_of,
)

MOST_WINDOWS = 1_000
"""Windows of which a bundle has sums; of the elements in others no window is known."""
_ROW = struct.Struct(">qqQQQ")
_NOTHING = Total(0, 0, 0)


class Window(NamedTuple):
    """A window of event time.

    Args:
      start: microseconds since 1970.
      end: the same; not in it.
    """

    start: int
    end: int

    @property
    def text(self) -> str:
        """The window as Beam prints it, seconds since 1970.

        >>> Window(0, 10_000_000).text
        '[0.0, 10.0)'
        """
        return f"[{self.start / 1e6}, {self.end / 1e6})"


class WindowSums:
    """Totals by window; those of two places are added and subtracted.

    >>> sums = WindowSums()
    >>> sums.add(Window(0, 10), total_of([b"a" * 16]))
    >>> sums.whole.number
    1
    """

    def __init__(self) -> None:
        self._totals: dict[Window, Total] = {}
        self._forgotten = _NOTHING

    def __bool__(self) -> bool:
        return bool(self._totals)

    def items(self) -> Iterator[tuple[Window, Total]]:
        """Gives windows and what is in them, in order of time."""
        yield from sorted(self._totals.items())

    def add(self, window: Window, total: Total) -> None:
        """Adds elements of a window, unless there are too many windows already."""
        before = self._totals.get(window)
        if before is not None:
            self._totals[window] = sum_of_totals([before, total])
        elif len(self._totals) < MOST_WINDOWS:
            self._totals[window] = total

    def merge(self, other: WindowSums, times: int = 1) -> None:
        """Adds what another place has, or takes it away where `times` is -1; of however many windows."""
        for window, total in other._totals.items():
            theirs = total if times > 0 else negated(total)
            self._totals[window] = sum_of_totals([self._totals.get(window, _NOTHING), theirs])
        forgotten = other._forgotten if times > 0 else negated(other._forgotten)
        self._forgotten = sum_of_totals([self._forgotten, forgotten])

    @property
    def whole(self) -> Total:
        """What all windows come to, those that are forgotten too."""
        return sum_of_totals([self._forgotten, *self._totals.values()])

    def ends(self) -> Iterator[int]:
        """Gives the end of each window, in no order."""
        return (window.end for window in self._totals)

    def forget(self, until: int) -> None:
        """Leaves nothing of windows that end by then, but what they come to as a part of the whole.

        >>> sums = WindowSums()
        >>> sums.add(Window(0, 10), total_of([b"a" * 16]))
        >>> sums.forget(10)
        >>> list(sums.items()), sums.whole.number
        ([], 1)
        """
        over = [self._totals.pop(window) for window in list(self._totals) if window.end <= until]
        self._forgotten = sum_of_totals([self._forgotten, *over])

    def encode(self) -> bytes:
        """Returns the sums as bytes, without what is forgotten."""
        return b"".join(_ROW.pack(*window, *total) for window, total in self.items())

    @classmethod
    def decode(cls, content: bytes) -> WindowSums:
        """Returns the sums that `encode` made bytes of.

        Raises:
          ValueError: it did not.
        """
        if len(content) % _ROW.size:
            raise ValueError("these are no sums by window")
        sums = cls()
        for start, end, *total in _ROW.iter_unpack(content):
            sums._totals[Window(start, end)] = Total(*total)
        return sums


def totals_by(ends: Sequence[int | None], origins: Sequence[bytes]) -> Iterator[tuple[int, Total]]:
    """Gives what origins come to by the end of their window.

    Args:
      ends: of the window of each origin; None where it is not known, which is left out.
      origins: of 16 bytes; others count as of an origin that is not known.
    """
    if len(origins) <= FEW:
        by_end: dict[int | None, list[bytes]] = {}
        for end, origin in zip(ends, origins, strict=True):
            by_end.setdefault(end, []).append(origin if len(origin) == ORIGIN_BYTES else NOT_KNOWN)
        yield from ((end, total_of(held)) for end, held in by_end.items() if end is not None)
        return
    import numpy as np

    joined = b"".join(origins)
    if len(joined) != ORIGIN_BYTES * len(origins):
        joined = b"".join(one if len(one) == ORIGIN_BYTES else NOT_KNOWN for one in origins)
    unknown = np.iinfo(np.int64).min
    known = np.array([unknown if end is None else end for end in ends], np.int64)
    windows, at = np.unique(known, return_inverse=True)
    words = np.frombuffer(joined, ">u8").astype(np.uint64)
    first, second = np.zeros(len(windows), np.uint64), np.zeros(len(windows), np.uint64)
    np.add.at(first, at, words[::2])
    np.add.at(second, at, words[1::2])
    numbers = np.bincount(at, minlength=len(windows))
    for end, *total in zip(windows.tolist(), numbers.tolist(), first.tolist(), second.tolist(), strict=True):
        if end != unknown:
            yield end, Total(*total)

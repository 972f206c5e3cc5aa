"""What a sketch keeps of many values: some of them, each with how many values it stands for.

Written so, instead of as the sketch's library does, it is read without that library: bytes that somebody
else wrote can make it crash. Form: the smallest and the largest value as doubles, little endian; then for
each weight its power of two (1 byte), how many values have it (4 bytes), and these values.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

RANK_ERROR = 0.0018
"""By how much a quantile's rank may be off, as a share of all values, 99 times in 100; of `SKETCH_SIZE`."""

SKETCH_SIZE = 1600
"""The k of a KLL sketch whose error is `RANK_ERROR`."""

_ENDS = struct.Struct("<dd")
_LEVEL = struct.Struct("<BI")
_LARGEST_POWER = 50
_MOST_OF_A_WEIGHT = 1 << 16


class WeightedValues(NamedTuple):
    """Values with weights.

    Args:
      min: the smallest of all values.
      max: the largest.
      levels: by power of two, the values that stand for as many.
    """

    min: float
    max: float
    levels: dict[int, NDArray[float64]]


def pack_weighted(smallest: float, largest: float, items: Iterable[tuple[float, int]]) -> bytes:
    """Returns the bytes of values with weights, which are powers of two.

    >>> read_weighted(pack_weighted(1.0, 9.0, [(1.0, 1), (5.0, 2)])).levels[1]
    array([5.])
    """
    levels: dict[int, list[float]] = {}
    for value, weight in items:
        levels.setdefault(weight.bit_length() - 1, []).append(value)
    parts = [
        _LEVEL.pack(power, len(values)) + struct.pack(f"<{len(values)}d", *values)
        for power, values in sorted(levels.items())
    ]
    return b"".join([_ENDS.pack(smallest, largest), *parts])


def read_weighted(data: bytes) -> WeightedValues:
    """Returns what `pack_weighted` wrote.

    Raises:
      ValueError: it did not write that.
    """
    import numpy as np

    if len(data) < _ENDS.size:
        raise ValueError("it has no ends")
    smallest, largest = _ENDS.unpack_from(data)
    levels: dict[int, NDArray[float64]] = {}
    at = _ENDS.size
    while at < len(data):
        if at + _LEVEL.size > len(data):
            raise ValueError("it is cut off")
        power, count = _LEVEL.unpack_from(data, at)
        at += _LEVEL.size
        if power > _LARGEST_POWER or power in levels or at + 8 * count > len(data):
            raise ValueError("a weight is wrong")
        levels[power] = np.frombuffer(data, "<f8", count, at)
        if not np.isfinite(levels[power]).all():
            raise ValueError("a value is no number")
        at += 8 * count
    if not (math.isfinite(smallest) and math.isfinite(largest)):
        raise ValueError("an end is no number")
    return WeightedValues(smallest, largest, levels)


class MergedValues:
    """Values with weights of many sketches, together.

    Where there are too many of one weight, every second of them, sorted, stands for the next: as in the
    sketches themselves, and of so many that the error does not grow by any that shows.
    """

    def __init__(self) -> None:
        self._min, self._max = math.inf, -math.inf
        self._levels: dict[int, NDArray[float64]] = {}
        self._turn = 0

    def add(self, values: WeightedValues) -> None:
        """Adds those of one sketch."""
        self._min, self._max = min(self._min, values.min), max(self._max, values.max)
        for power, found in values.levels.items():
            self._put(power, found)

    @property
    def is_exact(self) -> bool:
        """Whether all values that there were are there."""
        return not any(power and len(values) for power, values in self._levels.items())

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """Returns of each share the least value that so many of all values are at most.

        >>> merged = MergedValues()
        >>> merged.add(read_weighted(pack_weighted(1.0, 4.0, [(1.0, 1), (2.0, 1), (4.0, 2)])))
        >>> merged.quantiles([0, 0.5, 0.75, 1])
        [1.0, 2.0, 4.0, 4.0]
        """
        import numpy as np

        powers = [power for power, values in self._levels.items() if len(values)]
        if not powers:
            return []
        values = np.concatenate([self._levels[power] for power in powers])
        weights = np.concatenate([np.full(len(self._levels[power]), 2.0**power) for power in powers])
        order = np.argsort(values)
        until = np.cumsum(weights[order])
        found = []
        for share in shares:
            at = min(int(np.searchsorted(until, share * until[-1])), len(values) - 1)
            inner = float(values[order[at]])
            found.append(self._min if share <= 0 else self._max if share >= 1 else inner)
        return found

    def _put(self, power: int, values: NDArray[float64]) -> None:
        import numpy as np

        before = self._levels.get(power)
        together = values if before is None else np.concatenate([before, values])
        if len(together) > _MOST_OF_A_WEIGHT and power < _LARGEST_POWER:
            ordered = np.sort(together)
            even = len(ordered) // 2 * 2
            self._turn ^= 1
            self._levels[power] = ordered[even:]
            self._put(power + 1, ordered[self._turn : even : 2])
        else:
            self._levels[power] = together

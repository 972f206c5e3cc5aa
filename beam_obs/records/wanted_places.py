"""Which records of a source are wanted, where a part of it is read: by their places, or all of a file."""

from __future__ import annotations

from typing import NamedTuple

from beam_obs.records.block_position import INDEX_BITS
from beam_obs.records.origin import TOP_BIT, Partition

Ranges = tuple[tuple[int, int], ...]
"""Positions, each from one up to another that is not of it."""


class WantedPlaces(NamedTuple):
    """Records of one partition.

    Args:
      partition: which.
      ranges: their positions; none where all are wanted.
      origins: of the records, where their origins do not hold their positions whole: of files of blocks.

    >>> january = Partition("01.csv", "30453-c5f1")
    >>> wanted = WantedPlaces(january, ((100, 200),))
    >>> [wanted.holds(january.origin(position)) for position in (99, 100, 199, 200)]
    [False, True, True, False]
    """

    partition: Partition
    ranges: Ranges = ()
    origins: frozenset[bytes] = frozenset()

    def holds(self, origin: bytes) -> bool:
        """Returns whether the record of an origin is wanted."""
        if self.origins:
            return origin in self.origins
        if int.from_bytes(origin[:4], "big") & ~TOP_BIT != self.partition.code & ~TOP_BIT:
            return False
        if not self.ranges:
            return True
        position = self.partition.position_of(origin, self.ranges[-1][1])
        return position is not None and any(first <= position < stop for first, stop in self.ranges)

    def bytes_of(self, size: int) -> tuple[int, int]:
        """Returns the bytes of a file in which all of them begin, from one up to another.

        Args:
          size: of the file.
        """
        if not self.ranges:
            return 0, size
        first, last = self.ranges[0][0], self.ranges[-1][1] - 1
        if self.origins:
            first, last = first >> INDEX_BITS, last >> INDEX_BITS
        return min(first, size), min(last + 1, size)


def wanted_places(partition: Partition, ranges: Ranges, in_blocks: bool) -> WantedPlaces:
    """Returns records of a partition by their positions.

    Args:
      partition: which.
      ranges: sorted; none for all records.
      in_blocks: whether positions are of `beam_obs.records.block_position`.
    """
    if not (in_blocks and ranges):
        return WantedPlaces(partition, ranges)
    positions = [position for first, stop in ranges for position in range(first, stop)]
    return WantedPlaces(partition, ranges, frozenset(partition.origin_tuple(positions)))

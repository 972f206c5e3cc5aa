"""Positions of records in files of blocks: the block's byte offset and the record's index within it.

    position = (byte offset of the block << 24) + index

One number per record, since a block takes far more bytes than there are 16,777,216ths of its records:
an index beyond 24 bits runs into offsets at which no other block begins.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import NamedTuple

INDEX_BITS = 24


class BlockPosition(NamedTuple):
    """Where a record stands.

    Args:
      block: byte offset of its block in the file, of compressed files in what they hold.
      record: how many records of the block come before it.

    >>> BlockPosition(907, 12).number
    15216934924
    """

    block: int
    record: int

    @property
    def number(self) -> int:
        """The position as one number, as origins, dead letters and lineage attributes have it."""
        return (self.block << INDEX_BITS) + self.record


def block_position(number: int, blocks: Sequence[int] | None = None) -> BlockPosition:
    """Returns the place that a position stands for.

    Args:
      number: the position.
      blocks: the offsets of the file's blocks, sorted; needed only for blocks of more than 2^24 records.

    >>> block_position(BlockPosition(907, 12).number)
    BlockPosition(block=907, record=12)
    """
    block = number >> INDEX_BITS
    if blocks:
        block = blocks[max(0, bisect.bisect_right(blocks, block) - 1)]
    return BlockPosition(block, number - (block << INDEX_BITS))

"""Where the rows of a block of derivations begin and end, and which of them say that they are a sample.

Walks over the fields as the schema of `beam_obs.wrapper.traced_rows` has them, and makes no objects of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from beam_obs.lineage.row_files import Block, read_long


class RowSpan(NamedTuple):
    """A row within a block.

    Args:
      start: where it begins.
      end: where the next begins.
      complete: whether it names all contributors.
    """

    start: int
    end: int
    complete: bool


def row_spans(block: Block) -> Iterator[RowSpan]:
    """Gives the rows of a block of derivations, in their order."""
    data, at = block.data, 0
    for _ in range(block.count):
        start = at
        at += 16  # child
        for _ in range(3):  # kind, key_text, window
            size = data[at]
            if size < 0x80:
                at += 1 + (size >> 1)
            else:
                size, at = read_long(data, at)
                at += size
        for _ in range(3):  # pane, count, unknown
            while data[at] >= 0x80:
                at += 1
            at += 1
        while data[at]:  # sources
            items, at = _items(data, at)
            for _ in range(items):
                while data[at] >= 0x80:
                    at += 1
                at += 1
        complete = data[at + 2] == 1  # behind the end of sources, and more_sources
        at += 3
        while data[at]:  # positions
            items, at = _items(data, at)
            for _ in range(items):
                size, at = read_long(data, at + 4)
                at += size
        size, at = read_long(data, at + 1)  # origins
        at += size
        yield RowSpan(start, at, complete)


def _items(data: bytes, at: int) -> tuple[int, int]:
    items, at = read_long(data, at)
    if items < 0:
        _, at = read_long(data, at)
    return abs(items), at

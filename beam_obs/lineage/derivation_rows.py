"""Where the rows of a block of derivations begin and end, and which of them say that they are a sample.

Walks over the fields as the schema of `beam_obs.records.lineage_rows` has them, and makes no objects of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from beam_obs.records.avro_number import read_avro_long
from beam_obs.records.errors import BeamObsError
from beam_obs.store.row_files import Block

_Row = TypeVar("_Row")


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


class RowSources(NamedTuple):
    """What a row says of its contributors, but for their positions.

    Args:
      child: the aggregate.
      codes: of the partitions of its contributors, 4 bytes each; those of `origins` are left out.
      origins: contributors that are kept whole, 16 bytes each.
      is_open: whether there may be contributors of other partitions, or aggregates, that it does not name.
    """

    child: bytes
    codes: bytes
    origins: bytes
    is_open: bool


class DamagedRows(BeamObsError):
    """Rows of derivations do not have their form: what is behind them cannot be told from them."""

    def __init__(self) -> None:
        super().__init__("rows of derivations are damaged: they are not of the form that they have")


def row_sources(block: Block) -> Iterator[RowSources]:
    """Gives what each row of a block says of its contributors.

    Raises:
      DamagedRows: a row does not have its form.
    """
    return _whole(_row_sources(block))


def row_spans(block: Block) -> Iterator[RowSpan]:
    """Gives the rows of a block of derivations, in their order.

    Raises:
      DamagedRows: a row does not have its form.
    """
    return _whole(_row_spans(block))


def _whole(rows: Iterator[_Row]) -> Iterator[_Row]:
    try:
        yield from rows
    except (IndexError, ValueError, OverflowError):
        raise DamagedRows from None


def _row_sources(block: Block) -> Iterator[RowSources]:
    data, at = block.data, 0
    for _ in range(block.count):
        child = data[at : at + 16]
        at += 16
        for _ in range(3):  # kind, key_text, window
            size = data[at]
            if size < 0x80:
                at += 1 + (size >> 1)
            else:
                size, at = _size(data, at)
                at += size
        while data[at] >= 0x80:  # pane
            at += 1
        at += 1
        while data[at] >= 0x80:  # count
            at += 1
        at += 1
        is_open = data[at] > 0
        while data[at] >= 0x80:  # unknown
            at += 1
        at += 1
        codes = b""
        while data[at]:  # sources
            items, at = _items(data, at)
            for _ in range(items):
                code, at = read_avro_long(data, at)
                codes += code.to_bytes(4, "big")
                is_open = is_open or code == 0
        is_open = is_open or data[at + 1] == 1  # more_sources
        at += 3
        while data[at]:  # positions
            items, at = _items(data, at)
            for _ in range(items):
                codes += data[at : at + 4]
                size, at = _size(data, at + 4)
                at += size
        size, at = _size(data, at + 1)
        yield RowSources(child, codes, data[at : at + size], is_open)
        at += size


def _row_spans(block: Block) -> Iterator[RowSpan]:
    data, at = block.data, 0
    for _ in range(block.count):
        start = at
        at += 16  # child
        for _ in range(3):  # kind, key_text, window
            size = data[at]
            if size < 0x80:
                at += 1 + (size >> 1)
            else:
                size, at = _size(data, at)
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
                size, at = _size(data, at + 4)
                at += size
        size, at = _size(data, at + 1)  # origins
        at += size
        yield RowSpan(start, at, complete)


def _size(data: bytes, at: int) -> tuple[int, int]:
    size, at = read_avro_long(data, at)
    if not 0 <= size <= len(data) - at:  # going back would never end
        raise ValueError("a length beyond the data")
    return size, at


def _items(data: bytes, at: int) -> tuple[int, int]:
    items, at = read_avro_long(data, at)
    if items < 0:
        _, at = read_avro_long(data, at)
    return abs(items), at

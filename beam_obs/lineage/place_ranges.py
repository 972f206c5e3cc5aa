"""From lines or records of a source file, as a person names them, to the positions that origins have."""

from __future__ import annotations

from beam_obs.lineage.numbered_lines import count_lines
from beam_obs.lineage.positions import NoSuchPlace, blocks_of
from beam_obs.lineage.source_records import lines_of
from beam_obs.records.block_position import BlockPosition
from beam_obs.records.errors import UsageError
from beam_obs.records.number_text import counted
from beam_obs.records.wanted_places import Ranges
from beam_obs.store.source_partition import SourcePartition

_MOST_IN_BLOCKS = 1_000_000
"""Records of files of blocks, whose origins are handed to workers one by one."""


def ranges_of_numbers(partition: SourcePartition, first: int, last: int | None) -> Ranges:
    """Returns the positions of the records that begin in some lines; of files of blocks, of some records.

    Args:
      partition: the file as a run read it.
      first: number of the first, from 1.
      last: number of the last; None for all that follow.

    Raises:
      NoSuchPlace: the file has not so many.
      UsageError: its records have no places of their own, or they are too many.
      FileGone: it cannot be read.
    """
    if partition.positions == "bytes":
        return _of_lines(partition, first, last)
    if partition.positions == "blocks":
        return _in_blocks(partition, first, last)
    raise UsageError(
        f"{partition.uri}: the run knows of a record only which file it is of, so that lines cannot be told "
        "apart; give the file alone"
    )


def _of_lines(partition: SourcePartition, first: int, last: int | None) -> Ranges:
    lines = lines_of(str(partition.uri))
    start = lines.start_of(first)
    behind = len(lines.content) if last is None else lines.start_of(last + 1)
    if behind is None and last is not None and lines.start_of(last) is not None:
        behind = len(lines.content)
    if start is None or behind is None:
        missing = first if start is None else last
        raise NoSuchPlace(
            f"{partition.uri} has {counted(count_lines(lines.content), 'line')}, and no line {missing:,}"
        )
    return ((start, behind),)


def _in_blocks(partition: SourcePartition, first: int, last: int | None) -> Ranges:
    found: list[tuple[int, int]] = []
    before = 0
    for block in blocks_of(str(partition.uri), partition.records):
        begin, end = max(first - 1, before), min(before + block.records, last or before + block.records)
        if begin < end and block.is_one_place:
            found.append((BlockPosition(block.offset, 0).number, BlockPosition(block.offset, 1).number))
        elif begin < end:
            found.append(
                (
                    BlockPosition(block.offset, begin - before).number,
                    BlockPosition(block.offset, end - before).number,
                )
            )
        before += block.records
    if before < max(first, last or 0):
        missing = first if first > before else last
        raise NoSuchPlace(f"{partition.uri} has {counted(before, 'record')}, and no record {missing:,}")
    if sum(stop - start for start, stop in found) > _MOST_IN_BLOCKS:
        raise UsageError(
            f"{partition.uri}: more than {_MOST_IN_BLOCKS:,} of its records are asked for; give fewer, or "
            "the file alone for all of them"
        )
    return tuple(found)

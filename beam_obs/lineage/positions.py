"""From a place in a source file as a person names it, to the position that origins have."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from beam_obs.lineage.numbered_lines import count_lines
from beam_obs.lineage.opened_files import open_content, read_content
from beam_obs.lineage.source_records import gives_row_groups, lines_of, parquet_group_offsets
from beam_obs.records.avro_number import read_avro_long
from beam_obs.records.block_position import BlockPosition
from beam_obs.records.errors import BeamObsError, MissingExtra
from beam_obs.records.number_text import counted
from beam_obs.store.source_partition import SourcePartition

_MOST_SKIPPED = 100
_BLANK = re.compile(rb"^[ \t\r]*\n|^[ \t\r]+\Z", re.MULTILINE)
_OF_FRAMES = "the read keeps the file of a record, not its line: this is about all of the file"


class NoSuchPlace(BeamObsError):
    """A file has no such line or record.

    Args:
      message: what was asked and what there is.
    """


class Place(NamedTuple):
    """What a number in a file stands for.

    Args:
      positions: where its record may begin: of a line of a CSV file that lies within quotes, at that line,
        or where they were opened; none where the place belongs to no record.
      note: what is to be said about it.
      doubt: why it is not sure that a record begins there; empty where it is.
    """

    positions: tuple[int, ...]
    note: str = ""
    doubt: str = ""


def place_of_number(partition: SourcePartition, number: int) -> Place:
    """Returns the position of a line or record of a file.

    Args:
      partition: the file as a run read it.
      number: of the line, of a record in files of blocks; from 1.

    Raises:
      NoSuchPlace: the file has not so many.
      FileGone: it cannot be read.
    """
    assert partition.uri is not None
    if partition.positions == "files":
        return Place((0,), _OF_FRAMES if "pandas" in partition.kind.lower() else "the file is one record")
    if partition.positions == "blocks":
        return _place_in_blocks(partition.uri, number, partition.records)
    return _place_of_line(partition, number)


def why_no_record(partition: SourcePartition, position: int) -> str:
    """Returns why nothing begins at a position; nothing where something may.

    Raises:
      FileGone: the file cannot be read.
    """
    kind = partition.kind.lower()
    if partition.uri is None or partition.positions != "bytes" or "tfrecord" in kind:
        return ""
    lines = lines_of(partition.uri)
    if position >= len(lines.content):
        return f"{partition.uri} has {counted(len(lines.content), 'byte')}, and none at {position:,}"
    if not lines.begins_at(position):
        return f"no line begins at byte {position:,}: it is within line {lines.number_at(position):,}"
    return ""


def _place_of_line(partition: SourcePartition, number: int) -> Place:
    assert partition.uri is not None
    lines = lines_of(partition.uri)
    content, start = lines.content, lines.start_of(number)
    if start is None:
        raise NoSuchPlace(
            f"{partition.uri} has {counted(count_lines(content), 'line')}, and no line {number:,}"
        )
    line = lines.line_at(start)
    kind = partition.kind.lower()
    is_csv = "csv" in kind
    if (is_csv or "json" in kind) and not line.strip():
        return Place((), f"line {number:,} is blank: no record")
    if start == 0 and content.startswith(b"\xef\xbb\xbf"):
        start = 3
    what = _what_is_no_record(partition, content, start, number)
    if what:
        return Place((), f"line {number:,} is no record: {what}")
    doubt = ""
    if is_csv and b'"' in content:
        if partition.multiline is None:
            doubt = "the run does not tell whether its rows may take several lines"
        elif partition.multiline:
            doubt = "rows of the file may take several lines, and none is known to begin in this one"
    first = partition.first or 0
    if is_csv and partition.multiline is not False and content.count(b'"', first, start) % 2:
        inside, quotes = start, 1
        while inside > first and quotes % 2:
            line_before = content.rfind(b"\n", 0, inside - 1) + 1
            quotes += content.count(b'"', line_before, inside)
            inside = line_before
        if partition.multiline and not _is_one_row(content, inside, start):
            return Place((start,), doubt=doubt)
        begins = content.count(b"\n", 0, inside) + 1
        told = f"the line lies within quotes that were opened in line {begins:,}"
        return Place((start, inside), told, doubt)
    return Place((start,), doubt=doubt)


def _is_one_row(content: bytes, begin: int, within: int) -> bool:
    """Returns whether a row of CSV that begins at one byte goes on in the line at another."""
    end, quotes = begin, 0
    while end < len(content) and (end <= within or quotes % 2):
        next_line = content.find(b"\n", end) + 1 or len(content)
        quotes += content.count(b'"', end, next_line)
        end = next_line
    try:
        text = content[begin:end].decode("utf-8", "backslashreplace")
        return len(list(csv.reader(io.StringIO(text, newline=""), strict=True))) == 1
    except csv.Error:
        return False


def _what_is_no_record(partition: SourcePartition, content: bytes, start: int, number: int) -> str:
    """Returns what a line is that was left out at the start of a file; nothing where it may be a record."""
    if partition.first is not None:
        if start >= partition.first:
            return ""
        if partition.header is None:
            return "the read leaves out what stands before the first record"
        return "it is the file's header" if start >= partition.header else "it stands before the header"
    if number >= _MOST_SKIPPED:
        return ""
    is_csv = "csv" in partition.kind.lower()
    skipped = _skipped_lines(partition, content, is_csv or "json" in partition.kind.lower())
    if number > skipped:
        return ""
    what = f"one of the {skipped:,} that were skipped"
    if skipped == 1:
        what = "its header" if is_csv else "the one that was skipped"
    return f"the file has {skipped:,} more than were read; it is {what}"


def _skipped_lines(partition: SourcePartition, content: bytes, leaves_out_blanks: bool) -> int:
    """Returns how many lines at the start of a file were not read, by the count of those that were."""
    may_span = "csv" in partition.kind.lower() and partition.multiline is not False
    if partition.records is None or (may_span and b'"' in content):
        # Where quotes may hold line ends, records cannot be counted by lines.
        return 0
    lines = count_lines(content)
    if leaves_out_blanks:
        lines -= sum(1 for _ in _BLANK.finditer(content))
    extra = lines - partition.records - partition.dead
    return extra if 0 < extra < _MOST_SKIPPED else 0


class BlockOfRecords(NamedTuple):
    """A block of a file, or a row group.

    Args:
      offset: of its first byte, as positions have it.
      records: how many it has.
      is_one_place: whether the read gives all of them the same origin.
    """

    offset: int
    records: int
    is_one_place: bool = False


def blocks_of(uri: str, records: int | None) -> Iterator[BlockOfRecords]:
    """Gives the blocks of an Avro file, or the row groups of a Parquet file.

    Args:
      uri: the file.
      records: how many a run read of it.

    Raises:
      FileGone: it cannot be read.
      MissingExtra: it is a Parquet file, and pyarrow is not installed.
    """
    with open_content(uri) as stream:
        magic = stream.read(4)
    if magic == b"Obj\x01":
        from fastavro import block_reader

        content = read_content(uri)
        blocks: Any = block_reader(io.BytesIO(content))
        sync: bytes = blocks._header["sync"]
        at = content.index(sync) + len(sync)
        while at < len(content):
            count, behind = read_avro_long(content, at)
            size, behind = read_avro_long(content, behind)
            yield BlockOfRecords(at, count)
            at = behind + size + len(sync)
        return
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("Parquet", "parquet") from None
    with open_content(uri) as stream:
        metadata = pyarrow.parquet.ParquetFile(stream).metadata
    by_group = gives_row_groups(metadata, records)
    for group, offset in enumerate(parquet_group_offsets(metadata)):
        yield BlockOfRecords(offset, metadata.row_group(group).num_rows, by_group)


def _place_in_blocks(uri: str, number: int, records: int | None) -> Place:
    before = 0
    for block in blocks_of(uri, records):
        if number <= before + block.records:
            if block.is_one_place:
                of_rows = counted(block.records, "row")
                note = f"the read gives each row group an origin: record {number:,} is one of {of_rows}"
                return Place((BlockPosition(block.offset, 0).number,), note)
            return Place((BlockPosition(block.offset, number - 1 - before).number,))
        before += block.records
    raise NoSuchPlace(f"{uri} has {counted(before, 'record')}, and no record {number:,}")

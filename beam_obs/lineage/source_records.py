"""Records of sources, read again at the positions that their origins name, and verified."""

from __future__ import annotations

import dataclasses
import functools
import io
import itertools
import json
import struct
from typing import Any

from beam_obs.files.file_state import FileState
from beam_obs.lineage.numbered_lines import Lines
from beam_obs.lineage.opened_files import (
    FileGone,
    FileNotShown,
    as_it_is,
    content_before_damage,
    open_content,
    present_state,
    present_version,
    read_content,
)
from beam_obs.records.avro_number import read_avro_long
from beam_obs.records.block_position import block_position
from beam_obs.records.errors import MissingExtra
from beam_obs.records.number_text import counted
from beam_obs.store.source_partition import SourcePartition

VERIFIED, CHANGED, GONE, UNVERIFIED = "verified", "changed", "gone", "not verified"
NOT_SHOWN = "not shown"

_LONGEST_LINES = 1000
_LONGEST_LINE = 1 << 24


@dataclasses.dataclass(frozen=True)
class SourceRecord:
    """A record of a source, as it is there now.

    Args:
      state: `VERIFIED` where the file's version is the one that was read; `CHANGED`, `GONE`,
        `NOT_SHOWN` where the file may not be read, or `UNVERIFIED` where it cannot be told.
      note: what of it is to be said; empty where it is verified.
      text: the record for people; None where it was not read.
      line: 1-based number of its first line, in files of lines.
      header: that of a CSV file, where this is another line.
    """

    state: str
    note: str = ""
    text: str | None = None
    line: int | None = None
    header: str | None = None


def read_source_record(partition: SourcePartition, position: int | None) -> SourceRecord:
    """Returns the record at a position, read from the source as it is now.

    A record of a file that changed is not shown: it is not the one that was read.
    """
    uri = partition.uri
    if uri is None or position is None:
        what = f"the source {partition.source or partition.name!r} keeps no positions in files"
        return SourceRecord(UNVERIFIED, what)
    try:
        state = present_state(uri)
        if partition.changed_while_read:
            note = f"{uri} was written to while it was read: what was read of it is not known for sure"
            return SourceRecord(UNVERIFIED, note)
        version = present_version(uri, partition.version, state)
        if version is not None and version != partition.version:
            note = f"{uri} changed since: it was {partition.version}, and is {version}"
            return SourceRecord(CHANGED, note)
        record = _read(partition, uri, position, state)
        if present_state(uri) != state:
            return SourceRecord(CHANGED, f"{uri} was written to as it was read here")
    except FileNotShown as error:
        return SourceRecord(NOT_SHOWN, str(error))
    except (FileGone, MissingExtra) as error:
        return SourceRecord(GONE if isinstance(error, FileGone) else UNVERIFIED, str(error))
    except Exception as error:
        note = f"{uri} cannot be read at {position}: {type(error).__name__}: {error}"
        return SourceRecord(UNVERIFIED, note)
    if version is None:
        note = "the file is too large to be digested again; its size is the same"
        return dataclasses.replace(record, state=UNVERIFIED, note=note)
    return record


def _read(partition: SourcePartition, uri: str, position: int, state: FileState) -> SourceRecord:
    if partition.positions == "files":
        return SourceRecord(VERIFIED, text=f"the whole file, {counted(partition.size or 0, 'byte')}")
    if partition.positions == "blocks":
        value = _block_record(uri, position, partition.records, state)
        return SourceRecord(VERIFIED, text=json.dumps(value, ensure_ascii=False, default=str))
    if "tfrecord" in partition.kind.lower():
        return SourceRecord(VERIFIED, text=_tf_record(uri, position))
    if partition.positions == "bytes":
        return _line(partition, uri, position, state)
    return SourceRecord(UNVERIFIED, f"positions of the source {partition.source!r} are not in files")


# Lines.


def lines_of(uri: str, state: FileState | None = None) -> Lines:
    """Returns the lines of a file as it is now, read once for each state of it.

    Args:
      uri: the file.
      state: that it is in, where it was asked already.

    Raises:
      FileGone: it cannot be read.
    """
    return as_it_is(_lines_of, uri, state or present_state(uri))


@functools.lru_cache(maxsize=2)  # whole files; contributors are sorted by theirs
def _lines_of(uri: str, state: FileState) -> Lines:
    try:
        return Lines(read_content(uri))
    except FileGone as gone:
        content = content_before_damage(uri)
        if content is None:
            raise gone from None
        return Lines(content)


def _line(partition: SourcePartition, uri: str, position: int, state: FileState) -> SourceRecord:
    is_csv = "csv" in partition.kind.lower()
    lines = lines_of(uri, state)
    record = lines.line_at(position)
    spans = is_csv and partition.multiline is not False
    while spans and record.count(b'"') % 2 and record.count(b"\n") < _LONGEST_LINES:
        more = lines.line_at(position + len(record))
        if not more:
            break
        record += more
    header = _header(partition, lines) if is_csv and position > 0 else None
    return SourceRecord(VERIFIED, text=_text(record), line=lines.number_at(position), header=header)


def _header(partition: SourcePartition, lines: Lines) -> str | None:
    if partition.first is None:  # as an older release read it
        return _text(lines.line_at(0))
    if partition.header is None:
        return None
    return _text(lines.content[partition.header : partition.first])


def _text(line: bytes) -> str:
    return line.decode("utf-8-sig", "backslashreplace").rstrip("\r\n")


def _tf_record(uri: str, position: int) -> str:
    with open_content(uri) as stream:
        stream.seek(position)
        (size,) = struct.unpack("<Q", stream.read(8))
        stream.read(4)
        return stream.read(min(size, _LONGEST_LINE)).decode("utf-8", "backslashreplace")


# Blocks.


def _block_record(uri: str, position: int, records: int | None, state: FileState) -> Any:
    with open_content(uri) as stream:
        magic = stream.read(4)
    if magic == b"Obj\x01":
        return _avro_record(uri, position, state)
    if magic == b"PAR1":
        return _parquet_record(uri, position, records)
    raise ValueError("it is neither an Avro nor a Parquet file")


@functools.lru_cache(maxsize=16)
def _avro_header(uri: str, state: FileState) -> bytes:
    from fastavro import reader

    with open_content(uri) as stream:
        opened: Any = reader(stream)
        sync: bytes = opened._header["sync"]
        stream.seek(0)
        data = stream.read(1 << 16)
        while sync not in data and (part := stream.read(1 << 20)):
            data += part
    return data[: data.index(sync) + len(sync)]


def _avro_record(uri: str, position: int, state: FileState) -> Any:
    from fastavro import reader

    header = as_it_is(_avro_header, uri, state)
    block, index = block_position(position)
    with open_content(uri) as stream:
        stream.seek(block)
        data = stream.read(20)
        _, at = read_avro_long(data, 0)
        size, at = read_avro_long(data, at)
        stream.seek(block)
        segment = stream.read(at + size)
    one = io.BytesIO(b"".join((header, segment, header[-16:])))
    for value in itertools.islice(reader(one), index, index + 1):
        return value
    raise ValueError(f"the block has no record {index}")


def _parquet_record(uri: str, position: int, records: int | None) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("Parquet", "parquet") from None
    with open_content(uri) as stream:
        file = pyarrow.parquet.ParquetFile(stream)
        offsets = parquet_group_offsets(file.metadata)
        block, index = block_position(position, sorted(offsets))
        group = offsets.index(block)
        if gives_row_groups(file.metadata, records):
            return f"row group {group} of {counted(file.metadata.row_group(group).num_rows, 'row')}"
        for batch in file.iter_batches(1000, row_groups=[group], use_threads=False):
            if index < batch.num_rows:
                return batch.slice(index, 1).to_pylist()[0]
            index -= batch.num_rows
    raise ValueError("the row group has no such record")


def gives_row_groups(metadata: Any, records: int | None) -> bool:
    """Returns whether the records that were read of a Parquet file were its row groups, not its rows.

    Beam's own read gives them as tables first, and then their rows, which have the origin of their group.
    """
    return records is not None and records == metadata.num_row_groups != metadata.num_rows


def parquet_group_offsets(metadata: Any) -> list[int]:
    """Returns where the row groups of a file begin: where the first of their columns does."""
    offsets = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        begins = [
            offset
            for at in range(group.num_columns)
            for offset in (group.column(at).dictionary_page_offset, group.column(at).data_page_offset)
            if offset
        ]
        offsets.append(min(begins, default=4 + number))
    return offsets

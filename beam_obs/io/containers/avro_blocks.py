"""Blocks of an Avro container file, told apart by their sync marker alone.

A block is what stands between two sync markers, so that every range of a file, and a file with damaged
blocks, is cut in the same way: reading goes on at the next marker.
https://avro.apache.org/docs/1.12.0/specification/#object-container-files
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import fastavro
from fastavro.read import reader

from beam_obs.files.found_files import FoundFile
from beam_obs.io.containers.avro_one_by_one import one_by_one
from beam_obs.io.containers.read_containers import KEPT_BYTES, BlockValues, ContainerBlock, ContainerFormat
from beam_obs.records.avro_number import read_avro_long
from beam_obs.records.bad_input import CorruptBlock, DamagedCompression, FileChanged, NotAContainer
from beam_obs.records.errors import MissingExtra

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_READ_BYTES = 1 << 16
_LONGEST_HEADER = 1 << 26
_MOST_AT_A_TIME = 1 << 22
_RECORDS_AT_A_TIME = 1000


class AvroHead(NamedTuple):
    """The header of an Avro file.

    Args:
      header: its bytes, sync marker included.
      schema: of the records.
    """

    header: bytes
    schema: Any

    @property
    def sync(self) -> bytes:
        """The sync marker."""
        return self.header[-_SYNC_BYTES:]


class AvroFormat(ContainerFormat):
    """Avro container files."""

    def head(self, stream: Any, file: FoundFile) -> AvroHead:
        """Returns the header of a file.

        Raises:
          NotAContainer: there is none, or it cannot be read.
          MissingExtra: the file's codec needs a package that is not installed.
        """
        return read_head(stream, file.path)

    def open(self, stream: Any, file: FoundFile, head: AvroHead) -> AvroBlocks:
        """Returns the file's blocks."""
        return AvroBlocks(stream, head, file.size if file.is_splittable else None, file.path)


def read_head(stream: Any, path: str) -> AvroHead:
    """Returns the header that a stream begins with; the stream is then at any place behind it."""
    data = b""
    while True:
        part = stream.read(_READ_BYTES)
        data += part
        try:
            end = _header_end(data)
            break
        except _NeedsMore:
            if not part or len(data) > _LONGEST_HEADER:
                what = "is empty" if not data else "ends within its header"
                raise NotAContainer(f"{path} is no Avro file: it {what}", what) from None
        except ValueError as error:
            raise NotAContainer(f"{path} is no Avro file: {error}", str(error)) from None
    header = data[:end]
    try:
        opened = reader(io.BytesIO(header))
    except Exception as error:
        raise NotAContainer(
            f"{path}: the schema in its header cannot be read: {type(error).__name__}: {error}",
            type(error).__name__,
        ) from None
    if not knows_codec(opened.codec):
        raise NotAContainer(f"{path}: its codec {opened.codec!r} is not known", "codec")
    return AvroHead(header, opened.writer_schema)


class AvroBlocks:
    """The blocks of an open file.

    Args:
      stream: the open file.
      head: its header.
      size: its length, of a file that can be read from the middle; None else, and `stream` is then at
        its start.
      path: for messages.
    """

    def __init__(self, stream: Any, head: AvroHead, size: int | None, path: str) -> None:
        self._stream = stream
        self._head = head
        self._size = size
        self._path = path
        self._held = b""
        self._offset = 0
        self._ended = False
        self._damage: DamagedCompression | None = None

    def blocks(self, start: int, stop: int | None) -> Iterator[ContainerBlock]:
        """Gives the blocks that begin in [start, stop)."""
        self._seek(start)
        while stop is None or self._offset < stop:
            offset = self._offset
            segment, whole = self._next_segment()
            if not whole and self._damage is not None:
                raise self._damage
            if not whole and not segment:
                return
            yield ContainerBlock(
                offset,
                len(segment) + (_SYNC_BYTES if whole else 0),
                functools.partial(self._values, segment, whole),
                functools.partial(_start_of, segment),
            )

    def _seek(self, start: int) -> None:
        header = len(self._head.header)
        if self._size is None:
            while len(self._held) < header and not self._ended:
                self._grow(header)
            self._held, self._offset = self._held[header:], header
        elif start <= header:
            self._stream.seek(header)
            self._offset = header
        else:
            self._stream.seek(start - _SYNC_BYTES)
            self._offset = start - _SYNC_BYTES
            self._next_segment(kept=False)

    def _next_segment(self, kept: bool = True) -> tuple[bytes, bool]:
        """Returns the bytes up to the next sync marker or the end, and whether there is a marker.

        Args:
          kept: whether the bytes are asked for; else they are passed over.
        """
        sync = self._head.sync
        looked_at = 0
        wanted = 0
        while True:
            found = self._held.find(sync, looked_at)
            if found >= 0:
                segment = self._held[:found] if kept else b""
                self._offset += found + _SYNC_BYTES
                self._held = self._held[found + _SYNC_BYTES :]
                return segment, True
            looked_at = max(0, len(self._held) - _SYNC_BYTES + 1)
            if not kept:
                self._held, self._offset, looked_at = self._held[looked_at:], self._offset + looked_at, 0
            if self._ended:
                segment, self._held = self._held, b""
                self._offset += len(segment)
                return segment, False
            if kept and not wanted:
                wanted = _block_bytes(self._held)
            self._grow(min(max(_READ_BYTES, wanted + _SYNC_BYTES - len(self._held)), _MOST_AT_A_TIME))

    def _grow(self, length: int) -> None:
        parts, got = [self._held], 0
        while got < length and not self._ended:
            ask = length - got
            if self._size is not None:
                ask = min(ask, self._size - self._offset - len(self._held) - got)
            part = b""
            try:
                part = self._stream.read(ask) if ask > 0 else b""
            except DamagedCompression as damage:
                self._damage = damage
            if not part:
                self._ended = True
                if ask > 0 and self._size is not None:
                    raise FileChanged(
                        f"{self._path} is shorter than the {self._size} bytes it had when found"
                    )
            parts.append(part)
            got += len(part)
        self._held = b"".join(parts)

    def _values(self, segment: bytes, whole: bool) -> Iterator[BlockValues]:
        count = _checked(segment, whole)
        block = b"".join((self._head.header, segment, self._head.sync))
        done = 0
        values: list[Any] = []
        is_sound = True
        try:
            for value in reader(io.BytesIO(block)):
                values.append(value)
                if len(values) >= _RECORDS_AT_A_TIME:
                    done += len(values)
                    yield BlockValues(values)
                    values = []
        except Exception as error:
            if isinstance(error, MemoryError):
                raise
            is_sound = False
        if values:
            done += len(values)
            yield BlockValues(values)
        if not is_sound:
            for found in one_by_one(block, count, self._head.schema, done):
                done += len(found.values)
                yield found
        if done != count:
            raise CorruptBlock(f"the block has {done} records, and says {count}", "count")


class _NeedsMore(Exception):
    pass


def _checked(segment: bytes, whole: bool) -> int:
    """Returns how many records a block says it has; it must have as many bytes as it says."""
    if not whole:
        raise CorruptBlock(
            f"the file ends within a block: {len(segment)} bytes without a sync marker", "no sync marker"
        )
    try:
        count, at = _long(segment, 0)
        size, at = _long(segment, at)
    except (_NeedsMore, ValueError):
        raise CorruptBlock("there is no block between two sync markers", "no block") from None
    if count < 0 or size != len(segment) - at:
        raise CorruptBlock(
            f"the block says that it has {count} records in {size} bytes, but the next sync marker comes "
            f"after {len(segment) - at} bytes",
            "size",
        )
    return count


def _block_bytes(data: bytes) -> int:
    """How long the block at the start of `data` says it is; 0 where that cannot be told."""
    try:
        _, at = _long(data, 0)
        size, at = _long(data, at)
    except (_NeedsMore, ValueError):
        return 0
    return max(0, at + size)


def _header_end(data: bytes) -> int:
    if not _MAGIC.startswith(data[:4]):
        raise ValueError("it does not begin with Obj and a 1")
    at = 4
    while True:
        count, at = _long(data, at)
        if count == 0:
            break
        if count < 0:
            count = -count
            _, at = _long(data, at)
        for _ in range(2 * count):
            size, at = _long(data, at)
            at += size
            if size < 0 or size > _LONGEST_HEADER:
                raise ValueError("its header is damaged")
            if at > len(data):
                raise _NeedsMore
    if at + _SYNC_BYTES > len(data):
        raise _NeedsMore
    return at + _SYNC_BYTES


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Returns the zigzag number at `at`, and where it ends."""
    try:
        return read_avro_long(data, at)
    except IndexError:
        raise _NeedsMore from None


def _start_of(segment: bytes) -> bytes:
    return segment[:KEPT_BYTES]


def knows_codec(codec: str) -> bool:
    """Whether there is a codec of Avro's of this name.

    Raises:
      MissingExtra: there is, but a package is not installed that it needs.

    >>> knows_codec("deflate"), knows_codec("gzip")
    (True, False)
    """
    try:
        fastavro.writer(io.BytesIO(), "null", [None], codec=codec)
    except ValueError as error:
        if "install" in str(error):
            raise MissingExtra(f"Avro's codec {codec!r}", "avro") from None
        return False
    return True

"""Evidence files as blocks of bytes: inflated, searched as they are, parsed only where something is found.

An Avro container file is taken apart by hand, since parsing every row of a million takes seconds, and
inflating and searching them a tenth of one.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NamedTuple

from beam_obs.records.avro_number import read_avro_long

_MAGIC = b"Obj\x01"
_WORKERS = 4
_MANY_BYTES = 1 << 20
_MOST_TOGETHER = 64
_HEADER_BYTES = 1 << 14
_HEAD_BYTES = 20
_SYNC = 16
_LARGEST_BLOCK = 1 << 28
"""Bytes of a block that is not inflated: writers end one after some 64 kB, or behind its only row."""


class Block(NamedTuple):
    """The rows of a block.

    Args:
      count: how many there are.
      data: their bytes, one behind the other.
    """

    count: int  # type: ignore[assignment]
    data: bytes


class RowFile(NamedTuple):
    """An evidence file.

    Args:
      name: of the file.
      step: label of the step that wrote it; empty where the file does not say.
      metadata: of its header.
      blocks: its blocks; of a file that is not whole those before the break.
      problem: why it is not all that was written, as a sentence; empty where it is.
    """

    name: str
    step: str
    metadata: dict[str, bytes]
    blocks: tuple[Block, ...]
    problem: str = ""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(block.count for block in self.blocks)


def read_row_file(name: str, content: bytes) -> RowFile:
    """Returns an evidence file, as far as it can be read.

    Args:
      name: of the file.
      content: its bytes.
    """
    metadata, packed, problem = _taken_apart(content)
    if metadata.get("avro.codec", b"null") == b"deflate":
        inflated = _inflate_all([data for _, data in packed])
        blocks = tuple(
            Block(count, data) for (count, _), data in zip(packed, inflated, strict=True) if data is not None
        )
    else:
        blocks = tuple(Block(count, bytes(data)) for count, data in packed)
    if not problem and len(blocks) < len(packed):
        problem = "is damaged"
    step = metadata.get("beam_obs.step", b"").decode("utf-8", "replace")
    return RowFile(name, step, metadata, blocks, f"{name} {problem}" if problem else "")


class PackedBlock(NamedTuple):
    """A block as it stands in a file.

    Args:
      count: how many rows it has.
      at: where its bytes begin.
      size: how many they are.
    """

    count: int  # type: ignore[assignment]
    at: int
    size: int


class BlockFile:
    """An evidence file of which only those blocks are read that are wanted.

    Args:
      file: open for reading, at any place.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self.metadata, self._sync, self._first = self._read_header()

    def packed(self) -> list[PackedBlock]:
        """Returns the blocks, by their heads; of a file that is not whole those before the break."""
        return list(self._heads()) if len(self._sync) == _SYNC else []

    def inflated(self, packed: Iterable[PackedBlock]) -> Iterator[Block | None]:
        """Gives blocks inflated, in order, few of them at a time; None for each that cannot be."""
        is_deflated = self.metadata.get("avro.codec", b"null") == b"deflate"
        waiting = list(packed)
        done, together = 0, 1
        while done < len(waiting):
            some = waiting[done : done + together]
            data = [memoryview(self._bytes(block)) for block in some]
            inflated = _inflate_all(data) if is_deflated else [bytes(one) for one in data]
            for block, found in zip(some, inflated, strict=True):
                yield None if found is None else Block(block.count, found)
            # Whoever wants the first rows only need not wait for many, and many go to several processors.
            done, together = done + together, min(2 * together, _MOST_TOGETHER)

    def _bytes(self, block: PackedBlock) -> bytes:
        self._file.seek(block.at)
        return self._file.read(block.size)

    def _read_header(self) -> tuple[dict[str, bytes], bytes, int]:
        size = _HEADER_BYTES
        while True:
            self._file.seek(0)
            content = self._file.read(size)
            metadata, at = _header(content)
            if at < len(content) - _SYNC or len(content) < size or not content.startswith(_MAGIC):
                return metadata, content[at : at + _SYNC], at + _SYNC
            size *= 8

    def _heads(self) -> Iterator[PackedBlock]:
        self._file.seek(self._first)
        at, head = self._first, self._file.read(_HEAD_BYTES)
        while at < self._size:
            try:
                count, behind = read_avro_long(head, 0)
                size, behind = read_avro_long(head, behind)
            except (IndexError, ValueError):
                return
            end = at + behind + size
            if count < 0 or size < 0 or end > self._size:
                return
            self._file.seek(end)
            read = self._file.read(_SYNC + _HEAD_BYTES)
            if read[:_SYNC] != self._sync:
                return
            yield PackedBlock(count, at + behind, size)
            at, head = end + _SYNC, read[_SYNC:]


def read_metadata(content: bytes) -> dict[str, bytes]:
    """Returns what the header of a file says."""
    return _header(content)[0]


def _taken_apart(content: bytes) -> tuple[dict[str, bytes], list[tuple[int, memoryview]], str]:
    """Returns header, blocks as they are packed, and what is wrong with the file."""
    metadata, at = _header(content)
    sync = content[at : at + 16]
    if len(sync) < 16:
        return metadata, [], "is cut, or no Avro file"
    packed = list(_packed(content, at + 16, sync))
    end = packed[-1][2] if packed else at + 16
    problem = "" if end == len(content) else "is cut, or damaged"
    return metadata, [(count, data) for count, data, _ in packed], problem


def find_all(data: bytes, wanted: bytes) -> Iterator[int]:
    """Gives every place at which bytes are found."""
    at = data.find(wanted)
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)


def _header(content: bytes) -> tuple[dict[str, bytes], int]:
    metadata: dict[str, bytes] = {}
    if not content.startswith(_MAGIC):
        return metadata, len(content)
    try:
        at = 4
        while True:
            pairs, at = read_avro_long(content, at)
            if pairs == 0:
                return metadata, at
            if pairs < 0:
                _, at = read_avro_long(content, at)
            for _ in range(abs(pairs)):
                size, at = read_avro_long(content, at)
                key = content[at : at + _length(size)].decode()
                size, at = read_avro_long(content, at + size)
                metadata[key] = content[at : at + _length(size)]
                at += size
    except (IndexError, ValueError):
        return metadata, len(content)


def _length(size: int) -> int:
    if size < 0:  # going back would never end
        raise ValueError("a length below zero")
    return size


def _packed(content: bytes, at: int, sync: bytes) -> Iterator[tuple[int, memoryview, int]]:
    """Gives of each block the count of its rows, its bytes, and where it ends."""
    view = memoryview(content)
    try:
        while at < len(content):
            count, at = read_avro_long(content, at)
            size, at = read_avro_long(content, at)
            if content[at + _length(size) : at + size + 16] != sync or _length(count) < 0:
                return
            yield count, view[at : at + size], at + size + 16
            at += size + 16
    except (IndexError, ValueError):
        return


def _inflate_all(packed: list[memoryview]) -> list[bytes | None]:
    """Inflates blocks, of large files on several processors: zlib lets other threads run meanwhile."""
    if sum(map(len, packed)) < _MANY_BYTES:
        return [_inflate(data) for data in packed]
    found: list[bytes | None] = [None] * len(packed)

    def inflate_some(first: int) -> None:
        found[first::_WORKERS] = [_inflate(data) for data in packed[first::_WORKERS]]

    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(inflate_some, range(_WORKERS)))
    return found


def _inflate(data: memoryview) -> bytes | None:
    inflating = zlib.decompressobj(-15)
    try:
        found = inflating.decompress(data, _LARGEST_BLOCK)
    except zlib.error:
        return None
    return found if inflating.eof else None

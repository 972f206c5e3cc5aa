"""Evidence files as blocks of bytes: inflated, searched as they are, parsed only where something is found.

An Avro container file is taken apart by hand, since parsing every row of a million takes seconds, and
inflating and searching them a tenth of one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from beam_obs.records.avro_number import read_avro_long

_MAGIC = b"Obj\x01"
_WORKERS = 4
_MANY_BYTES = 1 << 20
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


def blocks_of(content: bytes) -> Iterator[Block | None]:
    """Gives the blocks of a file one by one; None for each that cannot be inflated."""
    metadata, packed, _ = _taken_apart(content)
    is_deflated = metadata.get("avro.codec", b"null") == b"deflate"
    for count, data in packed:
        inflated = _inflate(data) if is_deflated else bytes(data)
        yield None if inflated is None else Block(count, inflated)


def read_metadata(content: bytes) -> dict[str, bytes]:
    """Returns what the header of a file says."""
    return _header(content)[0]


def count_rows(content: bytes) -> int:
    """Returns how many rows a file says that it has, by the heads of its blocks."""
    return sum(count for count, _ in _taken_apart(content)[1])


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

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
    """

    name: str
    step: str
    metadata: dict[str, bytes]
    blocks: tuple[Block, ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(block.count for block in self.blocks)


def read_row_file(name: str, content: bytes) -> RowFile:
    """Returns an evidence file.

    Args:
      name: of the file.
      content: its bytes.
    """
    metadata, at = _header(content)
    codec = metadata.get("avro.codec", b"null")
    sync = content[at : at + 16]
    packed = list(_packed(content, at + 16, sync)) if len(sync) == 16 else []
    if codec == b"deflate":
        inflated = _inflate_all([data for _, data in packed])
        blocks = tuple(
            Block(count, data) for (count, _), data in zip(packed, inflated, strict=True) if data is not None
        )
    else:
        blocks = tuple(Block(count, bytes(data)) for count, data in packed)
    return RowFile(name, metadata.get("beam_obs.step", b"").decode("utf-8", "replace"), metadata, blocks)


def read_row_files(contents: list[tuple[str, bytes]]) -> list[RowFile]:
    """Returns evidence files, given as (name, content)."""
    return [read_row_file(name, content) for name, content in contents]


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
                key = content[at : at + size].decode()
                size, at = read_avro_long(content, at + size)
                metadata[key] = content[at : at + size]
                at += size
    except IndexError:
        return metadata, len(content)


def _packed(content: bytes, at: int, sync: bytes) -> Iterator[tuple[int, memoryview]]:
    view = memoryview(content)
    try:
        while at < len(content):
            count, at = read_avro_long(content, at)
            size, at = read_avro_long(content, at)
            if content[at + size : at + size + 16] != sync:
                return
            yield count, view[at : at + size]
            at += size + 16
    except IndexError:
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
    try:
        return zlib.decompress(data, -15)
    except zlib.error:
        return None

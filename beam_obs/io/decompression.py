"""Compressed files as a stream of what they hold, with damage found.

Beam's own reader takes a compressed file that ends too early for one that is complete.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any, Protocol

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_obs.io.bad_input import DamagedCompression
from beam_obs.records.errors import MissingExtra

_CHUNK_BYTES = 1 << 18


class ByteStream(Protocol):
    """What a read needs of an open file."""

    def read(self, size: int) -> bytes:
        """Returns up to `size` bytes or more, and nothing at the end only."""

    def close(self) -> None:
        """Closes the file."""


def open_stream(path: str, compression: str) -> Any:
    """Opens a file of any Beam filesystem.

    Args:
      path: the file.
      compression: one of Beam's `CompressionTypes`, not ``auto``.

    Returns:
      a `ByteStream`; uncompressed ones have `seek` too.
    """
    raw = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    if compression == CompressionTypes.UNCOMPRESSED:
        return raw
    return _Decompressed(raw, path, compression)


class _Decompressed:
    """The bytes inside a compressed file.

    Raises:
      DamagedCompression: from `read`, when all that could be read has been given.
    """

    def __init__(self, raw: Any, path: str, compression: str) -> None:
        self._raw = raw
        self._path = path
        self._compression = compression
        self._decompressor: Any = None
        self._compressed_bytes = 0
        self._failure: str | None = None

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        length = 0
        while length < size and self._failure is None:
            data = self._raw.read(_CHUNK_BYTES)
            if not data:
                if self._decompressor is not None and not self._decompressor_is_done():
                    self._failure = "ends too early"
                break
            self._compressed_bytes += len(data)
            part = self._decompress(data)
            parts.append(part)
            length += len(part)
        if length == 0 and self._failure is not None:
            raise DamagedCompression(
                f"{self._path}: {self._compression} data {self._failure}, after {self._compressed_bytes} "
                "bytes of the file; records before that were read",
                self._failure.split(":")[0],
            )
        return b"".join(parts)

    def close(self) -> None:
        self._raw.close()

    def _decompress(self, data: bytes) -> bytes:
        parts = []
        while data:
            if self._decompressor is None or self._decompressor_is_done():
                if self._decompressor is not None and not data.strip(b"\0"):
                    break
                self._decompressor = _new_decompressor(self._compression)
            try:
                parts.append(self._decompressor.decompress(data))
            except (zlib.error, OSError, ValueError, lzma.LZMAError, EOFError) as error:
                self._failure = f"is damaged: {error}"
                break
            except Exception as error:
                if type(error).__name__ != "ZstdError":
                    raise
                self._failure = f"is damaged: {error}"
                break
            data = self._decompressor.unused_data
        return b"".join(parts)

    def _decompressor_is_done(self) -> bool:
        return bool(getattr(self._decompressor, "eof", True))


def _new_decompressor(compression: str) -> Any:
    if compression == CompressionTypes.GZIP:
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    if compression == CompressionTypes.DEFLATE:
        return zlib.decompressobj()
    if compression == CompressionTypes.BZIP2:
        return bz2.BZ2Decompressor()
    if compression == CompressionTypes.LZMA:
        return lzma.LZMADecompressor()
    if compression == CompressionTypes.ZSTD:
        try:
            import zstandard
        except ImportError as error:
            raise MissingExtra("Zstandard", "zstd") from error
        return zstandard.ZstdDecompressor(max_window_size=2**31).decompressobj()
    raise ValueError(f"unknown compression {compression!r}")

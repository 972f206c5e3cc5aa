"""Compressed files as a stream of what they hold, with damage found.

Beam's own reader takes a compressed file that ends too early for one that is complete. A decompressor that
finds damage keeps to itself what it had unpacked of the bytes at hand: they are unpacked anew, one by one.
"""

from __future__ import annotations

import bz2
import contextlib
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_obs.files.found_files import as_text
from beam_obs.records.bad_input import DamagedCompression
from beam_obs.records.errors import MissingExtra

_CHUNK_BYTES = 1 << 18


class ByteStream(Protocol):
    """What a read needs of an open file."""

    def read(self, size: int) -> bytes:
        """Returns up to `size` bytes or more, and nothing at the end only."""

    def close(self) -> None:
        """Closes the file."""


def open_stream(path: str, compression: str, opens: Callable[[str], Any] | None = None) -> Any:
    """Opens a file of any Beam filesystem.

    Args:
      path: the file.
      compression: one of Beam's `CompressionTypes`, not ``auto``.
      opens: opens it as it is; by default Beam does.

    Returns:
      a `ByteStream`; uncompressed ones have `seek` too.
    """
    opens = opens or _open
    if compression == CompressionTypes.UNCOMPRESSED:
        return opens(path)
    return _Decompressed(opens, path, compression)


def check_compression(compression: str, path: Any = "") -> None:
    """Looks whether files of a compression can be read or written here.

    Args:
      compression: one of Beam's `CompressionTypes`.
      path: by whose extension ``auto`` is found, if it is a text that is known by now.

    Raises:
      MissingExtra: a package is not installed that it needs.
    """
    if compression == CompressionTypes.AUTO and isinstance(path, str):
        compression = CompressionTypes.detect_compression_type(path)
    if compression == CompressionTypes.ZSTD:
        _zstandard()


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtra("Zstandard", "zstd") from error
    return zstandard


def _open(path: str) -> Any:
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


class _Decompressed:
    """The bytes inside a compressed file.

    Raises:
      DamagedCompression: from `read`, when all that could be unpacked has been given.
    """

    def __init__(self, opens: Callable[[str], Any], path: str, compression: str) -> None:
        self._opens = opens
        self._raw = opens(path)
        self._path = path
        self._compression = compression
        self._members = _Members(compression)
        self._taken = 0
        self._given = 0
        self._damage: _Damage | None = None

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        length = 0
        while length < size and self._damage is None:
            data = self._raw.read(_CHUNK_BYTES)
            if not data:
                if not self._members.are_whole:
                    self._damage = _Damage("ends too early")
                break
            part = self._unpacked(data)
            parts.append(part)
            length += len(part)
        self._given += length
        if length == 0 and self._damage is not None:
            raise DamagedCompression(
                f"{as_text(self._path)}: {self._compression} data {self._damage} (at byte {self._taken} of "
                f"the file); the {self._given} bytes unpacked so far were read, and may be damaged too",
                self._damage.kind,
            )
        return b"".join(parts)

    def close(self) -> None:
        self._raw.close()

    def _unpacked(self, data: bytes) -> bytes:
        try:
            unpacked = self._members.unpack(data)
        except _Damage as damage:
            self._damage = damage
            return self._unpacked_before_damage(data)
        self._taken += len(data)
        return unpacked

    def _unpacked_before_damage(self, data: bytes) -> bytes:
        """Unpacks the file anew up to `data`, and that byte by byte. What a decompressor has given depends on
        what it has taken alone."""
        members = _Members(self._compression)
        parts = []
        with contextlib.closing(self._opens(self._path)) as raw, contextlib.suppress(_Damage):
            left = self._taken
            while left and (before := raw.read(min(left, _CHUNK_BYTES))):
                members.unpack(before)
                left -= len(before)
            for at in range(len(data)):
                parts.append(members.unpack(data[at : at + 1]))
                self._taken += 1
        return b"".join(parts)


class _Damage(Exception):
    """What is wrong with compressed data.

    Args:
      kind: in words that go on from "data", without values.
      reason: of the decompressor.
    """

    def __init__(self, kind: str, reason: Exception | None = None) -> None:
        super().__init__(kind if reason is None else f"{kind}: {reason}")
        self.kind = kind


class _Members:
    """Unpacks compressed data, which may be several files put one behind the other, with zeros between."""

    def __init__(self, compression: str) -> None:
        self._compression = compression
        self._decompressor: Any = None
        self._done = 0
        self._begun = False

    @property
    def are_whole(self) -> bool:
        """Whether the data may end here."""
        return self._decompressor is None

    def unpack(self, data: bytes) -> bytes:
        """Returns what is unpacked of the next bytes.

        Raises:
          _Damage: they are damaged; what they gave before that is lost.
        """
        parts = []
        while data:
            if self._decompressor is None:
                if self._done:
                    data = data.lstrip(b"\0")
                if not data:
                    break
                self._decompressor, self._begun = _new_decompressor(self._compression), False
            part = self._unpack(data)
            parts.append(part)
            self._begun = self._begun or bool(part)
            data = self._decompressor.unused_data
            if getattr(self._decompressor, "eof", True):
                self._decompressor = None
                self._done += 1
        return b"".join(parts)

    def _unpack(self, data: bytes) -> bytes:
        try:
            return bytes(self._decompressor.decompress(data))
        except (zlib.error, OSError, ValueError, lzma.LZMAError, EOFError) as error:
            reason: Exception = error
        except Exception as error:
            if type(error).__name__ != "ZstdError":
                raise
            reason = error
        if self._done and not self._begun:
            raise _Damage("is followed by something else", reason)
        raise _Damage("is damaged", reason)


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
        return _zstandard().ZstdDecompressor(max_window_size=2**31).decompressobj()
    raise ValueError(f"unknown compression {compression!r}")

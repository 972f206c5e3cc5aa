"""Files of sources and sinks: opened, uncompressed by their extension, and their version computed again.

Local files by the operating system; any others by Beam, which is imported only then.
"""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import hashlib
import io
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol, TypeVar

from beam_obs.files.file_state import FileState, state_of
from beam_obs.lineage.readable_files import LARGEST_READ, NotReadable, readable_files
from beam_obs.records.errors import BeamObsError, MissingExtra
from beam_obs.records.number_text import counted
from beam_obs.store.filesystems import filesystems
from beam_obs.store.folder import is_local, local_path

LARGEST_DIGESTED = 1 << 30
"""Files of more bytes are not digested again: only their size is compared."""

_CHUNK_BYTES = 1 << 20
_TOO_LARGE = f"not shown: it holds more than {LARGEST_READ >> 20} MB"
_BYTE = re.compile(rb"\\x([0-9a-f]{2})")
_Made = TypeVar("_Made", covariant=True)


class FileGone(BeamObsError):
    """A file is not there any more, or cannot be read.

    Args:
      uri: the file.
      reason: what the filesystem said.
    """

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(f"{uri}: {reason}")
        self.uri = uri
        self.reason = reason


class FileNotShown(FileGone):
    """A file is not read since not all may be: see `beam_obs.lineage.readable_files`."""


def path_on_disk(uri: str) -> str:
    """Returns the path of a local file. Bytes of its name that are no text stand written out in a run."""
    path = local_path(uri)
    if "\\x" not in path or os.path.exists(path):
        return path
    name = _BYTE.sub(lambda found: bytes.fromhex(found[1].decode()), os.fsencode(path))
    return os.fsdecode(name)


def open_raw(uri: str) -> BinaryIO:
    """Opens a file as it is.

    Raises:
      FileGone: it cannot be opened.
      FileNotShown: it may not be read here.
    """
    try:
        allowed = readable_files()
        if allowed is not None and is_local(uri):
            return allowed.open_local(uri)
        if is_local(uri):
            path = path_on_disk(uri)
            if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe waits for whoever writes it
                raise FileGone(uri, "it is no plain file")
            return open(path, "rb")
        if allowed is not None:
            allowed.check_object(uri)
        from apache_beam.io.filesystem import CompressionTypes

        stream: Any = filesystems().open(uri, compression_type=CompressionTypes.UNCOMPRESSED)
        return stream  # type: ignore[no-any-return]
    except FileGone:
        raise
    except NotReadable as error:
        raise FileNotShown(uri, str(error)) from None
    except FileNotFoundError:
        raise FileGone(uri, "there is no such file") from None
    except Exception as error:
        raise FileGone(uri, f"it cannot be opened: {type(error).__name__}: {error}") from None


def open_content(uri: str) -> BinaryIO:
    """Opens what a file holds: uncompressed where its extension says that it is compressed."""
    raw = open_raw(uri)
    extension = os.path.splitext(uri)[1].lower()
    opened: Any = raw
    if extension == ".gz":
        opened = gzip.GzipFile(fileobj=raw)
    elif extension == ".bz2":
        opened = bz2.BZ2File(raw)
    elif extension in (".xz", ".lzma"):
        opened = lzma.LZMAFile(raw)  # noqa: SIM115
    elif extension == ".deflate":
        with raw:
            opened = io.BytesIO(zlib.decompress(raw.read()) if readable_files() is None else _inflated(raw))
    elif extension in (".zst", ".zstd"):
        try:
            import zstandard
        except ImportError:
            raw.close()
            raise MissingExtra("Zstandard", "zstd") from None
        with raw:
            reader = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(
                raw, read_across_frames=True
            )
            opened = io.BytesIO(reader.read(-1 if readable_files() is None else LARGEST_READ + 1))
    return opened  # type: ignore[no-any-return]


def _inflated(raw: BinaryIO) -> bytes:
    """Returns what a deflated file holds, as far as it is read."""
    return zlib.decompressobj().decompress(raw.read(LARGEST_READ), LARGEST_READ + 1)


def read_content(uri: str) -> bytes:
    """Returns what a file holds.

    Raises:
      FileGone: it cannot be read.
      FileNotShown: it may not be read here, or holds more than is read.
    """
    try:
        with open_content(uri) as stream:
            if readable_files() is None:
                return stream.read()
            content = stream.read(LARGEST_READ + 1)
            if len(content) > LARGEST_READ:
                raise FileNotShown(uri, _TOO_LARGE)
            return content
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise FileGone(uri, f"it cannot be read: {type(error).__name__}: {error}") from None


def content_before_damage(uri: str) -> bytes | None:
    """Returns what our own reads get of a compressed file that is damaged; None where it is none."""
    from apache_beam.io.filesystem import CompressionTypes

    from beam_obs.files.decompression import open_stream
    from beam_obs.records.bad_input import DamagedCompression

    path = local_path(uri)
    compression = CompressionTypes.detect_compression_type(path)
    if compression == CompressionTypes.UNCOMPRESSED:
        return None
    parts: list[bytes] = []
    left = LARGEST_READ
    try:
        with contextlib.closing(open_stream(path, compression, lambda _: open_raw(uri))) as stream:
            while part := stream.read(_CHUNK_BYTES):
                parts.append(part)
                left -= len(part)
                if left < 0 and readable_files() is not None:
                    return None
    except DamagedCompression:
        return b"".join(parts)
    except Exception:
        return None  # it is not there, or not what its extension says
    return None


def present_version(uri: str, expected: str, state: FileState | None = None) -> str | None:
    """Returns the version that a file has now, as `beam_obs.files.file_version` makes it.

    Args:
      uri: the file.
      expected: the version that it had; where the sizes differ, that is enough to know.
      state: that the file is in, where it was asked already.

    Returns:
      None where a file is too large to be digested again; its size is then the expected one.

    Raises:
      FileGone: there is no such file.
    """
    state = state or present_state(uri)
    if is_local(uri):
        old_size, _, _ = expected.partition("-")
        if old_size.isdigit() and int(old_size) != state.size:
            return f"{counted(state.size, 'byte')}"
        if state.size > LARGEST_DIGESTED:
            return None
        return as_it_is(_local_version, uri, state)
    from beam_obs.files.file_version import file_version

    filesystems()
    return file_version(uri, state)


def present_state(uri: str) -> FileState:
    """Returns the state that a file is in now.

    Raises:
      FileGone: there is no such file, or it cannot be asked.
      FileNotShown: it may not be read here.
    """
    allowed = readable_files()
    try:
        if allowed is not None and is_local(uri):
            return allowed.state_of(uri)
        if allowed is not None:
            allowed.check_object(uri)
        if not is_local(uri):
            filesystems()  # with the options that lead to it
        state = state_of(path_on_disk(uri) if is_local(uri) else uri)
    except NotReadable as error:
        raise FileNotShown(uri, str(error)) from None
    except (FileNotFoundError, NotADirectoryError):
        state = None
    except OSError as error:
        raise FileGone(uri, str(error)) from None
    if state is None:
        raise FileGone(uri, "there is no such file")
    return state


def as_it_is(read: _Remembering[_Made], uri: str, state: FileState) -> _Made:
    """Returns what `read` makes of a file in a state, remembered where no other content can have that state.

    Args:
      read: a function with `functools.lru_cache`.
      uri: the file.
      state: that it is in now.
    """
    return (read if state.is_settled else read.__wrapped__)(uri, state)


class _Remembering(Protocol[_Made]):
    """A function of a file and its state with `functools.lru_cache`."""

    @property
    def __wrapped__(self) -> Callable[[str, FileState], _Made]: ...

    def __call__(self, uri: str, state: FileState, /) -> _Made: ...


@functools.lru_cache(maxsize=4096)
def _local_version(uri: str, state: FileState) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open_raw(uri) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return f"{state.size}-{digest.hexdigest()}"


def same_file(uri: str, path: str) -> bool:
    """Returns whether a URI that a run kept may be of the file that a person names.

    A relative one was kept by a run whose working folder nobody knows: it is compared from its end.

    >>> same_file("/data/a.csv", "/data/a.csv"), same_file("out/a.csv", "/home/me/out/a.csv")
    (True, True)
    """
    if uri == path:
        return True
    if not is_local(uri) or not is_local(path) or "\0" in uri + path:
        return False
    wanted, kept = os.path.abspath(local_path(path)), os.path.normpath(local_path(uri))
    if os.path.isabs(kept):
        return kept == wanted or os.path.realpath(kept) == os.path.realpath(wanted)
    return os.path.abspath(kept) == wanted or wanted.endswith(os.sep + kept.lstrip("./"))


def below_prefix(prefix: str, path: str) -> bool:
    """Returns whether a file may be one that a sink with this prefix wrote, e.g. a shard.

    >>> below_prefix("out/days", "out/days-00000-of-00001.jsonl")
    True
    """
    if not is_local(prefix) or not is_local(path):
        return path.startswith(prefix)
    kept = os.path.normpath(local_path(prefix))
    wanted = os.path.abspath(local_path(path))
    if wanted.startswith(os.path.abspath(kept)):
        return True
    return not os.path.isabs(kept) and f"{os.sep}{kept.lstrip('./')}" in wanted

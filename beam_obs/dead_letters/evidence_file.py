"""A file of evidence being written: on the disk before it is named; and what follows where it cannot be.

A dead letter stands for an error that was swallowed: where it cannot be kept the bundle fails. Lineage only
observes: where it cannot be kept the pipeline goes on, and the manifest names a file that is not there.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_obs.files.new_file import NewFile
from beam_obs.files.patience import PATIENCE_SECONDS, patiently
from beam_obs.files.whole_file import write_whole
from beam_obs.records.errors import EvidenceNotKept
from beam_obs.records.letter_index import INDEX_DIGEST, index_name
from beam_obs.records.manifest import FILE_BYTES, FILE_DIGEST, LOST, content_hash

_IN_MEMORY_BYTES = 8 << 20
"""What is to be an object is held here up to this size, and in a temporary file beyond."""

_LOGGER = logging.getLogger(__name__)


class EvidenceFile:
    """A file that knows how long it is, and a digest of it: what a manifest says of it.

    Args:
      path: its name, when it is whole.
      what: what it holds, for people.
      may_be_lost: whether the pipeline goes on where it cannot be written.
      patience: how many seconds a server that is away is waited for.

    Raises:
      EvidenceNotKept: it cannot be written and may not be lost; also from each of its methods.
    """

    def __init__(self, path: str, what: str, may_be_lost: bool, patience: float = PATIENCE_SECONDS) -> None:
        self._path = path
        self._patience = patience
        self._what = what
        self._may_be_lost = may_be_lost
        self._bytes = 0
        self._digest = content_hash()
        self._lost = ""
        self._new: NewFile | None = None
        self._file: Any = None
        self._try(self._open)

    def _open(self) -> None:
        if "://" in self._path:
            # Sent when it is whole, so that it can be sent again.
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - closed when sent
        else:
            self._new = NewFile(self._path)
            self._file = self._new.file

    def write(self, data: bytes) -> int:
        """Writes on."""
        self._bytes += len(data)
        self._digest.update(data)
        if not self._lost:
            self._try(self._file.write, data)
        return len(data)

    def flush(self) -> None:
        """Does nothing: a file is seen when it is whole. Writers of containers ask for it."""

    def seekable(self) -> bool:
        """Says that it is written from its beginning to its end; writers of containers ask."""
        return False

    def finish(self) -> None:
        """Ends the file and gives it its name."""
        if not self._lost:
            self._try(self._send if self._new is None else self._new.finish)

    def _send(self) -> None:
        with self._file:
            patiently(self._send_once, self._path, self._patience)

    def _send_once(self) -> None:
        self._file.seek(0)
        # Avro compresses for itself.
        with FileSystems.create(self._path, compression_type=CompressionTypes.UNCOMPRESSED) as sent:
            shutil.copyfileobj(self._file, sent, 1 << 20)

    def told(self) -> dict[str, Any]:
        """Returns what was written so far, as details of a manifest."""
        return (
            {LOST: self._lost}
            if self._lost
            else {
                FILE_BYTES: self._bytes,
                FILE_DIGEST: self._digest.hexdigest(),
            }
        )

    def _try(self, action: Callable[..., Any], *arguments: Any) -> None:
        try:
            action(*arguments)
        except MemoryError:
            raise
        except Exception as error:
            if self._new is not None:
                self._new.discard()
            if not self._may_be_lost:
                raise EvidenceNotKept(self._what, self._path, reason_of(error)) from error
            self._lost = reason_of(error)
            say_lost(self._path, self._lost)


_SAID: set[tuple[str, str]] = set()


def say_lost(path: str, reason: str) -> None:
    """Logs that lineage cannot be kept, once for each folder and reason: a full disk stays full for long.

    Args:
      path: of the file that could not be written.
      reason: what the filesystem said.
    """
    folder = path.rpartition("/")[0]
    if (folder, reason) not in _SAID:
        _SAID.add((folder, reason))
        _LOGGER.warning("lineage is lost, since it cannot be written to %s: %s", folder, reason)


def write_index(path: str, content: bytes) -> dict[str, Any]:
    """Writes what says where rows of a file are; returns what a manifest says of it.

    A file can do without: it is then read as a whole. Nothing waits until it is on the disk, since it is
    checked when it is read.

    Args:
      path: of the file.
      content: of the index; there is none where it is empty.
    """
    if not content:
        return {}
    folder, slash, name = path.rpartition("/")
    target = f"{folder}{slash}{index_name(name)}"
    try:
        write_whole(target, content, is_synced=False)
    except MemoryError:
        raise
    except Exception as error:
        _LOGGER.info("no index of %s is written: %s", path, reason_of(error))
        return {}
    return {INDEX_DIGEST: content_hash(content).hexdigest()}


def reason_of(error: BaseException) -> str:
    """Returns what a filesystem said, on one line, without the path where the operating system names it.

    >>> reason_of(OSError(28, "No space left on device", "a"))
    'No space left on device'
    """
    told = error.strerror if isinstance(error, OSError) else None
    return " ".join(str(told or error or type(error).__name__).split())

"""What tells one state of a file from another without reading it. Needs no Apache Beam for local files."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

_SETTLED_NANOSECONDS = 2_000_000_000
"""Coarsest clock by which filesystems say when a file was written."""


class FileState(NamedTuple):
    """A file as it is at a moment; another one says that it may have been written to since.

    Args:
      size: in bytes.
      modified: when it was last written to, in nanoseconds since the epoch; 0 where that is not known.
      number: of the file on its disk, which is another where a new file has taken its name; 0 elsewhere.
    """

    size: int
    modified: int
    number: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether anything written from now on gives the file another state.

        Within a tick of the filesystem's clock a file may be written to again and keep its time.
        """
        return 0 < self.modified < time.time_ns() - _SETTLED_NANOSECONDS


def state_of(path: str) -> FileState | None:
    """Returns the state of a file, asked for now; None where there is no such file.

    Args:
      path: the file, on any Beam filesystem.

    Raises:
      OSError: it cannot be asked.
    """
    if "://" not in path:
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileState(found.st_size, found.st_mtime_ns, found.st_ino)
    from apache_beam.io.filesystems import FileSystems

    matched = FileSystems.match([path])[0].metadata_list
    if not matched:
        return None
    return FileState(matched[0].size_in_bytes, int((matched[0].last_updated_in_seconds or 0) * 1e9))

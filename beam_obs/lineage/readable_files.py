"""Which files of sources and outputs may be read, where not all may: those below roots that a person named.

Names of files come from a store, which someone else may have written, or from whoever asks for a page. Every
reading of `beam_obs.lineage.opened_files` keeps to the policy of the question that is being answered.
"""

from __future__ import annotations

import contextlib
import contextvars
import glob
import os
import stat
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from beam_obs.files.file_state import FileState
from beam_obs.store.folder import is_local, local_path

LARGEST_READ = 1 << 29
"""Bytes of content, uncompressed, that are read of a file at most where not all files may be read."""


class NotReadable(PermissionError):
    """A file may not be read here.

    Args:
      reason: why, in words that go on from its name.
    """


class ReadableFiles:
    """Regular files below some folders, and objects below some prefixes; no link leads out of them.

    Args:
      roots: folders of this machine, and prefixes as ``gs://bucket/data``; none: no file at all.

    >>> files = ReadableFiles(["gs://bucket/data"])
    >>> files.check_object("gs://bucket/data/in.csv")
    >>> files.check_object("gs://bucket/database.csv")
    Traceback (most recent call last):
    beam_obs.lineage.readable_files.NotReadable: not shown: not under --sources
    """

    def __init__(self, roots: Sequence[str] = ()) -> None:
        self._folders = tuple(os.path.realpath(local_path(root)) for root in roots if is_local(root))
        self._prefixes = tuple(root.rstrip("/") + "/" for root in roots if not is_local(root))

    def check_object(self, uri: str) -> None:
        """Looks whether an object may be read.

        Raises:
          NotReadable: it may not.
        """
        if not uri.startswith(self._prefixes) or {".", ".."} & set(uri.split("/")):
            raise NotReadable(_NOT_UNDER)

    def open_local(self, uri: str) -> BinaryIO:
        """Opens a file of this machine.

        The name is resolved first, and then gone down from its root without following a link, so that no
        part of it can be exchanged for one meanwhile.

        Raises:
          NotReadable: it may not be read, or is no regular file.
          OSError: it cannot be opened.
        """
        root, path = self._placed(local_path(uri))
        return os.fdopen(_open_below(root, os.path.relpath(path, root).split(os.sep)), "rb")

    def state_of(self, uri: str) -> FileState:
        """Returns the state of a file of this machine.

        Raises:
          NotReadable: it may not be read, or is no regular file.
          OSError: it cannot be opened.
        """
        with self.open_local(uri) as file:
            found = os.fstat(file.fileno())
        return FileState(found.st_size, found.st_mtime_ns, found.st_ino)

    def check_pattern(self, path: str) -> None:
        """Looks whether a file, or files beside it whose names begin so or fit a pattern, may be read.

        Raises:
          NotReadable: they may not.
        """
        folder = os.path.dirname(path)
        if glob.has_magic(folder):
            raise NotReadable("not shown: the names of folders are to be written out")
        self._placed(path)
        self._placed(os.path.join(folder, "*"))

    def _placed(self, path: str) -> tuple[str, str]:
        """Returns the root that a file is below, and its path without links."""
        if "\0" in path:
            raise NotReadable(_NOT_UNDER)
        whole = os.path.realpath(path)
        for root in self._folders:
            if whole.startswith(os.path.join(root, "")):
                return root, whole
        raise NotReadable(_NOT_UNDER)


_NOT_UNDER = "not shown: not under --sources"
_NOT_REGULAR = "not shown: it is no regular file"
_ONLY: contextvars.ContextVar[ReadableFiles | None] = contextvars.ContextVar("readable files", default=None)


@contextlib.contextmanager
def only_files(files: ReadableFiles) -> Iterator[None]:
    """Lets what is asked within read these files only.

    >>> from beam_obs.lineage.opened_files import read_content
    >>> with only_files(ReadableFiles()):
    ...     read_content("/etc/hostname")
    Traceback (most recent call last):
    beam_obs.lineage.opened_files.FileNotShown: /etc/hostname: not shown: not under --sources
    """
    token = _ONLY.set(files)
    try:
        yield
    finally:
        _ONLY.reset(token)


def readable_files() -> ReadableFiles | None:
    """Returns which files may be read by the question that is being answered; None for all."""
    return _ONLY.get()


def _open_below(root: str, parts: Sequence[str]) -> int:
    if os.open not in os.supports_dir_fd:
        raise NotReadable("not shown: this system opens no file without following links")
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Opening a device may do something, and opening a pipe waits: looked at first, and once more behind.
        _check_regular(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False))
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        _check_regular(os.fstat(file))
    except NotReadable:
        os.close(file)
        raise
    return file


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotReadable(_NOT_REGULAR)

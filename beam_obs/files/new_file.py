"""A new file of this machine: seen whole or not at all, and on the disk before it can be seen."""

from __future__ import annotations

import contextlib
import os


class NewFile:
    """A file that is being written under a name of its own, and gets its last name when it is whole.

    Args:
      path: its last name; folders above it are made.

    Attributes:
      file: open for writing.

    >>> new = NewFile("folder/numbers")
    >>> _ = new.file.write(b"one")
    >>> os.path.exists("folder/numbers")
    False
    >>> new.finish()
    True
    >>> os.listdir("folder")
    ['numbers']
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder, name = os.path.split(os.path.abspath(path))
        os.makedirs(self._folder, exist_ok=True)
        self._partial = os.path.join(self._folder, f".partial-{os.urandom(4).hex()}-{name}")
        self.file = open(self._partial, "wb")  # noqa: SIM115 - closed when it gets its name

    def finish(self, replaces: bool = True, is_synced: bool = True) -> bool:
        """Gives the file its last name; returns False where there is one that it must not replace.

        A name is a promise: what crashes afterwards, the machine itself even, finds the content behind it.
        """
        try:
            self.file.flush()
            if is_synced:
                sync(self.file.fileno())
            self.file.close()
            if not self._named(replaces):
                return False
        except BaseException:
            self.discard()
            raise
        if is_synced:
            self._sync_folder()
        return True

    def discard(self) -> None:
        """Removes what was written, unless it has its last name."""
        with contextlib.suppress(OSError):
            self.file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._partial)

    def _named(self, replaces: bool) -> bool:
        if replaces:
            os.replace(self._partial, self._path)
            return True
        try:
            os.link(self._partial, self._path)
        except FileExistsError:
            return False
        except OSError:  # a filesystem without hard links
            if os.path.lexists(self._path):
                return False
            os.rename(self._partial, self._path)
            return True
        finally:
            with contextlib.suppress(OSError):
                os.unlink(self._partial)
        return True

    def _sync_folder(self) -> None:
        with contextlib.suppress(OSError):  # some filesystems do not sync folders
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                sync(folder)
            finally:
                os.close(folder)


sync = os.fsync
"""Waits until a file or a folder is on the disk; takes milliseconds, which tests leave out."""


def write_new_file(path: str, content: bytes, replaces: bool = True, is_synced: bool = True) -> bool:
    """Writes a file whole; returns False where there is one that it must not replace.

    Args:
      path: of the file.
      content: of the file.
      replaces: whether it takes the place of one that is there.
      is_synced: whether it is on the disk before it has its name; not where it can be done without.
    """
    new = NewFile(path)
    try:
        new.file.write(content)
    except BaseException:
        new.discard()
        raise
    return new.finish(replaces, is_synced)

"""Files of a store, on any filesystem: local paths by the operating system, all others by Beam.

Apache Beam is imported only when a path is not local, so that commands on a local store start at once.
Others may write to a store: no link below its root is followed, and nothing but plain files is opened.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from beam_obs.records.new_file import write_new_file
from beam_obs.runs.filesystems import filesystems

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def is_local(uri: str) -> bool:
    """Whether a URI names a folder of this machine.

    >>> is_local(".beam_obs"), is_local("file:///data"), is_local("gs://bucket/store")
    (True, True, False)
    """
    scheme = _SCHEME.match(uri)
    return scheme is None or scheme.group(1).lower() == "file"


def local_path(uri: str) -> str:
    """Returns the path that a local URI names."""
    return uri[len("file://") :] if uri.lower().startswith("file://") else uri


class NotPlain(OSError):
    """There is something else than a plain file or folder at a path, such as a link; it is left alone.

    Args:
      path: the path.
      what: what there is.
    """

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path} {what}")


class Found(NamedTuple):
    """What there is at a path.

    Args:
      content: of the file; None where there is none, or it cannot be read.
      problem: why it cannot be read; empty where it can, and where there is nothing.
    """

    content: bytes | None
    problem: str = ""


class Listed(NamedTuple):
    """A file of a folder.

    Args:
      path: relative to the folder.
      size: bytes.
      modified: when it was last written to, in seconds since the epoch; None where that is not known.
    """

    path: str
    size: int
    modified: float | None


class Folder(Protocol):
    """What a store asks of a filesystem. Paths are relative to the folder, with ``/``."""

    def read(self, path: str) -> bytes | None:
        """Returns a file's content, or None where there is no such file."""

    def look(self, paths: list[str]) -> list[Found]:
        """Returns what there is at many paths, in order; never raises for what it meets."""

    def write(self, path: str, content: bytes) -> None:
        """Writes a file whole, in place of any there was; makes its folders."""

    def write_new(self, path: str, content: bytes) -> bool:
        """Writes a file whole unless there is one; returns whether it did."""

    def delete(self, path: str) -> None:
        """Removes a file, where there is one."""

    def names(self, path: str) -> list[str]:
        """Returns the names of the files in a folder, sorted; none where there is no such folder."""

    def sizes(self, path: str) -> dict[str, int]:
        """Returns the bytes of each file below a folder, by path relative to it."""

    def listed(self, path: str = "") -> list[Listed]:
        """Returns the plain files below a folder, or of all of it; no link is gone through."""

    def delete_folder(self, path: str, last: tuple[str, ...] = ()) -> None:
        """Removes a folder and all below it; those files of it that are named `last` after the others."""

    def grandchildren(self, path: str, markers: tuple[str, ...]) -> list[tuple[str, str]]:
        """Returns (child, grandchild) for each folder ``path/child/grandchild`` that holds a marker."""

    def open(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Opens a file for reading; FileNotFoundError where there is none."""


def folder_at(uri: str) -> Folder:
    """Returns access to the folder at a path or URI. Nothing is read or made yet."""
    return LocalFolder(local_path(uri)) if is_local(uri) else BeamFolder(uri)


class LocalFolder:
    """A folder of this machine."""

    def __init__(self, path: str) -> None:
        self._root = os.path.abspath(path)

    def _path(self, path: str, is_folder: bool = False) -> str:
        """Returns the path of the operating system; the last part is looked at only of a folder."""
        if not path:
            return self._root
        parts = _parts(path)
        for end in range(1, len(parts) + is_folder):
            above = os.path.join(self._root, *parts[:end])
            if os.path.islink(above):
                raise NotPlain(above, "is a link, and none is followed within a store")
        return os.path.join(self._root, *parts)

    def read(self, path: str) -> bytes | None:
        try:
            with self.open(path) as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def look(self, paths: list[str]) -> list[Found]:
        return [_look(self.read, path) for path in paths]

    def write(self, path: str, content: bytes) -> None:
        write_new_file(self._path(path), content)

    def write_new(self, path: str, content: bytes) -> bool:
        return write_new_file(self._path(path), content, replaces=False)

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(path))

    def names(self, path: str) -> list[str]:
        try:
            with os.scandir(self._path(path, is_folder=True)) as entries:
                return sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
        except OSError:
            return []

    def sizes(self, path: str) -> dict[str, int]:
        root = self._path(path, is_folder=True)
        found = {}
        for folder, _, names in os.walk(root):
            for name in names:
                file = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    found[os.path.relpath(file, root).replace(os.sep, "/")] = os.lstat(file).st_size
        return found

    def listed(self, path: str = "") -> list[Listed]:
        found = []
        for folder, _, names in os.walk(self._path(path, is_folder=True)):
            for name in names:
                file = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    state = os.lstat(file)
                    if stat.S_ISREG(state.st_mode):
                        relative = os.path.relpath(file, self._root).replace(os.sep, "/")
                        found.append(Listed(relative, state.st_size, state.st_mtime))
        return found

    def delete_folder(self, path: str, last: tuple[str, ...] = ()) -> None:
        whole = self._path(path, is_folder=True)
        names = self.names(path)
        for name in (
            *(name for name in names if name not in last),
            *(name for name in last if name in names),
        ):
            self.delete(f"{path}/{name}")
        try:
            os.rmdir(whole)
        except FileNotFoundError:
            pass
        except OSError:  # it has folders, or links: they are removed, and what they lead to is not
            shutil.rmtree(whole)

    def _entries(self, path: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(path) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError:
            return []

    def grandchildren(self, path: str, markers: tuple[str, ...]) -> list[tuple[str, str]]:
        root = self._path(path, is_folder=True)
        return [
            (child.name, grandchild.name)
            for child in self._entries(root)
            if child.is_dir(follow_symlinks=False)
            for grandchild in self._entries(child.path)
            if any(os.path.lexists(os.path.join(grandchild.path, marker)) for marker in markers)
        ]

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        target = self._path(path)
        if not stat.S_ISREG(os.lstat(target).st_mode):  # opening a pipe waits for whoever writes it
            raise NotPlain(target, "is not a plain file, and nothing else is opened in a store")
        with open(target, "rb", opener=_open_no_link) as file:
            yield file


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


class BeamFolder:
    """A folder on a filesystem that Apache Beam knows, e.g. ``gs://bucket/store``.

    A file appears whole when it is closed; two writers of one new file are told apart by a look before
    the write, which object stores do not make atomic.
    """

    def __init__(self, uri: str) -> None:
        self._root = uri.rstrip("/")

    @property
    def _filesystems(self) -> Any:
        return filesystems()

    def _path(self, path: str) -> str:
        return "/".join((self._root, *_parts(path))) if path else self._root

    def read(self, path: str) -> bytes | None:
        if not self._filesystems.exists(self._path(path)):
            return None
        with self.open(path) as file:
            return file.read()

    def look(self, paths: list[str]) -> list[Found]:
        with ThreadPoolExecutor(max_workers=16) as pool:
            return list(pool.map(lambda path: _look(self.read, path), paths))

    def write(self, path: str, content: bytes) -> None:
        with contextlib.suppress(OSError):  # the folder is there, or the filesystem has none
            self._filesystems.mkdirs(self._path(path).rpartition("/")[0])
        with self._filesystems.create(self._path(path), compression_type="uncompressed") as file:
            file.write(content)

    def write_new(self, path: str, content: bytes) -> bool:
        if self._filesystems.exists(self._path(path)):
            return False
        self.write(path, content)
        return True

    def delete(self, path: str) -> None:
        if self._filesystems.exists(self._path(path)):
            self._filesystems.delete([self._path(path)])

    def _sizes(self, pattern: str) -> dict[str, int]:
        found = self._filesystems.match([f"{self._root}/{pattern}"])[0].metadata_list
        start = len(self._root) + 1
        return {metadata.path[start:]: metadata.size_in_bytes for metadata in found}

    def _match(self, pattern: str) -> list[str]:
        return list(self._sizes(pattern))

    def sizes(self, path: str) -> dict[str, int]:
        return {name[len(path) + 1 :]: size for name, size in self._sizes(f"{path}/**").items()}

    def listed(self, path: str = "") -> list[Listed]:
        found = self._filesystems.match([f"{self._path(path)}/**"])[0].metadata_list
        start = len(self._root) + 1
        return [
            Listed(one.path[start:], one.size_in_bytes, one.last_updated_in_seconds or None) for one in found
        ]

    def delete_folder(self, path: str, last: tuple[str, ...] = ()) -> None:
        names = list(self.sizes(path))
        for part in ([name for name in names if name not in last], [name for name in last if name in names]):
            if part:
                self._filesystems.delete([self._path(f"{path}/{name}") for name in part])
        with contextlib.suppress(OSError):  # a filesystem without folders has none left
            if self._filesystems.exists(self._path(path)):
                self._filesystems.delete([self._path(path)])

    def names(self, path: str) -> list[str]:
        depth = path.count("/") + 1
        return sorted(
            found.rpartition("/")[2] for found in self._match(f"{path}/*") if found.count("/") == depth
        )

    def grandchildren(self, path: str, markers: tuple[str, ...]) -> list[tuple[str, str]]:
        depth = path.count("/") + 3
        found = [
            match.split("/")
            for marker in markers
            for match in self._match(f"{path}/*/*/{marker}")
            if match.count("/") == depth
        ]
        return sorted({(parts[-3], parts[-2]) for parts in found})

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        if not self._filesystems.exists(self._path(path)):
            raise FileNotFoundError(self._path(path))
        with self._filesystems.open(self._path(path), compression_type="uncompressed") as file:
            yield cast(BinaryIO, file)


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise NotPlain(path, "is no path within a store")
    return parts


def _look(read: Callable[[str], bytes | None], path: str) -> Found:
    try:
        return Found(read(path))
    except MemoryError:
        raise
    except Exception as error:  # filesystems raise errors of their own, and names may be none at all
        reason = str(error) if isinstance(error, NotPlain) else f"{type(error).__name__}: {error}"
        return Found(None, reason)

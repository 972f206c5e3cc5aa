"""Files of a store, on any filesystem: local paths by the operating system, all others by Beam.

Apache Beam is imported only when a path is not local, so that commands on a local store start at once.
Others may write to a store: no link below its root is followed, and nothing but plain files is opened.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NamedTuple, Protocol

from beam_obs.files.new_file import write_new_file
from beam_obs.records.errors import BeamObsError
from beam_obs.store.objects import AT_ONCE, Listed, Objects, objects_of

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


class Folder(Protocol):
    """What a store asks of a filesystem. Paths are relative to the folder, with ``/``."""

    def read(self, path: str) -> bytes | None:
        """Returns a file's content, or None where there is no such file."""

    def look(self, paths: list[str]) -> list[Found]:
        """Returns what there is at many paths, in order; never raises for what it meets."""

    def open(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Opens a file for reading, at any place; FileNotFoundError where there is none."""

    def write(self, path: str, content: bytes) -> None:
        """Writes a file whole, in place of any there was; makes its folders."""

    def write_new(self, path: str, content: bytes) -> bool:
        """Writes a file whole unless there is one; returns whether it did."""

    def delete(self, path: str) -> None:
        """Removes a file, where there is one."""

    def names(self, path: str) -> list[str]:
        """Returns the names of the files in a folder, sorted; none where there is no such folder."""

    def listed(self, path: str = "") -> list[Listed]:
        """Returns the plain files below a folder, or of all of it; no link is gone through."""

    def delete_folder(self, path: str, last: tuple[str, ...] = ()) -> None:
        """Removes a folder and all below it; those files of it that are named `last` after the others."""

    def delete_folders(self, paths: list[str], last: tuple[str, ...] = ()) -> list[str]:
        """Removes folders, each as `delete_folder` does; returns for each what went wrong, or nothing."""

    def grandchildren(
        self, path: str, markers: tuple[str, ...], beginnings: tuple[str, ...]
    ) -> list[tuple[str, str]]:
        """Returns (child, grandchild) for each folder ``path/child/grandchild`` that holds a marker, or a
        name that begins as one of `beginnings`."""


def folder_at(uri: str) -> Folder:
    """Returns access to the folder at a path or URI. Nothing is read or made yet."""
    return LocalFolder(local_path(uri)) if is_local(uri) else RemoteFolder(uri)


class LocalFolder:
    """A folder of this machine."""

    def __init__(self, path: str) -> None:
        self._root = os.path.abspath(path)

    def _path(self, path: str, is_folder: bool = False, no_links: set[str] | None = None) -> str:
        """Returns the path of the operating system.

        Args:
          path: in the store.
          is_folder: whether its last part, too, is looked at.
          no_links: folders that were looked at a moment ago; those looked at now are added.
        """
        if not path:
            return self._root
        parts = _parts(path)
        above, seen = self._root, set() if no_links is None else no_links
        for part in parts if is_folder else parts[:-1]:
            above = os.path.join(above, part)
            if above in seen:
                continue
            if os.path.islink(above):
                raise NotPlain(above, "is a link, and none is followed within a store")
            seen.add(above)
        return above if is_folder else os.path.join(above, parts[-1])

    def read(self, path: str) -> bytes | None:
        return self._read(path, set())

    def _read(self, path: str, no_links: set[str]) -> bytes | None:
        try:
            with self._opened(self._path(path, no_links=no_links), buffering=0) as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def look(self, paths: list[str]) -> list[Found]:
        no_links: set[str] = set()
        return [look_at(lambda one: self._read(one, no_links), path) for path in paths]

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

    def listed(self, path: str = "") -> list[Listed]:
        found = []
        waiting = [(self._path(path, is_folder=True), f"{path}/" if path else "")]
        while waiting:
            folder, before = waiting.pop()
            for entry in self._entries(folder):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{before}{entry.name}/"))
                elif entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        state = entry.stat(follow_symlinks=False)
                        found.append(Listed(f"{before}{entry.name}", state.st_size, state.st_mtime))
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

    def delete_folders(self, paths: list[str], last: tuple[str, ...] = ()) -> list[str]:
        return _problems_of_removal(self, paths, last)

    def _entries(self, path: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(path) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError:
            return []

    def grandchildren(
        self, path: str, markers: tuple[str, ...], beginnings: tuple[str, ...]
    ) -> list[tuple[str, str]]:
        root = self._path(path, is_folder=True)
        return [
            (child.name, grandchild.name)
            for child in self._entries(root)
            if child.is_dir(follow_symlinks=False)
            for grandchild in self._entries(child.path)
            if any(os.path.lexists(os.path.join(grandchild.path, marker)) for marker in markers)
            or (
                grandchild.is_dir(follow_symlinks=False)
                and any(entry.name.startswith(beginnings) for entry in self._entries(grandchild.path))
            )
        ]

    def open(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        return self._opened(self._path(path))

    def _opened(self, target: str, buffering: int = -1) -> BinaryIO:
        if not stat.S_ISREG(os.lstat(target).st_mode):  # opening a pipe waits for whoever writes it
            raise NotPlain(target, "is not a plain file, and nothing else is opened in a store")
        file: BinaryIO = open(target, "rb", buffering, opener=_open_no_link)  # noqa: SIM115 - the caller closes it
        return file


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


class RemoteFolder:
    """A folder on a filesystem that Apache Beam knows, e.g. ``gs://bucket/store``.

    A file appears whole when it is closed. Of two writers of one new file the store itself refuses one, on S3
    and Google Cloud Storage; on any other filesystem a look before the write tells, which is not atomic.
    """

    def __init__(self, uri: str) -> None:
        self._root = uri.rstrip("/")

    @property
    def _objects(self) -> Objects:
        return objects_of(self._root)

    def _path(self, path: str) -> str:
        return "/".join((self._root, *_parts(path))) if path else self._root

    def read(self, path: str) -> bytes | None:
        return self._objects.read(self._path(path))

    def open(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        content = self.read(path)
        if content is None:
            raise FileNotFoundError(self._path(path))
        return io.BytesIO(content)

    def look(self, paths: list[str]) -> list[Found]:
        if len(paths) < 2:
            return [look_at(self.read, path) for path in paths]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda path: look_at(self.read, path), paths))

    def write(self, path: str, content: bytes) -> None:
        self._objects.write(self._path(path), content)

    def write_new(self, path: str, content: bytes) -> bool:
        return self._objects.write_new(self._path(path), content)

    def delete(self, path: str) -> None:
        self._objects.delete([self._path(path)])

    def names(self, path: str) -> list[str]:
        return sorted(name for name in self._sizes(path) if "/" not in name)

    def listed(self, path: str = "") -> list[Listed]:
        start = len(self._root) + 1
        return [
            file._replace(path=file.path[start:]) for file in self._objects.listed(f"{self._path(path)}/")
        ]

    def _sizes(self, path: str) -> dict[str, int]:
        """Returns the bytes of each file below a folder, by path relative to it."""
        start = len(path) + 1 if path else 0
        return {file.path[start:]: file.size for file in self.listed(path)}

    def delete_folder(self, path: str, last: tuple[str, ...] = ()) -> None:
        self._delete_all([path], self.listed(path), last)

    def delete_folders(self, paths: list[str], last: tuple[str, ...] = ()) -> list[str]:
        if len(paths) > 1:
            try:
                # One listing, of what is above all of them: a request for each would take its time from each.
                self._delete_all(paths, self.listed(os.path.commonpath(paths)), last)
                return [""] * len(paths)
            except (
                Exception
            ):  # filesystems raise errors of their own; each folder on its own tells which it is
                pass
        return _problems_of_removal(self, paths, last)

    def _delete_all(self, folders: list[str], files: list[Listed], last: tuple[str, ...]) -> None:
        wanted = set(folders)
        mine = [file.path for file in files if not wanted.isdisjoint(_folders_above(file.path))]
        is_last = {
            path: path.rpartition("/")[2] in last and path.rpartition("/")[0] in wanted for path in mine
        }
        # In the order in which they are named: what tells that there is a run goes after all else.
        for part in (
            [path for path in mine if not is_last[path]],
            *([path for path in mine if is_last[path] and path.endswith(f"/{name}")] for name in last),
        ):
            if part:
                self._objects.delete([self._path(path) for path in part])
        for folder in folders:
            with contextlib.suppress(OSError):  # a filesystem without folders has none left
                self._objects.delete_empty_folder(self._path(folder))

    def grandchildren(
        self, path: str, markers: tuple[str, ...], beginnings: tuple[str, ...]
    ) -> list[tuple[str, str]]:
        found = (name.split("/") for name in self._sizes(path))
        return sorted(
            {
                (parts[0], parts[1])
                for parts in found
                if len(parts) == 3 and (parts[2] in markers or parts[2].startswith(beginnings))
            }
        )


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise NotPlain(path, "is no path within a store")
    return parts


def _folders_above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _problems_of_removal(folder: Folder, paths: list[str], last: tuple[str, ...]) -> list[str]:
    """Removes folders one by one, several at once; returns for each what went wrong, or nothing."""

    def problem(path: str) -> str:
        try:
            folder.delete_folder(path, last)
        except Exception as error:  # filesystems of Beam raise errors of their own
            return f"{type(error).__name__}: {error}"
        return ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(problem, paths))


def look_at(read: Callable[[str], bytes | None], path: str) -> Found:
    """Returns what there is at a path; never raises for what it meets.

    Args:
      read: reads a file.
      path: of the file.
    """
    try:
        return Found(read(path))
    except MemoryError:
        raise
    except Exception as error:  # filesystems raise errors of their own, and names may be none at all
        is_told = isinstance(error, (NotPlain, BeamObsError))
        reason = str(error) if is_told else f"{type(error).__name__}: {error}"
        return Found(None, reason)

"""Files of a store, on any filesystem: local paths by the operating system, all others by Beam.

Apache Beam is imported only when a path is not local, so that commands on a local store start at once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, Protocol, cast

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


class Folder(Protocol):
    """What a store asks of a filesystem. Paths are relative to the folder, with ``/``."""

    def read(self, path: str) -> bytes | None:
        """Returns a file's content, or None where there is no such file."""

    def read_many(self, paths: list[str]) -> list[bytes | None]:
        """Returns the contents of many files, in order."""

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

    def delete_folder(self, path: str, last: tuple[str, ...] = ()) -> None:
        """Removes a folder and all below it; those files of it that are named `last` after the others."""

    def grandchildren(self, path: str, marker: str) -> list[tuple[str, str]]:
        """Returns (child, grandchild) for each folder ``path/child/grandchild`` that holds `marker`."""

    def open(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Opens a file for reading; FileNotFoundError where there is none."""


def folder_at(uri: str, arguments: Sequence[str] = ()) -> Folder:
    """Returns access to the folder at a path or URI. Nothing is read or made yet.

    Args:
      uri: path or URI.
      arguments: options of its filesystem, as on a pipeline's command line; those of a pipeline that this
        process has made go before them.
    """
    return LocalFolder(local_path(uri)) if is_local(uri) else BeamFolder(uri, arguments)


class LocalFolder:
    """A folder of this machine."""

    def __init__(self, path: str) -> None:
        self._root = os.path.abspath(path)

    def _path(self, path: str) -> str:
        return os.path.join(self._root, *path.split("/")) if path else self._root

    def read(self, path: str) -> bytes | None:
        try:
            with open(self._path(path), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_many(self, paths: list[str]) -> list[bytes | None]:
        return [self.read(path) for path in paths]

    def _write_beside(self, target: str, content: bytes) -> str:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        beside = f"{target}.{uuid.uuid4().hex[:8]}.partial"
        with open(beside, "wb") as file:
            file.write(content)
        return beside

    def write(self, path: str, content: bytes) -> None:
        target = self._path(path)
        os.replace(self._write_beside(target, content), target)

    def write_new(self, path: str, content: bytes) -> bool:
        target = self._path(path)
        beside = self._write_beside(target, content)
        try:
            os.link(beside, target)
        except FileExistsError:
            return False
        except OSError:  # a filesystem without hard links
            try:
                with open(target, "xb") as file:
                    file.write(content)
            except FileExistsError:
                return False
        finally:
            os.unlink(beside)
        return True

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(path))

    def names(self, path: str) -> list[str]:
        try:
            with os.scandir(self._path(path)) as entries:
                return sorted(entry.name for entry in entries if entry.is_file())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def sizes(self, path: str) -> dict[str, int]:
        root = self._path(path)
        found = {}
        for folder, _, names in os.walk(root):
            for name in names:
                file = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    found[os.path.relpath(file, root).replace(os.sep, "/")] = os.lstat(file).st_size
        return found

    def delete_folder(self, path: str, last: tuple[str, ...] = ()) -> None:
        names = self.names(path)
        for name in (
            *(name for name in names if name not in last),
            *(name for name in last if name in names),
        ):
            self.delete(f"{path}/{name}")
        try:
            os.rmdir(self._path(path))
        except FileNotFoundError:
            pass
        except OSError:  # it has folders
            shutil.rmtree(self._path(path))

    def _folders(self, path: str) -> list[str]:
        try:
            with os.scandir(path) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def grandchildren(self, path: str, marker: str) -> list[tuple[str, str]]:
        root = self._path(path)
        return [
            (child, grandchild)
            for child in self._folders(root)
            for grandchild in self._folders(os.path.join(root, child))
            if os.path.exists(os.path.join(root, child, grandchild, marker))
        ]

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        with open(self._path(path), "rb") as file:
            yield file


class BeamFolder:
    """A folder on a filesystem that Apache Beam knows, e.g. ``gs://bucket/store``.

    A file appears whole when it is closed; two writers of one new file are told apart by a look before
    the write, which object stores do not make atomic.
    """

    def __init__(self, uri: str, arguments: Sequence[str] = ()) -> None:
        self._root = uri.rstrip("/")
        self._arguments = list(arguments)

    @functools.cached_property
    def _filesystems(self) -> Any:
        from apache_beam.io.filesystems import FileSystems
        from apache_beam.options.pipeline_options import PipelineOptions

        # A pipeline sets its own; a command has none.
        if FileSystems._pipeline_options is None and self._arguments:
            FileSystems.set_options(PipelineOptions(self._arguments))
        return FileSystems

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def read(self, path: str) -> bytes | None:
        if not self._filesystems.exists(self._path(path)):
            return None
        with self.open(path) as file:
            return file.read()

    def read_many(self, paths: list[str]) -> list[bytes | None]:
        with ThreadPoolExecutor(max_workers=16) as pool:
            return list(pool.map(self.read, paths))

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
        found = self._filesystems.match([self._path(pattern)])[0].metadata_list
        start = len(self._root) + 1
        return {metadata.path[start:]: metadata.size_in_bytes for metadata in found}

    def _match(self, pattern: str) -> list[str]:
        return list(self._sizes(pattern))

    def sizes(self, path: str) -> dict[str, int]:
        return {name[len(path) + 1 :]: size for name, size in self._sizes(f"{path}/**").items()}

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

    def grandchildren(self, path: str, marker: str) -> list[tuple[str, str]]:
        depth = path.count("/") + 3
        found = [
            match.split("/") for match in self._match(f"{path}/*/*/{marker}") if match.count("/") == depth
        ]
        return sorted((parts[-3], parts[-2]) for parts in found)

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        if not self._filesystems.exists(self._path(path)):
            raise FileNotFoundError(self._path(path))
        with self._filesystems.open(self._path(path), compression_type="uncompressed") as file:
            yield cast(BinaryIO, file)

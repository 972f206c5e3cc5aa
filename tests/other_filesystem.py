"""A filesystem of a scheme of its own, as an object store is: local files, of which no folders are seen."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import Any


def other_filesystem(
    scheme: str, folder: pathlib.Path, before_write: Callable[[str], object] = lambda path: None
) -> Any:
    """Makes a filesystem known to Beam; it is there as long as what is returned.

    Args:
      scheme: of its paths.
      folder: that holds its files.
      before_write: called with the path of each file before it is written.
    """
    from apache_beam.io.filesystem import FileMetadata
    from apache_beam.io.localfilesystem import LocalFileSystem

    root = f"{scheme}://"

    class Other(LocalFileSystem):
        @classmethod
        def scheme(cls) -> str:
            return scheme

        def _local(self, path: str) -> str:
            return path.replace(root, f"{folder}/")

        def mkdirs(self, path):  # type: ignore[no-untyped-def]
            raise OSError("no folders here")

        def create(self, path, mime_type="", compression_type="auto"):  # type: ignore[no-untyped-def]
            before_write(path)
            local = self._local(path)
            os.makedirs(os.path.dirname(local), exist_ok=True)
            return super().create(local, mime_type, compression_type)

        def open(self, path, mime_type="", compression_type="auto"):  # type: ignore[no-untyped-def]
            return super().open(self._local(path), mime_type, compression_type)

        def exists(self, path):  # type: ignore[no-untyped-def]
            return os.path.isfile(self._local(path))

        def delete(self, paths):  # type: ignore[no-untyped-def]
            return super().delete([self._local(path) for path in paths])

        def join(self, basepath, *paths):  # type: ignore[no-untyped-def]
            return "/".join((basepath.rstrip("/"), *paths))

        def split(self, path):  # type: ignore[no-untyped-def]
            return path.rsplit("/", 1)

        def has_dirs(self) -> bool:
            return False

        def _list(self, dir_or_prefix):  # type: ignore[no-untyped-def]
            for above, _, names in os.walk(folder):
                for name in names:
                    path = os.path.join(above, name)
                    uri = root + os.path.relpath(path, folder)
                    if uri.startswith(dir_or_prefix):
                        yield FileMetadata(uri, os.path.getsize(path))

    return Other

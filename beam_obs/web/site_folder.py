"""The folder of a site, on any filesystem: written over a site that is there, and over nothing else."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from beam_obs.records.errors import BeamObsError
from beam_obs.store.folder import folder_at, is_local, local_path
from beam_obs.store.form import parse_object
from beam_obs.store.objects import AT_ONCE

MARKER = "beam_obs_site.json"
"""Tells that a folder is a site, and which of its files are."""

_AT_A_TIME = 4 * AT_ONCE


class NotASite(BeamObsError):
    """A folder has something else than a site of ours, and is left alone.

    Args:
      folder: as it was given.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(
            f"{folder} has files and is no site that this command wrote (there is no {MARKER}): "
            "nothing was written. Name a new folder, or an empty one"
        )
        self.folder = folder

    def __reduce__(self) -> tuple[type[NotASite], tuple[str]]:
        return (NotASite, (self.folder,))


class SiteFolder:
    """A folder that a site is written to.

    Args:
      uri: a path, or a URI of a filesystem that Beam knows.

    Raises:
      NotASite: it has files, and is no site.
    """

    def __init__(self, uri: str) -> None:
        self._files = folder_at(uri)
        self._earlier = self._files_before(uri)
        self._written: set[str] = set()

    def _files_before(self, uri: str) -> set[str]:
        content = self._files.read(MARKER)
        if content is None:
            if _has_anything(local_path(uri)) if is_local(uri) else self._files.listed():
                raise NotASite(uri)
            return set()
        try:
            names = parse_object(content)["files"]
            return {name for name in names if isinstance(name, str)}
        except (ValueError, KeyError, TypeError):
            raise NotASite(uri) from None

    def write(self, files: Iterable[tuple[str, bytes]]) -> int:
        """Writes files, and then removes those of the site that was there; returns how many were written.

        Until all is written the earlier pages stay, each whole.

        Args:
          files: names, relative with ``/``, and contents; the page that leads to the others is last.
        """
        if not self._earlier:
            self._mark()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            waiting = iter(files)
            # A few at a time: pages that wait for a slow store take memory.
            while some := list(itertools.islice(waiting, _AT_A_TIME)):
                self._written.update(name for name, _ in some)
                list(pool.map(lambda file: self._files.write(*file), some))
            gone = sorted(self._earlier - self._written)
            list(pool.map(self._files.delete, gone))
        self._mark()
        return len(self._written)

    def _mark(self) -> None:
        content = json.dumps({"what": "a site of beam-obs site", "files": sorted(self._written)}, indent=0)
        self._files.write(MARKER, content.encode())


def _has_anything(path: str) -> bool:
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except FileNotFoundError:
        return False

"""Files that killed processes left behind half written, under the names that they have until they are whole.

One that someone may still be writing is left alone: it is of a run that has ended, or it is old.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from beam_obs.store.folder import Folder
from beam_obs.store.objects import Listed

SURELY_OLD_SECONDS = 86_400
"""Nothing is written for so long without a sign of it."""

_UNFINISHED = re.compile(r"\.partial-[0-9a-f]{8}-.+|\.write-check-[0-9a-f]{8}")
"""What `beam_obs.files.new_file` writes to, and what `Store.check_writable` writes."""


class Leftover(NamedTuple):
    """A file that was never finished.

    Args:
      folder: that it was found in.
      path: relative to the folder.
      size: bytes.
    """

    folder: Folder
    path: str
    size: int


class Leftovers(NamedTuple):
    """The unfinished files of a folder.

    Args:
      remove: those that may go.
      kept: how many may still be written to.
    """

    remove: tuple[Leftover, ...]
    kept: int


def find_leftovers(
    folder: Folder,
    older_than_seconds: float,
    ended: Mapping[str, bool] | None = None,
    gone: Iterable[str] = (),
    files: Iterable[Listed] | None = None,
) -> Leftovers:
    """Returns the unfinished files in a folder and below it. Nothing is removed yet.

    Args:
      folder: a store, or a folder of dead letters.
      older_than_seconds: how long ago a file must have been written to, a day at least, where it is of no run
        that has ended.
      ended: folder of each run, relative to the store -> whether the run has ended.
      gone: folders of runs that are removed as a whole.
      files: what there is in the folder; by default it is listed.
    """
    ended, gone = ended or {}, frozenset(gone)
    oldest = time.time() - max(older_than_seconds, SURELY_OLD_SECONDS)
    remove, kept = [], 0
    for file in folder.listed() if files is None else files:
        above, _, name = file.path.rpartition("/")
        if above in gone or _UNFINISHED.fullmatch(name) is None:
            continue
        if ended.get(above, False) or (file.modified is not None and file.modified < oldest):
            remove.append(Leftover(folder, file.path, file.size))
        else:
            kept += 1
    return Leftovers(tuple(remove), kept)


def remove_leftovers(leftovers: Iterable[Leftover]) -> list[tuple[Leftover, str]]:
    """Removes files; returns those that could not be, each with what the filesystem said."""
    problems = []
    for leftover in leftovers:
        try:
            leftover.folder.delete(leftover.path)
        except Exception as error:  # noqa: PERF203 - filesystems of Beam raise errors of their own
            problems.append((leftover, f"{type(error).__name__}: {error}"))
    return problems

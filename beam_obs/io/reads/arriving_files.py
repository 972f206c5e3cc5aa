"""Files that come while a job runs: looked for again and again, each given once it is whole.

What is remembered of a file is its size, the time at which it was written to and its version: no record.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.coders import StrUtf8Coder
from apache_beam.pvalue import PBegin
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from beam_obs.files.file_version import file_version
from beam_obs.files.found_files import FoundFile
from beam_obs.wrapper.role import BEGINS_READ, Ours
from beam_obs.wrapper.untyped import Untyped

DEAD_LETTER, AGAIN, IGNORE = "dead_letter", "again", "ignore"
ON_CHANGED = (DEAD_LETTER, AGAIN, IGNORE)

_SETTLED = 0.5
"""Part of an interval for which a file is to stay the same: looks come somewhat earlier or later."""
_OVERDUE_SECONDS = 60
"""After so long a look that was due is left out: a template may be started long after it was made."""


class Looks(NamedTuple):
    """When files are looked for, and which are given.

    Args:
      interval: seconds between two looks.
      start: time of the first.
      stop: time from which on there is none.
      settles: whether a file is given only once two looks have found it the same.
      on_changed: what comes of a file that changed after it was given, one of `ON_CHANGED`.
    """

    interval: float
    start: Timestamp
    stop: Timestamp
    settles: bool
    on_changed: str

    def is_last(self, at: Timestamp | float) -> bool:
        """Returns whether there is no look behind the one at a time."""
        return bool(self.stop != MAX_TIMESTAMP and at + self.interval >= self.stop)


class ArrivingFiles(Ours):
    """Gives files as they come.

    Args:
      finder: finds files, by its method `look`.
      looks: when, and which are given.
    """

    role = BEGINS_READ

    def __init__(self, finder: Any, looks: Looks) -> None:
        super().__init__()
        self._finder = finder
        self._looks = looks

    def expand(self, pbegin: PBegin) -> Any:
        looks = self._looks
        return (
            pbegin
            | "Look" >> PeriodicImpulse(looks.start, looks.stop, looks.interval)
            | "Find" >> beam.FlatMap(_Look(self._finder, looks)).with_output_types(tuple[str, Any])
            | "New" >> beam.ParDo(NewFiles(self._looks)).with_output_types(FoundFile)
        )


class _Look(Untyped):
    """Finds the files that there are now, each with its path and what time it is: a runner that is behind
    looks several times at once."""

    def __init__(self, finder: Any, looks: Looks) -> None:
        self._finder = finder
        self._looks = looks

    def __call__(self, due: float) -> list[tuple[str, tuple[FoundFile, float]]]:
        now = time.time()
        if now - due > max(_OVERDUE_SECONDS, self._looks.interval) and not self._looks.is_last(due):
            return []
        return [(file.path, (file, now)) for file in self._finder.look()]


class NewFiles(Untyped, beam.DoFn):
    """Gives a file that is new or has changed, once.

    Args:
      looks: which are given.
    """

    remembers = False
    """For the weave: no record is in its state."""

    KNOWN = ReadModifyWriteStateSpec("known", StrUtf8Coder())

    def __init__(self, looks: Looks) -> None:
        self._looks = looks

    def process(
        self,
        found: tuple[str, tuple[FoundFile, float]],
        look: Any = beam.DoFn.TimestampParam,
        known: Any = beam.DoFn.StateParam(KNOWN),  # noqa: B008 - Beam's way
    ) -> Iterator[FoundFile]:
        """Gives the file, or nothing, or what says that it has changed."""
        (file, now), looks = found[1], self._looks
        assert file.state is not None
        state = [file.state.size, file.state.modified]
        before: dict[str, Any] = json.loads(known.read() or "{}")
        if before.get("given") == state:
            return
        if looks.settles and not looks.is_last(look):
            if before.get("seen") != state:
                known.write(json.dumps(before | {"seen": state, "at": now}))
                return
            if now - before["at"] < looks.interval * _SETTLED:
                return
        version = _version(file)
        if not version:
            yield _refused(file, "was gone before it was read")
            return
        known.write(json.dumps({"given": state, "version": version}))
        is_new = "given" not in before
        if is_new or (version != before["version"] and looks.on_changed == AGAIN):
            yield file
        elif version != before["version"] and looks.on_changed == DEAD_LETTER:
            size = before["given"][0]
            yield _refused(
                file, f"had {size} bytes when it was read, and has {file.size} now: it was changed"
            )


def _refused(file: FoundFile, why: str) -> FoundFile:
    return file._replace(is_splittable=False, refused=f"{file.path} {why}")


def _version(file: FoundFile) -> str:
    """Returns the version of a file; an empty text where it is gone already."""
    assert file.state is not None
    try:
        return file_version(file.location, file.state)
    except Exception:  # filesystems raise errors of their own
        return ""

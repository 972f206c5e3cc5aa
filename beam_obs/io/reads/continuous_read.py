"""ReadContinuously: a read of files, of new ones as they come."""

from __future__ import annotations

import copy
import math
from typing import Any

import apache_beam as beam
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from typing_extensions import Self

from beam_obs.beam_private import NamedPTransform
from beam_obs.io.reads.arriving_files import DEAD_LETTER, ON_CHANGED, Looks
from beam_obs.io.reads.file_read import FileRead
from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_flag
from beam_obs.records.made_at import made_at
from beam_obs.wrapper.role import READ, Ours


class ReadContinuously(Ours):
    """Reads new files as they come, by any of our reads of files: that says what is read, how, and where dead
    letters go. The result is unbounded.

    A pattern may find nothing. A file is read when two looks have found it the same, so that what is still
    written to is not read in the middle; it is read once, whatever it is called again. A file that changes
    after that, and one that is gone or changes while it is read, is a dead letter
    (``beam_obs.UnreadFile``). Records have the time of the look that gave their file.

    Args:
      read: e.g. ``obs.ReadFromCsv("gs://bucket/in/*.csv")``.
      interval: seconds between two looks.
      start_timestamp: time of the first look; by default when this is made.
      stop_timestamp: time from which on there is no look, so that the stream ends; by default never. The last
        look gives the files that are there as they are.
      settles: whether a file is read only when two looks have found it the same. False where files get their
        names once they are whole: they are read at once.
      on_changed: what comes of a file whose content is another after it was read: ``"dead_letter"``;
        ``"again"`` reads all of it again, as a file of another version; ``"ignore"`` does nothing.

    Raises:
      UsageError: it gets no read of ours, or arguments do not fit together.

    >>> import apache_beam as beam, pathlib, time
    >>> import beam_obs as obs
    >>> _ = pathlib.Path("trips-1.csv").write_text("city\\nrome\\n")
    >>> with beam.Pipeline("DirectRunner", argv=["--streaming"]) as p:
    ...     read = obs.ReadContinuously(
    ...         obs.ReadFromCsv("trips-*.csv"), interval=0.5, stop_timestamp=time.time() + 1
    ...     )
    ...     _ = p | "trips" >> read | beam.Map(print)
    {'city': 'rome'}
    """

    role = READ

    def __init__(
        self,
        read: beam.PTransform,
        interval: float = 60.0,
        *,
        start_timestamp: Any = None,
        stop_timestamp: Any = MAX_TIMESTAMP,
        settles: bool = True,
        on_changed: str = DEAD_LETTER,
    ) -> None:
        super().__init__()
        self._made_at = made_at(self)
        at = f"obs.ReadContinuously at {self._made_at}"
        if isinstance(read, NamedPTransform):
            self.label, read = read.label, read.transform
        if not isinstance(read, FileRead):
            raise UsageError(
                f"{at} got {read!r}: give a read of files of ours, e.g. "
                "obs.ReadContinuously(obs.ReadFromCsv('in/*.csv'), interval=30)"
            )
        if not isinstance(interval, (int, float)) or not 0 < interval < math.inf:
            raise UsageError(f"{at} got interval={interval!r}: give seconds between two looks, more than 0")
        if on_changed not in ON_CHANGED:
            raise UsageError(
                f"{at} got on_changed={on_changed!r}: give one of {', '.join(map(repr, ON_CHANGED))}"
            )
        start = Timestamp.now() if start_timestamp is None else _time(start_timestamp, "start_timestamp", at)
        stop = _time(stop_timestamp, "stop_timestamp", at)
        if stop <= start:
            raise UsageError(f"{at}: there is no time between start_timestamp and stop_timestamp {stop}")
        self._read = read
        self._looks = Looks(float(interval), start, stop, given_flag(settles, "settles"), on_changed)
        self.stamps_lineage = read.stamps_lineage
        """Whether records leave with lineage attributes; Stages look for it upstream."""

    def default_label(self) -> str:
        """The label of the read."""
        return str(self._read.default_label())

    def with_dead_letters(self) -> Self:
        """Returns this transform with two results: records, and dead letters, as that of the read."""
        result = copy.copy(self)
        result._read = self._read.with_dead_letters()
        return result

    def expand(self, pbegin: Any) -> Any:
        """Applies the read to a pipeline."""
        read = self._read.continuously(self._looks)
        read.label = self.label
        return read.expand(pbegin)


def _time(given: Any, argument: str, at: str) -> Timestamp:
    try:
        return Timestamp.of(given)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{at} got {argument}={given!r}: give seconds since 1970, or a Timestamp of Beam's"
        ) from error

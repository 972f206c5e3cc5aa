"""The files of a stream: records are grouped by window and shard, and each group is written by one step.

Beam's own write takes what its steps wrote as side inputs, which hold one pane of a window and no more. Here
a file has its last name by what its group is, window, shard and pane, so that nothing needs to be known of
the other files: a bundle that is tried again writes the same files over again, whole, and no pane another's.
What a runner gives behind a GroupByKey has to be the same on a second try, as of those that commit it.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import random
import re
import uuid
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam import typehints
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.trigger import AccumulationMode
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindows,
    IntervalWindow,
    SlidingWindows,
    WindowFn,
)
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.io.writes.counted_files import CountedWriter, WrittenFile, noted
from beam_obs.records.errors import UsageError
from beam_obs.records.job_of_worker import job_of_worker
from beam_obs.records.manifest import short_hash
from beam_obs.stages.observed_pardo import own_output
from beam_obs.wrapper.refusal import EVIDENCE_TAG
from beam_obs.wrapper.role import WRITES_FILES, Ours
from beam_obs.wrapper.stateless_dofn import StatelessDoFn
from beam_obs.wrapper.windowing_par_do import WindowingParDo

LATE_SECONDS = 86_400
"""How long windows of the write's own take what is late, in event time."""

_SECOND_MICROS = 1_000_000
_TIMES: dict[type, tuple[str, ...]] = {
    FixedWindows: ("size", "offset"),
    SlidingWindows: ("size", "period", "offset"),
}
"""What windows begin and end by."""
_UUID = re.compile(r"%\(uuid\)\w+")
_WINDOW = re.compile(r"%\(window(_utc)?\)\w+")
_UTC = "%Y-%m-%dT%H-%M-%S"
_LOGGER = logging.getLogger(__name__)


class WriteStreamFiles(Ours):
    """Writes the encoded records of a stream to files; gives their names as text.

    Each record is in one file of each window that it is in. Panes are as the user's trigger makes them, and
    hold what came since the one before, whatever its accumulation.

    Args:
      sink: a `CountedSink`.
      stage: full label of the write; None where manifests are not kept.
    """

    role = WRITES_FILES

    def __init__(self, sink: Any, stage: str | None) -> None:
        super().__init__()
        self._sink = sink
        self._stage = stage

    def expand(self, encoded: Any) -> Any:
        """Applies the write.

        Raises:
          UsageError: windows are global and no `triggering_frequency` is given, or the names of files would
            not tell windows apart.
        """
        windowing = _windows_of_files(encoded.windowing, self._sink)
        shards = max(1, self._sink.num_shards)
        # A uuid of its own for each attempt would be a file of its own for each attempt.
        seed = uuid.uuid4().hex if _UUID.search(self._sink.shard_name_format) else ""
        is_anew = windowing.windowfn is not encoded.windowing.windowfn
        shard = _Shard(shards, windowing.windowfn) if is_anew else _ShardInItsWindow(shards)
        write = _WriteGroup(self._sink, shards, windowing.windowfn.get_window_coder(), seed, self._stage)
        return (
            encoded
            | "Shard" >> WindowingParDo(shard, windowing).with_output_types(typehints.KV[int, bytes])
            | "Group" >> beam.GroupByKey()
            | "Files" >> beam.ParDo(write).with_output_types(str)
        )


def manifests_of(names: Any) -> Any:
    """Returns the manifests of the files that `WriteStreamFiles` named, in the global window.

    Args:
      names: as it gave them, where it has a stage; it was applied in the innermost transform.
    """
    notes = own_output(names, names.pipeline._current_transform(), EVIDENCE_TAG)
    notes.element_type = str
    notes._windowing = Windowing(GlobalWindows())
    return notes


def _windows_of_files(windowing: Windowing, sink: Any) -> Windowing:
    """Returns how records are grouped into files: as the user has it, or by `triggering_frequency`."""
    if sink.triggering_frequency:
        # What the user's own windows took, however late, is not to be late here.
        late = max(LATE_SECONDS, float(windowing.allowed_lateness))
        windowing = Windowing(FixedWindows(sink.triggering_frequency), allowed_lateness=late)
    elif isinstance(windowing.windowfn, GlobalWindows):
        raise UsageError(
            "a stream in the global window is written in windows of so many seconds: give "
            "triggering_frequency=60, or put it into windows first"
        )
    if not _tells_windows_apart(sink.shard_name_format, windowing.windowfn):
        raise UsageError(
            f"shard_name_template={sink.shard_name_template!r} does not tell the windows of a stream apart: "
            "each would write over the files of the one before. Give '-W-SSSSS-of-NNNNN', or leave it out"
        )
    return Windowing(
        windowing.windowfn,
        windowing.triggerfn,
        AccumulationMode.DISCARDING,
        windowing.timestamp_combiner,
        windowing.allowed_lateness,
        windowing.environment_id,
    )


def _tells_windows_apart(shard_name_format: str, windowfn: Any) -> bool:
    if "%(window)" in shard_name_format or "%(uuid)" in shard_name_format:
        return True
    # Times in UTC are of whole seconds.
    times = _TIMES.get(type(windowfn), ())
    are_whole = all(getattr(windowfn, time).micros % _SECOND_MICROS == 0 for time in times)
    return "%(window_utc)" in shard_name_format and bool(times) and are_whole


class _ShardInItsWindow(StatelessDoFn):
    """Gives records under the numbers of shards, in turn.

    Args:
      shards: how many there are.
    """

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def start_bundle(self) -> None:
        self._next = random.randrange(self._shards)

    def process(self, record: bytes) -> list[Any]:
        """Gives one record in the window that it is in."""
        self._next = (self._next + 1) % self._shards
        return [(self._next, record)]


class _Shard(_ShardInItsWindow):
    """Gives records under the numbers of shards, in fixed windows.

    Args:
      shards: how many there are.
      windows: what puts a record into its window, by its time.
    """

    def __init__(self, shards: int, windows: FixedWindows) -> None:
        super().__init__(shards)
        self._windows = windows

    def process(self, record: bytes, timestamp: Any = beam.DoFn.TimestampParam) -> list[Any]:
        """Gives one record in the window of its time."""
        self._next = (self._next + 1) % self._shards
        windows = self._windows.assign(WindowFn.AssignContext(timestamp, record))
        return [WindowedValue((self._next, record), timestamp, windows)]


class _WriteGroup(StatelessDoFn):
    """Writes a group of records to files; gives their names, and their manifests beside them.

    Args:
      sink: opens files and names them.
      shards: how many there are.
      windows: coder of the windows of groups.
      seed: of the uuids in names of files, where they have any.
      stage: full label of the write; None where manifests are not kept.
    """

    def __init__(self, sink: Any, shards: int, windows: Any, seed: str, stage: str | None) -> None:
        self.sink = sink  # as Beam's own have it
        self._shards = shards
        self._windows = windows
        self._seed = seed
        self._stage = stage

    def display_data(self) -> dict[str, Any]:
        """Returns what the sink displays."""
        return {"sink_dd": self.sink}

    def process(
        self,
        group: tuple[int, Iterable[bytes]],
        window: Any = beam.DoFn.WindowParam,
        pane: Any = beam.DoFn.PaneInfoParam,
    ) -> Iterator[Any]:
        """Writes the records of one pane of one shard; none is no file."""
        shard, records = group
        written = self._written(records)
        with contextlib.closing(written):
            for part, temporary in enumerate(written):
                name = self._last_name(shard, window, pane.index, part)
                _give_last_name(str(temporary), name)
                FileSystems.report_sink_lineage(name)
                yield name
                if self._stage is not None:
                    file = WrittenFile.of(name, temporary.records, temporary.digest)
                    yield TaggedOutput(EVIDENCE_TAG, noted(self._stage, file))

    def _written(self, records: Iterable[bytes]) -> Generator[WrittenFile, None, None]:
        """Writes records to files in a folder for the time being; gives each when it is whole."""
        folder: str | None = None
        writer: CountedWriter | None = None
        try:
            for record in records:
                if writer is None:
                    folder = folder or self.sink.initialize_write()
                    writer = self.sink.open_writer(folder, uuid.uuid4().hex)
                writer.write(record)
                if writer.at_capacity():
                    whole, writer = writer.close(), None
                    yield whole
            if writer is not None:
                whole, writer = writer.close(), None
                yield whole
        finally:
            if folder is not None:
                _remove(folder, writer)

    def _last_name(self, shard: int, window: Any, pane: int, part: int) -> str:
        """Returns the name of a file, the same on each attempt.

        Panes behind the first, and files behind the first of a pane, have a number at the end of what stands
        for the template.
        """
        named = copy.copy(self.sink)
        named.shard_name_format, more = self._of_window(window)
        more += (f"-pane-{pane}" if pane else "") + (f"-part-{part}" if part else "")
        # Jobs that are started from one classic template have the seed in common.
        content = f"{self._seed} {job_of_worker() or ''} {window} {shard}{more}"
        of_file = str(uuid.uuid5(uuid.NAMESPACE_OID, content).int)
        named.shard_name_format = _UUID.sub(of_file, named.shard_name_format) + more
        name: str = named._get_final_name(shard, self._shards)
        return name

    def _of_window(self, window: Any) -> tuple[str, str]:
        """Returns the format of names with a window in it, and what tells it from others of the same text."""
        texts = {"window": str(window), "window_utc": _in_utc(window)}
        named = _WINDOW.sub(lambda part: (part[0] % texts).replace("%", "%%"), self.sink.shard_name_format)
        own = type(window) is not IntervalWindow
        return named, f"-{short_hash(self._windows.encode(window))}" if own else ""


def _in_utc(window: Any) -> str:
    """Returns a window as Beam's sinks show it, in UTC; as text where it has no such times."""
    try:
        times = [time.to_utc_datetime().strftime(_UTC) for time in (window.start, window.end)]
    except (OverflowError, NotImplementedError):
        return str(window)
    return f"[{', '.join(times)})"


def _give_last_name(temporary: str, name: str) -> None:
    """Renames a file; what a lost attempt has written is written over."""
    try:
        FileSystems.rename([temporary], [name])
    except BeamIOError:
        if not (FileSystems.exists(temporary) and FileSystems.exists(name)):
            raise
        FileSystems.delete([name])  # HDFS writes nothing over
        FileSystems.rename([temporary], [name])


def _remove(folder: str, unfinished: CountedWriter | None) -> None:
    """Removes a folder for the time being, with what was not finished in it."""
    try:
        if unfinished is not None:
            with contextlib.suppress(Exception):
                unfinished.close()
            if FileSystems.exists(unfinished.temp_shard_path):
                FileSystems.delete([unfinished.temp_shard_path])
        FileSystems.delete([folder])
    except OSError as error:
        _LOGGER.info("%s was not removed: %s", folder, error)

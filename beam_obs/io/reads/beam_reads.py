"""Beam's own reads of files, woven: each record with the origin that its place in its file gives it.

Beam's sources of files claim a place before they give what lies there: text and TFRecord the offset of
each record, Avro and Parquet that of each block. The last place claimed is where a record lies. Lines of text
leave in blocks, for a step behind to pass them on one by one: what a splittable DoFn gives costs Beam more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.range_trackers import OffsetRangeTracker, UnsplittableRangeTracker
from apache_beam.pvalue import TaggedOutput

from beam_obs.beam_private import (
    FastAvroSource,
    ParquetSource,
    SDFBoundedSourceRestrictionProvider,
    SingleFileSource,
    TextSource,
    TFRecordSource,
)
from beam_obs.files.file_state import FileState, state_of
from beam_obs.files.file_version import changed_while_read, file_version
from beam_obs.files.found_files import as_text, fixed_part
from beam_obs.io.reads.text_blocks import reads_in_blocks, text_blocks
from beam_obs.records.block_position import INDEX_BITS
from beam_obs.records.known_partitions import ANY_RUN, note_partition
from beam_obs.records.manifest import Manifest
from beam_obs.records.origin import Partition
from beam_obs.woven.source_origins import SourceOrigins, Stamper
from beam_obs.woven.tallying import Tallying
from beam_obs.wrapper.element_forms import LISTED, PLAIN, ROWS, WOVEN, Ends, pack, unpack
from beam_obs.wrapper.stateless_dofn import StatelessDoFn
from beam_obs.wrapper.untyped import Untyped

BYTES, BLOCKS = "bytes", "blocks"
_FORMATS: tuple[tuple[type, str, str], ...] = (
    (TextSource, "text", BYTES),
    (TFRecordSource, "tfrecord", BYTES),
    (FastAvroSource, "avro", BLOCKS),
    (ParquetSource, "parquet", BLOCKS),
)


class _Place(NamedTuple):
    """The file that is read, and how its records are placed in it."""

    path: str
    pattern: str
    name: str
    state: FileState
    partition: Partition
    format: str
    positions: str


class _Read(Tallying, Untyped, beam.DoFn):
    """A read that gives origins.

    Args:
      label: full label of the read.
      gives: form of its records; `LISTED` for blocks of them: their origins, and themselves.
      source: how records are stamped that no place is known of.
    """

    def __init__(self, label: str, gives: str, source: SourceOrigins) -> None:
        self._label = label
        self._gives = gives
        self._source = source
        self.run = ANY_RUN
        """Id of the run, where it is known."""

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(PLAIN, self._gives)

    def start_bundle(self) -> None:
        """Starts to count records of the same content."""
        super().start_bundle()
        self._stamper = Stamper(self._source)

    def _located(self, source: Any, ranges: Any, path: str | None = None) -> Iterator[Any]:
        """Gives the records of a source with their origins, and names of their files where they are asked
        for; then the account of what was read."""
        place, offsets = _place(source, self._label, self.run), _offsets(ranges)
        start, count = ranges.start_position(), 0
        woven, tracer = _woven(source, ranges, place, offsets, self._stamper), self.tracer
        if tracer is not None and self._gives != LISTED:
            woven = tracer.each(woven)
        if self._gives == LISTED:
            began = time.time_ns()
            for origins, records in _blocks(source, ranges, place) or (((one,), [it]) for one, it in woven):
                if tracer is not None:
                    tracer.note_each(origins, began)
                count += len(records)
                yield (origins, records)
                began = time.time_ns()
        elif self._gives == WOVEN and path is None and self.tally is None:
            for count, element in enumerate(woven, 1):  # noqa: B007
                yield element
        else:
            note = None if self.tally is None else self.tally.gave
            for count, (origin, record) in enumerate(woven, 1):  # noqa: B007
                if note is not None:
                    note(origin)
                yield pack(self._gives, origin, record if path is None else (path, record))
        if place is not None and offsets is not None:
            account = _manifest(place, self._label, count, start, ranges.stop_position())
            account.details.update(changed_while_read(place.path, place.state))
            yield TaggedOutput(ROWS, account.to_json().encode())


class LocatedRead(_Read):
    """Reads what Beam's bounded sources hold, as Beam's own DoFn for them does, with origins."""

    def process(
        self,
        element: Any,
        tracker: Any = beam.DoFn.RestrictionParam(SDFBoundedSourceRestrictionProvider()),  # noqa: B008
    ) -> Iterator[Any]:
        """Gives the records of one range of a source."""
        restriction = tracker.current_restriction()
        return self._located(restriction.source(), restriction.range_tracker())


class UnsplitLocatedRead(_Read):
    """Reads each file in one go, for runners that cannot run splittable DoFns of several outputs."""

    def process(self, source: Any) -> Iterator[Any]:
        """Gives the records of a source."""
        for part in source.split(float("inf")):
            ranges = part.source.get_range_tracker(part.start_position, part.stop_position)
            yield from self._located(part.source, ranges)


class LocatedRangeRead(_Read):
    """Reads ranges of files whose names come with a PCollection, as Beam's ``ReadAllFiles`` does.

    Args:
      label: full label of the read.
      takes: form of the ranges.
      gives: form of its records.
      source: how records are stamped that no place is known of.
      reader: Beam's own DoFn.
    """

    def __init__(self, label: str, takes: str, gives: str, source: SourceOrigins, reader: Any) -> None:
        super().__init__(label, gives, source)
        self._takes = takes
        self._reader = reader

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(self._takes, self._gives)

    def process(self, element: Any) -> Iterator[Any]:
        """Gives the records of one range of a file."""
        metadata, file_range = unpack(self._takes, element)[1]
        sources = list(self._reader._source_from_file(metadata.path).split(float("inf")))
        if not sources:
            return
        path = metadata.path if self._reader._with_filename else None
        yield from self._located(sources[0].source, file_range.new_tracker(), path)


class PassOnBlocks(Tallying, StatelessDoFn):
    """Passes on the records of blocks, one by one.

    Args:
      gives: form of the records.
    """

    def __init__(self, gives: str) -> None:
        self._gives = gives

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(LISTED, self._gives)

    def process(self, block: tuple[Sequence[bytes], list[Any]]) -> Iterable[Any]:
        """Gives the records of a block."""
        if self.tally is not None:
            self.tally.gave_each(block[0])
        woven = zip(*block, strict=True)
        return woven if self._gives == WOVEN else [pack(self._gives, *one) for one in woven]


def _blocks(source: Any, ranges: Any, place: _Place | None) -> Iterator[tuple[Sequence[bytes], Any]] | None:
    """Returns the records of a source in blocks, with their origins; None where they have to be read one by
    one."""
    if place is None or not reads_in_blocks(source._file_based_source):
        return None
    blocks = text_blocks(source._file_based_source, source._file_name, ranges)
    return ((place.partition.origin_tuple(starts), lines) for starts, lines in blocks)


def _woven(
    source: Any, ranges: Any, place: _Place | None, offsets: Any, stamper: Stamper
) -> Iterator[tuple[bytes, Any]]:
    """Gives the records of a source with their origins."""
    if place is None or offsets is None:
        for record in source.read(ranges):
            yield stamper.stamp(record), record
        return
    origin = place.partition.origin_of_each()
    if place.positions == BYTES:
        for record in source.read(ranges):
            yield origin(offsets.last_record_start), record
        return
    block, index = -1, -1
    for record in source.read(ranges):
        claimed = offsets.last_record_start
        block, index = claimed, index + 1 if claimed == block else 0
        yield origin((max(block, 0) << INDEX_BITS) + index), record


def _offsets(ranges: Any) -> Any:
    """Returns the range tracker that knows the last offset that was claimed, or None."""
    inner = ranges._range_tracker if isinstance(ranges, UnsplittableRangeTracker) else ranges
    return inner if isinstance(inner, OffsetRangeTracker) else None


def _place(source: Any, label: str, run: str) -> _Place | None:
    """Returns where a source's records lie; None where that is not known."""
    if not isinstance(source, SingleFileSource):
        return None
    reader = source._file_based_source
    found = next((rest for kind, *rest in _FORMATS if isinstance(reader, kind)), None)
    if found is None and source._splittable:
        # Another source may give several records for a claim, or claim nothing.
        return None
    format, positions = found or (type(reader).__name__, BLOCKS)
    path = source._file_name
    state = state_of(path)
    if state is None:
        return None
    pattern = str(reader._pattern.get())
    start = fixed_part(pattern)
    name = as_text(path[len(start) :] if path.startswith(start) else path)
    path = path if "://" in path else os.path.abspath(path)
    partition = Partition(name, file_version(path, state), wide=positions == BLOCKS)
    note_partition(partition, as_text(path), run, label, positions)
    return _Place(path, pattern, name, state, partition, format, positions)


def _manifest(place: _Place, label: str, count: int, start: int, stop: int) -> Manifest:
    size = place.state.size
    whole = start == 0 and (stop >= size or stop == OffsetRangeTracker.OFFSET_INFINITY)
    stop = size if whole else int(min(stop, size))
    path = as_text(place.path)
    return Manifest(
        kind="inputs",
        stage=label,
        file=path if whole else f"{path}#bytes={start}-{stop}",
        count=count,
        details={
            "path": path,
            "name": place.name,
            "version": place.partition.version,
            "partition": f"{place.partition.code:08x}",
            "size": size,
            "start": start,
            "stop": stop,
            "bytes": stop - start,
            "dead": 0,
            "positions": place.positions,
            "format": place.format,
            "pattern": place.pattern,
        },
    )

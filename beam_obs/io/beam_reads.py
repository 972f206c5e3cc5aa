"""Beam's own reads of files, woven: each record with the origin that its place in its file gives it.

Beam's sources of files claim a place before they give what lies there: text and TFRecord the offset of
each record, Avro and Parquet that of each block. The last place claimed is where a record lies.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io import avroio, parquetio, textio, tfrecordio
from apache_beam.io.filebasedsource import _SingleFileSource
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.iobase import _SDFBoundedSourceRestrictionProvider
from apache_beam.io.range_trackers import OffsetRangeTracker
from apache_beam.pvalue import TaggedOutput

from beam_obs.io.file_version import file_version
from beam_obs.io.found_files import fixed_part
from beam_obs.records.block_position import INDEX_BITS
from beam_obs.records.manifest import Manifest
from beam_obs.records.origin import Partition
from beam_obs.wrapper.traced_forms import ROWS, pack, unpack
from beam_obs.wrapper.traced_source import Source, Stamper

BYTES, BLOCKS = "bytes", "blocks"
_FORMATS: tuple[tuple[type, str, str], ...] = (
    (textio._TextSource, "text", BYTES),
    (tfrecordio._TFRecordSource, "tfrecord", BYTES),
    (avroio._FastAvroSource, "avro", BLOCKS),
    (parquetio._ParquetSource, "parquet", BLOCKS),
)


class _Place(NamedTuple):
    """The file that is read, and how its records are placed in it."""

    path: str
    pattern: str
    name: str
    size: int
    partition: Partition
    format: str
    positions: str


class _Read(beam.DoFn):
    """A read that gives origins.

    Args:
      label: full label of the read.
      gives: form of its records.
      source: how records are stamped that no place is known of.
    """

    def __init__(self, label: str, gives: str, source: Source) -> None:
        self._label = label
        self._gives = gives
        self._source = source

    def start_bundle(self) -> None:
        """Starts to count records of the same content."""
        self._stamper = Stamper(self._source)

    def _located(self, source: Any, ranges: Any) -> Iterator[Any]:
        return _located(source, ranges, self._label, functools.partial(pack, self._gives), self._stamper)


class LocatedRead(_Read):
    """Reads what Beam's bounded sources hold, as Beam's own DoFn for them does, with origins."""

    def process(
        self,
        element: Any,
        tracker: Any = beam.DoFn.RestrictionParam(_SDFBoundedSourceRestrictionProvider()),  # noqa: B008
    ) -> Iterator[Any]:
        """Gives the records of one range of a source."""
        restriction = tracker.current_restriction()
        yield from self._located(restriction.source(), restriction.range_tracker())


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

    def __init__(self, label: str, takes: str, gives: str, source: Source, reader: Any) -> None:
        super().__init__(label, gives, source)
        self._takes = takes
        self._reader = reader

    def process(self, element: Any) -> Iterator[Any]:
        """Gives the records of one range of a file."""
        metadata, file_range = unpack(self._takes, element)[1]
        sources = list(self._reader._source_from_file(metadata.path).split(float("inf")))
        if not sources:
            return
        path, gives = metadata.path, self._gives
        if self._reader._with_filename:

            def packed(origin: bytes, record: Any) -> Any:
                return pack(gives, origin, (path, record))
        else:
            packed = functools.partial(pack, gives)
        yield from _located(sources[0].source, file_range.new_tracker(), self._label, packed, self._stamper)


def _located(
    source: Any, ranges: Any, label: str, packed: Callable[[bytes, Any], Any], stamper: Stamper
) -> Iterator[Any]:
    """Gives the records of a source with their origins, then the account of what was read."""
    place = _place(source)
    claims = None if place is None else _Claims.on(ranges)
    if place is None or claims is None:
        for record in source.read(ranges):
            yield packed(stamper.stamp(record), record)
        return
    origin, count, start = place.partition.origin_of_each(), 0, ranges.start_position()
    is_bytes = place.positions == BYTES
    for record in source.read(ranges):
        position = claims.position if is_bytes else (claims.position << INDEX_BITS) + claims.index
        claims.index += 1
        count += 1
        yield packed(origin(position), record)
    yield TaggedOutput(ROWS, _manifest(place, label, count, start, ranges.stop_position()).to_json().encode())


class _Claims:
    """The last place that was claimed, and how many records it has given."""

    def __init__(self, ranges: Any) -> None:
        self.position = 0
        self.index = 0
        self._try_claim = ranges.try_claim

    @classmethod
    def on(cls, ranges: Any) -> _Claims | None:
        """Returns what notes the claims on a range tracker; None where it lets nobody."""
        claims = cls(ranges)
        try:
            # On the object itself: a source may ask for its class.
            ranges.try_claim = claims.try_claim
        except AttributeError:
            return None
        return claims

    def try_claim(self, position: Any) -> bool:
        claimed: bool = self._try_claim(position)
        if claimed:
            self.position, self.index = position, 0
        return claimed


def _place(source: Any) -> _Place | None:
    """Returns where a source's records lie; None where that is not known."""
    if not isinstance(source, _SingleFileSource):
        return None
    reader = source._file_based_source
    found = next((rest for kind, *rest in _FORMATS if isinstance(reader, kind)), None)
    if found is None and source._splittable:
        # Another source may give several records for a claim, or claim nothing.
        return None
    format, positions = found or (type(reader).__name__, BLOCKS)
    path = source._file_name
    stat = _stat(path)
    if stat is None:
        return None
    size, modified = stat
    pattern = str(reader._pattern.get())
    start = fixed_part(pattern)
    name = path[len(start) :] if path.startswith(start) else path
    path = path if "://" in path else os.path.abspath(path)
    partition = Partition(name, file_version(path, size, modified), wide=positions == BLOCKS)
    return _Place(path, pattern, name, size, partition, format, positions)


@functools.lru_cache(maxsize=4096)
def _stat(path: str) -> tuple[int, float] | None:
    found = FileSystems.match([path])[0].metadata_list
    if not found:
        return None
    return found[0].size_in_bytes, float(found[0].last_updated_in_seconds or 0)


def _manifest(place: _Place, label: str, count: int, start: int, stop: int) -> Manifest:
    whole = start == 0 and (stop >= place.size or stop == OffsetRangeTracker.OFFSET_INFINITY)
    stop = place.size if whole else int(min(stop, place.size))
    return Manifest(
        kind="inputs",
        stage=label,
        file=place.path if whole else f"{place.path}#bytes={start}-{stop}",
        count=count,
        details={
            "path": place.path,
            "name": place.name,
            "version": place.partition.version,
            "partition": f"{place.partition.code:08x}",
            "size": place.size,
            "start": start,
            "stop": stop,
            "bytes": stop - start,
            "dead": 0,
            "positions": place.positions,
            "format": place.format,
            "pattern": place.pattern,
        },
    )

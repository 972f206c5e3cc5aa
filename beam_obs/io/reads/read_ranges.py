"""What the DoFns behind reads of files have in common: ranges, refused files, stamps, manifests."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy
from apache_beam.io.restriction_trackers import OffsetRange
from apache_beam.pvalue import TaggedOutput

from beam_obs.files.file_state import FileState, state_of
from beam_obs.files.file_version import changed_while_read, file_version
from beam_obs.files.found_files import FoundFile
from beam_obs.io.lines.line_reader import BLOCK_BYTES
from beam_obs.io.reads.file_ranges import FileRanges
from beam_obs.io.reads.read_blocks import ReadBlock
from beam_obs.io.refused_input import refuse_bytes
from beam_obs.records.bad_input import BadFile, FileChanged, UnreadFile
from beam_obs.records.errors import RefusedRecord
from beam_obs.records.known_partitions import note_partition
from beam_obs.records.lineage_attributes import LineageAttributes, utc_now
from beam_obs.records.manifest import Manifest
from beam_obs.records.origin import POSITION_BITS, Partition
from beam_obs.records.run_context import RunContext
from beam_obs.records.wanted_places import WantedPlaces
from beam_obs.wrapper.failure import type_name
from beam_obs.wrapper.redaction import Redaction
from beam_obs.wrapper.stateless_dofn import StatelessDoFn

EVIDENCE_TAG = "beam_obs_evidence"
"""Tag of the output that carries manifests."""

_LARGEST = {True: 2**POSITION_BITS, False: 2**30}
"""Bytes of the largest file, by whether it can be split, none of whose positions is too wide for an origin.
A compressed file may hold a thousand times as much as it takes."""


class ReadSettings(NamedTuple):
    """How a read treats what it finds.

    Args:
      stage: full label of the read.
      context: the run.
      keeps_dead_letters: whether refusals have a home; if not, they are raised.
      notes_inputs: whether manifests of what was read leave.
      stamp: whether records get their lineage attributes.
      fails_on_bad_file: whether a file that is refused as a whole fails the job.
      block_bytes: how much is read at a time.
      redaction: what of refused records may be kept; None for all.
      files_arrive: whether files come while the job runs: one that is gone or changes is refused then.
    """

    stage: str
    context: RunContext
    keeps_dead_letters: bool
    notes_inputs: bool
    stamp: bool
    fails_on_bad_file: bool
    block_bytes: int = BLOCK_BYTES
    redaction: Redaction | None = None
    files_arrive: bool = False


class RangeProgress:
    """What a call of `process` has done so far with its range."""

    def __init__(self, file: FoundFile) -> None:
        self.file = file
        self.records = 0
        self.dead = 0
        self.bytes = 0
        self.details: dict[str, Any] = {}
        """What the manifest is to tell of the file beside what it tells of all."""


class ReadRanges(StatelessDoFn, abc.ABC):
    """Reads files range by range where they can be split, else in one go.

    Args:
      settings: how to treat what is found.
    """

    positions = "bytes"
    """What positions count: bytes of the file; or ``blocks``, see `beam_obs.records.block_position`; or
    ``files``, which are one record each."""

    multiline: bool | None = None
    """Whether a row of text may take more than one line; None where records are no rows."""

    gives_records = False
    """For the weave: what leaves are blocks."""

    def __init__(self, settings: ReadSettings) -> None:
        self._settings = settings
        self._tells_origins = False

    def tell_origins(self) -> None:
        """Lets blocks tell the origins of their records; the weave asks for it."""
        self._tells_origins = True

    def setup(self) -> None:
        """Makes what is not pickled."""

    _opened: tuple[FoundFile, Partition] | None = None
    """The file of the range at hand, of which the version is asked once, and the partition that it is."""

    def process(
        self,
        file: FoundFile,
        tracker: Any = beam.DoFn.RestrictionParam(FileRanges()),  # noqa: B008 - Beam's way
    ) -> Iterator[Any]:
        """Gives the records of one range of a file, in blocks."""
        if self._settings.files_arrive:
            yield from self._read_arrived(file, tracker)
        else:
            yield from self._read(file, tracker)

    def _read_arrived(self, file: FoundFile, tracker: Any) -> Iterator[Any]:
        """Gives the records of a file that came: to fail by it would hold up those that come."""
        if file.refused:
            if tracker.try_claim(0):
                yield from self._refuse_unread(file, file.refused)
            return
        try:
            yield from self._read(file, tracker)
        except (FileChanged, FileNotFoundError) as error:
            tracker.try_claim(tracker.current_restriction().stop)  # a runner asks whether all is claimed
            yield from self._refuse_unread(file, f"{file.path} changed or was gone when it was read: {error}")

    def _read(self, file: FoundFile, tracker: Any) -> Iterator[Any]:
        claimed: OffsetRange = tracker.current_restriction()
        file = file._replace(state=state_of(file.location))
        progress = RangeProgress(file)
        blocks: Iterator[Any] = iter(())
        if file.is_splittable:
            blocks = self._read_range(progress, tracker, claimed)
        elif tracker.try_claim(0):
            blocks = self._read_whole(progress)
        yield from blocks if file.wanted is None else _only(file.wanted, blocks, progress)
        if self._settings.notes_inputs:
            # What a split left to others is no longer in the range.
            kept = tracker.current_restriction()
            yield TaggedOutput(EVIDENCE_TAG, self._manifest(progress, kept).to_json())

    @abc.abstractmethod
    def _read_range(self, progress: RangeProgress, tracker: Any, claimed: OffsetRange) -> Iterator[Any]:
        """Gives the records whose places lie in a range, in blocks."""

    @abc.abstractmethod
    def _read_whole(self, progress: RangeProgress) -> Iterator[Any]:
        """Gives the records of a file that cannot be split, in blocks."""

    def _refuse_file(
        self, progress: RangeProgress, error: BadFile, raw: bytes, position: int = 0
    ) -> Iterator[Any]:
        refused = self._refused(progress.file, error, raw, position)
        progress.dead += 1
        yield refused

    def _refuse_unread(self, file: FoundFile, why: str) -> Iterator[Any]:
        """Refuses a file that came, of which not all was read."""
        yield self._refused(file, UnreadFile(why))

    def _refused(
        self, file: FoundFile, error: BadFile, raw: bytes = b"", position: int | None = None
    ) -> ReadBlock:
        """Returns the refusal of a file, or of a part of it.

        Args:
          file: the file.
          error: what is wrong with it.
          raw: what could be read of it.
          position: where that stands; None where nothing of the file was read.
        """
        settings = self._settings
        if settings.fails_on_bad_file:
            raise error
        if not settings.keeps_dead_letters:
            raise RefusedRecord(settings.stage, f"{type_name(error)}: {error}") from error
        refusal = refuse_bytes(
            raw,
            error,
            settings.stage,
            origin=None if position is None else self._partition(file).origin(position).hex(),
            source_uri=file.path,
            position=position,
            redaction=settings.redaction,
        )
        return ReadBlock([], [refusal], len(raw))

    def _partition(self, file: FoundFile) -> Partition:
        if self._opened is None or self._opened[0] is not file:
            wide = self.positions == "blocks" or file.size > _LARGEST[file.is_splittable]
            version = file_version(file.location, file.state or FileState(file.size, 0))
            partition = Partition(file.name, version, wide=wide)
            note_partition(
                partition, file.path, self._settings.context.run, self._settings.stage, self.positions
            )
            self._opened = file, partition
        return self._opened[1]

    def _origins(self, file: FoundFile, places: Sequence[int] | numpy.ndarray) -> tuple[bytes, ...] | None:
        """Returns the origins of records that leave; None where they are not to be told.

        Args:
          file: that holds them.
          places: of the records, shape (n,).
        """
        if not self._tells_origins:
            return None
        return self._partition(file).origin_tuple(places)

    def _lineage(self, file: FoundFile, places: Sequence[int]) -> list[LineageAttributes]:
        context = self._settings.context
        partition = self._partition(file)
        run, pipeline, code, uri = context.run, context.pipeline, context.code, file.path
        version, now = partition.version, utc_now()
        return [
            {
                "origin": origin,
                "run": run,
                "pipeline": pipeline,
                "code": code,
                "source_uri": uri,
                "source_version": version,
                "position": place,
                "stamped_at": now,
            }
            for origin, place in zip(partition.hex_origins(places), places, strict=True)
        ]

    def _manifest(self, progress: RangeProgress, kept: OffsetRange) -> Manifest:
        file = progress.file
        whole = not file.is_splittable or (kept.start == 0 and kept.stop == file.size)
        partition = self._partition(file)
        return Manifest(
            kind="inputs",
            stage=self._settings.stage,
            file=file.path if whole else f"{file.path}#bytes={kept.start}-{kept.stop}",
            count=progress.records,
            details={
                "path": file.path,
                "name": file.name,
                "version": partition.version,
                "partition": f"{partition.code:08x}",
                "wide": partition.wide,
                "size": file.size,
                "start": 0 if whole else kept.start,
                "stop": file.size if whole else kept.stop,
                "bytes": progress.bytes,
                "dead": progress.dead,
                "positions": self.positions,
            }
            | ({} if self.multiline is None else {"multiline": self.multiline})
            | progress.details
            | changed_while_read(file.location, file.state),
        )


def _only(wanted: WantedPlaces, blocks: Iterator[Any], progress: RangeProgress) -> Iterator[ReadBlock]:
    """Gives of blocks what is wanted; what is not is as if it had not been read."""
    for block in blocks:
        if block.records and block.origins is None:
            raise AssertionError("which records are wanted can be told by their origins alone")
        holds = [wanted.holds(origin) for origin in block.origins or ()]
        records = list(itertools.compress(block.records, holds))
        refusals = [one for one in block.refusals if one.origin and wanted.holds(bytes.fromhex(one.origin))]
        progress.records -= len(block.records) - len(records)
        progress.dead -= len(block.refusals) - len(refusals)
        origins = None if block.origins is None else tuple(itertools.compress(block.origins, holds))
        yield ReadBlock(records, refusals, block.bytes, origins)


class ReadUnsplit(StatelessDoFn):
    """Reads each file in one go, for runners that cannot run splittable DoFns.

    Args:
      reader: what reads.
    """

    gives_records = False

    def __init__(self, reader: ReadRanges) -> None:
        self._reader = reader

    def tell_origins(self) -> None:
        """Lets blocks tell the origins of their records."""
        self._reader.tell_origins()

    def setup(self) -> None:
        """Makes what is not pickled."""
        self._reader.setup()

    def process(self, file: FoundFile) -> Iterator[Any]:
        """Gives the records of a file, in blocks."""
        ranges = FileRanges()
        yield from self._reader.process(file, ranges.create_tracker(ranges.initial_restriction(file)))

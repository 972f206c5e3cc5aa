"""The splittable DoFn behind reads of files of blocks: Avro's, and Parquet's row groups.

A block is claimed by its byte offset before its records leave, so it belongs to the range in which its
first byte lies. What is damaged in a block costs the rest of that block, and no other.
"""

from __future__ import annotations

import abc
import contextlib
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy
from apache_beam.io.restriction_trackers import OffsetRange

from beam_obs.files.decompression import open_stream
from beam_obs.files.found_files import FoundFile
from beam_obs.io.reads.read_blocks import ReadBlock
from beam_obs.io.reads.read_ranges import RangeProgress, ReadRanges, ReadSettings
from beam_obs.io.refused_input import refuse_bytes, refuse_values
from beam_obs.records.bad_input import (
    BadFile,
    BadInput,
    CorruptBlock,
)
from beam_obs.records.block_position import BlockPosition, block_position
from beam_obs.records.errors import RefusedRecord
from beam_obs.records.lineage_attributes import LineageAttributes
from beam_obs.wrapper.failure import type_name
from beam_obs.wrapper.refusal import Refusal

KEPT_BYTES = 1 << 20
"""How much of a damaged block a dead letter keeps."""

MakeRecords = Callable[
    [Sequence[Any], "Sequence[LineageAttributes] | None"], tuple[list[Any], list[tuple[int, BadInput]]]
]
"""Makes the records of values, and tells the numbers of those that are refused, and why."""


class BlockValues(NamedTuple):
    """Some of what a block holds, one behind the other.

    Args:
      values: the values; of those that cannot be had, what a dead letter may keep instead.
      refused: numbers of those, in order, and why.
    """

    values: list[Any]
    refused: Sequence[tuple[int, BadInput]] = ()


class ContainerBlock(NamedTuple):
    """A block of a file.

    Args:
      offset: of its first byte.
      size: bytes.
      values: gives what it holds, some at a time; raises `CorruptBlock` where it is damaged.
      raw: gives its first bytes, at most `KEPT_BYTES`.
    """

    offset: int
    size: int
    values: Callable[[], Iterator[BlockValues]]
    raw: Callable[[], bytes]


class Container(Protocol):
    """An open file of blocks."""

    def blocks(self, start: int, stop: int | None) -> Iterator[ContainerBlock]:
        """Gives the blocks whose first bytes lie in [start, stop), of the whole file with None.

        Raises:
          DamagedCompression: what a compressed file holds ends too early.
        """


class ContainerFormat(abc.ABC):
    """A kind of file of blocks; pickled with the read."""

    @abc.abstractmethod
    def head(self, stream: Any, file: FoundFile) -> Any:
        """Returns what must be known of a file before its blocks can be read; it is kept for other ranges.

        Raises:
          BadFile: the file is refused as a whole.
        """

    @abc.abstractmethod
    def open(self, stream: Any, file: FoundFile, head: Any) -> Container:
        """Returns the file's blocks.

        Args:
          stream: at any place of a file that can be split, at the start of another.
          file: the file.
          head: what `head` gave.
        """


class ReadContainers(ReadRanges):
    """Reads files of blocks.

    Args:
      format: of the files.
      make: makes records of what blocks hold.
      settings: how to treat what is found.
    """

    positions = "blocks"

    def __init__(self, format: ContainerFormat, make: MakeRecords, settings: ReadSettings) -> None:
        super().__init__(settings)
        self._format = format
        self._make = make

    def setup(self) -> None:
        """Makes what is not pickled."""
        self._heads: dict[FoundFile, Any] = {}

    def _read_range(self, progress: RangeProgress, tracker: Any, claimed: OffsetRange) -> Iterator[Any]:
        file, start, stop = progress.file, claimed.start, claimed.stop
        last_claimed = start - 1
        stream = open_stream(file.location, file.compression)
        try:
            try:
                head = self._head(stream, file)
            except BadFile as error:
                if start == 0 and (file.size == 0 or (stop > 0 and tracker.try_claim(0))):
                    yield from self._refuse_file(progress, error, b"")
                if stop > 1:
                    tracker.try_claim(stop - 1)
                return
            if start >= stop:
                return
            for block in self._format.open(stream, file, head).blocks(start, stop):
                last_claimed = block.offset
                if not tracker.try_claim(last_claimed):
                    return
                yield from self._records(progress, block)
        finally:
            stream.close()
        if last_claimed < stop - 1:
            tracker.try_claim(stop - 1)

    def _read_whole(self, progress: RangeProgress) -> Iterator[Any]:
        file, behind = progress.file, 0
        try:
            # A compressed stream cannot go back, and its head was read from it.
            with contextlib.closing(open_stream(file.location, file.compression)) as stream:
                head = self._format.head(stream, file)
            with contextlib.closing(open_stream(file.location, file.compression)) as stream:
                for block in self._format.open(stream, file, head).blocks(0, None):
                    yield from self._records(progress, block)
                    behind = block.offset + block.size
        except BadFile as error:
            yield from self._refuse_file(progress, error, b"", BlockPosition(behind, 0).number)

    def _head(self, stream: Any, file: FoundFile) -> Any:
        head = self._heads.get(file)
        if head is None:
            if len(self._heads) > 100:
                self._heads.clear()
            head = self._heads[file] = self._format.head(stream, file)
        return head

    def _records(self, progress: RangeProgress, block: ContainerBlock) -> Iterator[ReadBlock]:
        file = progress.file
        done = 0
        size = block.size
        try:
            for values, unreadable in block.values():
                first = BlockPosition(block.offset, done).number
                records, refused = self._made(file, first, values, unreadable)
                origins = None
                if self._tells_origins:
                    origins = self._origins(file, _places(first, len(values), refused))
                letters = self._refusals(file, first, values, refused) if refused else []
                done += len(values)
                progress.records += len(records)
                progress.dead += len(letters)
                progress.bytes += size
                yield ReadBlock(records, letters, size, origins)
                size = 0
        except CorruptBlock as error:
            progress.dead += 1
            progress.bytes += size
            refusal = self._refuse_block(file, block, done, error)
            yield ReadBlock([], [refusal], size)

    def _made(
        self, file: FoundFile, first: int, values: list[Any], unreadable: Sequence[tuple[int, BadInput]]
    ) -> tuple[list[Any], list[tuple[int, BadInput]]]:
        """Makes the records of values; returns them, and the numbers of those that are refused, and why."""
        kept: Sequence[int] = range(len(values))
        places: Sequence[int] = range(first, first + len(values))
        readable = values
        if unreadable:
            gone = {number for number, _ in unreadable}
            kept = [number for number in kept if number not in gone]
            places = [first + number for number in kept]
            readable = [values[number] for number in kept]
        lineage = None
        if self._settings.stamp and readable:
            lineage = self._lineage(file, places)
        records, refused = self._make(readable, lineage)
        if unreadable:
            refused = [*unreadable, *((kept[number], error) for number, error in refused)]
            refused.sort(key=operator.itemgetter(0))
        return records, refused

    def _refusals(
        self, file: FoundFile, first: int, values: list[Any], refused: list[tuple[int, BadInput]]
    ) -> list[Refusal]:
        settings = self._settings
        if not settings.keeps_dead_letters:
            number, error = refused[0]
            raise _refused_record(settings.stage, file, block_position(first + number), error) from error
        partition = self._partition(file)
        return [
            refuse_values(
                values[number],
                error,
                settings.stage,
                origin=partition.origin(first + number).hex(),
                source_uri=file.path,
                position=first + number,
                redaction=settings.redaction,
            )
            for number, error in refused
        ]

    def _refuse_block(
        self, file: FoundFile, block: ContainerBlock, done: int, error: CorruptBlock
    ) -> Refusal:
        settings, place = self._settings, BlockPosition(block.offset, done)
        if not settings.keeps_dead_letters:
            raise _refused_record(settings.stage, file, place, error) from error
        return refuse_bytes(
            block.raw(),
            error,
            settings.stage,
            origin=self._partition(file).origin(place.number).hex(),
            source_uri=file.path,
            position=place.number,
            redaction=settings.redaction,
        )


def _places(first: int, count: int, refused: list[tuple[int, BadInput]]) -> numpy.ndarray:
    places = numpy.arange(first, first + count, dtype=numpy.uint64)
    return numpy.delete(places, [number for number, _ in refused]) if refused else places


def _refused_record(stage: str, file: FoundFile, place: BlockPosition, error: BadInput) -> RefusedRecord:
    where = f"{file.path}, record {place.record} of the block at byte {place.block}"
    return RefusedRecord(stage, f"{where}: {type_name(error)}: {error}")

"""The splittable DoFn behind every read of files: claims, blocks, refusals, stamps, manifests.

A range is claimed block by block, before the block's records leave, by the offset of its last byte:
so a runner can split what was not claimed, and a record belongs to the range its first byte lies in.
"""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange
from apache_beam.pvalue import TaggedOutput

from beam_obs.io.bad_input import BadFile, BadInput, refuse_bytes
from beam_obs.io.decompression import open_stream
from beam_obs.io.file_head import FileHead, HeadReader
from beam_obs.io.file_ranges import FileRanges
from beam_obs.io.file_version import file_version
from beam_obs.io.found_files import FoundFile
from beam_obs.io.line_encoding import LineEncoding
from beam_obs.io.line_reader import BLOCK_BYTES, LineBlock, LineReader, cut_at, seek_first_line
from beam_obs.io.parsed_lines import BadLines, LineParser
from beam_obs.io.read_blocks import ReadBlock
from beam_obs.records.errors import RefusedRecord
from beam_obs.records.lineage_attributes import LineageAttributes, utc_now
from beam_obs.records.manifest import Manifest
from beam_obs.records.origin import Partition
from beam_obs.records.run_context import RunContext
from beam_obs.wrapper.failure import type_name
from beam_obs.wrapper.refusal import Refusal

EVIDENCE_TAG = "beam_obs_evidence"
"""Tag of the output that carries manifests."""


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
    """

    stage: str
    context: RunContext
    keeps_dead_letters: bool
    notes_inputs: bool
    stamp: bool
    fails_on_bad_file: bool
    block_bytes: int = BLOCK_BYTES


class RecordFormat(abc.ABC):
    """What a kind of file holds; pickled with the read."""

    multiline = False
    """Whether a row may take more than one line."""

    @property
    @abc.abstractmethod
    def heads(self) -> HeadReader:
        """Reads the start of a file."""

    @abc.abstractmethod
    def parser(self, head: FileHead) -> LineParser:
        """Returns what finds the rows of a file that starts with `head`."""

    def common_columns(self, files: list[FoundFile]) -> tuple[str, ...] | None:
        """Returns the columns that every file of a pattern must have, or None."""
        return None

    @abc.abstractmethod
    def records(
        self, rows: list[Any], head: FileHead, lineage: Sequence[LineageAttributes] | None
    ) -> tuple[list[Any], list[tuple[int, BadInput]]]:
        """Returns the records of `rows`, and the numbers of the rows that are refused, and why.

        Args:
          rows: what the parser found.
          head: of the file.
          lineage: the attributes to stamp on each, or None.
        """


class _Progress:
    """What a call of `process` has done so far with its range."""

    def __init__(self, file: FoundFile) -> None:
        self.file = file
        self.records = 0
        self.dead = 0
        self.bytes = 0


class ReadRecords(beam.DoFn):
    """Reads files as `RecordFormat` says.

    Args:
      format: what the files hold.
      settings: how to treat them.
    """

    def __init__(self, format: RecordFormat, settings: ReadSettings) -> None:
        self._format = format
        self._settings = settings

    def setup(self) -> None:
        """Makes what is not pickled."""
        self._heads: dict[FoundFile, FileHead] = {}
        self._parsers: dict[Any, LineParser] = {}

    def process(
        self,
        file: FoundFile,
        tracker: Any = beam.DoFn.RestrictionParam(FileRanges()),  # noqa: B008 - Beam's way
    ) -> Iterator[Any]:
        """Gives the records of one range of a file, in blocks."""
        claimed: OffsetRange = tracker.current_restriction()
        progress = _Progress(file)
        if file.is_splittable:
            yield from self._read_range(progress, tracker, claimed)
        elif tracker.try_claim(0):
            yield from self._read_whole(progress)
        if self._settings.notes_inputs:
            # What a split left to others is no longer in the range.
            kept = tracker.current_restriction()
            yield TaggedOutput(EVIDENCE_TAG, self._manifest(progress, kept).to_json())

    def _head(self, file: FoundFile) -> FileHead:
        head = self._heads.get(file)
        if head is None:
            if len(self._heads) > 1000:
                self._heads.clear()
            head = self._heads[file] = self._format.heads.read(file)
        return head

    def _parser(self, head: FileHead) -> LineParser:
        key = (head.encoding, head.columns)
        parser = self._parsers.get(key)
        if parser is None:
            parser = self._parsers[key] = self._format.parser(head)
        return parser

    def _read_range(self, progress: _Progress, tracker: Any, claimed: OffsetRange) -> Iterator[Any]:
        file, start, stop = progress.file, claimed.start, claimed.stop
        last_claimed = start - 1
        head = self._head(file)
        if head.problem is not None:
            if start == 0 and (file.size == 0 or (stop > 0 and tracker.try_claim(0))):
                yield from self._refuse_file(progress, head.problem, head.raw)
            if stop > 1:
                tracker.try_claim(stop - 1)
            return
        if start >= stop:
            return
        stream = open_stream(file.path, file.compression)
        try:
            if start <= head.start:
                first = min(head.start, stop)
                if first < stop:
                    stream.seek(first)
            else:
                first = seek_first_line(stream, head.encoding, start, stop, file.size)
            reader = LineReader(stream, head.encoding, first, stop, file.size, self._settings.block_bytes)
            parser = self._parser(head)
            while (block := reader.next_block()) is not None:
                last_claimed = block.end - 1
                if not tracker.try_claim(last_claimed):
                    kept = cut_at(
                        head.encoding, block.data, tracker.current_restriction().stop - block.offset
                    )
                    if block.offset < tracker.current_restriction().stop:
                        block = block._replace(data=block.data[: kept or len(block.data)])
                        yield from self._records(progress, head, parser, block)
                    return
                yield from self._records(progress, head, parser, block)
        finally:
            stream.close()
        if last_claimed < stop - 1:
            tracker.try_claim(stop - 1)

    def _read_whole(self, progress: _Progress) -> Iterator[Any]:
        file = progress.file
        try:
            head = self._head(file)
        except BadFile as error:
            yield from self._refuse_file(progress, error, b"")
            return
        if head.problem is not None:
            yield from self._refuse_file(progress, head.problem, head.raw)
            return
        stream = open_stream(file.path, file.compression)
        try:
            reader = LineReader(stream, head.encoding, 0, block_bytes=self._settings.block_bytes)
            reader.skip(head.start)
            parser = self._parser(head)
            while (block := reader.next_block()) is not None:
                left = yield from self._records(progress, head, parser, block)
                if left:
                    reader.give_back(left)
            if reader.failure is not None:
                yield from self._refuse_file(progress, reader.failure, reader.rest, reader.offset)
        finally:
            stream.close()

    def _records(self, progress: _Progress, head: FileHead, parser: LineParser, block: LineBlock) -> Any:
        """Gives the records of a block of lines; returns the bytes that are to be seen again."""
        settings = self._settings
        parsed = parser.parse(block.data, block.final)
        rows, numbers, refused = parsed.records, parsed.line_numbers, parsed.refused
        starts: Sequence[int] | None = None
        lineage = None
        if settings.stamp and rows:
            starts = _line_starts(head.encoding, block)
            places = starts[: len(rows)] if numbers is None else [starts[number] for number in numbers]
            lineage = self._lineage(progress.file, places)
        records, bad_rows = self._format.records(rows, head, lineage)
        if bad_rows:
            refused = refused + [
                BadLines(
                    at if numbers is None else numbers[at],
                    self._lines_of(at, numbers, head, block, parsed.lines_left),
                    error,
                )
                for at, error in bad_rows
            ]
        left = b""
        if parsed.lines_left:
            starts = starts or _line_starts(head.encoding, block)
            left = block.data[starts[-parsed.lines_left] - block.offset :]
        letters: list[Refusal] = []
        if refused:
            letters = self._refusals(progress.file, head, block, refused, starts)
        progress.records += len(records)
        progress.dead += len(letters)
        progress.bytes += len(block.data) - len(left)
        yield ReadBlock(records, letters, len(block.data) - len(left))
        return left

    def _lines_of(
        self, at: int, numbers: Sequence[int] | None, head: FileHead, block: LineBlock, left: int
    ) -> int:
        """How many lines row `at` takes: more than one only where quoted fields hold newlines."""
        if numbers is None or not self._format.multiline:
            return 1
        if at + 1 < len(numbers):
            return numbers[at + 1] - numbers[at]
        return max(1, len(_line_starts(head.encoding, block)) - left - numbers[at])

    def _refusals(
        self,
        file: FoundFile,
        head: FileHead,
        block: LineBlock,
        refused: list[BadLines],
        starts: Sequence[int] | None,
    ) -> list[Refusal]:
        if not self._settings.keeps_dead_letters:
            error = refused[0].error
            starts = starts or _line_starts(head.encoding, block)
            where = f"{file.path} at byte {starts[refused[0].line]}"
            raise RefusedRecord(self._settings.stage, f"{where}: {type_name(error)}: {error}") from error
        starts = starts or _line_starts(head.encoding, block)
        ends = (*starts[1:], block.end)
        places = [starts[bad.line] for bad in refused]
        origins = self._partition(file).hex_origins(places)
        letters = []
        for bad, place, origin in zip(refused, places, origins, strict=True):
            raw = block.data[place - block.offset : ends[bad.line + bad.lines - 1] - block.offset]
            raw = head.encoding.without_line_end(raw.removesuffix(head.encoding.delimiter))
            letters.append(
                refuse_bytes(
                    raw, bad.error, self._settings.stage, origin=origin, source_uri=file.path, position=place
                )
            )
        return letters

    def _refuse_file(
        self, progress: _Progress, error: BadFile, raw: bytes, position: int = 0
    ) -> Iterator[Any]:
        settings, file = self._settings, progress.file
        if settings.fails_on_bad_file:
            raise error
        if not settings.keeps_dead_letters:
            raise RefusedRecord(settings.stage, f"{type_name(error)}: {error}") from error
        progress.dead += 1
        origin = self._partition(file).origin(position).hex()
        refusal = refuse_bytes(
            raw, error, settings.stage, origin=origin, source_uri=file.path, position=position
        )
        yield ReadBlock([], [refusal], len(raw))

    def _partition(self, file: FoundFile) -> Partition:
        return Partition(file.name, file_version(file.path, file.size, file.modified))

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

    def _manifest(self, progress: _Progress, kept: OffsetRange) -> Manifest:
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
                "size": file.size,
                "start": 0 if whole else kept.start,
                "stop": file.size if whole else kept.stop,
                "bytes": progress.bytes,
                "dead": progress.dead,
            },
        )


class ReadUnsplit(beam.DoFn):
    """Reads each file in one go, for runners that cannot run splittable DoFns.

    Args:
      reader: what reads.
    """

    def __init__(self, reader: ReadRecords) -> None:
        self._reader = reader

    def setup(self) -> None:
        """Makes what is not pickled."""
        self._reader.setup()

    def process(self, file: FoundFile) -> Iterator[Any]:
        """Gives the records of a file, in blocks."""
        ranges = FileRanges()
        yield from self._reader.process(file, ranges.create_tracker(ranges.initial_restriction(file)))


def _line_starts(encoding: LineEncoding, block: LineBlock) -> list[int]:
    """Returns the offset in the file of each line of a block."""
    lines = encoding.split(block.data)
    if not lines[-1]:
        lines.pop()
    step = len(encoding.delimiter)
    lengths = itertools.accumulate((len(line) + step for line in lines[:-1]), initial=block.offset)
    return list(lengths)

"""The splittable DoFn behind every read of files: claims, blocks, refusals, stamps, manifests.

A range is claimed block by block, before the block's records leave, by the offset of its last byte:
so a runner can split what was not claimed, and a record belongs to the range its first byte lies in.
"""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy
from apache_beam.io.restriction_trackers import OffsetRange

from beam_obs.files.decompression import open_stream
from beam_obs.files.found_files import FoundFile
from beam_obs.io.lines.file_head import FileHead, HeadReader
from beam_obs.io.lines.line_encoding import LineEncoding
from beam_obs.io.lines.line_reader import LineBlock, LineReader, cut_at, seek_first_line
from beam_obs.io.lines.parsed_lines import BadLines, LineParser, MadeRecords
from beam_obs.io.reads.read_blocks import ReadBlock
from beam_obs.io.reads.read_ranges import RangeProgress, ReadRanges, ReadSettings
from beam_obs.io.refused_input import refuse_bytes
from beam_obs.records.bad_input import BadFile
from beam_obs.records.errors import RefusedRecord
from beam_obs.records.lineage_attributes import LineageAttributes
from beam_obs.wrapper.failure import type_name
from beam_obs.wrapper.refusal import Refusal


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
    ) -> MadeRecords:
        """Returns the records of `rows`, and the numbers of the rows of which none are made.

        Args:
          rows: what the parser found.
          head: of the file.
          lineage: the attributes to stamp on each, or None.
        """

    def taken_apart(self, row: Any, head: FileHead) -> dict[str, Any] | None:
        """Returns a refused row with its fields by name, so that some can be left out; None where it has
        none that can be told apart."""
        return None


class ReadRecords(ReadRanges):
    """Reads files as `RecordFormat` says.

    Args:
      format: what the files hold.
      settings: how to treat them.
    """

    def __init__(self, format: RecordFormat, settings: ReadSettings) -> None:
        super().__init__(settings)
        self._format = format
        self.multiline = format.multiline

    def setup(self) -> None:
        """Makes what is not pickled."""
        self._heads: dict[FoundFile, FileHead] = {}
        self._parsers: dict[Any, LineParser] = {}

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

    def _read_range(self, progress: RangeProgress, tracker: Any, claimed: OffsetRange) -> Iterator[Any]:
        file, start, stop = progress.file, claimed.start, claimed.stop
        last_claimed = start - 1
        head = self._head(file)
        if head.problem is not None:
            if start == 0 and (file.size == 0 or (stop > 0 and tracker.try_claim(0))):
                yield from self._refuse_file(progress, head.problem, head.raw)
            if stop > 1:
                tracker.try_claim(stop - 1)
            return
        progress.details = head.places
        if start >= stop:
            return
        stream = open_stream(file.location, file.compression)
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

    def _read_whole(self, progress: RangeProgress) -> Iterator[Any]:
        file = progress.file
        try:
            head = self._head(file)
        except BadFile as error:
            yield from self._refuse_file(progress, error, b"")
            return
        if head.problem is not None:
            yield from self._refuse_file(progress, head.problem, head.raw)
            return
        progress.details = head.places
        stream = open_stream(file.location, file.compression)
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

    def _records(self, progress: RangeProgress, head: FileHead, parser: LineParser, block: LineBlock) -> Any:
        """Gives the records of a block of lines; returns the bytes that are to be seen again."""
        settings = self._settings
        parsed = parser.parse(block.data, block.final)
        rows, numbers, refused = parsed.records, parsed.line_numbers, parsed.refused
        starts: numpy.ndarray | None = None
        lineage = places = origins = None
        if rows and (settings.stamp or self._tells_origins):
            starts = _line_starts(head.encoding, block)
            places = starts[: len(rows)] if numbers is None else starts[numpy.asarray(numbers)]
            if settings.stamp:
                lineage = self._lineage(progress.file, places.tolist())
        records, bad_rows, left_out = self._format.records(rows, head, lineage)
        if places is not None:
            gone = [*(number for number, _ in bad_rows), *left_out]
            origins = self._origins(progress.file, numpy.delete(places, gone) if gone else places)
        if bad_rows:
            refused = refused + [
                BadLines(
                    at if numbers is None else numbers[at],
                    self._lines_of(at, numbers, head, block, parsed.lines_left),
                    error,
                    None if settings.redaction is None else self._format.taken_apart(rows[at], head),
                )
                for at, error in bad_rows
            ]
        left = b""
        if parsed.lines_left:
            starts = _line_starts(head.encoding, block) if starts is None else starts
            left = block.data[starts[-parsed.lines_left] - block.offset :]
        letters: list[Refusal] = []
        if refused:
            letters = self._refusals(progress.file, head, block, refused, starts)
        progress.records += len(records)
        progress.dead += len(letters)
        progress.bytes += len(block.data) - len(left)
        yield ReadBlock(records, letters, len(block.data) - len(left), origins)
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
        line_starts: numpy.ndarray | None,
    ) -> list[Refusal]:
        starts = (_line_starts(head.encoding, block) if line_starts is None else line_starts).tolist()
        if not self._settings.keeps_dead_letters:
            error = refused[0].error
            where = f"{file.path} at byte {starts[refused[0].line]}"
            raise RefusedRecord(self._settings.stage, f"{where}: {type_name(error)}: {error}") from error
        ends = (*starts[1:], block.end)
        places = [starts[bad.line] for bad in refused]
        origins = self._partition(file).hex_origins(places)
        letters = []
        for bad, place, origin in zip(refused, places, origins, strict=True):
            raw = block.data[place - block.offset : ends[bad.line + bad.lines - 1] - block.offset]
            raw = head.encoding.without_line_end(raw.removesuffix(head.encoding.delimiter))
            letters.append(
                refuse_bytes(
                    raw,
                    bad.error,
                    self._settings.stage,
                    origin=origin,
                    source_uri=file.path,
                    position=place,
                    redaction=self._settings.redaction,
                    record=bad.record,
                )
            )
        return letters


def _line_starts(encoding: LineEncoding, block: LineBlock) -> numpy.ndarray:
    """Returns the offset in the file of each line of a block, shape (lines,)."""
    if encoding.width == len(encoding.delimiter) == 1:
        # A third of the time that splitting takes.
        is_end = numpy.frombuffer(block.data, dtype=numpy.uint8) == encoding.delimiter[0]
        starts = numpy.flatnonzero(is_end) + (block.offset + 1)
        ends_whole = block.data.endswith(encoding.delimiter)
        return numpy.concatenate(([block.offset], starts[:-1] if ends_whole else starts))
    lines = encoding.split(block.data)
    if not lines[-1]:
        lines.pop()
    step = len(encoding.delimiter)
    lengths = itertools.accumulate((len(line) + step for line in lines[:-1]), initial=block.offset)
    return numpy.fromiter(lengths, dtype=numpy.int64)

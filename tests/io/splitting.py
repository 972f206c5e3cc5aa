"""Reads of a file that a runner splits at any time, without a runner."""

from __future__ import annotations

import pathlib
from typing import Any, NamedTuple

from apache_beam.io.restriction_trackers import OffsetRange
from apache_beam.runners.sdf_utils import RestrictionTrackerView, ThreadsafeRestrictionTracker

from beam_obs.files.found_files import FoundFile, find_files
from beam_obs.io.reads.file_ranges import FileRanges
from beam_obs.io.reads.read_blocks import ReadBlock
from beam_obs.io.reads.read_ranges import EVIDENCE_TAG, ReadSettings
from beam_obs.records.manifest import Manifest
from beam_obs.records.run_context import RunContext


def reader_of(read: Any, block_bytes: int = 1 << 15) -> Any:
    """Returns the DoFn behind a read, ready to run in a run with a store."""
    context = RunContext("p", "r", "c", "store")
    reader = read._reader(ReadSettings("read", context, True, True, True, False, block_bytes))
    reader.setup()
    return reader


def found(content: bytes, name: str) -> FoundFile:
    """Writes a file and returns it as a read finds it."""
    path = pathlib.Path(name).resolve()
    path.write_bytes(content)
    return find_files(str(path), "read")[0]


def read_whole(reader: Any, file: FoundFile) -> tuple[list[Any], list[Any], list[Manifest]]:
    """Returns records, refusals and manifests of a file read without splits."""
    return _read_range(reader, file, FileRanges().initial_restriction(file), [])


def read_split(
    reader: Any, file: FoundFile, range_bytes: int, fractions: list[float]
) -> tuple[list[Any], list[Any], list[Manifest]]:
    """Returns them of a file read in ranges, each of which is split after each block as `fractions` say."""
    file = file._replace(range_bytes=range_bytes)
    parts: tuple[list[Any], list[Any], list[Manifest]] = ([], [], [])
    for restriction in FileRanges().split(file, FileRanges().initial_restriction(file)):
        for mine, more in zip(parts, _read_range(reader, file, restriction, list(fractions)), strict=True):
            mine.extend(more)
    return parts


class Reading(NamedTuple):
    """How a file is read: bytes of a range, and where each is split after each block."""

    range_bytes: int
    fractions: list[float]


def read_blocks(reader: Any, file: FoundFile, reading: Reading) -> list[ReadBlock]:
    """Returns the blocks of a file read in ranges that are split on the way."""
    file = file._replace(range_bytes=reading.range_bytes)
    blocks: list[ReadBlock] = []
    for restriction in FileRanges().split(file, FileRanges().initial_restriction(file)):
        _read_range(reader, file, restriction, list(reading.fractions), blocks)
    return blocks


def check_ranges(manifests: list[Manifest], size: int) -> None:
    """Fails where the ranges that the manifests tell of are not the whole file."""
    assert len({manifest.file for manifest in manifests}) == len(manifests)
    edges = sorted((manifest.details["start"], manifest.details["stop"]) for manifest in manifests)
    edges = [(start, stop) for start, stop in edges if start < stop]
    assert [start for start, _ in edges] == [0, *(stop for _, stop in edges[:-1])]
    assert edges[-1][1] == size


def _read_range(
    reader: Any,
    file: FoundFile,
    restriction: OffsetRange,
    fractions: list[float],
    blocks: list[ReadBlock] | None = None,
) -> tuple[list[Any], list[Any], list[Manifest]]:
    tracker = FileRanges().create_tracker(restriction)
    records: list[Any] = []
    refusals: list[Any] = []
    manifests: list[Manifest] = []
    left: list[OffsetRange] = []
    view = RestrictionTrackerView(ThreadsafeRestrictionTracker(tracker))
    for output in reader.process(file, view):
        if not isinstance(output, ReadBlock):
            assert output.tag == EVIDENCE_TAG
            manifests.append(Manifest.from_json(output.value))
            continue
        if blocks is not None:
            blocks.append(output)
        records += output.records
        refusals += output.refusals
        if fractions:
            split = tracker.try_split(fractions.pop())
            if split is not None:
                left.append(split[1])
    tracker.check_done()
    for rest in left:
        for mine, more in zip(
            (records, refusals, manifests), _read_range(reader, file, rest, fractions, blocks), strict=True
        ):
            mine.extend(more)
    return records, refusals, manifests

"""A runner may split a range at any time: nothing is lost and nothing is read twice."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from apache_beam.io.restriction_trackers import OffsetRange
from apache_beam.runners.sdf_utils import RestrictionTrackerView, ThreadsafeRestrictionTracker
from hypothesis import given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.files.found_files import FoundFile, find_files
from beam_obs.io.lines.read_lines import ReadRecords
from beam_obs.io.reads.file_ranges import FileRanges
from beam_obs.io.reads.read_blocks import ReadBlock
from beam_obs.io.reads.read_ranges import EVIDENCE_TAG, ReadSettings
from beam_obs.records.manifest import Manifest
from beam_obs.records.run_context import RunContext


def _reader(block_bytes: int) -> ReadRecords:
    read = obs.ReadFromCsv("in.csv")
    context = RunContext("p", "r", "c", "store")
    reader = ReadRecords(read._format(), ReadSettings("read", context, True, True, True, False, block_bytes))
    reader.setup()
    return reader


def _file(content: bytes) -> FoundFile:
    path = pathlib.Path("in.csv").resolve()
    path.write_bytes(content)
    return find_files(str(path), "read")[0]


def _read(
    reader: ReadRecords, file: FoundFile, restriction: OffsetRange, fractions: list[float]
) -> tuple[list[int], list[int], list[Manifest]]:
    """Reads a range, splitting it after each block as `fractions` say, and then what was split off."""
    tracker = FileRanges().create_tracker(restriction)
    good, bad, manifests = [], [], []
    left: list[OffsetRange] = []
    view = RestrictionTrackerView(ThreadsafeRestrictionTracker(tracker))
    for output in reader.process(file, view):
        if not isinstance(output, ReadBlock):
            assert output.tag == EVIDENCE_TAG
            manifests.append(Manifest.from_json(output.value))
            continue
        good += [record["_lineage"]["position"] for record in output.records]
        bad += [refusal.position for refusal in output.refusals]
        if fractions:
            split = tracker.try_split(fractions.pop())
            if split is not None:
                left.append(split[1])
    tracker.check_done()
    for rest in left:
        for mine, more in zip((good, bad, manifests), _read(reader, file, rest, fractions), strict=True):
            mine.extend(more)  # type: ignore[arg-type]
    return good, bad, manifests


rows = st.lists(
    st.sampled_from(["1,2", "3", '"4,5', "a long value,another long value", "", "6,é"]),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(rows, st.booleans(), st.integers(1, 60), st.lists(st.floats(0, 1), max_size=20), st.integers(1, 200))
def test_any_splits_give_each_row_once(
    lines: list[str], ends: bool, block_bytes: int, fractions: list[float], range_bytes: int
) -> None:
    file = _file(("a,b\n" + "\n".join(lines) + ("\n" if ends else "")).encode())
    whole = _read(_reader(1 << 15), file, OffsetRange(0, file.size), [])

    file = file._replace(range_bytes=range_bytes)
    good, bad, manifests = [], [], []
    reader = _reader(block_bytes)
    for restriction in FileRanges().split(file, OffsetRange(0, file.size)):
        for mine, more in zip(
            (good, bad, manifests), _read(reader, file, restriction, list(fractions)), strict=True
        ):
            mine.extend(more)

    assert sorted(good) == whole[0]
    assert sorted(bad) == whole[1]
    assert sum(manifest.count for manifest in manifests) == len(good)
    assert len({manifest.file for manifest in manifests}) == len(manifests)
    edges = sorted((manifest.details["start"], manifest.details["stop"]) for manifest in manifests)
    edges = [(start, stop) for start, stop in edges if start < stop]
    assert [start for start, _ in edges] == [0, *(stop for _, stop in edges[:-1])]
    assert edges[-1][1] == file.size


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_a_split_before_the_first_block_refuses_a_bad_file_once(fraction: float) -> None:
    file = _file(b"a,a\n" + b"1,2\n" * 50)
    tracker = FileRanges().create_tracker(OffsetRange(0, file.size))
    split = tracker.try_split(fraction)
    assert split is not None

    outputs: list[Any] = []
    reader = _reader(16)
    for restriction in split:
        part = FileRanges().create_tracker(restriction)
        outputs += reader.process(file, RestrictionTrackerView(ThreadsafeRestrictionTracker(part)))
        part.check_done()

    refusals = [refusal for block in outputs if isinstance(block, ReadBlock) for refusal in block.refusals]
    assert [refusal.payload for refusal in refusals] == [b"a,a"]

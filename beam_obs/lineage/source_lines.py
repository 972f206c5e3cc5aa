"""A source record in its file: its lines among those beside them, shown only where the file is verified."""

from __future__ import annotations

from typing import NamedTuple

from beam_obs.lineage.opened_files import FileGone, present_state
from beam_obs.lineage.source_records import VERIFIED, SourceRecord, lines_of, read_source_record
from beam_obs.store.source_partition import SourcePartition

BESIDE = 2
_MOST_LINES = 20
"""Of one record."""

_MOST_BYTES = 8192
"""Of one line."""


class SourceLine(NamedTuple):
    """A line of a source file.

    Args:
      number: from 1.
      text: its beginning.
      left_out: bytes of it that `text` has not.
      is_of_record: whether it is of the record that was asked for.
    """

    number: int
    text: str
    left_out: int
    is_of_record: bool


def source_record_in_lines(
    partition: SourcePartition, position: int | None
) -> tuple[SourceRecord, tuple[SourceLine, ...]]:
    """Returns a source record, and its lines with two before and two after; none where it is not verified.

    Args:
      partition: what it is of.
      position: of it in the partition.
    """
    uri = partition.uri
    if uri is None or position is None:
        return read_source_record(partition, position), ()
    try:
        state = present_state(uri)
        record = read_source_record(partition, position)
        if record.state != VERIFIED or record.line is None:
            return record, ()
        own = 1 + (record.text or "").count("\n")
        found = _lines(uri, record.line, own)
        # All of these were read of one state of the file.
        return record, found if present_state(uri) == state else ()
    except FileGone:
        return read_source_record(partition, position), ()


def _lines(uri: str, line: int, own: int) -> tuple[SourceLine, ...]:
    lines = lines_of(uri)
    found: list[SourceLine] = []
    for number in range(max(1, line - BESIDE), line + min(own, _MOST_LINES) + BESIDE):
        start = lines.start_of(number)
        if start is None:
            break
        end = lines.content.find(b"\n", start)
        end = len(lines.content) if end < 0 else end
        shown = lines.content[start : min(end, start + _MOST_BYTES)]
        text = shown.decode("utf-8-sig" if start == 0 else "utf-8", "backslashreplace").rstrip("\r")
        found.append(SourceLine(number, text, max(0, end - start - _MOST_BYTES), line <= number < line + own))
    return tuple(found)

"""Records that span lines: which lines are a record together, by the digests of an output index."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from beam_obs.lineage.digest_search import found_digests
from beam_obs.lineage.numbered_lines import start_of_line
from beam_obs.records.record_content import growing_digests, output_digest

MOST_LINES = 200
"""A record of more lines is not found."""

_MOST_BYTES = 1 << 18


class Span(NamedTuple):
    """Lines of a file that are one record.

    Args:
      first: number of the first line, from 1.
      last: number of the last one.
      content: the record, without the end of its last line.
      digest: by which the output index knows it.
    """

    first: int
    last: int
    content: bytes
    digest: bytes


def spans_around(content: bytes, number: int, rows: bytes, row_bytes: int) -> list[Span]:
    """Returns the records of two lines or more that a line is a part of; mostly one or none.

    Args:
      content: what the file holds.
      number: of the line, from 1.
      rows: of the output index, each of which begins with a digest.
      row_bytes: size of a row.
    """
    at = start_of_line(content, number)
    if at is None:
        return []
    starts, ends = _starts(content, at), _ends(content, at)
    digests = b"".join(
        digest
        for start in starts
        for digest in growing_digests(content[begin:end] for begin, end in itertools.pairwise((start, *ends)))
    )
    found = []
    for before, after in (divmod(hit, len(ends)) for hit in found_digests(digests, rows, row_bytes)):
        if before or after:
            record = content[starts[before] : ends[after]]
            found.append(Span(number - before, number + after, record, output_digest(record)))
    return found


def _starts(content: bytes, at: int) -> list[int]:
    """Returns where the line at a byte begins, and those before it."""
    starts = [at]
    while starts[-1] > 0 and len(starts) < MOST_LINES and at - starts[-1] < _MOST_BYTES:
        starts.append(content.rfind(b"\n", 0, starts[-1] - 1) + 1)
    return starts


def _ends(content: bytes, at: int) -> list[int]:
    """Returns where the line at a byte ends, and those behind it."""
    ends: list[int] = []
    end = at - 1
    while end < len(content) and len(ends) < MOST_LINES and end - at < _MOST_BYTES:
        end = content.find(b"\n", end + 1)
        if end < 0:
            end = len(content)
        ends.append(end)
    return ends

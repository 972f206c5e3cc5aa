"""Records of several lines, found by the digests of an index."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from beam_obs.lineage.line_spans import MOST_LINES, spans_around
from beam_obs.records.record_content import output_digest

RECORDS = st.lists(st.text("ab\n", max_size=6), min_size=1, max_size=12)


def rows_of(records: list[str]) -> bytes:
    return b"".join(output_digest(record.encode()) + bytes(16) for record in records)


@given(RECORDS)
def test_each_line_finds_the_record_that_it_is_a_part_of(records: list[str]) -> None:
    content = "".join(f"{record}\n" for record in records).encode()
    number = 1
    for record in records:
        lines = record.count("\n") + 1
        for line in range(number, number + lines):
            spans = spans_around(content, line, rows_of(records), 24)
            found = {(span.first, span.last) for span in spans}
            assert lines == 1 or (number, number + lines - 1) in found
            assert all(span.content.decode() in records and span.first <= line <= span.last for span in spans)
        number += lines


def test_lines_that_are_records_of_their_own_are_part_of_no_other() -> None:
    content = b"".join(b"%d\n" % number for number in range(1000))
    rows = rows_of([str(number) for number in range(1000)])
    assert [spans_around(content, number, rows, 24) for number in (1, 500, 1000, 1001)] == [[], [], [], []]


def test_a_record_of_as_many_lines_as_are_looked_at_is_found_from_its_ends() -> None:
    record = "\n".join(map(str, range(MOST_LINES)))
    content = f"before\n{record}\nbehind\n".encode()
    for line in (2, MOST_LINES + 1):
        ((first, last, found, _),) = spans_around(content, line, rows_of([record]), 24)
        assert (first, last, found.decode()) == (2, MOST_LINES + 1, record)

"""Rows in bulk are those of `csv.reader`, and damage costs only the damaged rows."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.io.lines.csv_rows import CsvDialect, CsvParser
from beam_obs.io.lines.line_encoding import line_encoding
from beam_obs.io.lines.parsed_lines import ParsedLines
from beam_obs.records.errors import UsageError

values = st.text(st.sampled_from(list("ab,\"; 'é\\")), max_size=6)
dialects: list[dict[str, Any]] = [
    {},
    {"delimiter": ";"},
    {"quotechar": "'"},
    {"escapechar": "\\", "doublequote": False},
    {"skipinitialspace": True},
    {"quoting": csv.QUOTE_ALL},
    {"escapechar": "\\", "quoting": csv.QUOTE_NONE},
    {"strict": True},
]


def _parse(
    data: bytes, width: int, multiline: bool = False, final: bool = True, **dialect: Any
) -> ParsedLines:
    return CsvParser(line_encoding("utf-8")[0], CsvDialect(**dialect), width, multiline).parse(data, final)


def _written(rows: list[list[str]], end: str = "\n", **dialect: Any) -> bytes:
    file = io.StringIO()
    csv.writer(file, lineterminator=end, **dialect).writerows(rows)
    return file.getvalue().encode()


@given(
    st.lists(st.lists(values, min_size=3, max_size=3), max_size=8),
    st.sampled_from(dialects),
    st.sampled_from(["\n", "\r\n"]),
)
def test_rows_are_what_was_written(rows: list[list[str]], dialect: dict[str, Any], end: str) -> None:
    if dialect.get("skipinitialspace"):
        rows = [[value.strip() for value in row] for row in rows]
    parsed = _parse(_written(rows, end, **dialect), 3, **dialect)

    assert parsed.refused == []
    assert parsed.records == rows


@given(st.text(st.sampled_from(list('ab,"\n')), max_size=60))
def test_what_is_read_of_any_text_is_what_csv_reads_of_each_line(text: str) -> None:
    parsed = _parse(text.encode(), 2)

    expected_rows, expected_bad = [], []
    for number, line in enumerate(text.split("\n")):
        rows = list(csv.reader([line, ""]))
        if line and (len(rows) != 2 or len(rows[0]) != 2):
            expected_bad.append(number)
        elif line:
            expected_rows.append((number, rows[0]))
    numbers = parsed.line_numbers if parsed.line_numbers is not None else range(len(parsed.records))
    assert list(zip(numbers, parsed.records, strict=True)) == expected_rows
    assert [bad.line for bad in parsed.refused] == expected_bad


multiline_values = st.text(st.sampled_from(list('ab,"\n é')), max_size=6)


@given(
    st.lists(st.lists(multiline_values, min_size=2, max_size=2), max_size=8), st.sampled_from(["\n", "\r\n"])
)
def test_quoted_newlines_stay_in_their_field(rows: list[list[str]], end: str) -> None:
    parsed = _parse(_written(rows, end), 2, multiline=True)

    assert parsed.refused == []
    assert parsed.records == rows


@given(st.lists(st.lists(multiline_values, min_size=2, max_size=2), max_size=6), st.integers(0, 80))
def test_a_row_that_a_block_cuts_is_left_for_the_next(rows: list[list[str]], cut: int) -> None:
    data = _written(rows)
    lines = data.split(b"\n")[:-1]
    cut = min(cut, len(lines))
    first = b"".join(line + b"\n" for line in lines[:cut])

    head = _parse(first, 2, multiline=True, final=False)
    kept = cut - head.lines_left
    tail = _parse(b"".join(line + b"\n" for line in lines[kept:]), 2, multiline=True)

    assert head.refused + tail.refused == []
    assert head.records + tail.records == rows


def test_a_stray_quote_does_not_swallow_the_good_rows_behind_it() -> None:
    data = b'1,2\n3,"4\n5,6\n7,8\n' + b"9,10\n" * 1000

    parsed = _parse(data, 2)

    assert len(parsed.records) == 1003
    assert [(bad.line, bad.error.detail) for bad in parsed.refused] == [(1, "quote not closed")]


def test_a_stray_quote_costs_one_row_of_a_file_with_quoted_newlines_too() -> None:
    data = b'1,"a\nb"\n3,"4\n5,6\n7,"c\nd"\n9,10\n'

    parsed = _parse(data, 2, multiline=True)

    assert parsed.records == [["1", "a\nb"], ["5", "6"], ["7", "c\nd"], ["9", "10"]]
    assert [bad.line for bad in parsed.refused] == [2]


def test_a_stray_quote_on_the_last_line_is_refused() -> None:
    assert [bad.line for bad in _parse(b'1,2\n3,"4', 2).refused] == [1]
    assert [bad.line for bad in _parse(b'1,2\n3,"4', 2, multiline=True).refused] == [1]


@pytest.mark.parametrize("multiline", [False, True])
def test_undecodable_bytes_and_nul_bytes_cost_their_rows(multiline: bool) -> None:
    parsed = _parse(b"1,2\n3,\xff\n5,6\n\0\0\0\n7,8\n", 2, multiline)

    assert parsed.records == [["1", "2"], ["5", "6"], ["7", "8"]]
    assert [(bad.line, type(bad.error).__name__) for bad in parsed.refused] == [
        (1, "UndecodableBytes"),
        (3, "TornRow"),
    ]


@pytest.mark.parametrize("multiline", [False, True])
def test_rows_of_another_width_are_refused_and_blank_lines_left_out(multiline: bool) -> None:
    parsed = _parse(b"1,2\n\n3\n4,5,6\n7,8\n\n", 2, multiline)

    assert parsed.records == [["1", "2"], ["7", "8"]]
    assert [bad.error.detail for bad in parsed.refused] == ["too few columns", "too many columns"]
    assert str(parsed.refused[0].error) == "too few columns: row has 1, header has 2"


def test_blank_lines_of_a_single_column_are_no_rows() -> None:
    assert _parse(b'a\n\n""\nb\n', 1).records == [["a"], [""], ["b"]]


def test_a_field_longer_than_the_limit_costs_its_row() -> None:
    limit = csv.field_size_limit()

    parsed = _parse(b'1,2\n3,"' + b"x" * (limit + 1) + b'"\n5,6\n', 2)

    assert parsed.records == [["1", "2"], ["5", "6"]]
    assert [bad.line for bad in parsed.refused] == [1]


def test_a_carriage_return_inside_a_line_costs_its_row() -> None:
    assert [bad.line for bad in _parse(b"1,2\n3\r,4\n5,6\n", 2).refused] == [1]


@pytest.mark.parametrize(
    "dialect", [{"delimiter": ",,"}, {"quotechar": "ab"}, {"quoting": csv.QUOTE_NONNUMERIC}, {"quoting": 77}]
)
def test_a_dialect_that_is_none_is_refused(dialect: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        CsvDialect(**dialect)

"""Any cut of a file into ranges, and any size of blocks, gives each line once, at its place."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.io.lines.line_encoding import line_encoding
from beam_obs.io.lines.line_reader import LineReader, seek_first_line
from beam_obs.records.bad_input import FileChanged

contents = st.lists(
    st.sampled_from([b"", b"a", b"bb", b"\r", b"long line of text " * 3, b"\xff"]), max_size=12
).flatmap(lambda lines: st.sampled_from([b"\n".join(lines), b"\n".join([*lines, b""])]))


def _lines(content: bytes, delimiter: bytes) -> list[tuple[int, bytes]]:
    found, start = [], 0
    while start < len(content):
        end = content.find(delimiter, start)
        end = len(content) if end < 0 else end + len(delimiter)
        found.append((start, content[start:end]))
        start = end
    return found


def _read(
    content: bytes, start: int, stop: int, block_bytes: int, delimiter: bytes = b"\n"
) -> list[tuple[int, bytes]]:
    encoding = line_encoding("utf-8", delimiter=delimiter)[0]
    stream = io.BytesIO(content)
    first = seek_first_line(stream, encoding, start, stop, len(content)) if start else 0
    reader = LineReader(stream, encoding, first, stop, len(content), block_bytes)
    found = []
    while (block := reader.next_block()) is not None:
        found += [(block.offset + place, line) for place, line in _lines(block.data, delimiter)]
        assert block.final == (block.end == len(content))
    return found


@given(contents, st.lists(st.integers(0, 200), max_size=5), st.integers(1, 40))
def test_any_cut_gives_each_line_once(content: bytes, cuts: list[int], block_bytes: int) -> None:
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})

    found = [
        line for start, stop in itertools.pairwise(edges) for line in _read(content, start, stop, block_bytes)
    ]

    assert found == _lines(content, b"\n")


@given(
    st.lists(st.sampled_from([b"", b"a", b"-", b"b|", b"|"]), max_size=8),
    st.integers(0, 60),
    st.integers(1, 10),
)
def test_any_cut_gives_each_line_once_with_a_long_delimiter(
    parts: list[bytes], cut: int, block_bytes: int
) -> None:
    content = b"|-".join(parts)
    cut = min(cut, len(content))

    found = _read(content, 0, cut, block_bytes, b"|-") if cut else []
    found += (
        _read(content, cut, len(content), block_bytes, b"|-")
        if cut
        else _read(content, 0, len(content), block_bytes, b"|-")
    )

    assert found == _lines(content, b"|-")


def test_a_line_longer_than_many_blocks_is_whole() -> None:
    content = b"x" * 100_000 + b"\nshort\n"

    assert [len(line) for _, line in _read(content, 0, 3, 16)] == [100_001]
    assert _read(content, 3, len(content), 16) == [(100_001, b"short\n")]


def test_what_was_added_to_a_file_since_it_was_found_is_left_alone() -> None:
    encoding = line_encoding("utf-8")[0]
    reader = LineReader(io.BytesIO(b"a\nb\nadded\n"), encoding, 0, 4, 4)

    block = reader.next_block()

    assert block is not None
    assert block.data == b"a\nb\n"
    assert reader.next_block() is None


def test_a_file_that_became_shorter_is_an_error() -> None:
    reader = LineReader(io.BytesIO(b"a\n"), line_encoding("utf-8")[0], 0, 8, 8)

    with pytest.raises(FileChanged, match="ends at byte 2, but had 8"):
        reader.next_block()


@given(
    st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"\n")), st.integers(1, 20), st.integers(0, 5)
)
def test_lines_given_back_come_again_with_more(content: bytes, block_bytes: int, back: int) -> None:
    reader = LineReader(io.BytesIO(content), line_encoding("latin-1")[0], 0, block_bytes=block_bytes)
    found = b""
    while (block := reader.next_block()) is not None:
        kept = len(block.data)
        if not block.final and back:
            kept = max(0, kept - back)
            reader.give_back(block.data[kept:])
        assert block.offset == len(found)
        found += block.data[:kept]

    assert found == content

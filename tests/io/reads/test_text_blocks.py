"""Lines read in blocks are those that Beam's own source of text gives, however a file is split."""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.coders import BytesCoder, StrUtf8Coder
from apache_beam.io import source_test_utils
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.range_trackers import OffsetRangeTracker
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_obs.beam_private import TextSource
from beam_obs.io.reads import text_blocks as module
from beam_obs.io.reads.text_blocks import reads_in_blocks, text_blocks

CONTENTS = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bc", "é".encode(), b"# head\n"])).map(
    b"".join
)


class Blocks(TextSource):  # type: ignore[misc]
    """Beam's source of text, with its lines from blocks."""

    def read_records(self, file_name: str, range_tracker: Any) -> Iterator[Any]:
        for block in text_blocks(self, file_name, range_tracker):
            assert len(block.starts) == len(block.lines)
            yield from block.lines


def source(kind: type, path: Path, **changes: Any) -> Any:
    """Returns a source of text; Beam's by default settings of `ReadFromText`."""
    settings = {
        "min_bundle_size": 0,
        "compression_type": CompressionTypes.AUTO,
        "strip_trailing_newlines": True,
        "coder": StrUtf8Coder(),
    }
    return kind(str(path), **(settings | changes))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 5)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"strip_trailing_newlines": False},
    {"coder": BytesCoder()},
    {"skip_header_lines": 2},
    {"header_processor_fns": (lambda line: line.startswith("#"), lambda lines: None)},
]


@pytest.mark.parametrize("changes", SETTINGS)
@pytest.mark.parametrize("size", [5, 1 << 15])
def test_any_range_holds_what_beams_source_gives_of_it(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any], size: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    path = tmp_path_factory.mktemp("text") / "a.txt"

    @settings(deadline=None)
    @given(CONTENTS, st.integers(0, 12), st.integers(0, 12))
    def check(content: bytes, start: int, length: int) -> None:
        path.write_bytes(content)
        for stop in (start + length, len(content) + 1):
            read = [
                list(source(kind, path, **changes).read_records(str(path), OffsetRangeTracker(start, stop)))
                for kind in (TextSource, Blocks)
                if start <= stop
            ]
            assert not read or read[0] == read[1]

    check()


def test_a_start_is_where_its_line_starts(tmp_path: Path, small_blocks: None) -> None:
    content = "one\ntwo\r\n\nfour é\nfive".encode()
    (tmp_path / "a.txt").write_bytes(content)
    given_source = source(TextSource, tmp_path / "a.txt")
    blocks = text_blocks(given_source, str(tmp_path / "a.txt"), OffsetRangeTracker(0, len(content)))
    found = [pair for block in blocks for pair in zip(block.starts, block.lines, strict=True)]
    assert found == [(0, "one"), (4, "two"), (9, ""), (10, "four é"), (18, "five")]


def test_a_compressed_file_is_read_like_any(tmp_path: Path, small_blocks: None) -> None:
    (tmp_path / "a.txt.bz2").write_bytes(bz2.compress(b"one\ntwo\nthree"))
    assert source_test_utils.read_from_source(source(Blocks, tmp_path / "a.txt.bz2")) == [
        "one",
        "two",
        "three",
    ]


def test_a_split_at_any_time_and_place_loses_no_line_and_gives_none_twice(
    tmp_path: Path, small_blocks: None
) -> None:
    (tmp_path / "a.txt").write_text("one\n2\nthree\n\n5\nsixsix\nseven\n8\n")
    source_test_utils.assert_split_at_fraction_exhaustive(source(Blocks, tmp_path / "a.txt"))


class SplitsBetween(OffsetRangeTracker):  # type: ignore[misc]
    """A range that is split after a reader has seen where it stops and before it claims; and once more.

    Args:
      splits: where, at the times of the second claim and behind it.
    """

    def __init__(self, stop: int, splits: list[int]) -> None:
        super().__init__(0, stop)
        self._splits = splits
        self._claims = 0

    def try_claim(self, record_start: int) -> bool:
        self._claims += 1
        if self._claims == 2:
            self.try_split(self._splits[0])
        return bool(super().try_claim(record_start))

    def set_current_position(self, record_start: int) -> None:
        self.try_split(self._splits[1])
        super().set_current_position(record_start)


@pytest.mark.parametrize("splits", [(23, 21), (23, 17), (17, 17), (9, 9), (20, 2)])
def test_a_split_just_before_a_claim_is_kept(
    tmp_path: Path, splits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 8)
    content = "".join(f"{number:03}\n" for number in range(8))
    (tmp_path / "a.txt").write_text(content)
    of_file = source(Blocks, tmp_path / "a.txt")
    first = SplitsBetween(len(content), list(splits))
    read = list(of_file.read_records(str(tmp_path / "a.txt"), first))
    rest = OffsetRangeTracker(int(first.stop_position()), len(content))
    read += of_file.read_records(str(tmp_path / "a.txt"), rest)
    assert first.stop_position() < len(content)
    assert read == content.split()


def test_lines_before_one_that_cannot_be_decoded_are_given_first(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n\xff\nfour\n")
    read = source(Blocks, tmp_path / "a.txt").read_records(str(tmp_path / "a.txt"), OffsetRangeTracker(0, 15))
    assert [next(read), next(read)] == ["one", "two"]
    with pytest.raises(UnicodeDecodeError):
        next(read)


def test_only_lines_that_end_as_lines_do_are_read_in_blocks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    assert reads_in_blocks(source(TextSource, tmp_path / "a.txt"))
    assert not reads_in_blocks(source(TextSource, tmp_path / "a.txt", delimiter=b";"))
    assert not reads_in_blocks(source(TextSource, tmp_path / "a.txt", escapechar=b"\\"))
    assert not reads_in_blocks(source(Blocks, tmp_path / "a.txt"))

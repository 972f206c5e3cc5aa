"""Damage in compressed data is noticed, and what stood before it is given."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import pathlib
import sys
import zlib
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import fastavro
import pytest
import zstandard
from apache_beam.io.filesystem import CompressionTypes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.files.decompression import open_stream
from beam_obs.records.bad_input import DamagedCompression
from beam_obs.records.block_position import block_position
from tests.io.pipelines import run_with_dead_letters

FORMATS: dict[str, Callable[[bytes], bytes]] = {
    CompressionTypes.GZIP: gzip.compress,
    CompressionTypes.DEFLATE: zlib.compress,
    CompressionTypes.BZIP2: bz2.compress,
    CompressionTypes.LZMA: lzma.compress,
    CompressionTypes.ZSTD: zstandard.ZstdCompressor(write_checksum=True).compress,
}
DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    CompressionTypes.GZIP: functools.partial(zlib.decompressobj, zlib.MAX_WBITS | 16),
    CompressionTypes.DEFLATE: zlib.decompressobj,
    CompressionTypes.BZIP2: bz2.BZ2Decompressor,
    CompressionTypes.LZMA: lzma.LZMADecompressor,
    CompressionTypes.ZSTD: zstandard.ZstdDecompressor().decompressobj,
}
SUFFIXES = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
SUFFIXES[".zst"] = FORMATS[CompressionTypes.ZSTD]
CONTENT = b"".join(b"%d," % number for number in range(100_000))


def _read(data: bytes, compression: str) -> tuple[bytes, DamagedCompression | None]:
    pathlib.Path("file").write_bytes(data)
    stream = open_stream("file", compression)
    found = b""
    try:
        while part := stream.read(1000):
            found += part
    except DamagedCompression as error:
        return found, error
    finally:
        stream.close()
    return found, None


@pytest.mark.parametrize("compression", FORMATS)
def test_whole_files_and_files_put_together_are_read(compression: str) -> None:
    compress = FORMATS[compression]

    assert _read(compress(CONTENT), compression) == (CONTENT, None)
    assert _read(compress(CONTENT) + compress(b"more"), compression) == (CONTENT + b"more", None)
    assert _read(compress(b""), compression) == (b"", None)
    assert _read(b"", compression) == (b"", None)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(FORMATS)), st.floats(0.01, 0.999))
def test_a_file_that_ends_too_early_is_noticed_wherever_it_ends(compression: str, share: float) -> None:
    data = FORMATS[compression](CONTENT)

    found, error = _read(data[: max(1, int(len(data) * share))], compression)

    assert error is not None
    assert "ends too early" in str(error)
    assert CONTENT.startswith(found)


@pytest.mark.parametrize("compression", FORMATS)
def test_bytes_of_something_else_are_noticed(compression: str) -> None:
    found, error = _read(b"plain text, not compressed at all", compression)

    assert found == b""
    assert error is not None
    assert f"{compression} data is damaged" in str(error)


def test_zeros_behind_a_gzip_file_are_padding() -> None:
    assert _read(gzip.compress(b"x") + b"\0" * 512, CompressionTypes.GZIP) == (b"x", None)


def _changed(data: bytes, at: int) -> bytes:
    """The data with one byte changed."""
    changed = bytearray(data)
    changed[at] ^= 0xFF
    return bytes(changed)


def _given_one_by_one(data: bytes, compression: str) -> bytes:
    """All that a decompressor gives of damaged data."""
    decompressor, found = DECOMPRESSORS[compression](), b""
    try:
        for at in range(len(data)):
            found += decompressor.decompress(data[at : at + 1])
    except Exception:
        return found
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(FORMATS)), st.floats(0, 0.999))
@pytest.mark.slow
def test_all_that_a_decompressor_gives_before_damage_is_read(compression: str, share: float) -> None:
    data = FORMATS[compression](CONTENT[:50_000])
    data = _changed(data, int(len(data) * share))

    found, error = _read(data, compression)

    assert found == _given_one_by_one(data, compression)
    assert found == CONTENT[:50_000] or error is not None


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("read", [obs.ReadFromCsv, obs.ReadFromJson, obs.ReadFromText])
def test_every_row_before_a_wrong_checksum_is_read_and_one_letter_says_how_far(
    suffix: str, read: Any
) -> None:
    lines = [json.dumps({"n": number}) for number in range(9)]
    content = "".join(f"{line}\n" for line in ["n", *lines]).encode()
    if read is obs.ReadFromJson:
        content = content.removeprefix(b"n\n")
    # The checksum of what was unpacked is at the end; of xz in front of an index and a footer.
    at = {".xz": -26, ".gz": -6}.get(suffix, -2)
    pathlib.Path(f"in{suffix}").write_bytes(_changed(SUFFIXES[suffix](content), at))

    rows, dead = run_with_dead_letters(read(f"in{suffix}"))

    assert len(rows) == len(lines) + (read is obs.ReadFromText)
    assert [(letter.position, letter.payload) for letter in dead] == [(len(content), b"")]
    assert f"the {len(content)} bytes unpacked so far" in dead[0].error_message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_put_together_are_read_up_to_the_damaged_one(suffix: str) -> None:
    compress = SUFFIXES[suffix]
    first, second = compress(b"n\n1\n2\n"), compress(b"3\n4\n")
    pathlib.Path(f"in{suffix}").write_bytes(first + second[: len(second) // 2])

    rows, dead = run_with_dead_letters(obs.ReadFromCsv(f"in{suffix}"))

    assert [row["n"] for row in rows][:2] == ["1", "2"]
    assert ["ends too early" in letter.error_message for letter in dead] == [True]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_something_else_behind_the_end_costs_no_row(suffix: str) -> None:
    pathlib.Path(f"in{suffix}").write_bytes(SUFFIXES[suffix](b"n\n1\n2\n") + b"something else")

    rows, dead = run_with_dead_letters(obs.ReadFromCsv(f"in{suffix}"))

    assert [row["n"] for row in rows] == ["1", "2"]
    assert ["is followed by something else" in letter.error_message for letter in dead] == [True]
    assert dead[0].position == 6


def test_zeros_between_gzip_files_are_padding() -> None:
    data = gzip.compress(b"x") + b"\0" * 512 + gzip.compress(b"y")

    assert _read(data, CompressionTypes.GZIP) == (b"xy", None)


def test_a_damaged_file_is_one_letter_with_what_could_be_unpacked_where_files_are_records() -> None:
    pathlib.Path("page.gz").write_bytes(_changed(gzip.compress(b"<h1>Speakers</h1>"), -6))

    files, dead = run_with_dead_letters(obs.ReadWholeFiles("page.gz"))

    assert files == []
    assert [letter.payload for letter in dead] == [b"<h1>Speakers</h1>"]


def test_blocks_before_the_damage_are_read_of_an_avro_file_that_was_compressed() -> None:
    sink = io.BytesIO()
    schema = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}
    fastavro.writer(sink, schema, [{"n": number} for number in range(500)], sync_interval=100)
    pathlib.Path("in.avro.gz").write_bytes(_changed(gzip.compress(sink.getvalue()), -6))

    rows, dead = run_with_dead_letters(obs.ReadFromAvro("in.avro.gz"))

    assert [row["n"] for row in rows] == list(range(500))
    assert [block_position(letter.position) for letter in dead] == [(len(sink.getvalue()), 0)]


@pytest.mark.parametrize(
    "build",
    [
        lambda: obs.ReadFromText("logs/*.zst"),
        lambda: obs.ReadFromCsv("logs/*", compression_type=CompressionTypes.ZSTD),
        lambda: obs.WriteToJson("logs/out", file_name_suffix=".jsonl.zst"),
        lambda: obs.WriteToText("logs/out", compression_type=CompressionTypes.ZSTD),
    ],
)
def test_a_compression_whose_package_is_missing_is_told_when_the_pipeline_is_built(
    build: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(obs.MissingExtra, match=rf"beam_obs\[zstd\]' \(at {__file__}:\d+\)"):
        build()


def test_a_file_found_whose_compression_is_missing_is_told_when_the_pipeline_is_built(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log.zst").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(obs.MissingExtra, match=r"beam_obs\[zstd\]"):
        _ = beam.Pipeline() | "read" >> obs.ReadFromText(str(tmp_path / "*"))

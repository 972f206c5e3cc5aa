"""Damage in compressed data is noticed, and what stood before it is given."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pathlib
import zlib
from collections.abc import Callable

import pytest
import zstandard
from apache_beam.io.filesystem import CompressionTypes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_obs.io.bad_input import DamagedCompression
from beam_obs.io.decompression import open_stream

FORMATS: dict[str, Callable[[bytes], bytes]] = {
    CompressionTypes.GZIP: gzip.compress,
    CompressionTypes.DEFLATE: zlib.compress,
    CompressionTypes.BZIP2: bz2.compress,
    CompressionTypes.LZMA: lzma.compress,
    CompressionTypes.ZSTD: zstandard.ZstdCompressor().compress,
}
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

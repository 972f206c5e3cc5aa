from __future__ import annotations

import hashlib
import os
import pathlib
import sys
import time
import types
from typing import Any

import pytest

from beam_obs.files import file_version as module
from beam_obs.files.file_state import FileState, state_of
from beam_obs.files.file_version import file_version


def _version(path: str) -> str:
    state = state_of(path)
    assert state is not None
    return file_version(path, state)


def test_a_local_file_goes_by_its_size_and_content() -> None:
    pathlib.Path("a").write_bytes(b"content")
    pathlib.Path("clone").write_bytes(b"content")

    assert _version(os.path.abspath("a")) == f"7-{hashlib.blake2b(b'content', digest_size=16).hexdigest()}"
    assert _version(os.path.abspath("a")) == _version(os.path.abspath("clone"))


def test_a_file_is_read_once_for_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    pathlib.Path("a").write_bytes(b"once")
    path = os.path.abspath("a")
    os.utime(path, (1, 1))
    first = _version(path)
    monkeypatch.setattr(module, "_content_digest", lambda path: 1 / 0)

    assert _version(path) == first


def test_a_file_that_was_written_again_has_another_version() -> None:
    path = os.path.abspath("a")
    pathlib.Path(path).write_bytes(b"one")
    os.utime(path, (1, 1))
    first = _version(path)
    pathlib.Path(path).write_bytes(b"two")
    os.utime(path, (2, 2))

    assert _version(path) != first


def test_a_file_that_may_be_written_to_within_a_tick_of_the_clock_is_read_each_time() -> None:
    path = os.path.abspath("a")
    for content in (b"one", b"two"):
        pathlib.Path(path).write_bytes(content)
        now = time.time_ns()
        os.utime(path, ns=(now, now - now % 10**9))

        assert _version(path) == f"3-{hashlib.blake2b(content, digest_size=16).hexdigest()}"


def test_a_file_without_a_time_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    digests = iter(["00", "01"])
    monkeypatch.setattr(module, "_content_digest", lambda path: next(digests))
    versions = [file_version("memory", FileState(7, 0)) for _ in range(2)]

    assert versions == ["7-00", "7-01"]


def _google(monkeypatch: pytest.MonkeyPatch, blob: Any) -> None:
    gcsio = types.ModuleType("gcsio")
    bucket = types.SimpleNamespace(get_blob=lambda name: blob)
    client = types.SimpleNamespace(bucket=lambda name: bucket)
    gcsio.parse_gcs_path = lambda path: path.removeprefix("gs://").split("/", 1)  # type: ignore[attr-defined]
    gcsio.GcsIO = lambda: types.SimpleNamespace(client=client)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apache_beam.io.gcp.gcsio", gcsio)
    import apache_beam.io.gcp as package

    monkeypatch.setattr(package, "gcsio", gcsio, raising=False)
    monkeypatch.setattr(module, "state_of", lambda path: FileState(7, 1))


def test_google_cloud_storage_is_asked_for_the_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    _google(monkeypatch, types.SimpleNamespace(generation=1700000000000001))

    assert file_version("gs://bucket/a.csv", FileState(7, 1)) == "generation:1700000000000001"


def test_where_the_store_gives_no_version_the_content_is_digested(monkeypatch: pytest.MonkeyPatch) -> None:
    _google(monkeypatch, None)
    monkeypatch.setattr(module, "_content_digest", lambda path: "00")

    assert file_version("gs://bucket/b.csv", FileState(7, 1)) == "7-00"

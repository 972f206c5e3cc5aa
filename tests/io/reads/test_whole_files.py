from __future__ import annotations

import gzip
import pathlib

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.files.found_files import NoFilesFound
from beam_obs.records.origin import Partition
from tests.io.pipelines import RUNNER, Keeper, counters, run_read, run_with_dead_letters


def _file(content: bytes, name: str) -> str:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path.resolve())


def test_each_file_is_one_record_with_its_version() -> None:
    pages = {
        _file(b"one", "in/1.html"): b"one",
        _file(b"", "in/2.html"): b"",
        _file(b"\xff\n" * 9, "in/3"): b"\xff\n" * 9,
    }

    files = run_read(obs.ReadWholeFiles("in/*"))

    assert {file.uri: file.content for file in files} == pages
    assert len({file.version for file in files}) == 3
    assert all(isinstance(file, obs.File) for file in files)


def test_the_same_content_has_the_same_version_and_origin_elsewhere() -> None:
    _file(b"one", "here/1.html")
    _file(b"one", "there/1.html")

    (here,) = run_read(obs.ReadWholeFiles("here/*.html", stamp=True))
    (there,) = run_read(obs.ReadWholeFiles("there/*.html", stamp=True))

    assert here["version"] == there["version"]
    assert here["_lineage"]["origin"] == there["_lineage"]["origin"]
    assert here["_lineage"]["origin"] == Partition("1.html", here["version"]).origin(0).hex()
    assert here["_lineage"]["position"] == 0


def test_compressed_files_give_what_they_hold_and_damaged_ones_are_refused() -> None:
    _file(gzip.compress(b"whole"), "in/1.gz")
    damaged = gzip.compress(bytes(range(256)) * 300)[:-20]
    _file(damaged, "in/2.gz")

    files, dead = run_with_dead_letters(obs.ReadWholeFiles("in/*"))

    assert [file.content for file in files] == [b"whole"]
    assert [letter.source_uri for letter in dead] == [str(pathlib.Path("in/2.gz").resolve())]
    assert "ends too early" in dead[0].error_message
    assert dead[0].payload.startswith(bytes(range(256)))


def test_a_file_too_large_is_refused() -> None:
    _file(b"x" * 11, "in/large")
    _file(b"x" * 10, "in/small")

    files, dead = run_with_dead_letters(obs.ReadWholeFiles("in/*", max_bytes=10))

    assert [file.content for file in files] == [b"x" * 10]
    assert "more than the 10 bytes that max_bytes allows" in dead[0].error_message


def test_a_refused_file_can_fail_the_job() -> None:
    _file(b"x" * 11, "in/large")

    with pytest.raises(Exception, match="max_bytes"):
        run_with_dead_letters(obs.ReadWholeFiles("in/*", max_bytes=10, on_bad_file="fail"))


@pytest.mark.parametrize("pattern", ["none.html", "none/**"])
def test_a_pattern_that_finds_nothing_fails_when_the_pipeline_is_built(pattern: str) -> None:
    with pytest.raises(NoFilesFound, match="no file"):
        _ = beam.Pipeline(RUNNER) | obs.ReadWholeFiles(pattern)


def test_a_run_notes_each_file() -> None:
    _file(b"one", "in/1.html")
    _file(b"two", "in/2.html")
    kept = Keeper()

    with obs.Pipeline(RUNNER, name="pages") as p:
        _ = p | "read" >> obs.ReadWholeFiles("in/*") | beam.Map(kept)

    assert counters(p.result, "read") == {"in": 2, "out": 2}
    assert len(kept.elements) == 2


def test_files_pass_a_shuffle() -> None:
    _file(b"one", "in/1.html")
    kept = Keeper()

    with beam.Pipeline(RUNNER) as p:
        _ = p | obs.ReadWholeFiles("in/*") | beam.Reshuffle() | beam.Map(kept)

    assert [tuple(file)[2] for file in kept.elements] == [b"one"]

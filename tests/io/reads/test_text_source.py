from __future__ import annotations

import bz2
import codecs
import gzip
import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.options.value_provider import RuntimeValueProvider, StaticValueProvider

import beam_obs as obs
from beam_obs.files.found_files import NoFilesFound
from tests.io.pipelines import RUNNER, run_read, run_with_dead_letters


def _file(content: bytes, name: str = "in.txt") -> str:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"a",
        b"a\n",
        b"a\n\nb",
        b"a\r\nb\r\n",
        b"a\rb\n",
        "é\n\u2028x\n\x85\n".encode(),
        b"a\0b\n",
        b"a\nb\r",
    ],
)
@pytest.mark.parametrize("strip", [True, False])
def test_lines_are_those_that_beam_reads(content: bytes, strip: bool) -> None:
    path = _file(content)

    ours = run_read(obs.ReadFromText(path, strip_trailing_newlines=strip))

    assert ours == run_read(beam.io.ReadFromText(path, strip_trailing_newlines=strip))


@pytest.mark.parametrize("skip", [0, 1, 2, 9])
def test_header_lines_are_left_out_of_each_file(skip: int) -> None:
    _file(b"h1\nh2\na\n", "in/1.txt")
    _file(b"h1\nh2\nb\n", "in/2.txt")

    ours = run_read(obs.ReadFromText("in/*.txt", skip_header_lines=skip))

    assert sorted(ours) == sorted(run_read(beam.io.ReadFromText("in/*.txt", skip_header_lines=skip)))


@pytest.mark.parametrize("delimiter", [b"|", b"|-", b"\r\n"])
def test_a_delimiter_takes_the_place_of_newlines(delimiter: bytes) -> None:
    path = _file(delimiter.join([b"a\nb", b"", b"c\r"]) + delimiter)

    assert run_read(obs.ReadFromText(path, delimiter=delimiter)) == ["a\nb", "", "c\r"]


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_many_small_ranges_give_the_same_lines(size: int) -> None:
    lines = [f"line {number}" * (number % 5) for number in range(200)]
    path = _file("\n".join(lines).encode())

    assert sorted(run_read(obs.ReadFromText(path, desired_bundle_size=size))) == sorted(lines)


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252", "cp037", "shift_jis"]
)
def test_other_encodings_are_read(encoding: str) -> None:
    lines = ["plain", "", "caf\u00e9 \u0a0a" if encoding.startswith("utf") else "cafe", "last"]
    path = _file("\r\n".join(lines).encode(encoding))

    assert run_read(obs.ReadFromText(path, encoding=encoding)) == lines


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    path = _file(codecs.BOM_UTF8 + b"a\nb\n")

    stamped = run_read(obs.ReadFromText(path, stamp=True))

    assert [(record["line"], record["_lineage"]["position"]) for record in stamped] == [("a", 3), ("b", 5)]


@pytest.mark.parametrize(
    ("name", "compress"), [("in.gz", gzip.compress), ("in.bz2", bz2.compress), ("in.txt.gz", gzip.compress)]
)
def test_compressed_files_are_read_with_offsets_of_what_they_hold(name: str, compress: Any) -> None:
    lines = [f"line {number}" for number in range(50_000)]
    content = "\n".join(lines).encode()
    path = _file(compress(content[:1000]) + compress(content[1000:]), name)

    stamped = run_read(obs.ReadFromText(path, stamp=True))

    assert [record["line"] for record in stamped] == lines
    places = [record["_lineage"]["position"] for record in stamped]
    assert all(
        content[place:].startswith(f"line {number}".encode())
        for number, place in list(enumerate(places))[::997]
    )


def test_a_compressed_file_that_ends_too_early_keeps_its_lines_and_one_dead_letter() -> None:
    content = b"".join(b"line %d\n" % number for number in range(10_000))
    path = _file(gzip.compress(content)[:-2000], "torn.gz")

    lines, dead = run_with_dead_letters(obs.ReadFromText(path))

    assert len(lines) > 100
    assert lines == [f"line {number}" for number in range(len(lines))]
    assert [letter.error_type for letter in dead] == ["beam_obs.DamagedCompression"]
    assert dead[0].position == len("".join(f"{line}\n" for line in lines))
    assert content[dead[0].position :].startswith(dead[0].payload)
    assert "ends too early" in dead[0].error_message


def test_a_file_that_is_not_compressed_at_all_is_one_dead_letter() -> None:
    lines, dead = run_with_dead_letters(obs.ReadFromText(_file(b"plain\n", "in.gz")))

    assert lines == []
    assert "is damaged" in dead[0].error_message


def test_a_damaged_file_can_fail_the_job() -> None:
    path = _file(gzip.compress(b"a\n" * 1000)[:-3], "in.gz")

    with pytest.raises(Exception, match="ends too early"):
        run_with_dead_letters(obs.ReadFromText(path, on_bad_file="fail"))


def test_a_line_that_is_not_text_is_a_dead_letter_with_its_bytes_and_place() -> None:
    path = _file(b"good\n\xff\xfebad\r\nalso good\n\x80")

    lines, dead = run_with_dead_letters(obs.ReadFromText(path))

    assert lines == ["good", "also good"]
    assert [(letter.position, letter.payload) for letter in dead] == [(5, b"\xff\xfebad"), (22, b"\x80")]
    assert {letter.payload_coder for letter in dead} == {"raw"}
    assert {letter.stage for letter in dead} == {"read"}
    assert {letter.source_uri for letter in dead} == {str(pathlib.Path(path).resolve())}


def test_a_dead_letter_has_the_origin_that_a_stamp_would_have() -> None:
    path = _file(b"good\nbad\xff\n")
    stamped = run_read(obs.ReadFromText(path, stamp=True, encoding="latin-1"))

    _, dead = run_with_dead_letters(obs.ReadFromText(path))

    assert dead[0].origin == stamped[1]["_lineage"]["origin"]


def test_a_bad_line_without_a_home_fails_the_job_and_says_where() -> None:
    path = _file(b"good\n\xff\n")

    with pytest.raises(Exception, match=r"in\.txt at byte 5.*UndecodableBytes.*stage 'read'"):
        run_read(obs.ReadFromText(path))


def test_dead_letters_go_to_the_home_that_is_given() -> None:
    path = _file(b"good\n\xff\n")
    with beam.Pipeline(RUNNER) as p, obs.DeadLetters(obs.JsonLines("dead")) as dead:
        _ = p | obs.ReadFromText(path, dead_letters=dead)

    written = "".join(file.read_text() for file in pathlib.Path("dead").glob("*.jsonl"))

    assert written.count("\n") == 1
    assert '"position": 5' in written


def test_a_missing_file_is_an_error_when_the_pipeline_is_built() -> None:
    with pytest.raises(NoFilesFound, match="there is no file"):
        beam.Pipeline(RUNNER) | obs.ReadFromText("nowhere.txt")


def test_a_pattern_without_files_is_an_error_when_the_pipeline_is_built() -> None:
    with pytest.raises(NoFilesFound, match="no file matches"):
        beam.Pipeline(RUNNER) | obs.ReadFromText("nowhere/*.txt")


def test_a_pattern_that_is_not_validated_is_looked_for_when_the_job_runs() -> None:
    read = obs.ReadFromText("nowhere/*.txt", validate=False)

    with pytest.raises(Exception, match="no file matches"):
        run_read(read)


def test_a_pattern_may_be_known_only_when_the_job_runs() -> None:
    provider = StaticValueProvider(str, _file(b"a\n"))

    assert run_read(obs.ReadFromText(provider)) == ["a"]
    assert obs.ReadFromText(RuntimeValueProvider("input", str, None)) is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coder": beam.coders.BytesCoder()}, "encoding="),
        ({"escapechar": b"\\"}, "escapechar"),
        ({"delimiter": b"aba"}, "overlaps"),
        ({"delimiter": b""}, "at least one"),
        ({"delimiter": "|"}, "bytes"),
        ({"delimiter": b"|", "encoding": "utf-16"}, "delimiter= is not supported"),
        ({"skip_header_lines": -1}, "0 or more"),
        ({"encoding": "utf-7"}, "line by line"),
        ({"compression_type": "rar"}, "CompressionTypes"),
        ({"on_bad_file": "ignore"}, "'dead_letter', 'fail'"),
        ({"dead_letters": "folder"}, "obs.DeadLetters"),
        ({"desired_bundle_size": 0}, "1 or more"),
    ],
)
def test_what_is_not_supported_is_refused_when_the_read_is_made(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(obs.UsageError, match=message):
        obs.ReadFromText("in.txt", **arguments)


def test_two_homes_are_refused() -> None:
    with pytest.raises(obs.UsageError, match="give one of them"):
        obs.ReadFromText("in.txt", dead_letters=obs.DeadLetters("dead")).with_dead_letters()


def test_compression_can_be_said() -> None:
    path = _file(gzip.compress(b"a\n"))

    assert run_read(obs.ReadFromText(path, compression_type=CompressionTypes.GZIP)) == ["a"]

"""Files of a stream: panes, late records, windows that overlap, shards, and bundles that are tried again."""

from __future__ import annotations

import collections
import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import Coder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.value_provider import StaticValueProvider
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark
from apache_beam.transforms.window import (
    FixedWindows,
    IntervalWindow,
    NonMergingWindowFn,
    Sessions,
    SlidingWindows,
    TimestampedValue,
    WindowFn,
)

import beam_obs as obs

STREAM = PipelineOptions(["--streaming", "--obs_report=off"])


def late_letters() -> TestStream:
    """Returns three letters in time for a window of ten seconds, two that are late for it, and others."""
    stream = TestStream().add_elements([TimestampedValue("a", 1), TimestampedValue("b", 2)])
    stream = stream.advance_watermark_to(4).add_elements([TimestampedValue("c", 3)])
    stream = stream.advance_watermark_to(12).add_elements([TimestampedValue("d", 4)])
    return stream.add_elements([TimestampedValue("e", 4), TimestampedValue("f", 13)])


def windowed(windows: WindowFn, accumulation: Any = AccumulationMode.DISCARDING) -> beam.WindowInto:
    trigger = AfterWatermark(early=AfterCount(1), late=AfterCount(1))
    return beam.WindowInto(
        windows, trigger=trigger, accumulation_mode=accumulation, allowed_lateness=60
    ).with_input_types(str)


def contents() -> dict[str, list[str]]:
    """Returns the lines of each file that is there."""
    files = (path for path in pathlib.Path().rglob("*") if path.is_file() and ".beam_obs" not in path.parts)
    return {str(path): path.read_text().split() for path in files}


def lines_of(prefix: str) -> str:
    found = ("".join(lines) for name, lines in contents().items() if name.startswith(prefix))
    return "".join(sorted("".join(found)))


_FIXED = FixedWindows(10)
WRITES: dict[str, tuple[Any, dict[str, int]]] = {
    "frequency": (beam.Map(str), {"triggering_frequency": 10}),
    "panes": (windowed(_FIXED), {}),
    "accumulating": (windowed(_FIXED, AccumulationMode.ACCUMULATING), {}),
    "sliding": (windowed(SlidingWindows(20, 10)), {}),
    "shards": (windowed(_FIXED), {"num_shards": 3}),
    "parts": (beam.WindowInto(_FIXED), {"max_records_per_shard": 2}),
}
SESSIONS = {"sessions": (windowed(Sessions(3)), dict[str, int]())}


def check_writes(
    runner: str, options: PipelineOptions, writes: dict[str, tuple[Any, dict[str, int]]]
) -> None:
    """Writes letters in windows of each kind, and looks at the files and at what is noted of them."""
    with obs.Pipeline(runner, options, name="letters") as p:
        letters = p | late_letters().advance_watermark_to_infinity()
        for name, (windows, given) in writes.items():
            put = letters | f"windows of {name}" >> windows
            _ = put | f"write {name}" >> obs.WriteToText(name, ".txt", **given)

    in_files = {name: lines_of(name) for name in writes}
    assert in_files == dict.fromkeys(writes, "abcdef") | {"sliding": "aabbccddeeff", "parts": "abcf"}
    assert not list(pathlib.Path().glob("beam-temp-*"))
    files = contents()
    assert sorted(files["frequency-[0.0, 10.0)-00000-of-00001.txt"]) == ["a", "b", "c"]
    assert files["frequency-[0.0, 10.0)-00000-of-00001-pane-1.txt"] == ["d"]
    assert len(files["parts-[0.0, 10.0)-00000-of-00001.txt"]) == 2
    assert len(files["parts-[0.0, 10.0)-00000-of-00001-part-1.txt"]) == 1
    assert all(files.values())
    end = obs.Store().find("letters@latest").end
    assert end is not None
    noted = {output["label"].removeprefix("write "): output["records"] for output in end["outputs"]}
    assert noted == {name: len(found) for name, found in in_files.items()}


def test_each_record_is_in_one_file_of_each_of_its_windows_in_whatever_pane_it_comes() -> None:
    check_writes("DirectRunner", STREAM, WRITES | SESSIONS)


class FailingPrefix(StaticValueProvider):  # type: ignore[misc, unused-ignore]
    """A prefix of files that cannot be had once, when it was asked for so often."""

    asked = 0
    fails_at = 0

    def get(self) -> Any:
        FailingPrefix.asked += 1
        if FailingPrefix.asked == FailingPrefix.fails_at:
            raise OSError("away")
        return super().get()


FAILURES: collections.Counter[str] = collections.Counter()


def fail_once(name: str) -> str:
    FAILURES[name] += 1
    if FAILURES[name] == 1:
        raise OSError("away")
    return name


@pytest.mark.parametrize("fails_at", [1, 2, 3, 4])
def test_a_bundle_that_fails_in_or_behind_a_write_leaves_each_record_once(fails_at: int) -> None:
    """It fails when it opens a file, when it names one, and behind the write, each time once."""
    FailingPrefix.asked, FailingPrefix.fails_at = 0, fails_at
    FAILURES.clear()
    prefix = FailingPrefix(str, "out")
    with obs.Pipeline("DirectRunner", STREAM, name="letters") as p:
        names = (
            p
            | late_letters().advance_watermark_to_infinity()
            | "write" >> obs.WriteToText(prefix, ".txt", triggering_frequency=10, max_records_per_shard=2)
        )
        _ = names | beam.Map(fail_once)

    assert FailingPrefix.asked > fails_at
    assert set(FAILURES) == set(contents())
    assert lines_of("out") == "abcdef"
    assert not list(pathlib.Path().glob("beam-temp-*"))
    end = obs.Store().find("letters@latest").end
    assert end is not None
    assert [output["records"] for output in end["outputs"]] == [6]


@pytest.mark.parametrize("template", ["", "-SS-of-NN", "-V-SS"])
def test_names_that_do_not_tell_windows_apart_are_refused_when_the_pipeline_is_built(template: str) -> None:
    put = beam.Pipeline(options=STREAM) | late_letters() | beam.WindowInto(FixedWindows(0.5))
    with pytest.raises(obs.UsageError, match="does not tell the windows of a stream apart"):
        _ = put | obs.WriteToText("out", shard_name_template=template)


def test_a_stream_in_the_global_window_is_refused_without_a_frequency() -> None:
    letters = beam.Pipeline(options=STREAM) | late_letters()
    with pytest.raises(obs.UsageError, match="give triggering_frequency=60"):
        _ = letters | obs.WriteToText("out")


@pytest.mark.parametrize("template", ["-U-SSS", "-V-SS"])
def test_names_of_uuids_or_of_times_tell_windows_apart(template: str) -> None:
    with beam.Pipeline("DirectRunner", STREAM) as p:
        put = p | late_letters().advance_watermark_to_infinity() | windowed(FixedWindows(10))
        _ = put | obs.WriteToText("out", shard_name_template=template)

    assert lines_of("out") == "abcdef"


def test_each_job_of_a_template_has_uuids_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROL_API_SERVICE_DESCRIPTOR", "url: 'localhost:1'")
    p = beam.Pipeline("DirectRunner", STREAM)
    put = p | late_letters().advance_watermark_to_infinity() | windowed(FixedWindows(10))
    _ = put | obs.WriteToText("out", shard_name_template="-U-SSS")
    files = []
    for job in ("2026-01-02_03_04_05-1001", "2026-01-02_04_04_05-1002", "2026-01-02_04_04_05-1002"):
        monkeypatch.setenv("JOB_ID", job)
        p.run().wait_until_finish()
        files.append(set(contents()))

    assert len(files[1]) == 2 * len(files[0])
    assert files[2] == files[1]  # tried again, it writes the same


class OfLetter(IntervalWindow):  # type: ignore[misc, unused-ignore]
    """The window of a letter, whose text does not tell the letter."""

    def __init__(self, letter: str) -> None:
        super().__init__(0, 20)
        self.letter = letter

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OfLetter) and other.letter == self.letter

    def __hash__(self) -> int:
        return hash(self.letter)


class OfLetterCoder(Coder):  # type: ignore[misc, unused-ignore]
    def encode(self, window: OfLetter) -> bytes:
        return window.letter.encode()

    def decode(self, encoded: bytes) -> OfLetter:
        return OfLetter(encoded.decode())

    def is_deterministic(self) -> bool:
        return True


class ByLetter(NonMergingWindowFn):  # type: ignore[misc, unused-ignore]
    def assign(self, context: Any) -> list[OfLetter]:
        return [OfLetter(context.element)]

    def get_window_coder(self) -> OfLetterCoder:
        return OfLetterCoder()


def test_windows_of_ones_own_that_have_the_same_text_are_in_files_of_their_own() -> None:
    with obs.Pipeline("DirectRunner", STREAM, name="letters") as p:
        put = p | late_letters().advance_watermark_to_infinity() | windowed(ByLetter())
        _ = put | "write" >> obs.WriteToText("out", ".txt")

    assert lines_of("out") == "abcdef"
    assert len(contents()) == 6


@pytest.mark.parametrize("template", ["-W-SS", "-V-SS"])
def test_records_without_a_time_are_written(template: str) -> None:
    stream = TestStream().add_elements(["a", "b"]).advance_watermark_to(5).add_elements(["c"])
    with beam.Pipeline("DirectRunner", STREAM) as p:
        _ = (
            p
            | stream.advance_watermark_to_infinity()
            | obs.WriteToText("out", shard_name_template=template, triggering_frequency=10)
        )

    assert lines_of("out") == "abc"

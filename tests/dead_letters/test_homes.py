"""Homes of dead letters: outputs of one's own, files, any sink."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, Repeatedly
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindows,
    Sessions,
    SlidingWindows,
    TimestampedValue,
)

import beam_obs as obs
from beam_obs.records.dead_letter import DeadLetter
from tests.running import observed, run, run_in_bundles, through


def avro_letters(folder: Path) -> list[DeadLetter]:
    found = []
    for path in sorted(folder.glob("dead_letters-*.avro")):
        with path.open("rb") as file:
            found += [DeadLetter(**record) for record in fastavro.reader(file)]  # type: ignore[arg-type]
    return found


def committed(folder: Path) -> dict[str, int]:
    """What the committed manifests say: number of dead letters by file."""
    files: dict[str, int] = {}
    for path in folder.glob("manifest-*.json"):
        for manifest in json.loads(path.read_text())["manifests"]:
            assert manifest["file"] not in files
            files[manifest["file"]] = manifest["count"]
    return files


def parse(text: str) -> int:
    return int(text)


class Texts(beam.PTransform):
    """A sink of the user's: gives what it took, as text."""

    def expand(self, letters: Any) -> Any:
        return letters | beam.Map(lambda letter: f"{letter.stage}: {letter.payload_text}")


# With an output of one's own.


def test_dead_letters_have_the_windows_and_times_of_their_elements() -> None:
    def build(p: beam.Pipeline) -> Any:
        texts = p | beam.Create(["1", "x", "y"])
        timed = texts | "time" >> beam.Map(lambda text: TimestampedValue(text, 10 * ord(text[0])))
        return timed | beam.WindowInto(FixedWindows(5)) | observed(beam.Map(parse))

    outcome = run(build)
    for emitted in outcome.emitted["dead"]:
        time = 10_000_000 * ord(emitted.value.payload_text)
        assert emitted.timestamp == emitted.value.event_time == time
        assert emitted.window == f"[{time / 1e6}, {time / 1e6 + 5})"
    windows = sorted(letter.window for letter in outcome.letters)
    assert windows == [
        "[1970-01-01T00:20:00Z, 1970-01-01T00:20:05Z)",
        "[1970-01-01T00:20:10Z, 1970-01-01T00:20:15Z)",
    ]


def test_an_element_in_two_windows_is_a_dead_letter_in_each_as_its_outputs_would_be() -> None:
    def build(p: beam.Pipeline) -> Any:
        return p | beam.Create(["x"]) | beam.WindowInto(SlidingWindows(10, 5)) | observed(beam.Map(parse))

    letters = run(build).letters
    assert len({letter.window for letter in letters}) == 2
    assert len({letter.id for letter in letters}) == 2


def test_a_dead_letter_of_the_global_window_says_so() -> None:
    letter = through(["x"], beam.Map(parse)).letter
    assert (letter.window, letter.pane) == ("global", "")


def test_a_dead_letter_of_a_pane_says_which() -> None:
    def build(p: beam.Pipeline) -> Any:
        stream = TestStream().add_elements([("k", 1)]).advance_processing_time(1).add_elements([("k", 2)])
        windowed = (
            p
            | stream.advance_watermark_to_infinity().with_output_types(tuple[str, int])
            | beam.WindowInto(
                GlobalWindows(),
                trigger=Repeatedly(AfterCount(1)),
                accumulation_mode=AccumulationMode.DISCARDING,
            )
        )
        return windowed | beam.GroupByKey() | observed(beam.Map(lambda pair: 1 // 0))

    panes = sorted(letter.pane for letter in run_in_bundles(build, "--streaming").letters)
    assert panes[:2] == ["EARLY 0", "EARLY 1"]


def test_a_dead_letter_tells_what_happened_and_where() -> None:
    letter = through(["x"], beam.Map(parse)).letter
    assert (letter.stage, letter.error_type, letter.payload_text) == ("step", "ValueError", "x")
    assert letter.error_message == "invalid literal for int() with base 10: 'x'"
    assert "return int(text)" in letter.traceback
    assert (letter.payload, letter.payload_coder) == (b"x", "beam:coder:string_utf8:v1")
    assert (letter.attempt, letter.root_id, letter.first_failed_at) == (1, letter.id, letter.failed_at)
    assert letter.id.startswith(letter.run + ".")
    assert (letter.origin, letter.source_uri, letter.position, letter.traceparent) == (None,) * 4


def test_a_rerun_gives_the_same_keys_and_other_ids() -> None:
    first, second = (through(["x", "y", "y"], beam.Map(parse)).letters for _ in range(2))
    assert sorted(letter.key for letter in first) == sorted(letter.key for letter in second)
    assert not {letter.id for letter in first} & {letter.id for letter in second}


def test_dead_letters_can_be_encoded_and_grouped() -> None:
    def build(p: beam.Pipeline) -> Any:
        _, dead = p | beam.Create(["x", "y"]) | observed(beam.Map(parse))
        keyed = dead | beam.Reshuffle() | beam.WithKeys(lambda letter: letter.fingerprint)
        return (
            keyed | beam.GroupByKey() | beam.MapTuple(lambda _, found: sorted(one.payload for one in found))
        )

    assert run(build).values() == [[b"x", b"y"]]


# In files.


def test_files_hold_the_dead_letters_and_the_manifests_name_them(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(str(tmp_path)) as dead:
        _ = p | beam.Create(["1", "x", "y"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    assert sorted(letter.payload_text for letter in avro_letters(tmp_path)) == ["x", "y"]
    assert committed(tmp_path) == {path.name: 2 for path in tmp_path.glob("*.avro")}


def test_each_of_many_letters_of_a_bundle_has_its_own_time(tmp_path: Path) -> None:
    texts = [f"x{number}" for number in range(250)]
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(tmp_path) as dead:
        made = p | beam.Impulse() | beam.FlatMap(lambda _, texts=tuple(texts): texts)
        timed = made | beam.Map(lambda text: TimestampedValue(text, int(text[1:])))
        _ = timed | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    letters = avro_letters(tmp_path)
    assert [letter.payload_text for letter in letters] == texts
    assert [letter.event_time for letter in letters] == [number * 1_000_000 for number in range(250)]
    assert [letter.id.rpartition(".")[2] for letter in letters] == [str(number) for number in range(250)]
    assert list(committed(tmp_path).values()) == [250]


def test_a_bundle_that_fails_late_keeps_none_of_its_letters(tmp_path: Path) -> None:
    def fail_at_the_end(text: str) -> int:
        if text == "end":
            raise MemoryError
        return int(text)

    def build() -> None:
        with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(tmp_path) as dead:
            made = p | beam.Impulse() | beam.FlatMap(lambda _: [*["x"] * 150, "end"])
            _ = made | "parse" >> obs.Stage(beam.Map(fail_at_the_end), dead_letters=dead)

    with pytest.raises((MemoryError, RuntimeError), match="parse"):
        build()
    assert not committed(tmp_path)
    assert not avro_letters(tmp_path)


def test_json_lines_hold_the_dead_letters(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(obs.JsonLines(str(tmp_path))) as dead:
        _ = p | beam.Create(["1", "é", "y"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    (file,) = tmp_path.glob("*.jsonl")
    letters = [DeadLetter.from_json(line) for line in file.read_text().splitlines()]
    assert sorted(letter.payload.decode() for letter in letters) == ["y", "é"]
    assert committed(tmp_path) == {file.name: 2}


def test_avro_files_are_the_default_in_a_folder_of_their_own(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters() as dead:
        _ = p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    assert len(avro_letters(tmp_path / "dead_letters")) == 1


def test_no_dead_letters_make_no_file_and_no_folder(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(str(tmp_path / "dead")) as dead:
        _ = p | beam.Create(["1"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    assert not list((tmp_path / "dead").glob("*"))


def test_the_manifest_counts_by_fingerprint_with_an_example(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(str(tmp_path)) as dead:
        numbers = p | beam.Create(["x", "y", "0"])
        _ = numbers | "parse" >> obs.Stage(beam.Map(lambda text: 1 // int(text)), dead_letters=dead)
    (file,) = tmp_path.glob("manifest-*.json")
    (manifest,) = json.loads(file.read_text())["manifests"]
    entries = manifest["details"]["fingerprints"].values()
    assert sorted((entry["error_type"], entry["count"]) for entry in entries) == [
        ("ValueError", 2),
        ("ZeroDivisionError", 1),
    ]
    assert {entry["payload_text"] for entry in entries} <= {"x", "y", "0"}


class FailingOnce:
    """Stands for a filesystem that fails the first time."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            raise OSError("the filesystem is away for a moment")
        return self._function(*args, **kwargs)


def test_a_bundle_that_is_tried_again_doubles_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    rename = FailingOnce(os.replace)
    monkeypatch.setattr(os, "replace", rename)
    with beam.Pipeline(BundleBasedDirectRunner()) as p, obs.DeadLetters(str(tmp_path)) as dead:
        _ = p | beam.Create(["1", "x", "y"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    assert rename.calls >= 2
    assert sum(committed(tmp_path).values()) == 2
    named = committed(tmp_path)
    letters = [letter for letter in avro_letters(tmp_path) if letter]
    assert len({letter.key for letter in letters}) == 2
    assert {path.name for path in tmp_path.glob("dead_letters-*.avro")} == set(named)


def test_bundles_that_a_runner_repeats_leave_files_that_no_manifest_names(tmp_path: Path) -> None:
    with (
        beam.Pipeline("FnApiRunner", options=_options("--direct_runner_bundle_repeat=2")) as p,
        obs.DeadLetters(str(tmp_path)) as dead,
    ):
        _ = p | beam.Create(["1", "x", "y"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    named = committed(tmp_path)
    assert sum(named.values()) == 2
    assert set(named) < {path.name for path in tmp_path.glob("dead_letters-*.avro")}


def _options(*arguments: str) -> Any:
    return beam.options.pipeline_options.PipelineOptions(arguments)


def test_counts_of_a_bundle_that_is_tried_again_are_of_its_last_try(tmp_path: Path) -> None:
    flag = tmp_path / "failed"

    def fail_once(text: str) -> int:
        if text == "last" and not flag.exists():
            flag.touch()
            raise MemoryError("for a moment")
        return len(text)

    outcome = run_in_bundles(lambda p: p | beam.Create(["a", "b", "last"]) | observed(beam.Map(fail_once)))
    assert outcome.values() == [1, 1, 4]
    counts = outcome.counts()
    assert (counts.in_, counts.out, counts.dead) == (3, 3, 0)


def test_a_run_that_fails_leaves_the_files_of_finished_bundles(tmp_path: Path) -> None:
    def fail(number: int) -> None:
        raise ValueError("further down")

    def build() -> None:
        with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(str(tmp_path)) as dead:
            good = p | beam.Create(["1", "x", "y"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
            _ = good | beam.Reshuffle() | "fail" >> beam.Map(fail)

    with pytest.raises(ValueError, match="further down"):
        build()
    assert sorted(letter.payload_text for letter in avro_letters(tmp_path)) == ["x", "y"]


@pytest.mark.parametrize("label", ["parse/x y", "ü", "../up", ".", "a" * 300, "-"])
def test_files_of_stages_of_any_label_lie_in_the_folder(label: str, tmp_path: Path) -> None:
    folder = tmp_path / "dead"
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(str(folder)) as dead:
        _ = p | beam.Create(["x"]) | label >> obs.Stage(beam.Map(parse), dead_letters=dead)
    assert [letter.stage for letter in avro_letters(folder)] == [label]
    assert [path.name for path in tmp_path.iterdir()] == ["dead"]


# Any sink.


def test_any_transform_can_be_the_sink() -> None:
    def build(p: beam.Pipeline) -> Any:
        texts = p | beam.Create(["1", "x"])
        with obs.DeadLetters(Texts()) as dead:
            _ = texts | "one" >> obs.Stage(beam.Map(parse), dead_letters=dead)
            _ = texts | "two" >> obs.Stage(beam.Map(len) | beam.Map(lambda n: 1 // 0), dead_letters=dead)
        return dead.result

    found = run(build).values()
    assert found[0] == "one: x"
    assert [text.split(":")[0].split("/")[0] for text in found] == ["one", "two", "two"]


def test_a_sink_can_write_with_beam(tmp_path: Path) -> None:
    class Write(beam.PTransform):
        def expand(self, letters: Any) -> Any:
            return letters | beam.Map(DeadLetter.to_json) | beam.io.WriteToText(str(tmp_path / "dead"))

    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(Write()) as dead:
        _ = p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    (file,) = tmp_path.glob("dead-*")
    assert DeadLetter.from_json(file.read_text()).payload_text == "x"


def test_a_home_that_no_stage_uses_is_closed_without_a_result(tmp_path: Path) -> None:
    for sink in (Texts(), str(tmp_path)):
        with beam.Pipeline("FnApiRunner") as p:
            with obs.DeadLetters(sink) as dead:
                _ = p | f"create {sink}" >> beam.Create([1])
            assert dead.result is None


def test_several_homes_of_one_label_live_in_one_pipeline(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as p:
        texts = p | beam.Create(["x"])
        with obs.DeadLetters(str(tmp_path / "1")) as first, obs.DeadLetters(str(tmp_path / "2")) as second:
            _ = texts | "one" >> obs.Stage(beam.Map(parse), dead_letters=first)
            _ = texts | "two" >> obs.Stage(beam.Map(parse), dead_letters=second)
        with obs.DeadLetters(Texts()) as third:
            _ = texts | "three" >> obs.Stage(beam.Map(parse), dead_letters=third)
        with obs.DeadLetters(Texts()) as fourth:
            _ = texts | "four" >> obs.Stage(beam.Map(parse), dead_letters=fourth)
    stages = [[letter.stage for letter in avro_letters(tmp_path / name)] for name in ("1", "2")]
    assert stages == [["one"], ["two"]]


WINDOWINGS = {
    "global": None,
    "fixed": beam.WindowInto(FixedWindows(10)),
    "sliding": beam.WindowInto(SlidingWindows(10, 5)),
    "sessions": beam.WindowInto(Sessions(5)),
    "triggered": beam.WindowInto(
        GlobalWindows(), trigger=Repeatedly(AfterCount(1)), accumulation_mode=AccumulationMode.ACCUMULATING
    ),
}


def windowed_stages(p: beam.Pipeline, dead: Any) -> None:
    texts = p | beam.Create(["x"])
    for name, into in WINDOWINGS.items():
        windowed = texts if into is None else texts | f"into {name}" >> into
        _ = windowed | name >> obs.Stage(beam.Map(parse), dead_letters=dead)


EXPECTED = sorted([*WINDOWINGS, "sliding"])


def test_stages_of_any_windowing_share_a_home_of_files(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(str(tmp_path)) as dead:
        windowed_stages(p, dead)
    assert sorted(letter.stage for letter in avro_letters(tmp_path)) == EXPECTED
    assert sum(committed(tmp_path).values()) == len(EXPECTED)


def test_stages_of_any_windowing_share_a_sink() -> None:
    def build(p: beam.Pipeline) -> Any:
        with obs.DeadLetters(Texts()) as dead:
            windowed_stages(p, dead)
        return dead.result

    assert sorted(text.split(":")[0] for text in run(build).values()) == EXPECTED


def stream(*texts: str) -> Any:
    events = TestStream()
    for number, text in enumerate(texts):
        events = events.add_elements([TimestampedValue(text, number)]).advance_watermark_to(number + 1)
        events = events.advance_processing_time(30)
    return events.advance_watermark_to_infinity().with_output_types(str)


@pytest.mark.parametrize("windows", [GlobalWindows(), FixedWindows(2), Sessions(1)])
def test_a_stream_has_its_dead_letters_in_files(windows: Any, tmp_path: Path) -> None:
    with (
        beam.Pipeline(BundleBasedDirectRunner(), options=_options("--streaming")) as p,
        obs.DeadLetters(str(tmp_path)) as dead,
    ):
        texts = p | stream("1", "x", "2", "y", "z") | beam.WindowInto(windows)
        _ = texts | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    assert sorted(letter.payload_text for letter in avro_letters(tmp_path)) == ["x", "y", "z"]
    assert sum(committed(tmp_path).values()) == 3


def test_a_stream_has_its_dead_letters_as_an_output_in_time() -> None:
    def build(p: beam.Pipeline) -> Any:
        return p | stream("1", "x") | beam.WindowInto(FixedWindows(2)) | observed(beam.Map(parse))

    outcome = run_in_bundles(build, "--streaming")
    assert outcome.values() == [1]
    assert (outcome.refused, outcome.emitted["dead"][0].timestamp) == (["x"], 1_000_000)


def test_late_data_that_is_refused_is_kept(tmp_path: Path) -> None:
    late = (
        TestStream()
        .add_elements([TimestampedValue("1", 1)])
        .advance_watermark_to(100)
        .add_elements([TimestampedValue("late", 2)])
        .advance_watermark_to_infinity()
        .with_output_types(str)
    )
    with (
        beam.Pipeline(BundleBasedDirectRunner(), options=_options("--streaming")) as p,
        obs.DeadLetters(str(tmp_path)) as dead,
    ):
        _ = (
            p
            | late
            | beam.WindowInto(FixedWindows(10))
            | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
        )
    assert [letter.payload_text for letter in avro_letters(tmp_path)] == ["late"]


# Several homes.


def test_a_stage_with_a_home_in_an_observed_pipeline_has_both(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with (
        obs.Pipeline(argv=["--runner=FnApiRunner", f"--obs_store={store}"], name="both") as p,
        obs.DeadLetters(str(tmp_path / "dead")) as dead,
    ):
        _ = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    assert len(avro_letters(tmp_path / "dead")) == 1
    (run_folder,) = (store / "runs" / "both").iterdir()
    assert len(avro_letters(run_folder)) == 1


# Misuse.


def test_without_a_home_the_first_bad_record_fails_the_run() -> None:
    with pytest.raises(ValueError, match=r"invalid literal.*'parse"):
        run(lambda p: p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(parse)))


def test_a_home_that_is_not_closed_stops_the_pipeline_before_it_runs() -> None:
    p = beam.Pipeline("FnApiRunner")
    dead = obs.DeadLetters(Texts())
    _ = p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
    with pytest.raises(RuntimeError, match="must end before the pipeline runs"):
        p.run()


def test_a_home_around_its_pipeline_is_an_error_that_says_what_to_write(tmp_path: Path) -> None:
    def build() -> None:
        with obs.DeadLetters(str(tmp_path)) as dead, beam.Pipeline("FnApiRunner") as p:
            _ = p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)

    with pytest.raises(RuntimeError, match=r"put it inside `with beam.Pipeline\(\)`"):
        build()


def test_a_home_cannot_be_used_after_its_block() -> None:
    p = beam.Pipeline("FnApiRunner")
    texts = p | beam.Create(["x"])
    with obs.DeadLetters(Texts()) as dead:
        pass
    with pytest.raises(obs.UsageError, match=r"'late'.*has ended"):
        _ = texts | "late" >> obs.Stage(beam.Map(parse), dead_letters=dead)


def test_a_home_cannot_be_shared_by_two_pipelines() -> None:
    dead = obs.DeadLetters(Texts())
    for number, p in enumerate([beam.Pipeline(), beam.Pipeline()]):
        texts = p | beam.Create(["x"])
        if number == 0:
            _ = texts | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
        else:
            with pytest.raises(obs.UsageError, match=r"'parse'.*another pipeline"):
                _ = texts | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)


@pytest.mark.parametrize("sink", [3, None, ["folder"], beam.io.WriteToText])
def test_a_sink_that_is_none_is_refused_with_what_to_write(sink: Any) -> None:
    with pytest.raises(obs.UsageError, match=r"give a folder, obs.AvroFiles\(folder\)"):
        obs.DeadLetters(sink)


def test_an_error_in_the_block_is_the_one_that_is_seen() -> None:
    def build() -> None:
        with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(Texts()) as dead:
            _ = p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
            raise KeyError("of the user's")

    with pytest.raises(KeyError, match="of the user's"):
        build()

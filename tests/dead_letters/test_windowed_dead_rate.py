"""A stage that refuses too large a share fails its job: the run's end in batch, each window in a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import FixedWindows, TimestampedValue

import beam_obs as obs
from beam_obs.records.errors import DeadRateExceeded, UsageError


def texts(bad: int, good: int) -> list[str]:
    return ["x"] * bad + ["1"] * good


def run_plain(records: list[str], folder: Path, **stage: Any) -> None:
    with beam.Pipeline("DirectRunner") as p, obs.DeadLetters(str(folder)) as dead:
        _ = p | beam.Create(records) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead, **stage)


def run_observed(records: list[str], folder: Path, **stage: Any) -> None:
    options = PipelineOptions([f"--obs_store={folder}", "--obs_report=off"])
    with obs.Pipeline("DirectRunner", options, name="rates") as p:
        _ = p | beam.Create(records) | "parse" >> obs.Stage(beam.Map(int), **stage)


def test_a_limit_of_its_own_fails_a_plain_pipeline(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"'parse' refused 3 of 10 records \(30.0%\), more than the 20.0%"):
        run_plain(texts(3, 7), tmp_path, max_dead_rate=0.2, max_dead_minimum=10)


def test_a_share_below_the_limit_passes(tmp_path: Path) -> None:
    run_plain(texts(2, 8), tmp_path, max_dead_rate=0.2, max_dead_minimum=10)


def test_too_few_records_are_not_judged(tmp_path: Path) -> None:
    run_plain(texts(9, 0), tmp_path, max_dead_rate=0.2, max_dead_minimum=10)


def test_a_limit_of_its_own_fails_an_observed_run_with_its_dead_letters_written(tmp_path: Path) -> None:
    with pytest.raises(DeadRateExceeded) as raised:
        run_observed(texts(3, 7), tmp_path, max_dead_rate=0.2, max_dead_minimum=10)
    assert (raised.value.stage, raised.value.dead, raised.value.taken) == ("parse", 3, 10)
    assert raised.value.limit == 0.2
    assert len(list(tmp_path.glob("runs/rates/*/dead_letters-*.avro"))) == 1


def test_a_looser_limit_of_its_own_overrides_that_of_the_pipeline(tmp_path: Path) -> None:
    run_observed(texts(90, 20), tmp_path, max_dead_rate=0.9)


class Parse(beam.PTransform):  # type: ignore[misc]
    def expand(self, records: Any) -> Any:
        return records | "ints" >> beam.Map(int)


def test_a_limit_around_a_composite_holds_each_step_in_it(tmp_path: Path) -> None:
    with (
        pytest.raises(DeadRateExceeded, match=r"'parse/Parse/ints' refused 3 of 10"),
        obs.Pipeline("DirectRunner", argv=[f"--obs_store={tmp_path}", "--obs_report=off"], name="rates") as p,
    ):
        _ = (
            p
            | beam.Create(texts(3, 7))
            | "parse" >> obs.Stage(Parse(), max_dead_rate=0.2, max_dead_minimum=10)
        )


class Lenient(beam.PTransform):  # type: ignore[misc]
    def expand(self, records: Any) -> Any:
        return records | "ints" >> obs.Stage(beam.Map(int), max_dead_rate=0.5, max_dead_minimum=10)


def test_the_limit_of_a_stage_in_a_composite_is_its_own(tmp_path: Path) -> None:
    def stage(**arguments: Any) -> Any:
        return "all" >> obs.Stage(Lenient(), max_dead_rate=0.2, max_dead_minimum=10, **arguments)

    with obs.Pipeline("FnApiRunner", argv=[f"--obs_store={tmp_path}", "--obs_report=off"]) as p:
        _ = p | beam.Create(texts(3, 7)) | stage()
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters("dead") as dead:
        _ = p | beam.Create(texts(3, 7)) | stage(dead_letters=dead)


def read_or_write(kind: str, p: Any, limit: float, **arguments: Any) -> None:
    """Applies a step that refuses 3 of 10 records."""
    given: Any = {"max_dead_rate": limit, "max_dead_minimum": 10, **arguments}
    Path("in.jsonl").write_text("torn\n" * 3 + "{}\n" * 7)
    if kind == "read":
        _ = p | "step" >> obs.ReadFromJson("in.jsonl", **given)
    elif kind == "read in a Source":
        _ = p | "step" >> obs.Source(obs.ReadFromJson("in.jsonl"), **given)
    elif kind == "read of one's own":
        _ = p | "step" >> obs.Source(MadeAndParsed(), **given)
    else:
        _ = p | beam.Create([{}] * 7 + [{"a": 1j}] * 3) | "step" >> obs.WriteToJson("out", **given)


class MadeAndParsed(beam.PTransform):  # type: ignore[misc]
    def expand(self, pbegin: Any) -> Any:
        return pbegin | beam.Create(texts(3, 7)) | "ints" >> beam.Map(int)


KINDS = ["read", "read in a Source", "read of one's own", "write"]
REFUSED = r"'step\b.*' refused 3 of 10 records \(30.0%\), more than the 20.0%"


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_or_write_is_judged_when_an_observed_run_ends(kind: str, tmp_path: Path) -> None:
    argv = [f"--obs_store={tmp_path}", "--obs_report=off"]
    with pytest.raises(DeadRateExceeded, match=REFUSED), obs.Pipeline("FnApiRunner", argv=argv) as p:
        read_or_write(kind, p, 0.2)
    with obs.Pipeline("FnApiRunner", argv=argv) as p:
        read_or_write(kind, p, 0.3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_or_write_is_judged_in_a_plain_pipeline(kind: str) -> None:
    def run(limit: float) -> None:
        with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters("dead") as dead:
            read_or_write(kind, p, limit, dead_letters=dead)

    with pytest.raises(Exception, match=REFUSED):
        run(0.2)
    run(0.3)


def stream(window: bool, limit: float) -> beam.Pipeline:
    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    p = beam.Pipeline("DirectRunner", options)
    events = TestStream().add_elements([TimestampedValue(text, 1) for text in texts(1, 9)])
    events = events.add_elements([TimestampedValue(text, 11) for text in texts(5, 5)])
    records = p | events.advance_watermark_to_infinity()
    if window:
        records = records | beam.WindowInto(FixedWindows(10))
    stage = obs.Stage(beam.Map(int), max_dead_rate=limit, max_dead_minimum=10)
    _ = records | "parse" >> stage.with_dead_letters()
    return p


def test_a_stream_is_judged_by_window() -> None:
    with pytest.raises(Exception, match=r"parse in window \[1970-01-01T00:00:10Z, .*refused 5 of 10"):
        stream(window=True, limit=0.2).run().wait_until_finish()


def test_a_stream_whose_windows_are_below_the_limit_passes() -> None:
    stream(window=True, limit=0.5).run().wait_until_finish()


def test_a_stream_in_the_global_window_is_refused() -> None:
    with pytest.raises(UsageError, match=r"apply beam\.WindowInto before it"):
        stream(window=False, limit=0.2)


def test_a_limit_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(UsageError, match="max_dead_rate=2"):
        obs.Stage(beam.Map(int), max_dead_rate=2)

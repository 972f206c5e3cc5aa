"""WindowInto: what comes too late for its window is a dead letter, exactly where a runner would drop it."""

from __future__ import annotations

import time
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark, Repeatedly
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindows,
    NonMergingWindowFn,
    Sessions,
    SlidingWindows,
    TimestampedValue,
)

import beam_obs as obs
import beam_obs.lineage as lineage
from tests.stages.late_stream import BUNDLES, letters_of, run_late, stream


def of_windows(record: Any) -> dict[str, Any]:
    return next(step for step in record.end["steps"] if step["label"] == "windows")


def test_what_is_too_late_is_a_dead_letter_from_the_first_record_on() -> None:
    record = run_late()

    assert letters_of(record) == [
        ("('a', 1)", 5, "[1970-01-01T00:00:00Z, 1970-01-01T00:00:10Z)"),
        ("('a', 4)", 21, "[1970-01-01T00:00:20Z, 1970-01-01T00:00:30Z)"),
        ("('b', 6)", 34, "[1970-01-01T00:00:30Z, 1970-01-01T00:00:40Z)"),
    ]
    assert record.end["balance"]["holds"] is True
    assert record.end["balance"]["dropped"] == []
    stage = next(stage for stage in record.end["stages"] if stage["label"] == "windows")
    assert (stage["in"], stage["out"], stage["dead"]) == (7, 4, 3)
    for letter in obs.read_dead_letters(record.id):
        assert letter.origin is not None
        answer = lineage.fate(letter.origin, run=record.id)
        assert answer.into is not None
        assert [one.id for one in answer.into.dead_letters] == [letter.id]


def test_the_same_without_it_is_dropped() -> None:
    record = run_late(beam.WindowInto(FixedWindows(10)))

    (dropped,) = record.end["balance"]["dropped"]
    assert (dropped["step"], dropped["count"]) == ("sum", 3)


@pytest.mark.parametrize(
    ("windows", "late"),
    [
        (obs.WindowInto(FixedWindows(10), allowed_lateness=5), [1, 6]),
        (
            obs.WindowInto(
                FixedWindows(10),
                trigger=AfterWatermark(late=AfterCount(1)),
                accumulation_mode=AccumulationMode.ACCUMULATING,
                allowed_lateness=60,
            ),
            [],
        ),
        (obs.WindowInto(Sessions(5)), [1, 4, 6]),
        # Of two windows that a record is in, it may be late for one.
        (obs.WindowInto(SlidingWindows(20, 10)), [1, 1, 4, 6, 6]),
        (obs.WindowInto(GlobalWindows(), Repeatedly(AfterCount(1)), AccumulationMode.DISCARDING), []),
    ],
)
def test_late_is_what_the_windows_say(windows: Any, late: list[int]) -> None:
    record = run_late(windows)

    assert [int(text[-2]) for text, *_ in letters_of(record)] == late
    assert record.end["balance"]["dropped"] == []
    assert record.end["balance"]["holds"] is not False


def test_what_is_later_than_late_for_is_dropped_and_counted() -> None:
    record = run_late(obs.WindowInto(FixedWindows(10), late_for=15))

    assert [text for text, *_ in letters_of(record)] == ["('a', 1)", "('a', 4)"]
    balance = record.end["balance"]
    assert balance["dropped"] == [{"step": "windows", "count": 1, "windows": {"[30.0, 40.0)": 1}}]
    assert balance["holds"] is True
    assert of_windows(record)["dropped"] == 1


@pytest.mark.slow
def test_elements_that_are_no_pairs_stay_what_they_are() -> None:
    given = PipelineOptions(["--streaming", "--obs_report=off"])
    with obs.Pipeline(BUNDLES, given, name="late") as p:
        values = p | "come" >> stream() | beam.Map(lambda pair: {"value": pair[1]})
        windowed = values | "windows" >> obs.WindowInto(FixedWindows(10))
        values = windowed | "value" >> beam.Map(lambda record: record["value"])
        assert_that(values | beam.CombineGlobally(sum).without_defaults(), equal_to([5, 5, 7]))
    record = obs.Store().find("latest")

    assert [text for text, *_ in letters_of(record)] == ['{"value": 1}', '{"value": 4}', '{"value": 6}']
    assert record.end["balance"]["holds"] is True


def test_dead_letters_are_an_output_of_a_plain_pipeline_too() -> None:
    with beam.Pipeline(BUNDLES, PipelineOptions(["--streaming"])) as p:
        into = obs.WindowInto(FixedWindows(10)).with_dead_letters()
        good, late = p | "come" >> stream() | "windows" >> into
        assert_that(good | beam.CombinePerKey(sum), equal_to([("a", 2), ("b", 3), ("a", 5), ("b", 7)]))
        texts = late | beam.Map(lambda letter: letter.payload_text)
        assert_that(texts, equal_to(["('a', 1)", "('a', 4)", "('b', 6)"]), "late")


def test_in_a_batch_nothing_is_late() -> None:
    times = [TimestampedValue(("a", at), at) for at in (50, 1, 30)]
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="batch") as p:
        created = p | beam.Create(times).with_output_types(tuple[str, int])
        groups = created | "first" >> beam.WindowInto(FixedWindows(10)) | beam.GroupByKey()
        # Their pane is that of a group: it is on time, and says nothing of the windows that come.
        again = groups | "windows" >> obs.WindowInto(FixedWindows(20))
        assert_that(again | beam.MapTuple(lambda key, values: list(values)), equal_to([[50], [1], [30]]))

    record = obs.Store().find("latest")
    assert (record.end or {})["balance"]["holds"] is True
    assert letters_of(record) == []


def test_a_record_that_is_in_two_windows_is_no_imbalance() -> None:
    now = time.time()
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="late") as p:
        times = p | "come" >> PeriodicImpulse(now, now + 0.3, 0.1)
        pairs = times | "pair" >> beam.Map(lambda at: ("a", 1)).with_output_types(tuple[str, int])
        windowed = pairs | "windows" >> obs.WindowInto(SlidingWindows(20, 10))
        _ = windowed | beam.CombinePerKey(sum)

    record = obs.Store().find("latest")
    assert record.end["balance"]["holds"] is not False, record.end["balance"]["broken"]
    assert [stage["in"] for stage in record.end["stages"] if stage["label"] == "windows"] == [6]


class Odd(NonMergingWindowFn):
    """Windows that are no intervals."""

    def assign(self, context: Any) -> Any:
        return [context.window]

    def get_window_coder(self) -> Any:
        return GlobalWindows().get_window_coder()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: obs.WindowInto(Odd()), "windows are not intervals of time: use beam.WindowInto"),
        (lambda: obs.WindowInto(FixedWindows), "obs.WindowInto at .*test_window_into.py"),
        (lambda: obs.WindowInto(FixedWindows(1), late_for=-1), "late_for=-1: give a whole number, 0 or more"),
        (
            lambda: obs.WindowInto(FixedWindows(1), trigger=AfterCount(1)),
            "obs.WindowInto at .*accumulation_mode",
        ),
        (
            lambda: obs.WindowInto(FixedWindows(1), dead_letters="here"),
            "got dead_letters='here'",
        ),
    ],
)
def test_misuse_is_told_when_it_is_made(make: Any, message: str) -> None:
    with pytest.raises(obs.UsageError, match=message):
        make()


def test_it_needs_a_label_and_a_pcollection() -> None:
    pipeline = beam.Pipeline()
    with pytest.raises(obs.UsageError, match='write "parse" >> obs\\.WindowInto'):
        _ = pipeline | beam.Create([1]) | obs.WindowInto(FixedWindows(1))
    with pytest.raises(obs.UsageError, match="needs a PCollection"):
        _ = pipeline | "windows" >> obs.WindowInto(FixedWindows(1))

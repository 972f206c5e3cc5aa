"""How old the oldest data is that a stream has taken and not yet given."""

from __future__ import annotations

import dataclasses
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark
from apache_beam.transforms.window import FixedWindows, TimestampedValue

import beam_obs as obs
from beam_obs.metrics.own_families import OLDEST_UNPROCESSED
from beam_obs.records.open_windows import oldest_waiting
from beam_obs.records.window_counts import WindowCounts
from beam_obs.store.numbers_of_run import numbers_of_run
from beam_obs.store.run_record import RunRecord

TAKEN, GIVEN = WindowCounts(4), WindowCounts(4, 4)


@pytest.mark.parametrize(
    ("windows", "oldest"),
    [
        ({}, None),
        ({"[0.0, 10.0)": TAKEN}, 0.0),
        ({"[0.0, 10.0)": GIVEN, "[10.0, 20.0)": TAKEN, "[20.0, 30.0)": TAKEN}, 10.0),
        ({"[0.0, 10.0)": WindowCounts(4, 3)}, None),
        # All that came for the first window came too late: it is never given.
        ({"[0.0, 10.0)": TAKEN, "[10.0, 20.0)": GIVEN}, None),
        ({"a window of one's own": TAKEN}, None),
    ],
)
def test_the_oldest_that_waits_is_in_the_first_window_that_is_open(
    windows: dict[str, WindowCounts], oldest: float | None
) -> None:
    assert oldest_waiting(windows) == oldest


def ran(**windowing: Any) -> RunRecord:
    stream = TestStream(coder=beam.coders.PickleCoder())
    stream.add_elements([TimestampedValue(("a", number), number) for number in range(25)])
    stream.advance_watermark_to_infinity()
    with obs.Pipeline(
        "DirectRunner", PipelineOptions(["--obs_report=off", "--streaming"]), name="waits"
    ) as p:
        pairs = p | stream | beam.Map(lambda pair: pair).with_output_types(tuple[str, int])
        _ = pairs | beam.WindowInto(FixedWindows(10), **windowing) | "group" >> beam.GroupByKey()
    return obs.Store().find("waits@latest")


def test_of_a_stream_that_has_ended_nothing_waits() -> None:
    record = ran()
    assert (record.end or {})["waiting"] == [{"step": "group", "oldest": None, "window_seconds": 10.0}]
    (sample,) = numbers_of_run(record).family(OLDEST_UNPROCESSED).samples
    assert (sample.step, sample.value) == ("group", 0.0)


def test_of_a_stream_that_was_cancelled_the_age_of_what_waits_is_told() -> None:
    record = ran()
    end = {
        **(record.end or {}),
        "finished": "1970-01-01T00:01:00.000000Z",
        "waiting": [{"step": "group", "oldest": 20.0}],
    }
    (sample,) = numbers_of_run(dataclasses.replace(record, end=end)).family(OLDEST_UNPROCESSED).samples
    assert sample.value == 40.0


def test_where_panes_come_early_nobody_knows() -> None:
    early = AfterWatermark(early=AfterCount(1))
    record = ran(trigger=early, accumulation_mode=AccumulationMode.DISCARDING)
    assert (record.end or {})["waiting"] == []

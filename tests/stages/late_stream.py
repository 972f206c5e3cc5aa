"""A stream some of whose records come late, on any runner that has a TestStream."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.coders import StrUtf8Coder, TupleCoder, VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import FixedWindows, TimestampedValue

import beam_obs as obs

BUNDLES = "BundleBasedDirectRunner"
STEPS: tuple[tuple[int, tuple[tuple[str, int, int], ...]], ...] = (
    (20, (("a", 1, 5),)),  # the first of all is late
    (22, (("a", 2, 25), ("b", 3, 26))),
    (32, (("a", 4, 21), ("a", 5, 33))),  # by 2 seconds
    (90, (("b", 6, 34), ("b", 7, 95))),
)
"""Watermarks, and the records that come then: key, value, and time in seconds."""


def stream(steps: Any = STEPS) -> TestStream:
    """Returns the stream."""
    found = TestStream(coder=TupleCoder([StrUtf8Coder(), VarIntCoder()]))
    for watermark, records in steps:
        found = found.advance_watermark_to(watermark)
        found = found.add_elements([TimestampedValue((key, value), at) for key, value, at in records])
    return found.advance_watermark_to_infinity()


def run_late(
    windows: Any = None, runner: str = BUNDLES, options: tuple[str, ...] = (), steps: Any = STEPS
) -> Any:
    """Runs the stream in windows and sums it up; returns the record of the run."""
    into = obs.WindowInto(FixedWindows(10)) if windows is None else windows
    given = PipelineOptions(["--streaming", "--obs_report=off", *options])
    with obs.Pipeline(runner, given, name="late") as p:
        _ = p | "come" >> stream(steps) | "windows" >> into | "sum" >> beam.CombinePerKey(sum)
    return obs.Store().find("latest")


def letters_of(record: Any) -> list[tuple[Any, ...]]:
    """Returns of each dead letter of a run the record, its time in seconds, and its window."""
    letters = list(obs.read_dead_letters(record.id))
    assert all(one.stage == "windows" and one.error_type == "beam_obs.LateRecord" for one in letters)
    return sorted((one.payload_text, one.event_time // 1_000_000, one.window) for one in letters)

"""The flights as a stream: `python -m pipelines.flights.stream --subscription SUBSCRIPTION --output PREFIX`.

Reads a message for each flight as `replay_source` sends it, from Pub/Sub or from files as they come, checks
it, refuses copies, and sums up each airport's departures in fixed and in sliding windows. A window has early
panes, one when it is full, and late ones; each holds what came since the one before, so that they add up and
every flight is accounted for. What comes too late for all of them is counted and named in the run's balance.
"""

from __future__ import annotations

import contextlib
import csv
import json
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterProcessingTime, AfterWatermark
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindows,
    SlidingWindows,
    TimestampedValue,
    WindowFn,
)
from apache_beam.utils.timestamp import Timestamp

import beam_obs as obs
from pipelines.flights import checks, parse, stream_steps
from pipelines.flights.reference import ADDED_AIRPORTS, AIRLINES, AIRPORTS, DATA
from pipelines.flights.stream_options import StreamOptions, stream_options

_LOOKS_SECONDS = 1.0
"""Time between two looks for new files."""


def build(pipeline: beam.Pipeline, options: StreamOptions) -> None:
    """Adds the steps to `pipeline`.

    Args:
      pipeline: an observed one, for dead letters to be kept.
      options: what to read, where to write, and how windows are.
    """
    with _dead_letters(options) as dead:
        if options.subscription:
            read = obs.ReadFromPubSub(
                subscription=options.subscription,
                timestamp_attribute="event_time",
                decode=json.loads,
                dead_letters=dead,
            )
            rows = pipeline | "read flights" >> read
        else:
            rows = _read_files(pipeline, options, dead)
        for windows, statistics in add_steps(rows, options, dead).items():
            _write(statistics, windows, options, dead)


def add_steps(rows: Any, options: StreamOptions, dead: obs.DeadLetters | None = None) -> dict[str, Any]:
    """Adds what is between reading and writing; returns the statistics by the kind of windows.

    Args:
      rows: of flights, each at the time at which it left.
      options: how windows are.
      dead: home of dead letters beside the store, if there is one.
    """
    carriers = dict(map(parse.parse_carrier, _rows_of(AIRLINES)))
    airports = dict(map(parse.parse_airport, [*_rows_of(AIRPORTS), *_rows_of(ADDED_AIRPORTS)]))
    check = beam.Map(checks.check_flight, carriers=carriers, airports=airports)
    departures = (
        rows
        | "parse" >> obs.Stage(beam.Map(parse.parse_flight), dead_letters=dead)
        | "check" >> obs.Stage(check, dead_letters=dead)
        | "key by name" >> beam.Map(checks.by_name)
        | "refuse copies" >> obs.Stage(beam.ParDo(stream_steps.FirstOfName()), dead_letters=dead)
        | "key by airport" >> beam.Map(stream_steps.by_airport)
    )
    size = options.window_seconds
    kinds: dict[str, WindowFn] = {"fixed": FixedWindows(size), "sliding": SlidingWindows(2 * size, size)}
    return {
        kind: (
            departures
            | f"{kind} windows" >> _windowed(windows, options)
            | f"combine {kind}" >> beam.CombinePerKey(stream_steps.CombineDepartures())
            | f"{kind} statistics"
            >> obs.Stage(beam.Map(stream_steps.to_airport_statistics, kind), dead_letters=dead)
        )
        for kind, windows in kinds.items()
    }


def _windowed(windows: WindowFn, options: StreamOptions) -> beam.WindowInto:
    return beam.WindowInto(
        windows,
        trigger=AfterWatermark(early=AfterProcessingTime(options.early_seconds), late=AfterCount(1)),
        accumulation_mode=AccumulationMode.DISCARDING,
        allowed_lateness=options.lateness_seconds,
    )


def _read_files(pipeline: Any, options: StreamOptions, dead: obs.DeadLetters | None) -> Any:
    seconds = options.stream_seconds
    now = time.time()
    until = {} if seconds is None else {"stop_timestamp": Timestamp.of(now + seconds)}
    files = fileio.MatchContinuously(
        options.input, interval=_LOOKS_SECONDS, start_timestamp=Timestamp.of(now), **until
    )
    return (
        pipeline
        | "find files" >> files
        | "open files" >> fileio.ReadMatches()
        | "read lines" >> beam.FlatMap(_lines)
        | "read flights" >> obs.Stage(beam.Map(stream_steps.row_at_its_time), dead_letters=dead)
    )


def _lines(file: fileio.ReadableFile) -> list[str]:
    lines: list[str] = file.read_utf8().splitlines()
    return lines


def _write(statistics: Any, windows: str, options: StreamOptions, dead: obs.DeadLetters | None) -> None:
    if options.statistics_topic:
        messages = statistics | f"{windows} as JSON" >> beam.Map(stream_steps.to_json).with_output_types(
            bytes
        )
        messages | f"publish {windows}" >> obs.WriteToPubSub(options.statistics_topic, dead_letters=dead)
    write = obs.WriteToAvro(
        f"{options.output}-{windows}",
        schema=stream_steps.AIRPORT_SCHEMA,
        file_name_suffix=".avro",
        triggering_frequency=options.window_seconds,
        dead_letters=dead,
    )
    # Beam's sinks have windows of their own and take nothing that is late for them: a pane is written now.
    # Given a new time in a sliding window, it would be in both that have this time.
    (
        statistics
        | f"end {windows} windows" >> beam.WindowInto(GlobalWindows())
        | f"now {windows}" >> beam.Map(_now)
        | f"write {windows}" >> write
    )


_AHEAD_SECONDS = 5
"""A pane that is written a moment before its sink's window ends would be late for it when it gets there."""


def _now(element: Any) -> TimestampedValue:
    return TimestampedValue(element, time.time() + _AHEAD_SECONDS)


@contextlib.contextmanager
def _dead_letters(options: StreamOptions) -> Iterator[obs.DeadLetters | None]:
    if not options.dead_letters_topic:
        yield None
        return
    with obs.DeadLetters(obs.PubSubMessages(options.dead_letters_topic)) as dead:
        yield dead


def _rows_of(name: str) -> list[parse.Row]:
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


def main(argv: list[str] | None = None) -> str:
    """Runs the stream with the options of the command line; returns the state in which it ended."""
    options = stream_options(argv)
    options.view_as(StandardOptions).streaming = True
    pipeline = obs.Pipeline(options=options, name="flights-stream")
    build(pipeline, options)
    result = pipeline.run()
    try:
        ends = None if options.stream_seconds is None else time.monotonic() + options.stream_seconds
        while not PipelineState.is_terminal(result.state) and (ends is None or time.monotonic() < ends):
            time.sleep(0.2)
    except KeyboardInterrupt:
        pass
    if options.subscription and not PipelineState.is_terminal(result.state):
        result.cancel()
    else:
        result.wait_until_finish()
    return str(result.state)


if __name__ == "__main__":
    main()

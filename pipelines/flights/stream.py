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
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterProcessingTime, AfterWatermark
from apache_beam.transforms.window import (
    FixedWindows,
    SlidingWindows,
    TimestampedValue,
    WindowFn,
)
from apache_beam.utils.timestamp import Timestamp

import beam_obs as obs
from pipelines.flights import checks, parse, stream_steps
from pipelines.flights.records import Flight
from pipelines.flights.reference import ADDED_AIRPORTS, AIRLINES, AIRPORTS, DATA
from pipelines.flights.stream_options import StreamOptions, stream_options

_LOOKS_SECONDS = 1.0
"""Time between two looks for new files."""
_WRITTEN_WITHIN_SECONDS = 86_400
"""How late a pane may come to the windows of files, which are of the present: what is late is written too."""


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
        add_writes(add_steps(rows, options, dead), options, dead)


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
        # A step with state wants keys whose encoding is known to be the same for the same name.
        | "key by name" >> beam.Map(checks.by_name).with_output_types(tuple[str, Flight])
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


def add_writes(
    statistics: Mapping[str, Any], options: StreamOptions, dead: obs.DeadLetters | None = None
) -> None:
    """Adds what writes and publishes the statistics.

    Args:
      statistics: by the kind of windows.
      options: where to.
      dead: home of dead letters beside the store, if there is one.
    """
    for windows, panes in statistics.items():
        _write(panes, windows, options, dead)


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
        dead_letters=dead,
    )
    # Given a new time in its sliding windows, a pane would be in both that have this time.
    (
        statistics
        | f"end {windows} windows" >> _windows_of_files(options.window_seconds)
        | f"now {windows}" >> beam.Map(_now)
        | f"write {windows}" >> write
    )


def _windows_of_files(seconds: int) -> beam.WindowInto:
    """Returns windows whose files come by the clock too: a runner may hold the watermark for good."""
    return beam.WindowInto(
        FixedWindows(seconds),
        trigger=AfterWatermark(early=AfterProcessingTime(seconds), late=AfterCount(1)),
        accumulation_mode=AccumulationMode.DISCARDING,
        allowed_lateness=_WRITTEN_WITHIN_SECONDS,
    )


def _now(element: Any) -> TimestampedValue:
    return TimestampedValue(element, time.time())


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

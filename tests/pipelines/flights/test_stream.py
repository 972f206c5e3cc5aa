"""The stream of flights, on streams whose clock the test holds."""

from __future__ import annotations

import collections
import csv
import json
import pathlib
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

import beam_obs as obs
from pipelines.flights import stream
from pipelines.flights.parse import Row
from pipelines.flights.records import AirportStatistics
from pipelines.flights.replay_source import FLIGHTS
from pipelines.flights.stream_options import stream_options
from pipelines.flights.stream_steps import row_at_its_time, to_json
from tests.io.pipelines import Keeper

OPTIONS = [
    "--input=none",
    "--output=none",
    "--window_seconds=10",
    "--lateness_seconds=10",
    "--obs_report=off",
]


def january(count: int) -> list[Row]:
    with FLIGHTS.open(newline="") as file:
        return [row for row, _ in zip(csv.DictReader(file), range(count), strict=False)]


def statistics_of(stream_of_rows: TestStream) -> tuple[dict[str, list[AirportStatistics]], dict[str, Any]]:
    """Returns the statistics by the kind of windows, and what the run came to."""
    kept: dict[str, Keeper] = {}
    given = PipelineOptions(["--streaming", "--obs_report=off", "--obs_lineage_filtered=all"])
    with obs.Pipeline("DirectRunner", given, name="stream") as p:
        rows = p | stream_of_rows
        for kind, statistics in stream.add_steps(rows, stream_options(OPTIONS)).items():
            kept[kind] = Keeper()
            _ = statistics | f"keep {kind}" >> beam.Map(kept[kind])
    end = obs.Store().find("stream@latest").end
    assert end is not None
    return {kind: keeper.elements for kind, keeper in kept.items()}, end


def test_every_flight_is_counted_once_late_ones_too_and_what_is_too_late_is_named() -> None:
    rows = january(6)
    coming = (
        TestStream()
        .advance_watermark_to(0)
        .add_elements([TimestampedValue(row, 1 + n) for n, row in enumerate(rows[:3])])
        .advance_watermark_to(12)
        .add_elements([TimestampedValue(rows[3], 5)])
        .advance_watermark_to(45)
        .add_elements([TimestampedValue(rows[4], 6), TimestampedValue(rows[5], 46)])
        .advance_watermark_to_infinity()
    )
    found, end = statistics_of(coming)

    panes = collections.Counter[tuple[str, str]]()
    for one in found["fixed"]:
        panes[one.begin[17:19], one.pane] += one.flights
    assert panes == {("00", "on time"): 3, ("00", "late"): 1, ("40", "on time"): 1}
    assert sum(one.flights for one in found["sliding"]) == 2 * (3 + 1 + 1)
    balance = end["balance"]
    assert balance["holds"]
    assert [(one["step"], one["count"]) for one in balance["dropped"]] == [
        ("combine fixed", 1),
        ("combine sliding", 2),
    ]
    edges = {edge["to"]: edge for edge in end["ledger"]["edges"]}
    assert [to for to, edge in edges.items() if edge.get("reason")] == []
    assert {to for to, edge in edges.items() if not edge.get("by_window")} == {
        *("parse", "check", "key by name", "refuse copies", "key by airport"),
        *("fixed windows", "sliding windows"),
    }


def test_a_copy_is_refused_and_counted_nowhere() -> None:
    (row,) = january(1)
    coming = (
        TestStream()
        .add_elements([TimestampedValue(row, 1), TimestampedValue(row, 2)])
        .advance_watermark_to_infinity()
    )
    found, end = statistics_of(coming)
    assert [one.flights for one in found["fixed"]] == [1]
    assert end["dead_letters"]["by_stage"] == {"refuse copies": 1}


def test_a_line_is_a_row_at_the_time_at_which_its_flight_left() -> None:
    line = '{"event_time":"2026-11-29T06:00:00.500Z","carrier":"UA"}'
    found = row_at_its_time(line)
    assert found.value["carrier"] == "UA"
    assert found.timestamp == Timestamp.from_rfc3339("2026-11-29T06:00:00.5Z")


@pytest.mark.parametrize(
    ("line", "expected"), [('{"event_ti', "Unterminated"), ('{"day":"1"}', "no event_time")]
)
def test_a_line_that_says_no_time_is_refused(line: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        row_at_its_time(line)


def test_statistics_are_published_as_json() -> None:
    statistics = AirportStatistics("JFK", "fixed", "a", "b", "late", 2, 3, 1, 1.5, 4)
    assert json.loads(to_json(statistics)) == statistics._asdict()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--output=o"], "give one of --input and --subscription"),
        (["--output=o", "--input=i", "--subscription=s"], "give one of --input and --subscription"),
        (["--input=i"], "--output must be given"),
        (["--input=i", "--output=o", "--window_seconds=0"], "--window_seconds is 0: give 1 or more"),
        (["--input=i", "--output=o", "--lateness_seconds=-1"], "--lateness_seconds is -1: give 0 or more"),
    ],
)
def test_a_wrong_command_line_is_said_at_once(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_status:
        stream_options(arguments)
    assert exit_status.value.code == 2
    assert expected in capsys.readouterr().err


@pytest.mark.slow
def test_files_come_by_the_clock_where_the_watermark_stands_still(tmp_path: pathlib.Path) -> None:
    seconds = 10_000_000  # of the real clock, no window of which ends meanwhile
    coming = TestStream().advance_watermark_to(0)
    for number, row in enumerate(january(3)):
        coming = coming.add_elements([TimestampedValue(row, number)])
        for _ in ("pane", "file"):
            coming = coming.advance_processing_time(seconds)
    given = ["--input=none", f"--output={tmp_path / 'out'}", f"--window_seconds={seconds}"]
    options = stream_options([*given, "--obs_report=off"])
    streaming = PipelineOptions(["--streaming", "--obs_report=off"])
    with obs.Pipeline("DirectRunner", streaming, name="files") as p:
        stream.add_writes(stream.add_steps(p | coming.advance_watermark_to_infinity(), options), options)

    for windows, times in (("fixed", 1), ("sliding", 2)):
        files = list(tmp_path.glob(f"out-{windows}-*.avro"))
        assert len(files) > 1  # as there is when the watermark has passed
        assert sum(row["flights"] for file in files for row in fastavro.reader(file.open("rb"))) == times * 3


def test_keys_of_steps_with_state_have_an_encoding_that_is_known_to_be_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream.build(obs.Pipeline("DirectRunner", name="stream"), stream_options(OPTIONS))

    assert [message for message in caplog.messages if "Key coder" in message] == []

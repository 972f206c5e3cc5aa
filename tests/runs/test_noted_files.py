"""The files that a write notes are held against what went into it."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

import beam_obs as obs
from beam_obs.io.writes.counted_files import NameFiles
from beam_obs.metrics.run_snapshot import Snapshot, StageCounts
from beam_obs.records.manifest import Manifest
from beam_obs.records.run_context import DatasetDescription
from beam_obs.runs.balance import MAY_MISS, Balance, balance
from beam_obs.runs.noted_files import noted_file_lines


def written() -> dict[str, Any]:
    with obs.Pipeline("FnApiRunner", name="writes") as p:
        _ = p | beam.Create([{"n": 1}, {"n": 2}]) | "write" >> obs.WriteToJson("out/numbers")
    end = obs.Store().runs()[0].end
    assert end is not None
    return end


def test_what_was_written_is_in_files_that_were_noted() -> None:
    assert written()["balance"]["holds"] is True


def test_a_sink_that_wrote_and_noted_no_file_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(NameFiles, "process", lambda self, file: [str(file)])

    balance = written()["balance"]

    assert balance["holds"] is False
    assert [line["text"] for line in balance["broken"]] == ["write: out 2, in files that it noted 0 (2 lost)"]
    assert "write: out 2, in files that it noted 0 (2 lost)" in capsys.readouterr().err


def is_within(
    name: str, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
) -> tuple[str, bool]:
    return name, timestamp <= window.max_timestamp()


def test_names_of_files_are_given_at_a_time_within_their_window() -> None:
    """Beam's own sinks give the maximal timestamp, at which a shuffle on Prism drops them."""
    with beam.Pipeline("FnApiRunner") as p:
        names = p | beam.Create(["a"]) | "write" >> obs.WriteToText("out/letters")
        assert_that(names | beam.Map(is_within), equal_to([("out/letters-00000-of-00001", True)]))


def balance_of_stream(out: int, in_files: int, **may: bool) -> Balance:
    """Returns the balance of a write of a stream that gave so many records to be written."""
    snapshot = Snapshot(stages={"write": StageCounts(in_=out, out=out)}, **may)
    written = DatasetDescription("write", "out", "write", notes_files=True, may_drop=True)
    manifest = Manifest("outputs", "write", "out-0", in_files, "0", {})
    return balance(None, snapshot, noted=noted_file_lines([written], [manifest], snapshot.stages))


def test_a_stream_all_of_whose_records_are_in_files_is_checked() -> None:
    found = balance_of_stream(3, 3)
    assert (found.holds, len(found.lines), found.open_steps) == (True, 2, {})


def test_records_of_a_stream_that_are_in_no_file_are_late_or_lost() -> None:
    found = balance_of_stream(3, 1)
    assert found.holds is True
    assert found.open_steps == {"write": "in no file that it noted, late or lost: 2 of 3 records"}


def test_a_record_of_a_stream_that_is_in_files_twice_is_said() -> None:
    found = balance_of_stream(3, 4)
    assert [line.text for line in found.broken] == ["write: out 3, in files that it noted 4 (1 too many)"]


def test_where_the_runner_may_have_lost_counts_more_in_files_is_not_said_to_be_too_much() -> None:
    found = balance_of_stream(3, 4, may_miss=True)
    assert found.holds is True
    assert found.open_steps == {"write": MAY_MISS}

"""The files that a write notes are held against what went into it."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

import beam_obs as obs
from beam_obs.io.writes.counted_files import NameFiles


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

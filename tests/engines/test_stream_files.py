"""Files of a stream on Prism: the same as on the direct runner."""

from __future__ import annotations

import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import FixedWindows, SlidingWindows, TimestampedValue, WindowFn

import beam_obs as obs
from tests.engines.prism import prism_options
from tests.io.writes.test_stream_files import WRITES, check_writes

pytestmark = pytest.mark.engines


def test_on_prism_each_record_is_in_one_file_of_each_of_its_windows_in_whatever_pane_it_comes() -> None:
    options = ["--streaming", "--obs_report=off", *prism_options()]
    check_writes("PrismRunner", PipelineOptions(options), WRITES)


def balance_of(folder: pathlib.Path, windows: WindowFn, times: list[int]) -> dict[str, Any]:
    """Returns the balance of a write, to which records of these times come when the watermark is at 12."""
    coming = TestStream().add_elements([TimestampedValue("on time", 3)]).advance_watermark_to(12)
    coming = coming.add_elements([TimestampedValue("then", time) for time in times])
    options = PipelineOptions(["--streaming", "--obs_report=off", f"--obs_store={folder}", *prism_options()])
    with obs.Pipeline("PrismRunner", options, name="files") as p:
        records = p | coming.advance_watermark_to_infinity() | beam.WindowInto(windows)
        _ = records | "write" >> obs.WriteToText(str(folder / "out"))
    end = obs.Store(str(folder)).find("files@latest").end
    assert end is not None
    balance: dict[str, Any] = end["balance"]
    return balance


def test_on_prism_records_of_a_stream_are_held_against_its_files(tmp_path: pathlib.Path) -> None:
    balance = balance_of(tmp_path, FixedWindows(10), [13, 14, 25])
    assert balance["holds"] is True
    assert balance["unchecked_steps"] == []


def test_on_prism_late_records_that_are_in_no_file_are_told(tmp_path: pathlib.Path) -> None:
    balance = balance_of(tmp_path, FixedWindows(10), [4, 13, 14])
    assert balance["holds"] is True
    reason = "in no file that it noted, late or lost: 1 of 4 records"
    assert balance["unchecked_steps"] == [{"step": "write", "reason": reason}]


def test_on_prism_records_in_several_windows_are_not_held_against_files(tmp_path: pathlib.Path) -> None:
    balance = balance_of(tmp_path, SlidingWindows(10, 5), [13])
    assert [one["step"] for one in balance["unchecked_steps"]] == ["write"]
    assert "may drop late records" in balance["unchecked_steps"][0]["reason"]

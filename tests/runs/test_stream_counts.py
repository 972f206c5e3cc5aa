"""Counts of a stream on the bundle-based direct runner, whose own counters lose some of a TestStream."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream

import beam_obs as obs


@pytest.mark.parametrize("number", [1, 2, 5])
def test_each_record_of_a_stream_is_counted(tmp_path: Path, number: int) -> None:
    options = PipelineOptions(["--streaming", f"--obs_store={tmp_path}", "--obs_report=off"])
    stream = TestStream()
    for record in range(number):
        stream = stream.add_elements([str(record)]).advance_watermark_to(10 * record)
    stream = stream.add_elements(["x"]).advance_watermark_to_infinity()
    with obs.Pipeline("BundleBasedDirectRunner", options, name="stream") as p:
        p | stream | "parse" >> obs.Stage(beam.Map(int))
    end = obs.Store(str(tmp_path)).find("latest").end or {}
    (stage,) = end["stages"]
    assert (stage["in"], stage["out"], stage["dead"]) == (number + 1, number, 1)
    assert end["status"] == "done"
    assert "ended before" not in end["balance"]["unchecked"]

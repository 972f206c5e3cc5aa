"""A run that asks for lineage is woven, keeps what it found, and gives the same results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

import beam_obs as obs
from beam_obs.weaving.weave import WEAVE_VERSION


def run(folder: Path, *options: str) -> dict[str, Any]:
    with obs.Pipeline("FnApiRunner", PipelineOptions([f"--obs_store={folder}", *options]), name="sums") as p:
        pairs = p | beam.Create(["a1", "a2", "b3", "x"]) | "parse" >> obs.Stage(beam.Map(parse))
        assert_that(pairs | beam.CombinePerKey(sum), equal_to([("a", 3), ("b", 3)]))
    end = obs.Store(str(folder)).find("latest").end
    assert end is not None
    return end


def parse(text: str) -> tuple[str, int]:
    return text[0], int(text[1:])


def test_lineage_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    end = run(tmp_path)
    assert not end.get("lineage")
    assert not list(tmp_path.glob("runs/*/*/derivations-*.avro"))


@pytest.mark.parametrize("asked", ["woven", "strict"])
def test_a_woven_run_keeps_its_derivations_and_still_balances(tmp_path: Path, asked: str) -> None:
    end = run(tmp_path, f"--obs_lineage={asked}")
    assert end["lineage"]["opaque"] == {}
    assert end["lineage"]["weave_version"] == WEAVE_VERSION
    assert end["balance"]["holds"]
    assert end["dead_letters"]["count"] == 1
    assert len(list(tmp_path.glob("runs/*/*/derivations-*.avro"))) >= 1

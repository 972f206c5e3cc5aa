"""What starts inside of a composite of Beam's is a source where it leaves the composite as records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs import lineage


class Numbers(beam.PTransform):
    """A read such as Beam has some outside of its ``io``."""

    def expand(self, pbegin: Any) -> Any:
        return pbegin | "Start" >> beam.Create([1, 2]) | beam.Map(lambda number: number * 10)


class Total(beam.PTransform):
    """A composite that begins something of its own, which does not leave it."""

    def expand(self, numbers: Any) -> Any:
        factor = numbers.pipeline | "Factor" >> beam.Create([2])
        factor | "Looked at" >> beam.Map(lambda one: one)
        return numbers | beam.Map(lambda number, factor: number * factor, beam.pvalue.AsSingleton(factor))


for one in (Numbers, Total):
    one.__module__ = "apache_beam.somewhere"


def run(folder: Path, build: Any) -> tuple[Any, dict[str, Any]]:
    """Runs a pipeline whose results are written; returns what its one result is made of, and the lineage."""
    options = PipelineOptions([f"--obs_store={folder / 'store'}", "--obs_report=off", "--obs_lineage=strict"])
    with obs.Pipeline("FnApiRunner", options, name="shown") as p:
        (
            build(p)
            | "text" >> beam.Map(str)
            | beam.io.WriteToText(str(folder / "out"), shard_name_template="", num_shards=1)
        )
    store = obs.Store(str(folder / "store"))
    (made_of,) = lineage.why(f"{folder / 'out'}:1", store=store).made_of
    return made_of, store.find("latest").end["lineage"]  # type: ignore[index]


def test_records_that_leave_a_composite_of_beam_have_an_origin(tmp_path: Path) -> None:
    made_of, found = run(tmp_path, lambda p: p | "numbers" >> Numbers())

    assert isinstance(made_of, lineage.FromSource)
    assert made_of.partition is not None
    assert made_of.partition.source == "numbers/Start"
    assert found["sources"] == ["numbers/Start"]


def test_what_stays_in_a_composite_of_beam_is_no_source(tmp_path: Path) -> None:
    _, found = run(tmp_path, lambda p: p | "one" >> beam.Create([1]) | "total" >> Total())

    assert found["sources"] == ["one"]


@pytest.mark.parametrize("numbers", [[1, 2], []])
def test_the_default_of_an_aggregate_is_no_source(tmp_path: Path, numbers: list[int]) -> None:
    def build(p: Any) -> Any:
        return p | "numbers" >> beam.Create(numbers, reshuffle=False) | beam.combiners.Count.Globally()

    options = PipelineOptions(
        [f"--obs_store={tmp_path / 'store'}", "--obs_report=off", "--obs_lineage=strict"]
    )
    with obs.Pipeline("FnApiRunner", options, name="default") as p:
        _ = build(p) | beam.Map(str) | beam.io.WriteToText(str(tmp_path / "out"))
    found = obs.Store(str(tmp_path / "store")).find("latest").end
    assert found is not None
    assert found["lineage"]["sources"] == ["numbers"]

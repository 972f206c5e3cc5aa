"""The weave knows who reads records as side inputs, also where no edge of the report shows it."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton, TaggedOutput

from beam_obs.weaving.weave import weave


def side_reads(build: Any) -> dict[str, list[str]]:
    """Returns the side reads of a pipeline."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline)
    return weave(pipeline.to_runner_api()).report.side_reads


def both(number: int) -> Any:
    yield number
    yield TaggedOutput("known", number)


def add(number: int, others: Any) -> int:
    return number + sum(others)


def test_who_gives_a_main_input_may_give_a_side_input_too() -> None:
    def build(p: Any) -> None:
        split = p | beam.Create([1, 2]) | "split" >> beam.FlatMap(both).with_outputs("known", main="rest")
        split.rest | "add" >> beam.Map(add, AsIter(split.known))

    assert side_reads(build) == {"split/FlatMap(both)": ["add"]}


def test_an_aggregate_with_side_inputs_reads_them() -> None:
    def most(numbers: Any, limit: int) -> int:
        return min(sum(numbers), limit)

    def build(p: Any) -> None:
        limit = p | "limit" >> beam.Create([5]) | "same" >> beam.Map(abs)
        p | "pairs" >> beam.Create([("a", 1)]) | "sum" >> beam.CombinePerKey(most, limit=AsSingleton(limit))

    ((maker, readers),) = side_reads(build).items()
    assert maker == "same"
    assert readers
    assert all(reader.startswith("sum/") for reader in readers)


def test_a_total_leads_to_where_its_default_is_put_in() -> None:
    assert side_reads(lambda p: p | beam.Create([1]) | "sum" >> beam.CombineGlobally(sum)) == {}


def test_what_starts_in_a_composite_of_beam_and_stays_there_is_no_record() -> None:
    def build(p: Any) -> None:
        p | beam.Create(["a"]) | beam.io.WriteToText("out")
        p | "keyed" >> beam.Create([("a", 1)]) | beam.GroupIntoBatches(2)

    assert side_reads(build) == {}

"""The weave knows which steps a source record comes to once at most."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms import window

from beam_obs.stages.stage import Stage
from beam_obs.weaving.weave import weave


def ways(build: Any) -> dict[str, list[str]]:
    """Returns the single ways of a pipeline."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline)
    return weave(pipeline.to_runner_api()).report.single_ways


def keyed(pcoll: Any, name: str = "sum") -> Any:
    return (
        pcoll
        | f"key {name}" >> beam.Map(lambda number: (number % 2, number))
        | name >> beam.CombinePerKey(sum)
    )


def test_maps_filters_and_stages_give_one_at_most() -> None:
    def build(p: Any) -> None:
        numbers = p | "numbers" >> beam.Create([1, 2, 3])
        kept = numbers | "keep" >> beam.Filter(bool) | "staged" >> Stage(beam.Map(abs)) | beam.Reshuffle()
        keyed(kept | beam.WindowInto(window.FixedWindows(10)))

    found = ways(build)
    assert found["sum"] == ["numbers"]
    assert found["keep"] == found["staged"] == ["numbers"]


@pytest.mark.parametrize(
    "several",
    [
        beam.FlatMap(lambda number: [number, number]),
        beam.ParDo(beam.DoFn()),
        beam.WindowInto(window.SlidingWindows(10, 5)),
    ],
)
def test_what_may_give_several_is_no_single_way(several: Any) -> None:
    def build(p: Any) -> None:
        keyed(p | "numbers" >> beam.Create([1, 2, 3]) | "several" >> several)

    assert "sum" not in ways(build)


def test_a_record_that_comes_by_two_ways_has_no_single_one() -> None:
    def build(p: Any) -> None:
        numbers = p | "numbers" >> beam.Create([1, 2, 3])
        others = p | "others" >> beam.Create([4])
        twice = numbers | "twice" >> beam.Map(lambda number: 2 * number)
        keyed((numbers, twice, others) | beam.Flatten())

    assert ways(build)["sum"] == ["others"]


def test_an_aggregate_of_an_aggregate_is_on_the_way_of_a_group_of_one() -> None:
    def build(p: Any) -> None:
        sums = keyed(p | "numbers" >> beam.Create([1, 2, 3]))
        keyed(sums | "values" >> beam.Map(lambda pair: pair[1]), "again")

    assert ways(build)["again"] == ["numbers"]


def test_a_trigger_that_may_fire_twice_ends_the_way() -> None:
    from apache_beam.transforms.trigger import AccumulationMode, AfterCount, Repeatedly

    def build(p: Any) -> None:
        early = beam.WindowInto(
            window.GlobalWindows(),
            trigger=Repeatedly(AfterCount(1)),
            accumulation_mode=AccumulationMode.ACCUMULATING,
        )
        sums = keyed(p | "numbers" >> beam.Create([1, 2, 3]) | early)
        keyed(sums | "values" >> beam.Map(lambda pair: pair[1]), "again")

    found = ways(build)
    assert found["sum"] == ["numbers"]
    assert "again" not in found

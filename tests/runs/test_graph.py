"""The steps of a run and what is between them, as the report and the answers take them."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from beam_obs.runs.graph import read_graph


class PassOn(beam.PTransform):
    """Gives what it takes."""

    def expand(self, numbers: Any) -> Any:
        return numbers


def test_a_composite_that_gives_what_it_takes_stands_beside_the_way() -> None:
    p = beam.Pipeline()
    _ = p | "numbers" >> beam.Create([1]) | "pass on" >> PassOn() | "last" >> beam.Map(str)

    graph = read_graph(p, ())

    ways = {(edge.producer, consumer) for edge in graph.edges for consumer in edge.consumers}
    assert ways == {("numbers", "pass on"), ("numbers", "last")}
    assert {step.label: step.after for step in graph.steps} == {
        "numbers": (),
        "pass on": ("numbers",),
        "last": ("numbers",),
    }

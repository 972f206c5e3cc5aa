"""Latency of a stage whose outputs are passed on as they come."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam

import beam_obs as obs
from beam_obs.metrics.names import LATENCY_NAMES, NAMESPACE


class Repeat(beam.DoFn):
    def process(self, number: int) -> Iterator[int]:
        yield number


def test_a_result_that_is_only_begun_is_not_timed() -> None:
    p = beam.Pipeline("DirectRunner")
    _ = p | beam.Create([1, 2]) | "repeat" >> obs.Stage(beam.ParDo(Repeat()), partial=True)
    counters = p.run().metrics().query()["counters"]
    timed = [counter for counter in counters if counter.key.metric.namespace == NAMESPACE]
    assert not [counter for counter in timed if counter.key.metric.name in LATENCY_NAMES]

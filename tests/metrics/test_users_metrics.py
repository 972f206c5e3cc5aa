"""A user who asks a result for their metrics is told the same observed as bare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.metrics.metric import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.transforms.core import RestrictionProvider

import beam_obs as obs
from beam_obs.metrics.names import NAMESPACE


class Counting(beam.DoFn):
    def process(self, number: int) -> Iterator[int]:
        Metrics.counter("mine", "seen").inc()
        Metrics.distribution("mine", "size").update(number)
        yield number


class Ranges(RestrictionProvider):
    def initial_restriction(self, element: int) -> OffsetRange:
        return OffsetRange(0, element)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: int, restriction: OffsetRange) -> int:
        return int(restriction.size())


class CountingRange(beam.DoFn):
    def process(self, _: int, tracker: Any = beam.DoFn.RestrictionParam(Ranges())) -> Iterator[int]:  # noqa: B008
        at = tracker.current_restriction().start
        while tracker.try_claim(at):
            Metrics.counter("mine", "claimed").inc()
            yield at
            at += 1


class Composite(beam.PTransform):
    def __init__(self, wrap: Callable[[Any], Any]) -> None:
        super().__init__()
        self._wrap = wrap

    def expand(self, numbers: Any) -> Any:
        return numbers | "inner" >> self._wrap(beam.ParDo(Counting()))


FILTERS = {
    "all": None,
    "by step": MetricsFilter().with_step("x"),
    "by name": MetricsFilter().with_name("seen"),
    "by a part": MetricsFilter().with_step("inner"),
}


def result_of(made: Any, wrap: Callable[[Any], Any], runner: Any) -> Any:
    numbers = made | beam.Create([1, 2, 3])
    _ = numbers | "x" >> wrap(beam.ParDo(Counting())) | "plain" >> beam.ParDo(Counting())
    if runner == "FnApiRunner":
        _ = numbers | "range" >> wrap(beam.ParDo(CountingRange()))
    _ = numbers | "outer" >> Composite(wrap)
    result = made.run()
    result.wait_until_finish()
    return result


def bare(transform: Any) -> Any:
    return transform


def told(result: Any, asked: Any) -> dict[str, list[tuple[Any, ...]]]:
    return {
        kind: sorted((str(one.key), str(one.committed), str(one.attempted)) for one in found)
        for kind, found in result.metrics().query(asked).items()
    }


@pytest.mark.parametrize("runner", ["FnApiRunner", BundleBasedDirectRunner])
def test_they_are_under_the_users_own_steps_and_none_of_ours_is_beside_them(runner: Any) -> None:
    def pipeline(kind: Any, **arguments: Any) -> Any:
        made = runner if isinstance(runner, str) else runner()
        return kind(made, options=PipelineOptions(["--obs_report=off"]), **arguments)

    expected = result_of(pipeline(beam.Pipeline), bare, runner)
    found = result_of(pipeline(obs.Pipeline, name="counts"), obs.Stage, runner)

    for asked in FILTERS.values():
        assert told(found, asked) == told(expected, asked)
    ours = found.metrics().query(MetricsFilter().with_namespace(NAMESPACE).with_name("in"))["counters"]
    assert {one.key.step: one.attempted for one in ours}["x"] == 3

"""Aggregates of every kind are woven, and give what they give bare."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.pvalue import AsSingleton
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings


class Bounded(beam.CombineFn):
    """A sum of at most `most` and at least `least`."""

    def create_accumulator(self, most: int, least: int = 0) -> int:
        return 0

    def add_input(self, accumulator: int, value: int, most: int, least: int = 0) -> int:
        return min(accumulator + value, most)

    def merge_accumulators(self, accumulators: Iterable[int], most: int, least: int = 0) -> int:
        return min(sum(accumulators), most)

    def compact(self, accumulator: int, most: int, least: int = 0) -> int:
        return accumulator

    def extract_output(self, accumulator: int, most: int, least: int = 0) -> int:
        return max(accumulator, least)


def _largest(values: Iterable[int], most: int, least: int = 0) -> int:
    return max(least, min(most, max(values)))


def _combined(pairs: Any, five: Any) -> dict[str, tuple[Any, list[Any]]]:
    """Returns combines with arguments of every kind, and what each gives."""
    values, groups = pairs | beam.Values(), pairs | beam.GroupByKey()
    side = AsSingleton(five)
    return {
        "values, side": (groups | "1" >> beam.CombineValues(Bounded(), most=side), [("a", 5), ("b", 2)]),
        "values, both": (groups | "2" >> beam.CombineValues(Bounded(), side, 3), [("a", 5), ("b", 3)]),
        "values, argument": (groups | "3" >> beam.CombineValues(Bounded(), 7), [("a", 7), ("b", 2)]),
        "values, function": (groups | "4" >> beam.CombineValues(_largest, 7), [("a", 7), ("b", 2)]),
        "key, arguments": (pairs | "5" >> beam.CombinePerKey(Bounded(), 4, least=3), [("a", 4), ("b", 3)]),
        "key, function": (pairs | "6" >> beam.CombinePerKey(_largest, 8), [("a", 8), ("b", 2)]),
        "key, both": (pairs | "7" >> beam.CombinePerKey(_largest, side, least=3), [("a", 5), ("b", 3)]),
        "hot keys": (
            pairs | "8" >> beam.CombinePerKey(Bounded(), 4, least=3).with_hot_key_fanout(2),
            [("a", 4), ("b", 3)],
        ),
        "globally": (values | "9" >> beam.CombineGlobally(min, key=lambda value: -value), [9]),
        "globally, side": (values | "10" >> beam.CombineGlobally(_largest, most=side), [5]),
        "globally, fanout": (values | "11" >> beam.CombineGlobally(Bounded(), 4).with_fanout(2), [4]),
    }


@pytest.mark.parametrize("runner", [FnApiRunner, BundleBasedDirectRunner])
@pytest.mark.slow
def test_combines_with_arguments_and_side_inputs_are_woven(runner: Callable[[], Any]) -> None:
    with weaving(WeaveSettings(strict=True)) as reports:
        pipeline = beam.Pipeline(runner=runner())
        five = pipeline | "five" >> beam.Create([5])
        pairs = pipeline | "pairs" >> beam.Create([("a", 1), ("a", 9), ("b", 2)])
        for name, (pcoll, wanted) in _combined(pairs, five).items():
            assert_that(pcoll, equal_to(wanted), label=name)
        pipeline.run().wait_until_finish()

    assert reports[-1].opaque == {}

"""A result that is no pair, where a step has to give pairs, fails its bundle as it does in Beam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import beam_obs as obs

THREE = ("a", 1, "and more")


def listed(number: int) -> list[Any]:
    return [("a", number), THREE]


def alone(number: int) -> list[Any]:
    return [THREE]


def yielded(number: int) -> Iterator[Any]:
    yield THREE


def lazy(number: int) -> Iterable[Any]:
    return iter([("a", number), THREE])


@pytest.mark.parametrize("is_staged", [False, True])
@pytest.mark.parametrize("results", [listed, alone, yielded, lazy])
def test_what_is_no_pair_is_not_cut_to_one(
    results: Callable[[int], Any], is_staged: bool, tmp_path: Path
) -> None:
    step = beam.FlatMap(results).with_output_types(tuple[str, int])
    pipeline = obs.Pipeline(runner=FnApiRunner(), store=str(tmp_path))
    made = pipeline | beam.Create([1, 2]) | "pairs" >> (obs.Stage(step) if is_staged else step)
    _ = made | beam.GroupByKey()
    with pytest.raises(Exception, match=r"too many values|Number of components"):
        pipeline.run().wait_until_finish()

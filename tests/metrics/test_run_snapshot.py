"""Numbers are read alike from every runner's result."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.portability.api import metrics_pb2
from hypothesis import given
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.metrics import names
from beam_obs.metrics.run_snapshot import LatencyHistogram, counts_of_job, read_snapshot


@pytest.mark.parametrize("runner", ["FnApiRunner", "BundleBasedDirectRunner"])
def test_counts_of_a_stage_are_read(runner: str) -> None:
    pipeline = beam.Pipeline(runner)
    texts = pipeline | beam.Create(["1", "2", "x", "4"])
    parsed, _ = texts | "outer/parse" >> obs.Stage(beam.Map(int)).with_dead_letters()
    parsed | "even" >> obs.Stage(beam.Filter(lambda number: number % 2 == 0))
    result = pipeline.run()
    result.wait_until_finish()
    snapshot = read_snapshot(result, pipeline)
    parse, even = snapshot.stages["outer/parse"], snapshot.stages["even"]
    assert (parse.in_, parse.out, parse.dead, parse.filtered) == (4, 3, 1, 0)
    assert (even.in_, even.out, even.dead, even.filtered) == (3, 2, 0, 1)
    assert (snapshot.elements is None) == (runner == "BundleBasedDirectRunner")


def test_a_collection_that_several_steps_read_is_counted_once() -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    shared = pipeline | beam.Create(range(10)) | beam.Map(lambda number: number) | beam.Reshuffle()
    for number in range(3):
        shared | f"read {number}" >> beam.Map(lambda value, others: value, beam.pvalue.AsList(shared))
    result = pipeline.run()
    elements = read_snapshot(result, pipeline).elements
    assert elements is not None
    assert elements[pipeline.component_id_map.get_or_assign(shared)] == 10


def info(pcollection: str, count: int) -> metrics_pb2.MonitoringInfo:
    return metrics_pb2.MonitoringInfo(
        urn="beam:metric:element_count:v1",
        type="beam:metrics:sum_int64:v1",
        labels={"PCOLLECTION": pcollection},
        payload=bytes([count]),
    )


def test_a_collection_that_a_job_counts_at_its_producer_and_at_a_reader_is_counted_once() -> None:
    told = [info("parsed", 100), info("side", 2), info("parsed", 100)]
    assert counts_of_job(told)[:3] == ({"parsed": 100, "side": 2}, frozenset(), False)


def test_counts_of_one_collection_that_differ_are_not_added_up() -> None:
    told = [info("parsed", 60), info("parsed", 40), info("side", 2)]
    assert counts_of_job(told)[:3] == ({"side": 2}, frozenset({"parsed"}), False)


def test_counts_of_prism_may_miss_some() -> None:
    source = metrics_pb2.MonitoringInfo(
        urn="beam:metric:data_channel:read_index:v1", labels={"PTRANSFORM": "stage-012_source"}
    )
    assert counts_of_job([info("parsed", 60), source]).may_miss


def test_quantiles_of_nothing_are_none() -> None:
    assert LatencyHistogram().quantile_us(0.5) is None


@given(st.lists(st.integers(0, 50), min_size=len(names.LATENCY_NAMES), max_size=len(names.LATENCY_NAMES)))
def test_quantiles_grow_with_their_share(counts: list[int]) -> None:
    cumulative = tuple(sum(counts[: position + 1]) for position in range(len(counts)))
    histogram = LatencyHistogram(cumulative)
    quantiles = [histogram.quantile_us(share) for share in (0.01, 0.25, 0.5, 0.75, 0.99, 1.0)]
    if not histogram.count:
        assert quantiles == [None] * 6
        return
    assert all(
        quantile is not None and 0 <= quantile <= names.LATENCY_BOUNDS_US[-1] for quantile in quantiles
    )
    assert quantiles == sorted(quantiles, key=lambda quantile: quantile or 0)

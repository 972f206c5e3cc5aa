"""The numbers of a job as one data model, from the results that runners give."""

from __future__ import annotations

import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

import beam_obs as obs
import beam_obs.metrics
from beam_obs.metrics import Family, JobNumbers


def build(pipeline: Any) -> None:
    seen, level = obs.counter("seen"), obs.gauge("level_ratio")

    def use(number: int) -> int:
        seen.inc()
        level.set(number / 8)
        return 10 // number

    stage = obs.Stage(beam.Map(use))
    if not isinstance(pipeline, obs.Pipeline):
        stage = stage.with_dead_letters()
    _ = pipeline | "make" >> beam.Create([0, 1, 2]) | "use" >> stage
    _ = pipeline | "texts" >> beam.Create(["a", "bcd"]) | "upper" >> beam.Map(str.upper)


def values(numbers: JobNumbers, name: str) -> dict[str, Any]:
    family = numbers.family(name)
    assert isinstance(family, Family), numbers.missing
    return {sample.step: sample.value for sample in family.samples}


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    store = tmp_path_factory.mktemp("store")
    pipeline = obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], store=store, name="numbers")
    build(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    return result


def test_an_observed_run_has_instruments_stages_and_elements(observed: Any) -> None:
    numbers = beam_obs.metrics.snapshot(observed)
    assert values(numbers, "seen_total") == {"use": 3}
    assert values(numbers, "level_ratio") == {"use": 0.25}
    assert values(numbers, "beam_obs_records_in_total") == {"use": 3}
    assert values(numbers, "beam_obs_records_dead_total") == {"use": 1}
    elements = values(numbers, "beam_obs_elements_total")
    assert (elements["use"], elements["upper"]) == (2, 2)
    assert not [step for step in elements if "beam_obs" in step]
    assert (numbers.missing, numbers.attempted) == ((), False)


def test_sizes_of_elements_are_as_beam_sampled_them(observed: Any) -> None:
    family = beam_obs.metrics.snapshot(observed).family("beam_obs_element_bytes")
    assert family is not None
    (sizes,) = [sample for sample in family.samples if sample.step == "upper"]
    assert sizes.quantiles is not None
    assert sizes.count == 2
    assert sizes.quantiles["0.0"] < sizes.quantiles["1.0"] < sizes.sum


def test_names_are_unique_and_of_prometheus(observed: Any) -> None:
    families = beam_obs.metrics.snapshot(observed).families
    names = [family.name for family in families]
    assert sorted(set(names)) == names
    assert all(family.name.endswith("_total") == (family.kind == "counter") for family in families)


def test_a_plain_pipeline_tells_what_it_has_and_what_not() -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    build(pipeline)
    result = pipeline.run()
    named, bare = beam_obs.metrics.snapshot(result, pipeline), beam_obs.metrics.snapshot(result)
    assert values(named, "seen_total") == values(bare, "seen_total") == {"use": 3}
    assert values(named, "beam_obs_values_not_kept_total") == {"": 3}
    assert values(named, "beam_obs_elements_total")["upper"] == 2
    assert named.missing == ()
    assert bare.missing == ("the pipeline is not known: elements are told by ids of PCollections",)


def test_a_runner_that_counts_no_elements_is_said_to() -> None:
    pipeline = beam.Pipeline(BundleBasedDirectRunner())
    build(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    numbers = beam_obs.metrics.snapshot(result, pipeline)
    assert values(numbers, "seen_total") == {"use": 3}
    assert numbers.missing == ("the runner tells no counts of elements",)


def test_a_result_that_tells_nothing_fails_nothing() -> None:
    class Silent:
        def metrics(self) -> Any:
            raise NotImplementedError

    numbers = beam_obs.metrics.snapshot(Silent())
    assert numbers.families == ()
    assert numbers.missing[0] == "the runner tells no counts: NotImplementedError: "


@pytest.mark.parametrize("is_observed", [True, False])
def test_a_counter_that_came_to_more_than_63_bits_is_named_and_not_told(
    is_observed: bool, tmp_path: pathlib.Path
) -> None:
    huge, seen = obs.counter("huge_bytes"), obs.counter("seen")

    def use(number: int) -> int:
        huge.inc(2**62)
        seen.inc()
        return number

    pipeline = (
        obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], store=tmp_path, name="huge")
        if is_observed
        else beam.Pipeline("FnApiRunner")
    )
    _ = pipeline | beam.Create([1, 2, 3], reshuffle=False) | "use" >> beam.Map(use)
    result = pipeline.run()
    result.wait_until_finish()
    numbers = beam_obs.metrics.snapshot(result, pipeline)
    said = "counter huge_bytes_total of use is not told: it came to more than a Beam counter holds, 2^63"
    assert numbers.family("huge_bytes_total") is None
    assert values(numbers, "seen_total") == {"use": 3}
    assert numbers.missing == (said,)
    if is_observed:
        told = (obs.Store(tmp_path).find("latest").end or {})["instruments"]
        assert [family["name"] for family in told["families"]] == ["seen_total"]
        assert told["problems"] == [said]


def test_a_run_whose_sums_are_huge_can_be_read_and_has_none_of_them(tmp_path: pathlib.Path) -> None:
    sizes, waits = obs.histogram("huge_size_bytes", buckets=[1]), obs.summary("huge_wait_seconds")

    def use(number: int) -> int:
        for instrument in (sizes, waits):
            instrument.observe(2.0**62)
        return number

    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], store=tmp_path, name="huge") as p:
        _ = p | beam.Create(range(5)) | "use" >> beam.Map(use)
    record = obs.Store(tmp_path).find("latest")
    assert (record.status, record.problems) == ("done", ())
    told = (record.end or {})["instruments"]
    assert [family["samples"][0]["count"] for family in told["families"]] == [5, 5]
    assert not any("sum" in family["samples"][0] for family in told["families"])
    assert told["problems"] == [
        "histogram huge_size_bytes of use is told without its sum, which came to more than 2^63",
        "summary huge_wait_seconds of use is told without its sum, which came to more than 2^63",
    ]

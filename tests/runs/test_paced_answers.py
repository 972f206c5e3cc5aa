"""A worker in this process tells an engine all figures of a bundle once a second, however often it asks."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.metrics.monitoring_infos import int64_counter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_fn_api_pb2 as fn_api
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.runner import PipelineResult, PipelineState
from apache_beam.runners.worker.sdk_worker import SdkWorker
from apache_beam.transforms.periodicsequence import PeriodicImpulse

import beam_obs as obs
from beam_obs.runs import paced_answers
from beam_obs.runs.paced_answers import PACE_SECONDS, answering_at_a_pace


class Processor:
    """Processes a bundle."""

    consuming_received_data = False

    def monitoring_infos(self) -> list[Any]:
        return [int64_counter("beam:metric:element_count:v1", 1, pcollection="numbers")]


class Processors:
    """Stands for those of a worker: one for each bundle that is under way.

    Args:
      under_way: their bundles.
    """

    def __init__(self, *under_way: str) -> None:
        self._by_bundle = {bundle: Processor() for bundle in under_way}

    def lookup(self, bundle: str) -> Processor | None:
        if bundle == "failed":
            raise RuntimeError("it has failed")
        return self._by_bundle.get(bundle)


class OnPrism(PrismRunner):
    """Asks a worker of this process twice, and does nothing."""

    def run_pipeline(self, pipeline: Any, options: Any) -> PipelineResult:
        worker = SdkWorker(Processors("1"))
        self.told = [tells_figures(worker, "1") for _ in range(2)]
        return PipelineResult(PipelineState.DONE)


class Clock:
    """Stands still until it is moved."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(paced_answers, "time", clock)
    return clock


def asked(worker: SdkWorker, bundle: str) -> Any:
    request = fn_api.ProcessBundleProgressRequest(instruction_id=bundle)
    return worker.process_bundle_progress(request, "question")


def tells_figures(worker: SdkWorker, bundle: str) -> bool:
    """Returns whether a worker answers with the figures of a bundle; it answers in any case."""
    answer = asked(worker, bundle)
    assert answer.instruction_id == "question"
    assert answer.WhichOneof("response") == "process_bundle_progress"
    told = answer.process_bundle_progress
    assert bool(told.monitoring_infos) == bool(told.monitoring_data)
    return bool(told.monitoring_infos)


def test_each_bundle_tells_its_figures_once_a_second(clock: Clock) -> None:
    worker = SdkWorker(Processors("1", "2"))
    with answering_at_a_pace():
        assert tells_figures(worker, "1")
        clock.now += PACE_SECONDS / 2
        assert not tells_figures(worker, "1")
        assert tells_figures(worker, "2")
        clock.now += PACE_SECONDS / 2
        assert tells_figures(worker, "1")
        assert not tells_figures(worker, "2")


def test_a_bundle_that_failed_is_told_as_ever(clock: Clock) -> None:
    worker = SdkWorker(Processors())
    with answering_at_a_pace():
        assert "it has failed" in asked(worker, "failed").error
        assert "it has failed" in asked(worker, "failed").error
        assert not tells_figures(worker, "not begun")


def test_once_the_last_stream_has_ended_all_is_told_again(clock: Clock) -> None:
    worker = SdkWorker(Processors("1"))
    with answering_at_a_pace():
        with answering_at_a_pace():
            assert tells_figures(worker, "1")
        assert not tells_figures(worker, "1")
    assert [tells_figures(worker, "1") for _ in range(2)] == [True, True]


@pytest.mark.parametrize(("is_stream", "told"), [(True, [True, False]), (False, [True, True])])
def test_prism_is_answered_at_a_pace_while_a_stream_runs(is_stream: bool, told: list[bool]) -> None:
    p = obs.Pipeline(OnPrism(), PipelineOptions(["--obs_report=off"]), name="numbers")
    _ = (p | PeriodicImpulse(0, 1) if is_stream else p | beam.Create([1])) | "text" >> beam.Map(str)
    p.run()
    assert p.runner.told == told
    worker = SdkWorker(Processors("1"))
    assert [tells_figures(worker, "1") for _ in range(2)] == [True, True]

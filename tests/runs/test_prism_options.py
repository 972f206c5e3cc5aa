"""Prism is asked to split no bundle of a stream: what a step with state keeps would be written over."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState
from apache_beam.transforms.periodicsequence import PeriodicImpulse

import beam_obs as obs
from beam_obs.runs.prism_options import WITHOUT_SPLITS


class _Submitted:
    """Notes the options that a job is submitted with, and does none."""

    def run_pipeline(self, pipeline: Any, options: Any) -> PipelineResult:
        self.experiments = options.view_as(DebugOptions).experiments or []
        return PipelineResult(PipelineState.DONE)


class OnPrism(_Submitted, PrismRunner):
    pass


class OnSomeService(_Submitted, PortableRunner):
    pass


class Elsewhere(_Submitted, PipelineRunner):
    pass


def submitted(runner: Any, is_stream: bool, *options: str) -> list[str]:
    """Returns the experiments of a job."""
    p = obs.Pipeline(runner, PipelineOptions(["--obs_report=off", *options]), name="numbers")
    numbers = p | PeriodicImpulse(0, 1) if is_stream else p | beam.Create([1])
    _ = numbers | "text" >> beam.Map(str)
    p.run()
    return list(runner.experiments)


@pytest.mark.parametrize("runner", [OnPrism(), OnSomeService()])
def test_bundles_of_a_stream_stay_whole(runner: Any) -> None:
    assert WITHOUT_SPLITS in submitted(runner, True)
    assert {"mine", WITHOUT_SPLITS} <= {*submitted(runner, True, "--experiments=mine")}


@pytest.mark.parametrize(("runner", "is_stream"), [(OnPrism(), False), (Elsewhere(), True)])
def test_a_batch_and_other_runners_are_asked_for_nothing(runner: Any, is_stream: bool) -> None:
    assert WITHOUT_SPLITS not in submitted(runner, is_stream)

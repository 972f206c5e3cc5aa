"""Options that Dataflow would refuse are refused when the pipeline is run, and its job gets labels."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineRunner

import beam_obs as obs
from beam_obs.records.run_context import RunContext
from beam_obs.runs.dataflow_options import check_dataflow_options, label_job


class DataflowRunner(PipelineRunner):
    """Is known by its name, and would start anything."""

    def run_pipeline(self, pipeline: Any, options: Any) -> PipelineResult:
        raise AssertionError("the job was staged")


REFUSED = {
    "job_name": ("Nightly", "--job_name: found 'Nightly', expected small letters"),
    "labels": (["Team=sky"], "--labels: label 'Team': a key is small letters"),
    "region": ("us-central1-a", "--region: found 'us-central1-a', expected a region"),
    "worker_zone": ("us-central1", "--worker_zone: found 'us-central1', expected a zone"),
    "num_workers": (-1, "--num_workers: found -1"),
    "update": (True, "--update replaces a job that runs: name it with --job_name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_option_that_dataflow_would_refuse_is_refused_before_anything_is_staged(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("apache_beam.pipeline.PipelineOptionsValidator.validate", lambda self: [])
    value, told = REFUSED[name]
    p = obs.Pipeline(DataflowRunner(), options=PipelineOptions([], **{name: value}), name="nightly")
    _ = p | beam.Create(["1"])
    with pytest.raises(obs.UsageError, match="Dataflow would refuse this job") as raised:
        p.run()
    assert told in str(raised.value)
    assert obs.Store().runs() == []


def test_all_that_is_wrong_is_named_at_once() -> None:
    options = PipelineOptions(
        [], job_name="A", labels=["B=c"], worker_region="us-central1", worker_zone="us-central1-a",
        streaming=True, flexrs_goal="COST_OPTIMIZED", num_workers=5, max_num_workers=2,
    )  # fmt: skip
    with pytest.raises(obs.UsageError) as raised:
        check_dataflow_options(DataflowRunner(), options)
    told = str(raised.value)
    for problem in (
        "--job_name",
        "--labels",
        "write one of them",
        "--flexrs_goal=COST_OPTIMIZED is for batch",
        "--num_workers: found 5, expected at most the 2 of --max_num_workers",
    ):
        assert problem in told


def test_other_runners_are_not_looked_at() -> None:
    check_dataflow_options(PipelineRunner(), PipelineOptions([], job_name="A"))


@pytest.mark.parametrize("given", [["team=sky"], ["{'team': 'sky'}"], "team=sky", {"team": "sky"}])
def test_a_job_gets_labels_beside_those_of_the_user(given: Any) -> None:
    options = PipelineOptions([])
    options.view_as(GoogleCloudOptions).labels = given
    context = RunContext("Night Flights", "0198-a", code="abc+dirty")
    for _ in range(2):  # a pipeline may be run again
        label_job(DataflowRunner(), options, context)
    assert options.view_as(GoogleCloudOptions).labels == [
        "team=sky", "beam_obs_run=0198-a", "beam_obs_pipeline=night-flights", "beam_obs_code=abc-dirty"
    ]  # fmt: skip


def test_jobs_of_a_classic_template_have_no_run_in_their_labels() -> None:
    options = PipelineOptions([])
    label_job(DataflowRunner(), options, RunContext("nightly", "0198-a", is_one_job=False))
    labels = options.view_as(GoogleCloudOptions).labels
    assert not any(label.startswith("beam_obs_run") for label in labels)


def test_labels_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(obs.UsageError, match="expected KEY=VALUE, or a mapping"):
        check_dataflow_options(DataflowRunner(), PipelineOptions([], labels=["{team"]))


def test_an_endpoint_without_encryption_is_warned_of_unless_it_is_localhost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for endpoint in ("http://localhost:8080", "https://dataflow.googleapis.com"):
        check_dataflow_options(DataflowRunner(), PipelineOptions([], dataflow_endpoint=endpoint))
    assert caplog.text == ""
    check_dataflow_options(DataflowRunner(), PipelineOptions([], dataflow_endpoint="http://127.0.0.1:1"))
    assert "only where it is called localhost" in caplog.text

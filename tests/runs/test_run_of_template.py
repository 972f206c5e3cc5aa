"""A classic template is built once and started twice: each job is a run of its own, found by its workers."""

from __future__ import annotations

import pathlib
import pickle
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import beam_obs as obs
from beam_obs.records.run_context import RunContext
from tests.offline_dataflow import offline_options

pytest.importorskip("apache_beam.runners.dataflow.internal.apiclient", reason="pip install 'beam_obs[gcp]'")

JOBS = ("2026-01-02_03_04_05-1001", "2026-01-02_04_04_05-1002")


def be_worker_of(monkeypatch: pytest.MonkeyPatch, job: str) -> None:
    monkeypatch.setenv("CONTROL_API_SERVICE_DESCRIPTOR", "url: 'localhost:1'")
    monkeypatch.setenv("JOB_ID", job)


def template(folder: pathlib.Path) -> api.Pipeline:
    """Builds a classic template; returns the pipeline that its jobs run, for this process to run it."""
    file = str(folder / "template.json")
    options = offline_options(folder, template_location=file, obs_store_shared=True, obs_report="off")
    p = obs.Pipeline("DataflowRunner", options=options, name="nightly")
    numbers = p | "make" >> beam.Create(["1", "x", "3"]) | "parse" >> obs.Stage(beam.Map(int))
    _ = numbers | "key" >> beam.WithKeys(0) | "sum" >> beam.CombinePerKey(sum)
    p.run()
    (staged,) = (folder / "staging").rglob("pipeline.pb")
    proto = api.Pipeline.FromString(staged.read_bytes())
    for environment in proto.components.environments.values():
        environment.urn, environment.payload = "beam:env:embedded_python:v1", b""
    return proto


def test_each_job_of_a_template_is_a_run_of_its_own(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto = template(tmp_path)
    for job in JOBS:
        be_worker_of(monkeypatch, job)
        FnApiRunner().run_via_runner_api(proto, PipelineOptions([])).wait_until_finish()

    second, first, kept = sorted(obs.Store().runs(), key=lambda run: run.job_id or "", reverse=True)
    assert (kept.status, kept.job_id) == ("template", None)
    assert [(run.status, run.job_id, run.refused) for run in (first, second)] == [
        ("submitted", JOBS[0], 1),
        ("submitted", JOBS[1], 1),
    ]
    for run in (first, second):
        assert run.problems == ()
        assert run.start["code"] == kept.start["code"]
        assert "template" not in run.start
        names = set(obs.Store().files.names(run.folder))
        assert {"start.json", "heartbeat.json", "pipeline.json"} < names
    assert obs.Store().files.names(kept.folder) == ["pipeline.json", "start.json"]
    letters = list(pathlib.Path(".beam_obs", first.folder).glob("dead_letters-*.avro"))
    assert len(letters) == 1


def test_the_launcher_of_a_template_is_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    context = RunContext("nightly", "0198-a", store="store", is_one_job=False)
    monkeypatch.setenv("JOB_ID", JOBS[0])
    assert pickle.loads(pickle.dumps(context)) == context


def test_all_workers_of_a_job_find_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    context = RunContext("nightly", "0198-a", store="store", is_one_job=False)
    be_worker_of(monkeypatch, JOBS[0])
    first, second = (pickle.loads(pickle.dumps(context)) for _ in range(2))
    assert first == second
    assert (first.job_id, first.template_run, first.is_one_job) == (JOBS[0], "0198-a", True)
    assert first.folder == f"store/runs/nightly/{first.run}"
    be_worker_of(monkeypatch, JOBS[1])
    assert pickle.loads(pickle.dumps(context)).run > first.run
    assert pickle.loads(pickle.dumps(first)) == first


def test_a_worker_whose_job_nobody_tells_leaves_what_it_has_beside_the_template(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = RunContext("nightly", "0198-a", store="store", is_one_job=False)
    be_worker_of(monkeypatch, "")
    asked: list[str] = []

    def fetch() -> str:
        asked.append("job_id")
        return ""

    monkeypatch.setattr("apache_beam.io.gcp.gce_metadata_util.fetch_dataflow_job_id", fetch)
    assert pickle.loads(pickle.dumps(context)) == context
    assert asked == ["job_id"]


def test_a_job_that_is_no_job_of_another_runner_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of that name are set elsewhere, too."""
    context: Any = RunContext("nightly", "0198-a", is_one_job=True)
    be_worker_of(monkeypatch, JOBS[0])
    assert pickle.loads(pickle.dumps(context)) == context

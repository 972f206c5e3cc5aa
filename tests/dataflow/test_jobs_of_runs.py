"""`beam-obs runs` and `show` tell the states of jobs whose launchers have left."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[dataflow]'")

import beam_obs as obs  # noqa: E402 - which need it
from beam_obs.cli.main import exit_code  # noqa: E402
from beam_obs.dataflow.dataflow_calls import DataflowTimeout, JobPlace  # noqa: E402
from beam_obs.dataflow.jobs_of_runs import with_jobs  # noqa: E402
from beam_obs.dataflow.running_job import job_of  # noqa: E402
from beam_obs.records.run_id import new_run_id  # noqa: E402
from beam_obs.store.run import Run  # noqa: E402
from tests import dataflow_server  # noqa: E402
from tests.dataflow_server import PROJECT, REGION, DataflowServer, State  # noqa: E402
from tests.patience import PATIENCE_SECONDS  # noqa: E402


@pytest.fixture
def server() -> Iterator[DataflowServer]:
    with dataflow_server.running() as server:
        yield server


def submitted(job: str, endpoint: str, project: str | None = PROJECT) -> str:
    options = {"project": project, "region": REGION, "dataflow_endpoint": endpoint}
    start = {"runner": "DataflowRunner", "options": {name: one for name, one in options.items() if one}}
    run = Run(obs.Store(), "nightly", new_run_id(), start, outlives_launcher=True)
    run.submitted(job)
    run.left()
    return run.record.id


def test_runs_and_show_tell_the_state_of_the_job(
    server: DataflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.add("job-1", dataflow.Job(current_state=State.JOB_STATE_RUNNING), [])
    server.add("job-2", dataflow.Job(current_state=State.JOB_STATE_FAILED), [])
    first, second = submitted("job-1", server.url), submitted("job-2", server.url)

    assert exit_code(["runs"]) == 0
    printed = capsys.readouterr()
    assert "submitted, job running" in printed.out
    assert "submitted, job failed" in printed.out
    assert printed.err == ""

    exit_code(["runs", "--json"])
    told = {json.loads(line)["id"]: json.loads(line) for line in capsys.readouterr().out.splitlines()}
    assert (told[first]["job_state"], told[second]["job_state"]) == ("running", "failed")

    exit_code(["show", first])
    shown = " ".join(capsys.readouterr().out.split())
    assert "submitted, job running" in shown
    assert "the job goes on without it as job job-1." in shown
    exit_code(["show", second])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"the job is failed as job job-2: beam-obs watch {second[:13]} writes the end of the run." in shown


def test_a_job_that_cannot_be_asked_is_said_and_the_run_is_shown(
    server: DataflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted("job-7", server.url)
    submitted("job-8", server.url, project=None)
    assert exit_code(["runs"]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("submitted") == 2
    assert "1 job of submitted runs could not be asked: Dataflow cannot tell of job job-7" in printed.err
    assert (
        "1 job of submitted runs could not be asked: its project, region or endpoint is not known"
        in printed.err
    )


def test_a_service_that_does_not_answer_is_not_waited_for(server: DataflowServer) -> None:
    asked = threading.Event()
    server.finish_request = lambda *_: asked.wait(PATIENCE_SECONDS)  # type: ignore[method-assign,assignment]
    submitted("job-1", server.url)
    try:
        (record,), problems = with_jobs(obs.Store().runs(), 0.3)
    finally:
        asked.set()
    assert record.job_state is None
    assert problems == ["1 job of submitted runs could not be asked: Dataflow did not answer within 0.3 s"]


def test_a_call_that_is_not_answered_in_time_says_so(server: DataflowServer) -> None:
    asked = threading.Event()
    server.finish_request = lambda *_: asked.wait(PATIENCE_SECONDS)  # type: ignore[method-assign,assignment]
    try:
        with pytest.raises(DataflowTimeout, match=r"job-1: it did not answer within 0\.2 s"):
            job_of(JobPlace("a-project", "europe-west1", server.url), "job-1", 0.2)
    finally:
        asked.set()


def test_runs_that_are_not_of_dataflow_are_not_asked_for() -> None:
    run = Run(obs.Store(), "nightly", new_run_id(), {"runner": "FlinkRunner"}, outlives_launcher=True)
    run.submitted("job-1")
    run.left()
    (record,), problems = with_jobs(obs.Store().runs())
    assert (record.status_text, problems) == ("submitted", [])


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://example.org",
        "https://dataflow.googleapis.com.example.org",
        "http://example.org",
        "example.org",
    ],
)
def test_nobody_is_asked_whom_only_the_store_names(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's credentials would go there."""
    monkeypatch.setattr("beam_obs.dataflow.jobs_of_runs.job_of", lambda *_, **__: pytest.fail("it was asked"))
    submitted("job-1", endpoint)
    (record,), (problem,) = with_jobs(obs.Store().runs())
    assert record.job_state is None
    assert "its project, region or endpoint is not known" in problem

"""Snapshots of jobs of Dataflow: by their ids, and from what its runner gives, by a server of the API."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2 as api

import beam_obs as obs
import beam_obs.metrics
from beam_obs.metrics.job_numbers import JobNumbers
from beam_obs.metrics.run_snapshot import EventLag, read_snapshot

dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[gcp]'")

from tests import dataflow_server  # noqa: E402 - which needs it
from tests.dataflow_server import DataflowServer, service, user  # noqa: E402
from tests.offline_dataflow import offline_options  # noqa: E402

NAMESPACE = "beam_obs"
PARSE = "ref_AppliedPTransform_parse-Observed_7"


@pytest.fixture
def server() -> Iterator[DataflowServer]:
    with dataflow_server.running() as server:
        yield server


def numbers(server: DataflowServer, job: str = "job-1") -> JobNumbers:
    return beam_obs.metrics.snapshot(job, project="project", region="us-central1", endpoint=server.url)


def values(found: JobNumbers, name: str) -> dict[tuple[str, ...], Any]:
    family = found.family(name)
    assert family is not None, found
    return {
        (sample.step, *sample.labels.values()): sample.value if sample.count is None else sample.count
        for sample in family.samples
    }


def described() -> Any:
    """Returns a job with a Stage, as the service describes it."""
    return dataflow.Job(
        steps=[
            dataflow.Step(name="s1", properties={"user_name": "read/Read"}),
            dataflow.Step(name="s9", properties={"user_name": "beam_obs evidence/Write"}),
        ],
        pipeline_description=dataflow.PipelineDescription(
            original_pipeline_transform=[dataflow.TransformSummary(id=PARSE, name="parse/Observed")],
            execution_pipeline_stage=[
                dataflow.ExecutionStageSummary(
                    id="S02",
                    name="F5",
                    component_transform=[
                        dataflow.ExecutionStageSummary.ComponentTransform(
                            original_transform="parse/Observed"
                        ),
                        dataflow.ExecutionStageSummary.ComponentTransform(original_transform="read/Read"),
                    ],
                )
            ],
        ),
    )


def counted(name: str, committed: float | None, tentative: float | None, step: str = PARSE) -> list[Any]:
    told = ((committed, False), (tentative, True))
    return [user(name, value, step, was, namespace=NAMESPACE) for value, was in told if value is not None]


def test_a_job_by_its_id_has_labels_elements_and_watermarks(server: DataflowServer) -> None:
    outputs = {"output_user_name": "read/Read-out0"}
    metrics = [
        *counted("in", 90.0, 100.0),
        *counted("out", 88.0, 97.0),
        *counted("dead", 2.0, 3.0),
        user("rows_total", 5.0, "s1", namespace="instruments"),
        user("words", 7.0, "s1", namespace="somebody's"),
        {"name": {"origin": "user", "name": "sizes", "context": {"step": "s1", "namespace": "instruments"}},
         "distribution": {"count": 2, "sum": 3, "min": 1, "max": 2}},
        service("ElementCount", 90.0, **outputs),
        service("ElementCount", 100.0, tentative=True, **outputs),
        service("MeanByteCount", 12.5, **outputs),
        service("ElementCount", 4.0, output_user_name="beam_obs evidence/Write-out0"),
        service("F5-windmill-data-watermark", 1_767_225_600_000.0, tentative=True),
        service("DataWatermark", 1_767_225_600_500_000.0, stage="F6"),
        service("DataWatermark", -1.0, stage="F7"),
        service("F8-windmill-data-watermark", -2.0),
        service("TotalVcpuTime", 12.0),
    ]  # fmt: skip
    server.add("job-1", described(), metrics)

    found = numbers(server)

    assert found.missing == ()
    assert not found.attempted
    assert values(found, "beam_obs_records_in_total") == {("parse",): 90}
    assert values(found, "beam_obs_records_dead_total") == {("parse",): 2}
    assert values(found, "rows_total") == {("read/Read",): 5}
    assert values(found, "beam_obs_elements_total") == {("read/Read", "out0"): 90}
    (size,) = found.family("beam_obs_element_bytes").samples  # type: ignore[union-attr]
    assert (size.count, size.sum) == (90, 1125.0)
    assert values(found, "beam_obs_watermark_timestamp_seconds") == {
        ("parse", "F5"): 1_767_225_600.0,
        ("read/Read", "F5"): 1_767_225_600.0,
        ("", "F6"): 1_767_225_600.5,
    }


def test_what_was_only_attempted_is_said_to_be(server: DataflowServer) -> None:
    server.add("job-1", described(), [*counted("in", None, 100.0), *counted("out", 4.0, None)])
    found = numbers(server)
    assert found.attempted
    assert values(found, "beam_obs_records_in_total") == {("parse",): 100}
    assert values(found, "beam_obs_records_out_total") == {("parse",): 4}
    assert found.missing == ("the runner tells no counts of elements",)


def test_steps_whose_labels_nobody_tells_have_the_names_of_dataflow(server: DataflowServer) -> None:
    server.add("job-1", dataflow.Job(), counted("in", 3.0, 3.0, step="s7"))
    found = numbers(server)
    assert values(found, "beam_obs_records_in_total") == {("s7",): 3}
    assert any("the labels of some steps are not known" in told for told in found.missing)


def test_a_job_that_is_not_there_is_said(server: DataflowServer) -> None:
    found = numbers(server, "job-2")
    assert found.families == ()
    assert "NotFound: 404" in found.missing[0]
    assert "job-2 was not found" in found.missing[0]


def test_an_id_needs_its_project_and_region() -> None:
    with pytest.raises(obs.UsageError, match="needs project= and region="):
        beam_obs.metrics.snapshot("job-1", project="project")


def test_without_the_extra_an_id_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.dataflow_v1beta3", None)
    with pytest.raises(obs.MissingExtra, match=r"beam_obs\[gcp\]"):
        beam_obs.metrics.snapshot("job-1", project="project", region="us-central1")


def test_the_result_of_the_runner_has_the_labels_of_its_pipeline(
    server: DataflowServer, tmp_path: pathlib.Path
) -> None:
    pipeline = beam.Pipeline("DataflowRunner", offline_options(tmp_path, server.url))
    _ = pipeline | "make" >> beam.Create(["1"]) | "parse" >> obs.Stage(beam.Map(int))
    result = pipeline.run()
    (staged,) = (tmp_path / "staging").rglob("pipeline.pb")
    steps = api.Pipeline.FromString(staged.read_bytes()).components.transforms
    (parse,) = [id_ for id_, step in steps.items() if step.unique_name == "parse/Observed"]
    lag = user("event_lag_ms", 0.0, parse, namespace=NAMESPACE)
    del lag["scalar"]
    lag["distribution"] = {"count": 2, "sum": 3000, "min": 1000, "max": 2000}
    server.add(result.job_id(), dataflow.Job(), [*counted("in", 8.0, None, step=parse), lag])

    found = beam_obs.metrics.snapshot(result)

    assert values(found, "beam_obs_records_in_total") == {("parse",): 8}
    told = read_snapshot(result)
    assert told.stages["parse"].in_ == 8
    assert told.lags == {"parse/Observed": EventLag(2, 3.0, 1.0, 2.0)}

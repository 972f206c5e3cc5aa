"""Templates of Dataflow: nothing that will never end is shown as a run."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState

import beam_obs as obs
from beam_obs.runs.template import Template, template_of

FLEX = "gs://bucket/staging/template_launches/2026-01-02_03_04_05-678/job_object"


class DataflowRunner(PipelineRunner):
    """Writes a template, as the runner of that name does: its result has no job and calls itself done."""

    fails = False

    def run_pipeline(self, pipeline: Any, options: Any) -> PipelineResult:
        if self.fails:
            raise RuntimeError("no such bucket")
        result = PipelineResult(PipelineState.DONE)
        result.wait_until_finish = lambda duration=None: PipelineState.DONE
        return result


@pytest.fixture(autouse=True)
def nothing_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apache_beam.pipeline.PipelineOptionsValidator.validate", lambda self: [])
    monkeypatch.setattr("beam_obs.runs.observer.check_reach", lambda *arguments: None)


def build(location: str, runner: DataflowRunner | None = None) -> None:
    argv = [f"--template_location={location}"]
    with obs.Pipeline(runner or DataflowRunner(), argv=argv, name="nightly") as p:
        p | beam.Create(["1"]) | "parse" >> obs.Stage(beam.Map(int))


def test_a_classic_template_is_no_run_that_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    build("gs://bucket/templates/nightly")
    (record,) = obs.Store().runs()
    assert record.status == "template"
    assert record.start["template"] == "gs://bucket/templates/nightly"
    assert record.start["coders"].keys() == {"parse"}
    printed = capsys.readouterr().err
    assert "nightly  template" in printed
    assert "gs://bucket/templates/nightly" in printed
    assert obs.Store().files.names(record.folder) == ["pipeline.json", "start.json"]


def test_a_template_that_could_not_be_written_leaves_nothing() -> None:
    runner = DataflowRunner()
    runner.fails = True
    with pytest.raises(RuntimeError, match="no such bucket"):
        build("gs://bucket/templates/nightly", runner)
    assert obs.Store().runs() == []


def test_the_launch_of_a_flex_template_is_a_run_whose_job_others_start() -> None:
    build(FLEX)
    (record,) = obs.Store().runs()
    assert (record.status, record.job_id) == ("submitted", "2026-01-02_03_04_05-678")


@pytest.mark.parametrize(
    ("runner", "location", "template"),
    [
        ("FnApiRunner", "gs://b/t", None),
        ("DataflowRunner", "", None),
        ("DataflowRunner", "gs://b/t", Template("gs://b/t")),
        ("DataflowRunner", FLEX, Template(FLEX, True, "2026-01-02_03_04_05-678")),
        (
            "DataflowRunner",
            "gs://b/staging/template_launches/job_object",
            Template("gs://b/staging/template_launches/job_object", True),
        ),
    ],
)
def test_a_template_is_known_by_its_location(runner: str, location: str, template: Template | None) -> None:
    options = PipelineOptions([f"--template_location={location}"] if location else [])
    assert template_of(type(runner, (), {})(), options) == template

"""Each pipeline is woven once, where the runner that executes it asks for it."""

from __future__ import annotations

import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.interactive import interactive_beam, interactive_environment
from apache_beam.runners.interactive.interactive_runner import InteractiveRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

import beam_obs as obs
from beam_obs import lineage
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.weaving.weave import is_woven, weave


@pytest.fixture(autouse=True)
def _of_its_own() -> None:
    interactive_environment.new_env()


def _upper(pipeline: Any, folder: pathlib.Path) -> Any:
    folder.joinpath("in.txt").write_text("a\nb\na\n")
    return pipeline | "read" >> beam.io.ReadFromText(str(folder / "in.txt")) | "up" >> beam.Map(str.upper)


def test_an_interactive_run_is_woven_once(tmp_path: pathlib.Path) -> None:
    pipeline = beam.Pipeline(InteractiveRunner())
    letters = _upper(pipeline, tmp_path)
    counts = letters | "count" >> beam.combiners.Count.PerElement()
    interactive_beam.watch({"pipeline": pipeline, "counts": counts})
    with weaving(WeaveSettings(strict=True, evidence=str(tmp_path / "evidence"))) as reports:
        result = pipeline.run()

    (report,) = reports
    assert report.opaque == {}
    assert not any("beam_obs" in label for label in report.woven)
    assert sorted(result.get(counts)) == [("A", 2), ("B", 1)]


def test_an_interactive_run_has_one_report_with_its_counts_and_lineage(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = PipelineOptions([f"--obs_store={tmp_path / 'store'}"])
    pipeline = obs.Pipeline(InteractiveRunner(), options, name="notebook")
    letters = _upper(pipeline, tmp_path) | "stage" >> obs.Stage(beam.Map(str.lower))
    interactive_beam.watch({"pipeline": pipeline, "letters": letters})
    pipeline.run()
    assert list(interactive_beam.collect(letters)[0]) == ["a", "b", "a"]

    (run,) = obs.Store(str(tmp_path / "store")).runs()
    assert run.end is not None
    assert run.end["lineage"]["opaque"] == {}
    assert [(one["label"], one["in"], one["out"]) for one in run.end["stages"]] == [("stage", 3, 3)]
    assert capsys.readouterr().err.count("notebook  done") == 1


def test_what_an_interactive_run_writes_is_known(tmp_path: pathlib.Path) -> None:
    options = PipelineOptions([f"--obs_store={tmp_path / 'store'}", "--obs_report=off"])
    pipeline = obs.Pipeline(InteractiveRunner(), options, name="notebook")
    letters = _upper(pipeline, tmp_path)
    letters | "write" >> beam.io.WriteToText(str(tmp_path / "out"))
    interactive_beam.watch({"pipeline": pipeline, "letters": letters})
    pipeline.run()

    store = obs.Store(str(tmp_path / "store"))
    (made_of,) = lineage.why(f"{tmp_path}/out-00000-of-00001:2", store=store).to_json()["made_of"]
    assert (made_of["source"], made_of["line"], made_of["state"]) == ("read", 2, "verified")
    (written,) = (
        one
        for one in lineage.fate(f"{tmp_path}/in.txt:2", store=store).to_json()["fate"]["written"]
        if one["sink"] == "write"
    )
    assert written["uri"] == str(tmp_path / "out")


def test_what_is_woven_is_not_woven_again() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pipeline | "make" >> beam.Create([1]) | "same" >> beam.Map(lambda number: number)
    proto = pipeline.to_runner_api()
    woven = weave(proto).proto
    assert is_woven(woven)
    assert not is_woven(proto)

    again = beam.Pipeline.from_runner_api(woven, FnApiRunner(), PipelineOptions())
    with weaving() as reports:
        again.run().wait_until_finish()

    assert reports == []


def test_a_pipeline_that_is_looked_at_is_not_woven() -> None:
    with weaving() as reports, beam.Pipeline(runner=FnApiRunner()) as pipeline:
        assert_that(pipeline | beam.Create([1]), equal_to([1]))
        pipeline.to_runner_api()
        assert reports == []

    assert len(reports) == 1


class AsksForContext(FnApiRunner):
    """Asks for the form of a pipeline and its context together, as Dataflow's runner does."""

    given: Any = None

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:
        proto, context = pipeline.to_runner_api(return_context=True)
        assert context is not None
        type(self).given = proto
        return super().run_pipeline(pipeline, options)


def test_a_runner_that_asks_for_the_context_too_is_given_the_woven_pipeline(tmp_path: pathlib.Path) -> None:
    options = PipelineOptions([f"--obs_store={tmp_path}", "--obs_report=off"])
    with obs.Pipeline(AsksForContext(), options, name="context") as pipeline:
        pipeline | beam.Create([1]) | "same" >> beam.Map(lambda number: number)

    assert is_woven(AsksForContext.given)

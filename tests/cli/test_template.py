"""`beam-obs template`: what it prints, and how it fails."""

from __future__ import annotations

import json
import pathlib
import sys
from typing import NoReturn

import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from beam_obs.cli.main import exit_code

pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[dataflow]'")

PROJECT = pathlib.Path(__file__).parents[2]
SCHEDULE = "templates/schedule"
IMAGE = f"europe-docker.pkg.dev/project/images/schedule@sha256:{'b' * 64}"


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr("sys.path", ["", *sys.path])  # the first is a command's own


def test_a_spec_names_the_image_for_launcher_and_workers(tmp_path: pathlib.Path) -> None:
    assert (
        exit_code(["template", "spec", SCHEDULE, "--image", IMAGE, "--output", str(tmp_path / "spec.json")])
        == 0
    )
    spec = json.loads((tmp_path / "spec.json").read_text())
    assert (spec["image"], spec["defaultEnvironment"]["sdkContainerImage"]) == (IMAGE, IMAGE)
    kept = json.loads((PROJECT / SCHEDULE / "spec.json").read_text())
    assert spec["metadata"] == kept["metadata"]


def test_a_module_has_metadata_without_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["template", "metadata", "pipelines.schedule.batch"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["parameters"]][:3] == ["input", "output", "destination"]


def test_a_graph_tells_its_size_and_is_written(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["template", "graph", "--pipeline", str(tmp_path / "pipeline.pb"), SCHEDULE]) == 0
    content = (tmp_path / "pipeline.pb").read_bytes()
    steps = (PROJECT / SCHEDULE / "steps.txt").read_text().splitlines()
    assert f"{len(content):,} bytes (1." in capsys.readouterr().out
    labels = {
        one.unique_name
        for one in beam_runner_api_pb2.Pipeline.FromString(content).components.transforms.values()
    }
    assert {step.partition("  ")[0] for step in steps if "lambda" not in step} <= labels


@pytest.mark.parametrize("option", ["--steps", "--pipeline=x.pb"])
def test_an_option_behind_the_program_that_it_does_not_have_is_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["template", "graph", SCHEDULE, option]) == 2
    assert f"{option.partition('=')[0]} stands behind PROGRAM" in capsys.readouterr().err


def test_a_new_template_that_fails_leaves_no_folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(program: str) -> NoReturn:
        raise OSError("the disk is full")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("beam_obs.dataflow.template_settings.template_settings", fail)
    assert exit_code(["template", "new", "orders-of-nobody"]) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["metadata", "pipelines.nowhere"], "no module 'pipelines.nowhere'"),
        (["metadata", "pipelines"], "pipelines has no template.toml"),
        (["spec", SCHEDULE, "--image", "image:latest"], "has no digest"),
        (["graph", "pipelines.schedule.sessions"], "has no function main"),
        (["new", "Orders"], "cannot be named 'Orders'"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["template", *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_behind_two_hyphens_are_the_options_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["template", "graph", SCHEDULE, "--", "--obs_lineage=off"]) == 0
    told = capsys.readouterr().out
    kept = (PROJECT / SCHEDULE / "steps.txt").read_text().splitlines()
    assert int(told.partition(" steps, ")[0]) < len(kept)
    assert "without lineage" not in told  # it is that graph already


def test_a_program_of_beam_alone_has_a_graph_without_warnings(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = f"plain_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(
        "import apache_beam as beam\n"
        "from apache_beam.options.pipeline_options import PipelineOptions\n"
        "def main():\n"
        "    with beam.Pipeline(options=PipelineOptions()) as p:\n"
        "        p | beam.Impulse()\n"
    )
    monkeypatch.chdir(tmp_path)
    assert exit_code(["template", "graph", name]) == 0
    told = capsys.readouterr().out
    assert told.startswith("1 steps, ")
    assert "without lineage" not in told
    assert "Unparseable" not in caplog.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("def main(:", "SyntaxError: "),
        ("def main():\n    raise ValueError('of mine')", "ValueError: of mine"),
    ],
)
def test_what_a_program_raises_is_told_from_its_own_lines_on(
    text: str,
    told: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = f"raising_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert exit_code(["template", "graph", name]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert f"{name}.py" in error
    assert "beam_obs" not in error


TWO_PIPELINES = """
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
def main():
    for _ in range(2):
        with beam.Pipeline(options=PipelineOptions()) as p:
            p | beam.Impulse()
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import sys\nsys.exit(0)", "ended with 0 while it was imported"),
        ("raise SystemExit('no --input')", "ended with 'no --input' while it was imported"),
        (
            "def main(argv):\n    pass",
            "main takes (argv), and is called without arguments: give each a default, as main(argv=None)",
        ),
        (
            TWO_PIPELINES,
            "made 2 graphs for Dataflow: its main must build one pipeline",
        ),
    ],
    ids=["ends at import", "ends at import with words", "main with arguments", "two pipelines"],
)
def test_a_program_that_no_launcher_could_start_is_told(
    text: str,
    told: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / f"unfit_{tmp_path.name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert exit_code(["template", "graph", f"unfit_{tmp_path.name}"]) > 0
    assert told in " ".join(capsys.readouterr().err.split())

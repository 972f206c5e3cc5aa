"""The templates of this project: what is kept of them is what their programs give today."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
from apache_beam.version import __version__ as beam_version

import beam_obs as obs
from beam_obs.dataflow.template_graph import IMAGE, LIMIT_BYTES, template_graph
from beam_obs.dataflow.template_parameters import template_parameters
from beam_obs.dataflow.template_settings import template_settings
from beam_obs.dataflow.template_spec import as_json, container_spec, template_metadata
from tests import programs

dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[dataflow]'")
json_format = pytest.importorskip("google.protobuf.json_format")

PROJECT = pathlib.Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in (PROJECT / "templates").glob("*/template.toml"))
LOCKED = (PROJECT / "requirements-dev.lock").read_text()
each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


# In a process of its own: of an instrument that another test has made each step would have an output more.
GRAPH = """
import json, sys
from beam_obs.dataflow.template_graph import template_graph
from beam_obs.dataflow.template_settings import template_settings
settings = template_settings(sys.argv[1])
made = template_graph(settings.module, settings.example_arguments)
print(json.dumps([[str(step) for step in made.steps], made.graph_bytes, made.job]))
"""


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


@each
def test_metadata_and_spec_are_those_of_the_program(folder: pathlib.Path) -> None:
    settings = template_settings(str(folder))
    metadata = template_metadata(settings, template_parameters(settings))
    assert (folder / "metadata.json").read_text() == as_json(metadata), "run `make templates`"
    assert (folder / "spec.json").read_text() == as_json(container_spec(settings, metadata)), (
        "run `make templates`"
    )


@each
def test_what_is_kept_is_what_dataflow_reads(folder: pathlib.Path) -> None:
    metadata, spec = dataflow.TemplateMetadata.pb()(), dataflow.ContainerSpec.pb()()
    json_format.Parse((folder / "metadata.json").read_text(), metadata)
    json_format.Parse((folder / "spec.json").read_text(), spec)
    assert spec.metadata == metadata
    assert all(one.label and one.help_text for one in metadata.parameters)
    needed = {one.name for one in metadata.parameters if not one.is_optional}
    assert {"output", "obs_store"} < needed


# Steps within Beam's own have names that differ between its releases.
@pytest.mark.skipif(
    f"apache-beam=={beam_version}\n" not in LOCKED, reason="kept for the locked release of Beam"
)
@each
@pytest.mark.slow
def test_the_steps_of_a_template_keep_their_names_and_coders(folder: pathlib.Path) -> None:
    settings = template_settings(str(folder))
    done = programs.run(["-c", GRAPH, str(folder)])
    assert done.returncode == 0, done.stderr
    steps, graph_bytes, job = json.loads(done.stdout.splitlines()[-1])
    kept = (folder / "steps.txt").read_text().splitlines()
    assert steps == kept, (
        "a streaming job cannot be updated over a step whose name or coder is another; "
        "if it is on purpose, run `make templates`"
    )
    assert graph_bytes < LIMIT_BYTES / 10
    environment = job["environment"]
    (pool,) = environment["workerPools"]
    assert {one["containerImage"] for one in pool["sdkHarnessContainerImages"]} == {IMAGE}
    assert "use_runner_v2" in environment["experiments"]
    options = environment["sdkPipelineOptions"]["options"]
    assert options["obs_store"].endswith("/store")
    assert job["type"] == ("JOB_TYPE_STREAMING" if settings.streaming else "JOB_TYPE_BATCH")


KINDS = {
    "`STEP/Evidence/Write`": "[^/]+/Evidence/Write",
    "`beam_obs evidence/...`": "beam_obs evidence/.+",
    "`WRITE/Observed`, `WRITE/Names`": "write [^/]+/(Observed|Names)",
    "`STEP/beam_obs:index`, `STEP/beam_obs:origins`": ".+/beam_obs:(index|origins)",
    "`beam_obs evidence of lineage/...`": "beam_obs evidence of lineage/.+",
}


def test_the_page_counts_the_steps_that_are_kept_of_the_flights() -> None:
    steps = (PROJECT / "templates" / "flights-batch" / "steps.txt").read_text().splitlines()
    names = [step.partition("  ")[0] for step in steps]
    counts = {kind: sum(bool(re.fullmatch(text, one)) for one in names) for kind, text in KINDS.items()}
    counts["`WRITE/Observed`, `WRITE/Names`"] -= 1  # in place of one of the bare flights
    page = (PROJECT / "docs" / "templates.md").read_text()
    told = dict(re.findall(r"^\| (`.+?) \| (\d+) \|", page, re.MULTILINE))
    assert {kind: int(told[kind]) for kind in KINDS} == counts
    assert f"| flights-batch | {len(names)} |" in page
    (bare,) = re.findall(r"`pipelines\.flights\.bare`, are (\d+) steps", page)
    assert len(names) - int(bare) == sum(counts.values())


def test_a_program_without_a_graph_is_an_error() -> None:
    with pytest.raises(obs.UsageError, match=r"pipelines\.flights\.parse has no function main"):
        template_graph("pipelines.flights.parse", [])
    with pytest.raises(obs.BeamObsError, match=r"pipelines\.flights\.batch ended with 2, and no graph"):
        template_graph("pipelines.flights.batch", [])


def test_the_image_takes_only_files_that_are_known_by_their_hashes() -> None:
    lines = (PROJECT / "templates" / "requirements.lock").read_text().replace("\\\n", "").splitlines()
    assert len(lines) > 100
    assert [line for line in lines if "==" not in line or "--hash=sha256:" not in line] == []


def test_the_image_has_the_boot_of_its_beam() -> None:
    locked = (PROJECT / "templates" / "requirements.lock").read_text()
    dockerfile = (PROJECT / "templates" / "Dockerfile").read_text()
    (version,) = re.findall(r"^apache-beam(?:\[.*\])?==(\S+)", locked, re.MULTILINE)
    assert f"_sdk:{version}\n" in dockerfile

"""The runner of Dataflow takes a woven pipeline, packs its combiners, and writes the job as a template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.window import FixedWindows

import beam_obs as obs
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings
from tests.offline_dataflow import offline_options
from tests.weaving.random_steps import STEPS, typed
from tests.weaving.test_independence import Siblings

pytest.importorskip("apache_beam.runners.dataflow.internal.apiclient", reason="pip install 'beam_obs[gcp]'")


def _submit(folder: Path) -> tuple[dict[str, Any], api.Pipeline]:
    """Returns the job and the pipeline that would be sent."""
    options = offline_options(folder, template_location=str(folder / "template.json"))
    pipeline = beam.Pipeline("DataflowRunner", options)
    first = pipeline | "make" >> beam.Create([(1, frozenset([1]))])
    for name, step in STEPS.items():
        step(typed(first, f"first {name}"), name) | f"write {name}" >> beam.io.WriteToText(str(folder / name))
    pipeline | "numbers" >> beam.Create([("a", 1), ("b", 2)]) | "siblings" >> Siblings()
    pipeline.run()
    (staged,) = folder.rglob("pipeline.pb")
    return json.loads((folder / "template.json").read_text()), api.Pipeline.FromString(staged.read_bytes())


def _combines(proto: api.Pipeline) -> list[str]:
    combine = common_urns.composites.COMBINE_PER_KEY.urn
    return [one.unique_name for one in proto.components.transforms.values() if one.spec.urn == combine]


@pytest.mark.slow
def test_a_template_has_the_woven_pipeline(tmp_path: Path) -> None:
    for name in ("bare", "woven", "evidence"):
        (tmp_path / name).mkdir()
    _, bare = _submit(tmp_path / "bare")

    with weaving(WeaveSettings(strict=True, evidence=str(tmp_path / "evidence"))) as reports:
        job, woven = _submit(tmp_path / "woven")

    assert reports[-1].opaque == {}
    assert job["environment"]["sdkPipelineOptions"]
    labels = {one.unique_name for one in woven.components.transforms.values()}
    assert "beam_obs evidence of lineage" in labels
    assert "group/beam_obs:origins" in labels
    # Siblings are packed woven as they are bare.
    assert sorted(_combines(woven)) == sorted(_combines(bare))
    assert any("Packed" in label for label in labels)


@pytest.mark.parametrize(("write", "commits"), [(beam.io.WriteToText, 2), (obs.WriteToText, 1)])
def test_what_is_refused_before_a_write_is_not_committed_behind_it(
    write: Any, commits: int, tmp_path: Path
) -> None:
    options = offline_options(
        tmp_path,
        template_location=str(tmp_path / "template.json"),
        obs_store=str(tmp_path / "store"),
        obs_store_shared=True,
        obs_report="off",
    )
    p = obs.Pipeline("DataflowRunner", options=options, name="numbers")
    numbers = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int))
    _ = numbers | "text" >> beam.Map(str) | "write" >> write(str(tmp_path / "out"))
    p.run()
    (staged,) = tmp_path.rglob("pipeline.pb")
    steps = api.Pipeline.FromString(staged.read_bytes()).components.transforms.values()
    found = [one.unique_name for one in steps if one.unique_name.startswith("beam_obs evidence")]
    # Where the files of the write are noted, what is refused waits for it in any case.
    assert len([label for label in found if label.endswith("/Shuffle")]) == commits


@pytest.mark.parametrize(
    ("stages", "homes", "keep_state"), [(True, False, 2), (False, False, 2), (True, True, 4)]
)
def test_a_stream_gathers_all_evidence_of_a_folder_in_one_step(
    stages: bool, homes: bool, keep_state: int, tmp_path: Path
) -> None:
    options = offline_options(
        tmp_path,
        template_location=str(tmp_path / "template.json"),
        obs_store=str(tmp_path / "store"),
        obs_store_shared=True,
        obs_report="off",
        streaming=True,
    )
    p = obs.Pipeline("DataflowRunner", options=options, name="numbers")
    with obs.DeadLetters(str(tmp_path / "dead")) as dead:
        given = {"dead_letters": dead} if homes else {}
        step = (lambda function: obs.Stage(function, **given)) if stages else (lambda function: function)
        texts = p | PeriodicImpulse() | "text" >> step(beam.Map(str))
        numbers = texts | "parse" >> step(beam.Map(float)) | beam.WindowInto(FixedWindows(10))
        _ = numbers | "key" >> beam.WithKeys(1) | beam.CombinePerKey(sum) | "end" >> beam.Map(print)
    p.run()

    (staged,) = tmp_path.rglob("pipeline.pb")
    steps = api.Pipeline.FromString(staged.read_bytes()).components.transforms.values()
    pardos = {one.unique_name: one for one in steps if one.spec.urn == common_urns.primitives.PAR_DO.urn}
    found = [
        name for name, one in pardos.items() if api.ParDoPayload.FromString(one.spec.payload).state_specs
    ]
    assert len(found) == keep_state, found
    assert any("Key derivations of" in name for name in pardos)

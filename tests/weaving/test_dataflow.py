"""The runner of Dataflow takes a woven pipeline, packs its combiners, and writes the job as a template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

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

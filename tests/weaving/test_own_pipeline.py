"""Observing leaves the settings of the process as the user's pipeline made them."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import typecoders
from apache_beam.internal import pickler
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, S3Options
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import beam_obs as obs

ENDPOINT = "http://127.0.0.1:5555"
_SEEN: list[tuple[str | None, str]] = []


def _settings() -> tuple[str | None, str]:
    options = FileSystems._pipeline_options
    endpoint = options.view_as(S3Options).s3_endpoint_url if options is not None else None
    return endpoint, pickler.desired_pickle_lib.__name__


def _note(number: int) -> tuple[int, int]:
    _SEEN.append(_settings())
    return 1, number


@pytest.fixture(autouse=True)
def _as_before() -> Any:
    options = FileSystems._pipeline_options
    _SEEN.clear()
    yield
    FileSystems.set_options(options)
    pickler.set_library()


@pytest.mark.parametrize("library", ["cloudpickle", "dill_unsafe"])
@pytest.mark.parametrize("runner", [FnApiRunner, BundleBasedDirectRunner])
def test_filesystems_and_pickler_are_the_same_before_in_and_after_a_run(
    runner: Any, library: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    options = PipelineOptions(
        [f"--s3_endpoint_url={ENDPOINT}", f"--pickle_library={library}", f"--obs_store={tmp_path / 'store'}"]
    )
    pipeline = obs.Pipeline(runner(), options, name="settings")
    pipeline | beam.Create([1]) | beam.Map(_note) | beam.GroupByKey()
    before = _settings()
    assert before[0] == ENDPOINT
    assert library.split("_")[0] in before[1]
    version = getattr(typecoders.registry, "update_compatibility_version", None)

    pipeline.run().wait_until_finish()

    assert set(_SEEN) == {before}
    assert _settings() == before
    assert getattr(typecoders.registry, "update_compatibility_version", None) == version
    made = set(tmp_path.glob("beam-pipeline-temp*"))
    assert made <= {pathlib.Path(pipeline.local_tempdir)}

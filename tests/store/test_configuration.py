"""`beam_obs.toml` says where the store is; options and the variable go before it."""

from __future__ import annotations

import os
import pathlib

import apache_beam as beam
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, S3Options

import beam_obs as obs
from beam_obs.runs.options import run_settings
from beam_obs.runs.reach import StoreOutOfReach, check_reach
from beam_obs.store.configuration import Configuration, find_configuration


def settings(text: str, path: str = "beam_obs.toml") -> None:
    pathlib.Path(path).write_text(text)


def test_there_need_be_no_file() -> None:
    assert find_configuration() == Configuration()


def test_a_file_of_a_folder_above_holds_and_its_store_lies_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings('store = "kept/here"')
    above = os.getcwd()
    os.makedirs("one/two")
    monkeypatch.chdir("one/two")
    assert obs.Store().uri == os.path.join(above, "kept", "here")
    assert run_settings(PipelineOptions([])).store == os.path.join(above, "kept", "here")


def test_the_nearest_file_holds_and_pyproject_may_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings('store = "/above"')
    os.mkdir("below")
    settings("[tool.other]\nx = 1", "below/pyproject.toml")
    monkeypatch.chdir("below")
    assert find_configuration().store == "/above"
    settings('[tool.beam_obs]\nstore = "gs://bucket/store"', "pyproject.toml")
    assert find_configuration().store == "gs://bucket/store"


def test_an_option_then_the_variable_then_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    settings('store = "/file"')
    assert run_settings(PipelineOptions([])).store == "/file"
    monkeypatch.setenv("BEAM_OBS_STORE", "/variable")
    assert run_settings(PipelineOptions([])).store == obs.Store().uri == "/variable"
    assert run_settings(PipelineOptions(["--obs_store=/option"])).store == "/option"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store = ", "is no TOML"),
        ("stor = 'x'", "'stor', which does not exist; did you mean store?"),
        ("zzz = 1", "there are store, shared, filesystem, schedules, exporters"),
        ("store = 3", "store is 3; give a text"),
        ("shared = 'yes'", "shared is 'yes'; give true or false"),
        ("filesystem = 's3'", "filesystem is 's3'; give a table of options"),
        ("[filesystem]\ns3_verify = 1.5", "filesystem.s3_verify is 1.5"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(text: str, said: str) -> None:
    settings(text)
    with pytest.raises(obs.UsageError, match=r"beam_obs\.toml") as caught:
        obs.Pipeline("FnApiRunner")
    assert said in str(caught.value)


def test_options_of_filesystems_reach_the_pipeline_that_has_none_of_that_name() -> None:
    settings('[filesystem]\ns3_endpoint_url = "http://localhost:1"\ns3_region_name = "eu"')
    pipeline = obs.Pipeline("FnApiRunner", argv=["--s3_region_name=us", "--obs_report=off"])
    assert pipeline.options.view_as(S3Options).s3_endpoint_url == "http://localhost:1"
    assert pipeline.options.view_as(S3Options).s3_region_name == "us"
    assert FileSystems._pipeline_options.view_as(S3Options).s3_endpoint_url == "http://localhost:1"


def test_an_option_that_no_filesystem_has_is_refused_with_the_nearest() -> None:
    settings('[filesystem]\ns3_endpoint_ur = "http://localhost:1"')
    with pytest.raises(obs.UsageError, match="no option 's3_endpoint_ur'; did you mean s3_endpoint_url"):
        obs.Pipeline("FnApiRunner")


class DataflowRunner(beam.runners.PipelineRunner):  # type: ignore[misc]
    """Known by its name."""


def test_a_shared_folder_is_within_reach_of_remote_workers() -> None:
    def check(*arguments: str) -> None:
        options = PipelineOptions(list(arguments))
        check_reach(obs.Store("/shared"), DataflowRunner(), options, run_settings(options).store_shared)

    with pytest.raises(StoreOutOfReach, match="add --obs_store_shared"):
        check()
    check("--obs_store_shared")
    settings("shared = true")
    check()

"""Wrong options are refused with what was found and what was expected."""

from __future__ import annotations

import pathlib
import re
import sys

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_obs import ObservabilityOptions, UsageError
from beam_obs.records.errors import MissingExtra
from beam_obs.runs.options import run_settings

OPTIONS = "store pipeline sample_rate output_cap max_dead_rate max_dead_minimum progress report".split()


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--obs_sample_rate=-1", "a whole number of at least 0"),
        ("--obs_sample_rate=often", "found 'often'"),
        ("--obs_output_cap=0", "a whole number of at least 1"),
        ("--obs_max_dead_rate=50", "a share between 0 and 1"),
        ("--obs_max_dead_rate=nan", "a share between 0 and 1"),
        ("--obs_max_dead_minimum=0", "a whole number of at least 1"),
        ("--obs_progress=maybe", "one of auto, on, off"),
        ("--obs_report=html", "one of text, json, off"),
        ("--obs_logs=xml", "one of attributes, text, json, otlp, off"),
        ("--obs_logs_per_line=-1", "a whole number of at least 0"),
        ("--obs_pipeline=a/b", "found 'a/b'"),
        ("--obs_pipeline=", "found ''"),
        ("--obs_store=", "a folder is expected"),
        ("--obs_prometheus_port=many", "expected a port or HOST:PORT"),
        ("--obs_prometheus_port=70000", "expected a port or HOST:PORT"),
        ("--obs_pushgateway=localhost", "expected an address, e.g. http://localhost:9091"),
        ("--obs_textfile=gs://bucket/folder", "expected a folder of this machine"),
        ("--obs_cloud_monitoring=My_Project", "expected the id of a project of Google Cloud"),
        ("--obs_statsd=localhost", "expected HOST:PORT, e.g. localhost:8125"),
        ("--obs_statsd=localhost:0", "expected HOST:PORT, e.g. localhost:8125"),
        ("--obs_otlp=localhost:4318", "expected an address, e.g. http://localhost:4318"),
        ("--obs_json_lines=gs://bucket/file", "expected a file of this machine"),
        ("--obs_destination=nowhere:Mine", "expected MODULE:CLASS that can be imported: No module named"),
        ("--obs_destination=json", "expected MODULE:CLASS that can be imported"),
        ("--obs_destination=json:JSONEncoder", "has no send and no close: see beam_obs.exporters.sending"),
    ],
)
def test_a_wrong_argument_is_refused(
    argument: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        ObservabilityOptions([argument])
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert expected in printed
    assert argument.partition("=")[0] in printed


def test_a_wrong_keyword_is_refused() -> None:
    with pytest.raises(UsageError, match="--obs_max_dead_rate: found '7'"):
        run_settings(PipelineOptions([], obs_max_dead_rate=7))


def test_keywords_and_arguments_are_alike() -> None:
    by_keyword = run_settings(PipelineOptions([], obs_store="s", obs_sample_rate=7))
    assert by_keyword == run_settings(PipelineOptions(["--obs_store=s", "--obs_sample_rate=7"]))


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ObservabilityOptions(["--help"])
    printed = capsys.readouterr().out
    assert [name for name in OPTIONS if f"--obs_{name}" not in printed] == []


def test_the_store_comes_from_the_option_then_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_settings(PipelineOptions([])).store == ".beam_obs"
    monkeypatch.setenv("BEAM_OBS_STORE", "/variable")
    assert run_settings(PipelineOptions([])).store == "/variable"
    assert run_settings(PipelineOptions(["--obs_store=/option"])).store == "/option"


def test_targets_come_from_options_and_else_from_the_file() -> None:
    pathlib.Path("beam_obs.toml").write_text(
        '[exporters]\nprometheus_port = 9464\npushgateway = "http://one:9091/"\ntextfile = "texts"\n'
    )
    settings = run_settings(PipelineOptions(["--obs_pushgateway=http://two:9091", "--obs_textfile=off"]))
    assert settings.exporters == {"prometheus_port": "9464", "pushgateway": "http://two:9091"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "prometheus = 9464",
            "an exporter 'prometheus', which does not exist; did you mean prometheus_port?",
        ),
        ("prometheus_port = 99999", "exporters.prometheus_port: found '99999'"),
        ("prometheus_port = true", "exporters.prometheus_port is True; give a text or a whole number"),
    ],
)
def test_a_wrong_target_of_the_file_is_refused(line: str, said: str) -> None:
    pathlib.Path("beam_obs.toml").write_text(f"[exporters]\n{line}\n")
    with pytest.raises(UsageError, match=re.escape(said)):
        run_settings(PipelineOptions([]))


def test_a_target_whose_packages_are_missing_is_refused_when_the_pipeline_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for name in [name for name in sys.modules if name.startswith("beam_obs.exporters.p")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'beam_obs[prometheus]'")):
        run_settings(PipelineOptions(["--obs_pushgateway=http://localhost:9091"]))

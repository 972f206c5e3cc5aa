"""Wrong options are refused with what was found and what was expected."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_obs import ObservabilityOptions, UsageError
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
        ("--obs_pipeline=a/b", "found 'a/b'"),
        ("--obs_pipeline=", "found ''"),
        ("--obs_store=", "a folder is expected"),
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

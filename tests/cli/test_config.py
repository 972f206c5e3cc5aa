"""`beam-obs config` tells each setting and where it comes from; `--version` the version."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib

import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code


def test_settings_are_told_with_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    file = pathlib.Path("beam_obs.toml")
    file.write_text('store = "there"\n[filesystem]\ns3_secret_access_key = "hunter2"\n')
    assert exit_code(["config"]) == 0
    said = capsys.readouterr().out
    assert f"{os.path.abspath('there')}  ({file.absolute()})" in said
    assert "false  (default)" in said
    assert "hunter2" not in said
    assert exit_code(["config", "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first == {"setting": "store", "value": os.path.abspath("there"), "from": str(file.absolute())}


def test_without_a_file_the_defaults_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["config"]) == 0
    assert capsys.readouterr().out.startswith("no beam_obs.toml here or above\n")
    monkeypatch.setenv("BEAM_OBS_STORE", "/elsewhere")
    assert exit_code(["config"]) == 0
    assert "/elsewhere  (variable BEAM_OBS_STORE)" in capsys.readouterr().out


def test_a_wrong_file_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    pathlib.Path("beam_obs.toml").write_text("stor = 1")
    for command in (["config"], ["runs"]):
        assert exit_code(command) == 1
        assert "did you mean store?" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["--version"]) == 0
    assert obs.__version__ == importlib.metadata.version("beam-obs")
    assert obs.__version__ in capsys.readouterr().out


def test_schedules_are_told_and_a_wrong_one_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    file = pathlib.Path("beam_obs.toml")
    file.write_text('[schedules.flights]\ncron = "0 6 * * *"\ntakes_at_most = "90m"\n')
    assert exit_code(["config"]) == 0
    said = capsys.readouterr().out
    assert f"schedules.flights.cron           0 6 * * *  ({file.absolute()})" in said
    assert "schedules.flights.takes_at_most  90m" in said
    assert "schedules.flights.start_within   10m" in said
    file.write_text('[schedules.flights]\ncron = "0 6 * *"\n')
    for command in (["config"], ["runs"], ["serve"]):
        assert exit_code(command) == 1
        assert "schedules.flights: cron is '0 6 * *': found 4 fields" in capsys.readouterr().err
